"""What a checkpoint costs whoever works, and what is lost in spite of it, beside CRIU by hand in the same guest."""

import base64
import contextlib
import statistics
import time

from bench import Impossible, Section, dots, quantile, spread
from machines import HandyCluster, site

from desk import closed_incident, lost_seconds  # (from the end-to-end tests)
from harness import DEMO_APPLICATIONS, Failed, until
from scenarios import begin
from screen import COUNTER, STOOD_STILL_S, Sampler

TITLE = "Checkpoints"
TEXT = f"""Three applications of one terminal in one guest; a counter runs in the first one. Ours is what the manager's status says of checkpoints
that a backup holds: how long the application stood still (freezing and frozen, from CRIU's own statistics), how many bytes it was,
files included, and when it was taken. The limit is the same program with an X server and a window manager of its own, started by hand in
the same guest and dumped by hand, incrementally (`criu dump --leave-running --track-mem --prev-images-dir`): nothing is copied, verified
or sent, no files are kept. Both take place at the same time. The share of the time that an application stands still is the slow-down
that the interval is made for.

Then the machine is killed: the counter shows what was really lost. It is read from the terminal's pictures; one that stood still for
{STOOD_STILL_S} s would be taken for one that was restored."""
APPLICATIONS = (*DEMO_APPLICATIONS, {"name": "mousepad", "title": "Notes", "command": ["mousepad"]})
SETTINGS = {"applications": APPLICATIONS, "presentation_backups": 0, "execution_backups": 1, "min_idle": 0, "max_idle": 1, "memory_mib": 1024, "vcpus": 2,
            "slots": 16, "width": 1920, "height": 1200, "timing": {"own_machine_grace_ms": 0, "crash_limit": 1000}}
PATIENCE_S = 90  # three applications in one emulated guest, each of which stands still now and then
# One tree in the guest, with nothing connected to the world outside of it: not the hand's line, and no memory shared in a way that others see. {display}, {name}, {command}
BY_HAND = ("mkdir -p /run/by-hand/{name} && cd /run/by-hand/{name} && {{ setsid unshare --ipc bash -c 'Xvnc :{display} -rfbport -1 -rfbunixpath /run/by-hand/{name}/rfb -nolisten tcp "
           "-nolisten local -SecurityTypes None -geometry 800x600 & export DISPLAY=:{display} HOME=/run/by-hand/{name} DBUS_SESSION_BUS_ADDRESS=disabled: NO_AT_BRIDGE=1; "
           "until [ -S /tmp/.X11-unix/X{display} ]; do sleep 0.1; done; openbox & {command}; wait' </dev/null >log 2>&1 3>&- & answer=$!; }}; cd /")
DUMP = ("cd /run/by-hand/{name} && mkdir d{turn} && criu dump -t {pid} -D d{turn} --leave-running --track-mem --ext-unix-sk --file-locks -o dump.log {parent}; "
        "answer=\"$? $(base64 -w0 d{turn}/stats-dump) $(du -sb d{turn} | cut -f1) $(grep -m1 Error d{turn}/dump.log | tr -d '\\r')\"; cd /")


def numbers_of(message):
    """{field: number} of the numbers in one protocol buffer, and {field: bytes} of what is inside it."""
    found, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(message):
        key = varint()
        if key & 7 == 0:
            found[key >> 3] = varint()
        elif key & 7 == 2:
            length = varint()
            found[key >> 3] = message[at:at + length]
            at += length
        else:
            raise Impossible(f"criu's statistics are in a form that is not known here: {message.hex()}")
    return found


def stood_still_ms(stats):
    """Freezing and frozen, of CRIU's stats-dump: twelve bytes of header, then one record."""
    dump = numbers_of(numbers_of(stats[12:])[1])
    return (dump.get(1, 0) + dump.get(2, 0)) / 1000


class ByHand:
    """An application in a guest that nobody manages."""

    def __init__(self, cluster, node, application, display):
        self.cluster, self.node, self.name = cluster, node, application["name"]
        command = " ".join(f'"{word}"' if " " in word or "*" in word else word for word in application["command"])
        _, _, self.pid = cluster.hands.do(node, BY_HAND.format(name=self.name, display=display, command=command))
        self.turn = 0
        self.pause_ms, self.bytes = [], []

    def dump(self):
        """The first is complete, and does not count: ours are incremental but for one of thirteen."""
        parent = f"--prev-images-dir ../d{self.turn - 1}" if self.turn else ""
        _, _, said = self.cluster.hands.do(self.node, DUMP.format(name=self.name, turn=self.turn, pid=self.pid, parent=parent), 60)
        status, stats, size, *error = said.split(" ", 3)
        if status != "0":
            raise Impossible(f"criu by hand cannot dump {self.name}: {' '.join(error) or said}")
        if self.turn:
            self.pause_ms.append(stood_still_ms(base64.b64decode(stats)))
            self.bytes.append(int(size))
        self.turn += 1

    def end(self):
        self.cluster.hands.do(self.node, f"pkill -9 -s {self.pid}; rm -rf /run/by-hand/{self.name}; answer=ended")


class Ours:
    """Checkpoints of one session, as the status shows them."""

    def __init__(self):
        self.pause_ms, self.bytes, self.taken_s = [], [], []
        self._newest = None

    def look(self, session):
        held = [b["checkpoint"] for b in session["backups"] if b.get("checkpoint")]
        if not held or held[0]["sequence"] == self._newest:
            return
        if self._newest is not None:
            self.pause_ms.append(held[0]["pause_ms"])
            self.bytes.append(held[0]["bytes"])
        self._newest = held[0]["sequence"]
        self.taken_s.append(time.time() - held[0]["age_ms"] / 1000)

    def intervals_s(self):
        return [b - a for a, b in zip(self.taken_s, self.taken_s[1:])]

    def share(self):
        """Of the time that it stood still."""
        intervals = self.intervals_s()
        return sum(self.pause_ms) / 1000 / sum(intervals) if intervals else 0.0


def count(desk):
    """A counter runs in the terminal window from now on, and is read all the time."""
    for again in ("", "kill %1; "):  # what is typed while a busy machine takes a checkpoint can be lost
        desk.type_into("xterm", again + COUNTER, wait_s=PATIENCE_S)
        with contextlib.suppress(Failed):
            until(desk.seen, PATIENCE_S / 2, "the counter appears in the terminal window")
            break
    else:
        raise Failed("the counter does not appear in the terminal window")
    desk.sampler = Sampler(desk.counter)
    desk.sampler.moving()


def watched(bench, cluster, seconds):
    """Both, for so long: ({name: Ours}, {name: ByHand or why not})."""
    node = cluster.session("xterm")["primary"]
    by_hand = {a["name"]: ByHand(cluster, node, a, 90 + i) for i, a in enumerate(APPLICATIONS)}
    time.sleep(5 if bench.short else 15)  # they draw their first windows
    ours = {a["name"]: Ours() for a in APPLICATIONS}
    failed = {}
    next_dump, end = time.monotonic(), time.monotonic() + seconds
    while time.monotonic() < end or any(len(one.pause_ms) < 1 for one in ours.values()) and time.monotonic() < end + 60:
        view = cluster.view()
        for name, one in ours.items():
            one.look(cluster.session(name, view=view))
        if time.monotonic() >= next_dump:
            next_dump = time.monotonic() + 10
            for name, one in by_hand.items():
                try:
                    if name not in failed:
                        one.dump()
                except Impossible as problem:
                    failed[name] = str(problem)
        time.sleep(0.3)
    for one in by_hand.values():
        one.end()
    return ours, {name: failed.get(name, one) for name, one in by_hand.items()}


def lost_at_a_death(cluster, desk):
    """(really, as reported), in seconds."""
    desk.await_checkpoint("xterm")
    desk.sampler.moving()
    before = cluster.newest_incident()
    killed = cluster.kill_instance(cluster.session("xterm")["primary"])
    _, _, known = desk.sampler.went_back(killed, 90)
    incident = closed_incident(cluster, before, "execution", 90, application="xterm")
    cluster.settle(240)
    return killed - known, lost_seconds(incident["lost"]) or 0.0


def row(name, ours, hand):
    def median_kib(sizes):
        return f"{statistics.median(sizes) / 1024:,.0f}" if sizes else ""

    manual = isinstance(hand, ByHand) and hand.pause_ms
    ratio = f"{statistics.median(ours.pause_ms) / statistics.median(hand.pause_ms):.2f}" if manual and ours.pause_ms else ""
    return (name, str(len(ours.pause_ms)), spread(ours.pause_ms, 0) if ours.pause_ms else "", f"{quantile(ours.pause_ms, 0.99):.0f}" if ours.pause_ms else "",
            spread(hand.pause_ms, 0) if manual else (hand if isinstance(hand, str) else ""), ratio, median_kib(ours.bytes), median_kib(hand.bytes) if manual else "",
            spread(ours.intervals_s()) if ours.intervals_s() else "", f"{100 * ours.share():.1f} %")


def measure(bench):
    section = Section(text=TEXT, header=("application", "checkpoints", "stood still, ms", "99th percentile", "by hand, ms", "ratio of the medians", "KiB", "by hand, KiB",
                                         "interval, s", "share of the time stood still"))
    deaths = 1 if bench.short else 4
    with site("bench-checkpoints", HandyCluster, **SETTINGS) as (cluster, desk):
        begin(cluster, desk)
        count(desk)
        bench.say("  at work")
        ours, by_hand = watched(bench, cluster, 20 if bench.short else 100)
        losses = []
        for turn in range(deaths):
            losses.append(lost_at_a_death(cluster, desk))
            bench.say(f"  death {turn + 1} of {deaths}: lost {losses[-1][0]:.2f} s, reported {losses[-1][1]:.2f} s")
    for name, one in ours.items():
        section.rows.append(row(name, one, by_hand[name]))
        hand = by_hand[name]
        section.figures[name] = {"pause_ms": one.pause_ms, "bytes": one.bytes, "interval_s": one.intervals_s(), "share": one.share(),
                                 "by_hand": {"pause_ms": hand.pause_ms, "bytes": hand.bytes} if isinstance(hand, ByHand) else hand}
        section.goals.append((f"{name} stands still", f"{100 * one.share():.1f} % of the time", "at most 10 %"))
    groups = {f"Understudy: {name}": one.pause_ms for name, one in ours.items()}
    groups.update({f"CRIU by hand: {name}": hand.pause_ms for name, hand in by_hand.items() if isinstance(hand, ByHand)})
    section.plots.append(bench.plot("checkpoints.svg", "How long an application stands still", lambda axes: dots(axes, groups, "milliseconds"), 2.6))
    section.figures["lost_s"] = [{"really": really, "reported": reported} for really, reported in losses]
    section.goals.append(("work lost with a machine, by the counter", f"{spread([really for really, _ in losses])} s",
                          f"what was reported: {spread([reported for _, reported in losses])} s"))
    return section
