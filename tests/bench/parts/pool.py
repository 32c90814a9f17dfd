"""How long until a machine serves, for each tier of readiness, beside the same step by hand. The desktop is presented by
a computer that was enrolled by hand and is always ready, so that one machine alone is waited for: the application's.
"""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from datetime import datetime, timezone

from bench import BUILD, PROJECT, Impossible, Section, dots, quantile, spread

sys.path.insert(0, str(PROJECT / "tests" / "e2e"))

from enrolled import Enrolled  # noqa: E402  (from the end-to-end tests)
from harness import Failed, free_ports, image_dir, now_s, until  # noqa: E402

TITLE = "From a request to a machine that serves"
TEXT = """A terminal attaches (request), and the manager tells a machine to run its application (serves). It begins when the terminal's
connection stands, by the terminal's clock, and ends when the machine's order leaves the manager, by its log, after the decision is
durable. So the request's way over the wire and the store count as well. Both clocks are those of one machine, in milliseconds.

- running: the machine is registered and idle, and no hypervisor is asked: this is the manager's own time. The machine is an
  enrolled computer, since only the manager's side is measured.
- paused: the machine stands still, a copy of a frozen one. Its limit: a seed is written by hand and QEMU is told to continue in its
  monitor; until the agent's first word.
- cold: there is none; it is made and booted. Its limit: the same image, programs and size, booted by hand with
  `nodes/image/try-boot`; until the agent's first word.

By hand nobody decides anything: `agent-driver` at the manager's port waits for the agent's first word. System and hand take turns."""
REQUESTS_PER_TURN = 10  # of what is ready: a 99th percentile wants many
TOLD = re.compile(r"^(\S+) .*to node \d+: session \d+ primary ", re.M)


def alone(name, computers, **pool):
    return Enrolled(name, computers, **{"memory_mib": 384, "min_idle": 0, "max_idle": 0, "max_total": 2, **pool})


def wall_ms_of(text):
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%f").replace(tzinfo=timezone.utc).timestamp() * 1000


def served_after_ms(cluster):
    """A terminal comes, its application is given a machine, and it goes."""
    read = cluster.manager_log.stat().st_size
    probe = cluster.probe()
    begun = probe.wait_event("link_up", 20)["wall_ms"]

    def told():
        with open(cluster.manager_log, encoding="utf-8", errors="replace") as log:
            log.seek(read)
            return TOLD.search(log.read())

    ms = wall_ms_of(until(told, 120, "a machine serves", every=0.02).group(1)) - begun
    probe.wait_event("picture", 60)  # nobody leaves sooner
    probe.close()
    cluster.probes.remove(probe)
    cluster.command("release", "demo", "--reason", "bench")
    return ms


def at_rest(cluster, standing):
    nodes = cluster.view()["nodes"]
    static = [n for n in nodes if n["kind"] == "static"]
    return all(n["state"] == "idle" and n["health"] == "healthy" for n in static) and \
        [n["state"] for n in nodes if n["kind"] != "static"] == ["paused"] * standing and len(cluster.qemu_pids()) == standing


def rest(cluster, standing=0):
    until(lambda: at_rest(cluster, standing), 120, lambda: f"the site is at rest: {[(n['name'], n['state']) for n in cluster.view()['nodes']]}")


class Driver:
    """agent-driver at the manager's own port: agents say their first word to it."""

    def __init__(self, cluster, port, nodes):
        self.folder = cluster.dir / f"driver-{time.monotonic_ns()}"
        doors = [word for node in nodes for word in ("--door", f"{node}=1")]
        self._process = subprocess.Popen([str(BUILD / "tests/execution/agent-driver"), "--port", str(port), "--out", str(self.folder), "--alias", "10.0.2.2", *doors],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._line("ready")

    def _line(self, word):
        for line in self._process.stdout:
            if word in line:
                return
        raise Failed(f"agent-driver ended before it said \"{word}\"")

    def seed(self, node):
        return self.folder / f"node-{node}.toml"

    def hello(self, node):
        """Blocks until the agent has said its first word."""
        self._line(f"hello node={node} ")

    def close(self):
        self._process.stdin.close()
        self._process.kill()
        self._process.wait()


def go_on_by_hand(cluster):
    """Nobody manages: a seed is written and QEMU is told to continue, as its monitor understands it."""
    (node, pid), = cluster.qemu_pids().items()
    cluster.kill_manager()
    driver = Driver(cluster, cluster.port, [node])
    try:
        monitor = socket.socket(socket.AF_UNIX)
        monitor.connect(str(next(cluster.root.rglob(f"domain-*-us-{node}/monitor.sock"))))
        words = monitor.makefile("rw", encoding="utf-8")
        words.readline()
        words.write(json.dumps({"execute": "qmp_capabilities"}) + "\n")
        words.flush()
        words.readline()
        seed = driver.seed(node).read_bytes()
        started = now_s()
        with open(cluster.state / "instances" / str(node) / "seed.img", "r+b") as disk:
            disk.write(seed.ljust(65536, b"\0"))
        words.write(json.dumps({"execute": "cont"}) + "\n")
        words.flush()
        driver.hello(node)
        ms = (now_s() - started) * 1000
        monitor.close()
    finally:
        driver.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cluster.start_manager()
    return ms


def boot_by_hand(cluster):
    """The same image and programs, booted by nodes/image/try-boot."""
    driver = Driver(cluster, free_ports(1), [7])
    boot = None
    try:
        started = now_s()
        boot = subprocess.Popen([str(PROJECT / "nodes/image/try-boot"), "--image", str(image_dir()), "--agent", str(cluster.dir / "programs.img"), "--seed", str(driver.seed(7)),
                                 "--smp", "1", "--memory", "384", "--time-limit", "120"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                start_new_session=True, env={**os.environ, "TMPDIR": str(cluster.dir)})
        driver.hello(7)
        return (now_s() - started) * 1000
    finally:
        if boot is not None:
            os.killpg(boot.pid, signal.SIGKILL)
            boot.wait()
        driver.close()


def running(bench, turns):
    ms = []
    with alone("bench-running", ("desk", "work")) as cluster:
        cluster.begin()
        cluster.set_pool(max_total=0)
        for _ in range(turns * REQUESTS_PER_TURN):
            rest(cluster)
            ms.append(served_after_ms(cluster))
    bench.say(f"  running: {spread(ms)} ms")
    return ms


def by_turns(bench, name, turns, by_hand, **pool):
    """The tier of that name and its limit, as two lists of milliseconds."""
    system, raw = [], []
    standing = pool.get("min_paused", 0)
    with alone(f"bench-{name}", ("desk",), **pool) as cluster:
        cluster.begin()
        for turn in range(turns):
            rest(cluster, standing)
            system.append(served_after_ms(cluster))
            rest(cluster, standing)
            raw.append(by_hand(cluster))
            bench.say(f"  {name}, turn {turn + 1} of {turns}: {system[-1]:.0f} ms, by hand {raw[-1]:.0f} ms")
    return system, raw


def measure(bench):
    turns = 2 if bench.short else 5
    section = Section(text=TEXT, header=("tier", "requests", "the system, ms", "99th percentile, ms", "by hand, ms", "ratio of the medians"))
    try:
        ready = running(bench, turns)
        section.rows.append(("running", str(len(ready)), spread(ready), f"{quantile(ready, 0.99):.1f}", "", ""))
        section.goals.append(("99th percentile, running", f"{quantile(ready, 0.99):.1f} ms", "at most 10 ms"))
        section.figures["running"] = {"system_ms": ready}
        for name, by_hand, most, pool in (("paused", go_on_by_hand, 1.3, {"min_paused": 1, "max_paused": 1}), ("cold", boot_by_hand, 1.2, {})):
            system, raw = by_turns(bench, name, turns, by_hand, **pool)
            ratio = f"{quantile(system, 0.5) / quantile(raw, 0.5):.2f}"
            section.rows.append((name, str(len(system)), spread(system, 0), f"{quantile(system, 0.99):.0f}", spread(raw, 0), ratio))
            section.goals.append((f"{name} ÷ by hand", ratio, f"at most {most}"))
            section.figures[name] = {"system_ms": system, "by_hand_ms": raw}
    except Failed as problem:
        raise Impossible(str(problem)) from problem
    groups = {f"{who}: {name}": section.figures[name][key] for name in section.figures for who, key in (("Understudy", "system_ms"), ("by hand", "by_hand_ms"))
              if key in section.figures[name]}
    section.plots.append(bench.plot("pool.svg", TITLE, lambda axes: dots(axes, groups, "milliseconds"), 2.6))
    return section
