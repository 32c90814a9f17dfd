"""What every part of the benchmarks needs: programs, turns, quantiles, and sections of the report."""

import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("UNDERSTUDY_BUILD", PROJECT / "build" / "release"))
PROGRAMS = {
    "bench-agents": "tests/bench/programs/bench-agents",
    "bench-detection": "tests/bench/programs/bench-detection",
    "bench-growth": "tests/bench/programs/bench-growth",
    "bench-router": "tests/bench/programs/bench-router",
    "bench-storm": "tests/bench/programs/bench-storm",
    "understudy-sim": "tests/sim/understudy-sim",
    "understudyd": "manager/understudyd",
}


class Impossible(Exception):
    """A part cannot be measured here; the text says why and what to do."""


def program(name):
    path = BUILD / PROGRAMS[name]
    if not path.exists():
        raise Impossible(f"{path} is missing; build it: ninja -C {BUILD} {name}")
    return str(path)


def quantile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def spread(values, digits=1):
    """Median, and the smallest and largest of several runs."""
    if len(values) == 1:
        return f"{values[0]:,.{digits}f}"
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} – {max(values):,.{digits}f})"


def until(condition, seconds, what, every=0.05):
    """Waits until `condition` gives something true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise Impossible(f"not within {seconds} s: {what}")
        time.sleep(every)
    return value


def processor_s(pid):
    """User and system time of a process and all its threads so far, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise Impossible(f"process {pid} has no resident memory")


@dataclass
class Section:
    """What a part found out, for the report."""

    text: str = ""                              # what was done, and what limits it
    header: tuple = ()
    rows: list = field(default_factory=list)    # of the table, as texts
    goals: list = field(default_factory=list)   # (what, reached, goal)
    plots: list = field(default_factory=list)   # (file name, title)
    figures: dict = field(default_factory=dict)  # everything measured, kept as JSON

    made: str = ""                              # when, how long it took and how busy the machine was before

    def markdown(self):
        parts = [self.text.strip(), "", f"{self.made}\n" if self.made else ""]
        if self.rows:
            parts += ["| " + " | ".join(self.header) + " |", "|" + "---|" * len(self.header)]
            parts += ["| " + " | ".join(row) + " |" for row in self.rows] + [""]
        for what, reached, goal in self.goals:
            parts.append(f"- {what}: **{reached}** (goal: {goal})")
        parts += [""] + [f"![{title}]({name})\n" for name, title in self.plots]
        return "\n".join(parts)


class Bench:
    """Where to work, how much, and what to say meanwhile."""

    def __init__(self, scratch, out, short):
        self.scratch = scratch
        self.out = out
        self.short = short
        self._began = time.monotonic()
        self._folders = 0

    def say(self, text):
        print(f"[{time.monotonic() - self._began:5.0f}s]  {text}", flush=True)

    def fresh_folder(self, stem):
        """An empty one that nobody had before."""
        self._folders += 1
        folder = self.scratch / f"{stem}-{self._folders}"
        folder.mkdir()
        return folder

    def json_of(self, name, *words, timeout=900):
        """Runs a program of ours that prints one JSON object."""
        try:
            done = subprocess.run([program(name), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as problem:
            raise Impossible(f"{name} was not done within {timeout} s") from problem
        if done.returncode != 0:
            raise Impossible(f"{name} ended with {done.returncode}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def plot(self, name, title, draw, height=3.6):
        """`draw(axes)` fills one picture, kept as SVG beside the report. Returns what a Section wants of it."""
        import matplotlib  # not needed by parts without pictures
        matplotlib.use("Agg")
        matplotlib.rcParams["svg.hashsalt"] = "understudy"  # the same figures give the same file
        from matplotlib import pyplot
        figure, axes = pyplot.subplots(figsize=(7, height))
        draw(axes)
        axes.set_title(title)
        figure.tight_layout()
        figure.savefig(self.out / name, metadata={"Date": None})
        pyplot.close(figure)
        return name, title


def dots(axes, groups, unit):
    """One line of dots per group {name: values} on an axis by powers of ten; the median is the bar."""
    groups = {name: [v for v in values if v > 0] for name, values in groups.items()}
    groups = {name: values for name, values in groups.items() if values}
    for place, (name, values) in enumerate(reversed(groups.items())):
        axes.plot(values, [place] * len(values), "o", markersize=3, alpha=0.5, color="tab:blue" if "Understudy" in name else "tab:grey")
        middle = statistics.median(values)
        axes.plot([middle, middle], [place - 0.35, place + 0.35], color="black", linewidth=1.5)
    axes.set_yticks(range(len(groups)), list(reversed(groups)), fontsize=7)
    axes.set_ylim(-0.7, len(groups) - 0.3)
    axes.set_xscale("log")
    axes.set_xlabel(unit)
    axes.grid(axis="x", which="major", linewidth=0.3)


def machine():
    """The machine this ran on, for people."""
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if line.startswith("model name")), "unknown")
    memory = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1]) // 1024
    return f"{os.cpu_count()} × {model}, {memory} MiB of memory, Linux {os.uname().release}, Python {sys.version.split()[0]}"
