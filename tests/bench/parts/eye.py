"""From the death of a machine to the first correct picture at the terminal, and what other remote screens need for a server that
was restarted at once.
"""

import contextlib
import mmap
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

from bench import Impossible, Section, dots, quantile, spread, until
from machines import site

from harness import free_ports  # (from the end-to-end tests)
from measure import AT_TERMINAL, one_execution_failover, one_presentation_failover
from scenarios import both_applications_are_seen_and_typing_reaches_them

TITLE = "To the eye"
TEXT = """The process of a virtual machine is killed (`kill -9` of QEMU). Desktop: the machine that presents it dies, until all pixels of a mark are right
again. Application: the machine that runs it dies, until a counter in it goes on. Both as the terminal's picture shows it; the phases before are the
manager's record of the incident. Guests run under software emulation, which is most of the second row.

The peers are remote screens whose *server* is killed and started again at once, by whoever measures, on this machine and without any guest: what is
measured is how soon their client shows it. A client that asks is answered at once; one that ends is started again at once. What was on the screen is
lost with their server; a client that comes back to a server that lives is not what is compared here."""
PHASES = ("detected", "durable", "restored", AT_TERMINAL)
WIDTH, HEIGHT = 800, 600
LOSSY = 12  # of 255; the colours that are waited for are much further apart


# ---------------------------------------------------------------- peers


class Screen:
    """An X server of whoever looks, whose pixels can be read at any moment."""

    def __init__(self, folder, display):
        self.display = f":{display}"
        self._process = subprocess.Popen(["Xvfb", self.display, "-screen", "0", f"{WIDTH}x{HEIGHT}x24", "-fbdir", str(folder), "-nolisten", "tcp"], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        file = folder / "Xvfb_screen0"
        until(lambda: file.exists() and file.stat().st_size > WIDTH * HEIGHT * 4, 10, "Xvfb shows its frame buffer")
        self._file = open(file, "rb")
        self._pixels = mmap.mmap(self._file.fileno(), 0, prot=mmap.PROT_READ)
        self._start = len(self._pixels) - WIDTH * HEIGHT * 4

    def shows(self, colour):
        """Nine places of ten all over the middle have this colour (red, green, blue), or one that lossy pictures make of it."""
        places = [(x, y) for x in range(WIDTH // 4, WIDTH * 3 // 4, 40) for y in range(HEIGHT // 4, HEIGHT * 3 // 4, 40)]
        right = 0
        for x, y in places:
            at = self._start + 4 * (y * WIDTH + x)
            right += all(abs(seen - wanted) <= LOSSY for seen, wanted in zip(self._pixels[at:at + 3], reversed(colour)))
        return right * 10 >= len(places) * 9

    def close(self):
        self._pixels.close()
        self._file.close()
        end(self._process)
        forget_display(self.display)


def end(process):
    """It, and what it started in its session."""
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def lock_of(display):
    return Path(f"/tmp/.X{display[1:]}-lock")


def forget_display(display):
    """What an X server that was killed leaves behind; another one of its number would find it taken."""
    for left in (lock_of(display), Path(f"/tmp/.X11-unix/X{display[1:]}")):
        left.unlink(missing_ok=True)


class Remote:
    """A server with a screen of one colour, and a client that shows it."""

    title = ""

    def __init__(self, bench, display):
        self.folder = bench.fresh_folder("screen")
        self.server_display = f":{display + 1}"
        self.port = free_ports(2)
        self.screen = Screen(self.folder, display)
        self._everything = []
        self.server = self.client = None

    def spawn(self, *words, **environment):
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                       env={**os.environ, "HOME": str(self.folder), "DISPLAY": self.screen.display, **environment})
        self._everything.append(process)
        return process

    def serve(self, colour):
        self.server = self.spawn("Xtigervnc", self.server_display, "-rfbport", self.port, "-localhost", "-SecurityTypes", "None", "-geometry", f"{WIDTH}x{HEIGHT}", "-depth", "24")
        until(lambda: subprocess.run(["xsetroot", "-display", self.server_display, "-solid", "#%02x%02x%02x" % colour], stderr=subprocess.DEVNULL, check=False).returncode == 0,
              10, "the server is there", every=0.02)

    def stop(self):
        end(self.server)
        forget_display(self.server_display)

    def look(self):
        """Starts the client."""
        raise NotImplementedError

    def nudge(self):
        """What an ideal person does all the time while there is no picture."""

    def turn(self, number):
        """Milliseconds from the server's death to the right picture."""
        colour = ((200, 40, 40), (40, 160, 60), (40, 60, 200))[number % 3]
        moment = time.monotonic()
        self.stop()
        self.serve(colour)

        def seen():
            self.nudge()
            return self.screen.shows(colour)

        until(seen, 60, f"{self.title} shows the restarted server", every=0.005)
        return 1000 * (time.monotonic() - moment)

    def begin(self):
        self.serve((120, 120, 20))
        self.look()

        def seen():
            self.nudge()
            return self.screen.shows((120, 120, 20))

        until(seen, 60, f"{self.title} shows its server", every=0.05)

    def close(self):
        for process in reversed(self._everything):
            end(process)
        self.stop()
        self.screen.close()


class TigerVnc(Remote):
    """Its viewer asks whether to connect again; the answer is given at once, and as often as it asks."""

    title = "TigerVNC viewer, answered at once"

    def look(self):
        self.client = self.spawn("xtigervncviewer", "-FullScreen=1", "-RemoteResize=0", f"127.0.0.1::{self.port}")

    def nudge(self):
        if self.client.poll() is not None:
            self.look()
        subprocess.run(["xdotool", "key", "Return"], env={**os.environ, "DISPLAY": self.screen.display}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


class NoVnc(Remote):
    """Reconnects by itself where it is told to, after a delay."""

    def __init__(self, bench, display, delay_ms):
        self.delay_ms = delay_ms
        self.title = f"noVNC, reconnects after {delay_ms} ms" + (" (its default)" if delay_ms == 5000 else "")
        super().__init__(bench, display)

    def look(self):
        self.spawn("websockify", "--web", "/usr/share/novnc", f"127.0.0.1:{self.port + 1}", f"127.0.0.1:{self.port}")
        page = f"http://127.0.0.1:{self.port + 1}/vnc_lite.html"
        page = page.replace("vnc_lite", "vnc") + f"?autoconnect=true&reconnect=true&reconnect_delay={self.delay_ms}&resize=scale"
        time.sleep(0.5)
        self.client = self.spawn("chromium", "--no-sandbox", "--kiosk", "--no-first-run", "--disable-gpu", f"--user-data-dir={self.folder}/profile",
                                 f"--window-size={WIDTH},{HEIGHT}", "--window-position=0,0", page)


class Xpra(Remote):
    """Its server holds the application, and both are started again. The client ends with its server, and is started again at once."""

    title = "xpra, client started again at once"
    QUIET = ("--mdns=no", "--notifications=no", "--pulseaudio=no", "--webcam=no")

    def __init__(self, bench, display):
        super().__init__(bench, display)
        # Debian's configuration but for one line: an X session for `true`, which says in a window of its own, in the middle of the
        # picture, that it finds no such program (the shell has it built in).
        self.configuration = self.folder / "xpra.d"
        shutil.copytree("/etc/xpra", self.configuration)
        for file in self.configuration.rglob("*.conf"):
            lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
            file.write_text("".join(line for line in lines if not line.startswith("start = ")), encoding="utf-8")

    def serve(self, colour):
        colour = "#%02x%02x%02x" % colour
        window = f"xterm -bg {colour} -fg {colour} -cr {colour} -geometry 200x60+0+0"
        self.server = self.spawn("xpra", "start", self.server_display, "--daemon=no", f"--bind-tcp=127.0.0.1:{self.port}", "--bind=none", "--printing=no", "--html=off",
                                 "--dbus-launch=", "--dbus-proxy=no", "--xvfb=Xvfb +extension Composite -screen 0 1024x768x24+32 -nolisten tcp", f"--start={window}", *self.QUIET,
                                 XDG_RUNTIME_DIR=str(self.folder), XPRA_SYSTEM_CONF_DIRS=str(self.configuration))

    def stop(self):
        end(self.server)
        with contextlib.suppress(OSError, ValueError):  # its X server has left its group
            os.kill(int(lock_of(self.server_display).read_text(encoding="ascii")), signal.SIGKILL)
        forget_display(self.server_display)

    def look(self):
        self.client = self.spawn("xpra", "attach", f"tcp://127.0.0.1:{self.port}/", "--tray=no", "--border=", "--opengl=no", *self.QUIET, XDG_RUNTIME_DIR=str(self.folder))

    def nudge(self):
        if self.client.poll() is not None:
            self.look()


PEERS = (
    ("tigervnc", ("Xvfb", "Xtigervnc", "xtigervncviewer", "xdotool", "xsetroot"), lambda b, d: TigerVnc(b, d)),
    ("novnc", ("Xvfb", "Xtigervnc", "websockify", "chromium", "xsetroot"), lambda b, d: NoVnc(b, d, 5000)),
    ("novnc-fast", ("Xvfb", "Xtigervnc", "websockify", "chromium", "xsetroot"), lambda b, d: NoVnc(b, d, 100)),
    ("xpra", ("Xvfb", "xpra", "xterm"), lambda b, d: Xpra(b, d)),
)


TITLES = (("tigervnc", "TigerVNC, answered at once"), ("novnc", "noVNC, default delay"), ("novnc-fast", "noVNC, delay of 100 ms"), ("xpra", "xpra, started again at once"))


def free_display():
    return next(n for n in range(150, 400, 2) if not any(os.path.exists(f"/tmp/.X11-unix/X{d}") or os.path.exists(f"/tmp/.X{d}-lock") for d in (n, n + 1)))


def peers(bench, section, turns):
    for name, programs, make in PEERS:
        lacking = [p for p in programs if shutil.which(p) is None]
        if lacking:
            section.text += f"\n\n{name}: not measured: {', '.join(lacking)} missing; install the packages of config/packages/test."
            continue
        remote = make(bench, free_display())
        try:
            remote.begin()
            times = []
            for turn in range(turns):
                times.append(remote.turn(turn))
                time.sleep(0.5)
        except Impossible as problem:
            section.text += f"\n\n{name}: not measured: {problem}."
            continue
        finally:
            remote.close()
        bench.say(f"  {remote.title}: {spread(times, 0)} ms")
        section.rows.append((remote.title, str(turns), "", "", "", spread(times, 0), f"{quantile(times, 0.99):.0f}", "everything on it"))
        section.figures[name] = times


# ---------------------------------------------------------------- ours


def ours(bench, section, turns):
    with site("bench-eye") as (cluster, desk):
        both_applications_are_seen_and_typing_reaches_them(cluster, desk)
        bench.say("  at work")
        rows = {"desktop": [], "application": []}
        for turn in range(turns):
            rows["application"].append(one_execution_failover(cluster, desk))
            rows["desktop"].append(one_presentation_failover(cluster, desk))
            bench.say(f"  turn {turn + 1} of {turns}: desktop {rows['desktop'][-1][AT_TERMINAL]:.0f} ms, application {rows['application'][-1][AT_TERMINAL]:.0f} ms")
    for kind, deaths in rows.items():
        cells = [spread([death[phase] for death in deaths if phase in death], 0) if any(phase in death for death in deaths) else "" for phase in PHASES]
        seen = [death[AT_TERMINAL] for death in deaths]
        lost = f"{spread([death['lost'] / 1000 for death in deaths])} s of work" if kind == "application" else "nothing"
        section.rows.append((f"Understudy, the {kind}", str(turns), *cells, f"{quantile(seen, 0.99):.0f}", lost))
        section.figures[kind] = deaths
    section.goals += [("desktop, first correct picture, median", f"{median_seen(rows['desktop']):.0f} ms", "at most 1,000 ms"),
                      ("application, first correct picture, median", f"{median_seen(rows['application']):.0f} ms", "at most 3,000 ms")]


def median_seen(deaths):
    return quantile([death[AT_TERMINAL] for death in deaths], 0.5)


def measure(bench):
    section = Section(text=TEXT, header=("what", "deaths", "detected, ms", "durable, ms", "restored, ms", "correct picture, ms", "99th percentile", "lost"))
    ours(bench, section, 1 if bench.short else 5)
    peers(bench, section, 2 if bench.short else 5)
    groups = {f"Understudy: the {kind}": [death[AT_TERMINAL] for death in section.figures[kind]] for kind in ("desktop", "application")}
    groups.update({title: section.figures[name] for name, title in TITLES if name in section.figures})
    section.plots.append(bench.plot("eye.svg", "From a death to the first correct picture", lambda axes: dots(axes, groups, "milliseconds"), 2.6))
    return section
