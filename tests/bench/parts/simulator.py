"""How fast the simulator is."""

import re
import resource
import subprocess

from bench import Impossible, Section, program

TITLE = "Simulator"
TEXT = """Simulated minutes of faults and what follows, every promise judged all the while; one thread. The largest site comes up, loses a failure
domain of 2,000 machines, and recovers."""
# (nodes, terminals, options, seeds in a whole run and in a short one)
SITES = ((100, 40, (), 10, 2), (1000, 250, (), 3, 1), (20_000, 5000, ("--large",), 1, 0))


def simulate(nodes, terminals, options, seeds):
    """(simulated seconds, processor seconds)"""
    size = options or ("--nodes", str(nodes), "--terminals", str(terminals))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([program("understudy-sim"), "--seeds", str(seeds), *size, "--quiet"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    simulated = re.search(r"([\d.]+) simulated s", done.stdout)
    if done.returncode != 0 or not simulated:
        raise Impossible(f"understudy-sim ended with {done.returncode}: {done.stdout[-400:]}")
    return float(simulated.group(1)), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(bench):
    section = Section(text=TEXT, header=("nodes", "terminals", "simulated, s", "processor, s", "simulated seconds per processor second"))
    for nodes, terminals, options, whole, short in SITES:
        seeds = short if bench.short else whole
        if seeds == 0:
            continue
        bench.say(f"  {nodes} nodes")
        simulated, spent = simulate(nodes, terminals, options, seeds)
        factor = simulated / spent
        section.rows.append((f"{nodes:,}", f"{terminals:,}", f"{simulated:,.0f}", f"{spent:,.1f}", f"{factor:,.{0 if factor >= 10 else 1}f}"))
        section.figures[str(nodes)] = {"simulated_s": simulated, "processor_s": spent}
        section.goals.append((f"simulated ÷ processor time at {nodes:,} nodes", f"{factor:,.{0 if factor >= 10 else 1}f}",
                              "at least 1,000" if nodes == 100 else "the larger the better"))
    return section
