"""The native terminal with real machines: understudy-terminal as a kiosk on an X server of its own, keys and pointer by
xdotool, eyes on the pixels of that screen. Both kinds of failover by kill -9. Screenshots: build/e2e/native/.

    native.py [--only TEXT]
"""

import os
import re
import subprocess
import sys

import terminals
from desk import Desk
from harness import PROGRAMS, Cluster, Failed, program, run, until

PROGRAMS["understudy-terminal"] = "client/terminal/understudy-terminal"


class Screen:
    """A thin client's screen: an X server without a window manager."""

    def __init__(self, width, height, log):
        reader, writer = os.pipe()
        with open(log, "ab") as output:
            self._process = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writer), "-screen", "0", f"{width}x{height}x24", "-nolisten", "tcp"],
                pass_fds=(writer,), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        os.close(writer)
        with os.fdopen(reader) as number:
            self.display = ":" + number.readline().strip()
        if self.display == ":":
            raise Failed("Xvfb does not start; install the packages of config/packages/test")

    def environment(self):
        return {**os.environ, "DISPLAY": self.display, "LC_ALL": "C.UTF-8"}

    def xdotool(self, *words):
        done = subprocess.run(["xdotool", *map(str, words)], env=self.environment(), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise Failed(f"xdotool {words}: {done.stdout}")

    def capture(self, path):
        run("env", f"DISPLAY={self.display}", "import", "-silent", "-window", "root", path)

    def close(self):
        self._process.terminate()
        self._process.wait()


class NativeProbe:
    """Understands what a Desk asks a probe for, and does it with the native terminal."""

    def __init__(self, cluster, terminal):
        self.terminal = terminal
        self._log = cluster.results / "understudy-terminal.log"
        self._log.unlink(missing_ok=True)
        self._screen = Screen(cluster.settings["width"], cluster.settings["height"], cluster.results / "xvfb.log")
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [program("understudy-terminal"), "--kiosk", "--resize", "scale", "--terminal", terminal,
                 "--config", str(cluster.dir / "probe.toml")],
                env=self._screen.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def ask(self, verb, **fields):
        at = ("mousemove", fields["x"], fields["y"]) if "x" in fields else ()
        if verb == "screenshot":
            self._screen.capture(fields["file"])
        elif verb == "move":
            self._screen.xdotool(*at)
        elif verb == "click":
            self._screen.xdotool(*at, "click", fields.get("button", 1))
        elif verb == "type":
            # xdotool types a line's end as Linefeed, which no keyboard has.
            for line in fields["text"].splitlines(keepends=True):
                self._screen.xdotool("type", "--delay", 40, "--", line.rstrip("\n"))
                if line.endswith("\n"):
                    self._screen.xdotool("key", "Return")
        else:
            raise Failed(f"a person cannot {verb}")
        return {"ok": True}

    def screenshot(self, path):
        self.ask("screenshot", file=path)
        return path

    def wait_event(self, name, seconds, epoch=0):
        """Of the events only "picture" is told, in the terminal's log."""
        assert name == "picture"

        def shown():
            if self._process.poll() is not None:
                raise Failed(f"the terminal ended with {self._process.returncode}:\n{Cluster.tail(self._log)}")
            told = re.findall(r"picture of epoch (\d+) is on the screen", self._log.read_text(encoding="utf-8"))
            return any(int(number) >= epoch for number in told)

        until(shown, seconds, lambda: f"a picture of epoch {epoch} on the screen; the terminal says:\n{Cluster.tail(self._log)}", 0.05)

    def close(self):
        self._process.terminate()
        code = self._process.wait(10)
        self._screen.close()
        if code != 0:
            raise Failed(f"the terminal ended with {code} after SIGTERM")


class NativeDesk(Desk):
    def connect(self):
        self.probe = NativeProbe(self.cluster, self.terminal)
        self.cluster.probes.append(self.probe)


if __name__ == "__main__":
    sys.exit(terminals.hold("native", __doc__, NativeDesk, terminals.KillQemu, (*terminals.BOTH_FAILOVERS, *terminals.NO_DESKTOP_LEFT)))
