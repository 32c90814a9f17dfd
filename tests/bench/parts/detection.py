"""From the end of a machine to the redirect at its terminal, beside the limits at the very same end, and beside other systems
that let another take over. All take turns, and all stand under the same load at the same time when false alarms are counted.
"""

import contextlib
import json
import os
import signal
import subprocess
import time

from bench import Impossible, Section, dots, program, quantile, spread
from peers import Etcd, Keepalived, Pacemaker, Peer, Sentinel, need

TITLE = "Detection"
TEXT = """A machine dies, and what it did is another's. Ours: the manager's loop, wire and store that ship, machines that are one process each
(the agent's core that ships, and a performer that takes no time), a terminal that is told where its desktop is: the time ends when it
is told, which is after the promotion is durable. The limits are taken at the very same end: when a pidfd of the process was readable,
and when a ROUTER that does nothing else, with the same encryption, saw the connection break. *Connection alone* stands for an agent that
ends in a machine that goes on: nobody watches its process, and a connection that comes back within the grace moves nothing.

Peers are Debian's, each machine in a network namespace of its own on one bridge; the time ends when the kernel has the virtual address
(keepalived, Pacemaker), when the first sentinel says that the master is another (Redis Sentinel), when a member says who leads now (etcd).

Killed: `kill -9`. Silent: SIGSTOP and, every other turn, all packets dropped. False alarms are take-overs while nothing was done to
anybody and twice as many loops as there are processors took all the time they could get: of all systems at once.

All of them run all the time. Whoever has to ask who serves now (Pacemaker, etcd) asks all the time only in that system's own turn and while false
alarms are counted, so that no other system's figures bear that load."""
WAYS_TO_FALL_SILENT = ("stopped", "dropped")


class Understudy:
    """The manager of bench-detection; `apart`: in a network namespace of its own, where packets can be dropped."""

    title = "Understudy"

    def __init__(self, bench, name, setting, heartbeat_ms, *words, apart=True):
        if apart and os.geteuid() != 0:
            raise Impossible("network namespaces need root")
        if apart:
            need("unshare", "iptables", "ip")
        self.setting, self.heartbeat_ms = setting, heartbeat_ms
        self.limits = {"pidfd_us": [], "disconnect_us": []}
        folder = bench.fresh_folder(name)
        command = [program("bench-detection"), "run", "--dir", str(folder), "--heartbeat-ms", str(heartbeat_ms), *map(str, words)]
        self._said = folder / "said"
        with open(self._said, "wb") as said:
            around = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"] if apart else []
            self._process = subprocess.Popen([*around, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True, start_new_session=True)

    def _ask(self, word):
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(word + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Impossible(f"bench-detection ended: {self._said.read_text(encoding='utf-8', errors='replace').strip()}")
        return json.loads(line)

    def rest(self):
        deadline = time.monotonic() + 60
        while not self._ask("report")["settled"]:
            if time.monotonic() > deadline:
                raise Impossible(f"the site of bench-detection ({self.setting}) does not come to rest")
            time.sleep(0.1)

    def takeovers(self):
        return self._ask("report")["epoch"]

    def die(self, how):
        """Seconds until the terminal is told where its desktop is now."""
        said = self._ask(how)
        for limit, values in self.limits.items():
            if limit in said:
                values.append(said[limit])
        return said["redirect_us"] / 1e6

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()


FAST = ("--silence-ms", 300, "--lease-ms", 1000, "--grace-ms", 50, "--collect-ms", 50, "--window-ms", 1000)
# What takes part: how it is made, and how often it dies: killed and silent, in a whole run and in a short one.
CANDIDATES = (
    ("ours", lambda b: Understudy(b, "ours", "default: heartbeats every 1000 ms", 1000), (100, 8), (10, 1)),
    ("ours-fast", lambda b: Understudy(b, "ours-fast", "heartbeats every 100 ms", 100, *FAST), (100, 14), (10, 2)),
    ("ours-connection", lambda b: Understudy(b, "ours-connection", "default, connection alone", 1000, "--unwatched"), (6, 0), (2, 0)),
    ("ours-connection-fast", lambda b: Understudy(b, "ours-connection-fast", "grace of 50 ms, connection alone", 100, "--unwatched", *FAST), (12, 0), (3, 0)),
    ("keepalived", lambda b: Keepalived(b, "keepalived", 1), (3, 2), (1, 0)),
    ("keepalived-fast", lambda b: Keepalived(b, "keepalived-fast", 0.01), (12, 10), (2, 2)),
    ("sentinel", lambda b: Sentinel(b, "sentinel"), (1, 1), (0, 0)),
    ("sentinel-fast", lambda b: Sentinel(b, "sentinel-fast", 100), (2, 2), (1, 1)),
    ("etcd", lambda b: Etcd(b, "etcd"), (6, 4), (1, 1)),
    ("etcd-fast", lambda b: Etcd(b, "etcd-fast", 10, 100), (12, 8), (2, 2)),
    ("pacemaker", lambda b: Pacemaker(b, "pacemaker"), (2, 1), (0, 0)),
    ("pacemaker-fast", lambda b: Pacemaker(b, "pacemaker-fast", 300), (4, 2), (0, 0)),
)


def dropped(living, missing, name, problem):
    """A peer that cannot go on takes part no longer. Without ours there is nothing to compare."""
    if name.startswith("ours"):
        raise problem
    missing.append(f"{living[name].title} was not stable at {living[name].setting}, and is left out: {problem}")
    living.pop(name).close()


def take_turns(bench, living, wanted, missing):
    """{name: {way: [seconds]}}; one after the other, round by round."""
    times = {name: {"killed": [], "silent": []} for name in living}
    rounds = max((max(counts) for counts in wanted.values()), default=0)
    for turn in range(rounds):
        for name, candidate in list(living.items()):
            killed, silent = wanted[name]
            ways = ["killed"] * (turn < killed) + [WAYS_TO_FALL_SILENT[turn % len(WAYS_TO_FALL_SILENT)]] * (turn < silent)
            try:
                for how in ways:
                    candidate.rest()
                    times[name]["killed" if how == "killed" else "silent"].append(candidate.die(how))
            except Impossible as problem:
                dropped(living, missing, name, problem)
        if turn + 1 in (1, rounds) or (turn + 1) % 10 == 0:
            bench.say(f"  turn {turn + 1} of {rounds}")
    return times


def false_alarms(bench, living, missing):
    """Take-overs that nothing was the reason of, while all of them stand under the same load."""
    seconds = 5 if bench.short else 30
    for name, candidate in list(living.items()):
        try:
            candidate.rest()
        except Impossible as problem:
            dropped(living, missing, name, problem)
    with contextlib.ExitStack() as looking:
        for candidate in living.values():
            if isinstance(candidate, Peer):
                looking.enter_context(candidate.closely())
        before = {name: candidate.takeovers() for name, candidate in living.items()}
        hogs = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(2 * (os.cpu_count() or 1))]
        try:
            time.sleep(seconds)
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
        return seconds, {name: candidate.takeovers() - before[name] for name, candidate in living.items()}


def in_ms(seconds):
    if not seconds:
        return "", ""
    ms = [1000 * s for s in seconds]
    return spread(ms), f"{quantile(ms, 0.99):,.1f}"


def draw(axes, living, times):
    groups = {}
    for way in ("killed", "silent"):
        for name, candidate in living.items():
            groups[f"{candidate.title}: {candidate.setting.removeprefix('default: ')}; {way}"] = [1000 * s for s in times[name][way]]
    groups["limit: a pidfd is readable"] = [us / 1000 for name in ("ours", "ours-fast") for us in living[name].limits["pidfd_us"]]
    groups["limit: a bare ROUTER sees the connection break"] = [us / 1000 for name in ("ours", "ours-fast") for us in living[name].limits["disconnect_us"]]
    dots(axes, groups, "milliseconds")


def measure(bench):
    section = Section(text=TEXT, header=("system", "setting", "killed, ms", "99th percentile", "silent, ms", "99th percentile", "false alarms under load"))
    living, wanted, missing = {}, {}, []
    try:
        for name, make, whole, short in CANDIDATES:
            counts = short if bench.short else whole
            if not any(counts):
                missing.append(f"{name} takes part in a whole run only")
                continue
            try:
                living[name], wanted[name] = make(bench), counts
            except Impossible as problem:
                missing.append(f"{name}: not measured: {problem}")
                if name.startswith("ours"):
                    raise
        times = take_turns(bench, living, wanted, missing)
        seconds, alarms = false_alarms(bench, living, missing)
    finally:
        for candidate in living.values():
            candidate.close()
    for name, candidate in living.items():
        section.rows.append((candidate.title, candidate.setting, *in_ms(times[name]["killed"]), *in_ms(times[name]["silent"]), str(alarms[name])))
        section.figures[name] = {"killed_ms": [1000 * s for s in times[name]["killed"]], "silent_ms": [1000 * s for s in times[name]["silent"]],
                                 "false_alarms": alarms[name]}
    for key, title in (("pidfd_us", "a pidfd is readable"), ("disconnect_us", "a bare ROUTER sees the connection break")):
        limits = [us / 1e6 for name in ("ours", "ours-fast") for us in living[name].limits[key]]
        section.rows.append(("limit", title, *in_ms(limits), "", "", ""))
        section.figures[key.replace("_us", "_ms")] = [1000 * s for s in limits]
    section.plots.append(bench.plot("detection.svg", "From the end of a machine to the redirect", lambda axes: draw(axes, living, times), 5.2))
    section.text += f"\n\nFalse alarms were counted for {seconds} s." + "".join(f" {line}." for line in missing)
    section.figures["missing"] = missing
    killed = [1000 * s for s in times["ours"]["killed"]]
    pidfd = [us / 1000 for us in living["ours"].limits["pidfd_us"]]
    section.goals += [("killed, default, median", f"{quantile(killed, 0.5):.2f} ms", "at most 5 ms"),
                      ("killed, default, 99th percentile", f"{quantile(killed, 0.99):.2f} ms", "at most 20 ms"),
                      ("killed ÷ pidfd readable, medians", f"{quantile(killed, 0.5) / quantile(pidfd, 0.5):.1f}", "the smaller the better")]
    for name in ("ours", "ours-fast"):
        silent = [1000 * s / living[name].heartbeat_ms for s in times[name]["silent"]]
        if silent:
            section.goals.append((f"silent, {living[name].setting}, longest", f"{max(silent):.2f} heartbeat intervals, {alarms[name]} false alarms",
                                  "at most 3, and no false alarm"))
    return section
