"""A gateway with TLS of its own against a played manager, for tests that attack it and tests of who may what. Traffic
goes to loopback alone.
"""
import contextlib
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv.pop(1)) if len(sys.argv) > 1 else Path("build/release")
PASSWORD = "a password for these tests"
DESCRIPTION = json.loads((PROJECT / "client/gateway/pages/openapi.json").read_text(encoding="utf-8"))
ROLES = ("none", "terminal", "observer", "operator", "administrator")
PLACES = 128            # gateway.connections in these tests
DETACH_SECONDS = 2      # gateway.detach_after_s


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
        self._asked = []
        self._listener = threading.Thread(target=lambda: self._asked.extend(self.manager.stdout))
        self._listener.start()
        self.process = None
        self.keys = {"none": None}
        for role in ROLES[1:]:
            bound = ("--terminal", "desk") if role == "terminal" else ()
            self.keys[role] = self.manage("key", "add", role, "--role", role, *bound)
            self.manage("account", "add", role, "--role", role, *bound, said=PASSWORD)
        self.start()

    def configuration(self, more=""):
        path = self.home / "gateway.toml"
        path.write_text(f'{self.link}\n[gateway]\nport = 0\nport_file = "{self.home}/port"\nconnections = {PLACES}\ndetach_after_s = {DETACH_SECONDS}\n{more}', encoding="utf-8")
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

    def restart(self):
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()
        self.start()

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

    def act(self, key, verb, arguments):
        """(status, text) of an act."""
        body = json.dumps({"verb": verb, "arguments": arguments}).encode()
        status, _, text = self.request("POST", "/api/v1/act", "X-Understudy-Request: test\r\n", body, key=key)
        return status, text

    def upgrade(self, target, key=None, head="", source="127.0.0.1"):
        """(connection, start of the answer) to somebody who wants a WebSocket."""
        line = self.secure(source)
        bearer = f"Authorization: Bearer {key}\r\n" if key else ""
        line.sendall((f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                      f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{bearer}{head}\r\n").encode())
        return line, line.recv(400)

    def asked(self):
        """What the manager was asked since the last call, once it has heard all of it."""
        mark = f"mark-{time.monotonic_ns()}"
        self.act(self.keys["operator"], "message", [f"text={mark}"])
        until = time.monotonic() + 10
        while not any(mark in line for line in self._asked):
            if time.monotonic() > until:
                raise AssertionError("the manager does not hear any more")
            time.sleep(0.01)
        heard, self._asked[:] = [line.strip() for line in self._asked if "mark-" not in line], []
        return heard

    def until_said(self, words, seconds):
        """Waits until the gateway's log says this."""
        until = time.monotonic() + seconds
        while words not in (self.home / "log").read_text(encoding="utf-8"):
            if time.monotonic() > until:
                raise AssertionError(f"never said: {words}")
            time.sleep(0.1)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def memory(self):
        """MiB of the gateway that are in memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def lives(self):
        return self.process.poll() is None and self.get().startswith(b"HTTP/1.1 200")

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)
        self.process.stdout.close()
        self.manager.stdin.close()
        self.manager.wait(20)
        self._listener.join()
        self.manager.stdout.close()
        self.stack.close()
