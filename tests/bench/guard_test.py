"""The guard can fail: against a report that was doctored to be better than this build can be. And it says so when there is
nothing to compare with.
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from parts.guard import RATIOS

HERE = Path(__file__).resolve().parent
QUICKEST = "storm"


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
        sys.path.insert(0, str(HERE))
        from importlib.machinery import SourceFileLoader
        from importlib.util import module_from_spec, spec_from_loader
        loader = SourceFileLoader("guard_program", str(HERE / "guard"))
        guard = module_from_spec(spec_from_loader("guard_program", loader))
        loader.exec_module(guard)
        found = iter((3.1, 3.01, 3.2, 5.0, 2.99))

        class Quiet:
            def say(self, text):
                pass

        guard.RATIOS = {"made": lambda bench: next(found)}
        guard.RATIOS["made"].__doc__ = "Made up."
        self.assertFalse(guard.holds(Quiet(), "made", 2.0, 3), "the best of three turns is beyond 1.5 × 2.0")
        self.assertTrue(guard.holds(Quiet(), "made", 2.0, 2), "one good turn of two is enough")

    def test_without_ratios_to_compare_with_nothing_is_called_good(self):
        done = self.run_guard()
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("make them", done.stdout)
        self.figures.write_text('{"guard": {"figures": {}}}', encoding="utf-8")
        self.assertEqual(self.run_guard().returncode, 2)


if __name__ == "__main__":
    unittest.main()
