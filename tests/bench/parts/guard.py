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
    """100 machines of 900 die at once: until all is decided, durable and said ÷ writing the same records by hand."""
    folder = bench.fresh_folder("storm")
    run = bench.json_of("bench-storm", "--nodes", 900, "--terminals", 400, "--lost", 100, "--dir", folder)
    return run["all_ms"] / run["raw_batched_ms"]


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
    words = ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={folder}/callgrind", program("bench-growth"),
             "--nodes", str(nodes), "--terminals", str(nodes // 4), "--dir", str(folder)]
    try:
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    except FileNotFoundError as problem:
        raise Impossible("valgrind is missing, which counts instructions; install the packages of config/packages/test") from problem
    except subprocess.TimeoutExpired as problem:
        raise Impossible("bench-growth under callgrind was not done within 300 s") from problem
    counted = re.search(r"Collected : (\d+)", done.stdout)
    if done.returncode != 0 or counted is None or int(counted[1]) == 0:
        raise Impossible(f"callgrind counted nothing (status {done.returncode}): {done.stdout.strip()[-500:]}")
    return int(counted[1])


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
        section.rows.append((name, ratio.__doc__.rstrip("."), f"{best_to_expect(found):.2f}", ", ".join(f"{one:.2f}" for one in found)))
        section.figures[name] = best_to_expect(found)
    return section
