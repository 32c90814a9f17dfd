"""Heartbeats through the whole manager, beside a bare ROUTER."""

import json
import statistics
import subprocess
import time

from bench import Impossible, Section, processor_s, program, resident_kib, spread

TITLE = "Fan-in"
IN_ONE_PROCESS = 4500
HOST = '[[host]]\nname = "far"\nuri = "qemu+tcp://127.0.0.1:1/system"\nvcpus = 1\nmemory_mib = 64\n'


class Served:
    """Somebody who answers heartbeats; a context manager."""

    def __init__(self, words, cwd):
        self.process = subprocess.Popen(words, cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


def make_keys(bench, count):
    path = bench.scratch / f"keys-{count}"
    subprocess.run([program("bench-agents"), "keys", "--count", str(count), "--out", str(path)], check=True)
    return path


def bare_router(bench):
    served = Served([program("bench-router")], bench.scratch)
    endpoint, key = served.process.stdout.readline().split()
    return served, endpoint, key


def whole_manager(bench, keys):
    """The manager, with as many enrolled machines as there are keys, on a host that nobody answers for."""
    state = bench.scratch / f"state-{keys.name}-{time.monotonic_ns()}"
    said = subprocess.run([program("understudyd"), "init", "--dir", str(state)], stdout=subprocess.PIPE, text=True, check=True).stdout
    key = next(line.split()[-1] for line in said.splitlines() if line.startswith("manager's public key"))
    publics = [line.split()[0] for line in keys.read_text(encoding="ascii").splitlines()]
    peers = "".join(f'[[peer]]\nname = "machine-{i}"\nrole = "agent"\nkey = "{k}"\nhost = "far"\nslots = 1\ndoor = "127.0.0.1:{1024 + i % 60000}"\n'
                    for i, k in enumerate(publics))
    config = bench.scratch / f"{state.name}.toml"
    config.write_text(f'[manager]\nstate_dir = "{state}"\nlisten = "tcp://127.0.0.1:0"\nlog_file = "{state}/log"\n[instances]\nimage_dir = "{state}"\n'
                      f'agent_image = "{state}/none"\n{HOST}{peers}[timing]\nsilence_ms = 600000\nlease_ms = 900000\nheartbeat_ms = 60000\n', encoding="utf-8")
    served = Served([program("understudyd"), "--config", str(config)], bench.scratch)
    log = state / "log"
    deadline = time.monotonic() + 60
    # Machines are numbered behind the host; the log says each one's number.
    last = f'machine "machine-{len(publics) - 1}" is node '
    while not (log.exists() and last in log.read_text(encoding="utf-8", errors="replace")):
        if served.process.poll() is not None or time.monotonic() > deadline:
            raise Impossible(f"the manager did not come up: {log.read_text(encoding='utf-8', errors='replace')[-500:] if log.exists() else 'no log'}")
        time.sleep(0.05)
    words = log.read_text(encoding="utf-8", errors="replace")
    first = int(words.split('machine "machine-0" is node ')[1].split(";")[0])
    return served, (state / "endpoint").read_text(encoding="ascii").strip(), key, first


class Agents:
    """The agents of one process: of descriptors, of which each takes several, a process may not have enough for all."""

    def __init__(self, keys, endpoint, key, first, seconds):
        self.process = subprocess.Popen([program("bench-agents"), "run", "--keys", str(keys), "--endpoint", endpoint, "--server-key", key,
                                         "--first-node", str(first), "--seconds", str(seconds)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def ready(self):
        line = self.process.stdout.readline()
        if not line:
            raise Impossible(f"the agents did not register: {self.process.stderr.read()[-300:]}")
        return json.loads(line)["ready"]

    def go(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def answered(self):
        return json.loads(self.process.stdout.readline())["answered"]

    def end(self):
        self.process.stdin.close()
        self.process.wait(30)


def parts_of(keys):
    """(file, number of the first of its keys), at most IN_ONE_PROCESS in each."""
    lines = keys.read_text(encoding="ascii").splitlines(keepends=True)
    parts = []
    for start in range(0, len(lines), IN_ONE_PROCESS):
        part = keys.with_name(f"{keys.name}-from-{start}")
        part.write_text("".join(lines[start:start + IN_ONE_PROCESS]), encoding="ascii")
        parts.append((part, start))
    return parts


def breathe(served, keys, endpoint, key, first, seconds):
    """Heartbeats per second of the server's processor time, and what its memory is per agent above what it was without."""
    alone = resident_kib(served.process.pid)
    crowds = []
    try:
        ready = 0
        for part, start in parts_of(keys):
            crowds.append(Agents(part, endpoint, key, first + start, seconds))
            ready += crowds[-1].ready()
        before = processor_s(served.process.pid)
        for crowd in crowds:
            crowd.go()
        answered = sum(crowd.answered() for crowd in crowds)
        spent = processor_s(served.process.pid) - before
        memory = (resident_kib(served.process.pid) - alone) * 1024
        return answered / spent, memory / ready
    finally:
        for crowd in crowds:
            crowd.end()


def by_turns(bench, keys, seconds, turns):
    """Rates and memory of the manager, and of the bare ROUTER."""
    ours, our_memory, bare, bare_memory = [], [], [], []
    for _ in range(turns):
        served, endpoint, key, first = whole_manager(bench, keys)
        with served:
            rate, memory = breathe(served, keys, endpoint, key, first, seconds)
            ours.append(rate)
            our_memory.append(memory)
        served, endpoint, key = bare_router(bench)
        with served:
            rate, memory = breathe(served, keys, endpoint, key, 1, seconds)
            bare.append(rate)
            bare_memory.append(memory)
    return ours, our_memory, bare, bare_memory


def measure(bench):
    counts = (1, 100) if bench.short else (1, 100, 1000, 9000)
    seconds = 2 if bench.short else 4
    section = Section(
        text="As many agents as stand in the table, each with an encrypted connection of its own, breathe as fast as they are answered. "
        "Counted is what the answering process spends of the processor, all threads. The limit is a ROUTER with the same encryption "
        "that looks at nothing. Both by turns.",
        header=("agents", "manager (heartbeats per processor second)", "bare ROUTER", "ratio", "memory per agent (bytes): manager", "bare ROUTER"))
    for count in counts:
        bench.say(f"  {count} agents")
        keys = make_keys(bench, count)
        try:
            ours, our_memory, bare, bare_memory = by_turns(bench, keys, seconds, 1 if bench.short or count > 1000 else 3)
        except Impossible as why:
            section.goals.append((f"manager ÷ bare ROUTER with {count:,} agents", f"not measured: {why}", "at least 0.8"))
            continue
        own = statistics.median(our_memory) - statistics.median(bare_memory)
        measured = count
        ratios = [a / b for a, b in zip(ours, bare)]
        section.rows.append((f"{count:,}", spread(ours, 0), spread(bare, 0), spread(ratios, 2), spread(our_memory, 0), spread(bare_memory, 0)))
        section.figures[str(count)] = {"manager": ours, "router": bare, "manager_bytes": our_memory, "router_bytes": bare_memory}
        section.goals.append((f"manager ÷ bare ROUTER with {count:,} agents", spread(ratios, 2), "at least 0.8"))

    if not section.figures:
        raise Impossible("; ".join(f"{what}: {reached}" for what, reached, _ in section.goals))

    def draw(axes):
        for who, colour in (("manager", "tab:blue"), ("router", "tab:grey")):
            axes.plot([int(n) for n in section.figures], [statistics.median(found[who]) for found in section.figures.values()], "o-", color=colour, label={"router": "bare ROUTER"}.get(who, who))
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("agents")
        axes.set_ylabel("heartbeats per processor second")
        axes.legend()

    section.plots.append(bench.plot("fanin.svg", "Heartbeats answered", draw))
    section.goals.append((f"memory per idle node with {measured:,}, beyond its connection", f"{own:,.0f} bytes", "at most 2,048"))
    return section
