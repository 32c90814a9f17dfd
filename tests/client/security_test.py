#!/usr/bin/env python3
"""Who may what at the gateway, and what is written down of it: the real gateway with TLS against a played manager.

Usage: security_test.py BUILD-FOLDER [-k NAME]
"""
import contextlib
import json
import os
import re
import signal
import ssl
import stat
import subprocess
import sys
import time
import unittest
import urllib.parse

from gateway_site import DESCRIPTION, PASSWORD, ROLES, Gateway

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
        watch, answer = gateway.upgrade("/api/v1/watch", head=head)
        with watch:
            self.assertTrue(answer.startswith(b"HTTP/1.1 101"))
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

    def test_a_programs_key_is_void_when_it_is_removed_and_its_open_connection_with_it(self):
        key = gateway.manage("key", "add", "robot", "--role", "operator")
        until = time.monotonic() + 5
        while gateway.request("GET", "/api/v1/me", key=key)[0] != 200:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.2)
        watch, answer = gateway.upgrade("/api/v1/watch", key)
        with watch:
            self.assertTrue(answer.startswith(b"HTTP/1.1 101"))
            began = time.monotonic()
            gateway.manage("key", "remove", "robot")
            gateway.ask(watch, seconds=5)
            self.assertLess(time.monotonic() - began, 5, "the open connection is cut")
        self.assertEqual(gateway.request("GET", "/api/v1/me", key=key)[0], 401)
        self.assertEqual(gateway.act(key, "drain", {"host": "a", "reason": "still here"})[0], 401)

    def test_a_session_survives_a_restart_and_its_token_stands_in_no_file(self):
        head = gateway.log_in("operator")[2]
        time.sleep(1.5)
        gateway.restart()
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
                for role in ROLES:
                    with self.subTest(path=path, role=role):
                        if operation.get("x-websocket"):
                            status = self.upgraded(target, role)
                        else:
                            status = gateway.request("GET", target, key=gateway.keys[role])[0]
                        allowed = ROLES.index(role) >= ROLES.index(operation["x-role"])
                        # An observer of no terminal opens none, whatever comes below him.
                        if "/terminals/" in path and role == "observer":
                            allowed = False
                        self.assertEqual(status not in (401, 403), allowed, status)
                        if not allowed:
                            self.assertEqual(status, 401 if role == "none" else 403)

    def upgraded(self, target, role):
        line, answer = gateway.upgrade(target, gateway.keys[role])
        line.close()
        return int(answer[9:12])

    def test_every_act_is_for_its_role_and_above_and_a_rehearsal_for_observers(self):
        for verb, least in DESCRIPTION["paths"]["/api/v1/act"]["post"]["x-acts"].items():
            for role in ROLES:
                for dry, needed in ((False, least), (True, "observer")):
                    with self.subTest(verb=verb, role=role, dry=dry):
                        arguments = {"reason": "a test", **({"dry-run": "yes"} if dry else {})}
                        status, text = gateway.act(gateway.keys[role], verb, arguments)
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
        return gateway.act(gateway.keys["operator"], "message", {"terminal": "all", "text": "hello", "password": "hunter2", "reason": reason})

    def until(self, holds):
        """The newest entries, once `holds` is true for them."""
        until = time.monotonic() + 5
        while not holds(newest := self.newest()):
            self.assertLess(time.monotonic(), until, newest[:3])
            time.sleep(0.1)
        return newest

    def test_an_act_is_written_down_with_who_what_why_and_its_result(self):
        self.assertEqual(self.act("lunch")[0], 200)
        newest = self.until(lambda entries: entries[0]["event"] == "result")
        result, act = newest[0], newest[1]
        self.assertEqual((act["event"], act["who"], act["role"], act["address"], act["verb"], act["reason"]), ("act", "operator", "operator", "127.0.0.1", "message", "lunch"))
        self.assertEqual(result["id"], act["id"])
        self.assertTrue(result["result"].startswith("done"))
        self.assertNotIn("hunter2", json.dumps(newest))

    def test_what_cannot_be_written_down_is_not_done(self):
        log = gateway.home / "gateway-state/audit.log"
        kept = log.rename(log.with_suffix(".kept"))
        log.mkdir()
        try:
            status, text = self.act("no place")
            self.assertEqual(status, 503, text)
            self.assertIn("cannot be recorded", text)
            self.assertIn("nothing was done", text)
            self.assertEqual(gateway.request("GET", "/api/v1/me", key=gateway.keys["operator"])[0], 200, "looking goes on")
        finally:
            log.rmdir()
            kept.rename(log)
        self.assertEqual(self.act("a place again")[0], 200)

    def test_refusals_and_log_ins_are_written_down(self):
        gateway.log_in("mistyped", "wrong", "127.0.10.1")
        gateway.log_in("operator")
        gateway.act(gateway.keys["observer"], "kill", {"node": 5, "reason": "curious"})
        wanted = {("login-failed", "mistyped"), ("login", "operator"), ("refused", "observer")}
        self.until(lambda entries: wanted <= {(entry["event"], entry.get("who")) for entry in entries})

    def test_who_opens_a_terminal_is_written_down_once(self):
        for _ in range(2):
            line, answer = gateway.upgrade("/api/v1/terminals/desk/events?place=here", gateway.keys["operator"])
            line.close()
            self.assertTrue(answer.startswith(b"HTTP/1.1 101"))
        opened = lambda entries: [entry for entry in entries if entry["event"] == "opened" and entry["who"] == "operator"]
        newest = self.until(opened)
        self.assertEqual([entry["arguments"] for entry in opened(newest)], [["terminal=desk"]])

    def test_nobody_writes_a_line_of_his_own_into_the_log(self):
        forged = 'x"}\n{"event":"act","who":"somebody else","verb":"fence"}\r\n'
        self.act(forged)
        self.assertEqual(gateway.log_in(forged, "wrong", "127.0.10.2")[0], 400)
        gateway.log_in('x"},{"event":"act","who":"somebody else"}', "wrong", "127.0.10.2")
        self.until(lambda entries: any(entry.get("reason") == forged for entry in entries) and any(entry.get("who", "").startswith('x"}') for entry in entries))
        lines = (gateway.home / "gateway-state/audit.log").read_text(encoding="utf-8").splitlines()
        self.assertFalse([line for line in lines if json.loads(line).get("who") == "somebody else"])

    def test_what_is_written_stays_as_it_is(self):
        log = gateway.home / "gateway-state/audit.log"
        before = log.read_bytes()
        self.assertEqual(stat.S_IMODE(log.stat().st_mode), 0o600)
        self.act("one more")
        gateway.restart()
        self.act("and another")
        self.assertTrue(log.read_bytes().startswith(before))


if __name__ == "__main__":
    os.environ.pop("UNDERSTUDY_CONFIG", None)
    unittest.main(verbosity=2)
