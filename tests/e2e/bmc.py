"""The management controller of a host, simulated: Debian's ipmi_sim speaks IPMI on loopback, and a program of ours
does what it is told about the power: it ends the virtual machines of that host as a power cut does.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

from harness import Failed, free_ports

USER, PASSWORD = "admin", "a-secret"

# What ipmi_sim runs: "get power", "set power 0", "set power 1".
POWER = """#!/bin/sh
cd {folder} || exit 1
echo "$@" >>asked
case "$1 $2" in
"get power") echo "power:$(cat power)";;
"set power")
    how=$(cat how)
    [ "$how" = stuck ] && exit 0
    echo "$3" >power
    [ "$how" = elsewhere ] && exit 0
    network=$(readlink /proc/$(cat {host}/pid)/ns/net)
    for process in /proc/[0-9]*; do
        case "$(readlink "$process/exe")" in */qemu-system-*) ;; *) continue;; esac
        [ "$(readlink "$process/ns/net")" = "$network" ] && kill -9 "${{process#/proc/}}"
    done;;
esac
exit 0
"""


class Bmc:
    """Of the host whose files of tests/hosts/with-hosts are in `host`. How it obeys:
    "well"       what runs on the host ends, and the power is off
    "elsewhere"  the power is off, it says; what was switched off was something else
    "stuck"      it takes the command, and the power stays on
    """

    def __init__(self, folder, host):
        self.folder = folder
        self.port = free_ports(1)
        self._process = None
        (folder / "state").mkdir(parents=True)
        self.obeys("well")
        self.set_power(True)
        power = folder / "set-power"
        power.write_text(POWER.format(folder=folder, host=host), encoding="utf-8")
        power.chmod(0o755)
        (folder / "lan.conf").write_text(f"""name "host"
set_working_mc 0x20
startlan 1
  addr 127.0.0.1 {self.port}
  priv_limit admin
  allowed_auths_callback md5
  allowed_auths_user md5
  allowed_auths_operator md5
  allowed_auths_admin md5
endlan
chassis_control "{power}"
user 2 true "{USER}" "{PASSWORD}" admin 10 md5
""", encoding="utf-8")
        (folder / "commands").write_text("mc_setbmc 0x20\nmc_add 0x20 0 no-device-sdrs 0x23 9 8 0x9f 0x1291 0xf02\nmc_enable 0x20\n",
                                         encoding="utf-8")
        self.start()

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(["ipmi_sim", "-n", "-c", self.folder / "lan.conf", "-f", self.folder / "commands",
                                              "-s", self.folder / "state"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        time.sleep(0.3)
        if self._process.poll() is not None:
            raise Failed(f"ipmi_sim ended: {(self.folder / 'log').read_text(encoding='utf-8', errors='replace')}")

    def options(self):
        """For the [[host]] of the manager's configuration."""
        return {"fence_agent": "fence_ipmilan",
                "fence_options": ["ip=127.0.0.1", f"ipport={self.port}", f"username={USER}", f"password={PASSWORD}", "auth=md5",
                                  "privlvl=administrator", "power_timeout=4"]}

    def obeys(self, how):
        (self.folder / "how").write_text(how + "\n", encoding="utf-8")

    def set_power(self, on):
        (self.folder / "power").write_text(f"{int(on)}\n", encoding="utf-8")

    def asked(self):
        """What it was told so far, in lines."""
        path = self.folder / "asked"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    def pause(self):
        os.kill(self._process.pid, signal.SIGSTOP)

    def go_on(self):
        os.kill(self._process.pid, signal.SIGCONT)

    def close(self):
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def descendants_named(name):
    """Processes that still run a program of that name: (process number, its words)."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if any(word.decode(errors="replace").rsplit("/", 1)[-1] == name for word in words[:3]):
            found.append((int(entry.name), b" ".join(words).decode(errors="replace")))
    return found
