"""Ratios against limits, each from a short form of the part that measures it thoroughly: what tests/bench/guard compares with those of
the newest report. Smaller is better for all of them.
"""

import contextlib
import itertools
import re
import statistics
import subprocess

from bench import Impossible, Section, program
from parts import fanin
from parts.detection import Understudy

TITLE = "Guard"


def fan_in(bench):
    """Processor time per heartbeat of 100 agents: the manager's ÷ a bare ROUTER's."""
    keys = fanin.make_keys(bench, 100)
    served, endpoint, key, first = fanin.whole_manager(bench, keys)
    with served:
        ours, _ = fanin.breathe(served, keys, endpoint, key, first, 2)
    served, endpoint, key = fanin.bare_router(bench)
    with served:
        bare, _ = fanin.breathe(served, keys, endpoint, key, 1, 2)
    return bare / ours


def storm(bench):
    """100 machines of 900 die at once: instructions until all is decided, durable and said ÷ of writing the same records by hand."""
    # Not times: how a processor's stand to those of a disk is each machine's own.
    folder = bench.fresh_folder("storm")
    under_callgrind(bench, folder, "bench-storm", "--nodes", 900, "--terminals", 400, "--lost", 100, "--dir", folder, "--counted")
    return dumped(folder, "storm") / dumped(folder, "by-hand")


def killed(bench):
    """A killed machine: until its terminal is told where the desktop is ÷ until its pidfd is readable. Medians of 15."""
    with contextlib.closing(Understudy(bench, "guard", "default", 1000, apart=False)) as site:
        site.rest()
        ours = [1e6 * site.die("killed") for _ in range(15)]
        return statistics.median(ours) / statistics.median(site.limits["pidfd_us"])


def growth(bench):
    """A failure's instructions in the core with 3,000 nodes ÷ with 300; in proportion would be 10."""
    # Not its time: how that grows is each processor's own, by its caches.
    return failure_instructions(bench, 3000) / failure_instructions(bench, 300)


def failure_instructions(bench, nodes):
    """That the core takes to handle fifty failures; the same number in every run."""
    folder = bench.fresh_folder("growth")
    said = under_callgrind(bench, folder, "bench-growth", "--nodes", nodes, "--terminals", nodes // 4, "--dir", folder)
    counted = re.search(r"Collected : (\d+)", said)
    if counted is None or int(counted[1]) == 0:
        raise Impossible(f"callgrind counted nothing: {said.strip()[-500:]}")
    return int(counted[1])


def under_callgrind(bench, folder, name, *words):
    """Runs a program that says itself what is counted; its counts are in files callgrind* of the folder. Returns what was said."""
    command = ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={folder}/callgrind", program(name), *map(str, words)]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=CALLGRIND_S, check=False)
    except FileNotFoundError as problem:
        raise Impossible("valgrind is missing, which counts instructions; install the packages of config/packages/test") from problem
    except subprocess.TimeoutExpired as problem:
        raise Impossible(f"{name} under callgrind was not done within {CALLGRIND_S} s") from problem
    if done.returncode != 0:
        raise Impossible(f"{name} under callgrind ended with {done.returncode}: {done.stdout.strip()[-500:]}")
    return done.stdout


def dumped(folder, name):
    """Instructions that a program dumped under that name."""
    for path in folder.glob("callgrind*"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if re.search(rf"^desc: Trigger: Client Request: {name}$", text, re.M):
            return sum(int(count) for count in re.findall(r"^(?:summary|totals): (\d+)", text, re.M)[:1])
    raise Impossible(f"callgrind dumped nothing as {name}")


CALLGRIND_S = 500  # a ceiling for what hangs
TURNS = 3  # the best of so many counts, in the guard and as what it is held against
RATIOS = {"fan-in": fan_in, "storm": storm, "killed": killed, "growth": growth}


def best_to_expect(turns):
    """The best of `TURNS` turns, on average over all choices of them."""
    chosen = min(TURNS, len(turns))
    return statistics.mean(min(some) for some in itertools.combinations(turns, chosen))


def measure(bench):
    turns = 1 if bench.short else 5
    section = Section(text=f"What a build is held against: the best of {TURNS} turns, on average, of turns that take seconds each.",
                      header=("ratio", "of what", f"best of {TURNS}", "all turns"))
    for name, ratio in RATIOS.items():
        bench.say(f"  {name}")
        found = [ratio(bench) for _ in range(turns)]
        section.rows.append((name, " ".join(ratio.__doc__.split()).rstrip("."), f"{best_to_expect(found):.2f}", ", ".join(f"{one:.2f}" for one in found)))
        section.figures[name] = best_to_expect(found)
    return section
