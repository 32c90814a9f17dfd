#!/usr/bin/env python3
"""Nobody gets in through the gateway's port who doesn't belong there, and whoever does goes on working meanwhile: the
real gateway with TLS against a played manager. Traffic goes to loopback alone, bounded in count and time.

Usage: security_test.py BUILD-FOLDER [-k NAME]
"""
import contextlib
import json
import os
import resource
import signal
import socket
import ssl
import stat
import subprocess
import re
import sys
import tempfile
import time
import unittest
import urllib.parse
from pathlib import Path

BUILD = Path(sys.argv.pop(1)) if len(sys.argv) > 1 else Path("build/release")
PASSWORD = "a password for these tests"
DESCRIPTION = json.loads((Path(__file__).resolve().parents[2] / "client/gateway/pages/openapi.json").read_text(encoding="utf-8"))
ROLES = ("none", "terminal", "observer", "operator", "administrator")
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
        self.keys = {"none": None}
        for role in ROLES[1:]:
            bound = ("--terminal", "desk") if role == "terminal" else ()
            self.keys[role] = self.manage("key", "add", role, "--role", role, *bound)
            self.manage("account", "add", role, "--role", role, *bound, said=PASSWORD)
        self.start()

    def configuration(self, more=""):
        path = self.home / "gateway.toml"
        path.write_text(f'{self.link}\n[gateway]\nport = 0\nport_file = "{self.home}/port"\nconnections = {PLACES}\n{more}', encoding="utf-8")
        return path

    def command(self, more="", *words):
        return [BUILD / "client/gateway/understudy-gateway", "--config", self.configuration(more), *words]

    def manage(self, *words, said=""):
        """What the gateway's own commands print."""
        return subprocess.run(self.command("", *words), input=said + "\n", capture_output=True, text=True, timeout=30, check=True).stdout.strip()

    def request(self, method, target, head="", body=b"", source="127.0.0.1", key=None, origin=True):
        """(status, head, body) of one request."""
        with self.secure(source) as line:
            ours = f"Origin: https://127.0.0.1:{self.port}\r\n" if origin and method == "POST" else ""
            bearer = f"Authorization: Bearer {key}\r\n" if key else ""
            line.sendall(f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: close\r\n{ours}{bearer}{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = self.ask(line)
        first, _, rest = answer.partition(b"\r\n\r\n")
        return int(first[9:12]), first.decode(), rest.decode(errors="replace")

    def log_in(self, name, password=PASSWORD, source="127.0.0.1"):
        """(status, page, head with the cookie)"""
        body = urllib.parse.urlencode({"name": name, "password": password, "next": "/console"}).encode()
        status, head, page = self.request("POST", "/login", body=body, source=source)
        cookie = re.search(r"Set-Cookie: ([^;]+);", head)
        return status, page, f"Cookie: {cookie.group(1)}\r\n" if cookie else ""

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
            line.sendall(f"GET /api/v1/view HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gateway.keys['administrator']}\r\n\r\n".encode())
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
                           f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {gateway.keys['administrator']}\r\n\r\n").encode())
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
                    self.assertTrue(gateway.get("/api/v1/me", gateway.keys["administrator"]).startswith(b"HTTP/1.1 200"), f"an honest client, after {number + 1}")
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
            answer = gateway.get(target, gateway.keys["administrator"])
            self.assertNotIn(b"root:", answer)
            if target.startswith(("/novnc", "/assets", "/terminal")):
                self.assertTrue(answer.startswith(b"HTTP/1.1 404"), (target, answer[:60]))

    def test_websockets_of_strangers_and_of_other_sites_are_refused(self):
        ask = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        for key, head, status in ((None, ask, b"401"), ("wrong-key-of-nobody", ask, b"401"), (gateway.keys["administrator"], ask + "Origin: https://evil.example\r\n", b"403"),
                                  (gateway.keys["administrator"], ask + f"Origin: http://127.0.0.1:{gateway.port}\r\n", b"403"), (gateway.keys["administrator"], ask + "Sec-Fetch-Site: cross-site\r\n", b"403")):
            with gateway.secure() as line:
                bearer = f"Authorization: Bearer {key}\r\n" if key else ""
                line.sendall(f"GET /api/v1/watch HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nConnection: Upgrade\r\n{bearer}{head}\r\n".encode())
                self.assertTrue(gateway.ask(line).startswith(b"HTTP/1.1 " + status), head)

    def test_an_act_from_another_site_or_without_its_header_does_nothing(self):
        body = b'{"verb":"kill","arguments":{"node":5,"reason":"x"}}'
        for head in ("", "X-Understudy-Request: 1\r\nOrigin: https://evil.example\r\n", "X-Understudy-Request: 1\r\nSec-Fetch-Site: cross-site\r\n"):
            with gateway.secure() as line:
                line.sendall(f"POST /api/v1/act HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nConnection: close\r\nAuthorization: Bearer {gateway.keys['administrator']}\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                self.assertTrue(gateway.ask(line).startswith(b"HTTP/1.1 403"), head)


class People(unittest.TestCase):
    def test_a_cookie_is_for_this_host_over_tls_and_no_script(self):
        body = urllib.parse.urlencode({"name": "operator", "password": PASSWORD}).encode()
        _, head, _ = gateway.request("POST", "/login", body=body)
        cookie = re.search(r"Set-Cookie: (.*)", head).group(1)
        self.assertTrue(cookie.startswith("__Host-understudy="))
        for word in ("Path=/", "HttpOnly", "SameSite=Strict", "Secure", "Max-Age="):
            self.assertIn(word, cookie)
        self.assertNotIn("Domain", cookie)

    def test_a_wrong_password_a_name_of_nobody_and_a_program_are_told_the_same(self):
        told = [gateway.log_in(name, password)[:2] for name, password in (("operator", "wrong"), ("nobody-at-all", PASSWORD), ("operator", ""), ("operator", "x" * 3000))]
        self.assertEqual({status for status, _ in told}, {403})
        self.assertEqual(len({page for _, page in told}), 1)
        self.assertEqual(gateway.log_in("operator")[0], 303)

    def test_who_guesses_waits_and_is_told_how_long_whether_the_name_exists_or_not(self):
        for name, source in (("observer", "127.0.7.1"), ("ghost", "127.0.8.1")):
            for _ in range(5):
                self.assertEqual(gateway.log_in(name, "wrong", source)[0], 403)
            status, page, _ = gateway.log_in(name, PASSWORD, source)
            self.assertEqual(status, 429, "even the right password")
            self.assertRegex(page, r"Too many attempts. Try again in \d+ second")
        self.assertEqual(gateway.log_in("operator", source="127.0.7.1")[0], 303, "others at the same address go on")
        time.sleep(2)
        self.assertEqual(gateway.log_in("observer", source="127.0.7.1")[0], 303)

    def test_a_login_does_not_hold_up_others(self):
        slowest = 0.0
        with contextlib.ExitStack() as stack:
            body = urllib.parse.urlencode({"name": "somebody", "password": "wrong"}).encode()
            for number in range(12):
                line = stack.enter_context(gateway.secure(f"127.0.9.{number + 1}"))
                line.sendall(f"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
            for _ in range(5):
                began = time.monotonic()
                self.assertTrue(gateway.get().startswith(b"HTTP/1.1 200"))
                slowest = max(slowest, time.monotonic() - began)
        print(f"\n  12 passwords compared meanwhile: slowest answer {slowest * 1000:.0f} ms", file=sys.stderr)
        self.assertLess(slowest, 3)

    def ends(self, name, deed):
        """A session ends, its open WebSocket with it, when `deed` is done."""
        gateway.manage("account", "add", name, "--role", "operator", said=PASSWORD)
        until = time.monotonic() + 5
        while (logged := gateway.log_in(name))[0] != 303:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.2)
        head = logged[2]
        self.assertEqual(gateway.request("GET", "/api/v1/me", head)[0], 200)
        with gateway.secure() as watch:
            watch.sendall((f"GET /api/v1/watch HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                           f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{head}\r\n").encode())
            self.assertTrue(watch.recv(300).startswith(b"HTTP/1.1 101"))
            began = time.monotonic()
            deed(head)
            gateway.ask(watch, seconds=5)
            self.assertLess(time.monotonic() - began, 5, "the open connection is cut")
        self.assertEqual(gateway.request("GET", "/api/v1/me", head)[0], 401)

    def test_a_session_ends_with_its_account_its_password_its_role_and_a_logout(self):
        self.ends("leaver", lambda _: gateway.manage("account", "remove", "leaver"))
        self.ends("changer", lambda _: gateway.manage("account", "passwd", "changer", said="another password of these tests"))
        self.ends("climber", lambda _: gateway.manage("account", "change", "climber", "--role", "observer"))
        self.ends("goer", lambda head: self.assertEqual(gateway.request("POST", "/logout", head)[0], 303))

    def test_a_session_survives_a_restart_and_its_token_stands_in_no_file(self):
        head = gateway.log_in("operator")[2]
        time.sleep(1.5)
        gateway.process.terminate()
        gateway.process.wait(20)
        gateway.process.stdout.close()
        gateway.start()
        self.assertEqual(gateway.request("GET", "/api/v1/me", head)[0], 200)
        token = re.search("=(.*)\r", head).group(1)
        for file in (gateway.home / "gateway-state").iterdir():
            text = file.read_text(encoding="utf-8")
            for secret in (token, PASSWORD, *filter(None, gateway.keys.values())):
                self.assertNotIn(secret, text, file)

    def test_a_forged_or_foreign_cookie_is_nobody(self):
        for cookie in ("__Host-understudy=x", "__Host-understudy=", "understudy=" + "a" * 40, "__Host-understudy=" + "a" * 4000):
            self.assertEqual(gateway.request("GET", "/api/v1/me", f"Cookie: {cookie}\r\n")[0], 401)

    def test_a_login_from_another_site_is_refused(self):
        body = urllib.parse.urlencode({"name": "operator", "password": PASSWORD}).encode()
        self.assertEqual(gateway.request("POST", "/login", "Origin: https://evil.example\r\n", body, origin=False)[0], 403)
        self.assertEqual(gateway.request("GET", f"/login?{body.decode()}")[0], 200, "an address logs nobody in")


class Rights(unittest.TestCase):
    def test_every_route_is_for_its_role_and_above(self):
        for path, methods in DESCRIPTION["paths"].items():
            for method, operation in methods.items():
                if method == "post":
                    continue
                target = path.replace("{terminal}", "desk").replace("{id}", "1")
                upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                for role in ROLES:
                    with self.subTest(path=path, role=role):
                        if operation.get("x-websocket"):
                            status = self.upgraded(target, role, upgrade)
                        else:
                            status = gateway.request("GET", target, key=gateway.keys[role])[0]
                        allowed = ROLES.index(role) >= ROLES.index(operation["x-role"])
                        # An observer of no terminal opens none, whatever comes below him.
                        if "/terminals/" in path and role == "observer":
                            allowed = False
                        self.assertEqual(status not in (401, 403), allowed, status)
                        if not allowed:
                            self.assertEqual(status, 401 if role == "none" else 403)

    def upgraded(self, target, role, head):
        with gateway.secure() as line:
            bearer = f"Authorization: Bearer {gateway.keys[role]}\r\n" if gateway.keys[role] else ""
            line.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\n{bearer}{head}\r\n".encode())
            return int(line.recv(300)[9:12])

    def test_every_act_is_for_its_role_and_above_and_a_rehearsal_for_observers(self):
        for verb, least in DESCRIPTION["paths"]["/api/v1/act"]["post"]["x-acts"].items():
            for role in ROLES:
                for dry, needed in ((False, least), (True, "observer")):
                    with self.subTest(verb=verb, role=role, dry=dry):
                        arguments = {"reason": "a test", **({"dry-run": "yes"} if dry else {})}
                        body = json.dumps({"verb": verb, "arguments": arguments}).encode()
                        status, _, text = gateway.request("POST", "/api/v1/act", "X-Understudy-Request: test\r\n", body, key=gateway.keys[role])
                        allowed = ROLES.index(role) >= ROLES.index(needed)
                        self.assertEqual(status, 200 if allowed else 401 if role == "none" else 403, text)

    def test_the_document_names_every_act_and_the_least_role_of_every_route(self):
        act = DESCRIPTION["paths"]["/api/v1/act"]["post"]
        self.assertEqual(set(act["x-acts"]), set(act["requestBody"]["content"]["application/json"]["schema"]["properties"]["verb"]["enum"]))
        for path, methods in DESCRIPTION["paths"].items():
            for operation in methods.values():
                self.assertIn(operation["x-role"], ROLES, path)

    def test_somebody_with_one_terminal_sees_that_one_and_nothing_else(self):
        key = gateway.keys["terminal"]
        for target, status in (("/", 200), ("/terminal/desk", 200), ("/terminal/other", 403), ("/console", 403), ("/api/v1/view", 403), ("/metrics", 403)):
            self.assertEqual(gateway.request("GET", target, key=key)[0], status, target)


class Records(unittest.TestCase):
    def newest(self):
        return json.loads(gateway.request("GET", "/api/v1/audit?count=50", key=gateway.keys["administrator"])[2])

    def act(self, reason):
        body = json.dumps({"verb": "message", "arguments": {"terminal": "all", "text": "hello", "password": "hunter2", "reason": reason}}).encode()
        return gateway.request("POST", "/api/v1/act", "X-Understudy-Request: test\r\n", body, key=gateway.keys["operator"])

    def test_an_act_is_written_down_with_who_what_why_and_its_result(self):
        self.assertEqual(self.act("lunch")[0], 200)
        until = time.monotonic() + 5
        while (newest := self.newest())[0]["event"] != "result" and time.monotonic() < until:
            time.sleep(0.1)
        result, act = newest[0], newest[1]
        self.assertEqual((act["event"], act["who"], act["role"], act["address"], act["verb"], act["reason"]), ("act", "operator", "operator", "127.0.0.1", "message", "lunch"))
        self.assertEqual(result["id"], act["id"])
        self.assertTrue(result["result"].startswith("done"))
        self.assertNotIn("hunter2", json.dumps(newest))

    def test_what_cannot_be_written_down_is_not_done(self):
        log = gateway.home / "gateway-state/audit.log"
        kept = log.rename(log.with_suffix(".kept"))
        log.symlink_to("/dev/full")
        try:
            status, _, text = self.act("a full disk")
            self.assertEqual(status, 503, text)
            self.assertIn("cannot be recorded", text)
            self.assertIn("nothing was done", text)
            self.assertEqual(gateway.request("GET", "/api/v1/me", key=gateway.keys["operator"])[0], 200, "looking goes on")
        finally:
            log.unlink()
            kept.rename(log)
        self.assertEqual(self.act("room again")[0], 200)

    def test_refusals_and_log_ins_are_written_down(self):
        gateway.log_in("mistyped", "wrong", "127.0.10.1")
        gateway.log_in("operator")
        until = time.monotonic() + 5
        wanted = {("login-failed", "mistyped"), ("login", "operator")}
        while not wanted <= {(entry["event"], entry.get("who")) for entry in self.newest()}:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.1)


if __name__ == "__main__":
    os.environ.pop("UNDERSTUDY_CONFIG", None)
    unittest.main(verbosity=2)
