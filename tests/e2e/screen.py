"""What can be read from a desktop without reading letters: where windows are, and a counter drawn as
blocks of colour by an application that runs in a terminal window.
"""

import threading
import time

from PIL import Image, ImageChops

from harness import PACE, Failed, now_s, until

MARKER = (255, 0, 255)  # colour 201 of the 256: nothing else on the desktop has it
# xterm's first eight colours are the digits 0 to 7.
DIGITS = ((0, 0, 0), (205, 0, 0), (0, 205, 0), (205, 205, 0), (0, 0, 238), (205, 0, 205), (0, 205, 205), (229, 229, 229))
PLACES = 6

# Ten times a second: a counter in octal at the upper left corner, each digit two blanks of its colour, written in one
# go and with the cursor brought back, so that the shell beside it can be used. It ends when the time since the start of
# the machine goes back: programs wait for moments of that clock, and a restored one must not wait for them anew.
COUNTER = (
    "clear; (i=0; w=0; while read u _ < /proc/uptime && [ ${u%.*} -ge $w ]; do w=${u%.*}; i=$((i+1)); s=; for k in 15 12 9 6 3 0; do s=$s\"\\e[4$((i>>k&7))m  \"; "
    "done; printf \"\\e7\\e[H\\e[48;5;201m  $s\\e[0m\\e8\"; sleep .1; done) & echo; echo\n"
)


def hexadecimal(colour):
    return "#%02x%02x%02x" % colour


class Counter:
    """Reads the counter from the picture. `locate` finds it anew after windows have moved."""

    def __init__(self, probe, scratch):
        self.probe = probe
        self.scratch = scratch
        self.marker = None

    def locate(self):
        picture = Image.open(self.probe.screenshot(self.scratch)).convert("RGB")
        box = picture_of_colour(picture, MARKER)
        if box is None:
            raise Failed("the counter's mark is not on the desktop")
        self.marker = box
        width = box[2] - box[0]
        middle = (box[1] + box[3]) // 2
        self.points = [(box[0] + width // 2 + width * i, middle) for i in range(PLACES + 1)]
        return box

    def area(self):
        """Of the mark, as fields of a probe's command."""
        x, y, right, bottom = self.marker
        return {"x": x, "y": y, "width": right - x, "height": bottom - y}

    def read(self):
        """The value, or None when the picture does not show one (dimmed, or no picture)."""
        numbers = self.probe.send_all([{"do": "pixel", "x": x, "y": y} for x, y in self.points])
        answers = [self.probe.answer(n) for n in numbers]
        if not all(a["ok"] for a in answers):
            return None
        colours = [tuple(int(a["colour"][i:i + 2], 16) for i in (1, 3, 5)) for a in answers]
        if colours[0] != MARKER:
            return None
        value = 0
        for colour in colours[1:]:
            if colour not in DIGITS:
                return None
            value = value * 8 + DIGITS.index(colour)
        return value


# Longer than any pause for a checkpoint, on the reference machine: a counter that stood still so long stood on a machine that was gone.
STOOD_STILL_S = 3


class Sampler:
    """Reads the counter all the time on a thread of its own: [(seconds, value or None), …]."""

    def __init__(self, counter, every=0.03):
        self.counter = counter
        self.samples = []
        self._stop = threading.Event()
        self._every = every
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            at = now_s()
            try:
                value = self.counter.read()
            except Failed:
                return
            if not self.samples or value is not None or self.samples[-1][1] is not None:
                self.samples.append((at, value))
            time.sleep(self._every)

    def stop(self):
        self._stop.set()
        self._thread.join()

    def value(self):
        """The newest value that was read."""
        for _, value in reversed(list(self.samples)):
            if value is not None:
                return value
        return None

    def moving(self, seconds=60):
        """Waits until the counter rises; returns it."""
        start = len(self.samples)

        def rises():
            values = [v for _, v in self.samples[start:] if v is not None]
            return values[-1] if len(values) > 1 and values[-1] > values[0] else None

        return until(rises, seconds, "the counter rises")

    def went_back(self, after, seconds):
        """Waits until the counter, after the moment `after`, counts on from a checkpoint. Returns (the moment it was
        first seen, the value then, the moment at which that value was seen the first time)."""
        before = [(at, v) for at, v in list(self.samples) if v is not None and at <= after]
        if not before:
            raise Failed("the counter was never read before the failure")
        last = before[-1][1]

        def found():
            # Late pictures of the old application may still rise; the restored one shows a smaller number, or, when the
            # checkpoint is of the very moment at which everything stood still, goes on from the same.
            newest, since = last, before[-1][0]
            for at, value in list(self.samples):
                if at <= after or value is None:
                    continue
                if value < newest or (value > newest and at - since > PACE.stretch(STOOD_STILL_S)):
                    return at, value
                if value > newest:
                    newest, since = value, at
            return None

        at, value = until(found, seconds, lambda: f"the counter goes on from a checkpoint; last {self.samples[-3:]}", 0.02)
        # Only the rise that ended with the failure counts: it may have shown the same number before an earlier one.
        known, later = before[-1]
        for when, seen in reversed(before):
            if seen < value or seen > later:
                break
            known, later = when, seen
        return at, value, known


def picture_of_colour(picture, colour):
    """The box around all pixels of exactly that colour, or None."""
    solid = Image.new("RGB", picture.size, colour)
    red, green, blue = ImageChops.difference(picture, solid).split()
    together = ImageChops.lighter(ImageChops.lighter(red, green), blue).point(lambda v: 255 if v == 0 else 0)
    return together.getbbox()


def differing(one, other, beyond=0):
    """How many pixels differ by more than `beyond` of 255 in some colour."""
    if one.size != other.size:
        return one.size[0] * one.size[1]
    red, green, blue = ImageChops.difference(one.convert("RGB"), other.convert("RGB")).split()
    together = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    return sum(together.histogram()[beyond + 1:])
