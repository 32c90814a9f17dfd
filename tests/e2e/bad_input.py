"""Bad input, for real: each mistake gives one clear message with the next step, leaves nothing half-made
behind, and the manager lives on.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from harness import Cluster, Failed, image_dir, program, run, say, until


def claim(condition, text):
    if not condition:
        raise Failed(text)


def manager_says(config, *words, seconds=20):
    """Runs the manager, which is expected to end by itself; returns (status, what it said on standard error)."""
    done = subprocess.run([program("understudyd"), "--config", str(config), *words], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=seconds, check=False)
    return done.returncode, done.stderr


# What is changed in a good configuration, and the option the complaint has to name.
MISTAKES = (
    ('flavour = "small"\nvcpus = 1', 'flavour = "small"\nvcpu = 1', "vcpu"),
    ('memory_mib = 512', 'memory_mib = "much"', "memory_mib"),
    ('memory_mib = 512', 'memory_mib = 0', "memory_mib"),
    ('min_idle = 1', 'min_idle = 50', "min_idle"),
    ('separation = "instance"', 'separation = "galaxy"', "separation"),
    ('profile = "demo"', 'profile = "another"', "profile"),
    ('command = ["geany", "--new-instance"]', 'command = []', "command"),
    ('acceleration = "tcg"', 'acceleration = "warp"', "acceleration"),
    ('role = "administrator"', 'role = "king"', "role"),
    ('listen = "tcp://', 'listen = "', "listen"),
    ('[[pool]]', '[[pool]', None),
    ('state_dir = ', '# state_dir = ', "state_dir"),
)


def a_malformed_configuration_names_file_line_and_option():
    with Cluster("malformed") as cluster:
        cluster.prepare()
        good = cluster.configuration()
        status, said = manager_says(cluster.config, "--check")
        claim(status == 0, f"the good configuration was refused: {said}")
        before = sorted(os.listdir(cluster.dir))
        for old, new, option in MISTAKES:
            claim(old in good, f"the test's own mistake: {old}")
            text = good.replace(old, new, 1)
            cluster.config.write_text(text, encoding="utf-8")
            status, said = manager_says(cluster.config)
            claim(status == 2, f"status {status} for {new!r}: {said}")
            claim(re.search(rf"{re.escape(str(cluster.config))}:\d+", said), f"no file and line for {new!r}: {said}")
            claim(option is None or option in said, f"the option {option} is not named for {new!r}: {said}")
            line = int(re.search(r":(\d+)", said.replace(str(cluster.config), "")).group(1))
            wrong = text[:text.index(new)].count("\n") + 1 if new in text else line
            # A missing option is complained about at its table.
            claim(abs(line - wrong) <= 6, f"line {line} is named, the mistake is in line {wrong}: {said}")
            claim(sorted(os.listdir(cluster.dir)) == before, f"something was left behind after {new!r}")


def a_malformed_client_configuration_names_file_line_and_option():
    with Cluster("malformed-client") as cluster:
        cluster.prepare()
        config = cluster.dir / "operator.toml"
        good = config.read_text(encoding="utf-8")
        for text, option in ((good + 'colour = "red"\n', "colour"), (good.replace("manager_key", "manger_key"), "manger_key"),
                             (re.sub(r'manager_key = ".*"', 'manager_key = "short"', good), "manager_key")):
            config.write_text(text, encoding="utf-8")
            done = run(program("understudy"), "--config", config, "status", check=False)
            claim(done.returncode == 2, f"status {done.returncode}: {done.stdout}")
            claim(re.search(rf"{re.escape(str(config))}(:|, line )\d+", done.stdout) and option in done.stdout, done.stdout)


def a_port_in_use_is_named_and_nothing_is_started():
    with Cluster("port-in-use") as cluster, socket.socket() as taken:
        cluster.prepare()
        taken.bind(("127.0.0.1", cluster.port))
        taken.listen()
        status, said = manager_says(cluster.config)
        claim(status != 0, "the manager should not start")
        claim(str(cluster.port) in said and "in use" in said, f"the port is not named: {said}")
        claim(len(said.strip().splitlines()) <= 3, f"one message is enough: {said}")
        claim(not cluster.qemu_pids(), "no instance should have been made")


def a_missing_state_directory_says_how_to_make_it():
    with Cluster("no-state") as cluster:
        cluster.prepare()
        text = cluster.configuration().replace(f'state_dir = "{cluster.state}"', f'state_dir = "{cluster.dir}/nowhere"')
        cluster.config.write_text(text, encoding="utf-8")
        status, said = manager_says(cluster.config)
        claim(status != 0 and "understudyd init" in said, f"the next step is not named: {said}")
        claim(not (cluster.dir / "nowhere").exists(), "a state directory should not be made by accident")


@contextlib.contextmanager
def small_disk(kib):
    """A file system of that size."""
    where = Path(tempfile.mkdtemp(prefix="us-disk-", dir="/tmp"))
    run("mount", "-t", "tmpfs", "-o", f"size={kib}k", "understudy-test", where)
    try:
        yield where
    finally:
        for _ in range(20):
            if run("umount", where, check=False).returncode == 0:
                break
            time.sleep(0.2)
        where.rmdir()


def fill(path):
    """Writes until nothing more goes onto the file system."""
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as filling:
        while True:
            filling.write(b"x" * 4096)


def a_full_disk_is_named_when_the_state_cannot_be_made():
    with small_disk(16) as disk:
        (disk / "filling").write_bytes(b"x" * 16384)
        done = run(program("understudyd"), "init", "--dir", disk / "state", check=False)
        claim(done.returncode != 0, "init should fail")
        claim("No space left" in done.stdout, f"the cause is not named: {done.stdout}")


def an_application_that_does_not_exist_is_named_and_the_others_work():
    applications = ({"name": "xterm", "title": "Terminal", "command": ["xterm"]},
                    {"name": "ghost", "title": "Ghost", "command": ["no-such-program"]})
    with Cluster("missing-application", applications=applications, presentation_backups=0, execution_backups=0,
                 min_idle=0, max_idle=0) as cluster:
        cluster.prepare()
        cluster.start_manager()
        probe = cluster.probe()
        probe.wait_event("picture", 120)
        until(lambda: (cluster.session("xterm") or {}).get("phase") == "running", 120, "the good application runs")
        said = until(lambda: re.search(r'"[^"]*no-such-program[^"]*"', str(cluster.command("incidents")) + str(cluster.view())),
                     60, lambda: f"somebody names no-such-program: {cluster.session('ghost')}", every=0.5)
        say(f"  {said.group(0)[:200]}")
        time.sleep(5)
        claim(cluster.session("xterm")["phase"] == "running", "the good application should go on")
        claim(len(cluster.qemu_pids()) <= 3, f"instances should not multiply: {cluster.qemu_pids()}")


def expect_pool_reason(cluster, pattern, seconds):
    """Waits until the pool says why it makes nothing, in words that match; returns them."""

    def reason():
        for pool in cluster.view()["pools"]:
            if re.search(pattern, pool["reason"], re.I):
                return pool["reason"]
        return None

    text = until(reason, seconds, lambda: f"the pool names the cause; it says {cluster.view()['pools']}", every=0.5)
    say(f"  {text[:200]}")
    return text


QUICK_TO_GIVE_UP = {"create_attempts": 1, "operation_retry_ms": 500, "pool_pause_ms": 3000, "boot_limit_ms": 12000}


def a_disk_of_programs_that_is_missing_is_named_in_the_hypervisors_words():
    with Cluster("no-programs", timing=QUICK_TO_GIVE_UP, min_idle=0) as cluster:
        cluster.prepare()
        programs = cluster.dir / "programs.img"
        programs.rename(cluster.dir / "elsewhere.img")
        cluster.start_manager()
        probe = cluster.probe()
        expect_pool_reason(cluster, r"programs\.img", 60)
        waiting = probe.wait_event("waiting", 30)
        say(f"  the terminal is told: {waiting['text']}")
        claim(not cluster.qemu_pids(), "no instance should run")
        (cluster.dir / "elsewhere.img").rename(programs)
        probe.wait_event("picture", 120)


def an_image_that_does_not_boot_is_given_up_and_leaves_nothing():
    image = Path(tempfile.mkdtemp(prefix="us-image-", dir="/tmp"))
    try:
        for name in ("vmlinuz", "initramfs.img", "kernel-command-line"):
            os.symlink(image_dir() / name, image / name)
        empty = bytes(64 << 20)
        (image / "base.img").write_bytes(empty)
        digests = {"sha256": {"base.img": hashlib.sha256(empty).hexdigest()}}
        (image / "manifest.json").write_text(json.dumps(digests), encoding="utf-8")
        with Cluster("bad-image", timing=QUICK_TO_GIVE_UP, image=image, min_idle=0) as cluster:
            cluster.prepare()
            cluster.start_manager()
            probe = cluster.probe()
            expect_pool_reason(cluster, r"boot|registered|ended", 120)
            say(f"  the terminal is told: {probe.wait_event('waiting', 30)['text']}")
            claim(cluster.answers(), "the manager should live on")
            until(lambda: len(cluster.qemu_pids()) <= 2, 30, "given-up instances are gone")
            left = [p.name for p in (cluster.state / "instances").glob("*")]
            claim(len(left) <= 4, f"files of given-up instances are left: {left}")
    finally:
        shutil.rmtree(image)


def a_full_disk_stops_the_pool_with_a_reason_and_not_the_manager():
    with small_disk(1500) as disk, Cluster("full-disk", timing=QUICK_TO_GIVE_UP, state_dir=disk / "s", min_idle=0) as cluster:
        cluster.prepare()
        cluster.start_manager()
        fill(disk / "filling")
        probe = cluster.probe()
        alarm = until(lambda: named_full(cluster), 60, lambda: f"somebody names the full disk: {cluster.view()['manager']} "
                      f"{cluster.view()['pools']}", every=0.5)
        say(f"  {alarm}")
        claim(cluster.manager.poll() is None, "the manager should live on")
        (disk / "filling").unlink()
        del probe


def named_full(cluster):
    view = cluster.view()
    words = [view["manager"]["store"], *view["manager"]["alarms"], *(p["reason"] for p in view["pools"])]
    for text in words:
        if re.search(r"no space left|full", str(text), re.I):
            return text
    return None


WITHOUT_MACHINES = (
    a_malformed_configuration_names_file_line_and_option,
    a_malformed_client_configuration_names_file_line_and_option,
    a_port_in_use_is_named_and_nothing_is_started,
    a_missing_state_directory_says_how_to_make_it,
    a_full_disk_is_named_when_the_state_cannot_be_made,
)
WITH_MACHINES = (
    an_application_that_does_not_exist_is_named_and_the_others_work,
    a_disk_of_programs_that_is_missing_is_named_in_the_hypervisors_words,
    an_image_that_does_not_boot_is_given_up_and_leaves_nothing,
    a_full_disk_stops_the_pool_with_a_reason_and_not_the_manager,
)
