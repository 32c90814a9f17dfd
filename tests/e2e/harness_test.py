"""What the end-to-end tests are judged by can fail, and knows a slow machine from a slow product. No machines."""

import unittest

import attacked
import harness
from attacked import AT_TERMINAL, MOST_SLOWER, Trials, bearable, judge
from harness import Failed, Pace, until

KINDS = ("execution", "presentation")


def view(*making_ms):
    return {"pools": [{"making_ms": one} for one in making_ms]}


class PaceOfAMachine(unittest.TestCase):
    def setUp(self):
        self.pace = Pace()

    def test_it_is_the_first_machine_that_was_made_and_stays(self):
        self.pace.learn(view(0, 0))
        self.assertIsNone(self.pace.factor)
        self.pace.learn(view(0, 3000 * Pace.MACHINE_S))
        self.assertEqual(self.pace.factor, 3)
        self.pace.learn(view(5000 * Pace.MACHINE_S))
        self.assertEqual(self.pace.factor, 3)
        self.assertEqual((self.pace.limit(60), self.pace.stretch(0.7)), (180, 3 * 0.7))

    def test_a_faster_machine_gets_the_limits_as_they_are_written(self):
        self.pace.learn(view(500 * Pace.MACHINE_S))
        self.assertEqual((self.pace.limit(60), self.pace.stretch(1)), (60, 1))

    def test_until_it_is_known_waits_are_long_and_what_is_measured_is_not_stretched(self):
        self.assertEqual((self.pace.limit(1), self.pace.stretch(1)), (Pace.MOST, 1))

    def test_a_machine_on_which_nothing_can_be_told_is_named(self):
        with self.assertRaisesRegex(Failed, "times as slow"):
            self.pace.learn(view(1000 * Pace.MACHINE_S * (Pace.MOST + 1)))

    def test_what_never_comes_fails(self):
        with self.assertRaisesRegex(Failed, "a wonder"):
            until(lambda: False, 0.01, "a wonder", every=0.01)


class SlowerUnderAttack(unittest.TestCase):
    def setUp(self):
        harness.PACE.factor = None
        self.trials = Trials.__new__(Trials)
        self.trials.rows = {(kind, when): [] for kind in KINDS for when in (False, True)}

    def tearDown(self):
        harness.PACE.factor = None

    def pair(self, kind, peace_ms, attack_ms):
        self.trials.rows[kind, False].append({AT_TERMINAL: peace_ms})
        self.trials.rows[kind, True].append({AT_TERMINAL: attack_ms})

    def measure(self, peace_ms, attack_ms):
        """Pairs that come out so, as many as are wanted."""
        for kind in KINDS:
            while self.trials.wants_another_pair(kind, 1, 3):
                self.pair(kind, peace_ms, attack_ms)

    def test_a_product_that_an_attack_makes_slow_fails_after_all_pairs(self):
        self.measure(1000, 1000 * MOST_SLOWER + 100)
        self.assertEqual(self.trials.pairs("execution"), 3)
        with self.assertRaisesRegex(Failed, "times as slow under attack"):
            judge(self.trials)

    def test_one_pair_within_the_proportion_is_enough(self):
        self.measure(1000, 1900)
        self.assertEqual(self.trials.pairs("presentation"), 1)
        judge(self.trials)

    def test_one_pair_by_chance_is_looked_at_again(self):
        for kind in KINDS:
            self.pair(kind, 500, 2000)
            self.assertTrue(self.trials.wants_another_pair(kind, 1, 3))
            self.pair(kind, 1500, 1600)
            self.assertFalse(self.trials.wants_another_pair(kind, 1, 3))
        judge(self.trials)

    def test_a_slow_machine_has_fewer_doors_under_siege_the_needed_one_first(self):
        harness.PACE.factor = 1
        self.assertEqual(bearable([4, 1, 3, 2], 3), [1, 2, 3, 4])
        harness.PACE.factor = 3
        self.assertEqual(bearable([4, 1, 3, 2], 3), [3])
        harness.PACE.factor = 2
        self.assertEqual(bearable([4, 1, 3, 2], 3), [1, 3])


if __name__ == "__main__":
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="us-harness-") as folder:
        attacked.RESULTS = Path(folder)
        unittest.main()
