"""A host is lost while machines are made on it, for real: two hosts with a libvirtd of their own. Somebody else makes
them, nothing is made twice, nothing is left, and a host that never comes back can be forgotten.

    tests/hosts/with-hosts 2 tests/e2e/hosts_creating.py [--only TEXT]
"""

import contextlib
import os
import signal
import sys

from bad_input import claim
from harness import DEMO_APPLICATIONS, now_s, say, until
from hosts import TwoHosts
from run import hold, options_of

# A machine for the desktop and one for the application: spread, so that each host makes one.
SMALL = {"applications": DEMO_APPLICATIONS[:1], "presentation_backups": 0, "execution_backups": 0, "memory_mib": 384,
         "min_idle": 0, "max_idle": 0, "max_total": 2, "separation": "instance"}
TIMING = {"operation_retry_ms": 500, "inventory_interval_ms": 3000, "boot_limit_ms": 40000}


class Site(TwoHosts):
    """A manager of two hosts, of which none has a machine yet."""

    def __init__(self, name):
        super().__init__(name, timing=TIMING, **SMALL)

    def begin(self):
        self.prepare()
        self.start_manager()

    def booked(self, host, *states):
        return sorted(n["id"] for n in self.view()["nodes"] if n["host"] == host and (not states or n["state"] in states))

    def files(self, host):
        """Node numbers of which there are files."""
        return sorted({int(path.name[3:].split(".")[0]) for path in (self.folders / host / "var/lib/libvirt/understudy").glob("*/us-*")})

    def as_counted(self, *hosts):
        """True when there processes, files and the manager's books name the same machines."""
        return all(self.booked(host) == sorted(self.on(host)) == self.files(host) for host in hosts or self.addresses)

    def counts(self):
        return {host: {"books": self.booked(host), "processes": sorted(self.on(host)), "files": self.files(host)} for host in self.addresses}

    def one_where(self, state):
        """The first host on which a machine is found in that state."""
        return until(lambda: next((host for host in self.addresses if self.booked(host, state)), None), 120, f"a machine is {state}", every=0.02)

    def beside(self, host):
        return next(name for name in self.addresses if name != host)

    def close(self):
        for host in self.addresses:
            self.plug(host, "up")  # for whoever comes next
        super().close()

    def burn(self, host):
        """It never comes back."""
        self.plug(host, "down")
        for pid in (self.daemon(host), *self.on(host).values()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def serves_from(site, probe, host, moment):
    probe.wait_event("picture", 180)
    until(lambda: len(site.booked(host, "serving")) == 2, 60, lambda: f"desktop and application are served by {host}: {site.view()['nodes']}")
    say(f"  both are served by {host} {now_s() - moment:.1f} s after the loss")


def a_host_that_is_cut_off_while_it_makes_a_machine_is_not_waited_for_and_nothing_is_left_double():
    with Site("cut-off-while-creating") as site:
        site.begin()
        for state in ("creating", "booting"):
            probe = site.probe()
            lost = site.one_where(state)
            moment = now_s()
            site.plug(lost, "down")
            say(f"  {lost} is cut off with a machine that is {state}")
            serves_from(site, probe, site.beside(lost), moment)
            site.plug(lost, "up")
            until(site.as_counted, 120, lambda: f"what was begun on {lost} is tidied up: {site.counts()}")
            probe.close()
            site.probes.remove(probe)
            site.command("release", "demo", "--reason", "test")
            until(lambda: site.as_counted() and not site.view()["nodes"], 90, lambda: f"everything is returned, and gone: {site.counts()}")


def a_host_that_is_lost_for_good_while_creating_is_replaced_by_the_other_and_can_be_removed():
    with Site("lost-while-creating") as site:
        site.begin()
        probe = site.probe()
        burnt = site.one_where("booting")
        left = site.beside(burnt)
        moment = now_s()
        site.burn(burnt)
        serves_from(site, probe, left, moment)
        shown = site.host(burnt)
        claim(shown["state"] == "unreachable" and shown["reason"], f"it should be shown that it does not answer, and why: {shown}")
        say(f"  {burnt}: {shown['reason']}")
        until(lambda: len(site.booked(left)) == 2 and site.as_counted(left), 60, lambda: f"two machines, and nothing else: {site.counts()}")
        say(f"  {site.command('remove-host', burnt, '--reason', 'burnt')['text']}")
        claim([h["name"] for h in site.view()["hosts"]] == [left] and not site.booked(burnt), f"it should be forgotten: {site.view()['hosts']}")


# The second one costs a host: it comes last.
CLAIMS = (
    a_host_that_is_cut_off_while_it_makes_a_machine_is_not_waited_for_and_nothing_is_left_double,
    a_host_that_is_lost_for_good_while_creating_is_replaced_by_the_other_and_can_be_removed,
)


def main():
    chosen = options_of(__doc__).parse_args()
    if "UNDERSTUDY_HOSTS" not in os.environ:
        sys.exit("cannot run: there are no hosts; run it as tests/hosts/with-hosts 2 tests/e2e/hosts_creating.py")
    return hold(chosen.only, lambda results: results.each(CLAIMS))


if __name__ == "__main__":
    sys.exit(main())
