"""Ratios against limits, each from a short form of the part that measures it thoroughly: what tests/bench/guard compares with those of
the newest report. Smaller is better for all of them.
"""

import contextlib
import itertools
import statistics

from bench import Section
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
    """A failure's cost to the core with 3,000 nodes ÷ with 300: a tenth of what growth in proportion would cost."""
    small, large = (bench.json_of("bench-growth", "--nodes", nodes, "--terminals", nodes // 4, "--dir", bench.fresh_folder("growth"))["failure"]["median_us"]
                    for nodes in (300, 3000))
    return large / small


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
