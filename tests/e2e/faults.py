"""Detection, proof and the manager's own death, for real: machines, agents and X servers die, are paused and cut
off; records are lost and put back. One line per claim; a status of 0 only when all of them held.

    faults.py [--only TEXT] [--long]
"""

import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

import scenarios
from bad_input import fill, named_full, small_disk
from desk import Desk, closed_incident
from doors import knock
from faults_network import own_network, HEART as NETWORK_HEART, LONG as NETWORK_LONG
from harness import DEMO_APPLICATIONS, PROGRAMS, Cluster, now_s, program, run, say, until
from load import no_false_failover_under_load
from run import hold, options_of
from scenarios import claim

ONE_APPLICATION = {"applications": DEMO_APPLICATIONS[:1]}


# ---------------------------------------------------------------------- lost and restored records

def service(cluster):
    """Who serves what: compared before and after the records are gone."""
    view = cluster.view()
    terminal = cluster.terminal(view=view)
    sessions = {s["application"]: (s["id"], s["epoch"], s["primary"]) for s in view["sessions"] if s["terminal"] == terminal["id"]}
    return {"terminal": terminal["id"], "desktop": (terminal["epoch"], terminal["presentation"]["primary"]), "sessions": sessions}


def rebuilt(cluster):
    """Waits until the records are rebuilt; returns the incident that says so."""
    until(lambda: not cluster.view()["manager"]["rebuilding"], 60, "the records are rebuilt")
    found = [i for i in cluster.view()["incidents"] if i["kind"] == "store"]
    claim(found, "an incident should tell of the rebuilding")
    return max(found, key=lambda i: i["id"])


def stop_manager(cluster):
    cluster.manager.send_signal(signal.SIGTERM)
    cluster.manager.wait(20)


def lose_records(cluster, desk, harm, expected):
    """The manager dies, `harm` is done to its store, and it starts again: everything that runs goes on."""
    before = service(cluster)
    machines = cluster.qemu_pids()
    serving = {n["id"] for n in cluster.view()["nodes"] if n["state"] == "serving"}
    start = len(desk.sampler.samples)
    cluster.kill_manager()
    harm(cluster.state / "store.db")
    moment = now_s()
    cluster.start_manager()
    incident = rebuilt(cluster)
    took = now_s() - moment
    after = service(cluster)
    claim(after == before, f"what served should go on under the same numbers and epochs:\n before {before}\n after  {after}")
    left = cluster.qemu_pids()
    claim(all(left.get(n) == machines[n] for n in serving), f"a serving machine was touched: {machines} {left}")
    claim(expected in incident["evidence"], f"the cause should be named, it says \"{incident['evidence']}\"")
    claim("incidents" in incident["lost"], f"what could not be rebuilt should be named: \"{incident['lost']}\"")
    values = [v for _, v in desk.sampler.samples[start:]]
    claim(values and all(v is not None for v in values), "the counter's window was not whole all the time")
    say(f"  rebuilt {took:.1f} s after the start: {incident['decision']}")
    say(f"  named as not rebuilt: {incident['lost']}")
    desk.type_into("xterm", "echo still here\n")
    desk.sampler.moving()
    cluster.settle()


def a_deleted_store_is_rebuilt_and_nobody_notices(cluster, desk):
    def delete(store):
        for path in store.parent.glob("store.db*"):
            if not path.name.endswith(".known"):
                path.unlink()

    lose_records(cluster, desk, delete, "missing")


def a_truncated_store_is_set_aside_and_rebuilt(cluster, desk):
    def truncate(store):
        checkpoint(store)
        with open(store, "r+b") as file:
            file.truncate(os.path.getsize(store) // 2 // 4096 * 4096)

    lose_records(cluster, desk, truncate, "damaged")
    claim(list(cluster.state.glob("store.db.damaged-*")), "the damaged store should be kept beside the new one")


def a_corrupted_store_is_set_aside_and_rebuilt(cluster, desk):
    def corrupt(store):
        checkpoint(store)
        connection = sqlite3.connect(store)
        connection.execute("UPDATE record SET value = CAST(replace(CAST(value AS TEXT), 'demo', 'dimo') AS BLOB) WHERE key LIKE 'terminal/%'")
        connection.commit()
        connection.close()

    lose_records(cluster, desk, corrupt, "checksum")


def checkpoint(store):
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def a_backup_made_at_work_is_restored_and_what_runs_decides(cluster, desk):
    copy = cluster.dir / "copy.db"
    said = run(program("understudyd"), "backup", "--config", cluster.config, "--to", copy).stdout
    claim("verified" in said, said)
    refused = run(program("understudyd"), "restore", "--config", cluster.config, "--from", copy, check=False)
    claim(refused.returncode != 0 and "end the manager" in refused.stdout, f"restoring under a running manager: {refused.stdout}")
    # Behind the copy's back the session moves.
    incident = cluster.newest_incident()
    killed = cluster.kill_instance(cluster.session("xterm")["primary"])
    desk.sampler.went_back(killed, 60)
    closed_incident(cluster, incident, "execution", application="xterm")
    cluster.settle()
    before = service(cluster)
    stop_manager(cluster)
    say("  " + run(program("understudyd"), "restore", "--config", cluster.config, "--from", copy).stdout.splitlines()[0])
    cluster.start_manager()
    incident = rebuilt(cluster)
    claim("restored from the backup" in incident["evidence"], incident["evidence"])
    after = service(cluster)
    claim(after == before, f"the move behind the copy's back should stand:\n before {before}\n after  {after}")
    desk.sampler.moving()
    cluster.settle()


# ---------------------------------------------------------------------- the manager dies at every step

EXECUTION_STEPS = ("end.seen", "end.handled", "records.before_commit", "records.committed", "primary.told", "everybody.told",
                   "session.restored", "window.drawn")
PRESENTATION_STEPS = ("end.seen", "end.handled", "records.before_commit", "records.committed", "primary.told", "everybody.told",
                      "desktop.running", "picture.seen")


def armed_manager(cluster):
    """The manager dies at the step that is written into the file from now on; returns the file."""
    armed = cluster.dir / "failpoint"
    armed.unlink(missing_ok=True)
    if cluster.manager.poll() is None:
        stop_manager(cluster)
    cluster.start_manager(UNDERSTUDY_FAILPOINT_FILE=str(armed))
    return armed


def past_the_floor(cluster, kind, *what):
    """Behind lost records the next epoch is above all that may have been given out. One planned move takes that step, so that
    epochs can be counted from here on."""
    before = cluster.newest_incident()
    cluster.command("failover", *what, "--reason", "test")
    closed_incident(cluster, before, kind)
    cluster.settle()


def die_at(cluster, armed, step, node):
    """A machine is killed, and the manager with it when the failover reaches that step; then it starts again."""
    before = cluster.newest_incident()
    armed.write_text(step, encoding="utf-8")
    killed = cluster.kill_instance(node)
    ended = until(lambda: cluster.manager.poll() is not None, 60, f"the manager dies at {step}", every=0.02)
    claim(ended and cluster.manager.returncode == -signal.SIGKILL, f"the manager ended with {cluster.manager.returncode} at {step}")
    died = now_s()
    time.sleep(1)
    armed_manager(cluster)
    return before, killed, died


def once_and_no_leak(cluster, before, kind, step):
    found = [i for i in cluster.incidents(after=before) if i["kind"] == kind]
    claim(len(found) <= 1, f"{step}: the failover should end once: {found}")
    claim(all(not i["open"] for i in found), f"{step}: left open: {found}")
    known = {n["id"] for n in cluster.view()["nodes"]}
    claim(set(cluster.qemu_pids()) <= known, f"{step}: machines that nobody knows: {set(cluster.qemu_pids()) - known}")


def the_manager_dies_at_every_step_of_an_execution_failover(cluster, desk, steps=EXECUTION_STEPS):
    armed = armed_manager(cluster)
    past_the_floor(cluster, "execution", "--session", str(cluster.session("xterm", view=cluster.settle())["id"]))
    for number, step in enumerate(steps, 1):
        session = cluster.session("xterm", view=cluster.settle())
        epoch = session["epoch"]
        before, killed, died = die_at(cluster, armed, step, session["primary"])
        desk.sampler.went_back(killed, 90)
        after = cluster.session("xterm", view=cluster.settle())
        claim(after["epoch"] == epoch + 1, f"{step}: epoch {epoch} became {after['epoch']}")
        once_and_no_leak(cluster, before, "execution", step)
        say(f"  {number}/{len(steps)} {step}: manager dead {(died - killed) * 1000:.0f} ms after the machine; "
            f"resumed, ended once, everything stands by again {now_s() - killed:.0f} s after the kill")


def the_manager_dies_at_every_step_of_a_presentation_failover(cluster, desk, steps=PRESENTATION_STEPS):
    armed = armed_manager(cluster)
    cluster.settle()
    past_the_floor(cluster, "presentation", "--terminal", "demo")
    for number, step in enumerate(steps, 1):
        terminal = cluster.terminal(view=cluster.settle())
        before, killed, died = die_at(cluster, armed, step, terminal["presentation"]["primary"])
        desk.probe.wait_event("picture", 90, epoch=terminal["epoch"] + 1)
        desk.sampler.moving(60)
        after = cluster.terminal(view=cluster.settle())
        claim(after["epoch"] == terminal["epoch"] + 1, f"{step}: epoch {terminal['epoch']} became {after['epoch']}")
        once_and_no_leak(cluster, before, "presentation", step)
        say(f"  {number}/{len(steps)} {step}: manager dead {(died - killed) * 1000:.0f} ms after the machine; "
            f"resumed, ended once, everything stands by again {now_s() - killed:.0f} s after the kill")


def the_manager_dies_when_a_decision_is_durable_and_nobody_knows_it(cluster, desk):
    the_manager_dies_at_every_step_of_an_execution_failover(cluster, desk, ("records.committed",))


# ---------------------------------------------------------------------- paused beyond its lease

# A guest that stands still so long sees two seconds: its kernel's counter wraps after 43. Its lease is 10 seconds.
CLOCK_WRAPS_S = 45


def a_machine_woken_behind_its_lease_never_serves_again(cluster, desk):
    """The manager is not told what happened to it: its process is stopped and, when another serves, goes on."""
    before = cluster.newest_incident()
    session = cluster.session("xterm")
    node = session["primary"]
    pid = cluster.qemu_pids()[node]
    door = cluster.node(node)["door"]
    # Nobody may destroy it: what is looked at is the machine that wakes up.
    cluster.kill_manager()
    os.kill(pid, signal.SIGSTOP)
    time.sleep(CLOCK_WRAPS_S)
    os.kill(pid, signal.SIGCONT)
    time.sleep(1.0)
    host, port = door.rsplit(":", 1)
    said = knock((host, int(port)))
    say(f"  the woken machine's door, without a manager: {said!r}")
    claim(said.startswith("NO this node has no lease"), f"the door should be closed: {said!r}")
    values = [v for at, v in desk.sampler.samples if at > now_s() - 0.8]
    first = desk.sampler.value()
    time.sleep(2)
    claim(desk.sampler.value() == first, f"a frozen session must not go on: {first} {desk.sampler.value()} {values}")
    cluster.start_manager()
    until(lambda: cluster.session("xterm")["phase"] == "running", 60, "the session goes on once the manager is back")
    desk.sampler.moving(30)
    claim(cluster.newest_incident() == before, "nobody was replaced: it thaws where it was")
    cluster.settle()


# ---------------------------------------------------------------------- wall clock

def a_wall_clock_that_jumps_by_an_hour_changes_nothing(cluster, desk):
    """The manager runs under Debian's faketime: its wall clock is what a file says, its monotonic clock is real."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    claim(library, "libfaketime is missing; install the package faketime")
    clock = cluster.dir / "wall-clock"
    clock.write_text("+0\n", encoding="utf-8")
    stop_manager(cluster)
    cluster.start_manager(LD_PRELOAD=str(library), FAKETIME_TIMESTAMP_FILE=str(clock), FAKETIME_NO_CACHE="1",
                          FAKETIME_DONT_FAKE_MONOTONIC="1")
    cluster.settle()
    incidents = cluster.newest_incident()
    nodes = set(cluster.qemu_pids())
    before = service(cluster)
    real = cluster.view()["manager"]["now_wall_ms"]
    for jump in (3600, -3600, 0):
        clock.write_text(f"{jump:+d}\n", encoding="utf-8")
        time.sleep(12)  # longer than a lease and the silence limit
        shown = (cluster.view()["manager"]["now_wall_ms"] - real) / 1000
        claim(abs(shown - jump) < 120, f"the manager's clock should be {jump} s off, it is {shown:.0f} s")
        claim(cluster.newest_incident() == incidents, f"there should be no incident after {jump} s")
        claim(service(cluster) == before, f"{jump} s moved something")
    stop_manager(cluster)
    cluster.start_manager()
    cluster.settle()
    claim(set(cluster.qemu_pids()) >= nodes, "no instance should have ended")


# ---------------------------------------------------------------------- full disk

def a_full_disk_makes_no_promises_keeps_serving_and_goes_on_when_there_is_room():
    """The records alone are on the disk that fills; the machines' files are elsewhere."""
    with small_disk(12 << 10) as disk, Cluster("full-disk-at-work", state_dir=disk / "s", **ONE_APPLICATION) as cluster:
        desk = Desk(cluster)
        (cluster.dir / "instances").mkdir()
        (disk / "s").mkdir()
        (disk / "s" / "instances").symlink_to(cluster.dir / "instances")
        scenarios.one_application_is_seen_and_typing_reaches_it(cluster, desk)
        session = cluster.session("xterm")
        before = cluster.newest_incident()
        fill(disk / "filling")
        # The backup of the desktop is of no use to anybody now; replacing it has to be recorded first.
        spare = cluster.terminal()["presentation"]["backups"][0]["node"]
        cluster.kill_instance(spare)
        alarm = until(lambda: named_full(cluster), 60, lambda: f"somebody names the full disk: {cluster.view()['manager']}", every=0.5)
        say(f"  {alarm}")
        desk.type_into("xterm", "echo still here\n")
        desk.sampler.moving()
        killed = cluster.kill_instance(session["primary"])
        time.sleep(1)
        stood = desk.sampler.value()
        time.sleep(4)
        # What is decided is shown; nobody is told of it before it is recorded, so nothing goes on.
        claim(desk.sampler.value() == stood, "nobody may be appointed while that cannot be recorded")
        claim(cluster.manager.poll() is None, "the manager should live on")
        (disk / "filling").unlink()
        desk.sampler.went_back(killed, 90)
        cluster.settle()
        claim(cluster.session("xterm")["epoch"] == session["epoch"] + 1, "one failover and no more")
        claim(named_full(cluster) is None, f"the alarm should be over: {named_full(cluster)}")
        found = [i for i in cluster.incidents(after=before) if i["kind"] == "execution"]
        claim(len(found) == 1 and not found[0]["open"], f"one incident, closed: {found}")
        desk.leave()


# ---------------------------------------------------------------------- load

def two_cpu_hogs_for_an_hour_cause_no_failover(cluster, desk):
    no_false_failover_under_load(cluster, desk, 60)


HEART = (
    a_deleted_store_is_rebuilt_and_nobody_notices,
    a_corrupted_store_is_set_aside_and_rebuilt,
    a_backup_made_at_work_is_restored_and_what_runs_decides,
    a_machine_woken_behind_its_lease_never_serves_again,
    the_manager_dies_when_a_decision_is_durable_and_nobody_knows_it,
)
LONG = (
    a_truncated_store_is_set_aside_and_rebuilt,  # as a corrupted one, found by SQLite instead of by our sums
    the_manager_dies_at_every_step_of_an_execution_failover,
    the_manager_dies_at_every_step_of_a_presentation_failover,
    a_wall_clock_that_jumps_by_an_hour_changes_nothing,
    two_cpu_hogs_for_an_hour_cause_no_failover,
)

# With a cluster of its own.
ALONE = (a_full_disk_makes_no_promises_keeps_serving_and_goes_on_when_there_is_room,)


def main():
    options = options_of(__doc__)
    options.add_argument("--long", action="store_true", help="also what takes an hour")
    chosen = options.parse_args()
    own_network()
    PROGRAMS["understudyd"] = "manager/understudyd-failpoints"  # the same program, and places to kill it at
    claims = (*HEART, *NETWORK_HEART, *((*LONG, *NETWORK_LONG) if chosen.long else ()))
    start = scenarios.one_application_is_seen_and_typing_reaches_it

    def carry_out(results):
        results.group("faults", start, claims, **ONE_APPLICATION)
        results.each(ALONE if chosen.long or chosen.only else ())

    return hold(chosen.only, carry_out)


if __name__ == "__main__":
    sys.exit(main())
