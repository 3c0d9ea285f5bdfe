"""Runs compared task by task: pairing, verdicts, what is left out, and what forbids a verdict."""

import random

import pytest
from figures import episode, samples
from lamarck.evals.figures.compare import Side, compare
from lamarck.evals.figures.paired import mcnemar
from lamarck.evals.figures.summary import infrastructure


def side(name, *episodes, planned=None):
    found = tuple(samples(*episodes))
    return Side(name, found, infrastructure(found, planned))


def played(name, outcomes, *, category=lambda n: "a"):
    return side(name, *(episode(f"t{n}", success=bool(one), category=category(n)) for n, one in enumerate(outcomes)))


def test_verdicts_by_hand():
    a = played("a", [0] * 12 + [1] * 8)
    b = played("b", [1] * 9 + [0] * 3 + [1] * 7 + [0])
    c = played("c", [0] * 11 + [1] * 9)
    found = compare([a, b, c], resamples=500)
    better, alike = found.pairs
    assert (better.wins, better.losses, better.tasks) == (9, 1, 20)
    assert better.p == pytest.approx(mcnemar(1, 9).exact) == pytest.approx(22 / 1024)
    assert better.adjusted == pytest.approx(2 * better.p) and better.verdict == "better"
    assert better.difference.value == pytest.approx(0.4) and better.further_tasks is None
    assert alike.verdict == "not told apart" and alike.further_tasks > 100
    assert "b is better than a: +40.0 points" in better.sentence() and "further tasks" in alike.sentence()
    assert compare([b, a], resamples=200).pairs[0].verdict == "worse"
    assert len(compare([a, b, c], resamples=200, all_pairs=True).pairs) == 3


def test_categories_are_a_family_of_their_own():
    kinds = ["x"] * 10 + ["y"] * 10
    a = played("a", [0] * 20, category=kinds.__getitem__)
    b = played("b", [1] * 7 + [0] * 3 + [1] * 4 + [0] * 6, category=kinds.__getitem__)
    found = compare([a, b], resamples=200)
    x, y = found.categories["x"][0], found.categories["y"][0]
    assert (x.tasks, y.tasks) == (10, 10)
    assert x.adjusted == pytest.approx(2 * mcnemar(0, 7).exact) and y.adjusted == pytest.approx(mcnemar(0, 4).exact)
    assert x.verdict == "better" and y.verdict == "not told apart" and found.pairs[0].adjusted == found.pairs[0].p


def test_only_what_both_have_is_compared():
    a = side("a", *(episode(f"t{n}", sample=s) for n in range(3) for s in range(2)), episode("lost", failed=True))
    b = side("b", *(episode(f"t{n}", success=False) for n in range(4)), episode("lost"))
    found = compare([a, b], resamples=200, max_infrastructure=1.0)
    assert found.pairs[0].tasks == 3 and found.pairs[0].samples == 3
    assert found.left_out == {"a": ("lost", "t3")}


def test_samples_of_a_task_are_paired_and_nested():
    a = side("a", *(episode(f"t{n}", sample=s, success=False) for n in range(4) for s in range(8)))
    b = side("b", *(episode(f"t{n}", sample=s, success=True) for n in range(4) for s in range(8)))
    pair = compare([a, b], resamples=200).pairs[0]
    # Four tasks say no more than four tasks, however often each is played.
    assert pair.test == "sign flip" and pair.mcnemar is None and pair.p == pytest.approx(2 / 16)
    assert pair.samples == 32 and pair.verdict == "not told apart"


def test_scores_are_compared_by_sign_flips():
    a = side("a", *(episode(f"t{n}", success=False, score=0.1 * (n % 3)) for n in range(20)))
    b = side("b", *(episode(f"t{n}", success=False, score=0.1 * (n % 3) + 0.05) for n in range(20)))
    assert compare([a, b], resamples=500).pairs[0].verdict == "not told apart"
    pair = compare([a, b], by="score", resamples=500).pairs[0]
    assert pair.verdict == "better" and pair.difference.value == pytest.approx(0.05)


def test_what_nobody_judged_is_not_compared():
    a = side("a", *(episode(f"t{n}", success=None) for n in range(20)))
    b = side("b", *(episode(f"t{n}", success=True) for n in range(20)))
    found = compare([a, b], by="score", resamples=200)
    assert found.pairs[0].verdict == "no verdict" and len(found.left_out["a"]) == 20


def test_what_would_tell_is_not_promised_too_early():
    """One task lost of one: four of four lost would still be p = 0.125."""
    pair = compare([played("a", [1]), played("b", [0])], resamples=200).pairs[0]
    assert pair.further_tasks == 5 and "about 5 further tasks" in pair.sentence()


def test_infrastructure_failures_forbid_a_verdict():
    good = played("a", [0] * 20)
    lost = [episode(f"t{n}", success=True) for n in range(18)] + [episode(f"t{n}", failed=True) for n in (18, 19)]
    blocked = compare([good, side("b", *lost)], resamples=200).pairs[0]
    assert blocked.verdict == "no verdict" and "2 of 20 samples of b have no outcome" in blocked.sentence()
    assert compare([good, side("b", *lost)], resamples=200, max_infrastructure=0.1).pairs[0].verdict == "better"
    cut = side("b", *(episode(f"t{n}", success=True) for n in range(18)), planned=20)
    assert "0 lost to infrastructure, 2 not finished" in compare([good, cut], resamples=200).pairs[0].reason
    nothing = compare([good, side("b", episode("other"))], resamples=200).pairs[0]
    assert nothing.verdict == "no verdict" and nothing.tasks == 0


def test_two_equal_agents_are_seldom_told_apart():
    """Under the null the verdict is wrong in at most 5 % of the cases, for three runs and Holm's correction."""
    wrong = 0
    for seed in range(120):
        generator = random.Random(seed)
        chances = [generator.random() for _ in range(25)]
        runs = [played(name, [generator.random() < p for p in chances]) for name in "abc"]
        wrong += any(pair.verdict != "not told apart" for pair in compare(runs, resamples=100).pairs)
    assert wrong / 120 <= 0.05
