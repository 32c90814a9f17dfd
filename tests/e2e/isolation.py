"""Two terminals on one execution node: an application of one tries to get at the other's screen, files and processes,
and at doors without TLS and a ticket. Each attempt is typed into a real terminal window, and what the system answered is
checked word by word where it was said; the verdict is shown there as a block of colour, green or red, and read here.

    isolation.py [--only TEXT]
"""

import shlex
import sys
import time

import run
import scenarios
from desk import Desk
from harness import DEMO_APPLICATIONS, Cluster, say, until
from scenarios import claim

GREEN, RED = (0, 205, 0), (205, 0, 0)  # xterm's colours 2 and 1
TREE = "/var/lib/understudy/sessions"
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
        desk.probe.wait_event("picture", 180)
        cluster.settle(240, terminal=desk.terminal)
        until(lambda d=desk: scenarios.drawn(d, "xterm"), 60, f"the application of {desk.terminal} draws its window")
    view = cluster.view()
    nodes = {cluster.session("xterm", desk.terminal, view)["primary"] for desk in desks}
    claim(len(nodes) == 1, f"both should be on one node, they are on {nodes}")


def neither_gets_at_the_others_screen_files_and_processes(cluster, desks):
    thief, victim = desks
    victim.type_into("xterm", "echo a secret > ~/secret; chmod 644 ~/secret; sleep 7777 & cat ~/secret\n")
    thief.type_into("xterm", JUDGE)
    other = cluster.session("xterm", victim.terminal)["id"]
    for what, command, words in attempts(other):
        thief.type_into("xterm", "clear\n")
        time.sleep(1)
        thief.probe.ask("type", text=f"w {shlex.quote(command)} {shlex.quote(words)}\n")
        seen = until(lambda: verdict(thief), 60, f"there is an answer to: {what}")
        thief.keep(f"attempt-{what.replace(' ', '-')}")
        say(f"  {what}: {'as it should' if seen == GREEN else 'NOT as it should'}")
        claim(seen == GREEN, f"{what}: the answer to {command!r} should have {words!r} in it; see the picture")


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
                for one in results.wanted((neither_gets_at_the_others_screen_files_and_processes,)):
                    results.check(one, cluster, desks)
            for desk in desks:
                desk.leave()

    return run.hold(run.options_of(__doc__).parse_args().only, on_one_cluster)


if __name__ == "__main__":
    sys.exit(main())
