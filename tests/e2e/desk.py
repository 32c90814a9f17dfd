"""A person at a terminal: two applications on the desktop, a counter in one, text in the other, and eyes that
notice every flicker. Built on the probe; knows nothing of how the system repairs itself.
"""

import time

from PIL import Image

from harness import PACE, Failed, now_s, say, until
from screen import COUNTER, MARKER, Counter, Sampler, differing, hexadecimal

# A caret that blinks, and the like.
FORGIVEN_PIXELS = 80
# The least that a few letters change; more than a pointer that moves away.
TYPED_PIXELS = 250


class Desk:
    def __init__(self, cluster, terminal="demo"):
        self.cluster = cluster
        self.terminal = terminal
        self.probe = None
        self.sampler = None

    def connect(self):
        self.probe = self.cluster.probe(self.terminal)
        self.counter = Counter(self.probe, self.cluster.dir / f"{self.terminal}.png")

    # ------------------------------------------------------------------ looking

    def picture(self):
        return Image.open(self.probe.screenshot(self.cluster.dir / "look.png")).convert("RGB")

    def keep(self, name):
        self.probe.screenshot(self.cluster.results / f"{name}.png")

    def place(self, application, view=None):
        """Where the window is: x, y, width, height of its outer frame, as the manager was told."""
        view = view or self.cluster.view()
        session = self.cluster.session(application, self.terminal, view)
        for place in self.cluster.terminal(self.terminal, view).get("layout", []):
            if session and place["session"] == session["id"]:
                return place
        return None

    def inside(self, application):
        """The part of the window that shows the application, clear of frames, as (left, top, right, bottom)."""
        place = until(lambda: self.place(application), 20, f"the layout names the window of {application}")
        return (place["x"] + 6, place["y"] + 30, place["x"] + place["width"] - 6, place["y"] + place["height"] + 10)

    def contents(self, application):
        return self.picture().crop(self.inside(application))

    def looks_like_itself(self, application):
        """Mostly paper, as both applications of the demonstration are: not the dimmed picture of one that does not answer
        just now, whose line of text would pass for something typed."""
        shades = self.contents(application).convert("L").histogram()
        return sum(shades[200:]) > 0.4 * sum(shades)

    def focus(self, application):
        """Clicks into the window and waits, as a person would, until its title shows that keys go there."""
        left, top, right, bottom = self.inside(application)
        # Where an editor has its text, in a small window too: bars above it, messages below.
        self.probe.ask("click", x=(left + right) // 2, y=top + (bottom - top) * 42 // 100)
        place = self.place(application)

        def active():
            red, _, blue = self.picture().getpixel((place["x"] + 40, place["y"] + 5))
            return blue > red + 30

        until(active, 20, f"the title of {application} turns blue")
        time.sleep(0.5)

    def type_into(self, application, text, wait_s=20):
        """Types by keys and waits until the window shows them: more changes than a caret."""
        self.focus(application)
        before = self.contents(application)
        self.probe.ask("type", text=text)
        until(lambda: differing(before, self.contents(application)) > TYPED_PIXELS, wait_s,
              f"typing \"{text.strip()}\" shows in the window of {application}")

    def put_pointer_aside(self):
        self.probe.ask("move", x=self.cluster.settings["width"] // 2, y=self.cluster.settings["height"] - 5)

    def still(self, application, seconds=1.0, limit_s=30):
        """Waits until a window stands still for that long, in seconds of the reference machine, and returns its contents. The
        pointer is put aside."""
        self.put_pointer_aside()
        deadline, seconds = now_s() + PACE.limit(limit_s), PACE.stretch(seconds)
        before = self.contents(application)
        since = now_s()
        while now_s() - since < seconds:
            time.sleep(0.2)
            after = self.contents(application)
            if differing(before, after) > FORGIVEN_PIXELS:
                before, since = after, now_s()
            if now_s() > deadline:
                raise Failed(f"the window of {application} does not come to rest")
        return before

    def looks_again(self, application, picture, pixels, beyond=0):
        """Waits until the window looks as in `picture`, but for so many pixels; then it has to stay so, at rest. Returns how many
        pixels differ by more than `beyond`. On a desktop that is new the pointer stands in the middle until it is moved."""
        def differ():
            self.put_pointer_aside()
            return differing(picture, self.contents(application), beyond)

        until(lambda: differ() <= pixels, 30, lambda: f"{application} looks as it did; {differ()} pixels differ")
        left = differing(picture, self.still(application), beyond)
        if left > pixels:
            raise Failed(f"{application} looked as it did, and then {left} pixels changed")
        return left

    # ------------------------------------------------------------------ working

    def start_work(self):
        """A counter and a word in the terminal window, text in the editor."""
        self.type_into("xterm", COUNTER)
        until(self.seen, 40, "the counter appears in the terminal window")
        self.sampler = Sampler(self.counter)
        self.sampler.moving()
        self.type_into("xterm", "echo what I typed before\n")
        if self.cluster.session("geany", self.terminal):
            self.type_into("geany", "A letter that must not be lost.\nSecond line.\n")
            self.still("geany")
        self.await_checkpoint("xterm")

    def await_checkpoint(self, application, seconds=120):
        """Waits until a backup holds a checkpoint that was begun from now on."""
        began = time.time() * 1000

        def held():
            session = self.cluster.session(application, self.terminal)
            ages = [b["checkpoint"]["age_ms"] for b in session["backups"] if b.get("checkpoint")]
            return not session["backups"] or (ages and time.time() * 1000 - min(ages) > began)

        until(held, seconds, lambda: f"a new checkpoint of {application} reaches a backup: "
              f"{self.cluster.session(application, self.terminal)}", every=0.3)

    def seen(self):
        try:
            return self.counter.locate()
        except Failed:
            return None

    def spread(self):
        """Brings the two sessions to two different nodes, as they are at the beginning."""
        view = self.cluster.view()
        xterm, geany = (self.cluster.session(a, self.terminal, view) for a in ("xterm", "geany"))
        if geany is None or xterm["primary"] != geany["primary"]:
            return
        self.cluster.command("failover", "--session", str(geany["id"]), "--reason", "spread")
        until(lambda: self.cluster.session("geany", self.terminal)["primary"] != xterm["primary"], 60,
              "the editor moves to its backup")
        self.cluster.settle(terminal=self.terminal)

    def guard(self, application):
        left, top, right, bottom = self.inside(application)
        self.probe.ask("guard", name=application, x=left, y=top, width=right - left, height=bottom - top,
                       at_most=FORGIVEN_PIXELS)

    def guarded(self, application):
        """How the window behaved since guard(): pictures, differing, worst, first_mono_ns."""
        return self.probe.ask("guarded", name=application)

    # ------------------------------------------------------------------ coming back

    def expect_mark(self, epoch=0, seconds=120):
        """Begins to wait for the first picture in which the counter's mark is as it should be."""
        area = self.counter.area()
        return self.probe.send("wait", **{"for": "colour"}, colour=hexadecimal(MARKER), epoch=epoch,
                               at_least=area["width"] * area["height"] * 9 // 10, timeout_ms=int(PACE.limit(seconds) * 1000), **area)

    def leave(self):
        if self.sampler:
            self.sampler.stop()
        if self.probe:
            self.probe.close()
            self.cluster.probes.remove(self.probe)


def lost_seconds(text):
    """The number of seconds in what the manager says was lost; None when it names none."""
    for word, unit in zip(text.split(), text.split()[1:]):
        if unit.startswith("s"):
            try:
                return float(word)
            except ValueError:
                continue
    return None


def closed_incident(cluster, after, kind, seconds=60, application=None):
    """The incident of that kind after number `after`, once its story is complete."""
    kept = {}

    def complete():
        view = cluster.view()
        for incident in reversed(cluster.incidents(after, view)):
            if incident["kind"] != kind:
                continue
            if application and incident.get("session") != cluster.session(application, view=view)["id"]:
                continue
            kept["incident"] = incident
            if not incident["open"]:
                return incident
        return None

    def story():
        return f"an incident of kind {kind} is complete; there is: {kept.get('incident')}"

    return until(complete, seconds, story)


def phases_ms(incident):
    return {p["name"]: p["at_us"] / 1000 for p in incident["phases"]}


def tell(what, started):
    say(f"  {what} ({now_s() - started:.1f} s)")
