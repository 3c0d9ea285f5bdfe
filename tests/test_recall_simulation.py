"""Planted good and harmful notes: recall must learn which is which from episodes alone."""

from lamarck.evals.recall_compare import flip_test
from lamarck.evals.recall_simulation import area, simulation


def test_two_phases_beat_similarity_by_a_wide_margin_over_five_seeds():
    table = simulation(range(5), variants=("similarity", "two_phase", "two_phase epsilon"))
    plain, both, explored = table["similarity"], table["two_phase"], table["two_phase epsilon"]
    assert both["success"] > plain["success"] + 0.3 and explored["success"] > plain["success"] + 0.3
    assert all(b > p + 0.15 for b, p in zip(both["per_seed"], plain["per_seed"], strict=True))
    assert both["q_harmful"] < 0 < both["q_good"] and explored["harmful_sunk"] > 0.6
    assert explored["auc"] > 0.75


def test_area_and_flips_by_hand():
    assert area([1.0, 0.0], [0.0]) == 0.75 and area([], [1.0]) != area([], [1.0])
    assert flip_test([1] * 5) == 2 / 32 and flip_test([1, -1]) == 1.0 and flip_test([]) == 1.0 == flip_test([0, 0])
    assert flip_test([1] * 8 + [-1] * 2) == 2 * (1 + 10 + 45) / 1024  # as a sign test
    assert flip_test([2, 1, 0]) == 2 / 4  # of +-3 and +-1, two reach 3
    assert 0.0005 < flip_test([1] * 16 + [-1] * 2) < 0.003  # 2 * (1 + 18 + 153) / 2^18 = .0013
