"""The gate over simulated generations, in short; `lamarck bench gate` is the long form."""

import random

import pytest
from lamarck.config_gate import GateConfig
from lamarck.evals.gate_simulation import ABILITY, KINDS, Kind, Plan, _play, bench_gate, history, summary
from lamarck.evals.metrics import wilson


def test_candidates_are_worth_what_is_said():
    def solved(kind):
        place = _play("w", "own", 2_500, kind, 1, random.Random(0))
        gaps = [gap for task in place.gaps().values() for gap in task.values()]
        before = sum(one.last.success for one in place.incumbent.samples) / 2_500
        return before, sum(gaps) / 2_500, sum(gap != 0 for gap in gaps) / 2_500

    for gain in (0.0, 0.2, -0.2):
        before, difference, moved = solved(Kind(gain=gain))
        assert before == pytest.approx(ABILITY, abs=0.04)
        assert difference == pytest.approx(gain, abs=0.04)
        # Many pairs agree, as both have the same luck at half of the tasks.
        assert 0.1 < moved < 0.4
    assert solved(Kind(lost=1.0))[1] == pytest.approx(-ABILITY / 6, abs=0.04)


def test_what_is_no_better_is_not_promoted_and_what_is_better_is():
    plan = Plan(tasks=80, looks=2)
    rows = history(["the same"] * 24 + ["better by 20"] * 8, plan, GateConfig(), seed=1)
    found = summary(rows)
    # At most 3 % each; that the rate holds is shown below.
    assert found["wrong"] <= 3 and rows["the same"].refused >= 1
    assert rows["better by 20"].promoted >= 5
    assert rows["better by 20"].promoted <= rows["better by 20"].fixed
    assert found["wrong_low"] <= 0.05 and (found["wrong_low"], found["wrong_high"]) == wilson(found["wrong"], 24)


def test_the_gate_holds_its_rate_where_a_careless_one_does_not():
    """McNemar at 0.05 after each of four looks lets through 7 % of what is no better, this gate less than 3 %."""
    rows = [history(["the same"] * 100, Plan(tasks=60), GateConfig(), seed=seed)["the same"] for seed in range(3)]
    careless, ours = (
        wilson(sum(numbers), 300) for numbers in ([row.careless for row in rows], [row.promoted for row in rows])
    )
    assert ours[1] <= 0.03 < careless[0]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("training reward hacked", "gain"),
        ("better by 20, a category lost", "categories"),
        ("better by 20, forgets elsewhere", "environments"),
        ("better by 20, a poisoned memory", "probes"),
    ],
)
def test_what_must_be_refused_is(name, reason):
    plan = Plan(tasks=180, looks=2, elsewhere=100 if reason == "environments" else 0)
    config = GateConfig(environments=("elsewhere",) if plan.elsewhere else ())
    row = history([name] * 5, plan, config, seed=2)[name]
    assert (row.promoted, row.refused) == (0, 5) and row.reasons[reason] == 5


def test_one_set_for_all_makes_every_test_harder():
    plan = Plan(tasks=60, looks=1, fresh=False)
    rows = history(["the same"] * 12 + ["better by 20"] * 6, plan, GateConfig(), seed=3)
    fresh = history(["better by 20"] * 6, Plan(tasks=60, looks=1), GateConfig(), seed=3)
    assert rows["better by 20"].promoted < fresh["better by 20"].promoted


def test_the_bench_reports_every_history():
    told = []
    found = bench_gate(1, progress=lambda label, done, total: told.append((label, done, total)))
    assert len(found) == 5 and told[-1] == (list(found)[-1], 1, 1)
    row = found["the same, fresh tasks"]["kinds"]["the same"]
    assert row["generations"] == 1 and set(found["mixed, one set"]["kinds"]) <= set(KINDS)
