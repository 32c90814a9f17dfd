"""The web terminal and the console in Chromium, with real machines: log in, see two applications, type, cause both
failovers from the console page, keep typing, find the text intact. Screenshots: build/e2e/web/.

    web.py [--long] [--only TEXT]
"""

import json
import os
import subprocess
import sys

import terminals
from desk import Desk
from harness import BUILD, PACE, PROJECT, Failed, say, until
from scenarios import claim

PASSWORD = "a password for tests"  # of "ada", as the harness makes her
SKIPPED = 77


class Hand:
    """Chromium, and who leads it."""

    def __init__(self, cluster, modules):
        with open(cluster.results / "chromium.log", "ab") as log:
            self._process = subprocess.Popen(
                ["node", str(PROJECT / "tests" / "e2e" / "browser_hand.mjs"), str(cluster.dir / "chromium")],
                env={**os.environ, "UNDERSTUDY_MODULES": str(modules)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=log, text=True)

    def ask(self, verb, **fields):
        try:
            self._process.stdin.write(json.dumps({"do": verb, **fields}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError as problem:
            raise Failed("the browser has ended") from problem
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"ok": False, "reason": "the browser has ended"}
        if not answer["ok"]:
            raise Failed(f"browser, {verb}: {answer['reason']}")
        return answer

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class WebProbe:
    """Understands what a Desk asks a probe for, and does it in the terminal's page."""

    def __init__(self, cluster, hand, terminal):
        self.terminal = terminal
        self._hand = hand
        self._page = {"name": "terminal"}
        address = f"http://127.0.0.1:{cluster.port + 1}/terminal/{terminal}"
        opened = hand.ask("open", **self._page, address=address, password=PASSWORD, width=cluster.settings["width"],
                          height=cluster.settings["height"])
        claim(opened["asked"], "a login should be asked for")
        claim(opened["found"] == [], f"axe-core on the login page: {opened['found']}")

    def ask(self, verb, **fields):
        return self._hand.ask(verb, **self._page, **fields)

    def screenshot(self, path):
        self.ask("screenshot", file=str(path))
        return path

    def wait_event(self, name, seconds, epoch=0):
        assert name == "picture"
        self.ask("picture", epoch=epoch, timeout_ms=int(PACE.limit(seconds) * 1000))

    def close(self):
        self._hand.close()


class WebDesk(Desk):
    def __init__(self, cluster, modules):
        super().__init__(cluster)
        self.modules = modules
        self.hand = None

    def connect(self):
        self.cluster.start_gateway()
        until(self.gateway_listens, 20, "the gateway listens")
        self.hand = Hand(self.cluster, self.modules)
        self.probe = WebProbe(self.cluster, self.hand, self.terminal)
        self.cluster.probes.append(self.probe)
        self.hand.ask("open", name="console", address=f"http://127.0.0.1:{self.cluster.port + 1}/console", password=PASSWORD,
                      width=1280, height=720)
        self.hand.ask("front", name="terminal")

    def gateway_listens(self):
        return "listening on" in (self.cluster.results / "gateway.log").read_text(encoding="utf-8")


class KillInConsole:
    """Breaks machines as an administrator would try it out: with the console's button."""

    def __init__(self, desk):
        self.desk = desk

    def execution(self, node):
        said = self.desk.hand.ask("kill", name="console", node=node, reason="does the terminal stand it?")["said"]
        say(f"  console: {said}")
        self.desk.hand.ask("screenshot", name="console", file=str(self.desk.cluster.results / f"console-{node}.png"))
        self.desk.hand.ask("front", name="terminal")

    presentation = execution


def no_page_complained_and_nothing_serious_keeps_anybody_out(_cluster, desk, _breaking):
    problems = desk.hand.ask("problems")["problems"]
    claim(problems == [], f"errors on the pages: {problems}")
    found = desk.probe.ask("findings")["found"]
    claim(found == [], f"axe-core on the terminal page: {found}")


def modules_of_the_browser_tests():
    """As tests/client/browser/run makes them; None where Chromium or Node.js are missing."""
    script = PROJECT / "tests" / "client" / "browser" / "run"
    done = subprocess.run([str(script), "--modules", str(BUILD)], stdout=subprocess.PIPE, text=True, check=False)
    print(done.stdout, end="")
    return None if done.returncode != 0 else BUILD / "browser"


def main():
    modules = modules_of_the_browser_tests()
    if modules is None:
        return SKIPPED
    return terminals.hold("web", __doc__, lambda cluster: WebDesk(cluster, modules), KillInConsole,
                          (*terminals.BOTH_FAILOVERS, no_page_complained_and_nothing_serious_keeps_anybody_out), terminals.NO_DESKTOP_LEFT)


if __name__ == "__main__":
    sys.exit(main())
