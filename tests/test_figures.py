"""Figures over samples: what k of them are worth, attempts, invalid actions, curves, forgetting."""

import itertools
import math
import random
from collections import Counter

import pytest
from figures import called, episode, samples
from lamarck.evals.figures.at_k import at_k, best_at_k, majority_at_k, pass_at_k, usual_ks
from lamarck.evals.figures.curves import in_order, learning_curve
from lamarck.evals.figures.forgetting import forgetting
from lamarck.evals.figures.invalid import invalid_of
from lamarck.evals.figures.outcomes import answer_of, by_task, plain
from lamarck.evals.figures.summary import Spread, by_category, figures, infrastructure


def test_pass_at_k_against_all_subsets():
    for n in range(1, 8):
        for c, k in itertools.product(range(n + 1), range(1, n + 1)):
            right = [True] * c + [False] * (n - c)
            subsets = list(itertools.combinations(right, k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_is_stable_and_strict():
    exact = 1 - math.comb(9_000, 100) / math.comb(10_000, 100)
    assert pass_at_k(10_000, 1_000, 100) == pytest.approx(exact, rel=1e-9)
    for n, c, k in ((3, 1, 4), (3, 4, 1), (3, 1, 0), (3, -1, 1)):
        with pytest.raises(ValueError, match="pass@k"):
            pass_at_k(n, c, k)


def test_majority_at_k_against_all_subsets():
    generator = random.Random(1)
    for _ in range(120):
        n = generator.randint(1, 7)
        answers = [generator.choice(["a", "b", "c", None]) for _ in range(n)]
        truth = {"a": 1.0, "b": 0.0, "c": 0.5, None: 0.0}
        right = [truth[answer] for answer in answers]
        for k in range(1, n + 1):
            subsets = list(itertools.combinations(range(n), k))
            expected = sum(voted([answers[i] for i in subset], truth) for subset in subsets) / len(subsets)
            assert majority_at_k(answers, right, k) == pytest.approx(expected)


def voted(answers, truth):
    """Return how right the majority is; ties share the vote."""
    counts = Counter(answer for answer in answers if answer is not None)
    if not counts:
        return 0.0
    winners = [answer for answer, n in counts.items() if n == max(counts.values())]
    return sum(truth[winner] for winner in winners) / len(winners)


def test_best_at_k_against_all_subsets():
    scores = [0.2, 0.9, 0.2, 0.5, 1.0]
    for k in range(1, 6):
        subsets = list(itertools.combinations(scores, k))
        assert best_at_k(scores, k) == pytest.approx(sum(map(max, subsets)) / len(subsets))
    with pytest.raises(ValueError, match="best@k"):
        best_at_k(scores, 6)


def test_at_k_over_tasks():
    found = samples(
        *(episode("x", sample=n, success=n == 0) for n in range(4)),
        *(episode("y", sample=n, success=True) for n in range(4)),
        *(episode("z", sample=n, success=True) for n in range(2)),
    )
    two, four = (at_k(by_task(found), k, resamples=200) for k in (2, 4))
    assert (two.tasks, four.tasks) == (3, 2)
    assert two.passed.value == pytest.approx((0.5 + 1 + 1) / 3) and four.passed.value == 1.0
    # Outcomes vote: one right of four is outvoted; in pairs with the right one it is a tie, which counts half.
    assert four.majority.value == pytest.approx(0.5) and two.majority.value == pytest.approx((0.25 + 1 + 1) / 3)
    assert four.mean.value == pytest.approx((0.25 + 1) / 2)
    assert usual_ks(1) == (1,) and usual_ks(6) == (1, 2, 4, 6) and usual_ks(8) == (1, 2, 4, 8)


def test_answers_vote_where_questions_were_asked():
    def asked(sample, answer, success):
        return episode("q", sample=sample, actions=(answer,), success=success, terminated=True, truth="42")

    found = samples(asked(0, "42", True), asked(1, "$42.0", True), asked(2, "41", False), asked(3, "40", False))
    assert at_k(by_task(found), 4, resamples=100).majority.value == 1.0
    assert plain(" The  Moon ", "moon") == "the moon" and plain("room 5 north", "north") != plain("room 5", "north")
    assert answer_of(episode(actions=("go", "take"), terminated=True)) is None


def test_a_game_that_ends_with_its_first_action_is_no_question():
    quick = episode("g", sample=0, actions=("left",), success=False, terminated=True)
    slow = [episode("g", sample=n, actions=("left", "right"), success=True, terminated=True) for n in (1, 2, 3)]
    assert at_k(by_task(samples(quick, *slow)), 4, resamples=100).majority.value == 1.0
    # A question that was never answered has no vote.
    silent = episode("g", sample=3, actions=(None,), success=False, validity={0: "unparseable"})
    asked = [episode("g", sample=n, actions=("4",), success=True, terminated=True, truth="4") for n in (0, 1)]
    wrong = episode("g", sample=2, actions=("5",), success=False, terminated=True, truth="4")
    assert at_k(by_task(samples(*asked, wrong, silent)), 4, resamples=100).majority.value == 1.0


def test_many_samples_are_counted_without_overflow():
    assert best_at_k([0.0] * 1_999 + [1.0], 1_000) == pytest.approx(0.5)
    assert majority_at_k(["a"] * 700 + ["b"] * 400, [1.0] * 700 + [0.0] * 400, 550) == pytest.approx(1.0)


def test_what_nobody_judged_has_no_score():
    found = samples(episode("x", success=None), episode("y", success=None, score=0.5), episode("z", success=True))
    assert figures(found).score.value == 0.75 and figures(found).score.n == 2
    far = samples(*(episode(f"t{n}", score=float(n)) for n in range(20)))
    assert at_k(by_task(far), 1, resamples=200).best.value == 9.5


def test_a_sample_counts_once_by_its_last_attempt():
    found = samples(
        episode("x", attempt=0, failed=True),
        episode("x", attempt=1, success=False, parent="x/0/0", score=0.25),
        episode("x", attempt=2, success=True, parent="x/0/1"),
        episode("y", attempt=0, success=True),
        episode("y", attempt=1, success=False, parent="y/0/0"),
        episode("z", attempt=0, failed=True),
        episode("z", attempt=1, failed=True, parent="z/0/0"),
    )
    assert [sample.last and sample.last.success for sample in found] == [True, False, None]
    assert [sample.first and sample.first.success for sample in found] == [False, True, None]
    all_ = figures(found, planned=4, resamples=200)
    assert [sample.repairs for sample in found] == [1, 1, 0] and all_.repairs == 2
    assert (all_.first_success.value, all_.success.value, all_.best_success.value) == (0.5, 0.5, 1.0)
    assert all_.success.n == 2 and all_.tokens.total == 40 and all_.steps.median == 4
    lost = all_.infrastructure
    assert (lost.planned, lost.finished, lost.lost, lost.unfinished) == (4, 2, 1, 1)
    assert (lost.attempts, lost.failed_attempts, lost.boundaries) == (7, 3, {"model": 3})
    assert lost.share == 0.5 and infrastructure([]).share == 0.0


def test_unknown_outcomes_and_categories():
    found = samples(
        episode("x", success=None), episode("y", success=True, category="b"), episode("z", success=False, category="b")
    )
    total, parts = figures(found), by_category(found)
    assert total.unknown == 1 and total.success.n == 2 and total.success.value == 0.5
    assert list(parts) == ["a", "b"] and math.isnan(parts["a"].success.value) and parts["b"].tasks == 2


def test_scores_beyond_one_have_intervals_too():
    found = samples(*(episode(f"t{n}", score=float(n)) for n in range(20)))
    score = figures(found, resamples=300).score
    assert score.value == 9.5 and score.low > 5 and score.method == "bca"


def test_spread_by_hand():
    one = Spread.of([4.0, 1.0, 3.0, 2.0, 10.0])
    assert (one.n, one.total, one.mean, one.median, one.q25, one.q75, one.most) == (5, 20.0, 4.0, 3.0, 2.0, 4.0, 10.0)
    assert one.q10 == pytest.approx(1.4) and math.isnan(Spread.of([]).median)


def test_taxonomy_of_invalid_actions():
    found = invalid_of(
        episode(
            actions=("look", None, "fly", "look", "look", None),
            seen=["a", "a", "a", "a", "b", "b"],
            validity={1: "unparseable", 2: "not_admissible"},
            calls=[called(), called(error="boom"), called(error="unknown", ran=False)],
        )
    )
    # The second `look` that led to `a` is a repetition; the one that led to `b` is not, nor is the thought at the end.
    assert (found.steps, found.unparseable, found.not_admissible, found.no_effect, found.repeated) == (6, 1, 1, 0, 1)
    assert (found.tool_calls, found.tool_errors, found.tool_refused, found.affected) == (3, 1, 1, 1)
    both = found + invalid_of(episode(validity={0: "no_effect"}))
    assert (both.episodes, both.affected, both.share("no_effect")) == (2, 2, 1 / 8)
    assert invalid_of(episode()).affected == 0 and both.as_dict()["repeated_share"] == 1 / 8


def test_learning_curve_by_hand():
    curve = learning_curve([0, 1, 0, 1, 1, 1], window=2, thresholds=(0.5, 1.0))
    assert [point.value for point in curve.points] == [0, 0.5, 0.5, 0.5, 1, 1]
    # Trapezoids over five gaps: 0.25 + 0.5 + 0.5 + 0.75 + 1 = 3.
    assert curve.area == pytest.approx(3 / 5) and (curve.best, curve.last) == (1, 1)
    assert [(one.episodes, one.censored) for one in curve.thresholds] == [(2, False), (5, False)]


def test_learning_curves_that_never_get_there():
    curve = learning_curve([0, 0, 1, 0], window=2, thresholds=(0.75,))
    assert [(one.episodes, one.censored) for one in curve.thresholds] == [(4, True)]
    short = learning_curve([1.0], window=5, thresholds=(0.5,))
    assert short.area == 1.0 and short.thresholds[0].censored and short.best == 1.0
    assert math.isnan(learning_curve([]).area)
    with pytest.raises(ValueError, match="window"):
        learning_curve([1.0], window=0)
    late, early = episode("x", started_at=2.0, success=True), episode("y", started_at=1.0, success=False)
    assert [one.success for one in in_order(samples(late, early))] == [False, True]


def test_forgetting_by_hand():
    cells = {
        ("s1", "a"): 0.8,
        ("s2", "a"): 0.9,
        ("s2", "b"): 0.5,
        ("s3", "a"): 0.6,
        ("s3", "b"): 0.7,
        ("s3", "c"): 0.4,
    }
    found = forgetting(["s1", "s2", "s3"], ["a", "b", "c"], cells)
    assert found.average == pytest.approx((0.6 + 0.7 + 0.4) / 3)
    assert found.backward_transfer == pytest.approx(((0.6 - 0.8) + (0.7 - 0.5)) / 2)
    assert found.forgetting == pytest.approx(((0.9 - 0.6) + (0.5 - 0.7)) / 2)
    assert found.matrix[0] == (0.8, None, None) and found.kept[0].best == 0.9 and found.kept[2].transfer is None
    held_out = forgetting(["s1"], ["a", "never learned"], {("s1", "a"): 0.5, ("s1", "never learned"): 0.1})
    assert held_out.kept[1].learned is None and math.isnan(held_out.forgetting) and held_out.average == 0.3
    with pytest.raises(ValueError, match="stage"):
        forgetting([], [], {})
