"""A hand inside the guests: what is done to a process there happens at a moment that the test knows. In guests of these
clusters a script stands in the agent's place; it starts the agent, and does as root what the test says over a line.
"""

import shutil
import socket
import stat
import threading

from harness import PROJECT, Failed, now_s, program_in_guest, run, until

AGENT = """#!/bin/bash
# Stands in the agent's place: starts it, and ends as it ends.
/opt/understudy/bin/real-agent "$@" &
agent=$!
trap 'kill -TERM $agent' TERM
if mkdir /run/hand 2>/dev/null; then setsid /opt/understudy/bin/hand </dev/null & fi
status=129
while [ -d /proc/$agent ]; do wait $agent; status=$?; done
exit $status
"""

HAND = """#!/bin/bash
# Lines of shell from the test; each is answered with one line: what was put into $answer.
node=$(sed -n '/^\\[node\\]/,$p' /run/understudy/agent.toml | sed -n 's/^ *id *= *//p' | head -1)
while sleep 0.1; do
    exec 3<>/dev/tcp/{host}/{port} || continue
    echo "$node" >&3
    while read -r line <&3; do answer=; eval "$line"; echo "$answer" >&3; done
    exec 3>&-
done
"""


class Hands:
    """The lines from all guests of a cluster, by node number. Guests reach this computer at `host`."""

    def __init__(self, address="127.0.0.1", host="10.0.2.2"):
        self._listener = socket.create_server((address, 0), backlog=64)
        self._lines = {}
        self._host = host
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self):
        while True:
            try:
                stream, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._greet, args=(stream,), daemon=True).start()

    def _greet(self, stream):
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line = stream.makefile("rw", encoding="utf-8", newline="\n")
        number = line.readline().strip()
        if number.isdigit():
            self._lines[int(number)] = line

    def pack(self, folder, out):
        """The disk of programs of such guests, made in a folder of this name."""
        folder.mkdir()
        for name, text in (("understudy-agent", AGENT), ("hand", HAND.format(host=self._host, port=self._listener.getsockname()[1]))):
            (folder / name).write_text(text, encoding="utf-8")
            (folder / name).chmod(stat.S_IRWXU)
        shutil.copy(program_in_guest("understudy-agent"), folder / "real-agent")
        rest = [program_in_guest(name) for name in ("understudy-window", "understudy-session-init")]
        run(PROJECT / "nodes" / "image" / "pack-agent", "--bin", folder, *rest, "--share", PROJECT / "nodes" / "presentation" / "desktop", "--out", out)

    def do(self, node, line, seconds=30):
        """Carries a line of shell out in that guest. Returns (the moment before it was sent, the moment at which the answer
        came, the answer): what it did happened between the two."""
        until(lambda: node in self._lines, 30, lambda: f"node {node} has lent its hand; there are {sorted(self._lines)}")
        stream = self._lines[node]
        before = now_s()
        stream.write(line + "\n")
        stream.flush()
        answer = []
        reader = threading.Thread(target=lambda: answer.append(stream.readline()), daemon=True)
        reader.start()
        reader.join(seconds)
        if not answer or not answer[0]:
            raise Failed(f"the hand in node {node} does not answer to: {line}")
        return before, now_s(), answer[0].strip()

    def kill(self, node, name):
        """kill -9 of the newest process of that name; returns the moments around it."""
        _, _, number = self.do(node, f"answer=$(pgrep -n -x {name})")
        if not number.isdigit():
            raise Failed(f"node {node} runs no {name}")
        before, after, _ = self.do(node, f"kill -9 {number}")  # the shell's own: nothing is started for it
        return before, after

    def close(self):
        self._listener.close()


class WithHands:
    """For clusters whose guests have hands; stands before Cluster among the bases."""

    def __init__(self, *words, **settings):
        self.hands = Hands(*self.hand_addresses())
        # Their line leads to where no guest may go.
        super().__init__(*words, **{"guest_filter": "off", **settings})

    def hand_addresses(self):
        """Where this computer listens for hands, and where guests find that."""
        return ("127.0.0.1", "10.0.2.2")

    def pack_programs(self):
        self.hands.pack(self.dir / "programs", self.dir / "programs.img")

    def close(self):
        super().close()
        self.hands.close()
