"""How long a failover takes, phase by phase, from kill -9 of a QEMU process to the first correct picture at
the terminal. Prints a table with median and worst and writes it to build/e2e/failover.md.

    measure.py --times 10
"""

import argparse
import statistics
import sys
import time

import scenarios
from desk import Desk, closed_incident, lost_seconds, phases_ms
from harness import RESULTS, Cluster, Failed, interruptible, now_s, require_machine, say

AT_TERMINAL = "first correct picture at the terminal"
PHASES = ("failed", "detected", "proven", "decided", "durable", "commanded", "restored", "redirected", "connected",
          "picture", AT_TERMINAL)
AIMS_MS = {"presentation": 1000, "execution": 3000, "detected": 20}


def since_kill(incident, killed_wall_ms):
    """Milliseconds from the kill to each phase. The incident's own times count from its first phase; its wall clock
    is that of the decision."""
    phases = phases_ms(incident)
    decided = phases.get("decided", 0.0)
    start = incident["opened_wall_ms"] - killed_wall_ms - decided
    return {name: start + at for name, at in phases.items()}


def wall_ms_of(moment_s):
    """The wall clock, which the manager's records use, at a moment of the monotonic clock."""
    return (time.time() - (now_s() - moment_s)) * 1000


def one_execution_failover(cluster, desk):
    desk.spread()
    desk.sampler.moving()  # an application that hangs already would spoil the figures
    before = cluster.newest_incident()
    primary = cluster.session("xterm")["primary"]
    killed = cluster.kill_instance(primary)
    wall = wall_ms_of(killed)
    seen, _, known = desk.sampler.went_back(killed, 90)
    incident = closed_incident(cluster, before, "execution", application="xterm")
    row = since_kill(incident, wall)
    row[AT_TERMINAL] = (seen - killed) * 1000
    row["lost"] = (killed - known) * 1000
    row["reported"] = (lost_seconds(incident["lost"]) or 0) * 1000
    cluster.settle()
    return row


def one_presentation_failover(cluster, desk):
    terminal = cluster.terminal()
    before = cluster.newest_incident()
    mark = desk.expect_mark(epoch=terminal["epoch"] + 1)
    killed = cluster.kill_instance(terminal["presentation"]["primary"])
    wall = wall_ms_of(killed)
    answer = desk.probe.answer(mark, 130)
    if not answer["ok"]:
        raise Failed("the desktop did not come back")
    incident = closed_incident(cluster, before, "presentation")
    row = since_kill(incident, wall)
    row[AT_TERMINAL] = answer["mono_ns"] / 1e6 - killed * 1000
    cluster.settle()
    return row


def repeat(kind, one, times, cluster, desk):
    rows = []
    for number in range(1, times + 1):
        rows.append(one(cluster, desk))
        say(f"  {kind} {number}/{times}: " + ", ".join(
            f"{name} {rows[-1][name]:.0f}" for name in (*PHASES, "lost", "reported") if name in rows[-1]))
    return rows


def table(kind, rows):
    lines = [f"## {kind.capitalize()}: {len(rows)} failovers", "",
             "| phase | median | worst |", "|---|---|---|"]
    for name in PHASES:
        values = [row[name] for row in rows if name in row]
        if values:
            note = "" if len(values) == len(rows) else f" ({len(values)} of {len(rows)} times)"
            lines.append(f"| {name}{note} | {statistics.median(values):.0f} ms | {max(values):.0f} ms |")
    lost = [row["lost"] for row in rows if "lost" in row]
    if lost:
        lines += ["", f"Work lost: median {statistics.median(lost):.0f} ms, worst {max(lost):.0f} ms; reported as lost: median "
                  f"{statistics.median(r['reported'] for r in rows):.0f} ms, worst {max(r['reported'] for r in rows):.0f} ms."]
    aim = AIMS_MS[kind]
    reached = sum(row[AT_TERMINAL] <= aim for row in rows)
    noticed = sum(row.get("detected", 1e9) <= AIMS_MS["detected"] for row in rows)
    lines += ["", f"Aim: {aim} ms to the first correct picture, reached {reached} of {len(rows)} times; detection in "
              f"{AIMS_MS['detected']} ms, reached {noticed} of {len(rows)} times.", ""]
    return "\n".join(lines)


def measure(cluster, desk, times):
    """Both kinds; returns the Markdown text and writes it down."""
    execution = repeat("execution", one_execution_failover, times, cluster, desk)
    presentation = repeat("presentation", one_presentation_failover, times, cluster, desk)
    text = "\n".join([
        "# Failovers, measured", "",
        "Milliseconds since `kill -9` of the QEMU process. Phases are the manager's record of the incident; the last row is",
        "what the terminal saw: all pixels of a mark right again (presentation), the counter going on (execution).", "",
        table("execution", execution), table("presentation", presentation)])
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "failover.md").write_text(text, encoding="utf-8")
    print(text, flush=True)
    return text


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=10)
    times = options.parse_args().times
    interruptible()
    require_machine()
    started = now_s()
    with Cluster("measure") as cluster:
        desk = Desk(cluster)
        scenarios.both_applications_are_seen_and_typing_reaches_them(cluster, desk)
        say(f"at work after {now_s() - started:.0f} s")
        measure(cluster, desk, times)
        desk.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
