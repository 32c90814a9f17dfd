"""Broken networks, for real: on the loopback of a network namespace that the test made, packets between the manager and
one machine or between two machines are dropped, in one direction or both, or come late, twice and out of order.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from desk import closed_incident, phases_ms
from harness import Failed, now_s, program, run, say, until
from scenarios import claim

MARK = "UNDERSTUDY_OWN_NETWORK"


def own_network():
    """Starts this program again in a network namespace of its own, which ends with it."""
    if os.environ.get(MARK) != "1":
        if os.geteuid() != 0 or not shutil.which("unshare") or not shutil.which("iptables"):
            sys.exit("cannot run: network faults need root, unshare and iptables (packages util-linux and iptables)")
        os.environ[MARK] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, "-B", *sys.argv])
    run("ip", "link", "set", "lo", "up")


@contextlib.contextmanager
def dropped(*rules):
    """Each rule is what iptables is given to match a packet with, in the namespace's OUTPUT chain."""
    placed = []
    try:
        for rule in rules:
            run("iptables", "-w", "-A", "OUTPUT", *rule, "-j", "DROP")
            placed.append(rule)
        yield
    finally:
        for rule in placed:
            run("iptables", "-w", "-D", "OUTPUT", *rule, "-j", "DROP")


CUT_OFF = ("-m", "connmark", "--mark", "7")


@contextlib.contextmanager
def cut_off(cluster, node, directions):
    """What passes between a machine and the manager is dropped in these directions, over the connection that is there
    and over every one that the machine opens meanwhile: its process is put into a control group of ours, and the
    connections of that group are marked."""
    mount = next(line.split()[1] for line in Path("/proc/mounts").read_text(encoding="ascii").splitlines() if line.split()[2] == "cgroup2")
    pid = cluster.qemu_pids()[node]
    home = next(line[3:] for line in Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines() if line.startswith("0::"))
    group = Path(mount) / f"understudy-test-{os.getpid()}"
    marks = ("-p", "tcp", "-m", "cgroup", "--path", group.name, "-j", "CONNMARK", "--set-mark", "7")
    port = port_towards_manager(cluster, node)
    group.mkdir()
    try:
        (group / "cgroup.procs").write_text(str(pid), encoding="ascii")
        run("iptables", "-w", "-I", "OUTPUT", *marks)
        rules = [rule for direction in directions for rule in (direction(cluster, port), (*direction(cluster), *CUT_OFF))]
        with dropped(*rules):
            yield
    finally:
        run("iptables", "-w", "-D", "OUTPUT", *marks, check=False)
        if Path(f"/proc/{pid}").exists():
            (Path(mount + home) / "cgroup.procs").write_text(str(pid), encoding="ascii")
        until(lambda: not (group / "cgroup.procs").read_text(encoding="ascii"), 10, "the control group is empty")
        group.rmdir()


@contextlib.contextmanager
def disturbed(cluster, **how):
    """Packets from and to the manager pass a relay: see packet-relay --help."""
    rule = ("-m", "mark", "!", "--mark", "1", "-j", "NFQUEUE", "--queue-num", "1", "--queue-bypass")
    both = (("--dport", str(cluster.port), *rule), ("--sport", str(cluster.port), *rule))
    words = [word for name, value in how.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    relay = subprocess.Popen([program("packet-relay"), *words], stdout=subprocess.PIPE, text=True)
    placed = []
    try:
        claim(relay.stdout.readline() == "ready\n", "the relay should be ready")
        for ends in both:
            run("iptables", "-w", "-A", "OUTPUT", "-p", "tcp", *ends)
            placed.append(ends)
        yield
    finally:
        for ends in placed:
            run("iptables", "-w", "-D", "OUTPUT", "-p", "tcp", *ends)
        relay.terminate()
        say(f"  {relay.communicate(timeout=20)[0].strip()}")


def port_towards_manager(cluster, node):
    """The local port of a machine's connection to the manager: its QEMU makes it."""
    pid = cluster.qemu_pids()[node]
    listed = run("ss", "-Htnp", "state", "established", "dport", "=", f":{cluster.port}").stdout
    for line in listed.splitlines():
        if f"pid={pid}," in line:
            return int(re.search(r":(\d+)\s+\S+:\d+", line).group(1))
    raise Failed(f"node {node} (process {pid}) has no connection to the manager:\n{listed}")


def to_manager(cluster, port=None):
    """What matches packets to the manager, of the machine whose connection has this port or of all."""
    return ("-p", "tcp", "--dport", str(cluster.port), *(("--sport", str(port)) if port else ()))


def from_manager(cluster, port=None):
    return ("-p", "tcp", "--sport", str(cluster.port), *(("--dport", str(port)) if port else ()))


def whole(desk, start):
    values = [v for _, v in desk.sampler.samples[start:]]
    claim(values and all(v is not None for v in values), "the counter's window was not whole all the time")


def short_cut(cluster, desk, direction, seconds):
    """A cut shorter than the lease: whoever works with the node reaches it, so nothing is decided."""
    incidents = cluster.newest_incident()
    node = cluster.session("xterm")["primary"]
    start = len(desk.sampler.samples)
    with dropped(direction(cluster, port_towards_manager(cluster, node))):
        time.sleep(seconds)
        said = cluster.node(node)
    time.sleep(3)
    claim(cluster.newest_incident() == incidents, f"a failover without need: {cluster.incidents(after=incidents)}")
    claim(cluster.session("xterm")["primary"] == node, "the session should be where it was")
    whole(desk, start)
    say(f"  {seconds} s: {said['health']}; {[l for l in cluster.tail(cluster.manager_log, 200).splitlines() if 'reaches it' in l][-1:]}")
    cluster.settle()


def what_a_node_says_is_lost_for_six_seconds_and_nothing_happens(cluster, desk):
    short_cut(cluster, desk, to_manager, 6)


def what_a_node_is_told_is_lost_for_six_seconds_and_nothing_happens(cluster, desk):
    short_cut(cluster, desk, from_manager, 6)


def the_way_between_two_nodes_is_cut_and_nobody_is_replaced(cluster, desk):
    incidents = cluster.newest_incident()
    node = cluster.session("xterm")["primary"]
    door = cluster.node(node)["door"].rsplit(":", 1)[1]
    with dropped(("-p", "tcp", "--dport", door), ("-p", "tcp", "--sport", door)):
        time.sleep(8)
    desk.sampler.moving(40)
    claim(cluster.newest_incident() == incidents, f"a failover without need: {cluster.incidents(after=incidents)}")
    claim(cluster.session("xterm")["primary"] == node, "the session should be where it was")
    cluster.settle()


def replaced_once(cluster, desk, before, session):
    """The session goes on elsewhere, after one failover and no more; the machine that was given up serves nobody."""
    incident = closed_incident(cluster, before, "execution", seconds=120, application="xterm")
    say("  " + ", ".join(f"{name} {ms / 1000:.1f} s" for name, ms in phases_ms(incident).items()) + f"; proof: {incident['proof']}")
    after = cluster.session("xterm")
    claim(after["primary"] != session["primary"], "the session should be elsewhere")
    claim(after["epoch"] == session["epoch"] + 1, f"epoch {session['epoch']} became {after['epoch']}")
    desk.sampler.moving(60)


def lost_for_good(cluster, desk, *directions):
    before = cluster.newest_incident()
    session = cluster.session("xterm")
    began = now_s()
    with cut_off(cluster, session["primary"], directions):
        replaced_once(cluster, desk, before, session)
        say(f"  served again {now_s() - began:.1f} s after the cut")
    cluster.settle()
    found = [i for i in cluster.incidents(after=before) if i["kind"] == "execution"]
    claim(len(found) == 1, f"one failover and no more: {[(i['title'], i['evidence']) for i in found]}")
    claim(cluster.session("xterm")["epoch"] == session["epoch"] + 1, "nothing should move back")


def what_a_node_says_is_lost_for_good_and_it_is_replaced_once(cluster, desk):
    lost_for_good(cluster, desk, to_manager)


def what_a_node_is_told_is_lost_for_good_and_it_is_replaced_once(cluster, desk):
    lost_for_good(cluster, desk, from_manager)


def only_a_needed_failover(cluster, desk, broken):
    """On a broken network nothing is decided for half a minute, and then what has to be. The manager is asked when the
    network is whole again: an administrator's command passes it as well."""
    before = cluster.newest_incident()
    session = cluster.session("xterm")
    with broken:
        time.sleep(30)
        killed = cluster.kill_instance(session["primary"])
        back, _, _ = desk.sampler.went_back(killed, 120)
    say(f"  window back {back - killed:.1f} s after the kill")
    replaced_once(cluster, desk, before, session)
    cluster.settle()
    found = [i for i in cluster.incidents(after=before) if i["kind"] in ("execution", "presentation")]
    claim(len(found) == 1, f"one failover and no more: {[(i['title'], i['evidence']) for i in found]}")


def a_third_of_all_packets_is_lost_and_only_a_needed_failover_happens(cluster, desk):
    lossy = ("-m", "statistic", "--mode", "random", "--probability", "0.3")
    only_a_needed_failover(cluster, desk, dropped((*to_manager(cluster), *lossy), (*from_manager(cluster), *lossy)))


def late_reordered_and_doubled_packets_cause_only_a_needed_failover(cluster, desk):
    only_a_needed_failover(cluster, desk, disturbed(cluster, delay_ms=60, jitter_ms=120, twice_percent=10, seconds=240))


HEART = (
    what_a_node_says_is_lost_for_six_seconds_and_nothing_happens,
    what_a_node_is_told_is_lost_for_six_seconds_and_nothing_happens,
)
LONG = (
    the_way_between_two_nodes_is_cut_and_nobody_is_replaced,
    a_third_of_all_packets_is_lost_and_only_a_needed_failover_happens,
    late_reordered_and_doubled_packets_cause_only_a_needed_failover,
    what_a_node_says_is_lost_for_good_and_it_is_replaced_once,
    what_a_node_is_told_is_lost_for_good_and_it_is_replaced_once,
)
