"""How the deciding core grows with the site."""

import math

from bench import Section

TITLE = "Growth"


def exponent(sizes, values):
    """Of the power law that fits best: 1 means in proportion, 0 not at all (least squares on logarithms)."""
    logs = [(math.log(n), math.log(max(v, 1e-9))) for n, v in zip(sizes, values)]
    mean_x = sum(x for x, _ in logs) / len(logs)
    mean_y = sum(y for _, y in logs) / len(logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


MEASURES = (
    ("heartbeat, median", "µs", lambda f: f["heartbeat"]["median_us"]),
    ("failure of a machine, median", "µs", lambda f: f["failure"]["median_us"]),
    ("failure of a machine, p99", "µs", lambda f: f["failure"]["p99_us"]),
    ("memory per node", "bytes", lambda f: f["memory_bytes"] / f["nodes"]),
    ("restart from the store", "ms", lambda f: f["restart"]["started_ms"]),
)


def measure(bench):
    sizes = (300, 1000, 3000) if bench.short else (1000, 10000, 100000)
    found = []
    for nodes in sizes:
        bench.say(f"  {nodes} nodes")
        found.append(bench.json_of("bench-growth", "--nodes", nodes, "--terminals", nodes // 4, "--dir", bench.scratch, "--keep", timeout=600))
    section = Section(
        text="The core that ships, with as many simulated machines (each with the agent's core that ships) and a quarter as many "
        "people at work. What is measured is the core alone: the time to handle one event, the memory of one copy of it, and a "
        "restart from the SQLite file to the first step.",
        header=("", *(f"{n:,} nodes" for n in sizes), "exponent"),
        figures={"sizes": found})
    for name, unit, value in MEASURES:
        values = [value(f) for f in found]
        section.rows.append((f"{name} ({unit})", *(f"{v:,.2f}" for v in values), f"{exponent(sizes, values):.2f}"))
    section.goals.append((f"restart with {sizes[-1]:,} nodes known", f"{found[-1]['restart']['started_ms'] / 1000:.2f} s", "under 2 s with 100,000"))

    def draw(axes):
        for name, unit, value in MEASURES[:3] + MEASURES[4:]:
            values = [value(f) for f in found]
            axes.plot(sizes, [v / values[0] for v in values], marker="o", label=name)
        axes.plot(sizes, [n / sizes[0] for n in sizes], linestyle=":", color="grey", label="in proportion")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("nodes")
        axes.set_ylabel("times the smallest site")
        axes.legend(fontsize=7)

    section.plots.append(bench.plot("growth.svg", "Growth with the site", draw))
    return section
