#!/usr/bin/env python3
"""Attacks on the gateway's port, the known classes of holes among them: nobody gets in, memory and descriptors stay
bounded, and whoever belongs there goes on. Traffic goes to loopback alone, bounded in count and time.

Usage: gateway_attack_test.py BUILD-FOLDER [-k NAME]
"""
import contextlib
import os
import resource
import socket
import ssl
import struct
import sys
import threading
import time
import unittest

from gateway_site import DETACH_SECONDS, PLACES, Gateway

HALF_OPEN = 3000        # connections of the attack
AT_ONCE = 400           # of them held by us at a time
HANDSHAKE_SECONDS = 5   # limits.hpp
REQUEST_SECONDS = 15    # limits.hpp
GROWTH = 64             # MiB that no attack may cost

gateway = None


def setUpModule():
    global gateway
    gateway = Gateway()


def tearDownModule():
    gateway.close()


def masked(first, length, body=b""):
    """A frame of a page: its first byte, its length as it is written, and the body under a mask that changes nothing."""
    return bytes([first]) + length + b"\0\0\0\0" + body


class Attacks(unittest.TestCase):
    def tearDown(self):
        self.assertTrue(gateway.lives(), "the gateway goes on")

    def test_a_handshake_that_is_cut_off_anywhere_harms_nobody(self):
        hello = ssl.MemoryBIO()
        with contextlib.suppress(ssl.SSLWantReadError):
            gateway.trust.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="127.0.0.1").do_handshake()
        hello = hello.read()
        gateway.get()
        before = gateway.descriptors()
        for length in [0, 1, 2, 5, 6, 40, len(hello) - 1, len(hello)]:
            for reset in (False, True):
                with gateway.connect() as line:
                    line.sendall(hello[:length])
                    if reset:
                        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.assertTrue(gateway.lives())
        until = time.monotonic() + HANDSHAKE_SECONDS
        while gateway.descriptors() > before:
            self.assertLess(time.monotonic(), until, "nothing is left of them")
            time.sleep(0.05)

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
        watch, answer = gateway.upgrade("/api/v1/watch", gateway.keys["administrator"])
        with watch:
            self.assertTrue(answer.startswith(b"HTTP/1.1 101"))
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
                if number % 1000 == 999:
                    self.assertEqual(gateway.act(gateway.keys["operator"], "failover", {"session": 2, "reason": "during an attack"})[0], 200)
            descriptors = gateway.descriptors()
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

    def test_what_was_overheard_of_an_administrator_does_nothing_when_it_is_said_again(self):
        gateway.asked()
        body = b'{"verb":"drain","arguments":{"host":"overheard","reason":"x"}}'
        request = (f"POST /api/v1/act HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nConnection: close\r\nX-Understudy-Request: 1\r\n"
                   f"Authorization: Bearer {gateway.keys['administrator']}\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body
        # TLS on a cable that somebody listens to: every piece on its way to the gateway is kept.
        heard, to_us, to_wire = [], ssl.MemoryBIO(), ssl.MemoryBIO()
        speaker = gateway.trust.wrap_bio(to_us, to_wire, server_hostname="127.0.0.1")
        with gateway.connect() as wire:
            answer, said = b"", False
            while b"\r\n\r\n" not in answer:
                try:
                    if not said:
                        speaker.do_handshake()
                        speaker.write(request)
                        said = True
                    answer += speaker.read(65536)
                except ssl.SSLWantReadError:
                    pass
                if piece := to_wire.read():
                    heard.append(piece)
                    wire.sendall(piece)
                elif b"\r\n\r\n" not in answer:
                    to_us.write(wire.recv(65536))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200"), answer)
        self.assertEqual(gateway.asked(), ["asked drain [host=overheard] [reason=x] [by=administrator]"], "once, when it was meant")
        self.assertGreater(len(b"".join(heard)), 500)
        for _ in range(20):
            with gateway.connect() as line, contextlib.suppress(ConnectionError):
                for piece in heard:
                    line.sendall(piece)
                    time.sleep(0.005)
                gateway.ask(line, seconds=HANDSHAKE_SECONDS + 10)
        self.assertEqual(gateway.asked(), [], "and never again")

    def test_what_is_too_large_or_malformed_is_answered(self):
        for request, status in ((b"GET / HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n", b"431"), (b"POST /login HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n", b"413"),
                                (b"nonsense\r\n\r\n", b"400"), (b"GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"400"),
                                (b"GET /a%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"400")):
            with gateway.secure() as line:
                line.sendall(request)
                self.assertTrue(gateway.ask(line).startswith(b"HTTP/1.1 " + status), request[:40])

    def test_a_request_of_one_byte_per_second_is_not_waited_for(self):
        lasted = {}

        def drip(name, start, rest):
            began = time.monotonic()
            with gateway.secure() as line, contextlib.suppress(ConnectionError, ssl.SSLError):
                line.sendall(start)
                line.settimeout(1)
                for byte in rest:
                    line.sendall(bytes([byte]))
                    with contextlib.suppress(TimeoutError):
                        if line.recv(1000) == b"":
                            break
            lasted[name] = time.monotonic() - began

        drips = {"nothing": (b"", b""), "head": (b"GET /health/live HTTP/1.1\r\nX: ", b"a" * 60),
                 "body": (b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n", b"a" * 60),
                 "chunks": (b"POST /login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 10)}
        threads = [threading.Thread(target=drip, args=(name, *parts)) for name, parts in drips.items()]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            began = time.monotonic()
            self.assertTrue(gateway.get("/api/v1/me", gateway.keys["observer"]).startswith(b"HTTP/1.1 200"), "an honest client meanwhile")
            self.assertLess(time.monotonic() - began, 5)
            time.sleep(0.5)
        self.assertLess(max(lasted.values()), REQUEST_SECONDS + 8, lasted)

    def test_a_connection_that_ends_anywhere_harms_nobody(self):
        request = b"POST /api/v1/act HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n" + b"{" * 4000
        for length in (0, 1, 30, 60, 100, 3000, len(request)):
            for how in ("goodbye", "silence", "reset"):
                line = gateway.secure()
                line.sendall(request[:length])
                if how == "goodbye":
                    with contextlib.suppress(OSError):
                        line.settimeout(0.05)
                        line.unwrap()
                if how == "reset":
                    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                line.close()

    def test_memory_does_not_grow_with_what_strangers_send_or_do_not_read(self):
        large = b"GET /login HTTP/1.1\r\nHost: x\r\n" + b"X: " + b"a" * 15000 + b"\r\n\r\n"
        form = b"POST /api/v1/act HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n" + b"{\"a\":[" * 8570 + b"[" * 10
        gateway.get()
        before = gateway.memory()
        with contextlib.ExitStack() as stack:
            for number in range(100):
                line = stack.enter_context(gateway.secure(f"127.0.{20 + number % 50}.1"))
                line.settimeout(0.05)
                # Many requests, and not one answer is read.
                with contextlib.suppress(OSError):
                    for _ in range(50):
                        line.sendall(form if number % 2 else large)
            self.assertTrue(gateway.lives())
            grown = gateway.memory() - before
        print(f"\n  100 connections that send and do not read: {grown:.0f} MiB more", file=sys.stderr)
        self.assertLess(grown, GROWTH)

    def test_values_of_any_type_from_a_page_leave_its_room_empty_when_it_goes(self):
        text = lambda words: masked(0x81, bytes([0x80 | len(words)]), words)
        texts = (b'{"back":1}', b'{"back":"yes"}', b'{"back":null}', b'{"back":[true]}', b'{"seen":1,"epoch":1}', b'{"seen":"picture","epoch":"1"}',
                 b'{"seen":["picture"],"epoch":-1}', b'{"seen":{},"epoch":1.5}', b'[1]', b'"back"', b"\xc3\xa9", b"{")
        for number, words in enumerate(texts):
            line, answer = gateway.upgrade(f"/api/v1/terminals/typed-{number}/events", gateway.keys["operator"])
            with self.subTest(words=words), line:
                self.assertTrue(answer.startswith(b"HTTP/1.1 101"), answer)
                line.sendall(text(words))
                line.sendall(text(b'{"seen":"picture","epoch":0}'))
        for number in range(len(texts)):
            gateway.until_said(f"terminal typed-{number}: no page any more, detached", DETACH_SECONDS + 20)

    def test_one_account_cannot_take_all_places_or_all_rooms(self):
        with contextlib.ExitStack() as stack:
            administrator, answer = gateway.upgrade("/api/v1/watch", gateway.keys["administrator"])
            stack.enter_context(administrator)
            self.assertTrue(answer.startswith(b"HTTP/1.1 101"), answer)
            refused = 0
            for number in range(PLACES + 20):
                line, answer = gateway.upgrade(f"/api/v1/terminals/desk/events?place=greedy-{number}", gateway.keys["terminal"], source=f"127.0.{60 + number % 50}.1")
                stack.enter_context(line)
                self.assertTrue(answer.startswith(b"HTTP/1.1 101"), answer)
                line.settimeout(1)
                with contextlib.suppress(TimeoutError):
                    refused += b"terminals open here already" in (answer + line.recv(4096) if b'"event"' not in answer else answer)
            self.assertGreater(refused, PLACES // 2, "a bounded number of rooms")
            began = time.monotonic()
            self.assertTrue(gateway.get("/api/v1/me", gateway.keys["operator"]).startswith(b"HTTP/1.1 200"), "another account gets in")
            page, answer = gateway.upgrade("/api/v1/terminals/desk/events?place=honest", gateway.keys["operator"])
            stack.enter_context(page)
            self.assertTrue(answer.startswith(b"HTTP/1.1 101"), answer)
            self.assertLess(time.monotonic() - began, 5)
            administrator.settimeout(0.2)
            with contextlib.suppress(TimeoutError):
                while True:
                    self.assertNotEqual(administrator.recv(65536), b"", "the administrator who was there stays")

    def test_frames_that_break_the_rules_end_their_websocket_and_nothing_else(self):
        frames = {"not masked": b"\x81\x02hi", "longer than anything": masked(0x81, b"\xff" + struct.pack(">Q", 2**63)), "longer than is allowed": masked(0x81, b"\xff" + struct.pack(">Q", 2**33)),
                  "a long ping": masked(0x89, b"\xfe\x01\x00", b"a" * 256), "a reserved kind": masked(0x83, b"\x80"), "reserved bits": masked(0xf1, b"\x80"),
                  "a part of nothing": masked(0x80, b"\x82", b"hi"), "no text": masked(0x81, b"\x82", b"\xc3\x28"), "a wrong farewell": masked(0x88, b"\x81", b"x")}
        for target in ("/api/v1/watch", "/api/v1/terminals/desk/events"):
            for name, frame in frames.items():
                line, answer = gateway.upgrade(target, gateway.keys["operator"])
                with self.subTest(target=target, frame=name), line:
                    self.assertTrue(answer.startswith(b"HTTP/1.1 101"), answer)
                    line.sendall(frame)
                    gateway.ask(line, seconds=10)  # a time-out if it is not ended
        for text in (b"[" * 4000, b'{"seen":{"a":[]},"epoch":-1,"back":7}', b'{"back":"yes","epoch":1e400,"seen":"picture"}', b"\0", b'{"seen":"picture","epoch":18446744073709551615}'):
            line, _ = gateway.upgrade("/api/v1/terminals/desk/events", gateway.keys["operator"])
            with line:
                line.sendall(masked(0x81, b"\xfe" + struct.pack(">H", len(text)), text))
        self.assertTrue(gateway.lives())

    def test_methods_and_heads_that_mean_something_else_to_others_mean_nothing(self):
        for method in ("PUT", "DELETE", "TRACE", "CONNECT", "OPTIONS", "PATCH"):
            self.assertEqual(gateway.request(method, "/api/v1/view", key=gateway.keys["administrator"])[0], 405, method)
        self.assertEqual(gateway.request("GET", "/api/v1/act", key=gateway.keys["administrator"])[0], 405, "an address acts on nothing")
        inner = b"GET /api/v1/me HTTP/1.1\r\nHost: x\r\n\r\n"
        for head in (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"Content-Length: 5\r\nContent-Length: 6\r\n", b"Content-Length: +5\r\n", b"Content-Length: -1\r\n",
                     b"Transfer-Encoding : chunked\r\n", b"Host: a\r\n b\r\n\0: x\r\n"):
            with gateway.secure() as line:
                line.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\n" + head + b"\r\n0\r\n\r\n" + inner)
                answer = gateway.ask(line)
                self.assertTrue(answer.startswith(b"HTTP/1.1 400"), (head, answer[:80]))
                self.assertEqual(answer.count(b"HTTP/1.1 "), 1, "nothing behind it is looked at")

    def test_paths_lead_nowhere_else(self):
        for target in ("/novnc/../../etc/passwd", "/novnc/%2e%2e/%2e%2e/etc/passwd", "/assets/..%2f..%2fetc%2fpasswd", "/novnc//etc/passwd", "/assets/.hidden", "/terminal/a%2Fb"):
            self.assertTrue(gateway.get(target, gateway.keys["administrator"]).startswith(b"HTTP/1.1 404"), target)

    def test_an_address_brings_no_option_and_no_second_argument_to_the_manager(self):
        key = gateway.keys["administrator"]
        gateway.asked()
        for target, argument in (("/api/v1/what-if?host=--config=/etc/passwd", "host=--config=/etc/passwd"), ("/api/v1/what-if?host=a%20by=root", "host=a by=root"),
                                 ("/api/v1/what-if?host=a&by=root&dry-run=no", "host=a"), ("/api/v1/what-if?host=a%26by=root", "host=a&by=root"),
                                 ("/api/v1/incidents/1%20id=2", "id=1 id=2"), ("/api/v1/incidents/--help", "id=--help"), ("/api/v1/incidents/;reboot", "id=;reboot")):
            gateway.get(target, key)
            verb = "what-if" if "what-if" in target else "incident"
            self.assertEqual(gateway.asked(), [f"asked {verb} [{argument}]"], target)
        for target in ("/api/v1/what-if?host=a%0aby=root", "/api/v1/incidents/1%00", "/api/v1/what-if?host=%7f"):
            self.assertTrue(gateway.get(target, key).startswith(b"HTTP/1.1 400"), target)
        for arguments in (["by=root"], {"by": "root"}, {"by=x": "y"}, {"host": ["a", "b"]}, {"host": None}, [1], "host=a", ["a=b"] * 33):
            self.assertEqual(gateway.act(key, "drain", arguments)[0], 400, arguments)
        self.assertEqual(gateway.asked(), [], "none of these came to the manager")
        self.assertEqual(gateway.act(key, "define-host", {"name": "x", "uri": "qemu+ssh://h/?command=/bin/sh"})[0], 200)
        self.assertEqual(gateway.asked(), ["asked define-host [name=x] [uri=qemu+ssh://h/?command=/bin/sh] [by=administrator]"], "as one text, for the manager to refuse")

    def test_websockets_of_strangers_and_of_other_sites_are_refused(self):
        key = gateway.keys["administrator"]
        for given, head, status in ((None, "", b"401"), ("wrong-key-of-nobody", "", b"401"), (key, "Origin: https://evil.example\r\n", b"403"), (key, "Origin: null\r\n", b"403"),
                                    (key, f"Origin: http://127.0.0.1:{gateway.port}\r\n", b"403"), (key, "Sec-Fetch-Site: cross-site\r\n", b"403")):
            line, answer = gateway.upgrade("/api/v1/watch", given, head)
            line.close()
            self.assertTrue(answer.startswith(b"HTTP/1.1 " + status), head)

    def test_an_act_from_another_site_or_without_its_header_does_nothing(self):
        body = b'{"verb":"kill","arguments":{"node":5,"reason":"x"}}'
        gateway.asked()
        for head in ("", "X-Understudy-Request: 1\r\nOrigin: https://evil.example\r\n", "X-Understudy-Request: 1\r\nOrigin: null\r\n", "X-Understudy-Request: 1\r\nSec-Fetch-Site: cross-site\r\n"):
            self.assertEqual(gateway.request("POST", "/api/v1/act", head, body, key=gateway.keys["administrator"], origin=False)[0], 403, head)
        self.assertEqual(gateway.asked(), [])


if __name__ == "__main__":
    os.environ.pop("UNDERSTUDY_CONFIG", None)
    unittest.main(verbosity=2)
