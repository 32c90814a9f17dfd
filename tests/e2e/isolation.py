"""Two terminals on one execution node: an application of one tries to get at the other's screen, files and processes,
and at doors without TLS and a ticket; then at what listens on the machine that the virtual machine runs on. Each attempt is
typed into a real terminal window, and what the system answered is checked word by word where it was said; the verdict is
shown there as a block of colour, green or red, and read here. The rights of the QEMUs are looked at from outside.

    isolation.py [--only TEXT]
"""

import contextlib
import json
import os
import re
import shlex
import socket
import sys
import time

import run
import scenarios
from desk import Desk
from harness import DEMO_APPLICATIONS, Cluster, image_dir, say, until
from harness import run as run_program
from scenarios import claim

GREEN, RED = (0, 205, 0), (205, 0, 0)  # xterm's colours 2 and 1
TREE = "/var/lib/understudy/sessions"
FIRST_ACCOUNT = 1879048192  # see manager/adapters/hypervisor/qemu_account.hpp
SETTINGS = {"terminals": ("one", "two"), "applications": DEMO_APPLICATIONS[:1], "execution_backups": 0,
            "presentation_backups": 0, "min_idle": 0, "max_idle": 1, "slots": 8}

# w COMMAND WORDS: says what the command said, behind a block that is green when it had these words in it.
JUDGE = ("clear; w() { o=$(eval \"$1\" 2>&1); case \"$o\" in *\"$2\"*) k=2;; *) k=1;; esac; "
         "printf \"\\e[4${k}m      \\e[0m %s\\n\" \"$o\"; }\n")
CONNECT = "perl -MSocket -e 'socket(S,PF_UNIX,SOCK_STREAM,0); connect(S,sockaddr_un({})) or die $!; print q(in)'"


def attempts(other):
    """What is tried against the session of that number, and the words that the system has to say to it."""
    root = f"{TREE}/{other}/root-1"
    yield "it judges rightly", "cat /etc/hostname /nowhere", "No such file"
    yield "list the trees of sessions", f"ls {TREE}", "Permission denied"
    yield "read a file", f"cat {root}/home/session/secret", "Permission denied"
    yield "reach the screen by its socket", CONNECT.format(f"q({root}/run/understudy/rfb)"), "Permission denied"
    yield "reach the X server by its socket", CONNECT.format(f"q({root}/tmp/.X11-unix/X1)"), "Permission denied"
    yield "reach an X server by an abstract name", CONNECT.format("chr(0).q(/tmp/.X11-unix/X1)"), "Connection refused"
    yield "reach an X server over the network", "DISPLAY=127.0.0.1:1 xprop -root", "unable to open display"
    yield "find a process", "echo $(cat /proc/[0-9]*/cmdline | grep -ac 7[7]77) found", "0 found"
    yield ("reach a process by signals", "n=0; for p in $(seq 2 3000); do kill -0 $p && [ ! -d /proc/$p ] && n=$((n+1)); done 2>/dev/null; "
           "echo $n reached", "0 reached")
    yield "open a door in the clear", "exec 3<>/dev/tcp/127.0.0.1/5900; echo UNDERSTUDY/1 window x >&3; timeout 5 cat <&3 | wc -c", "0"


def two_terminals_share_an_execution_node(cluster, desks):
    cluster.prepare()
    cluster.start_manager()
    for desk in desks:
        desk.connect()
        cluster.first_machine()
        desk.probe.wait_event("picture", 60)
        cluster.settle(terminal=desk.terminal)
        until(lambda d=desk: scenarios.drawn(d, "xterm"), 60, f"the application of {desk.terminal} draws its window")
    view = cluster.view()
    nodes = {cluster.session("xterm", desk.terminal, view)["primary"] for desk in desks}
    claim(len(nodes) == 1, f"both should be on one node, they are on {nodes}")


def neither_gets_at_the_others_screen_files_and_processes(cluster, desks):
    thief, victim = desks
    victim.type_into("xterm", "echo a secret > ~/secret; chmod 644 ~/secret; sleep 7777 & cat ~/secret\n")
    other = cluster.session("xterm", victim.terminal)["id"]
    try_all(thief, attempts(other))


def try_all(thief, all_attempts):
    thief.type_into("xterm", "echo now\n")  # something that the next line clears
    thief.type_into("xterm", JUDGE)  # the window has the focus from now on
    for what, command, words in all_attempts:
        thief.probe.ask("type", text="clear\n")
        until(lambda: verdict(thief) is None, 20, "the window is cleared")
        time.sleep(0.5)
        thief.probe.ask("type", text=f"w {shlex.quote(command)} {shlex.quote(words)}\n")
        seen = until(lambda: verdict(thief), 60, f"there is an answer to: {what}")
        thief.keep(f"attempt-{what.replace(' ', '-')}")
        say(f"  {what}: {'as it should' if seen == GREEN else 'NOT as it should'}")
        claim(seen == GREEN, f"{what}: the answer to {command!r} should have {words!r} in it; see the picture")


def connecting(place):
    host, port = place.rsplit(":", 1)
    return f"exec 3<>/dev/tcp/{host}/{port} && echo connected; exec 3>&-"


def a_guest_reaches_the_manager_and_doors_of_its_host_and_nothing_else_there(cluster, desks):
    thief = desks[0]
    mine = cluster.session("xterm", thief.terminal)["primary"]
    door = next(node["door"].replace("127.0.0.1", "10.0.2.2") for node in cluster.view()["nodes"] if node["id"] != mine and node["door"])
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        heard = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        heard.bind(("127.0.0.1", 0))
        port, udp = listener.getsockname()[1], heard.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()  # others on this machine reach it
        listener.accept()[0].close()
        try_all(thief, (
            ("reach another program on the host", connecting(f"10.0.2.2:{port}"), "Connection refused"),
            ("send something to another program on the host", f"echo x >/dev/udp/10.0.2.2/{udp}; echo sent", "sent"),
            ("reach the manager", connecting(f"10.0.2.2:{cluster.port}"), "connected"),
            ("reach the door of another machine", connecting(door), "connected"),
        ))
        listener.settimeout(1)
        heard.settimeout(1)
        for what, hear in (("a connection", listener.accept), ("a datagram", lambda: heard.recv(10))):
            with contextlib.suppress(TimeoutError):
                hear()
                claim(False, f"{what} of a guest arrived at a program that is none of its business")


def the_windows_still_follow_to_another_machine(cluster, desks):
    """With the filter on: streams between guests are new ones."""
    node = cluster.session("xterm", desks[1].terminal)["primary"]
    incidents = max((i["id"] for i in cluster.incidents()), default=0)
    cluster.kill_instance(node)
    until(lambda: cluster.incidents(after=incidents), 30, "the loss is noticed")
    for desk in desks:
        cluster.settle(240, terminal=desk.terminal)
        until(lambda d=desk: scenarios.drawn(d, "xterm"), 60, f"the application of {desk.terminal} draws its window again")
        claim(cluster.session("xterm", desk.terminal)["primary"] != node, "the session is where it was")


def command_of(pid):
    with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
        return file.read().split("\0")


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def a_qemu_has_an_account_of_its_own_no_rights_and_few_calls(cluster, _desks):
    users = []
    for node, pid in cluster.qemu_pids().items():
        status = status_of(pid)
        words = command_of(pid)
        sandbox = words[words.index("-sandbox") + 1]
        say(f"  us-{node}: uid {status['Uid'].split()}, groups {status['Groups'].split()}, CapEff {status['CapEff']}, "
            f"NoNewPrivs {status['NoNewPrivs']}, Seccomp {status['Seccomp']}, {sandbox}")
        users.append(status["Uid"].split()[0])
        claim(set(status["Uid"].split()) == {users[-1]} and int(users[-1]) >= FIRST_ACCOUNT, f"us-{node} runs as {status['Uid']}")
        claim(int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0, f"us-{node} has capabilities: {status['CapPrm']}")
        claim(status["NoNewPrivs"] == "1" and status["Seccomp"] == "2", f"us-{node} has no filter of system calls")
        for denied in ("obsolete", "elevateprivileges", "spawn", "resourcecontrol"):
            claim(f"{denied}=deny" in sandbox, f"us-{node}: {sandbox}")
    claim(len(users) >= 2 and len(set(users)) == len(users), f"each of several machines should have an account, they are {users}")


def a_qemu_is_bounded_by_its_flavour(cluster, _desks):
    disk = (image_dir() / "base.img").stat().st_size
    for node, pid in cluster.qemu_pids().items():
        words = command_of(pid)
        memory, processors = words[words.index("-m") + 1], words[words.index("-smp") + 1]
        with open(f"/proc/{pid}/limits", encoding="ascii") as file:
            largest = int(re.search(r"Max file size +(\d+)", file.read()).group(1))
        image = json.loads(run_program("qemu-img", "info", "--force-share", "--output=json", cluster.state / "instances" / str(node) / "disk.qcow2").stdout)
        say(f"  us-{node}: -m {memory}, -smp {processors}, disk {image['virtual-size']}, largest file {largest}")
        size = int(re.search(r"\d+", memory).group()) // (1024 if memory.endswith("k") else 1)
        claim(size == cluster.settings["memory_mib"], f"us-{node} has {memory} of memory")
        claim(processors.split(",")[0] == str(cluster.settings["vcpus"]), f"us-{node} has {processors} processors")
        claim(image["virtual-size"] == disk, f"us-{node} has a disk of {image['virtual-size']}, the image has {disk}")
        claim(disk < largest < 1.2 * disk, f"us-{node} may write files of {largest}")


def the_account_of_a_qemu_opens_nothing_of_another(cluster, _desks):
    (own, pid), (other, _) = list(cluster.qemu_pids().items())[:2]
    user = status_of(pid)["Uid"].split()[0]

    def opens(path, mode=os.O_RDONLY):
        code = "import os, sys; os.close(os.open(sys.argv[1], int(sys.argv[2])))"
        return run_program("setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "/usr/bin/python3", "-c", code, path, mode, check=False).returncode == 0

    instances = cluster.state / "instances"
    claim(opens(instances / str(own) / "disk.qcow2", os.O_RDWR), "it should open its own disk, or nothing is shown here")
    claim(opens(image_dir() / "base.img") and not opens(image_dir() / "base.img", os.O_RDWR), "it should read the image and not change it")
    for name in ("disk.qcow2", "seed.img", "console.log", "instance.toml"):
        claim((instances / str(other) / name).exists() and not opens(instances / str(other) / name), f"us-{own} may read {name} of us-{other}")
    for name in ("manager.keys", "ticket.keys", "store.db"):
        claim((cluster.state / name).exists() and not opens(cluster.state / name), f"us-{own} may read the manager's {name}")


def verdict(desk):
    """The colour of the block that is shown, if there is one by now."""
    counts = dict((colour, count) for count, colour in desk.contents("xterm").getcolors(1 << 24))
    for colour in (GREEN, RED):
        if counts.get(colour, 0) > 200:
            return colour
    return None


def main():
    def on_one_cluster(results):
        with Cluster("isolation", **SETTINGS) as cluster:
            desks = [Desk(cluster, terminal) for terminal in SETTINGS["terminals"]]
            if results.check(two_terminals_share_an_execution_node, cluster, desks):
                for one in results.wanted((neither_gets_at_the_others_screen_files_and_processes,
                                           a_guest_reaches_the_manager_and_doors_of_its_host_and_nothing_else_there,
                                           a_qemu_has_an_account_of_its_own_no_rights_and_few_calls,
                                           a_qemu_is_bounded_by_its_flavour,
                                           the_account_of_a_qemu_opens_nothing_of_another,
                                           the_windows_still_follow_to_another_machine)):
                    results.check(one, cluster, desks)
            for desk in desks:
                desk.leave()

    return run.hold(run.options_of(__doc__).parse_args().only, on_one_cluster)


if __name__ == "__main__":
    sys.exit(main())
