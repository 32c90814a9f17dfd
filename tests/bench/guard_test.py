"""The guard can fail: against a report that was doctored to be better than this build can be. And it says so when there is
nothing to compare with.
"""

import json
import subprocess
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from bench import Impossible
from parts.guard import RATIOS, dumped

HERE = Path(__file__).resolve().parent
QUICKEST = "fan-in"


class Quiet:
    def say(self, text):
        pass


def guard_program():
    """The guard itself, as a module of its own for each test."""
    loader = SourceFileLoader("guard_program", str(HERE / "guard"))
    guard = module_from_spec(spec_from_loader("guard_program", loader))
    loader.exec_module(guard)
    return guard


class Guard(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="us-guard-test-")
        self.figures = Path(self.folder.name) / "figures.json"

    def tearDown(self):
        self.folder.cleanup()

    def guard(self, ratios):
        self.figures.write_text(json.dumps({"guard": {"figures": ratios}}), encoding="utf-8")
        return self.run_guard()

    def run_guard(self):
        return subprocess.run([sys.executable, "-B", HERE / "guard", "--figures", self.figures, "--only", QUICKEST, "--turns", "2"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def test_a_build_worse_than_the_report_fails_and_is_named(self):
        done = self.guard({name: 1e-6 for name in RATIOS})
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn(QUICKEST, done.stdout)
        self.assertIn("best of 2 turns", done.stdout)

    def test_a_build_as_good_as_the_report_holds(self):
        done = self.guard({name: 1e6 for name in RATIOS})
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_half_as_good_again_is_the_line(self):
        guard = guard_program()
        found = iter((3.1, 3.01, 3.2, 5.0, 2.99))
        guard.RATIOS = {"made": lambda bench: next(found)}
        guard.RATIOS["made"].__doc__ = "Made up."
        self.assertFalse(guard.holds(Quiet(), "made", 2.0, 3), "the best of three turns is beyond 1.5 × 2.0")
        self.assertTrue(guard.holds(Quiet(), "made", 2.0, 2), "one good turn of two is enough")

    def test_each_ratio_is_kept_and_fails_beyond_its_line(self):
        guard = guard_program()
        kept = guard.kept_ratios(guard.NEWEST)
        self.assertEqual(set(kept), set(RATIOS))
        for name, figure in kept.items():
            for times, holds in ((1.45, True), (1.55, False)):
                measured = lambda bench, found=times * figure: found
                measured.__doc__ = RATIOS[name].__doc__
                guard.RATIOS = {name: measured}
                self.assertEqual(guard.holds(Quiet(), name, figure, 1), holds, f"{name} at {times} × what is kept")

    def test_a_count_that_was_not_dumped_is_no_count(self):
        folder = Path(self.folder.name)
        (folder / "callgrind.1").write_text("desc: Trigger: Client Request: storm\nsummary: 42\ntotals: 42\n", encoding="utf-8")
        (folder / "callgrind.2").write_text("desc: Trigger: Program termination\nsummary: 7\n", encoding="utf-8")
        self.assertEqual(dumped(folder, "storm"), 42)
        with self.assertRaises(Impossible):
            dumped(folder, "by-hand")

    def test_without_ratios_to_compare_with_nothing_is_called_good(self):
        done = self.run_guard()
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("make them", done.stdout)
        self.figures.write_text('{"guard": {"figures": {}}}', encoding="utf-8")
        self.assertEqual(self.run_guard().returncode, 2)


if __name__ == "__main__":
    unittest.main()
