"""The end-to-end tests: scenarios, measured failovers, applications, bad input. One line per claim, and a
status of 0 only when all of them held.

    run.py [--times N] [--only TEXT]
"""

import argparse
import sys
import traceback

import applications
import bad_input
import scenarios
from desk import Desk
from harness import DEMO_APPLICATIONS, Cluster, Failed, interruptible, now_s, require_machine, say
from measure import measure

# In this order on one cluster: each leaves it as the next one needs it.
AT_WORK = (
    scenarios.a_killed_execution_primary_is_restored_and_the_other_window_never_flickers,
    scenarios.text_typed_before_a_checkpoint_is_there_after_the_restore,
    scenarios.a_killed_presentation_primary_loses_no_window_and_no_position,
    scenarios.nobody_notices_when_the_manager_dies_and_returns,
    scenarios.a_failure_while_the_manager_is_dead_is_repaired_when_it_returns,
    scenarios.a_node_that_is_drained_gives_its_work_away_and_nothing_is_lost,
    scenarios.a_lost_xserver_is_noticed_at_once_and_the_session_restored,
    scenarios.a_machine_that_hangs_is_given_up_destroyed_and_replaced,
    scenarios.two_execution_failures_in_a_row_are_survived,
    scenarios.two_presentation_failures_in_a_row_are_survived,
    scenarios.primary_and_backup_at_the_same_moment_end_in_an_honest_fresh_start,
)
WITHOUT_BACKUPS = (
    scenarios.without_a_backup_an_idle_instance_takes_over,
    scenarios.without_an_idle_instance_a_fresh_one_is_made,
)
TWO_BACKUPS = (scenarios.the_next_holder_restores_when_primary_and_first_backup_die_together,)


class Results:
    def __init__(self, only):
        self.only = only
        self.passed = []
        self.failed = []

    def wanted(self, claims):
        return [c for c in claims if self.only in c.__name__]

    def check(self, claim, cluster, *arguments):
        """True when it held. Evidence of a failure is kept under the claim's name."""
        name = claim.__name__.replace("_", " ")
        started = now_s()
        say(name)
        try:
            claim(cluster, *arguments) if cluster else claim(*arguments)
        except Exception as problem:  # one failure must not hide the others
            traceback.print_exc()
            say(f"FAILED after {now_s() - started:.1f} s: {name}: {problem}")
            self.failed.append(name)
            if cluster:
                cluster.keep_evidence(str(problem), claim.__name__)
            return False
        say(f"ok, {now_s() - started:.1f} s")
        self.passed.append(name)
        return True

    def each(self, claims):
        """Checks those that are wanted; each has whatever it needs for itself."""
        for one in self.wanted(claims):
            self.check(one, None)

    def group(self, name, start, claims, *arguments, cluster=Cluster, **settings):
        """Claims that share a cluster of that kind, and get these arguments besides. After a failure a fresh one is made
        for the rest."""
        left = self.wanted(claims)
        while left:
            with cluster(name, **settings) as one:
                desk = Desk(one)
                if not self.check(start, one, desk):
                    return
                while left and self.check(left.pop(0), one, desk, *arguments):
                    pass
                desk.leave()


def measured(times):
    def failovers_of_each_kind_are_measured(cluster, desk):
        measure(cluster, desk, times)

    return failovers_of_each_kind_are_measured


def options_of(about):
    """The command line of a program of claims; `about` is what it says of itself."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", default="", help="claims whose function name contains this")
    return options


def hold(only, carry_out):
    """The frame of a program of claims: `carry_out` takes the Results and checks claims with them. Ends with a summary;
    returns the exit status, 0 only when something was checked and all of it held."""
    interruptible()
    try:
        require_machine()
    except Failed as problem:
        sys.exit(f"cannot run: {problem}")
    started = now_s()
    results = Results(only)
    try:
        carry_out(results)
    except KeyboardInterrupt as stopped:
        results.failed.append(f"interrupted by {stopped}")
    say(f"{len(results.passed)} held, {len(results.failed)} failed, {now_s() - started:.0f} s")
    for name in results.failed:
        say(f"failed: {name}")
    return 1 if results.failed or not results.passed else 0


def main():
    options = options_of(__doc__)
    options.add_argument("--times", type=int, default=10, help="failovers of each kind to measure")
    chosen = options.parse_args()

    def everything(results):
        start = scenarios.both_applications_are_seen_and_typing_reaches_them
        results.each(bad_input.WITHOUT_MACHINES)
        results.group("at-work", start, (*AT_WORK, *([measured(chosen.times)] if chosen.times else [])))
        one = {"applications": DEMO_APPLICATIONS[:1]}
        results.group("without-backups", scenarios.one_application_is_seen_and_typing_reaches_it, WITHOUT_BACKUPS,
                      presentation_backups=0, execution_backups=0, **one)
        results.group("two-backups", scenarios.one_application_is_seen_and_typing_reaches_it, TWO_BACKUPS,
                      presentation_backups=0, execution_backups=2, **one)
        results.group("applications", applications.all_of_them_start, applications.CLAIMS, **applications.SETTINGS)
        results.each(bad_input.WITH_MACHINES)

    return hold(chosen.only, everything)


if __name__ == "__main__":
    sys.exit(main())
