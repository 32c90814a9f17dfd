"""Which applications survive a checkpoint and a restore: the machines of all of them are killed, one after
the other, and what came back is compared with what was there. Writes build/e2e/applications.md.
"""

from desk import closed_incident, lost_seconds, phases_ms
from harness import RESULTS, Failed, now_s, say, until
from screen import differing


def in_terminal(*command):
    return ["xterm", "-fa", "DejaVu Sans Mono", "-fs", "10", "-xrm", "*cursorBlink: false", "-e", *command]


APPLICATIONS = (
    {"name": "xterm", "title": "Terminal (xterm, bash)", "command": in_terminal("bash")},
    {"name": "geany", "title": "Editor (Geany, GTK 3)", "command": ["geany", "--new-instance"]},
    {"name": "gnumeric", "title": "Spreadsheet (Gnumeric, GTK 3)", "command": ["gnumeric"]},
    {"name": "mtpaint", "title": "Paint program (mtPaint, GTK)", "command": ["mtpaint"]},
    {"name": "nano", "title": "Text editor in a terminal (nano)", "command": in_terminal("nano", "letter.txt")},
    {"name": "mc", "title": "File manager in a terminal (mc)", "command": in_terminal("mc")},
    {"name": "mousepad", "title": "Editor (Mousepad, GTK 3)", "command": ["mousepad"]},
    {"name": "galculator", "title": "Calculator (galculator, GTK 3)", "command": ["galculator"]},
)
SETTINGS = {
    "applications": APPLICATIONS, "presentation_backups": 0, "execution_backups": 1, "min_idle": 0, "max_idle": 1,
    "memory_mib": 1024, "vcpus": 2, "slots": 16, "width": 1920, "height": 1200,
    # All of them in one machine: a test machine that boots one for each is too slow for any of them.
    "timing": {"own_machine_grace_ms": 0},
}
# Those that have to survive; for the others the report has to name the reason.
REQUIRED = {"xterm", "geany", "gnumeric", "nano"}
# A clock, a caret, a redrawn tooltip.
ALIKE_PIXELS = 1500


def all_of_them_start(cluster, desk):
    cluster.prepare()
    cluster.start_manager()
    desk.connect()
    desk.probe.wait_event("picture", 120)

    def all_decided():
        view = cluster.view()
        sessions = view["sessions"]
        return len(sessions) == len(APPLICATIONS) and all(
            s["phase"] == "running" and decided(s) for s in sessions)

    until(all_decided, 300, lambda: "every application runs, protected or with a reason: " + "; ".join(
        f"{s['application']} {s['phase']} {s['protection']}" for s in cluster.view()["sessions"]), every=1)
    for application in APPLICATIONS:
        until(lambda: len(desk.still(application["name"]).getcolors(1 << 24)) > 3, 60, f"{application['name']} draws")
    for name in ("xterm", "geany", "nano"):
        desk.type_into(name, "1234", wait_s=30)
    desk.keep("all")


def decided(session):
    """Protected, or known why not."""
    reason = session["protection"]["reason"]
    return protected(session) or (reason != "" and "on its way" not in reason and "no backup" not in reason)


def protected(session):
    return any((b.get("checkpoint") or {}).get("sequence") for b in session["backups"])


def applications_survive_the_death_of_their_machine(cluster, desk):
    rows = {}
    for _ in range(2):
        view = cluster.view()
        left = [s for s in view["sessions"] if s["application"] not in rows]
        if not left:
            break
        kill_and_compare(cluster, desk, left[0]["primary"], rows)
    write_table(rows)
    lost = [name for name in REQUIRED if not rows.get(name, {}).get("restored")]
    if lost:
        raise Failed(f"did not survive: {', '.join(lost)}")
    silent = [name for name, row in rows.items() if not row["restored"] and not row["reason"]]
    if silent:
        raise Failed(f"did not survive, and nothing says why: {', '.join(silent)}")


def kill_and_compare(cluster, desk, node, rows):
    view = cluster.view()
    there = [s for s in view["sessions"] if s["primary"] == node]
    before = {s["application"]: desk.still(s["application"]) for s in there}
    newest = cluster.newest_incident(view)
    began = now_s()
    cluster.kill_instance(node)
    for session in there:
        name = session["application"]
        row = {"protection": session["protection"], "pause_ms": session.get("pause_ms"), "restored": False, "reason": "",
               "bytes": max(((b.get("checkpoint") or {}).get("bytes", 0) for b in session["backups"]), default=0)}
        try:
            incident = closed_incident(cluster, newest, "execution", seconds=90, application=name)
            row["lost"] = incident["lost"]
            phases = phases_ms(incident)
            row["restore_ms"] = phases.get("restored", 0) - phases.get("durable", 0)
            row["restored"] = lost_seconds(incident["lost"]) is not None
            if row["restored"]:
                row["changed"] = differing(before[name], desk.still(name))
            else:
                row["reason"] = session["protection"]["reason"] or incident["decision"]
        except Failed as problem:
            row["reason"] = str(problem)
        if row["restored"] and row["changed"] > ALIKE_PIXELS:
            desk.keep(f"differs-{name}")
        rows[name] = row
        say(f"  {name}: {'restored' if row['restored'] else 'not restored'} after {now_s() - began:.1f} s {row}")

    def none_left():
        return all(s["phase"] == "running" for s in cluster.view()["sessions"])

    until(none_left, 120, "every application runs again")
    until(lambda: all(decided(s) for s in cluster.view()["sessions"]), 120,
          "every application has a checkpoint again, or a reason")


def write_table(rows):
    lines = ["# Applications, after the death of their machine", "",
             "| application | result | checkpoint | application paused | restored in | picture |", "|---|---|---|---|---|---|"]
    for application in APPLICATIONS:
        row = rows.get(application["name"])
        if row is None:
            lines.append(f"| {application['title']} | not tried | | | | |")
            continue
        result = "restored" if row["restored"] else "started afresh: " + row["reason"].replace("|", "/").replace("\n", " ")
        alike = ""
        if row["restored"]:
            alike = "as it was" if row["changed"] <= ALIKE_PIXELS else f"{row['changed']} pixels differ"
        lines.append(f"| {application['title']} | {result} | {row['bytes'] / 1e6:.1f} MB | {row['pause_ms'] or 0} ms | "
                     f"{row.get('restore_ms', 0):.0f} ms | {alike} |")
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    (RESULTS / "applications.md").write_text(text, encoding="utf-8")
    print(text, flush=True)


CLAIMS = (applications_survive_the_death_of_their_machine,)
