"""Planted good and harmful notes: recall must learn which is which from episodes alone."""

from lamarck.evals.recall_compare import sign_test
from lamarck.evals.recall_simulation import area, simulation


def test_two_phases_beat_similarity_by_a_wide_margin_over_five_seeds():
    table = simulation(range(5), variants=("similarity", "two_phase", "two_phase epsilon"))
    plain, both, explored = table["similarity"], table["two_phase"], table["two_phase epsilon"]
    assert both["success"] > plain["success"] + 0.3 and explored["success"] > plain["success"] + 0.3
    assert all(b > p + 0.15 for b, p in zip(both["per_seed"], plain["per_seed"], strict=True))
    assert both["q_harmful"] < 0 < both["q_good"] and explored["harmful_sunk"] > 0.6
    assert explored["auc"] > 0.75


def test_area_and_sign_test_by_hand():
    assert area([1.0, 0.0], [0.0]) == 0.75 and area([], [1.0]) != area([], [1.0])
    assert sign_test(5, 0) == 2 / 32 and sign_test(3, 3) == 1.0 and sign_test(0, 0) == 1.0
    assert sign_test(8, 2) == 2 * (1 + 10 + 45) / 1024
