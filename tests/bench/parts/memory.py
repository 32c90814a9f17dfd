"""Resident memory: of the manager, of an agent, of a session beyond its application."""

import shutil
import subprocess
import time

from bench import Section, program, resident_kib, until
from machines import HandyCluster, site

from harness import DEMO_APPLICATIONS  # (from the end-to-end tests)
from scenarios import begin

TITLE = "Resident memory"
TEXT = """The manager: the program that ships, at rest, with the demonstration (its machines run) and restarted from the records of large sites, whose hosts do not
answer. An agent and a session: inside a guest of the demonstration, by the guest's kernel. *Resident* counts pages that several processes share in each of
them; *its share* divides them by how many share them (PSS). A session is everything that was started for it: process 1, X server, window manager, message bus;
its application and what that started are left out."""
MIB = 1024
# One word for each process: name:number:parent:resident:share, in KiB.
PROCESSES = ("answer=$(for p in /proc/[0-9]*; do n=$(cat $p/comm 2>/dev/null | tr ' ' _) && s=$(cat $p/status 2>/dev/null) || continue; "
             "parent=$(echo \"$s\" | sed -n 's/^PPid:[^0-9]*//p'); rss=$(echo \"$s\" | sed -n 's/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p'); "
             "pss=$(sed -n 's/^Pss:[^0-9]*\\([0-9]*\\).*/\\1/p' $p/smaps_rollup 2>/dev/null); echo \"$n:${p#/proc/}:$parent:${rss:-0}:${pss:-0}\"; done | tr '\\n' ' ')")


class Process:
    def __init__(self, word):
        self.name, *numbers = word.rsplit(":", 4)
        self.number, self.parent, self.rss, self.pss = map(int, numbers)


def processes_in(cluster, node):
    _, _, said = cluster.hands.do(node, PROCESSES, 60)
    return {one.number: one for one in map(Process, said.split())}


def below(processes, number):
    """It, and all that descend from it."""
    found = {number}
    while True:
        more = {p.number for p in processes.values() if p.parent in found} - found
        if not more:
            return [processes[n] for n in found]
        found |= more


def mib(kib):
    return f"{kib / MIB:,.1f}"


def of_records(bench, nodes):
    """Resident KiB of a manager that was restarted with so many nodes known."""
    folder = bench.fresh_folder("memory")
    state = folder / "state"
    said = subprocess.run([program("understudyd"), "init", "--dir", str(state)], stdout=subprocess.PIPE, text=True, check=True).stdout
    assert "public key" in said
    store = bench.scratch / f"growth-{nodes}.db"
    if not store.exists():  # the part that measures growth leaves it there
        bench.json_of("bench-growth", "--nodes", nodes, "--terminals", nodes // 4, "--failures", 1, "--dir", bench.scratch, "--keep", timeout=600)
    shutil.move(store, state / "store.db")
    config = folder / "understudyd.toml"
    config.write_text(f'[manager]\nstate_dir = "{state}"\nlisten = "tcp://127.0.0.1:0"\nlog_file = "{folder}/log"\n[instances]\nimage_dir = "{folder}"\n'
                      f'agent_image = "{folder}/none"\n', encoding="utf-8")
    manager = subprocess.Popen([program("understudyd"), "--config", str(config)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: (folder / "log").exists() and "listens at" in (folder / "log").read_text(encoding="utf-8", errors="replace"), 60, "the manager runs")
        time.sleep(10)
        return resident_kib(manager.pid)
    finally:
        manager.terminate()
        manager.wait(60)


def session(section, name, processes):
    """The row of a session, whose application bears its name."""
    application = next(p for p in processes.values() if p.name == name)
    first = application
    while processes[first.parent].name != "real-agent":
        first = processes[first.parent]
    own = {p.number for p in below(processes, application.number)}
    beyond = [p for p in below(processes, first.number) if p.number not in own]
    rss, pss = sum(p.rss for p in beyond), sum(p.pss for p in beyond)
    section.rows.append(("session beyond its application", f"{name}: {', '.join(sorted({p.name for p in beyond}))}", mib(rss), mib(pss)))
    section.figures[f"session_{name}_kib"] = {"resident": rss, "share": pss}
    section.goals.append((f"a session beyond {name}", f"{mib(rss)} MiB", "at most 80 MiB with its X server"))


def demonstration(section):
    """Rows of the manager, an agent and the sessions of a site as the demonstration's."""
    with site("bench-memory", HandyCluster) as (cluster, desk):
        begin(cluster, desk)
        manager = resident_kib(cluster.manager.pid)
        section.rows.append(("manager", "the demonstration", mib(manager), ""))
        section.goals.append(("the manager with the demonstration", f"{mib(manager)} MiB", "the smaller the better"))
        section.figures["manager_demonstration_kib"] = manager
        agents = []
        for application in DEMO_APPLICATIONS:
            name = application["name"]
            processes = processes_in(cluster, cluster.session(name)["primary"])
            agents += [p for p in processes.values() if p.name == "real-agent"]
            session(section, name, processes)
        most = max(agents, key=lambda p: p.rss)
        section.rows.append(("agent", "runs a session, and keeps its checkpoints", mib(most.rss), mib(most.pss)))
        section.figures["agent_kib"] = most.rss
        section.goals.append(("an agent", f"{mib(most.rss)} MiB", "at most 24 MiB"))


def measure(bench):
    section = Section(text=TEXT, header=("program", "with", "resident, MiB", "its share, MiB"))
    for nodes in (1000, 10_000) if bench.short else (1000, 100_000):
        kib = of_records(bench, nodes)
        bench.say(f"  manager with {nodes} nodes: {mib(kib)} MiB")
        section.rows.append(("manager", f"{nodes:,} nodes", mib(kib), ""))
        section.goals.append((f"the manager with {nodes:,} nodes known", f"{mib(kib)} MiB", "the smaller the better"))
        section.figures[f"manager_{nodes}_kib"] = kib
    demonstration(section)
    return section
