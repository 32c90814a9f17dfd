"""What parts with virtual machines share with the end-to-end tests."""

import contextlib
import os
import sys

from bench import PROJECT, Impossible

sys.path.insert(0, str(PROJECT / "tests" / "e2e"))

from desk import Desk  # noqa: E402  (from the end-to-end tests)
from hand import WithHands  # noqa: E402
from harness import Cluster, Failed, require_machine  # noqa: E402


class HandyCluster(WithHands, Cluster):
    """A site whose guests do what the bench says."""


@contextlib.contextmanager
def site(name, kind=Cluster, **settings):
    """A cluster and somebody at its terminal. What fails in it cannot be measured."""
    if os.geteuid() != 0:
        raise Impossible("virtual machines and what is done in them need root")
    try:
        require_machine()
        with kind(name, **settings) as cluster:
            desk = Desk(cluster)
            yield cluster, desk
            desk.leave()  # not when something failed: then the cluster keeps what was seen, and closes the terminal
    except Failed as problem:
        raise Impossible(str(problem)) from problem
