"""Every formula against numbers worked by hand."""

import math
import random

import pytest
from lamarck.config_memory import CreditConfig
from lamarck.memory.lineage import Lineage
from lamarck.memory.state import Outcome, State, left_out, merged, rewarded, worth
from lamarck.memory.values import (
    Running,
    effect,
    laplace,
    mixed,
    moved,
    spread,
    thompson,
    uncertainty,
    upper_bound,
    z_scores,
)


def test_q_moves_by_a_share_of_the_error():
    assert moved(0.0, 1.0, 0.3) == pytest.approx(0.3)
    assert moved(0.3, 1.0, 0.3) == pytest.approx(0.51)
    assert moved(0.51, -1.0, 0.3) == pytest.approx(0.057)
    q = 0.0
    for _ in range(10):
        q = moved(q, 0.8, 0.3)
    assert 0.8 - q == pytest.approx(0.8 * 0.7**10)


def test_the_variance_of_q_is_what_theory_says():
    generator, q, values = random.Random(0), 0.0, []
    for n in range(60_000):
        q = moved(q, 1.0 if generator.random() < 0.5 else -1.0, 0.3)
        if n > 100:
            values.append(q)
    assert Running().add(values).variance == pytest.approx(0.3 / 1.7, rel=0.05)


def test_spread_and_uncertainty():
    assert spread(1.0, 1.0, 0.3) == pytest.approx(0.7 * 1.3)
    assert spread(0.0, 2.0, 0.5) == pytest.approx(1.0)
    assert uncertainty(1.0, 0, 0.3) == 1.0
    assert uncertainty(1.0, 3, 0.3) == pytest.approx(0.5)
    assert uncertainty(4.0, 1000, 0.3) == pytest.approx(2.0 * math.sqrt(0.3 / 1.7))


def test_laplace():
    assert laplace(0, 0) == 0.5
    assert laplace(3, 4) == pytest.approx(4 / 6)
    assert laplace(0, 5) == pytest.approx(1 / 7)


def test_effect_is_the_difference_of_means_drawn_to_zero():
    assert effect(0.0, 0, 0.0, 0, prior=2.0) == 0.0
    assert effect(8.0, 10, -4.0, 10, prior=0.0) == pytest.approx(0.8 + 0.4)
    # pooled mean 4/20 = .2, two imagined episodes of it on each side: 8.4/12 - (-3.6)/12
    assert effect(8.0, 10, -4.0, 10, prior=2.0) == pytest.approx(1.0)
    assert effect(5.0, 5, 0.0, 0, prior=2.0) == pytest.approx(0.0)


def test_running_statistics_merge_as_if_seen_together():
    left, right = [1.0, 2.0, 4.0], [7.0, 11.0]
    both = Running().add(left).merge(Running().add(right))
    assert both == pytest.approx(Running().add(left + right))
    assert both.size == 5 and both.mean == 5.0 and both.variance == pytest.approx(66 / 5)
    assert both.deviation == pytest.approx(math.sqrt(66 / 5))
    assert Running().merge(Running()) == Running() and Running().add([]) == Running()


def test_z_scores_are_clipped_and_not_blown_up():
    assert z_scores([1.0, 3.0], 2.0, 1.0, floor=0.1) == [-1.0, 1.0]
    assert z_scores([100.0], 0.0, 1.0, floor=0.1) == [3.0]
    assert z_scores([0.001, -0.001], 0.0, 0.001, floor=0.05) == pytest.approx([0.02, -0.02])


def test_mixture_and_exploration():
    assert mixed([1.0, -1.0], [0.0, 2.0], 0.5) == [0.5, 0.5]
    assert mixed([1.0], [3.0], 0.0) == [1.0] and mixed([1.0], [3.0], 1.0) == [3.0]
    assert upper_bound(0.2, 0.5, 2.0) == pytest.approx(1.2)
    draws = [thompson(0.2, 0.5, random.Random(n)) for n in range(4000)]
    assert Running().add(draws).mean == pytest.approx(0.2, abs=0.03)
    assert Running().add(draws).deviation == pytest.approx(0.5, abs=0.03)
    assert thompson(0.2, 0.5, random.Random(1)) == thompson(0.2, 0.5, random.Random(1))


def test_an_item_is_rewarded():
    credit = CreditConfig()
    state = rewarded(State(kind="episode"), Outcome(1.0, True, 0.4, 9.0), 2, credit)
    assert state.q_value == pytest.approx(0.3) and state.retrievals == 2 and state.rewards == 1
    assert (
        state.successes == 1
        and (state.kept, state.kept_sum) == (1, 1.0)
        and state.used_at == 9.0
        and state.status == "candidate"
    )
    state = rewarded(state, Outcome(1.0, True, 0.4, 10.0), 1, credit)
    assert state.q_value == pytest.approx(0.51) and state.status == "active"  # (2 + 1) / (2 + 2) = .75 >= .6
    lost = rewarded(state, Outcome(-1.0, False, 0.4, 11.0), 1, credit)
    assert lost.q_value == pytest.approx(0.057) and lost.status == "active" and lost.rewards == 3
    retired = rewarded(State(status="retired"), Outcome(1.0, True, 0.0, 1.0), 1, CreditConfig(prove_uses=0))
    assert retired.status == "retired"


def test_a_baseline_is_subtracted_when_it_is_on():
    state = rewarded(State(), Outcome(1.0, True, 0.4, 0.0), 1, CreditConfig(baseline=True))
    assert state.q_value == pytest.approx(0.3 * 0.6) and state.kept_sum == 1.0
    lacking = rewarded(State(), Outcome(1.0, True, 0.4, 0.0, whole=False), 1, CreditConfig())
    assert lacking.q_value == pytest.approx(0.3) and (lacking.kept, lacking.kept_sum) == (0, 0.0)


def test_leaving_out_counts_apart():
    credit = CreditConfig(leave_out=0.2, rank_by_effect=True, effect_prior=0.0)
    state = left_out(State(q_value=0.5), Outcome(-1.0, False, 0.0, 0.0), credit)
    assert (state.left_out, state.left_out_sum, state.rewards, state.q_value) == (1, -1.0, 0, 0.5)
    state = rewarded(state, Outcome(1.0, True, 0.0, 0.0), 1, credit)
    assert worth(state, credit) == pytest.approx(2.0) and worth(state, CreditConfig()) == state.q_value


def test_merged_states_add_their_evidence():
    one = State(q_value=0.6, rewards=3, successes=3, retrievals=4, kept=3, kept_sum=3.0, used_at=5.0)
    other = State(q_value=-0.2, rewards=1, successes=0, retrievals=1, kept=1, kept_sum=-1.0)
    both = merged(one, other)
    assert both.q_value == pytest.approx(0.4) and both.rewards == 4 and both.successes == 3
    assert both.retrievals == 5 and both.kept == 4 and both.kept_sum == 2.0 and both.used_at == 5.0
    assert merged(State(), State()) == State()


def test_lineage_hides_what_came_after_a_snapshot():
    snapshot = Lineage().until(7)
    assert snapshot.ranges == ((1, 7),)
    back = snapshot.reopened(12)
    assert back.ranges == ((1, 7), (13, None))
    again = back.until(20).reopened(25)
    assert again.ranges == ((1, 7), (13, 20), (26, None))
    assert Lineage.read(again.text()) == again and Lineage.read(Lineage().text()) == Lineage()
    assert again.sql("n") == "(n BETWEEN 1 AND 7 OR n BETWEEN 13 AND 20 OR n >= 26)"
    # Nothing written between two returns leaves no empty range behind.
    assert back.until(12).ranges == ((1, 7),)
