"""Many machines die at once."""

from bench import Section, spread

TITLE = "Storm"


def measure(bench):
    size = (900, 400, 100) if bench.short else (9000, 4000, 1000)
    runs = []
    for turn in range(1 if bench.short else 5):
        bench.say(f"  turn {turn + 1}")
        folder = bench.fresh_folder("storm")
        runs.append(bench.json_of("bench-storm", "--nodes", size[0], "--terminals", size[1], "--lost", size[2], "--dir", folder))
    column = lambda name: [run[name] for run in runs]
    ratios = [run["all_ms"] / run["raw_batched_ms"] for run in runs]
    rates = column("promotions_per_s")
    section = Section(
        text=f"{size[2]:,} of {size[0]:,} machines die at the same moment, with {size[1]:,} people at work. From the first news to the last "
        "appointment that leaves: every one is durable by then. The core, the dispatcher and the SQLite store are those that ship; "
        "beside it the same records, into the same kind of table on the same disk, by hand.",
        header=("", "median (smallest – largest)"),
        rows=[
            ("promotions", spread(column("promotions"), 0)),
            ("until the first left (ms)", spread(column("first_ms"))),
            ("until all left (ms)", spread(column("all_ms"))),
            ("promotions per second, durable", spread(rates, 0)),
            ("records by hand, batched alike (ms)", spread(column("raw_batched_ms"))),
            ("records by hand, one promotion at a time (ms)", spread(column("raw_single_ms"))),
            ("ours ÷ by hand, batched alike", spread(ratios, 2)),
        ],
        goals=[("promotions per second", spread(rates, 0), "at least 10,000"), ("one epoch given to two", str(sum(column("twice"))), "0")],
        figures={"runs": runs})
    return section
