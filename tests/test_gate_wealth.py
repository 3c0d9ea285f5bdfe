"""Evidence that may be looked at again and again, and what tests may spend."""

import itertools
import math
import random

import pytest
from lamarck.config_gate import GateConfig
from lamarck.core_evolution import GateReport
from lamarck.evals.gate.environments import ties_needed
from lamarck.evals.gate.evidence import rounds
from lamarck.evals.gate.spending import account, share
from lamarck.evals.gate.wealth import MOST, further_tasks, interval, log_wealth


def e(values, bound=0.0):
    return math.exp(log_wealth(values, bound))


def test_wealth_is_the_likelihood_ratio_of_discordant_pairs_mixed_over_p_above_a_half():
    # Integrals over u in [0, 1]: (1 + u)^2 is 7/3, (1 + u)(1 - u) is 2/3, 1 - u is 1/2.
    assert e([1.0, 1.0]) == pytest.approx(7 / 3, rel=1e-4)
    assert e([1.0, -1.0]) == pytest.approx(2 / 3, rel=1e-4)
    assert e([-1.0]) == pytest.approx(1 / 2, rel=1e-4)
    assert e([0.0] * 50) == pytest.approx(1.0)
    # The same as the beta integral in closed form: 2^(n+1) B(w+1, l+1) P(Bin(n+1, 1/2) <= w).
    won, lost = 10, 2
    n = won + lost
    tail = sum(math.comb(n + 1, i) for i in range(won + 1)) / 2 ** (n + 1)
    assert e([1.0] * won + [-1.0] * lost) == pytest.approx(
        2 ** (n + 1) * tail / ((n + 1) * math.comb(n, won)), rel=1e-3
    )
    # Against -1/2 a tie speaks for itself: 1 - u + u / 0.5 is 3/2 on average.
    assert e([0.0], -0.5) == pytest.approx(1.5)
    with pytest.raises(ValueError, match=r"in \[-1, 1\], not of 3"):
        log_wealth([3.0])


@pytest.mark.parametrize(
    ("bound", "chances"),
    [(0.0, {1.0: 0.3, 0.0: 0.4, -1.0: 0.3}), (-0.1, {1.0: 0.1, 0.0: 0.7, -1.0: 0.2}), (0.0, {0.5: 0.5, -0.5: 0.5})],
)
def test_at_the_bound_evidence_is_one_on_average_and_below_it_less(bound, chances):
    def mean(against):
        return sum(
            math.prod(chances[value] for value in values) * e(values, against)
            for values in itertools.product(chances, repeat=4)
        )

    assert mean(bound) == pytest.approx(1.0)
    assert mean(bound + 0.1) < 1 < mean(bound - 0.1)


def test_looking_after_every_ten_tasks_does_not_inflate_the_error():
    draw, rung, once = random.Random(4), 0, 0
    for _ in range(150):
        values = draw.choices((1.0, 0.0, -1.0), (0.2, 0.6, 0.2), k=150)
        rung += any(e(values[:n]) >= 20 for n in range(10, 151, 10))
        once += any(sum(values[:n]) > 1.645 * math.sqrt(0.4 * n) for n in range(10, 151, 10))
    # A test for one look at level 0.05 would be wrong several times as often.
    assert rung <= 7 < 20 < once


def test_the_interval_agrees_with_the_evidence():
    values = [1.0] * 20 + [-1.0] * 8 + [0.0] * 72
    low, high = interval(values, 0.9)
    assert low < 0.12 < high and e(values) < 20 and low < 0
    more = [*values, *[1.0] * 10]
    assert e(more) > 20 and interval(more, 0.9)[0] > 0
    # At its ends the evidence is what the level asks for, 2 / (1 - 0.9).
    assert e(values, low) == pytest.approx(20, rel=1e-2)
    assert e([-value for value in values], -high) == pytest.approx(20, rel=1e-2)
    assert interval([]) == (-1.0, 1.0)
    assert interval([1.0, 1.0])[1] == 1.0


def test_the_tasks_it_takes_are_about_enough():
    seen = [1.0] * 25 + [-1.0] * 5 + [0.0] * 70
    n = further_tasks(seen, 0.05, gathered=())
    draw = random.Random(1)
    found = sum(e(draw.choices(seen, k=n)) >= 20 for _ in range(300)) / 300
    assert n == 98 and 0.72 < found < 0.9
    # Of a test that has begun, what it still lacks.
    some = seen[::4]
    rest = further_tasks(some, 0.05)
    found = sum(e([*some, *draw.choices(some, k=rest)]) >= 20 for _ in range(300)) / 300
    assert rest < n and 0.72 < found < 0.99
    assert further_tasks([1.0, -1.0], 0.05) is None
    # Half the difference, with as much moved, takes several times as many; a lower level more as well.
    assert further_tasks(seen, 0.05, gathered=(), mean=0.1) > 3 * n
    assert further_tasks(seen, 0.005, gathered=()) > n
    tied = [0.0] * 20
    assert further_tasks(tied, 0.05, bound=-0.1) < further_tasks(tied, 0.05, bound=-0.05)


def test_samples_of_a_task_are_one_cluster_and_rounds_double():
    gaps = {"a": {0: 1.0, 1: 0.0, 2: 1.0, 3: 1.0}, "b": {0: -1.0, 1: -1.0, 2: 0.0}}
    assert rounds(gaps, 4, 1, 0.05) == [[0.75, -2 / 3]]
    assert rounds(gaps, 1, 1, 0.05) == [[1.0, -1.0]]
    # The round of four lacks one pair of eight, more than 5 %.
    assert rounds(gaps, 1, 3, 0.05) == [[1.0, -1.0], [0.5, -1.0]]
    assert rounds(gaps, 1, 3, 0.2) == [[1.0, -1.0], [0.5, -1.0], [0.75, -2 / 3]]


def report(candidate="c", tasks=("a", "b"), *, number=1, decision="refuse", gap=0.0, place="world", claim="better"):
    return GateReport.of(
        candidate=candidate,
        incumbent="i",
        decision=decision,
        checks=(),
        alpha=0.01,
        test_number=number,
        held_out="h",
        claim=claim,
        looked_at={place: {name: {0: gap} for name in tasks}},
    )


def asked(spent, tasks=("a", "b"), *, candidate="c", gap=0.0, **fields):
    given = {"incumbent": "i", "claim": "better", "alpha": 0.05} | fields
    return account(spent, {"world": {name: {0: gap} for name in tasks}}, candidate=candidate, **given)


def test_where_no_number_of_ties_can_tell_that_is_said():
    assert ties_needed(GateConfig(), 1) == 49
    assert ties_needed(GateConfig(forget_margin=1e-8), 1) == MOST


def test_levels_of_all_tests_add_up():
    assert sum(share(k) for k in range(1, 100_000)) == pytest.approx(1, abs=1e-5)
    assert share(1) == pytest.approx(0.607927, abs=1e-6) and share(3) == pytest.approx(share(1) / 9)


def test_tests_on_the_same_tasks_are_counted_and_fresh_tasks_are_not():
    first = asked([])
    assert (first.number, first.goes_on) == (1, False)
    assert first.alpha == pytest.approx(0.05 * 0.607927, rel=1e-5)
    spent = [report("one"), report("two", number=2)]
    assert asked(spent, candidate="three").number == 3
    assert asked(spent, ("x", "y"), candidate="three").number == 1
    # One task in common is enough, in whatever environment it was looked at.
    assert asked([report("one", ("b", "z"))], candidate="two").number == 2
    assert asked([report("one", place="elsewhere")], candidate="two").number == 2
    # And so is a test between them that shares tasks with both.
    assert asked([report("one", ("y", "z")), report("two", ("b", "y"), number=2)], candidate="three").number == 3
    assert asked([report("one", claim="cheaper")], candidate="one").number == 2


def test_a_test_that_goes_on_spends_nothing_more_and_one_played_anew_does():
    spent = [report("one"), report("two", number=2)]
    again = asked(spent, ("a", "b", "c"), candidate="one")
    assert (again.number, again.goes_on, again.earlier) == (1, True, 1)
    anew = asked(spent, gap=1.0, candidate="one")
    assert (anew.number, anew.goes_on) == (3, False)
    # Its earlier look is told from the new test afterwards, too.
    assert asked([*spent, report("one", number=3, gap=1.0)], gap=1.0, candidate="one").number == 3
    assert asked([*spent, report("one", number=3, gap=1.0)], candidate="four").number == 4


def test_by_share_promotions_earn_further_looks():
    spent = [report("one", decision="promote"), report("two", number=2)]
    assert asked(spent, candidate="three").alpha == pytest.approx(0.05 * share(3))
    assert asked(spent, candidate="three", errors="share").alpha == pytest.approx(2 * 0.05 * share(3))
    # What it earned itself does not count.
    assert asked(spent, candidate="one", errors="share").alpha == pytest.approx(0.05 * share(1))
