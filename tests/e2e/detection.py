"""How soon what ends is noticed, in figures: an instance, an agent, an X server and an application die by kill -9 at a
moment that the test knows, and every phase until people see their window again is printed.

    detection.py [--only TEXT] [--times N]

An instance is killed from outside. The others are killed by a hand inside the guest (hand.py): the process ended between
the moment at which the test sent the word and the moment at which the answer came, both on this computer's clock, which is
the manager's too. Figures count from the first of the two, so they are never better than the truth; how far the two lie
apart is printed with them. The guest's clock plays no part.
"""

import datetime
import statistics
import sys
import time

from desk import Desk, closed_incident
from hand import WithHands
from harness import DEMO_APPLICATIONS, Cluster, now_s, say, until
from measure import since_kill, wall_ms_of
from run import hold, options_of
from scenarios import claim, one_application_is_seen_and_typing_reaches_it

PHASES = ("detected", "proven", "decided", "durable", "restored", "picture")
GOALS_MS = {"process": 5, "instance": 20}
LONGEST_MS = 1000  # a heartbeat: what ended is noticed by its end and not by silence
# What is killed again and again is to be restored each time: these are not the crashes that a fresh start is for.
ONE_APPLICATION = {"applications": DEMO_APPLICATIONS[:1], "timing": {"crash_limit": 1000}}


class HandyCluster(WithHands, Cluster):
    pass


def quantiles(values):
    ordered = sorted(values)
    return f"p50 {statistics.median(ordered):.1f} ms, p99 {ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]:.1f} ms (n={len(ordered)})"


class Figures:
    """Of several ends of one kind. `goal` is one of GOALS_MS; None where detection is measured elsewhere."""

    def __init__(self, what, goal):
        self.what = what
        self.goal = goal
        self.ends = []
        self.healthy = []
        self.apart = []

    def add(self, incident, before, after, healthy):
        """The process ended between the two moments; everything ran with its backups at the third."""
        self.ends.append(since_kill(incident, wall_ms_of(before)))
        self.apart.append((after - before) * 1000)
        self.healthy.append((healthy - before) * 1000)

    def tell(self):
        for phase in PHASES:
            values = [end[phase] for end in self.ends if phase in end]
            if values:
                say(f"  {self.what}, {phase}: {quantiles(values)}")
        say(f"  {self.what}, healthy again with all backups: {quantiles(self.healthy)}")
        if max(self.apart) > 0:
            say(f"  {self.what}: the two moments between which it ended lie apart: {quantiles(self.apart)}")
        if self.goal is None:
            return
        detected = [end["detected"] for end in self.ends]
        within = sum(one <= GOALS_MS[self.goal] for one in detected)
        say(f"  {self.what}: detected within the {GOALS_MS[self.goal]} ms aimed at: {within} of {len(detected)}")
        claim(max(detected) <= LONGEST_MS, f"{self.what}: an end should be noticed long before a heartbeat is missed: {max(detected):.0f} ms")


def measured(cluster, desk, times, figures, kill, seen=lambda node, before: None):
    """`kill` ends something of the session's primary and returns the moments around that; `seen` is told of the node and
    the first moment once it is over. Returns the last incident, and the session before and after it."""
    for _ in range(times):
        desk.await_checkpoint("xterm")
        incidents = cluster.newest_incident()
        session = cluster.session("xterm")
        before, after = kill(session["primary"])
        incident = closed_incident(cluster, incidents, "execution", application="xterm")
        seen(session["primary"], before)
        desk.sampler.moving(60)
        cluster.settle()
        figures.add(incident, before, after, now_s())
        last = (incident, session, cluster.session("xterm"))
        claim(last[2]["epoch"] == session["epoch"] + 1, f"one move and no more: epoch {session['epoch']} became {last[2]['epoch']}")
    say(f"  the last one: {last[0]['evidence']}; proof: {last[0]['proof']}; {last[0]['decision']}; lost: {last[0]['lost']}")
    figures.tell()
    return last


def killed_instances_are_detected_by_the_end_of_their_process(cluster, desk, times):
    def kill(node):
        moment = cluster.kill_instance(node)
        return moment, moment

    incident, _, _ = measured(cluster, desk, times, Figures("instance", "instance"), kill)
    claim("ended" in incident["proof"] or "killed" in incident["proof"], f"the end of the process should be the proof: {incident['proof']}")


def connection_broken_ms(cluster, node, before):
    """How long after a moment the manager noticed that the connection of a node broke: its log says when."""
    since = wall_ms_of(before)
    stamps = [line.split()[0] for line in cluster.manager_log.read_text(encoding="utf-8", errors="replace").splitlines()
              if line.endswith(f"the connection of node {node} broke")]
    times = [datetime.datetime.fromisoformat(stamp).timestamp() * 1000 - since for stamp in stamps]
    later = [one for one in times if one > 0]
    claim(later, f"the manager's log should say that the connection of node {node} broke: {times}")
    return later[0]  # it breaks once more when the machine is scrubbed


def killed_agents_are_detected_by_their_connection_and_their_sessions_go_on_from_a_checkpoint(cluster, desk, times):
    """An agent's sessions end with it: nobody could answer for them. What is noticed at once is its connection; then it is
    started again, says what it has, which is nothing, and that is the proof. So two figures, and the second is long: an
    agent's start, and its way back to the manager."""
    machines = set(cluster.qemu_pids())
    noticed = []

    def seen(node, before):
        noticed.append(connection_broken_ms(cluster, node, before))

    incident, before, _ = measured(cluster, desk, times, Figures("agent, its sessions", None), lambda node: cluster.hands.kill(node, "real-agent"), seen)
    say(f"  agent, its connection seen broken: {quantiles(noticed)}; within the {GOALS_MS['process']} ms aimed at: "
        f"{sum(one <= GOALS_MS['process'] for one in noticed)} of {len(noticed)}")
    claim(max(noticed) <= LONGEST_MS, f"a broken connection should be noticed long before a heartbeat is missed: {max(noticed):.0f} ms")
    claim("came back without it" in incident["proof"], f"the agent's own word should be the proof: {incident['proof']}")
    claim(machines <= set(cluster.qemu_pids()), "no machine should have been given up for it")
    claim(cluster.node(before["primary"])["health"] == "healthy", "the agent should be back")


def killed_x_servers_are_detected_by_their_agent(cluster, desk, times):
    measured(cluster, desk, times, Figures("X server", "process"), lambda node: cluster.hands.kill(node, "Xvnc"))


def killed_applications_are_detected_by_their_agent(cluster, desk, times):
    measured(cluster, desk, times, Figures("application", "process"), lambda node: cluster.hands.kill(node, "xterm"))


def a_second_machine_under_the_identity_of_one_that_serves_is_refused_counted_and_shown(cluster, desk, _times):
    """An idle machine runs a second agent with the keys of the one that serves, as a copied disk would."""
    serving = cluster.session("xterm")["primary"]
    idle = next(n["id"] for n in cluster.settle()["nodes"] if n["state"] == "idle")
    incidents = cluster.newest_incident()
    before = cluster.view()["manager"]["oddities"]["doubled_identity"]
    _, _, seed = cluster.hands.do(serving, "answer=$(base64 -w0 /run/understudy/agent.toml)")
    _, _, twin = cluster.hands.do(idle, f"base64 -d <<<{seed} | sed 's/^\\[node\\]/&\\ndoor_port = 5999/' >/run/twin.toml; "
                                        "/opt/understudy/bin/real-agent --config /run/twin.toml >/run/twin.log 2>&1 </dev/null & answer=$!")

    def counted():
        return cluster.view()["manager"]["oddities"]["doubled_identity"] > before

    until(counted, 30, lambda: f"the twin is counted: {cluster.view()['manager']['oddities']}; "
          f"it says {cluster.hands.do(idle, 'answer=$(tail -n 1 /run/twin.log)')[2]}")
    said = [line for line in cluster.tail(cluster.manager_log, 400).splitlines() if "under the identity" in line]
    claim(said, "the manager's log should name it")
    say(f"  {said[-1][:200]}")
    time.sleep(5)
    claim(cluster.newest_incident() == incidents, f"nothing should come of it: {cluster.incidents(after=incidents)}")
    claim(cluster.session("xterm")["primary"] == serving and cluster.node(serving)["health"] == "healthy", "who serves should go on")
    cluster.hands.do(idle, f"kill -9 {twin}")
    desk.sampler.moving()


CLAIMS = (
    a_second_machine_under_the_identity_of_one_that_serves_is_refused_counted_and_shown,
    killed_instances_are_detected_by_the_end_of_their_process,
    killed_agents_are_detected_by_their_connection_and_their_sessions_go_on_from_a_checkpoint,
    killed_x_servers_are_detected_by_their_agent,
    killed_applications_are_detected_by_their_agent,
)


def main():
    options = options_of(__doc__)
    options.add_argument("--times", type=int, default=5, help="how often each kind is killed")
    chosen = options.parse_args()

    def claims(results):
        results.group("detection", one_application_is_seen_and_typing_reaches_it, CLAIMS, chosen.times, cluster=HandyCluster, **ONE_APPLICATION)

    return hold(chosen.only, claims)


if __name__ == "__main__":
    sys.exit(main())
