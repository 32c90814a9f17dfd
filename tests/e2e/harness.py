"""A private cluster of real programs and real instances, for tests that take pixels and kill machines.

A Cluster lives in a short temporary folder with its own ports, keys and hypervisor root; nothing of it is
left when it is closed, however the test ended. Logs and screenshots of failures go to build/e2e/.
Used from one thread; every Probe has a reader thread of its own.
"""

import atexit
import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("UNDERSTUDY_BUILD", PROJECT / "build" / "release"))
RESULTS = PROJECT / "build" / "e2e"
PROGRAMS = {
    "understudyd": "manager/understudyd",
    "understudy": "client/command/understudy",
    "understudy-probe": "client/probe/understudy-probe",
    "understudy-gateway": "client/gateway/understudy-gateway",
    "packet-relay": "tests/e2e/packet-relay",
}


class Failed(AssertionError):
    """A claim that did not hold; the text says what was seen instead."""


def say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def now_s():
    """CLOCK_MONOTONIC, the same clock the probe stamps with."""
    return time.monotonic_ns() / 1e9


class Pace:
    """How slow this machine is. Limits of waits are written as seconds of the reference machine, and are multiplied by
    `factor`: 1 there and on faster ones, 3 where virtual machines are ready three times as late.

    Measured once in a run, by what the run does anyway: the manager's own figure for the first machine that it made, from the
    request to the registration of its agent (`making_ms` of a pool in the view). It contains what later waits consist of:
    emulated processors, the disk, and the competition of as many machines as this test uses.
    """

    MACHINE_S = 8.0  # from the request to the registration on the reference machine: 2 cores, emulation, two or three made at once
    MOST = 8         # a slower machine than this is none for these tests; until it is measured, waits are cut there

    def __init__(self):
        self.factor = None

    def learn(self, view):
        """Takes the measure from the first view that has one."""
        made_ms = [pool["making_ms"] for pool in view["pools"] if pool["making_ms"]]
        if self.factor is None and made_ms:
            self.measured("a virtual machine is ready", made_ms[0] / 1000, self.MACHINE_S)

    def measured(self, what, took_s, reference_s):
        """For a run without virtual machines: something else that it begins with, and how long that takes on the reference machine."""
        self.factor = max(1.0, took_s / reference_s)
        say(f"pace of this machine: {what} after {took_s:.1f} s; waits end after {self.factor:.1f} × their limits")
        if self.factor > self.MOST:
            raise Failed(f"this machine is {self.factor:.1f} times as slow as the reference machine, more than {self.MOST}: nothing "
                         "could be said of the product here; end what else runs on it")

    def limit(self, seconds):
        """What `seconds` of the reference machine are on this one."""
        return seconds * (self.factor or self.MOST)

    def stretch(self, seconds):
        """The same for what is measured, not waited for: not stretched before the pace is known."""
        return seconds * (self.factor or 1)


PACE = Pace()


def until(condition, seconds, what, every=0.1):
    """Waits until `condition` returns something true, and returns it; `seconds` of the reference machine at most."""
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > began + PACE.limit(seconds):
            raise Failed(f"not within {PACE.limit(seconds):.0f} s: {what() if callable(what) else what}")
        time.sleep(every)


def program(name):
    path = BUILD / PROGRAMS[name]
    if not path.exists():
        raise Failed(f"{path} is missing; build it: ninja -C {BUILD} {name}")
    return str(path)


def program_in_guest(name):
    """What the build made of a program that runs in guests."""
    for path in (BUILD / "nodes").rglob(name):
        if path.is_file() and os.access(path, os.X_OK):
            return path
    raise Failed(f"{name} is missing; build it: ninja -C {BUILD} {name}")


def image_dir():
    if "UNDERSTUDY_IMAGE" in os.environ:
        return Path(os.environ["UNDERSTUDY_IMAGE"])
    if "UNDERSTUDY_CACHE" in os.environ:
        return Path(os.environ["UNDERSTUDY_CACHE"]) / "image"
    if os.geteuid() == 0:
        return Path("/var/cache/understudy/image")
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "understudy" / "image"


def free_ports(count):
    """The first of `count` neighbouring loopback ports below the range that systems hand out themselves."""
    for _ in range(200):
        first = random.randrange(20000, 32000 - count)
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    probe = stack.enter_context(socket.socket())
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return first
    raise Failed(f"no {count} neighbouring free ports")


def run(*words, check=True, timeout=120):
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=timeout, check=False)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(map(str, words))} ended with {done.returncode}:\n{done.stdout}")
    return done


class Probe:
    """A terminal without a screen; see understudy-probe --help."""

    def __init__(self, config, terminal, log):
        self.terminal = terminal
        self.events = []
        self._answers = {}
        self._next = 0
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._log = open(log, "a", encoding="utf-8")
        self._process = subprocess.Popen([program("understudy-probe"), "--terminal", terminal, "--config", str(config)],
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                self._log.write(line)
                continue
            if "event" in said:
                self._log.write(line)
                self._log.flush()
            with self._changed:
                if "event" in said:
                    self.events.append(said)
                else:
                    self._answers[said.get("id")] = said
                self._changed.notify_all()
        with self._changed:
            self._changed.notify_all()

    def send(self, verb, **fields):
        """Asks without waiting; returns the number to give to answer()."""
        return self.send_all([{"do": verb, **fields}])[0]

    def send_all(self, commands):
        """Several at once: the probe carries them out on one and the same picture."""
        with self._sending:
            numbers = range(self._next, self._next + len(commands))
            self._next += len(commands)
            text = "".join(json.dumps({"id": n, **c}) + "\n" for n, c in zip(numbers, commands))
            try:
                self._process.stdin.write(text)
                self._process.stdin.flush()
            except (BrokenPipeError, ValueError) as problem:
                raise Failed("the probe has ended") from problem
            return list(numbers)

    def answer(self, number, seconds=60):
        began = time.monotonic()
        with self._changed:
            while number not in self._answers:
                left = began + PACE.limit(seconds) - time.monotonic()
                if left <= 0 or self._process.poll() is not None:
                    raise Failed("the probe does not answer")
                self._changed.wait(min(left, 1))
            return self._answers.pop(number)

    def ask(self, verb, **fields):
        said = self.answer(self.send(verb, **fields))
        if not said["ok"]:
            raise Failed(f"probe, {verb}: {said.get('reason')}")
        return said

    def wait_event(self, name, seconds, since=0, epoch=0):
        """The first event of that name after events[since], of that epoch or a later one."""
        began = time.monotonic()
        with self._changed:
            while True:
                for event in self.events[since:]:
                    if event["event"] == name and event.get("epoch", 0) >= epoch:
                        return event
                left = began + PACE.limit(seconds) - time.monotonic()
                if left <= 0 or self._process.poll() is not None:
                    heard = [f"{e['event']} {e.get('text', '')}" for e in self.events[-5:]]
                    raise Failed(f"the terminal saw no \"{name}\" within {PACE.limit(seconds):.0f} s; last: {heard}")
                self._changed.wait(min(left, 1))

    def screenshot(self, path):
        self.ask("screenshot", file=str(path))
        return path

    def close(self):
        with contextlib.suppress(Failed):
            self.send("quit")
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


DEMO_APPLICATIONS = (
    # A block cursor that does not blink, and colours that are what the counter expects.
    {"name": "xterm", "title": "Terminal",
     "command": ["xterm", "-fa", "DejaVu Sans Mono", "-fs", "10", "-xrm", "*cursorBlink: false"]},
    {"name": "geany", "title": "Editor", "command": ["geany", "--new-instance"]},
)


def toml_text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(toml_text(v) for v in value) + "]"
    if isinstance(value, (int, float)):
        return str(value)
    return json.dumps(str(value))


def toml_table(head, values):
    return f"{head}\n" + "".join(f"{k} = {toml_text(v)}\n" for k, v in values.items()) + "\n"


class Cluster:
    """Settings may be given as keyword arguments; see the defaults below. A host is a name, or a table of what the
    configuration may say of it; `address` is where the manager listens, as machines of other hosts reach it."""

    def __init__(self, name, **settings):
        self.name = name
        self.settings = {
            "vcpus": 1, "memory_mib": 512, "slots": 4, "min_idle": 1, "max_idle": 2, "max_total": 10,
            "min_paused": 0, "max_paused": 0, "environments": {},
            "presentation_backups": 1, "execution_backups": 1, "hosts": ("here",), "separation": "instance",
            "applications": DEMO_APPLICATIONS, "terminals": ("demo",), "timing": {}, "image": None,
            "door_ports": 60, "state_dir": None, "width": 1280, "height": 800, "acceleration": "tcg", "guest_filter": "on",
            "address": "127.0.0.1",
        }
        unknown = set(settings) - set(self.settings)
        assert not unknown, unknown
        self.settings.update(settings)
        self.dir = Path(tempfile.mkdtemp(prefix="us-", dir="/tmp"))
        self.dir.chmod(0o711)  # QEMU's account passes
        self.state = Path(self.settings["state_dir"] or self.dir)
        self.root = self.dir / "v"
        self.results = RESULTS / name
        shutil.rmtree(self.results, ignore_errors=True)
        self.results.mkdir(parents=True)
        self.config = self.dir / "understudyd.toml"
        self.manager_log = self.results / "understudyd.log"
        self.port = free_ports(self.settings["door_ports"] + 2)
        self.endpoint = f"tcp://{self.settings['address']}:{self.port}"
        self.manager = None
        self.gateway = None
        self.probes = []
        self._closed = False
        atexit.register(self.close)

    def __enter__(self):
        return self

    def __exit__(self, kind, problem, trace):
        if kind is not None and not issubclass(kind, KeyboardInterrupt):
            self.keep_evidence(str(problem))
        self.close()

    # ------------------------------------------------------------------ configuration

    def pack_programs(self):
        """The disk of programs that guests run."""
        run(PROJECT / "nodes" / "image" / "pack-programs", BUILD, self.dir / "programs.img")

    def prepare(self):
        """Keys, the disk of programs and configuration files."""
        run(program("understudyd"), "init", "--dir", self.state)
        self.pack_programs()
        for who in ("operator", "probe", "gateway"):
            run(program("understudy"), "keys", "new", "--out", self.dir / f"{who}.key")
            self.write_client(who)
        self.write_configuration()

    @staticmethod
    def public_half(path):
        return re.search(r'^public_key\s*=\s*"(.*)"', path.read_text(encoding="utf-8"), re.M).group(1)

    def write_client(self, who):
        manager_key = self.public_half(self.state / "manager.keys")
        text = toml_table("", {"manager": self.endpoint, "manager_key": manager_key,
                               "key_file": str(self.dir / f"{who}.key")})
        if who == "gateway":
            text += toml_table("[gateway]", {"address": "127.0.0.1", "port": self.port + 1, "tls": "off"})
        (self.dir / f"{who}.toml").write_text(text, encoding="utf-8")

    def configuration(self):
        s = self.settings
        parts = [
            toml_table("[manager]", {"listen": self.endpoint, "state_dir": str(self.state),
                                     "log_level": "debug"}),
            toml_table("[instances]", {"image_dir": str(s["image"] or image_dir()),
                                       "agent_image": str(self.dir / "programs.img"), "root": str(self.root),
                                       "door_ports": [self.port + 2, self.port + 1 + s["door_ports"]],
                                       "acceleration": s["acceleration"], "guest_filter": s["guest_filter"],
                                       **({} if s["address"] == "127.0.0.1" else {"guest_manager": self.endpoint})}),
        ]
        if s["timing"]:
            parts.append(toml_table("[timing]", s["timing"]))
        for host in s["hosts"]:
            parts.append(toml_table("[[host]]", {"vcpus": 32, "memory_mib": 16384, **(host if isinstance(host, dict) else {"name": host})}))
        parts.append(toml_table("[[pool]]", {"flavour": "small", **{k: s[k] for k in (
            "vcpus", "memory_mib", "slots", "min_idle", "max_idle", "max_total", "min_paused", "max_paused")}}))
        parts += [toml_table("[[environment]]", {"name": name, "file": str(file)}) for name, file in s["environments"].items()]
        parts.append(toml_table("[[profile]]", {"name": "demo", "flavour": "small", **{k: s[k] for k in (
            "separation", "presentation_backups", "execution_backups", "width", "height")}}))
        parts += [toml_table("[[profile.application]]", a) for a in s["applications"]]
        parts += [toml_table("[[terminal]]", {"name": t, "profile": "demo"}) for t in s["terminals"]]
        for who, role in (("operator", "administrator"), ("probe", "terminal"), ("gateway", "gateway")):
            peer = {"name": who, "role": role, "key": self.public_half(self.dir / f"{who}.key")}
            if role == "terminal":
                peer["terminals"] = list(s["terminals"])
            parts.append(toml_table("[[peer]]", peer))
        return "".join(parts)

    def write_configuration(self):
        self.config.write_text(self.configuration(), encoding="utf-8")

    # ------------------------------------------------------------------ processes

    def start_manager(self, **environment):
        with open(self.manager_log, "ab") as log:
            # A session of its own: an interrupt at the keyboard ends the test, which then ends the manager.
            self.manager = subprocess.Popen([program("understudyd"), "--config", str(self.config)], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
                                            env={**os.environ, **environment})
        until(self.answers, 20, lambda: f"the manager answers; its log ends with:\n{self.tail(self.manager_log)}")

    def answers(self):
        if self.manager.poll() is not None:
            raise Failed(f"the manager ended with {self.manager.returncode}:\n{self.tail(self.manager_log)}")
        return run(program("understudy"), "--json", "--timeout", "2", "--config", self.dir / "operator.toml", "status",
                   check=False).returncode == 0

    def kill_manager(self):
        self.manager.kill()
        self.manager.wait()

    def start_gateway(self):
        subprocess.run([program("understudy-gateway"), "--config", str(self.dir / "gateway.toml"), "account", "add", "ada",
                        "--role", "administrator"], input="a password for tests\n", text=True, check=True)
        with open(self.results / "gateway.log", "ab") as log:
            self.gateway = subprocess.Popen([program("understudy-gateway"), "--config", str(self.dir / "gateway.toml")],
                                            stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)

    def probe(self, terminal="demo"):
        probe = Probe(self.dir / "probe.toml", terminal, self.results / f"probe-{terminal}.log")
        self.probes.append(probe)
        return probe

    @staticmethod
    def tail(path, lines=15):
        with contextlib.suppress(OSError):
            return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
        return "(no log)"

    # ------------------------------------------------------------------ what the manager says

    def command(self, *words, check=True):
        """An act or question of the command line; returns the parsed answer, or the ended process if check is off."""
        done = run(program("understudy"), "--json", "--config", self.dir / "operator.toml", *words, check=check)
        return json.loads(done.stdout) if check else done

    def view(self):
        view = self.command("status")
        PACE.learn(view)
        return view

    def node(self, number, view=None):
        for node in (view or self.view())["nodes"]:
            if node["id"] == number:
                return node
        return None

    def session(self, application, terminal="demo", view=None):
        view = view or self.view()
        wanted = self.terminal(terminal, view)["id"]
        for session in view["sessions"]:
            if session["application"] == application and session["terminal"] == wanted:
                return session
        return None

    def terminal(self, name="demo", view=None):
        for terminal in (view or self.view())["terminals"]:
            if terminal["name"] == name:
                return terminal
        return None

    def incidents(self, after=0, view=None):
        """Newest first, those with a number above `after`."""
        return [i for i in (view or self.view())["incidents"] if i["id"] > after]

    def newest_incident(self, view=None):
        return max((i["id"] for i in (view or self.view())["incidents"]), default=0)

    def unsettled(self, view=None, terminal="demo"):
        """What is still missing until everything runs with all its backups; empty when nothing is."""
        view = view or self.view()
        missing = []
        wanted = self.terminal(terminal, view)
        if wanted is None:
            return ["the terminal is unknown"]
        presentation = wanted.get("presentation") or {}
        if not presentation.get("primary") or presentation.get("phase") != "running":
            missing.append(f"desktop: {presentation.get('phase')} {wanted.get('waiting', '')}")
        ready = [b for b in presentation.get("backups", []) if b["phase"] == "standby"]
        if len(ready) < self.settings["presentation_backups"]:
            missing.append(f"desktop backups: {presentation.get('backups')}")
        sessions = [s for s in view["sessions"] if s["terminal"] == wanted["id"]]
        if len(sessions) < len(self.settings["applications"]):
            missing.append(f"{len(sessions)} sessions")
        for session in sessions:
            if session["phase"] != "running":
                missing.append(f"{session['application']}: {session['phase']}")
            checkpointed = session["protection"]["wanted"] == "checkpoint"
            ready = [b for b in session["backups"] if b["phase"] == "standby"
                     and (not checkpointed or (b.get("checkpoint") or {}).get("sequence"))]
            if len(ready) < self.settings["execution_backups"]:
                missing.append(f"{session['application']} backups: {session['backups']} ({session['protection']})")
        idle = sum(p["idle"] for p in view["pools"])
        if idle < self.settings["min_idle"]:
            missing.append(f"{idle} idle instances")
        return missing

    def first_machine(self):
        """Waits until the manager has made its first machine: then the pace is known by which all other waits end."""
        until(lambda: self.view() and PACE.factor, 2 * Pace.MACHINE_S, lambda: "a first machine registers: the product's fault, or a machine on which "
              f"too much else runs (load average {os.getloadavg()[0]:.0f}); {[(n['name'], n['state'], n['reason']) for n in self.view()['nodes']]}", every=0.3)

    def settle(self, seconds=180, terminal="demo"):
        """Waits until everything runs with all its backups; returns the view."""
        missing = ["nothing was looked at"]
        kept = {}

        def settled():
            kept["view"] = self.view()
            missing[:] = self.unsettled(kept["view"], terminal)
            return not missing

        until(settled, seconds, lambda: "settled; missing: " + "; ".join(missing), every=0.3)
        return kept["view"]

    # ------------------------------------------------------------------ breaking things

    def qemu_pids(self):
        """Process numbers of this cluster's instances by node number."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if b"qemu" not in words[0] or str(self.dir).encode() not in b" ".join(words):
                    continue
                name = re.search(rb"guest=us-(\d+)", b" ".join(words))
                if name:
                    found[int(name.group(1))] = int(entry.name)
        return found

    def kill_instance(self, node, how=signal.SIGKILL):
        """kill -9 of the QEMU process of a node; returns the moment right before."""
        pid = self.qemu_pids().get(node)
        if pid is None:
            raise Failed(f"node {node} has no QEMU process")
        moment = now_s()
        os.kill(pid, how)
        return moment

    def kill_instances(self, nodes):
        pids = self.qemu_pids()
        moment = now_s()
        for node in nodes:
            os.kill(pids[node], signal.SIGKILL)
        return moment

    def set_pool(self, **limits):
        words = [w for k, v in limits.items() for w in (f"--{k.replace('_', '-')}", str(v))]
        self.command("pool", "small", *words, "--reason", "test")
        self.settings.update(limits)

    # ------------------------------------------------------------------ the end

    def keep_evidence(self, problem, name="failed"):
        """Screenshots, view and logs as they are now, in a folder of that name."""
        folder = RESULTS / "failed" / self.name / name[:60]
        folder.mkdir(parents=True, exist_ok=True)
        say(f"keeping evidence in {folder}")
        (folder / "problem.txt").write_text(problem + "\n", encoding="utf-8")
        for probe in self.probes:
            with contextlib.suppress(Exception):
                probe.screenshot(folder / f"{probe.terminal}.png")
        with contextlib.suppress(Exception):
            (folder / "view.json").write_text(json.dumps(self.view(), indent=1), encoding="utf-8")
        with contextlib.suppress(OSError):
            shutil.copy(self.manager_log, folder)
        self.keep_consoles(folder)

    def keep_consoles(self, folder):
        for console in (self.state / "instances").glob("*/console.log"):
            with contextlib.suppress(OSError):
                shutil.copy(console, folder / f"console-{console.parent.name}.log")

    def close(self):
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        for probe in self.probes:
            with contextlib.suppress(Exception):
                probe.close()
        for process in (self.gateway, self.manager):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        for _ in range(3):
            pids = self.qemu_pids()
            for pid in pids.values():
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not pids:
                break
            time.sleep(0.3)
        self.keep_consoles(self.results)
        if self.config.exists() and os.geteuid() == 0:
            with contextlib.suppress(Exception):
                run(program("understudyd"), "remove-filter", "--config", self.config)
        shutil.rmtree(self.dir, ignore_errors=True)


def interruptible():
    """Turns an end from outside into an exception, so that clusters are closed."""

    def stop(number, _frame):
        raise KeyboardInterrupt(f"signal {number}")

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, stop)


def require_machine():
    """Ends with a clear text when something the tests need is not there."""
    for name in PROGRAMS:
        program(name)
    image = image_dir()
    if not (image / "base.img").exists():
        raise Failed(f"there is no guest image in {image}; make it: nodes/image/build-image")
    if shutil.which("qemu-system-x86_64") is None:
        raise Failed("qemu-system-x86_64 is missing; install the packages of config/packages/run")


if __name__ == "__main__":
    sys.exit("this is a library; run tests/e2e/run.py")
