"""What operators do, and what they are told of, with real machines: an incident reaches a program and a web address;
a host that is switched off by hand loses nobody's work.

    operators.py [--only TEXT]
"""

import contextlib
import hashlib
import hmac
import http.server
import json
import subprocess
import sys
import threading

from bad_input import claim
from desk import closed_incident
from harness import DEMO_APPLICATIONS, Cluster, now_s, program, say, until
from run import hold, options_of
from scenarios import one_application_is_seen_and_typing_reaches_it

SECRET = "signed with this"
TWO_HOSTS = {"applications": DEMO_APPLICATIONS[:1], "min_idle": 0, "max_idle": 1, "hosts": ("one", "two"), "separation": "host"}


class Receiver(http.server.ThreadingHTTPServer):
    """A web address that keeps what is posted to it: (signature, body)."""

    def __init__(self):
        self.got = []
        super().__init__(("127.0.0.1", 0), Taker)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()


class Taker(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers["X-Understudy-Signature"], body))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Notifier:
    """understudy notify with a hook that writes a file of its own for each notice, and a webhook."""

    def __init__(self, cluster):
        self.notices = cluster.dir / "notices"
        self.notices.mkdir()
        hook = cluster.dir / "hook"
        hook.write_text(f'#!/bin/sh\ncat >"{self.notices}/$1-$2.new" && mv "{self.notices}/$1-$2.new" "{self.notices}/$1-$2.json"\n', encoding="utf-8")
        hook.chmod(0o755)
        secret = cluster.dir / "secret"
        secret.write_text(SECRET + "\n", encoding="utf-8")
        self.receiver = Receiver()
        with open(cluster.results / "notify.log", "ab") as log:
            self.process = subprocess.Popen(
                [program("understudy"), "--config", str(cluster.dir / "operator.toml"), "notify", "--site", "north", "--hook", str(hook),
                 "--webhook", f"http://127.0.0.1:{self.receiver.server_port}/incidents", "--secret-file", str(secret),
                 "--state", str(cluster.dir / "told")], stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def read(self, event, number):
        """What the hook was told of an incident; nothing if it was not yet."""
        path = self.notices / f"{event}-{number}.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    def close(self):
        self.process.terminate()
        code = self.process.wait(20)
        self.receiver.close()
        claim(code == 0, f"notify ended with {code} after SIGTERM")


def an_incident_reaches_a_program_and_a_web_address_once_each_and_signed(cluster, desk):
    with contextlib.ExitStack() as ending:
        desk.await_checkpoint("xterm")
        notifier = Notifier(cluster)
        ending.callback(notifier.close)
        until((cluster.dir / "told").exists, 20, "notify follows the manager")
        before = cluster.newest_incident()
        cluster.kill_instance(cluster.session("xterm")["primary"])
        number = closed_incident(cluster, before, "execution")["id"]
        for event in ("incident-opened", "incident-closed"):
            told = until(lambda event=event: notifier.read(event, number), 20, f"the hook was told: {event} {number}")
            claim(told["site"] == "north" and told["incident"]["id"] == number, f"the hook was told {told}")
        claim(told["incident"]["open"] is False and told["incident"]["proof"], f"a closed incident tells its proof: {told['incident']}")
        say(f"  the hook was told: {told['text']}")
        posted = until(lambda: [entry for entry in notifier.receiver.got if json.loads(entry[1]).get("incident", {}).get("id") == number and
                                json.loads(entry[1])["event"] == "incident-closed"], 20, lambda: f"the webhook was told; it got {notifier.receiver.got}")
        claim(len(posted) == 1, f"told once, not {len(posted)} times")
        for signature, body in notifier.receiver.got:
            good = "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
            claim(hmac.compare_digest(signature or "", good), f"the signature {signature} is not that of {body!r}")
    desk.sampler.moving()
    cluster.settle()


class TwoPlugs(Cluster):
    """Two hosts; a fence agent pulls the plug of one: what runs there ends as in a power cut."""

    def configuration(self):
        power = self.dir / "power"
        agent = self.dir / "fence_plug"
        agent.write_text(f"""#!/bin/sh
asked=$(cat)
case "$asked" in *action=off*) kill -9 $(cat {power}.pids) 2>/dev/null; echo OFF >{power};; esac
power=$(cat {power})
echo "Status: $power"
case "$asked:$power" in *action=status:OFF) exit 2;; esac
""", encoding="utf-8")
        agent.chmod(0o755)
        power.write_text("ON\n", encoding="utf-8")
        return super().configuration().replace('name = "one"\n', f'name = "one"\nfence_agent = "{agent}"\n')

    def host(self, name):
        return next(h for h in self.view()["hosts"] if h["name"] == name)

    def plug(self, node):
        """The host of a node gets the plug; returns its name."""
        host = self.node(node)["host"]
        pids = self.qemu_pids()
        there = [n["id"] for n in self.view()["nodes"] if n["host"] == host]
        (self.dir / "power.pids").write_text(" ".join(str(pids[n]) for n in there if n in pids), encoding="utf-8")
        return host


def a_host_that_is_switched_off_by_hand_gives_its_work_to_another_and_is_used_no_more(cluster, desk):
    desk.await_checkpoint("xterm")
    refused = cluster.command("fence", "two", "--reason", "test", check=False)
    claim(refused.returncode == 6 and "has no fence agent" in refused.stdout, f"two has none: {refused.returncode} {refused.stdout}")
    if cluster.node(cluster.session("xterm")["primary"])["host"] != "one":
        before = cluster.newest_incident()
        cluster.command("failover", "--session", str(cluster.session("xterm")["id"]), "--reason", "to the host with a plug")
        closed_incident(cluster, before, "execution")
        cluster.settle()
    primary = cluster.session("xterm")["primary"]
    claim(cluster.plug(primary) == "one", "the session should be on the host with the plug")
    desk.await_checkpoint("xterm")
    rehearsed = cluster.command("fence", "one", "--dry-run")["result"]
    claim(any(m["from"] == f"us-{primary}" and m["to_host"] == "two" for m in rehearsed["moves"]), f"rehearsed: {rehearsed['moves']}")
    claim(primary in cluster.qemu_pids(), "a rehearsal switches nothing off")
    before = cluster.newest_incident()
    switched_off = now_s()
    say(f"  {cluster.command('fence', 'one', '--reason', 'smoke')['text']}")
    seen, value, _ = desk.sampler.went_back(switched_off, 120)
    say(f"  the window is back after {seen - switched_off:.2f} s, and counts on from {value}")
    incident = closed_incident(cluster, before, "execution")
    say(f"  proof: {incident['proof']}; {incident['decision']}; lost: {incident['lost']}")
    claim(cluster.node(cluster.session("xterm")["primary"])["host"] == "two", "it should go on at the other host")
    claim("smoke" in incident["evidence"], f"the incident says why: {incident['evidence']}")
    until(lambda: cluster.host("one")["fence"]["state"] == "off", 20, "the host is off")
    desk.sampler.moving()
    until(lambda: not any(n["host"] == "one" for n in cluster.view()["nodes"]), 60, "nothing is left on it")
    claim(cluster.host("one")["state"] == "maintenance", "it is not used again by itself")
    again = cluster.command("fence", "one", "--reason", "test", check=False)
    claim(again.returncode == 6 and "is off already" in again.stdout, f"a second time: {again.returncode} {again.stdout}")


CLAIMS = (
    an_incident_reaches_a_program_and_a_web_address_once_each_and_signed,
    a_host_that_is_switched_off_by_hand_gives_its_work_to_another_and_is_used_no_more,
)


def main():
    chosen = options_of(__doc__).parse_args()
    return hold(chosen.only, lambda results: results.group("operators", one_application_is_seen_and_typing_reaches_it, CLAIMS, cluster=TwoPlugs, **TWO_HOSTS))


if __name__ == "__main__":
    sys.exit(main())
