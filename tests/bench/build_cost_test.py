"""The count of what the build costs can fail: a unit that reads or makes a third more, and a folder without a build."""

import subprocess
import sys
import tempfile
import unittest
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent / "build-cost"
LOADER = SourceFileLoader("build_cost", str(PROGRAM))
BUILD_COST = module_from_spec(spec_from_loader("build_cost", LOADER))
LOADER.exec_module(BUILD_COST)


class BuildCost(unittest.TestCase):
    kept = BUILD_COST.ratios_of([("a.o", 6000, 300), ("b.o", 4000, 200)], 100)

    def test_a_fifth_more_is_allowed(self):
        self.assertEqual(BUILD_COST.judge(BUILD_COST.ratios_of([("a.o", 7000, 350), ("b.o", 5000, 250)], 100), self.kept), [])

    def test_a_header_that_every_unit_reads_is_noticed_and_named(self):
        wrong = BUILD_COST.judge(BUILD_COST.ratios_of([("a.o", 8000, 300), ("b.o", 5300, 200)], 100), self.kept)
        self.assertEqual(len(wrong), 1)
        self.assertIn("read", wrong[0])

    def test_code_that_every_unit_makes_is_noticed_and_named(self):
        wrong = BUILD_COST.judge(BUILD_COST.ratios_of([("a.o", 6000, 400), ("b.o", 4000, 270)], 100), self.kept)
        self.assertEqual(len(wrong), 1)
        self.assertIn("code", wrong[0])

    def test_twice_the_source_at_the_same_cost_each_is_no_growth(self):
        self.assertEqual(BUILD_COST.judge(BUILD_COST.ratios_of([("a.o", 12000, 600), ("b.o", 8000, 400)], 200), self.kept), [])

    def test_a_folder_without_a_build_is_not_called_cheap(self):
        with tempfile.TemporaryDirectory(prefix="us-build-cost-") as folder:
            done = subprocess.run([sys.executable, "-B", PROGRAM, "--build", folder], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(done.returncode, 2, done.stdout)
        self.assertIn("build it first", done.stdout)


if __name__ == "__main__":
    unittest.main()
