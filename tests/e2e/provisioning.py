"""Making machines, for real: what happens when there are enough, when there are none, when making them fails,
and when the manager dies in the middle. Nothing leaks and nothing is made twice.

    provisioning.py [--long] [--only TEXT]
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

from bad_input import claim, expect_pool_reason
from harness import DEMO_APPLICATIONS, PROJECT, Cluster, image_dir, now_s, program, run, say, until
from run import hold, options_of

SMALL = {"applications": DEMO_APPLICATIONS[:1], "presentation_backups": 0, "execution_backups": 0, "memory_mib": 384}
IMPATIENT = {"create_attempts": 3, "operation_retry_ms": 500, "pool_pause_ms": 3000}


def pool(cluster):
    return cluster.view()["pools"][0]


def instance_folders(cluster):
    return sorted(int(p.name) for p in (cluster.state / "instances").glob("*") if p.name.isdigit())


def as_counted(cluster):
    """True when processes, files and the manager's books name the same instances."""
    known = sorted(n["id"] for n in cluster.view()["nodes"])
    return known == sorted(cluster.qemu_pids()) == instance_folders(cluster)


def expect_idle(cluster, count, seconds=120):
    until(lambda: pool(cluster)["idle"] == count and as_counted(cluster), seconds,
          lambda: f"{count} idle and nothing else: {pool(cluster)}, processes {cluster.qemu_pids()}, files {instance_folders(cluster)}")


def a_machine_that_waits_serves_without_another_being_made_for_it():
    with Cluster("pool-hit", min_idle=2, max_idle=2, max_total=4, **SMALL) as cluster:
        cluster.prepare()
        cluster.start_manager()
        expect_idle(cluster, 2)
        waiting = set(cluster.qemu_pids())
        started = now_s()
        cluster.probe().wait_event("picture", 60)
        serving = {n["id"] for n in cluster.view()["nodes"] if n["state"] == "serving"}
        say(f"  a picture after {now_s() - started:.1f} s from {sorted(serving)}")
        claim(serving and serving <= waiting, f"machines that waited should serve: {serving} of {waiting}")


def with_every_place_taken_the_terminal_is_told_and_served_when_there_is_room():
    with Cluster("full", min_idle=0, max_idle=1, max_total=1, slots=1, timing=IMPATIENT, **SMALL) as cluster:
        cluster.prepare()
        cluster.start_manager()
        probe = cluster.probe()
        expect_pool_reason(cluster, "max_total", 120)
        say(f"  the terminal is told: {probe.wait_event('waiting', 30)['text']}")
        claim(len(cluster.qemu_pids()) <= 1, f"max_total is 1: {cluster.qemu_pids()}")
        cluster.set_pool(max_total=3)
        probe.wait_event("picture", 120)


def a_creation_that_fails_twice_and_then_works_leaves_one_machine():
    with Cluster("fails-twice", min_idle=1, max_idle=1, timing=IMPATIENT, **SMALL) as cluster:
        cluster.prepare()
        programs = cluster.dir / "programs.img"
        programs.rename(cluster.dir / "elsewhere.img")
        cluster.start_manager()
        until(lambda: cluster.manager_log.read_text(errors="replace").count("trying again") >= 2, 30, "two creations have failed", every=0.02)
        (cluster.dir / "elsewhere.img").rename(programs)
        expect_idle(cluster, 1)


def a_missing_image_is_named_nothing_is_left_and_the_pool_recovers():
    folder = Path(tempfile.mkdtemp(prefix="us-image-", dir="/tmp"))
    try:
        for name in ("vmlinuz", "initramfs.img", "kernel-command-line"):
            os.symlink(image_dir() / name, folder / name)
        with Cluster("no-image", image=folder, min_idle=0, max_idle=1, timing=IMPATIENT, **SMALL) as cluster:
            cluster.prepare()
            refused = run(program("understudyd"), "--config", cluster.config, "--check", check=False)
            claim(refused.returncode != 0 and "base.img" in refused.stdout, f"the configuration should be refused for its image: {refused.stdout}")
            # It is there when the manager starts, and gone when a machine is wanted.
            os.symlink(image_dir() / "base.img", folder / "base.img")
            cluster.start_manager()
            (folder / "base.img").unlink()
            cluster.set_pool(min_idle=1)
            expect_pool_reason(cluster, r"base\.img", 60)
            claim(not cluster.qemu_pids() and not instance_folders(cluster), "nothing should be left of what could not be made")
            cluster.kill_manager()
            cluster.start_manager()  # with the limits of its configuration
            cluster.set_pool(min_idle=1)
            expect_pool_reason(cluster, r"base\.img", 60)
            os.symlink(image_dir() / "base.img", folder / "base.img")
            expect_idle(cluster, 1)
    finally:
        shutil.rmtree(folder)


def a_damaged_image_is_not_handed_out():
    folder = Path(tempfile.mkdtemp(prefix="us-image-", dir="/tmp"))
    try:
        for name in ("vmlinuz", "initramfs.img", "kernel-command-line"):
            os.symlink(image_dir() / name, folder / name)
        (folder / "base.img").write_bytes(b"x" * 4096)
        (folder / "manifest.json").write_text(json.dumps({"sha256": {"base.img": hashlib.sha256(b"y" * 4096).hexdigest()}}), encoding="utf-8")
        with Cluster("damaged-image", image=folder, min_idle=1, max_idle=1, timing=IMPATIENT, **SMALL) as cluster:
            cluster.prepare()
            cluster.start_manager()
            expect_pool_reason(cluster, "manifest", 60)
            claim(not cluster.qemu_pids(), "nothing should run from it")
    finally:
        shutil.rmtree(folder)


def a_manager_killed_while_it_makes_machines_leaks_none_and_makes_none_twice():
    with Cluster("killed-while-creating", min_idle=2, max_idle=2, max_total=4, timing={"inventory_interval_ms": 2000}, **SMALL) as cluster:
        cluster.prepare()
        # At another moment of the creations each time: files, a process, both machines.
        for begun in (lambda: instance_folders(cluster), cluster.qemu_pids, lambda: len(cluster.qemu_pids()) >= 2):
            cluster.start_manager()
            until(begun, 60, "a creation has come so far", every=0.01)
            cluster.kill_manager()
        cluster.start_manager()
        expect_idle(cluster, 2)


def more_idle_than_max_idle_are_destroyed():
    with Cluster("too-many", min_idle=2, max_idle=2, max_total=4, **SMALL) as cluster:
        cluster.prepare()
        cluster.start_manager()
        expect_idle(cluster, 2)
        cluster.set_pool(min_idle=0, max_idle=1)
        expect_idle(cluster, 1, 60)


def returned_machines_are_scrubbed_and_the_manager_does_not_grow():
    with Cluster("returned", min_idle=1, max_idle=2, max_total=4, **SMALL) as cluster:
        cluster.prepare()
        cluster.start_manager()
        expect_idle(cluster, 1)
        figures = []
        for turn in range(5):
            probe = cluster.probe()
            probe.wait_event("picture", 120)
            probe.close()  # one that is still there when it is released attaches again
            cluster.probes.remove(probe)
            cluster.command("release", "demo", "--reason", "test")
            until(lambda: not [n for n in cluster.view()["nodes"] if n["state"] == "serving"], 60, "its machines are returned")
            # Each machine takes descriptors: only with the same ones at rest do two looks tell of growth.
            until(lambda: as_counted(cluster) and [n["state"] for n in cluster.view()["nodes"]] == ["idle", "idle"], 120,
                  lambda: f"the two machines that it had are idle and nothing else is there: {pool(cluster)}")
            process = Path(f"/proc/{cluster.manager.pid}")
            resident = int((process / "statm").read_text().split()[1]) * 4
            figures.append((len(list((process / "fd").iterdir())), resident))
            say(f"  turn {turn}: {figures[-1][0]} descriptors, {figures[-1][1]} KiB")
        claim(figures[-1][0] <= figures[1][0] + 2, f"descriptors grow: {figures}")
        claim(figures[-1][1] <= figures[1][1] + 4096, f"memory grows: {figures}")


def machines_that_stood_still_go_on_and_serve_and_come_back_with_a_receipt():
    with Cluster("paused", min_idle=0, max_idle=2, max_total=4, min_paused=2, max_paused=2, **SMALL) as cluster:
        cluster.prepare()
        cluster.start_manager()
        until(lambda: pool(cluster)["standing"] == 2 and as_counted(cluster), 180, lambda: f"two stand still: {pool(cluster)}")
        standing = cluster.qemu_pids()
        started = now_s()
        probe = cluster.probe()
        probe.wait_event("picture", 60)
        serving = {n["id"]: n for n in cluster.view()["nodes"] if n["state"] == "serving"}
        say(f"  a picture after {now_s() - started:.1f} s from {sorted(serving)}, which stood still")
        claim(serving and all(standing.get(n) == cluster.qemu_pids()[n] for n in serving), f"those that stood still should serve: {standing}, {serving}")
        until(lambda: pool(cluster)["standing"] == 2, 120, lambda: f"others stand still instead: {pool(cluster)}")
        probe.close()  # or it would come again, and use them
        cluster.probes.remove(probe)
        cluster.command("release", "demo", "--reason", "test")
        until(lambda: any("sha256" in n["receipt"] for n in cluster.view()["nodes"] if n["id"] in serving and n["state"] == "idle"), 120,
              lambda: f"one is idle again, with a receipt: {[(n['id'], n['state'], n['receipt']) for n in cluster.view()['nodes']]}")


def an_application_runs_in_its_environment():
    folder = Path(tempfile.mkdtemp(prefix="us-bundles-", dir="/tmp"))
    try:
        digest = run(PROJECT / "nodes" / "image" / "make-environment", "--name", "tools", "--out", folder, "--command", "exec xterm").stdout.strip()
        application = {"name": "tool", "title": "Tool", "command": ["start"], "environment": "tools"}
        with Cluster("environment", min_idle=2, max_idle=2, max_total=4, environments={"tools": folder / f"{digest.removeprefix('sha256:')}.env"},
                     **{**SMALL, "applications": (application,)}) as cluster:
            cluster.prepare()
            cluster.start_manager()
            expect_idle(cluster, 2)
            started = now_s()
            cluster.probe().wait_event("picture", 60)
            until(lambda: cluster.session("tool")["phase"] == "running", 60, lambda: f"it runs: {cluster.session('tool')}", every=0.05)
            say(f"  it runs {now_s() - started:.1f} s after its terminal came")
            claim(any("tools" in n["environments"] for n in cluster.view()["nodes"]), "a machine should have the environment")
    finally:
        shutil.rmtree(folder)


HEART = (
    a_machine_that_waits_serves_without_another_being_made_for_it,
    a_creation_that_fails_twice_and_then_works_leaves_one_machine,
    a_missing_image_is_named_nothing_is_left_and_the_pool_recovers,
    a_manager_killed_while_it_makes_machines_leaks_none_and_makes_none_twice,
)
LONG = (
    *HEART,
    a_damaged_image_is_not_handed_out,
    with_every_place_taken_the_terminal_is_told_and_served_when_there_is_room,
    more_idle_than_max_idle_are_destroyed,
    returned_machines_are_scrubbed_and_the_manager_does_not_grow,
    machines_that_stood_still_go_on_and_serve_and_come_back_with_a_receipt,
    an_application_runs_in_its_environment,
)


def main():
    options = options_of(__doc__)
    options.add_argument("--long", action="store_true", help="all of them, not the heart alone")
    chosen = options.parse_args()
    return hold(chosen.only, lambda results: results.each(LONG if chosen.long or chosen.only else HEART))


if __name__ == "__main__":
    sys.exit(main())
