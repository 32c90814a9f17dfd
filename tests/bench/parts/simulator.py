"""How fast the simulator is."""

import re
import resource
import subprocess

from bench import Impossible, Section, program

TITLE = "Simulator"


def measure(bench):
    section = Section(text="Ten simulated minutes of faults and what follows, one thread.",
                      header=("nodes", "terminals", "simulated seconds per processor second"))
    for nodes, terminals, seeds in ((100, 40, 2 if bench.short else 10), (1000, 250, 1 if bench.short else 3)):
        bench.say(f"  {nodes} nodes")
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([program("understudy-sim"), "--seeds", str(seeds), "--nodes", str(nodes), "--terminals", str(terminals), "--quiet"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        simulated = re.search(r"([\d.]+) simulated s", done.stdout)
        if done.returncode != 0 or not simulated:
            raise Impossible(f"understudy-sim ended with {done.returncode}: {done.stdout[-400:]}")
        factor = float(simulated.group(1)) / spent
        section.rows.append((f"{nodes:,}", f"{terminals:,}", f"{factor:,.0f}"))
        section.figures[str(nodes)] = {"simulated_s": float(simulated.group(1)), "processor_s": spent}
        if nodes == 100:
            section.goals.append(("simulated ÷ processor time at 100 nodes", f"{factor:,.0f}", "at least 1,000"))
    return section
