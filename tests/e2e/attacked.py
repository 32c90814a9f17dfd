"""Failovers under attack: with and without somebody who does his worst at the ports of the manager, of all nodes and of a
gateway, by turns on one cluster.

    attacked.py [--times N] [--at-most N] [--only TEXT]

What the attack does is in attackers.py: thousands of half-open connections, one byte per second, handshakes that are cut
off, wrong keys, right keys in the wrong role, what was overheard, used tickets, too large and malformed words. It is bounded
in count and rate, of low priority, and takes a few hundredths of a processor, because it shares two of them with the emulated
machines whose doors it knocks at. On a slow machine its rates are so much lower, and so many fewer doors are under siege, that it takes
the same share of the processors there; the door that the failover at hand needs is always among them.

Failovers are made in pairs, one in peace and one under attack. When the medians of N pairs are in the proportion that is claimed, that
is it; a proportion beyond it is looked at in more pairs, `--at-most` so many, before it counts. What an attack makes slow is slow in
each of them; what is chance is not.
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
from harness import DEMO_APPLICATIONS, PACE, RESULTS, Cluster, Failed, now_s, program, run, say, until
from load import pushed_views
from measure import AT_TERMINAL, PHASES, one_execution_failover, one_presentation_failover
from run import hold, options_of
from scenarios import claim, one_application_is_seen_and_typing_reaches_it

SMALL_SITE = {"applications": DEMO_APPLICATIONS[:1], "min_idle": 0, "max_idle": 1}
MOST_SLOWER = 2
MOST_GROWTH_MIB = 32
MOST_DESCRIPTORS_MORE = 8    # once it is over
STANDING_AT_LEAST = 300      # half-open connections at the manager, before anything fails
UNDER_WAY_S = 3              # by then the first blow, hundreds of connections at once, has been dealt with: what is measured is a siege
HALF_OPEN_AT_LEAST = 500     # opened there in each attack; all of them together are thousands
HANDSHAKE_S = 5              # so long may one take
CUT_WITHIN_S = 10            # after that, on a busy computer
SILENCE_MS = 3000            # after so long the manager believes that a node has failed
VISITOR_PATIENCE_S = 10


class Attackers:
    """The process of attackers.py, and what it has counted."""

    def __init__(self):
        self._process = subprocess.Popen([sys.executable, "-B", str(Path(__file__).with_name("attackers.py"))], stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE, text=True)
        self._asking = threading.Lock()
        self._order = {}
        self._choose = sorted
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

    def attack(self, choose=None, **order):
        self._choose = choose or self._choose
        self._order = {**order, "doors": self._choose(order["doors"])}
        self.ask("attack", **self._order)

    def aim_at(self, doors):
        """Machines come and go; `choose` of attack() says which of these doors are attacked."""
        if self._order and self._order["doors"] != (doors := self._choose(doors)):
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
        with contextlib.closing(http.client.HTTPSConnection("127.0.0.1", self._port, timeout=PACE.limit(VISITOR_PATIENCE_S), context=self._trust)) as line:
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
        self._thread.join(PACE.limit(VISITOR_PATIENCE_S))


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


def bearable(ports, first):
    """Of these doors as many as can be kept full for the same share of the processors as all of them on the reference machine."""
    most = max(1, round(len(ports) / PACE.factor))
    return sorted(sorted(ports, key=lambda port: (port != first, port))[:most])


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
    def laid(self, needed):
        """While it lasts all ports are attacked; of the doors as many as this machine bears, that of the node `needed` before all others."""
        self.learn_ticket()
        doors = {n["id"]: int(n["door"].rpartition(":")[2]) for n in self.cluster.view()["nodes"] if n["door"]}
        began = self.attackers.ask("count")

        self.attackers.attack(lambda ports: bearable(ports, doors[needed]), manager=self.cluster.port, doors=list(doors.values()), gateway=self.cluster.port + 1, tickets=self.tickets,
                              overheard=self.overheard, programs=self.programs, pace=PACE.factor)
        opened = lambda: self.since(began).get("manager.half_open.opened", 0)
        standing = until(lambda: (more := self.resources()[0] - self.before[0]) > STANDING_AT_LEAST and more, 60,
                         lambda: f"the attack is under way: {self.since(began)}")
        time.sleep(PACE.stretch(UNDER_WAY_S))
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
        claim(max(slow.values()) <= HANDSHAKE_S + PACE.stretch(CUT_WITHIN_S), f"a handshake has {HANDSHAKE_S} s: {slow}")
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


def failovers_under_attack_are_at_most_twice_as_slow_and_nobody_else_is_given_up(cluster, desk, times, at_most):
    kinds = {"execution": (one_execution_failover, lambda: cluster.session("xterm")),
             "presentation": (one_presentation_failover, lambda: cluster.terminal()["presentation"])}
    with contextlib.closing(Siege(cluster, desk)) as siege:
        trials = Trials(cluster, desk, siege)
        for kind, (one, duty) in kinds.items():
            while trials.wants_another_pair(kind, times, at_most):
                for attacked in (False, True):
                    trials.fail_over(kind, one, duty(), attacked)
        siege.is_over()
    # One may be late for its own history on a busy computer: that is a doubt, no failover.
    claim(trials.doubts(True) <= trials.doubts(False) + 1,
          f"nodes were in doubt {trials.doubts(True)} times under attack, {trials.doubts(False)} times in peace")
    # Whoever is not heard for so long is suspected to have failed; where that happens in peace the machine is slow.
    longest = {attacked: max(trials.silent_ms[attacked]) for attacked in (False, True)}
    claim(longest[True] < max(SILENCE_MS, MOST_SLOWER * longest[False]), f"a node was not heard for {longest[True]} ms under attack, for {longest[False]} ms in peace")
    judge(trials)
    desk.sampler.moving()


class Trials:
    """Failovers in peace and under attack, and what was seen of everybody else meanwhile."""

    def __init__(self, cluster, desk, siege):
        self.cluster, self.desk, self.siege = cluster, desk, siege
        self.incidents = cluster.newest_incident()
        self.rows = {}
        self.in_doubt = {False: 0, True: 0}
        self.silent_ms = {False: [0], True: [0]}

    def fail_over(self, kind, one, duty, attacked):
        """One of them; `duty` is what the machine that dies does, with its primary and its backups."""
        heartbeats, visitor = self.siege.heartbeats, self.siege.visitor
        with self.siege.laid(duty["backups"][0]["node"]) if attacked else contextlib.nullcontext():
            heartbeats.killed.add(duty["primary"])
            heartbeats.forget()
            visitor.forget()
            row = one(self.cluster, self.desk)
            heard, slowest = heartbeats.forget(), visitor.forget()
        self.rows.setdefault((kind, attacked), []).append(row)
        self.in_doubt[attacked] += len(heard["suspected"])
        self.silent_ms[attacked].append(heard["silent_ms"])
        say(f"  {kind} {len(self.rows[kind, attacked])} {'under attack' if attacked else 'in peace'}: {row[AT_TERMINAL]:.0f} ms; nobody else silent for more than "
            f"{heard['silent_ms']:.0f} ms ({heard['views']} views, in doubt: {sorted(heard['suspected'])}); the gateway answered within {slowest:.2f} s")
        claim(heard["views"] > 0, "the manager pushed nothing")
        for incident in self.cluster.incidents(after=self.incidents):
            claim(incident["node"] in heartbeats.killed, f"a false failover: {incident['title']}: {incident['evidence']}")
        claim(not self.cluster.view()["manager"]["gate"]["closed"], "the gate closed")

    def pairs(self, kind):
        return len(self.rows.get((kind, True), ()))

    def wants_another_pair(self, kind, times, at_most):
        return self.pairs(kind) < times or (self.pairs(kind) < at_most and self.ratio(kind, AT_TERMINAL) > MOST_SLOWER)

    def doubts(self, attacked):
        return self.in_doubt[attacked]

    def times_ms(self, kind, phase):
        """In peace, and under attack."""
        return [[row[phase] for row in self.rows[kind, attacked] if phase in row] for attacked in (False, True)]

    def ratio(self, kind, phase):
        peace, attack = self.times_ms(kind, phase)
        return statistics.median(attack) / statistics.median(peace)


def judge(trials):
    lines = ["# Failovers under attack", "", "Milliseconds from `kill -9` of the QEMU process, with and without an attack by turns.", "",
             "| | in peace | under attack | ratio of medians |", "|---|---|---|---|"]
    for kind in ("execution", "presentation"):
        for phase in PHASES:
            peace, attack = trials.times_ms(kind, phase)
            if peace and attack:
                lines.append(f"| {kind}: {phase} | {figures(peace)} | {figures(attack)} | {trials.ratio(kind, phase):.2f} |")
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*lines, ""])
    (RESULTS / "attacked.md").write_text(text, encoding="utf-8")
    print(text, flush=True)
    for kind in ("execution", "presentation"):
        ratio = trials.ratio(kind, AT_TERMINAL)
        claim(ratio <= MOST_SLOWER, f"{kind}: {ratio:.2f} times as slow under attack, in {trials.pairs(kind)} pairs")


def figures(times_ms):
    return f"median {statistics.median(times_ms):.0f}, worst {max(times_ms):.0f} of {len(times_ms)}"


def main():
    options = options_of(__doc__)
    options.add_argument("--times", type=int, default=1, help="pairs of failovers of each kind, in peace and under attack; more of them where it is slower than claimed")
    options.add_argument("--at-most", type=int, default=3, metavar="N", help="pairs of each kind, or as many as --times")
    chosen = options.parse_args()

    def claims(results):
        results.group("attacked", one_application_is_seen_and_typing_reaches_it,
                      (failovers_under_attack_are_at_most_twice_as_slow_and_nobody_else_is_given_up,), chosen.times, max(chosen.times, chosen.at_most), cluster=WithTls, **SMALL_SITE)

    return hold(chosen.only, claims)


if __name__ == "__main__":
    sys.exit(main())
