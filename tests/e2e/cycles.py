"""Two hundred machines given to terminals and returned while random things go wrong, with the real manager, libvirt and
QEMU: at the end there is exactly what the pool should have, and the manager has not grown.

Machines that stand still are used, since one of them goes on within moments: two hundred boots under emulation would take
an hour. A terminal goes as soon as it was given a machine; what is shown on it is a matter of other claims.

    cycles.py [--machines 200] [--seed N]
"""

import argparse
import contextlib
import os
import random
import sys
import threading
import time
from pathlib import Path

from bad_input import claim
from harness import Cluster, Failed, now_s, say, until
from provisioning import IMPATIENT, SMALL, instance_folders, pool
from run import hold

TERMINALS = ("one", "two", "three", "four")
STANDING = 4
MOST_GROWN_KIB = 4096       # of the manager's memory, last quarter beside first
MOST_GROWN_DESCRIPTORS = 2


class Wear:
    """What the manager takes, looked at from time to time while it is the same process."""

    def __init__(self, cluster):
        self.cluster, self.seen = cluster, []

    def look(self):
        with contextlib.suppress(OSError):
            process = Path(f"/proc/{self.cluster.manager.pid}")
            self.seen.append((int((process / "statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE") // 1024, len(list((process / "fd").iterdir()))))

    def judge(self):
        quarter = len(self.seen) // 4
        claim(quarter >= 4, f"too few looks at the manager: {len(self.seen)}")
        (memory, descriptors), (memory_late, descriptors_late) = (
            tuple(sorted(column)[quarter // 2] for column in zip(*part)) for part in (self.seen[:quarter], self.seen[-quarter:]))
        say(f"  the manager: {memory} KiB and {descriptors} descriptors in the first quarter of {len(self.seen)} looks, {memory_late} and {descriptors_late} in the last")
        claim(memory_late <= memory + MOST_GROWN_KIB, f"its memory grows: {self.seen}")
        claim(descriptors_late <= descriptors + MOST_GROWN_DESCRIPTORS, f"its descriptors grow: {self.seen}")


class People:
    """They come, are given two machines, and go, until enough machines were given."""

    def __init__(self, cluster, machines):
        self.cluster, self.machines = cluster, machines
        self.given = set()
        self.problems = []
        self.over = threading.Event()
        self._threads = [threading.Thread(target=self._come_and_go, args=(name,)) for name in TERMINALS]

    def start(self):
        for thread in self._threads:
            thread.start()

    def end(self):
        self.over.set()
        for thread in self._threads:
            thread.join()

    def done(self):
        return len(self.given) >= self.machines or self.problems

    def _come_and_go(self, name):
        try:
            while not self.over.is_set():
                self._visit(name)
        except Exception as problem:  # it is told by the thread that waits
            self.problems.append(f"{name}: {problem}")

    def _visit(self, name):
        probe = self.cluster.probe(name)
        try:
            self.given |= until(lambda: self._machines_of(name) or self.over.is_set() and {0}, 240, f"{name} is given its machines", every=0.3) - {0}
        finally:
            self.cluster.probes.remove(probe)
            probe.close()
        until(lambda: self.cluster.command("release", name, "--reason", "test", check=False).returncode == 0, 120, f"{name} gives it back", every=0.3)

    def _machines_of(self, name):
        """One for the desktop and one for the application; nothing while one is missing."""
        with contextlib.suppress(Failed, ValueError):  # the manager may be away
            view = self.cluster.view()
            terminal, session = self.cluster.terminal(name, view), self.cluster.session(SMALL["applications"][0]["name"], name, view)
            machines = {(terminal.get("presentation") or {}).get("primary"), session and session["primary"]}
            return machines if all(machines) else None
        return None


class Faults:
    def __init__(self, cluster, chance):
        self.cluster, self.chance = cluster, chance
        self.done = {}

    def one(self, also_the_manager):
        kind = self.chance.choice((self._machine, self._machine, self._creations, self._manager) if also_the_manager else (self._machine, self._machine, self._creations))
        kind()
        self.done[kind.__name__.strip("_")] = self.done.get(kind.__name__.strip("_"), 0) + 1

    def _machine(self):
        pids = sorted(self.cluster.qemu_pids().items())
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(pids)[1], 9)

    def _creations(self):
        """What machines are made from is away for a while."""
        programs, elsewhere = self.cluster.dir / "programs.img", self.cluster.dir / "elsewhere.img"
        programs.rename(elsewhere)
        time.sleep(self.chance.uniform(0.5, 2))
        elsewhere.rename(programs)

    def _manager(self):
        self.cluster.kill_manager()
        time.sleep(self.chance.uniform(0, 2))
        self.cluster.start_manager()


def at_rest(cluster):
    """Exactly what the pool should have, in the manager's books, among processes and among files."""
    nodes = cluster.view()["nodes"]
    return all(n["state"] == "paused" for n in nodes) and pool(cluster)["standing"] == STANDING and \
        sorted(n["id"] for n in nodes) == sorted(cluster.qemu_pids()) == instance_folders(cluster)


def machines_are_given_and_returned_with_faults_and_nothing_leaks_or_grows(machines, seed):
    say(f"  seed {seed}")
    settings = {**SMALL, "terminals": TERMINALS, "slots": 1, "min_idle": 0, "max_idle": 0, "max_total": 14}
    with Cluster("cycles", min_paused=STANDING, max_paused=STANDING, timing={**IMPATIENT, "inventory_interval_ms": 5000, "boot_limit_ms": 30000}, **settings) as cluster:
        cluster.prepare()
        cluster.start_manager()
        until(lambda: at_rest(cluster), 180, lambda: f"{STANDING} stand still: {pool(cluster)}")
        faults, people, wear = Faults(cluster, random.Random(seed)), People(cluster, machines), Wear(cluster)
        started = now_s()
        people.start()
        try:
            while not people.done():
                time.sleep(faults.chance.uniform(5, 15))
                first_half = len(people.given) < machines // 2
                faults.one(also_the_manager=first_half)
                if not first_half:  # the same process from here on
                    wear.look()
                say(f"  {len(people.given)} machines were given, faults: {faults.done}")
        finally:
            people.end()
        claim(not people.problems, f"somebody was not served: {people.problems}")
        say(f"  {len(people.given)} machines were given and returned in {now_s() - started:.0f} s")
        until(lambda: at_rest(cluster), 120, lambda: f"the pool is at rest: {pool(cluster)}, {[(n['id'], n['state'], n['reason']) for n in cluster.view()['nodes']]}, "
              f"processes {cluster.qemu_pids()}, files {instance_folders(cluster)}")
        wear.judge()


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--machines", type=int, default=200, help="how many are given to terminals")
    options.add_argument("--seed", type=int, default=random.randrange(1 << 31), help="of the faults; printed")
    chosen = options.parse_args()

    def claims(results):
        results.check(machines_are_given_and_returned_with_faults_and_nothing_leaks_or_grows, None, chosen.machines, chosen.seed)

    return hold("", claims)


if __name__ == "__main__":
    sys.exit(main())
