"""No false alarm under load: two CPU hogs take this machine's processors, and nobody is given up for being slow.

    load.py [--minutes N] [--hogs COMMAND] [--only TEXT]

A site at its default heartbeat is watched as an operator's program does it, by what the manager pushes. Any incident,
any closed gate ends the test at once. COMMAND may be useful work, for a shell; when it ends early, hogs take over.

Two minutes are enough to notice: each of the site's machines owes 120 heartbeats in them, and lives through 40 times the
silence after which it would be given up (3 s), through 12 leases (10 s) and as many windows of the gate; whatever happens once
a minute or more often (checkpoints every few seconds, inventories, renewals) has happened. The hogs take what they get from the
first second on, nothing of it accumulates. What is rarer is for the long run's ten minutes, and the hour of faults.py.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys

from harness import DEMO_APPLICATIONS, now_s, program, say
from run import hold, options_of
from scenarios import claim, one_application_is_seen_and_typing_reaches_it

HOGS = "while :; do :; done & while :; do :; done"
SMALL_SITE = {"applications": DEMO_APPLICATIONS[:1], "presentation_backups": 0, "execution_backups": 1, "min_idle": 0, "max_idle": 1}


class Hogs:
    """Processes of a group of their own, which end with this one."""

    def __init__(self, command):
        self._process = None
        self._start(command)

    def _start(self, command):
        self._process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "sh", "-c", command], stdin=subprocess.DEVNULL,
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    def keep_busy(self):
        if self._process.poll() is not None:
            say(f"  the load ended with {self._process.returncode}; hogs take over")
            self.close()
            self._start(HOGS)

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextlib.contextmanager
def pushed_views(cluster):
    """What the manager pushes to whoever watches, as it comes."""
    with open(cluster.results / "watch.log", "ab") as log:
        watch = subprocess.Popen([program("understudy"), "--json", "--config", cluster.dir / "operator.toml", "watch"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, text=True)
    try:
        yield (json.loads(line) for line in watch.stdout)
    finally:
        watch.kill()
        watch.wait()


def no_false_failover_under_load(cluster, desk, minutes, hogs=HOGS):
    incidents = cluster.newest_incident()
    epochs = {s["id"]: s["epoch"] for s in cluster.view()["sessions"]}
    views = suspicions = 0
    longest = before = None
    end = now_s() + minutes * 60
    with pushed_views(cluster) as pushed, contextlib.closing(Hogs(hogs)) as load:
        for view in pushed:
            new = cluster.incidents(after=incidents, view=view)
            claim(not new, f"a false failover: {[(i['title'], i['evidence']) for i in new]}")
            claim(not view["manager"]["gate"]["closed"], f"the gate closed: {view['manager']['gate']['reason']}")
            views += 1
            suspicions += sum(n["health"] == "suspect" for n in view["nodes"])
            longest = max(longest or 0, now_s() - before) if before else longest
            before = now_s()
            load.keep_busy()
            if before > end:
                break
    claim(now_s() > end, f"the manager pushed nothing more after {views} views")
    after = {s["id"]: s["epoch"] for s in cluster.view()["sessions"]}
    claim(after == epochs, f"something moved: {epochs} {after}")
    say(f"  {minutes:g} minutes, {views} views pushed, at most {longest:.1f} s apart; seen as suspect in {suspicions} of them: no failover")
    desk.sampler.moving()
    cluster.settle()


def a_machine_whose_processors_are_taken_sees_no_false_failover(cluster, desk, minutes, hogs):
    no_false_failover_under_load(cluster, desk, minutes, hogs)


def main():
    options = options_of(__doc__)
    options.add_argument("--minutes", type=float, default=2)
    options.add_argument("--hogs", default=HOGS, metavar="COMMAND", help="the load, for a shell; default: two endless loops")
    chosen = options.parse_args()

    def claims(results):
        results.group("load", one_application_is_seen_and_typing_reaches_it, (a_machine_whose_processors_are_taken_sees_no_false_failover,),
                      chosen.minutes, chosen.hogs, **SMALL_SITE)

    return hold(chosen.only, claims)


if __name__ == "__main__":
    sys.exit(main())
