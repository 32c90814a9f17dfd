"""Hosts that are lost, lied about and switched off, for real: two hosts with a libvirtd of their own, one of them with a
BMC to which Debian's fence_ipmilan talks. What administrators use, up to the program behind the power button.

    tests/hosts/with-hosts 2 tests/e2e/hosts.py [--only TEXT]
"""

import contextlib
import os
import re
import signal
import sys
import time
from pathlib import Path

from bmc import Bmc, descendants_named
from desk import Desk, closed_incident, phases_ms
from doors import GOODBYE_BYTES, HANDSHAKE, knock
from hand import WithHands
from harness import DEMO_APPLICATIONS, Cluster, now_s, run, say, until
from run import hold, options_of
from scenarios import claim, one_application_is_seen_and_typing_reaches_it
from wiretap import Wiretap

CLOCK_WRAPS_S = 45  # a guest that stands still so long sees two seconds: its kernel's counter wraps after 43
LEASE_S = 30  # long, so that nobody takes an expired lease for a confirmed power-off
SMALL = {"applications": DEMO_APPLICATIONS[:1], "presentation_backups": 1, "execution_backups": 1, "min_idle": 0, "max_idle": 1,
         "separation": "host", "timing": {"lease_ms": LEASE_S * 1000, "inventory_interval_ms": 5000}}


class TwoHosts(Cluster):
    """The hosts of tests/hosts/with-hosts."""

    def __init__(self, name, **settings):
        self.addresses = dict(line.split() for line in os.environ["UNDERSTUDY_HOSTS"].splitlines())
        self.folders = Path(os.environ["UNDERSTUDY_HOSTS_DIR"])
        super().__init__(name, address=os.environ["UNDERSTUDY_ADDRESS"], hosts=tuple(
            {"name": host, "uri": f"qemu+tcp://{address}/system", "address": address} for host, address in self.addresses.items()), **settings)

    def qemu_pids(self):
        """All there are in this PID namespace, which with-hosts has made."""
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes() if entry.name.isdigit() else b""
                name = re.search(rb"guest=us-(\d+)", words)
                if b"qemu" in words.split(b"\0")[0] and name:
                    found[int(name.group(1))] = int(entry.name)
        return found

    def on(self, host):
        """Process numbers of the machines that truly run on it."""
        network = os.readlink(f"/proc/{self.daemon(host)}/ns/net")
        there = {}
        for node, pid in self.qemu_pids().items():
            with contextlib.suppress(FileNotFoundError):  # ended since
                if os.readlink(f"/proc/{pid}/ns/net") == network:
                    there[node] = pid
        return there

    def daemon(self, host):
        return int((self.folders / host / "pid").read_text(encoding="ascii"))

    def plug(self, host, state):
        run("ip", "link", "set", f"v{host}", state)

    def host(self, name):
        return next(h for h in self.view()["hosts"] if h["name"] == name)

    def close(self):
        for host in self.addresses:
            with contextlib.suppress(OSError):
                os.kill(self.daemon(host), signal.SIGCONT)
        super().close()


class BesideBmc(WithHands, TwoHosts):
    """The first host has a BMC."""

    def __init__(self, name, **settings):
        super().__init__(name, **settings)
        self.behind_bmc, self.other = list(self.addresses)[:2]
        self.bmc = Bmc(self.dir / "bmc", self.folders / self.behind_bmc)
        self.settings["hosts"][0].update({**self.bmc.options(), "fence_limit_ms": 12000, "fence_attempts": 1})

    def hand_addresses(self):
        return (os.environ["UNDERSTUDY_ADDRESS"], os.environ["UNDERSTUDY_ADDRESS"])

    def bring_to(self, desk, host):
        """The session runs there afterwards, with its backup elsewhere."""
        self.settle()
        if self.node(self.session("xterm")["primary"])["host"] != host:
            before = self.newest_incident()
            self.command("failover", "--session", str(self.session("xterm")["id"]), "--reason", f"to {host}")
            closed_incident(self, before, "execution")
            self.settle()
        desk.await_checkpoint("xterm")

    def close(self):
        super().close()
        self.bmc.close()


def a_host_that_is_heard_no_more_is_switched_off_through_its_bmc_and_that_is_the_proof(cluster, desk):
    host = cluster.behind_bmc
    cluster.bring_to(desk, host)
    machines = cluster.on(host)
    before = cluster.newest_incident()
    cluster.plug(host, "down")  # its cable: nobody on it is heard, its hypervisor does not answer, and everything runs
    cut = now_s()
    seen, value, _ = desk.sampler.went_back(cut, 90)
    incident = closed_incident(cluster, before, "execution", application="xterm")
    say(f"  the window is back after {seen - cut:.2f} s, and counts on from {value}: " +
        ", ".join(f"{name} {ms / 1000:.1f} s" for name, ms in phases_ms(incident).items()))
    say(f"  proof: {incident['proof']}; {incident['decision']}; lost: {incident['lost']}")
    claim("switched off, confirmed" in incident["proof"], f"the fence agent's word should be the proof: {incident['proof']}")
    claim(seen - cut < LEASE_S, f"it should not have waited for the lease: {seen - cut:.1f} s")
    claim("set power 0" in cluster.bmc.asked(), f"the BMC was told {cluster.bmc.asked()}")
    left = set(machines) & set(cluster.on(host))
    claim(not left, f"machines outlived the power: {left}")
    claim(cluster.host(host)["fence"]["state"] == "off", f"the host should be shown as off: {cluster.host(host)['fence']}")
    desk.sampler.moving()


def a_bmc_that_is_stuck_or_hangs_is_quoted_and_leaves_no_children(cluster, desk):
    host = cluster.behind_bmc

    def refused(words):
        began = now_s()
        cluster.command("fence", host, "--reason", "test")
        fence = until(lambda: failing(cluster.host(host)["fence"], words), 60, lambda: f"it is named as {words}: {cluster.host(host)['fence']}")
        say(f"  after {now_s() - began:.1f} s: {fence['error']}")
        until(lambda: not descendants_named("fence_ipmilan") and not descendants_named("ipmitool"), 10,
              lambda: f"no child is left: {descendants_named('fence_ipmilan')} {descendants_named('ipmitool')}")

    cluster.bmc.obeys("stuck")
    refused("[Tt]imed out waiting to power OFF")
    cluster.bmc.obeys("well")
    cluster.bmc.pause()
    refused("Connection timed out")  # its own patience; ours is shown with fence_dummy in tests/contract
    cluster.bmc.go_on()
    until(lambda: not cluster.on(host), 60, lambda: f"what lived there was destroyed by its hypervisor meanwhile: {cluster.on(host)}")
    cluster.command("fence", host, "--reason", "with a BMC that works")
    until(lambda: cluster.host(host)["fence"]["state"] == "off", 30, lambda: f"it is off: {cluster.host(host)['fence']}")
    desk.sampler.moving()


def failing(fence, words):
    return fence if fence["state"] == "failing" and re.search(words, fence["error"]) else None


# ---------------------------------------------------------------------- paused beyond its lease

def a_machine_woken_behind_its_lease_is_replaced_once_and_serves_nobody(cluster, desk):
    """It stands still for longer than its lease, and nobody can destroy it: its hypervisor stands still as well. The
    manager lives, so another serves when it wakes up. What its door sends and whom it lets in is taken from the cable."""
    host = cluster.other
    with contextlib.closing(Wiretap(f"v{host}")) as tap:
        away_from(cluster, host)
        cluster.bring_to(desk, cluster.behind_bmc)
        cluster.bring_to(desk, host)  # so that the desktop opens a stream to it now
        before = cluster.newest_incident()
        session = cluster.session("xterm")
        node = session["primary"]
        door = door_of(cluster, node)
        claim(tap.sent_by(door, 0), "the window's stream should have passed the cable")
        claim(not tap.first_lines(door, b"UNDERSTUDY/"), "no ticket should be readable on the cable")
        machine = cluster.on(host)[node]
        with paused(cluster.daemon(host)):
            with paused(machine):
                stopped = now_s()
                seen, _, _ = desk.sampler.went_back(stopped, 120)
                incident = closed_incident(cluster, before, "execution", application="xterm")
                say(f"  replaced after {seen - stopped:.1f} s; proof: {incident['proof']}")
                claim("lease" in incident["proof"] and seen - stopped >= LEASE_S, f"the lease should be the proof, and be over: {incident['proof']}")
                claim(cluster.session("xterm")["epoch"] == session["epoch"] + 1, "replaced once")
                time.sleep(max(0, stopped + CLOCK_WRAPS_S - now_s()))
            look_at_the_woken(cluster, desk, tap, node, door, now_s())
    until(lambda: node not in cluster.on(host), 60, "it is destroyed once its hypervisor answers")
    cluster.settle()
    claim(cluster.session("xterm")["epoch"] == session["epoch"] + 1, "and it stays at that")


def look_at_the_woken(cluster, desk, tap, node, door, woken):
    """Ten seconds of it: it lets nobody in, shows nothing, and its session does not go on."""
    said = set()
    used = []
    ours = set()
    while now_s() < woken + 10:
        said.add(knock(door, ours))
        used.append(int(cluster.hands.do(node, CPU_TICKS_OF_SESSIONS)[2]))
        time.sleep(0.5)
    say(f"  the woken one's door, asked for a window: {sorted(said)}; its session used {used[-1] - used[0]} ticks of processor time")
    claim(all(answer.startswith("NO") for answer in said), f"the door should be closed: {said}")
    claim(used[-1] == used[0], f"the session should stand still: {used}")
    # What our own questions were answered is no frame, nor is a goodbye, nor its part of a handshake: whoever knocked while it
    # stood still has left. Everything else that it sent since would be one.
    frames = [s for s in tap.sent_by(door, woken) if s.destination not in ours and s.length > GOODBYE_BYTES and not s.head.startswith(HANDSHAKE)]
    say(f"  since it woke its door sent {len(tap.sent_by(door, woken))} segments, {len(frames)} of them pictures; "
        f"before it stopped {sum(s.source == door for s in tap.segments)} were recorded in all")
    claim(not frames, f"late pictures: {[(round(s.moment - woken, 3), s.destination, s.length) for s in frames[:5]]}")
    keys = [s for s in tap.segments if s.destination == door and s.moment >= woken and s.source not in ours and s.length > GOODBYE_BYTES]
    claim(not keys, f"somebody talks to it: {[(s.source, s.length, s.head[:20]) for s in keys[:5]]}")
    desk.type_into("xterm", "echo only the new one hears this\n")
    desk.sampler.moving()


CPU_TICKS_OF_SESSIONS = "answer=$(for p in $(pgrep -u 1000); do cat /proc/$p/stat; done 2>/dev/null | awk '{n += $14 + $15} END {print n + 0}')"


def door_of(cluster, node):
    host, port = cluster.node(node)["door"].rsplit(":", 1)
    return (host, int(port))


@contextlib.contextmanager
def paused(process):
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGCONT)


def away_from(cluster, host):
    """The desktop is at another host, so that its streams pass the cable."""
    view = cluster.settle()
    if cluster.node(cluster.terminal(view=view)["presentation"]["primary"], view)["host"] == host:
        before = cluster.newest_incident()
        cluster.command("failover", "--terminal", "demo", "--reason", f"away from {host}")
        closed_incident(cluster, before, "presentation")
        cluster.settle()


CLAIMS = (
    a_machine_woken_behind_its_lease_is_replaced_once_and_serves_nobody,
    a_bmc_that_is_stuck_or_hangs_is_quoted_and_leaves_no_children,
)
# It does not come back: afterwards there is one host.
LOSSES = (a_host_that_is_heard_no_more_is_switched_off_through_its_bmc_and_that_is_the_proof,)


def main():
    chosen = options_of(__doc__).parse_args()
    if "UNDERSTUDY_HOSTS" not in os.environ:
        sys.exit("cannot run: there are no hosts; run it as tests/hosts/with-hosts 2 tests/e2e/hosts.py")

    def claims(results):
        for name, held in (("hosts", CLAIMS), ("lost-host", LOSSES)):
            results.group(name, one_application_is_seen_and_typing_reaches_it, held, cluster=BesideBmc, **SMALL)

    return hold(chosen.only, claims)


if __name__ == "__main__":
    sys.exit(main())
