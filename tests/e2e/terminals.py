"""What a person at a terminal of any kind sees of failures: written once, for native and web terminal alike.

Functions take a Cluster, a Desk whose probe is a real terminal, and what breaks things: an object with
execution(node) and presentation(node).
"""

import contextlib
import os
from pathlib import Path

import run
import scenarios
from desk import FORGIVEN_PIXELS, closed_incident
from harness import Cluster, say, until
from scenarios import claim

# A caret and a redrawn margin of the editor.
RESTORED_PIXELS = 400
# A browser that scales rounds differently when it draws a part and when it draws the whole.
ROUNDING = 4
SETTINGS = {"execution_backups": 1, "presentation_backups": 1, "min_idle": 0, "max_idle": 1}


def type_and_see(desk, application, text):
    wait_for_itself(desk, application)
    desk.type_into(application, text)
    wait_for_itself(desk, application)


def wait_for_itself(desk, application):
    until(lambda: desk.looks_like_itself(application), 60, f"{application} is to be seen as itself")


class KillQemu:
    """Breaks machines as a power cut would."""

    def __init__(self, desk):
        self.cluster = desk.cluster

    def execution(self, node):
        self.cluster.kill_instance(node)

    presentation = execution


def both_applications_are_seen_and_typing_reaches_them(cluster, desk, _breaking):
    scenarios.begin(cluster, desk)
    type_and_see(desk, "xterm", "echo what I typed before\n")
    type_and_see(desk, "geany", "A letter that must not be lost.\nSecond line.\n")
    desk.keep("both-applications")


def the_text_is_intact_after_the_machine_of_an_application_died(cluster, desk, breaking):
    desk.await_checkpoint("geany")
    text = desk.still("geany")
    before = cluster.newest_incident()
    old = cluster.session("geany")["primary"]
    breaking.execution(old)
    incident = closed_incident(cluster, before, "execution", application="geany")
    pixels = desk.looks_again("geany", text, RESTORED_PIXELS, ROUNDING)
    desk.keep("execution-restored")
    say(f"  {incident['decision']}; lost: {incident['lost']}; {pixels} pixels differ")
    claim(cluster.session("geany")["primary"] != old, "the session should have moved")
    type_and_see(desk, "geany", "Typed after it.\n")
    cluster.settle()


def the_desktop_is_as_it_was_after_the_machine_that_shows_it_died(cluster, desk, breaking):
    text = desk.still("geany")
    place = desk.place("geany")
    terminal = cluster.terminal()
    before = cluster.newest_incident()
    breaking.presentation(terminal["presentation"]["primary"])
    desk.probe.wait_event("picture", 60, epoch=terminal["epoch"] + 1)
    incident = closed_incident(cluster, before, "presentation")
    until(lambda: desk.place("geany") == place, 30, "the editor's window stands where it stood")
    pixels = desk.looks_again("geany", text, FORGIVEN_PIXELS, ROUNDING)
    desk.keep("presentation-moved")
    say(f"  {incident['decision']}; {pixels} pixels differ")
    type_and_see(desk, "xterm", "echo same place\n")
    type_and_see(desk, "geany", "And on.\n")


def brightness(picture):
    shades = picture.convert("L").histogram()
    return sum(shade * count for shade, count in enumerate(shades)) / sum(shades)


def with_no_desktop_left_the_last_picture_stays_dimmed_with_a_line_until_there_is_one(cluster, desk, _breaking):
    cluster.settle()
    desk.still("geany")
    terminal = cluster.terminal()
    bright = brightness(desk.picture())
    presentation = terminal["presentation"]
    cluster.kill_instances([presentation["primary"], *(b["node"] for b in presentation["backups"])])

    def dimmed():
        seen = desk.picture()
        return seen if 0.1 * bright < brightness(seen) < 0.8 * bright else None

    seen = until(dimmed, 30, "the last picture is dimmed", every=0.05)
    claim(len(seen.getcolors(1 << 24)) > 20, "it should be the desktop's last picture")
    for folder in filter(None, (cluster.results, os.environ.get("UNDERSTUDY_PICTURES"))):
        seen.save(Path(folder) / f"terminal-{cluster.name}-repairing.png")
    desk.probe.wait_event("picture", 120, epoch=terminal["epoch"] + 1)
    for application in ("xterm", "geany"):
        wait_for_itself(desk, application)
    until(lambda: brightness(desk.picture()) > 0.9 * bright, 30, "the picture is as bright as before")
    cluster.settle()  # a desktop made anew gives the focus to the window that had it, whoever clicks meanwhile
    type_and_see(desk, "xterm", "echo back again\n")


BOTH_FAILOVERS = (
    the_text_is_intact_after_the_machine_of_an_application_died,
    the_desktop_is_as_it_was_after_the_machine_that_shows_it_died,
)
NO_DESKTOP_LEFT = (with_no_desktop_left_the_last_picture_stays_dimmed_with_a_line_until_there_is_one,)


def hold(name, about, make_desk, make_breaking, claims, long_claims=()):
    """Starts a cluster of that name, and holds the claims of one kind of terminal against it; `long_claims` before the last of the others
    when the command line asks for them. Returns the exit status."""
    options = run.options_of(about)
    if long_claims:
        options.add_argument("--long", action="store_true", help="all claims, not the heart alone")
    chosen = options.parse_args()
    if chosen.only or getattr(chosen, "long", False):
        claims = (*claims[:-1], *long_claims, claims[-1])

    def on_one_cluster(results):
        with Cluster(name, **SETTINGS) as cluster:
            desk = make_desk(cluster)
            breaking = make_breaking(desk)
            left = [both_applications_are_seen_and_typing_reaches_them, *results.wanted(claims)]
            with contextlib.suppress(KeyboardInterrupt):
                while left and results.check(left.pop(0), cluster, desk, breaking):
                    pass
            results.failed += [f"not reached: {unreached.__name__}" for unreached in left]
            desk.leave()

    return run.hold(chosen.only, on_one_cluster)
