"""Heartbeats through the whole manager, beside a bare ROUTER."""

import json
import statistics
import subprocess
import time

from bench import Impossible, Section, processor_s, program, resident_kib, spread

TITLE = "Fan-in"
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


def breathe(served, keys, endpoint, key, first, seconds):
    """Heartbeats per second of the server's processor time, and what its memory is per agent above what it was without."""
    alone = resident_kib(served.process.pid)
    agents = subprocess.Popen([program("bench-agents"), "run", "--keys", str(keys), "--endpoint", endpoint, "--server-key", key,
                               "--first-node", str(first), "--seconds", str(seconds)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        ready = agents.stdout.readline()
        if not ready:
            raise Impossible(f"the agents did not register: {agents.stderr.read()[-300:]}")
        before = processor_s(served.process.pid)
        agents.stdin.write("go\n")
        agents.stdin.flush()
        answered = json.loads(agents.stdout.readline())["answered"]
        spent = processor_s(served.process.pid) - before
        memory = (resident_kib(served.process.pid) - alone) * 1024
        return answered / spent, memory / json.loads(ready)["ready"]
    finally:
        agents.stdin.close()
        agents.wait(30)


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
        ours, bare, our_memory, bare_memory = [], [], [], []
        for _ in range(1 if bench.short or count > 1000 else 3):
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
        ratios = [a / b for a, b in zip(ours, bare)]
        section.rows.append((f"{count:,}", spread(ours, 0), spread(bare, 0), spread(ratios, 2), spread(our_memory, 0), spread(bare_memory, 0)))
        section.figures[str(count)] = {"manager": ours, "router": bare, "manager_bytes": our_memory, "router_bytes": bare_memory}
        section.goals.append((f"manager ÷ bare ROUTER with {count:,} agents", spread(ratios, 2), "at least 0.8"))

    def draw(axes):
        for who, colour in (("manager", "tab:blue"), ("router", "tab:grey")):
            axes.plot(counts, [statistics.median(section.figures[str(n)][who]) for n in counts], "o-", color=colour, label={"router": "bare ROUTER"}.get(who, who))
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("agents")
        axes.set_ylabel("heartbeats per processor second")
        axes.legend()

    section.plots.append(bench.plot("fanin.svg", "Heartbeats answered", draw))
    own = our_memory[-1] - bare_memory[-1]
    section.goals.append((f"memory per idle node with {counts[-1]:,}, beyond its connection", f"{own:,.0f} bytes", "at most 2,048"))
    return section
