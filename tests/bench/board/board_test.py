#!/usr/bin/env python3
"""What the scoreboard does with figures, on figures made up here."""
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent.parent))

from tests.bench.board import compare, documents, figures, forward, goals  # noqa: E402
from tests.bench.board.parts import BY_NAME, PARTS  # noqa: E402


def forwarding(of_testpmd):
    """A part as forward.measure() leaves it."""
    one = lambda value: figures.spread([value])
    rows = {forward.TESTPMD: {"mpps": one(20.0), "ns": one(50.0), "of testpmd": one(1.0)}}
    for n in forward.SESSIONS:
        rows[forward.row(n)] = {"mpps": one(10.0), "ns": one(100.0), "of testpmd": one(of_testpmd), "bytes": one(240.0 * n)}
    return {"date": "2026-01-01", "commit": "0000000", "load": 0.1, "quick": False, "command": "a command", "rows": rows,
            "ratios": {"forward, 1 M sessions, of testpmd": one(of_testpmd), "forward, 4 M sessions, of 1 k": one(1.0)}}


class Board(unittest.TestCase):
    def test_a_ratio_is_taken_round_by_round(self):
        # Both slow down together: that is the machine, and the ratio does not see it.
        self.assertEqual(figures.ratio([10, 5, 1], [20, 10, 2]), {"median": 0.5, "min": 0.5, "max": 0.5, "n": 3})

    def test_what_was_not_found_is_no_figure(self):
        self.assertIsNone(figures.spread([None, float("nan")]))
        self.assertEqual(figures.ratio([1, None, 3], [1, 1, 0])["n"], 1)

    def test_a_line(self):
        at_zero, slope = figures.line([1, 2, 3], [5, 7, 9])
        self.assertAlmostEqual(at_zero, 3)
        self.assertAlmostEqual(slope, 2)

    def test_a_change_counts_when_ranges_are_apart_and_medians_differ(self):
        before = {"median": 1.0, "min": 0.9, "max": 1.1}
        self.assertEqual(compare.verdict({"median": 1.3, "min": 1.05, "max": 1.4}, before), "as before")
        self.assertEqual(compare.verdict({"median": 1.05, "min": 1.11, "max": 1.2}, before), "as before")
        self.assertEqual(compare.verdict({"median": 1.5, "min": 1.4, "max": 1.6}, before), "better by 50 %")
        self.assertEqual(compare.verdict({"median": 0.5, "min": 0.4, "max": 0.6}, before), "WORSE by 50 %")

    def test_a_goal_is_met_at_its_bound(self):
        self.assertEqual([goals.met(v, "at least", 0.7) for v in (0.7, 0.69, None)], ["yes", "no", "?"])
        self.assertEqual([goals.met(v, "at most", 150) for v in (150, 151)], ["yes", "no"])

    def test_goals_follow_the_figures(self):
        row = lambda value: goals.goals({"run": {}, "parts": {"forward": forwarding(value)}}).splitlines()[2]
        self.assertTrue(row(0.71).endswith("| 0.71 | yes |"))
        self.assertTrue(row(0.38).endswith("| 0.38 | no |"))

    def test_a_block_is_written_and_the_prose_left_alone(self):
        text = "before\n<!-- figures: forward -->\nby hand\n<!-- end -->\nafter\n"
        found = {"run": {}, "parts": {"forward": forwarding(0.5)}}
        made = documents.rendered(text, found)
        self.assertTrue(made.startswith("before\n<!-- figures: forward -->\n![") and made.endswith("<!-- end -->\nafter\n"))
        self.assertNotIn("by hand", made)
        self.assertIn("| forward, 1,000,000 sessions | 0.50 | 10.0 | 100 | 229 | 240 |", made)
        self.assertEqual(documents.rendered(made, found), made)
        with self.assertRaises(KeyError):
            documents.rendered("<!-- figures: nonsense -->\n<!-- end -->", found)

    def test_what_is_edited_by_hand_is_noticed(self):
        everywhere = {b for _, b in documents.disagreements({"run": {}, "parts": {"forward": forwarding(0.123)}})}
        self.assertLessEqual({"forward", "goals", "scoreboard"}, everywhere)

    def test_every_part_has_its_place(self):
        text = (figures.ROOT / "docs/performance.md").read_text()
        self.assertEqual([p.NAME for p in PARTS if f"<!-- figures: {p.NAME} -->" not in text], [])
        self.assertLessEqual(set(documents.PLOTS), set(BY_NAME))


if __name__ == "__main__":
    unittest.main()
