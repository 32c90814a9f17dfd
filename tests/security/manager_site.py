"""A manager of its own for tests of who gets in: in a temporary folder, on loopback, without machines."""
import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path


def until(condition, what, seconds=20.0):
    """What `condition` gives once it is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} s: {what}")


class ManagerSite:
    """peers: name → role or a table of options; each gets a key and a configuration for the command line."""

    def __init__(self, build, peers, timing=""):
        self.stack = contextlib.ExitStack()
        self.home = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="us-security-")))
        self.daemon = Path(build) / "manager/understudyd"
        self.command = Path(build) / "client/command/understudy"
        self.timing = timing
        self.manager = None
        self.watchers = []
        subprocess.run([self.daemon, "init", "--dir", self.home], check=True, stdout=subprocess.DEVNULL)
        (self.home / "images").mkdir()
        for file in ("images/base.img", "agent.img"):
            (self.home / file).write_bytes(b"")
        self.configure({name: self.peer(name, options) for name, options in peers.items()})
        self.start()
        for name in peers:
            self.write_client(name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in [*self.watchers, self.manager]:
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(20)
        self.stack.close()

    # ------------------------------------------------------------------ files

    def new_key(self, name):
        """Makes a pair, and gives its public half."""
        made = subprocess.run([self.command, "keys", "new", "--out", self.home / f"{name}.key"], check=True, capture_output=True, text=True)
        return made.stdout.split("\n")[2]

    def peer(self, name, options):
        options = {"role": options} if isinstance(options, str) else dict(options)
        return {"keys": [self.new_key(name)], **options}

    def configure(self, peers, extra=""):
        """Replaces the configuration file. A whole new file takes the place of the old one."""
        self.peers = peers
        tables = ""
        for name, options in peers.items():
            tables += f'[[peer]]\nname = "{name}"\n'
            for option, value in options.items():
                tables += f"{option} = " + (repr(value) if isinstance(value, list) else f"'{value}'") + "\n"
        draft = self.home / "understudyd.toml.new"
        draft.write_text(f"""
[manager]
state_dir = "{self.home}"
listen = "tcp://127.0.0.1:0"
[instances]
image_dir = "{self.home}/images"
agent_image = "{self.home}/agent.img"
root = "{self.home}/q"
[timing]
{self.timing}
[[host]]
name = "alpha"
uri = "test:///default"
vcpus = 64
memory_mib = 65536
[[pool]]
flavour = "small"
min_idle = 0
max_idle = 1
max_total = 1
[[profile]]
name = "office"
flavour = "small"
[[profile.application]]
name = "xterm"
command = ["xterm"]
[[terminal]]
name = "desk"
profile = "office"
{tables}{extra}
""", encoding="utf-8")
        draft.rename(self.home / "understudyd.toml")

    def write_client(self, name, key=None):
        server = re.search(r'public_key *= *["\'](.*)["\']', (self.home / "manager.keys").read_text(encoding="utf-8")).group(1)
        (self.home / f"{name}.toml").write_text(
            f"manager = \"{self.endpoint()}\"\nmanager_key = '{server}'\nkey_file = '{self.home}/{key or name}.key'\n", encoding="utf-8")

    def endpoint(self):
        return (self.home / "endpoint").read_text(encoding="utf-8").strip()

    def log(self):
        return (self.home / "manager.log").read_text(encoding="utf-8")

    # ------------------------------------------------------------------ processes

    def start(self, **environment):
        (self.home / "endpoint").unlink(missing_ok=True)
        with open(self.home / "manager.log", "a", encoding="utf-8") as log:
            self.manager = subprocess.Popen([self.daemon, "--config", self.home / "understudyd.toml"], stdout=subprocess.DEVNULL, stderr=log,
                                            stdin=subprocess.DEVNULL, env={**os.environ, **environment})
        until(lambda: (self.home / "endpoint").exists() and "incarnation" in self.log(), "the manager runs: " + self.log()[-2000:])

    def read_again(self):
        """The manager reads its configuration again; returns when it has."""
        said = len(self.log())
        self.manager.send_signal(signal.SIGHUP)
        until(lambda: re.search("the configuration's peers:|the configuration was not read again", self.log()[said:]), "the configuration is read again")

    def run(self, who, *words):
        return subprocess.run([self.command, "--config", self.home / f"{who}.toml", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)

    def watch(self, who):
        """A connection that stands: the status is followed until it cannot be. Returns once it was shown."""
        output = self.home / f"{who}.watched"
        with open(output, "wb") as file:
            process = subprocess.Popen([self.command, "--config", self.home / f"{who}.toml", "--json", "watch"], stdout=file, stderr=subprocess.PIPE,
                                       stdin=subprocess.DEVNULL, text=True)
        self.watchers.append(process)
        until(lambda: output.stat().st_size > 0, f"{who} sees the status")
        return process
