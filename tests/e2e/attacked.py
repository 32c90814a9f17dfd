"""Failovers under attack: with and without somebody who does his worst at the ports of the manager, of all nodes and of a
gateway, by turns on one cluster.

    attacked.py [--times N] [--only TEXT]

What the attack does is in attackers.py: thousands of half-open connections, one byte per second, handshakes that are cut
off, wrong keys, right keys in the wrong role, what was overheard, used tickets, too large and malformed words. It is bounded
in count and rate, of low priority, and takes a few hundredths of a processor, because it shares two of them with the emulated
machines whose doors it knocks at.
Prints a table and writes it to build/e2e/attacked.md.
"""

import contextlib
import http.client
import json
import os
import re
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

from doors import knock
from harness import DEMO_APPLICATIONS, RESULTS, Cluster, Failed, now_s, program, run, say, until
from load import pushed_views
from measure import AT_TERMINAL, PHASES, one_execution_failover, one_presentation_failover
from run import hold, options_of
from scenarios import claim, one_application_is_seen_and_typing_reaches_it

SMALL_SITE = {"applications": DEMO_APPLICATIONS[:1], "min_idle": 0, "max_idle": 1}
MOST_SLOWER = 2
MORE_PRESENTATIONS = 2       # than failovers of the other kind: they are short, and one step of a busy computer is much of one
MOST_GROWTH_MIB = 32
MOST_DESCRIPTORS_MORE = 8    # once it is over
STANDING_AT_LEAST = 300      # half-open connections at the manager, before anything fails
UNDER_WAY_S = 3              # by then the first blow, hundreds of connections at once, has been dealt with: what is measured is a siege
HALF_OPEN_AT_LEAST = 500     # opened there in each attack; all of them together are thousands
SLOW_AT_MOST_S = 15          # a handshake has 5 s; the rest is for a busy computer
SILENCE_MS = 3000            # after so long the manager believes that a node has failed
VISITOR_PATIENCE_S = 10


class Attackers:
    """The process of attackers.py, and what it has counted."""

    def __init__(self):
        self._process = subprocess.Popen([sys.executable, "-B", str(Path(__file__).with_name("attackers.py"))], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        self._asking = threading.Lock()
        self._order = {}
        self.said = {}

    def ask(self, verb, **order):
        with self._asking:
            try:
                self._process.stdin.write(json.dumps({"do": verb, **order}) + "\n")
                self._process.stdin.flush()
                self.said = json.loads(self._process.stdout.readline())
            except (BrokenPipeError, ValueError) as problem:
                raise Failed("the attackers have ended") from problem
            return self.said

    def attack(self, **order):
        self._order = order
        self.ask("attack", **order)

    def aim_at(self, doors):
        """Machines come and go."""
        if self._order and self._order["doors"] != doors:
            self.attack(**{**self._order, "doors": doors})

    def rest(self):
        self._order = {}
        self.ask("rest")

    def close(self):
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Heartbeats:
    """What the manager hears of its nodes, as it pushes it to whoever watches. `killed`: of whom nothing is expected."""

    def __init__(self, cluster, on_doors):
        self._cluster = cluster
        self._on_doors = on_doors
        self._ended = False
        self.killed = set()
        self.forget()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def forget(self):
        """What was seen so far, from now on anew."""
        seen = {"views": getattr(self, "views", 0), "silent_ms": getattr(self, "silent_ms", 0), "suspected": getattr(self, "suspected", set())}
        self.views, self.silent_ms, self.suspected = 0, 0, set()
        return seen

    def _listen(self):
        with pushed_views(self._cluster) as pushed:
            for view in pushed:
                if self._ended:
                    return
                self.views += 1
                doors = []
                for node in view["nodes"]:
                    if node["id"] in self.killed or "heard_ms_ago" not in node or node["state"] not in ("idle", "deploying", "serving"):
                        continue
                    self.silent_ms = max(self.silent_ms, node["heard_ms_ago"])
                    if node["health"] != "healthy":
                        self.suspected.add((node["id"], node["health"]))
                    doors.append(int(node["door"].rpartition(":")[2]))
                self._on_doors(sorted(doors))

    def close(self):
        self._ended = True
        self._thread.join(20)


class Visitor:
    """An honest client of the gateway: asks who it is, twice per second, over a new connection each time."""

    def __init__(self, cluster):
        config = cluster.dir / "gateway.toml"
        key = run(program("understudy-gateway"), "--config", config, "key", "add", "visitor", "--role", "observer").stdout.strip().splitlines()[-1]
        cluster.start_gateway()
        until(lambda: "listening on" in (cluster.results / "gateway.log").read_text(encoding="utf-8"), 20, "the gateway listens")
        self._port = cluster.port + 1
        self._head = {"Authorization": f"Bearer {key}"}
        self._trust = ssl.create_default_context(cafile=cluster.dir / "gateway-state" / "authority.crt")
        self._ended = threading.Event()
        self.problem = None
        self.slowest_s = 0.0
        self.visits = 0
        self.visit()
        self._thread = threading.Thread(target=self._come_again, daemon=True)
        self._thread.start()

    def visit(self):
        began = now_s()
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", self._port, timeout=VISITOR_PATIENCE_S, context=self._trust)) as line:
            line.request("GET", "/api/v1/me", headers=self._head)
            status = line.getresponse().status
        claim(status == 200, f"the gateway answered an honest visitor with {status}")
        self.visits += 1
        self.slowest_s = max(self.slowest_s, now_s() - began)

    def _come_again(self):
        while not self._ended.wait(0.5):
            try:
                self.visit()
            except (OSError, http.client.HTTPException, Failed) as problem:
                self.problem = self.problem or problem

    def forget(self):
        slowest, self.slowest_s = self.slowest_s, 0.0
        return slowest

    def close(self):
        self._ended.set()
        self._thread.join(VISITOR_PATIENCE_S)


def overhear(cluster, act):
    """What an administrator's program says to the manager while it does this, piece by piece, in hexadecimal digits."""
    heard = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = cluster.dir / "overheard.toml"
        there = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
        config.write_text((cluster.dir / "operator.toml").read_text(encoding="utf-8").replace(cluster.endpoint, there), encoding="utf-8")
        with subprocess.Popen([program("understudy"), "--config", str(config), *act], stdout=subprocess.DEVNULL) as speaker:
            listener.settimeout(10)
            client, _ = listener.accept()
            with client, socket.create_connection(("127.0.0.1", cluster.port)) as manager:
                back = threading.Thread(target=pass_on, args=(manager, client, lambda _: None), daemon=True)
                back.start()
                pass_on(client, manager, lambda part: heard.append(part.hex()))
                back.join(10)
        claim(speaker.returncode == 0, "what was overheard should have been done")
    return heard


def pass_on(source, target, on_part):
    with contextlib.suppress(OSError):
        while part := source.recv(65536):
            on_part(part)
            target.sendall(part)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


class WithTls(Cluster):
    """Its gateway speaks TLS, as on a site."""

    def write_client(self, who):
        super().write_client(who)
        path = self.dir / f"{who}.toml"
        path.write_text(path.read_text(encoding="utf-8").replace('tls = "off"\n', ""), encoding="utf-8")


class Siege:
    """All of it, begun and ended at will."""

    def __init__(self, cluster, desk):
        self.cluster, self.desk = cluster, desk
        self.attackers = Attackers()
        self.heartbeats = Heartbeats(cluster, self.attackers.aim_at)
        self.visitor = Visitor(cluster)
        run(program("understudy"), "keys", "new", "--out", cluster.dir / "stranger.key")
        cluster.write_client("stranger")
        evil = ("--timeout", "5", "drain", "--host", "here", "--reason", "evil")
        self.programs = {name: [program("understudy"), "--config", str(cluster.dir / f"{who}.toml"), *evil]
                         for name, who in (("unknown_key", "stranger"), ("wrong_role", "probe"))}
        self.overheard = overhear(cluster, ("pool", "small", "--max-idle", "1", "--reason", "overheard"))
        self.tickets = []
        self.before = self.resources()
        self.refusals = self.cluster.view()["manager"]["oddities"]
        self.counts = {}

    def resources(self):
        """Descriptors and MiB of the manager."""
        process = Path(f"/proc/{self.cluster.manager.pid}")
        return len(os.listdir(process / "fd")), int(re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text(encoding="utf-8")).group(1)) / 1024

    def learn_ticket(self):
        """The ticket that the terminal was let in with: used, and later also of an old epoch and of another door."""
        ticket = self.desk.probe.ask("ticket")["ticket"]
        for purpose in ("desktop", "window"):
            if (line := f"UNDERSTUDY/1 {purpose} {ticket}") not in self.tickets:
                self.tickets.append(line)

    @contextlib.contextmanager
    def laid(self):
        self.learn_ticket()
        doors = [int(n["door"].rpartition(":")[2]) for n in self.cluster.view()["nodes"] if n["door"]]
        began = self.attackers.ask("count")
        self.attackers.attack(manager=self.cluster.port, doors=sorted(doors), gateway=self.cluster.port + 1, tickets=self.tickets,
                              overheard=self.overheard, programs=self.programs)
        opened = lambda: self.since(began).get("manager.half_open.opened", 0)
        standing = until(lambda: (more := self.resources()[0] - self.before[0]) > STANDING_AT_LEAST and more, 60,
                         lambda: f"the attack is under way: {self.since(began)}")
        time.sleep(UNDER_WAY_S)
        yield
        descriptors, memory = self.resources()
        until(lambda: opened() > HALF_OPEN_AT_LEAST, 60, lambda: f"the attack is one: {self.since(began)}", every=0.5)
        counts = self.since(began)
        self.attackers.rest()
        say(f"  attack: {counts['manager.half_open.opened']} half-open connections at the manager ({standing} stood when it began to matter), "
            f"{counts.get('door.half_open.opened', 0)} at doors, {counts.get('gateway.half_open.opened', 0)} at the gateway; the manager had "
            f"{descriptors} descriptors, {memory:.0f} MiB")
        got_in = {what: count for what, count in counts.items() if what.endswith("got_in")}
        claim(not got_in, f"somebody got in: {got_in}")
        claim(memory < self.before[1] + MOST_GROWTH_MIB, f"the manager grew from {self.before[1]:.0f} to {memory:.0f} MiB")
        for what, count in counts.items():
            self.counts[what] = self.counts.get(what, 0) + count

    def since(self, began):
        return {what: count - began["counts"].get(what, 0) for what, count in self.attackers.ask("count")["counts"].items()}

    def is_over(self):
        """Nothing of it is left, and all of it was refused where it should be."""
        refused = {what: count - self.refusals[what] for what, count in self.cluster.view()["manager"]["oddities"].items() if count != self.refusals[what]}
        say(f"  refused by the manager: {refused}")
        say(f"  by count: {dict(sorted(self.counts.items()))}")
        for what in ("denied", "out_of_role", "cut_silent"):
            claim(refused.get(what, 0) > 0, f"the manager should have counted \"{what}\"")
        for what in ("manager.unknown_key.refused", "manager.wrong_role.refused", "manager.again.said", "door.ticket.refused", "door.oversized.refused",
                     "gateway.stranger.refused", "gateway.oversized.refused", *(f"{place}.{kind}.cut" for place in ("manager", "door", "gateway") for kind in ("half_open", "slow"))):
            claim(self.counts.get(what, 0) > 0, f"none of the attack ended as {what}")
        slow = self.attackers.said["longest_slow_s"]
        say(f"  one byte per second was listened to for at most {slow} s; the attack took {self.attackers.said['cpu_s']:.1f} s of a processor")
        claim(max(slow.values()) <= SLOW_AT_MOST_S, f"a handshake has 5 s: {slow}")
        acts = [json.loads(line) for line in (self.cluster.state / "audit.log").read_text(encoding="utf-8").splitlines()]
        claim(not any(act.get("reason") == "evil" for act in acts), "somebody acted with a key that may not")
        claim(sum(act.get("reason") == "overheard" for act in acts) == 1, "what was overheard was done again")
        claim(self.visitor.problem is None, f"an honest visitor of the gateway: {self.visitor.problem}")
        for node in self.cluster.view()["nodes"]:
            if node["state"] in ("idle", "serving"):
                answer = knock(("127.0.0.1", int(node["door"].rpartition(":")[2])))
                claim(answer.startswith("VOID "), f"the door of node {node['id']} answers as before, it says {answer!r}")
        until(lambda: self.resources()[0] <= self.before[0] + MOST_DESCRIPTORS_MORE, 20,
              lambda: f"the manager lets go of descriptors: {self.before[0]} before, {self.resources()[0]} now")
        descriptors, memory = self.resources()
        claim(memory < self.before[1] + MOST_GROWTH_MIB, f"the manager grew from {self.before[1]:.0f} to {memory:.0f} MiB")
        say(f"  the manager: {self.before[0]} descriptors and {self.before[1]:.0f} MiB before, {descriptors} and {memory:.0f} after")

    def close(self):
        for one in (self.heartbeats, self.visitor, self.attackers):
            one.close()


def failovers_under_attack_are_at_most_twice_as_slow_and_nobody_else_is_given_up(cluster, desk, times):
    incidents = cluster.newest_incident()
    kinds = {"execution": (one_execution_failover, lambda: cluster.session("xterm")["primary"]),
             "presentation": (one_presentation_failover, lambda: cluster.terminal()["presentation"]["primary"])}
    took, in_doubt = {}, {False: 0, True: 0}
    with contextlib.closing(Siege(cluster, desk)) as siege:
        for number in range(times + MORE_PRESENTATIONS):
            for kind, (one, primary) in kinds.items():
                if kind == "execution" and number >= times:
                    continue
                for attacked in (False, True):
                    with siege.laid() if attacked else contextlib.nullcontext():
                        siege.heartbeats.killed.add(primary())
                        siege.heartbeats.forget()
                        siege.visitor.forget()
                        row = one(cluster, desk)
                        heard, slowest = siege.heartbeats.forget(), siege.visitor.forget()
                    took.setdefault((kind, attacked), []).append(row)
                    say(f"  {kind} {number + 1} {'under attack' if attacked else 'in peace'}: {row[AT_TERMINAL]:.0f} ms; nobody else silent for more than "
                        f"{heard['silent_ms']:.0f} ms ({heard['views']} views, in doubt: {sorted(heard['suspected'])}); the gateway answered within {slowest:.2f} s")
                    in_doubt[attacked] += len(heard["suspected"])
                    claim(heard["views"] > 0, "the manager pushed nothing")
                    claim(heard["silent_ms"] < SILENCE_MS, f"somebody was not heard for {heard['silent_ms']} ms")
                    for incident in cluster.incidents(after=incidents):
                        claim(incident["node"] in siege.heartbeats.killed, f"a false failover: {incident['title']}: {incident['evidence']}")
                    claim(not cluster.view()["manager"]["gate"]["closed"], "the gate closed")
        siege.is_over()
    # One may be late for its own history on a busy computer: that is a doubt, no failover.
    claim(in_doubt[True] <= in_doubt[False] + 1, f"nodes were in doubt {in_doubt[True]} times under attack, {in_doubt[False]} times in peace")
    judge(took)
    desk.sampler.moving()


def judge(took):
    lines = ["# Failovers under attack", "", "Milliseconds from `kill -9` of the QEMU process, with and without an attack by turns.", "",
             "| | in peace | under attack | ratio of medians |", "|---|---|---|---|"]
    ratios = {}
    for kind in ("execution", "presentation"):
        for phase in PHASES:
            peace, attack = ([row[phase] for row in took[kind, attacked] if phase in row] for attacked in (False, True))
            if peace and attack:
                ratio = statistics.median(attack) / statistics.median(peace)
                lines.append(f"| {kind}: {phase} | {figures(peace)} | {figures(attack)} | {ratio:.2f} |")
                ratios[kind] = ratio  # the last phase is the one that counts
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*lines, ""])
    (RESULTS / "attacked.md").write_text(text, encoding="utf-8")
    print(text, flush=True)
    for kind, ratio in ratios.items():
        claim(ratio <= MOST_SLOWER, f"{kind}: {ratio:.2f} times as slow under attack")


def figures(times_ms):
    return f"median {statistics.median(times_ms):.0f}, worst {max(times_ms):.0f} of {len(times_ms)}"


def main():
    options = options_of(__doc__)
    options.add_argument("--times", type=int, default=3, help=f"failovers of execution nodes in peace and under attack; {MORE_PRESENTATIONS} more of presentation nodes")
    chosen = options.parse_args()

    def claims(results):
        results.group("attacked", one_application_is_seen_and_typing_reaches_it,
                      (failovers_under_attack_are_at_most_twice_as_slow_and_nobody_else_is_given_up,), chosen.times, cluster=WithTls, **SMALL_SITE)

    return hold(chosen.only, claims)


if __name__ == "__main__":
    sys.exit(main())
