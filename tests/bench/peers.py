"""Other systems that notice the death of a machine and let another take over, each with its machines in network namespaces
of its own: keepalived, Redis Sentinel, etcd and Pacemaker, from Debian packages. All are watched from outside, by the same clock.
"""

import contextlib
import ctypes
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from bench import Impossible, until

CLONE_NEWNET = 0x40000000


def run(*words, check=True):
    done = subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if check and done.returncode != 0:
        raise Impossible(f"{' '.join(map(str, words))} ended with {done.returncode}: {done.stdout.strip()}")
    return done.stdout


def need(*programs):
    for name in programs:
        if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin:/sbin") is None:
            raise Impossible(f"{name} is missing; install the packages of config/packages/test")


class Network:
    """A bridge in a namespace of its own, and one namespace for each of `count` machines on it: 10.77.0.1 and so on. Whoever
    watches stands at the bridge, 10.77.0.254."""

    made = 0

    def __init__(self, count):
        if os.geteuid() != 0:
            raise Impossible("network namespaces need root")
        need("ip", "iptables")
        Network.made += 1
        stem = f"us-bench-{os.getpid()}-{Network.made}"
        self.names = []
        try:
            self.middle = self._add(f"{stem}-m")
            run("ip", "-n", self.middle, "link", "add", "name", "br0", "type", "bridge")
            run("ip", "-n", self.middle, "addr", "add", "10.77.0.254/24", "dev", "br0")
            run("ip", "-n", self.middle, "link", "set", "br0", "up")
            for i in range(count):
                name = self._add(f"{stem}-{i}")
                run("ip", "-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", f"to{i}", "netns", self.middle)
                run("ip", "-n", name, "addr", "add", f"10.77.0.{i + 1}/24", "dev", "eth0")
                run("ip", "-n", name, "link", "set", "eth0", "up")
                run("ip", "-n", self.middle, "link", "set", f"to{i}", "master", "br0", "up")
        except Impossible:
            self.close()
            raise

    def _add(self, name):
        run("ip", "netns", "add", name)
        self.names.append(name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def machine(self, number):
        return self.names[number + 1]

    def cut(self, number, cut):
        """All packets of a machine are dropped, or pass again."""
        for chain, side in (("INPUT", "-i"), ("OUTPUT", "-o")):
            run("ip", "netns", "exec", self.machine(number), "iptables", "-w", "-A" if cut else "-D", chain, side, "eth0", "-j", "DROP")

    def enter(self):
        """This thread's sockets are at the bridge from now on."""
        with open(f"/run/netns/{self.middle}", encoding="ascii") as file:
            if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), CLONE_NEWNET) != 0:
                raise Impossible(f"setns: {os.strerror(ctypes.get_errno())}")

    def close(self):
        for name in self.names:
            run("ip", "netns", "del", name, check=False)


class Peer:
    """One of those systems under one setting. Subclasses call `_took_over` for every take-over that they see, from whichever thread.
    Those that have to ask for it ask all the time only while somebody looks closely, so that nobody else's turn bears the load."""

    title = ""
    setting = ""
    machines = 2

    def __init__(self, bench, name):
        self.folder = bench.fresh_folder(name)
        self.patience_s = 15 if bench.short else 90
        self.network = Network(self.machines)
        self._groups = {}     # machine → process
        self._cut = set()
        self._watchers = []
        self._changed = threading.Condition()
        self._takeovers = []  # (moment, machine)
        self._open = True
        self._near = threading.Event()
        try:
            self.begin()
        except BaseException:
            self.close()
            raise

    def begin(self):
        raise NotImplementedError

    def words(self, number):
        """The command of a machine."""
        raise NotImplementedError

    def primary(self):
        """The machine that serves, once all others stand by; None: not so far."""
        raise NotImplementedError

    def spawn(self, namespace, words, name):
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen(["ip", "netns", "exec", namespace, *map(str, words)], cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    start_new_session=True)

    def start(self, number):
        self._groups[number] = self.spawn(self.network.machine(number), self.words(number), f"machine-{number}")

    def end(self, number):
        """It, and all that it started."""
        process = self._groups.pop(number, None)
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def revive(self, number):
        self.end(number)
        if number in self._cut:
            self._cut.remove(number)
            self.network.cut(number, False)
        self.start(number)

    def _took_over(self, number, moment=None):
        with self._changed:
            self._takeovers.append((moment or time.monotonic(), number))
            self._changed.notify_all()

    def takeovers(self):
        with self._changed:
            return len(self._takeovers)

    @contextlib.contextmanager
    def closely(self):
        """Looks as closely as it can meanwhile; may be nested."""
        if self._near.is_set():
            yield
            return
        self._near.set()
        try:
            self.approach()
            yield
        finally:
            self._near.clear()
            self.withdraw()

    def approach(self):
        """From now on somebody looks closely."""

    def withdraw(self):
        """And from now on no longer."""

    def rest(self):
        with self.closely():
            return until(self.primary, self.patience_s, f"{self.title} ({self.setting}) is at rest", every=0.05)

    def die(self, how):
        """The machine that serves dies: killed, stopped (SIGSTOP) or dropped (all its packets). Returns the seconds until another one
        has taken over; the dead one is started again."""
        with self.closely():
            return self._die(how)

    def _die(self, how):
        number = self.rest() - 1
        before = self.takeovers()
        moment = time.monotonic()
        if how == "dropped":
            self._cut.add(number)
            self.network.cut(number, True)
        else:
            os.killpg(self._groups[number].pid, signal.SIGKILL if how == "killed" else signal.SIGSTOP)

        def others():
            return [at for at, who in self._takeovers[before:] if who != number]

        with self._changed:
            if not self._changed.wait_for(others, self.patience_s):
                raise Impossible(f"{self.title} ({self.setting}): nobody took over within {self.patience_s} s")
            seconds = others()[0] - moment
        self.revive(number)
        return seconds

    def watch(self, body, *words):
        thread = threading.Thread(target=self._watch, args=(body, *words), daemon=True)
        self._watchers.append(thread)
        thread.start()

    def _watch(self, body, *words):
        with contextlib.suppress(OSError, ValueError):
            body(*words)

    def close(self):
        self._open = False
        for number in list(self._groups):
            self.end(number)
        for thread in self._watchers:
            thread.join(5)
        self.network.close()


class Addressed(Peer):
    """One of the machines has a virtual address. Who has it says the kernel."""

    address = "10.77.0.100"

    def __init__(self, bench, name):
        self._monitors = []
        super().__init__(bench, name)

    def begin(self):
        for number in range(self.machines):
            monitor = subprocess.Popen(["ip", "-n", self.network.machine(number), "-o", "monitor", "address"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL, text=True)
            self._monitors.append(monitor)
            self.watch(self._look, number, monitor)
        for number in range(self.machines):
            self.start(number)

    def _look(self, number, monitor):
        for line in monitor.stdout:
            if self.address in line and not line.startswith("Deleted"):
                self._took_over(number)

    def holders(self):
        return [n for n in range(self.machines) if self.address in run("ip", "-n", self.network.machine(n), "-o", "addr", "show", "dev", "eth0", check=False)]

    def revive(self, number):
        self.end(number)
        # Nobody was left to give it up.
        run("ip", "-n", self.network.machine(number), "addr", "del", f"{self.address}/24", "dev", "eth0", check=False)
        super().revive(number)

    def close(self):
        for monitor in self._monitors:  # first: whoever reads them ends with them
            monitor.kill()
            monitor.wait()
        super().close()
        for monitor in self._monitors:
            monitor.stdout.close()


class Keepalived(Addressed):
    title = "keepalived"

    def __init__(self, bench, name, interval_s):
        need("keepalived")
        self.interval_s = interval_s
        self.setting = f"adverts every {interval_s * 1000:.0f} ms"
        super().__init__(bench, name)

    def words(self, number):
        # Nobody takes the address back from whoever has it: each turn is one take-over.
        (self.folder / f"{number}.conf").write_text(
            f"global_defs {{\n router_id m{number}\n vrrp_version 3\n}}\nvrrp_instance desk {{\n state BACKUP\n nopreempt\n interface eth0\n"
            f" virtual_router_id 51\n priority {100 - number}\n advert_int {self.interval_s}\n virtual_ipaddress {{\n  {self.address}/24\n }}\n}}\n", encoding="ascii")
        for left in self.folder.glob(f"{number}-*.pid"):  # by one that was killed; whoever bears its number now is none of them
            left.unlink()
        files = [word for option in "pcr" for word in (f"-{option}", self.folder / f"{number}-{option}.pid")]
        return ["keepalived", "--dont-fork", "--vrrp", "--log-console", "--use-file", self.folder / f"{number}.conf", *files]

    def primary(self):
        """One has the address, and the other has listened for longer than it would wait."""
        holders = self.holders()
        if len(holders) != 1:
            return None
        time.sleep(max(4 * self.interval_s, 0.3))
        return holders[0] + 1 if self.holders() == holders else None


# A machine of Pacemaker: whatever it writes is on disks of its own. $1 is its number, $2 a folder with corosync.conf and the agent "desk".
PACEMAKER = r"""
mount --make-rprivate / && mount -t proc proc /proc && hostname "m$1" || exit 1
for folder in /run /dev/shm /var/lib/pacemaker /var/lib/corosync /var/log /etc/corosync; do mkdir -p $folder && mount -t tmpfs own $folder; done
mkdir -p /var/lib/pacemaker/cib /var/lib/pacemaker/pengine /var/lib/pacemaker/cores /var/lib/pacemaker/blackbox /var/log/pacemaker /var/log/corosync /run/lock
chown -R hacluster:haclient /var/lib/pacemaker /var/log/pacemaker
mount -t tmpfs own /usr/lib/ocf/resource.d && mkdir /usr/lib/ocf/resource.d/bench && cp "$2/desk" /usr/lib/ocf/resource.d/bench/
cp "$2/corosync.conf" /etc/corosync/
corosync -f & sleep 0.3
pacemakerd &
while sleep 0.2; do
    [ -e "$2/near" ] || [ ! -e "$2/configured" ] || continue
    crm_mon -1 >"$2/status-$1.new" 2>&1 && mv "$2/status-$1.new" "$2/status-$1"
    [ "$1" != 0 ] || [ -e "$2/configured" ] || ! grep -q 'm0 m1' "$2/status-0" || {
        crm_attribute -n stonith-enabled -v false && crm_attribute -n no-quorum-policy -v ignore && crm_attribute -t rsc_defaults -n resource-stickiness -v 100 &&
            cibadmin -C -o resources -X '<primitive id="desk" class="ocf" provider="bench" type="desk"/>' && touch "$2/configured"
    }
done
"""
DESK = """#!/bin/sh
# The smallest resource agent that has an address.
case "$1" in
    start) ip addr add ADDRESS/24 dev eth0 2>/dev/null; exit 0 ;;
    stop) ip addr del ADDRESS/24 dev eth0 2>/dev/null; exit 0 ;;
    monitor) ip -o addr show dev eth0 | grep -q ADDRESS && exit 0 || exit 7 ;;
    meta-data) echo '<?xml version="1.0"?><resource-agent name="desk" version="1"><version>1.0</version><longdesc lang="en">.</longdesc><shortdesc lang="en">.</shortdesc><parameters/><actions><action name="start" timeout="20s"/><action name="stop" timeout="20s"/><action name="monitor" timeout="20s" interval="10s"/><action name="meta-data" timeout="5s"/></actions></resource-agent>' ;;
    *) exit 3 ;;
esac
"""


class Pacemaker(Addressed):
    """With Corosync; a resource that is the address. Fencing is off, which makes it faster than it may be in earnest."""

    title = "Pacemaker and Corosync, no fencing"

    def __init__(self, bench, name, token_ms=None):
        need("corosync", "pacemakerd", "crm_mon", "cibadmin", "unshare")
        self.setting = "default" if token_ms is None else f"token {token_ms} ms"
        self.token = "" if token_ms is None else f" token: {token_ms}\n"
        super().__init__(bench, name)

    def words(self, number):
        nodes = "".join(f" node {{\n  ring0_addr: 10.77.0.{n + 1}\n  nodeid: {n + 1}\n  name: m{n}\n }}\n" for n in range(self.machines))
        (self.folder / "corosync.conf").write_text(f"totem {{\n version: 2\n cluster_name: bench\n transport: udpu\n{self.token}}}\nnodelist {{\n{nodes}}}\n"
                                                   "quorum {\n provider: corosync_votequorum\n two_node: 1\n wait_for_all: 0\n}\n"
                                                   "logging {\n to_stderr: yes\n}\n", encoding="ascii")
        desk = self.folder / "desk"
        if not desk.exists():
            desk.write_text(DESK.replace("ADDRESS", self.address), encoding="ascii")
            desk.chmod(0o755)
        self._status(number).unlink(missing_ok=True)
        return ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "bash", "-c", PACEMAKER, "machine", number, self.folder]

    def _status(self, number):
        """What the machine itself says, as long as somebody looks closely."""
        return self.folder / f"status-{number}"

    def approach(self):
        for number in range(self.machines):
            self._status(number).unlink(missing_ok=True)
        (self.folder / "near").touch()

    def withdraw(self):
        (self.folder / "near").unlink()

    def primary(self):
        """One has the address, and both know each other."""
        holders = self.holders()
        for number in range(self.machines):
            status = self._status(number)
            if not status.exists() or not re.search(r"Online: \[ m0 m1 \]", status.read_text(encoding="utf-8", errors="replace")):
                return None
        return holders[0] + 1 if len(holders) == 1 else None


class Sentinel(Peer):
    """Two Redis servers and three sentinels, which stand at the bridge. The first sentinel that says so has decided."""

    title = "Redis Sentinel"
    first_port = 26379

    def __init__(self, bench, name, down_after_ms=None):
        need("redis-check-rdb")  # of redis-tools: it is the server and the sentinel too, under other names, and no daemon comes with it
        self.down_after_ms = down_after_ms
        self.setting = "default" if down_after_ms is None else f"down-after {down_after_ms} ms"
        self._master = 0
        self._sentinels = []
        super().__init__(bench, name)

    def begin(self):
        for number in range(self.machines):
            self.start(number)
        until(lambda: all((self.folder / f"redis-{n}.sock").exists() for n in range(self.machines)), 10, "Redis listens")
        for number in range(3):
            config = self.folder / f"sentinel-{number}.conf"
            text = f"port {self.first_port + number}\nunixsocket {self.folder}/sentinel-{number}.sock\ndir {self.folder}\nsentinel monitor desk 10.77.0.1 6379 2\nprotected-mode no\n"
            if self.down_after_ms is not None:
                text += f"sentinel down-after-milliseconds desk {self.down_after_ms}\nsentinel failover-timeout desk 1000\n"
            config.write_text(text, encoding="ascii")
            words = ["bash", "-c", 'exec -a redis-sentinel redis-check-rdb "$@"', "sentinel", config, "--sentinel"]
            self._sentinels.append(self.spawn(self.network.middle, words, f"sentinel-{number}"))
        until(lambda: all((self.folder / f"sentinel-{n}.sock").exists() for n in range(3)), 10, "the sentinels listen")
        for number in range(3):
            self.watch(self._listen, number)

    def words(self, number):
        role = ["--replicaof", f"10.77.0.{self._master + 1}", "6379"] if number != self._master else []
        return ["bash", "-c", 'exec -a redis-server redis-check-rdb "$@"', "redis", "--port", "6379", "--bind", f"10.77.0.{number + 1}", "--unixsocket",
                self.folder / f"redis-{number}.sock", "--save", "", "--protected-mode", "no", "--repl-diskless-sync-delay", "0", *role]

    def ask(self, path, *words):
        return run("redis-cli", "-s", self.folder / path, *words, check=False)

    def _listen(self, number):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.folder / f"sentinel-{number}.sock"))
            line.settimeout(0.5)
            line.sendall(b"SUBSCRIBE +switch-master\r\n")
            text = b""
            while self._open:
                with contextlib.suppress(TimeoutError):
                    said = line.recv(65536)
                    if not said:
                        return
                    text += said
                while switch := re.search(rb"desk 10\.77\.0\.(\d+) 6379 10\.77\.0\.(\d+) 6379\r\n", text):
                    text = text[switch.end():]
                    self._switched(int(switch.group(1)) - 1, int(switch.group(2)) - 1)

    def _switched(self, old, new):
        """All three say it, one after the other."""
        with self._changed:
            if self._master != old:
                return
            self._master = new
        self._took_over(new)

    def primary(self):
        """The sentinels know each other and the replica, and it follows."""
        for number in range(3):
            known = self.ask(f"sentinel-{number}.sock", "SENTINEL", "MASTER", "desk").split("\n")
            table = dict(zip(known[::2], known[1::2]))
            if table.get("ip") != f"10.77.0.{self._master + 1}" or table.get("flags") != "master" or table.get("num-other-sentinels") != "2":
                return None
            replicas = self.ask(f"sentinel-{number}.sock", "SENTINEL", "REPLICAS", "desk").split("\n")
            table = dict(zip(replicas[::2], replicas[1::2]))
            if table.get("flags") != "slave" or table.get("master-link-status") != "ok" or int(table.get("info-refresh", "99999")) > 5000:
                return None
        return self._master + 1

    def close(self):
        super().close()
        for process in self._sentinels:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Etcd(Peer):
    """Three members; one of them leads. Who leads is asked of those who live: as fast as they answer while somebody looks closely,
    and now and then else."""

    title = "etcd"
    machines = 3

    def __init__(self, bench, name, heartbeat_ms=None, election_ms=None):
        need("etcd")
        self.timing = [] if heartbeat_ms is None else ["--heartbeat-interval", heartbeat_ms, "--election-timeout", election_ms]
        self.setting = "default" if heartbeat_ms is None else f"{heartbeat_ms} ms, {election_ms} ms"
        self._said = {}       # machine → (term, leader), as it says
        self._ids = {}        # member → machine
        self._newest = (0, 0)
        self._started = set()
        super().__init__(bench, name)

    def begin(self):
        for number in range(self.machines):
            self.start(number)
        for number in range(self.machines):
            self.watch(self._ask, number)

    def words(self, number):
        members = ",".join(f"m{n}=http://10.77.0.{n + 1}:2380" for n in range(self.machines))
        state = "existing" if number in self._started else "new"
        self._started.add(number)
        own = f"http://10.77.0.{number + 1}"
        return ["etcd", "--name", f"m{number}", "--data-dir", self.folder / f"data-{number}", "--initial-cluster", members, "--initial-cluster-state", state,
                "--listen-peer-urls", f"{own}:2380", "--initial-advertise-peer-urls", f"{own}:2380", "--listen-client-urls", f"{own}:2379",
                "--advertise-client-urls", f"{own}:2379", *self.timing]

    def _ask(self, number):
        self.network.enter()
        while self._open:
            line = http.client.HTTPConnection(f"10.77.0.{number + 1}", 2379, timeout=0.5)
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError, KeyError):
                while self._open:
                    line.request("POST", "/v3/maintenance/status", "{}")
                    said = json.loads(line.getresponse().read())
                    self._hear(number, int(said["header"]["member_id"]), int(said.get("raftTerm", 0)), int(said.get("leader", 0)))
                    if self._near.is_set():
                        time.sleep(0.002)
                    else:
                        self._near.wait(0.2)
            line.close()
            with self._changed:
                self._said.pop(number, None)
            time.sleep(0.02)

    def _hear(self, number, member, term, leader):
        moment = time.monotonic()
        with self._changed:
            self._ids[member] = number
            self._said[number] = (term, leader)
            if not leader or leader not in self._ids or term <= self._newest[0]:
                return
            self._newest = (term, leader)
            who = self._ids[leader]
        self._took_over(who, moment)

    def primary(self):
        with self._changed:
            if len(self._said) < self.machines or len(set(self._said.values())) != 1:
                return None
            return self._ids.get(self._newest[1], -1) + 1 or None
