"""What the system promises to a person at a terminal, each as a function whose name is the claim.

Real manager, real instances, real applications, real keys and pixels; machines die by kill -9 of their
QEMU process. Functions take a Cluster that is running and a Desk at which somebody works, and leave both
so that the next one can go on.
"""

import signal
import time

from desk import FORGIVEN_PIXELS, closed_incident, lost_seconds
from harness import PACE, Failed, now_s, say, until
from screen import differing

# The counter's rhythm and pictures on their way, both of the reference machine, and the rounding of the manager's text.
TOLERANCE_S = 0.7


def claim(condition, text):
    if not condition:
        raise Failed(text)


def begin(cluster, desk):
    """From nothing to a desktop with everything on it."""
    started = now_s()
    cluster.prepare()
    cluster.start_manager()
    desk.connect()
    cluster.first_machine()
    desk.probe.wait_event("picture", 60)
    say(f"  desktop seen after {now_s() - started:.1f} s")
    cluster.settle()
    for application in cluster.settings["applications"]:
        until(lambda: drawn(desk, application["name"]), 60, f"{application['name']} draws its window")
    say(f"  everything runs with its backups after {now_s() - started:.1f} s")


def drawn(desk, application):
    """The application itself is there: not a bare X server, and nothing moves any more."""
    return len(desk.still(application, 1.5).getcolors(1 << 24)) > 3


def one_application_is_seen_and_typing_reaches_it(cluster, desk):
    begin(cluster, desk)
    desk.start_work()


def both_applications_are_seen_and_typing_reaches_them(cluster, desk):
    begin(cluster, desk)
    desk.spread()
    view = cluster.view()
    claim(len({cluster.session(a, view=view)["primary"] for a in ("xterm", "geany")}) == 2,
          "the two applications should run on two different nodes")
    desk.start_work()
    for application in ("xterm", "geany"):
        colours = len(desk.contents(application).getcolors(1 << 24))
        claim(colours > 3, f"the window of {application} shows only {colours} colours")
    desk.keep("both-applications")


def a_killed_execution_primary_is_restored_and_the_other_window_never_flickers(cluster, desk):
    desk.spread()
    text_before = desk.still("geany")
    desk.guard("geany")
    before = cluster.newest_incident()
    old = cluster.session("xterm")["primary"]
    killed = cluster.kill_instance(old)
    seen, value, known = desk.sampler.went_back(killed, 60)
    incident = closed_incident(cluster, before, "execution", application="xterm")
    guarded = desk.guarded("geany")
    desk.keep("execution-restored")
    reported = lost_seconds(incident["lost"])
    say(f"  window back after {seen - killed:.2f} s; lost {killed - known:.2f} s of counting, reported {reported} s; "
        f"the other window: {guarded['pictures']} pictures, {guarded['differing']} differing")
    claim(reported is not None, f"the incident should say how much was lost, it says \"{incident['lost']}\"")
    claim(killed - known <= reported + PACE.stretch(TOLERANCE_S), f"more was lost ({killed - known:.2f} s) than reported ({reported} s)")
    claim(guarded["differing"] == 0, f"the other window flickered: {guarded}")
    claim(cluster.session("xterm")["primary"] != old, "the session should have moved")
    claim(differing(text_before, desk.still("geany")) <= FORGIVEN_PIXELS, "the editor's text should be as it was")
    desk.type_into("xterm", "echo still here\n")
    desk.type_into("geany", "and on.\n")
    desk.sampler.moving()
    cluster.settle()


def text_typed_before_a_checkpoint_is_there_after_the_restore(cluster, desk):
    desk.type_into("geany", "Typed before the checkpoint.\n")
    before_text = desk.still("geany")
    desk.await_checkpoint("geany")
    before = cluster.newest_incident()
    cluster.kill_instance(cluster.session("geany")["primary"])
    closed_incident(cluster, before, "execution", application="geany")
    after_text = desk.still("geany")
    desk.keep("editor-restored")
    changed = differing(before_text, after_text)
    claim(changed <= 400, f"the editor's window differs in {changed} pixels from what was there before")
    desk.type_into("geany", "Typed after it.\n")
    cluster.settle()


def a_killed_presentation_primary_loses_no_window_and_no_position(cluster, desk):
    move_a_window(cluster, desk)
    view = cluster.view()
    places = {a: desk.place(a, view) for a in ("xterm", "geany")}
    text = desk.still("geany")
    terminal = cluster.terminal(view=view)
    before = cluster.newest_incident()
    epoch = terminal["epoch"]
    killed = cluster.kill_instance(terminal["presentation"]["primary"])
    mark = desk.expect_mark(epoch=epoch + 1)
    answer = desk.probe.answer(mark, 130)
    claim(answer["ok"], "the counter's mark should be seen at the same place on the new desktop")
    say(f"  desktop back after {answer['mono_ns'] / 1e9 - killed:.2f} s")
    closed_incident(cluster, before, "presentation")
    desk.looks_again("geany", text, FORGIVEN_PIXELS)
    desk.keep("presentation-moved")
    after = {a: desk.place(a) for a in ("xterm", "geany")}
    for application, place in places.items():
        for field in ("x", "y", "width", "height", "focused", "stacking"):
            claim(after[application][field] == place[field],
                  f"{application}: {field} was {place[field]} and is {after[application][field]}")
    desk.type_into("xterm", "echo same place\n")
    desk.sampler.moving()
    cluster.settle()


def move_a_window(cluster, desk):
    """Drags the editor by its title bar, so that positions are not those of the beginning."""
    place = desk.place("geany")
    grip = (place["x"] + place["width"] // 2, place["y"] + 10)
    desk.probe.ask("press", x=grip[0], y=grip[1])
    for step in range(1, 9):  # a server takes what comes at once for one movement
        time.sleep(0.1)
        desk.probe.ask("move", x=grip[0] - 2 * step, y=grip[1] + 3 * step, button=1)
    time.sleep(0.2)
    desk.probe.ask("release", x=grip[0] - 16, y=grip[1] + 24)
    until(lambda: desk.place("geany")["y"] != place["y"], 15, "the window follows the pointer")


def two_execution_failures_in_a_row_are_survived(cluster, desk):
    desk.spread()
    before = cluster.newest_incident()
    killed = cluster.kill_instance(cluster.session("xterm")["primary"])
    desk.sampler.went_back(killed, 60)
    # The new primary may not have a backup yet; whatever it is told then, the window has to come back.
    second = cluster.kill_instance(cluster.session("xterm")["primary"])
    incident = closed_incident(cluster, before + 1, "execution", seconds=120, application="xterm")
    say(f"  second one: {incident['decision']}; lost: {incident['lost']}")
    view = cluster.settle()
    come_back_to_work(cluster, desk, second)
    claim(cluster.session("xterm", view=view)["lost"] != "", "the session should say what the last take-over lost")


def two_presentation_failures_in_a_row_are_survived(cluster, desk):
    for _ in range(2):
        terminal = cluster.terminal()
        cluster.kill_instance(terminal["presentation"]["primary"])
        answer = desk.probe.answer(desk.expect_mark(epoch=terminal["epoch"] + 1), 130)
        claim(answer["ok"], "the counter's mark should be seen on the new desktop")
    desk.sampler.moving()
    cluster.settle()


def primary_and_backup_at_the_same_moment_end_in_an_honest_fresh_start(cluster, desk):
    session = cluster.session("xterm")
    before = cluster.newest_incident()
    moment = cluster.kill_instances({session["primary"], *(b["node"] for b in session["backups"])})
    incident = closed_incident(cluster, before, "execution", seconds=180, application="xterm")
    say(f"  {incident['decision']}; lost: {incident['lost']}")
    claim("memory" in incident["lost"], f"the incident should say that the memory is lost, it says \"{incident['lost']}\"")
    cluster.settle()
    claim("memory" in cluster.session("xterm")["lost"], "the session should say what was lost")
    come_back_to_work(cluster, desk, moment, fresh=True)


def come_back_to_work(cluster, desk, moment, fresh=False):
    """The counter goes on, or, after a fresh start, is started again."""
    del moment
    if not fresh:
        try:
            desk.sampler.moving(20)
            desk.type_into("xterm", "echo on we go\n")
            return
        except Failed:
            claim("memory" in cluster.session("xterm")["lost"], "the counter stands still and nothing says why")
    desk.sampler.stop()
    until(lambda: desk.looks_like_itself("xterm"), 60, "the application that was started afresh is seen")
    desk.start_work()


def a_lost_xserver_is_noticed_at_once_and_the_session_restored(cluster, desk):
    before = cluster.newest_incident()
    desk.type_into("xterm", "pkill -KILL Xvnc\n")
    incident = closed_incident(cluster, before, "execution", application="xterm")
    say(f"  {incident['evidence']}; {incident['decision']}; lost: {incident['lost']}")
    desk.sampler.moving()
    cluster.settle()


def a_machine_that_hangs_is_given_up_destroyed_and_replaced(cluster, desk):
    """SIGSTOP: nothing ends, nothing breaks, it only says nothing any more."""
    before = cluster.newest_incident()
    node = cluster.session("xterm")["primary"]
    stopped = cluster.kill_instance(node, signal.SIGSTOP)
    seen, _, _ = desk.sampler.went_back(stopped, 90)
    incident = closed_incident(cluster, before, "execution", application="xterm")
    say(f"  window back after {seen - stopped:.1f} s; proof: {incident['proof']}")
    claim(incident["proof"] != "", "the incident should name the proof")
    claim(node not in cluster.qemu_pids(), "the hanging machine should be gone")
    cluster.settle()


def a_node_that_is_drained_gives_its_work_away_and_nothing_is_lost(cluster, desk):
    node = cluster.session("xterm")["primary"]
    value = desk.sampler.value()
    cluster.command("drain", "--node", str(node), "--reason", "maintenance")
    until(lambda: cluster.session("xterm")["primary"] != node, 90, "the session leaves the drained node")
    after = desk.sampler.moving()
    claim(after >= value, f"the counter fell from {value} to {after} although nothing should be lost")
    until(lambda: cluster.node(node) is None or cluster.node(node)["used"] == 0, 90, "the drained node is empty")
    cluster.command("undrain", "--node", str(node), "--reason", "maintenance is over") if cluster.node(node) else None
    cluster.settle()


def nobody_notices_when_the_manager_dies_and_returns(cluster, desk):
    incidents = cluster.newest_incident()
    nodes = set(cluster.qemu_pids())
    epoch = cluster.terminal()["epoch"]
    desk.guard("geany")
    start = len(desk.sampler.samples)
    cluster.kill_manager()
    time.sleep(4)
    claim(desk.sampler.moving(5) is not None, "the counter should go on without a manager")
    cluster.start_manager()
    cluster.settle()
    guarded = desk.guarded("geany")
    claim(guarded["differing"] == 0, f"the editor's window changed: {guarded}")
    values = [v for _, v in desk.sampler.samples[start:]]
    claim(all(v is not None for v in values), "the counter's window was not whole all the time")
    claim(cluster.newest_incident() == incidents, "there should be no incident")
    claim(set(cluster.qemu_pids()) >= nodes, "no instance should have ended")
    claim(cluster.terminal()["epoch"] == epoch, "the desktop should be where it was")


def a_failure_while_the_manager_is_dead_is_repaired_when_it_returns(cluster, desk):
    before = cluster.newest_incident()
    session = cluster.session("xterm")
    cluster.kill_manager()
    killed = cluster.kill_instance(session["primary"])
    time.sleep(1)
    cluster.start_manager()
    desk.sampler.went_back(killed, 90)
    incident = closed_incident(cluster, before, "execution", application="xterm")
    say(f"  proof: {incident['proof']}; lost: {incident['lost']}")
    cluster.settle()


def without_a_backup_an_idle_instance_takes_over(cluster, desk):
    """For a cluster whose profile has no backups."""
    idle = {n["id"] for n in cluster.settle()["nodes"] if n["state"] == "idle"}
    claim(idle, "there should be an idle instance")
    before = cluster.newest_incident()
    moment = cluster.kill_instance(cluster.session("xterm")["primary"])
    incident = closed_incident(cluster, before, "execution", application="xterm")
    claim(cluster.session("xterm")["primary"] in idle, f"an idle instance should have been taken: {incident['decision']}")
    claim("memory" in incident["lost"], "without a backup the memory is lost, and the incident should say so")
    say(f"  after {now_s() - moment:.1f} s: {incident['decision']}")
    idle = {n["id"] for n in cluster.settle()["nodes"] if n["state"] == "idle"}
    terminal = cluster.terminal()
    cluster.kill_instance(terminal["presentation"]["primary"])
    desk.probe.wait_event("picture", 60, epoch=terminal["epoch"] + 1)
    claim(cluster.terminal()["presentation"]["primary"] in idle, "an idle instance should present the desktop")
    cluster.settle()


def without_an_idle_instance_a_fresh_one_is_made(cluster, desk):
    """For a cluster whose profile has no backups; the pool is emptied first."""
    cluster.set_pool(min_idle=0, max_idle=0)
    until(lambda: not any(n["state"] == "idle" for n in cluster.view()["nodes"]), 60, "the pool is empty")
    known = {n["id"] for n in cluster.view()["nodes"]}
    before = cluster.newest_incident()
    moment = cluster.kill_instance(cluster.session("xterm")["primary"])
    closed_incident(cluster, before, "execution", seconds=120, application="xterm")
    claim(cluster.session("xterm")["primary"] not in known, "a fresh instance should run the application")
    say(f"  application on a fresh instance after {now_s() - moment:.1f} s")
    terminal = cluster.terminal()
    moment = cluster.kill_instance(terminal["presentation"]["primary"])
    desk.probe.wait_event("picture", 120, epoch=terminal["epoch"] + 1)
    say(f"  desktop on a fresh instance after {now_s() - moment:.1f} s")
    cluster.settle()


def the_next_holder_restores_when_primary_and_first_backup_die_together(cluster, desk):
    """For a cluster whose profile has two execution backups."""
    session = cluster.session("xterm", view=cluster.settle())
    before = cluster.newest_incident()
    holders = [b["node"] for b in session["backups"]]
    claim(len(holders) == 2, f"two backups are expected: {session['backups']}")
    killed = cluster.kill_instances({session["primary"], holders[0]})
    desk.sampler.went_back(killed, 90)
    incident = closed_incident(cluster, before, "execution", application="xterm")
    claim(cluster.session("xterm")["primary"] == holders[1], f"the other holder should run it: {incident['decision']}")
    claim(lost_seconds(incident["lost"]) is not None, f"a checkpoint should have been used: {incident['lost']}")
    say(f"  {incident['decision']}; lost: {incident['lost']}")
    cluster.settle()
