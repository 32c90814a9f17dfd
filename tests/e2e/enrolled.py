"""Machines enrolled by hand: agents on computers that the manager did not make and cannot destroy. They register, are
shown and serve a terminal; what a lost one did goes on elsewhere, a session only when its lease proves that it stands
still. They make their keys themselves, with a one-time key. What ends on them is noticed as fast as it is where nothing
is emulated: those figures are printed. No virtual machine is made here: each computer is a tree of processes with mounts and a control group of its
own, which ends all at once, as by a power cut.

    enrolled.py [--only TEXT]
"""

import contextlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

from bad_input import claim
from desk import Desk, closed_incident
from detection import Figures
from harness import BUILD, PROJECT, Cluster, Failed, free_ports, now_s, run, say, toml_table, until
from run import hold, options_of

PROGRAMS = ("understudy-agent", "understudy-window", "understudy-session-init")
BOXES = ("box-a", "box-b", "box-c")
# What cannot be checkpointed outside of the guest image is started afresh.
XTERM = {"name": "xterm", "title": "Terminal", "command": ["xterm"], "protection": "restart"}
TIMING = {"heartbeat_ms": 500, "silence_ms": 2000, "lease_ms": 6000}

# A computer. $1 is a folder with its programs and agent.toml, and with its disk: what it keeps when its power goes.
COMPUTER = """set -e
mount --make-rprivate /
mount -t tmpfs computer /mnt
cp -r "$1"/. /mnt
mount --bind "$1"/state /mnt/state
chmod 1777 /mnt
mount --move /mnt /tmp
/tmp/bin/understudy-agent --config /tmp/agent.toml & wait
"""


class Wire:
    """The only way from one computer to the manager, to be cut and mended."""

    def __init__(self, port, to):
        self.to = to
        self._pairs = []
        self._cut = False
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near):
        with near:
            if self._cut:
                return
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.to)) as far:
                for end in (near, far):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._carry(near, far)

    def _carry(self, *ends):
        while not self._cut:
            for end in select.select(ends, [], [], 0.1)[0]:
                data = end.recv(65536)
                if not data:
                    return
                ends[end is ends[0]].sendall(data)

    def cut(self):
        self._cut = True

    def mend(self):
        self._cut = False

    def close(self):
        self._cut = True
        self._listener.close()


class Computer:
    """`name` is enrolled by the cluster's configuration."""

    def __init__(self, cluster, name, first_port):
        self.cluster, self.name = cluster, name
        self.folder = cluster.dir / name
        self.key = cluster.dir / f"{name}.key"
        self.wire_port, self.door_port = first_port, first_port + 1
        self.group = control_groups() / f"understudy-e2e-{os.getpid()}-{name}"
        self.wire = None
        self._process = None

    def make_key(self):
        """A one-time key; what is printed with it is for the manager's configuration."""
        said = run(BUILD / "client/command/understudy", "keys", "one-time", "--for", 30, "--out", self.key).stdout
        self._given = "".join(line + "\n" for line in said.splitlines() if re.match("one_time_key|valid_until", line))

    def peer(self):
        door = f"127.0.0.1:{self.door_port}"
        return toml_table("[[peer]]", {"name": self.name, "role": "agent", "host": "here", "slots": 4, "door": door}).rstrip() + "\n" + self._given + "\n"

    def install(self):
        (self.folder / "bin").mkdir(parents=True)
        (self.folder / "state").mkdir()
        for name in PROGRAMS:
            shutil.copy(next((BUILD / "nodes").rglob(name)), self.folder / "bin")
        shutil.copytree(PROJECT / "nodes" / "presentation" / "desktop", self.folder / "share" / "desktop")

    def configure(self, number):
        text = toml_table("[manager]", {"endpoint": f"tcp://127.0.0.1:{self.wire_port}",
                                        "public_key": self.cluster.public_half(self.cluster.state / "manager.keys")})
        text += self.key.read_text(encoding="utf-8")
        text += toml_table("[node]", {"id": number, "door_port": self.door_port, "door_address": "127.0.0.1", "host_name": self.name})
        text += toml_table("[directories]", {"state": "/tmp/state", "run": "/tmp/run", "programs": "/tmp", "cgroup": str(self.group)})
        text += toml_table("[sessions]", {"user": "nobody"}) + toml_table("[log]", {"level": "debug"})
        (self.folder / "agent.toml").write_text(text, encoding="utf-8")

    def power_on(self):
        self.group.mkdir(exist_ok=True)
        self.wire = self.wire or Wire(self.wire_port, self.cluster.port)
        with open(self.cluster.results / f"{self.name}.log", "ab") as log:
            self._process = subprocess.Popen(["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", COMPUTER, "computer",
                                              str(self.folder)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def power_off(self):
        """Everything on it ends at once; returns the moment right before."""
        moment = now_s()
        self._process.kill()
        self._process.wait()
        return moment

    def log(self):
        return (self.cluster.results / f"{self.name}.log").read_text(encoding="utf-8", errors="replace")

    def process(self, name):
        """The newest of that name on it."""
        groups = [Path(folder) / "cgroup.procs" for folder, _, _ in os.walk(self.group)]
        numbers = [int(line) for group in groups for line in group.read_text(encoding="ascii").split()]
        return max(number for number in numbers if Path(f"/proc/{number}/comm").read_text(encoding="utf-8").strip() == name)

    def sessions(self):
        """The control groups of what runs there."""
        return sorted((self.group / "understudy").glob("session-*"))

    def frozen(self):
        return all("frozen 1" in (group / "cgroup.events").read_text(encoding="ascii") for group in self.sessions())

    def remove(self):
        if self._process is not None and self._process.poll() is None:
            self.power_off()
        if self.wire is not None:
            self.wire.close()
        if not self.group.exists():
            return
        (self.group / "cgroup.kill").write_text("1", encoding="ascii")
        until(lambda: "populated 0" in (self.group / "cgroup.events").read_text(encoding="ascii"), 10, f"nothing of {self.name} runs")
        for folder, _, _ in os.walk(self.group, topdown=False):
            os.rmdir(folder)


def control_groups():
    """Where the cgroup v2 tree is."""
    for line in Path("/proc/mounts").read_text(encoding="ascii").splitlines():
        if line.split()[2] == "cgroup2":
            return Path(line.split()[1])
    raise Failed("no cgroup v2 tree is mounted")


class Enrolled(Cluster):
    """A cluster with computers that were enrolled by hand."""

    def __init__(self, name, computers=BOXES, **settings):
        super().__init__(name, **{"min_idle": 0, "max_idle": 0, "max_total": 1, "presentation_backups": 0, "execution_backups": 0,
                                  "applications": (XTERM,), "timing": TIMING, **settings})
        ports = free_ports(2 * len(computers))
        self.computers = {name: Computer(self, name, ports + 2 * i) for i, name in enumerate(computers)}

    def prepare(self):
        for computer in self.computers.values():
            computer.make_key()
            computer.install()
        super().prepare()

    def configuration(self):
        return super().configuration() + "".join(computer.peer() for computer in self.computers.values())

    def close(self):
        for computer in self.computers.values():
            with contextlib.suppress(OSError, Failed):
                computer.remove()
        super().close()

    def begin(self):
        """From nothing to computers that wait for work."""
        self.prepare()
        self.start_manager()
        for node in self.view()["nodes"]:
            if node["kind"] == "static":
                self.computers[node["name"]].configure(node["id"])
        for computer in self.computers.values():
            computer.power_on()
        until(lambda: len(self.idle()) == len(self.computers), 30, lambda: f"all of them register: {[(n['name'], n['state'], n['health']) for n in self.view()['nodes']]}")

    def begin_work(self, desk):
        """From nothing to a desktop with a terminal window on it, with one computer to spare and no virtual machine."""
        self.begin()
        self.set_pool(max_total=0)
        desk.connect()
        desk.probe.wait_event("picture", 60)
        self.settle(60)
        desk.type_into("xterm", "echo typed on a computer of somebody\n")

    def named(self, number):
        return self.computers[self.node(number)["name"]]

    def idle(self):
        return {n["id"] for n in self.view()["nodes"] if n["state"] == "idle" and n["health"] == "healthy"}


def they_register_are_shown_and_serve_and_a_desktop_moves_to_the_one_that_is_left():
    with Enrolled("enrolled") as cluster:
        desk = Desk(cluster)
        cluster.begin_work(desk)
        nodes = {n["name"]: n for n in cluster.view()["nodes"]}
        claim(set(nodes) == set(BOXES) and all(n["kind"] == "static" for n in nodes.values()), f"three static nodes are shown: {nodes}")
        roles = sorted(n["role"] for n in nodes.values())
        claim(roles == ["execution", "none", "presentation"], f"one presents, one executes, one is spare: {roles}")
        say(f"  checkpoints: {nodes['box-a']['can_checkpoint']} ({nodes['box-a']['checkpoint_reason']})")
        desk.keep("served")
        terminal, spare = cluster.terminal(), cluster.idle()
        lost = cluster.named(terminal["presentation"]["primary"])
        moment = lost.power_off()
        desk.probe.wait_event("picture", 60, epoch=terminal["epoch"] + 1)
        say(f"  the desktop of {lost.name}, which lost its power, is back after {now_s() - moment:.1f} s")
        claim({cluster.terminal()["presentation"]["primary"]} == spare, f"the spare one should present it: {cluster.terminal()['presentation']}, spare {spare}")
        cluster.settle(60)
        desk.type_into("xterm", "echo still here\n")
        lost.power_on()
        until(cluster.idle, 60, lambda: f"it comes back, and waits for work: {cluster.view()['nodes']}")
        desk.leave()  # or it would come again
        cluster.command("release", "demo", "--reason", "test")
        until(lambda: len(cluster.idle()) == len(BOXES), 60, lambda: f"all of them are returned: {cluster.view()['nodes']}")
        claim(not any(computer.sessions() for computer in cluster.computers.values()), "nothing of the session is left on any of them")


def lease_lasts_until(cluster, number):
    """A moment at which the lease that a computer holds now is not over yet, or just."""
    asked = now_s()
    return asked + cluster.node(number)["lease_ms"] / 1000


def session_leaves(cluster, lease_until):
    """Waits until the session has another primary; claims that it had none before the lease was over."""
    old = cluster.session("xterm")["primary"]
    until(lambda: cluster.session("xterm")["primary"] != old, 60, lambda: f"the session goes on elsewhere: {cluster.session('xterm')}", every=0.02)
    late = now_s() - lease_until
    claim(late >= 0, f"it was moved {-late:.2f} s before the lease was over")
    say(f"  it goes on elsewhere within {late:.1f} s of the end of its lease")


def a_session_leaves_a_lost_one_only_when_its_lease_is_over():
    with Enrolled("enrolled-lost") as cluster:
        desk = Desk(cluster)
        cluster.begin_work(desk)
        session, before = cluster.session("xterm"), cluster.newest_incident()
        lost = cluster.named(session["primary"])
        lease = lease_lasts_until(cluster, session["primary"])
        lost.power_off()
        session_leaves(cluster, lease)
        incident = closed_incident(cluster, before, "execution", application="xterm")
        say(f"  proof: {incident['proof']}; {incident['decision']}; lost: {incident['lost']}")
        claim("lease" in incident["proof"], f"the proof should be its lease: {incident['proof']}")
        cluster.settle(60)
        until(lambda: desk.looks_like_itself("xterm"), 60, "the application that was started afresh is seen")
        desk.type_into("xterm", "echo on we go\n")
        desk.leave()


def a_session_stands_still_before_it_leaves_one_that_only_the_manager_does_not_hear():
    with Enrolled("enrolled-cut-off") as cluster:
        desk = Desk(cluster)
        cluster.begin_work(desk)
        session, before = cluster.session("xterm"), cluster.newest_incident()
        unheard = cluster.named(session["primary"])
        lease = lease_lasts_until(cluster, session["primary"])
        unheard.wire.cut()
        claim(unheard.sessions() and not unheard.frozen(), "it goes on while its lease lasts")
        session_leaves(cluster, lease)
        claim(unheard.frozen(), "when it starts elsewhere the old one should stand still")
        incident = closed_incident(cluster, before, "execution", application="xterm")
        say(f"  {incident['evidence']}; proof: {incident['proof']}")
        claim("lease" in incident["proof"], f"the proof should be its lease: {incident['proof']}")
        unheard.wire.mend()
        until(lambda: not unheard.sessions(), 60, lambda: f"heard again, it lets go of what is not its any more: {unheard.sessions()}")
        until(cluster.idle, 60, "it waits for work")
        time.sleep(2 * TIMING["heartbeat_ms"] / 1000)
        claim(cluster.session("xterm")["primary"] != session["primary"], "the session stays where it is")
        desk.leave()


def a_one_time_key_names_one_key_and_keys_are_replaced_without_an_outage():
    with Enrolled("enrolled-keys", computers=("box-a", "box-b")) as cluster:
        desk = Desk(cluster)
        cluster.begin_work(desk)
        computer = cluster.named(cluster.session("xterm")["primary"])
        number, before = cluster.session("xterm")["primary"], cluster.newest_incident()

        def kept():
            return tomllib.loads((cluster.state / "keys" / f"{number}.toml").read_text(encoding="utf-8"))

        until(lambda: kept()["key"] != kept()["given"], 10, lambda: f"it speaks with a key of its own: {kept()}")
        first = kept()["key"]
        agent = next(int(process.name) for process in Path("/proc").iterdir() if process.name.isdigit() and agent_of(process, computer))
        os.kill(agent, signal.SIGHUP)
        until(lambda: "this agent has a new key" in computer.log() and kept()["key"] != first, 20, lambda: f"it replaces its key: {computer.log()[-800:]}")
        time.sleep(3 * TIMING["heartbeat_ms"] / 1000)
        claim(cluster.newest_incident() == before, f"nothing should come of it: {cluster.incidents(after=before)}")
        claim(cluster.node(number)["health"] == "healthy", f"it should be well: {cluster.node(number)}")
        claim(f"the connection of node {number} broke" not in cluster.manager_log.read_text(encoding="utf-8"), "no connection should be lost with a key")
        desk.type_into("xterm", "echo another key\n")
        desk.leave()


def agent_of(process, computer):
    """Whether that is the agent of this computer."""
    with contextlib.suppress(OSError):
        words = (process / "cmdline").read_bytes().split(b"\0")
        return words[0] == b"/tmp/bin/understudy-agent" and str(computer.group) in (process / "root/tmp/agent.toml").read_text(encoding="utf-8")
    return False


def ends_are_detected_within_milliseconds_where_nothing_is_emulated():
    with Enrolled("enrolled-detected", timing={**TIMING, "crash_limit": 1000}) as cluster:
        desk = Desk(cluster)
        cluster.begin_work(desk)
        for name in ("xterm", "Xvnc"):
            figures = Figures(f"{name}, not emulated", "process")
            for _ in range(10):
                incidents, session = cluster.newest_incident(), cluster.session("xterm")
                process = cluster.named(session["primary"]).process(name)
                before = now_s()
                os.kill(process, signal.SIGKILL)
                after = now_s()
                incident = closed_incident(cluster, incidents, "execution", application="xterm")
                cluster.settle(60)
                figures.add(incident, before, after, now_s())
            figures.tell()
        desk.leave()


CLAIMS = (
    a_one_time_key_names_one_key_and_keys_are_replaced_without_an_outage,
    ends_are_detected_within_milliseconds_where_nothing_is_emulated,
    they_register_are_shown_and_serve_and_a_desktop_moves_to_the_one_that_is_left,
    a_session_leaves_a_lost_one_only_when_its_lease_is_over,
    a_session_stands_still_before_it_leaves_one_that_only_the_manager_does_not_hear,
)


def main():
    chosen = options_of(__doc__).parse_args()
    return hold(chosen.only, lambda results: results.each(CLAIMS))


if __name__ == "__main__":
    sys.exit(main())
