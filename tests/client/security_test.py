#!/usr/bin/env python3
"""Nobody gets in through the gateway's port who doesn't belong there, and whoever does goes on working meanwhile: the
real gateway with TLS against a played manager. Traffic goes to loopback alone, bounded in count and time.

Usage: security_test.py BUILD-FOLDER [-k NAME]
"""
import contextlib
import os
import resource
import signal
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

BUILD = Path(sys.argv.pop(1)) if len(sys.argv) > 1 else Path("build/release")
KEY = "the-key-of-operators"
HALF_OPEN = 3000        # connections of the attack
AT_ONCE = 400           # of them held by us at a time
PLACES = 128            # gateway.connections in these tests
HANDSHAKE_SECONDS = 5   # limits.hpp


class Gateway:
    """A gateway with a state folder of its own, and a manager that is played; nothing is left of them."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.home = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="us-security-")))
        self.manager = subprocess.Popen([BUILD / "tests/client/fake-manager"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.link = ""
        for line in self.manager.stdout:
            if line.startswith("#"):
                break
            self.link += line
        self.process = None
        self.start()

    def configuration(self, more=""):
        path = self.home / "gateway.toml"
        path.write_text(f'{self.link}\n[gateway]\nport = 0\nport_file = "{self.home}/port"\nconnections = {PLACES}\naccess_key = "{KEY}"\n{more}', encoding="utf-8")
        return path

    def command(self, more="", *words):
        return [BUILD / "client/gateway/understudy-gateway", "--config", self.configuration(more), *words]

    def start(self):
        port = self.home / "port"
        port.unlink(missing_ok=True)
        log = self.stack.enter_context(open(self.home / "log", "a", encoding="utf-8"))
        self.process = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=log, text=True)
        self.said = [self.process.stdout.readline(), self.process.stdout.readline()]
        self.port = int(port.read_text(encoding="utf-8"))
        self.trust = ssl.create_default_context(cafile=self.home / "gateway-state/authority.crt")

    def connect(self, source="127.0.0.1", seconds=20):
        return socket.create_connection(("127.0.0.1", self.port), timeout=seconds, source_address=(source, 0))

    def secure(self, source="127.0.0.1"):
        return self.trust.wrap_socket(self.connect(source), server_hostname="127.0.0.1")

    def ask(self, line, source="127.0.0.1", seconds=20):
        """Sends a connection bytes and takes in what comes until the other side ends it."""
        line.settimeout(seconds)
        got = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while part := line.recv(65536):
                got += part
        return got

    def get(self, target="/health/live", key=None, source="127.0.0.1", head=""):
        with self.secure(source) as line:
            bearer = f"Authorization: Bearer {key}\r\n" if key else ""
            line.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n{bearer}{head}\r\n".encode())
            return self.ask(line)

    def lives(self):
        return self.process.poll() is None and self.get().startswith(b"HTTP/1.1 200")

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        self.process.stdout.close()
        self.manager.stdin.close()
        self.manager.wait(20)
        self.manager.stdout.close()
        self.stack.close()


gateway = None


def setUpModule():
    global gateway
    gateway = Gateway()


def tearDownModule():
    gateway.close()


class Secrecy(unittest.TestCase):
    def test_the_first_start_makes_an_authority_that_people_can_compare_and_trust(self):
        self.assertEqual(gateway.said[0], f"listening on https://127.0.0.1:{gateway.port}/\n")
        certificate = gateway.home / "gateway-state/authority.crt"
        digest = subprocess.run(["openssl", "x509", "-in", certificate, "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True, check=True).stdout
        self.assertIn(digest.split("=")[1].strip(), gateway.said[1])
        self.assertTrue(gateway.get().startswith(b"HTTP/1.1 200"))

    def test_keys_are_for_the_gateway_alone(self):
        state = gateway.home / "gateway-state"
        self.assertEqual(stat.S_IMODE(state.stat().st_mode), 0o700)
        for file in state.iterdir():
            if "PRIVATE KEY" in file.read_text(encoding="utf-8"):
                self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600, file)

    def test_whoever_does_not_trust_the_authority_gets_no_connection(self):
        with self.assertRaises(ssl.SSLCertVerificationError):
            ssl.create_default_context().wrap_socket(gateway.connect(), server_hostname="127.0.0.1")
        with self.assertRaises(ssl.SSLCertVerificationError):
            gateway.trust.wrap_socket(gateway.connect(), server_hostname="somebody.example")

    def test_old_versions_and_weak_ciphers_are_refused(self):
        for change in (lambda c: setattr(c, "maximum_version", ssl.TLSVersion.TLSv1_1),
                       lambda c: (setattr(c, "maximum_version", ssl.TLSVersion.TLSv1_2), c.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"))):
            context = ssl.create_default_context(cafile=gateway.home / "gateway-state/authority.crt")
            change(context)
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                context.wrap_socket(gateway.connect(), server_hostname="127.0.0.1")
        self.assertTrue(gateway.lives())

    def test_plain_http_is_told_to_come_back_with_tls_and_gets_nothing(self):
        with gateway.connect() as line:
            line.sendall(f"GET /api/v1/view HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode())
            answer = gateway.ask(line)
        self.assertTrue(answer.startswith(b"HTTP/1.1 400 "), answer)
        self.assertIn(b"https://", answer)
        self.assertNotIn(b"{", answer)

    def test_without_tls_it_listens_on_nothing_but_loopback(self):
        for words in (("--address", "0.0.0.0"), ("--address", "::")):
            ran = subprocess.run(gateway.command('tls = "off"\n', *words), capture_output=True, text=True, timeout=20, check=False)
            self.assertEqual(ran.returncode, 1, ran.stderr)
            self.assertIn("cross the network in clear", ran.stderr)
        ran = subprocess.run(gateway.command('tls = "perhaps"\n'), capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(ran.returncode, 2)
        self.assertIn('option "gateway.tls" must be "on" or "off"', ran.stderr)

    def test_a_given_certificate_is_shown_and_one_without_its_key_refused(self):
        pair = [gateway.home / "given.crt", gateway.home / "given.key"]
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "9", "-subj", "/CN=given"]
        subprocess.run([*make, "-out", pair[0], "-keyout", pair[1]], check=True, capture_output=True)
        given = f'certificate = "{pair[0]}"\nkey = "{pair[1]}"\n'
        with subprocess.Popen(gateway.command(given), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            said = process.stdout.readline() + process.stdout.readline()
            process.terminate()
        digest = subprocess.run(["openssl", "x509", "-in", pair[0], "-noout", "-fingerprint", "-sha256"], capture_output=True, text=True, check=True).stdout
        self.assertIn(digest.split("=")[1].strip(), said)
        subprocess.run([*make, "-out", gateway.home / "other.crt", "-keyout", pair[1]], check=True, capture_output=True)
        ran = subprocess.run(gateway.command(given), capture_output=True, text=True, timeout=20, check=False)
        self.assertEqual(ran.returncode, 1)
        self.assertIn("cannot be used", ran.stderr)
        os.chmod(pair[1], 0o644)
        ran = subprocess.run(gateway.command(given), capture_output=True, text=True, timeout=20, check=False)
        self.assertIn("others may read", ran.stderr)

    def test_a_certificate_is_taken_anew_on_a_signal_without_an_interruption(self):
        with gateway.secure() as line:
            gateway.process.send_signal(signal.SIGHUP)
            time.sleep(0.5)
            line.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertTrue(gateway.ask(line).startswith(b"HTTP/1.1 200"))
        self.assertTrue(gateway.lives())


class Attacks(unittest.TestCase):
    def tearDown(self):
        self.assertTrue(gateway.lives(), "the gateway goes on")

    def test_a_handshake_that_is_cut_off_anywhere_harms_nobody(self):
        hello = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            gateway.trust.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
        hello = hello.read()
        for length in [0, 1, 2, 5, 6, 40, len(hello) - 1, len(hello)]:
            for reset in (False, True):
                with gateway.connect() as line:
                    line.sendall(hello[:length])
                    if reset:
                        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.assertTrue(gateway.lives())

    def test_garbage_instead_of_a_handshake_is_ended(self):
        for garbage in (b"\x16\x03\x01\xff\xff" + b"A" * 4000, b"\x16" * 3000, b"\x16\x03\x01\x00\x00" * 500, b"\x80\x2e\x01\x03\x01" + os.urandom(512), os.urandom(2000)):
            with gateway.connect() as line:
                with contextlib.suppress(ConnectionError):
                    line.sendall(garbage)
                gateway.ask(line, seconds=HANDSHAKE_SECONDS + 10)

    def test_one_byte_per_second_is_not_waited_for(self):
        with gateway.connect() as line:
            began = time.monotonic()
            for byte in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(60):
                try:
                    line.sendall(bytes([byte]))
                    line.settimeout(1)
                    if line.recv(100) == b"":
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
            self.assertLess(time.monotonic() - began, HANDSHAKE_SECONDS + 6)

    def test_thousands_of_half_open_connections_keep_nobody_out(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
        held, slowest = [], 0.0
        # Somebody who was logged in before the attack, and stays.
        with gateway.secure() as watch:
            watch.sendall((f"GET /api/v1/watch HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                           f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {KEY}\r\n\r\n").encode())
            self.assertTrue(watch.recv(200).startswith(b"HTTP/1.1 101"))
            for number in range(HALF_OPEN):
                line = gateway.connect(f"127.0.{1 + number % 200}.1")
                if number % 3 == 0:
                    line.sendall(b"\x16\x03\x01")
                held.append(line)
                if len(held) > AT_ONCE:
                    held.pop(0).close()
                if number % 250 == 249:
                    began = time.monotonic()
                    self.assertTrue(gateway.get("/api/v1/me", KEY).startswith(b"HTTP/1.1 200"), f"an honest client, after {number + 1}")
                    slowest = max(slowest, time.monotonic() - began)
            descriptors = len(os.listdir(f"/proc/{gateway.process.pid}/fd"))
            self.assertLess(descriptors, PLACES + 64, "bounded")
            watch.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                while True:
                    self.assertNotEqual(watch.recv(65536), b"", "whoever is logged in stays connected")
        for line in held:
            line.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        print(f"\n  {HALF_OPEN} half-open connections, {PLACES} places: slowest honest answer {slowest * 1000:.0f} ms, {descriptors} descriptors", file=sys.stderr)
        self.assertLess(slowest, 5)

    def test_what_is_too_large_or_malformed_is_answered(self):
        for request, status in ((b"GET / HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n", b"431"), (b"POST /login HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
                                (b"nonsense\r\n\r\n", b"400"), (b"GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"400"),
                                (b"GET /a%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"400")):
            with gateway.secure() as line:
                line.sendall(request)
                self.assertTrue(gateway.ask(line).startswith(b"HTTP/1.1 " + status), request[:40])

    def test_paths_lead_nowhere_else(self):
        for target in ("/novnc/../../etc/passwd", "/novnc/%2e%2e/%2e%2e/etc/passwd", "/assets/..%2f..%2fetc%2fpasswd", "/novnc//etc/passwd", "/assets/.hidden",
                       "/terminal/a%2Fb", "/api/v1/incidents/1%20host=alpha", "/api/v1/what-if?host=--config=/etc/passwd"):
            answer = gateway.get(target, KEY)
            self.assertNotIn(b"root:", answer)
            if target.startswith(("/novnc", "/assets", "/terminal")):
                self.assertTrue(answer.startswith(b"HTTP/1.1 404"), (target, answer[:60]))

    def test_websockets_of_strangers_and_of_other_sites_are_refused(self):
        ask = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        for key, head, status in ((None, ask, b"401"), ("wrong-key-of-nobody", ask, b"401"), (KEY, ask + "Origin: https://evil.example\r\n", b"403"),
                                  (KEY, ask + f"Origin: http://127.0.0.1:{gateway.port}\r\n", b"403"), (KEY, ask + "Sec-Fetch-Site: cross-site\r\n", b"403")):
            with gateway.secure() as line:
                bearer = f"Authorization: Bearer {key}\r\n" if key else ""
                line.sendall(f"GET /api/v1/watch HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nConnection: Upgrade\r\n{bearer}{head}\r\n".encode())
                self.assertTrue(gateway.ask(line).startswith(b"HTTP/1.1 " + status), head)

    def test_an_act_from_another_site_or_without_its_header_does_nothing(self):
        body = b'{"verb":"kill","arguments":{"node":5,"reason":"x"}}'
        for head in ("", "X-Understudy-Request: 1\r\nOrigin: https://evil.example\r\n", "X-Understudy-Request: 1\r\nSec-Fetch-Site: cross-site\r\n"):
            with gateway.secure() as line:
                line.sendall(f"POST /api/v1/act HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                self.assertTrue(gateway.ask(line).startswith(b"HTTP/1.1 403"), head)


if __name__ == "__main__":
    os.environ.pop("UNDERSTUDY_CONFIG", None)
    unittest.main(verbosity=2)
