"""Broken networks, for real: packets are dropped on the loopback of a network namespace that the test made, between
the manager and one machine or between two machines, in one direction or both.
"""

import contextlib
import os
import re
import shutil
import sys
import time

from harness import Failed, run, say, until
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


def port_towards_manager(cluster, node):
    """The local port of a machine's connection to the manager: its QEMU makes it."""
    pid = cluster.qemu_pids()[node]
    listed = run("ss", "-Htnp", "state", "established", "dport", "=", f":{cluster.port}").stdout
    for line in listed.splitlines():
        if f"pid={pid}," in line:
            return int(re.search(r":(\d+)\s+\S+:\d+", line).group(1))
    raise Failed(f"node {node} (process {pid}) has no connection to the manager:\n{listed}")


def to_manager(cluster, port):
    return ("-p", "tcp", "--sport", str(port), "--dport", str(cluster.port))


def from_manager(cluster, port):
    return ("-p", "tcp", "--sport", str(cluster.port), "--dport", str(port))


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


def a_third_of_all_packets_is_lost_and_nothing_happens(cluster, desk):
    incidents = cluster.newest_incident()
    lossy = ("-m", "statistic", "--mode", "random", "--probability", "0.3")
    with dropped(("-p", "tcp", "--dport", str(cluster.port), *lossy), ("-p", "tcp", "--sport", str(cluster.port), *lossy)):
        time.sleep(30)
    time.sleep(2)
    claim(cluster.newest_incident() == incidents, f"a failover without need: {cluster.incidents(after=incidents)}")
    until(lambda: desk.sampler.moving(20) is not None, 30, "the counter goes on")
    cluster.settle()


HEART = (
    what_a_node_says_is_lost_for_six_seconds_and_nothing_happens,
    what_a_node_is_told_is_lost_for_six_seconds_and_nothing_happens,
)
LONG = (
    the_way_between_two_nodes_is_cut_and_nobody_is_replaced,
    a_third_of_all_packets_is_lost_and_nothing_happens,
)
