"""Intervals, tests and corrections against scipy and statsmodels, on random data and by hand."""

import itertools
import math
import random

import pytest
from lamarck.evals.figures.intervals import FEW, bootstrap, clustered, quantile, share_interval
from lamarck.evals.figures.paired import difference, holm, mcnemar, sign_flip, tasks_needed, word
from lamarck.evals.metrics import wilson


def test_wilson_is_that_of_statsmodels():
    from statsmodels.stats.proportion import proportion_confint

    generator = random.Random(1)
    for _ in range(200):
        n = generator.randint(1, 400)
        c = generator.randint(0, n)
        assert wilson(c, n) == pytest.approx(proportion_confint(c, n, method="wilson"), abs=1e-9)


def test_quantiles_are_those_of_numpy():
    import numpy

    generator = random.Random(2)
    for n in (1, 2, 7, 40):
        values = sorted(generator.gauss(0, 1) for _ in range(n))
        for share in (0.0, 0.025, 0.1, 0.5, 0.77, 1.0):
            assert quantile(values, share) == pytest.approx(float(numpy.quantile(values, share)))
    assert math.isnan(quantile([], 0.5))


@pytest.mark.parametrize("method", ["bca", "percentile"])
@pytest.mark.parametrize("seed", [0, 1])
def test_bootstrap_is_that_of_scipy(method, seed):
    """Both draw 20,000 resamples of skewed data; their ends differ by chance alone, in the third digit of the width."""
    import numpy
    from scipy import stats

    generator = random.Random(seed)
    values = [generator.expovariate(1.0) ** 2 for _ in range(60)]
    ours = bootstrap(values, resamples=20_000, seed=seed, method=method)
    theirs = stats.bootstrap(
        (numpy.array(values),),
        numpy.mean,
        n_resamples=20_000,
        method="BCa" if method == "bca" else "percentile",
        rng=numpy.random.default_rng(seed),
        batch=2_000,
    ).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(sum(values) / 60)
    assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


def test_bca_is_moved_towards_the_long_tail():
    generator = random.Random(3)
    values = [generator.expovariate(1.0) ** 2 for _ in range(60)]
    plain, corrected = (bootstrap(values, resamples=4_000, method=method) for method in ("percentile", "bca"))
    assert corrected.low > plain.low and corrected.high > plain.high


def test_bootstrap_repeats_and_knows_its_edges():
    values = [0.0, 0.5, 1.0, 0.25]
    assert bootstrap(values, resamples=500, seed=4) == bootstrap(values, resamples=500, seed=4)
    assert bootstrap(values, resamples=500, seed=4) != bootstrap(values, resamples=500, seed=5)
    assert bootstrap([2.0, 2.0]).low == 2.0
    assert math.isnan(bootstrap([]).value)
    assert share_interval([[1.0], [0.0], [1.0]]).method == "wilson"
    assert (share_interval([[]]).low, share_interval([[]]).high) == (0.0, 1.0)


def test_samples_of_one_task_are_not_independent():
    """Ten tasks that are always or never solved, four samples each, say as much as ten and not as forty."""
    groups = [[float(n % 2)] * 4 for n in range(40)]
    whole = clustered(groups, resamples=2_000)
    alone = bootstrap([value for group in groups for value in group], resamples=2_000)
    assert whole.value == alone.value == 0.5
    assert (whole.high - whole.low) / (alone.high - alone.low) == pytest.approx(2.0, rel=0.1)


def test_what_does_not_vary_still_has_an_interval():
    never = share_interval([[0.0, 0.0]] * 30)
    assert (never.low, never.high) == pytest.approx(wilson(0, 30)) and never.method == "wilson"
    half = share_interval([[0.0, 1.0]] * 30)
    assert (half.low, half.high) == pytest.approx(wilson(15, 30))
    few = share_interval([[0.25, 0.5]] * (FEW - 2) + [[1.0, 1.0]])
    assert few.method == "wilson" and few.high - few.low > 0.3
    assert share_interval([[0.25, 0.5]] * FEW + [[1.0, 1.0]]).method == "bca"


def test_intervals_cover_what_they_should():
    """Tasks of Beta(1, 1) chance with four samples each: 95 % intervals cover 1/2 in 93 to 98 % of 400 draws."""
    hits = 0
    for seed in range(400):
        generator = random.Random(seed)
        chances = [generator.random() for _ in range(40)]
        groups = [[float(generator.random() < p) for _ in range(4)] for p in chances]
        found = share_interval(groups, resamples=250, seed=seed)
        hits += found.low <= 0.5 <= found.high
    assert 0.915 <= hits / 400 <= 0.985


def test_mcnemar_is_that_of_statsmodels_and_scipy():
    from scipy import stats
    from statsmodels.stats.contingency_tables import mcnemar as theirs

    for b, c in itertools.product((0, 1, 2, 5, 9, 14), repeat=2):
        ours = mcnemar(b, c)
        assert ours.exact == pytest.approx(theirs([[7, b], [c, 3]], exact=True).pvalue if b + c else 1.0)
        if b + c:
            # The mid-p by its definition: outcomes as likely as the one seen count half.
            chances = stats.binom.pmf(range(b + c + 1), b + c, 0.5)
            seen = chances[b]
            rarer = sum(p for p in chances if p < seen * (1 - 1e-9))
            alike = sum(p for p in chances if abs(p - seen) <= seen * 1e-9)
            assert ours.mid_p == pytest.approx(rarer + alike / 2)
    assert mcnemar(0, 5).exact == pytest.approx(2 / 32) and mcnemar(0, 5).mid_p == pytest.approx(1 / 32)


def test_sign_flip_is_mcnemar_for_yes_and_no():
    assert sign_flip([1.0] * 5 + [0.0] * 9) == pytest.approx(mcnemar(0, 5).exact)
    assert sign_flip([1.0] * 7 + [-1.0] * 2) == pytest.approx(mcnemar(2, 7).exact)
    drawn = sign_flip([1.0] * 30 + [-1.0] * 14, resamples=20_000)
    assert drawn == pytest.approx(mcnemar(14, 30).exact, abs=0.005)
    assert sign_flip([]) == 1.0 and sign_flip([0.0]) == 1.0


def test_sign_flip_is_the_permutation_test_of_scipy():
    from scipy import stats

    generator = random.Random(6)
    gaps = [generator.gauss(0.3, 1.0) for _ in range(10)]
    theirs = stats.permutation_test(
        (gaps, [0.0] * 10), lambda a, b: (a - b).mean(), permutation_type="samples", vectorized=False, n_resamples=2000
    )
    assert sign_flip(gaps) == pytest.approx(theirs.pvalue, abs=1e-9)


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    generator = random.Random(7)
    for n in (1, 2, 5, 20):
        p = [generator.random() ** 3 for _ in range(n)]
        assert holm(p) == pytest.approx(list(multipletests(p, method="holm")[1]))
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_difference_of_tasks_that_all_agree_is_bounded():
    same = difference([0.0] * 20)
    assert (same.low, same.high) == pytest.approx((-wilson(0, 20)[1], wilson(0, 20)[1]))
    always = difference([1.0] * 20)
    assert always.high == 1.0 and always.low == pytest.approx(1 - 2 * wilson(0, 20)[1])


def test_few_tasks_that_differ_have_a_wide_enough_interval():
    """Ten tasks, two won: with one won and one lost added, d = 2/12, q = 4/12; 1/6 +- 1.96 sqrt((1/3 - 1/36) / 12)."""
    few = difference([1.0] * 2 + [0.0] * 8)
    half = 1.959964 * math.sqrt((1 / 3 - 1 / 36) / 12)
    assert few.value == 0.2 and (few.low, few.high) == pytest.approx((1 / 6 - half, 1 / 6 + half))
    assert few.method == "bonett-price" and difference([1.0] * FEW + [0.0] * 5).method == "bca"
    hits = 0
    for seed in range(300):
        drawn = random.Random(seed).choices([1.0, -1.0, 0.0], [3, 1, 6], k=8)
        found = difference(drawn, resamples=200, seed=seed)
        hits += found.low <= 0.2 <= found.high
    assert hits / 300 >= 0.94


def test_differences_of_scores_beyond_one_keep_their_value():
    far = difference([3.0] * 5)
    assert far.low <= far.value <= far.high and far.value == 3.0
    far = difference([3.0, -5.0] * 10, resamples=500)
    assert far.low < -1.5 and far.high > -0.5


def test_tasks_needed_by_hand():
    # 100 pairs, 10 lost and 20 won: d = 0.1, q = 0.3; (1.95996 * sqrt 0.3 + 0.84162 * sqrt 0.29)^2 / 0.01 = 233.1
    gaps = [1.0] * 20 + [-1.0] * 10 + [0.0] * 70
    assert tasks_needed(gaps) == 234
    assert tasks_needed([1.0, -1.0]) is None and tasks_needed([]) is None
    # Five of five are not enough for McNemar's exact test, 2 / 2^5 = 0.0625; six are, and twelve where half differ.
    assert tasks_needed([1.0]) == 6 and mcnemar(0, 5).exact > 0.05 >= mcnemar(0, 6).exact
    assert tasks_needed([1.0, 0.0]) >= 12 and tasks_needed([1.0], alpha=0.025) == 7


def test_tasks_needed_are_enough():
    """At the number named, McNemar's exact test finds a difference of that size in about 80 % of 400 draws."""
    gaps = [1.0] * 20 + [-1.0] * 5 + [0.0] * 75
    n, found = tasks_needed(gaps), 0
    for seed in range(400):
        drawn = random.Random(seed).choices(gaps, k=n)
        test = mcnemar(drawn.count(-1.0), drawn.count(1.0))
        found += test.exact <= 0.05
    assert 0.68 <= found / 400 <= 0.88


def test_words():
    assert word(0.2, 0.01, 0.05) == "better" and word(-0.2, 0.01, 0.05) == "worse"
    assert word(0.2, 0.06, 0.05) == "not told apart" and word(0.0, 0.0, 0.05) == "not told apart"
