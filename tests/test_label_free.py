"""Evolutions in which no label is read: a tiny model gets better by verdicts, and a degenerate reward rings.

What is held out is looked at by the gate alone, and by the audit of the verifier, which nothing learns from.
"""

import pytest
from label_free import compared, evolved, sums_settings, sums_world
from label_free_code import code_settings, code_world
from lamarck.agent.evolution.generation import Generation
from lamarck.agent.proposers.proposer import Materials
from lamarck.cli.evolving.alarms import rung as rung_of
from lamarck.cli.evolving.playing import attempts
from lamarck.config_gate import CollapseConfig
from lamarck.errors import ConfigError
from lamarck.evals.figures.paired import mcnemar
from lamarck.evals.proposed.sums import Draft, SumMaker, sum_task, sums
from lamarck.releases import Releases
from lamarck.rundir import RunDirectory

pytestmark = pytest.mark.filterwarnings("ignore")
SMALL = {
    "generations": 1,
    "propose.tasks": 56,
    "run.collect.samples": 2,
    "held_out.limit": 40,
    "held_out.chunk": 40,
    "train.optimizer.max_steps": 60,
}
FULL = {"generations": 3, "propose.tasks": 64, "held_out.limit": 100, "held_out.chunk": 100}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Sums up to 9, and a model that is right now and then."""
    return sums_world(tmp_path_factory.mktemp("sums"), held=40, steps=300, largest=9)


def rung(records):
    """Return the names of the alarms that rang, generation by generation."""
    return [{alarm["name"] for alarm in one.figures["settle"]["alarms"]} for one in records]


def test_a_tiny_model_gets_better_without_a_label(small):
    """Every label of what it plays is nonsense here, and the gain is the same: nobody reads one."""
    wrong = {"propose.by": "label_free:mislabelled"}
    record = evolved(small, sums_settings(small, 9) | SMALL | wrong)[0]
    assert '"truth":"999"' in (small / "home/generations/001/tasks.jsonl").read_text()
    gate = record.figures["gate"]
    assert gate["candidate"]["solved"] >= gate["incumbent"]["solved"] + 6, gate
    assert rung([record]) == [set()]
    assert "solved" not in record.figures["collect"] and record.figures["collect"]["accepted"] > 15
    played = attempts(RunDirectory(small / "home" / "generations" / "001" / "collect"))
    assert len(played) == 112
    assert all(one.task.truth is None and one.success is None and not one.reward for one in played)


def test_a_degenerate_reward_is_rung_for_and_not_promoted(small):
    settings = sums_settings(small, 9) | SMALL | {"propose.tasks": 30, "run.verify.by": "label_free:Flatterer"}
    record = evolved(small, settings, "flattered")[0]
    audit = record.figures["gate"]["audit"]
    assert audit["candidate"]["score"] > audit["incumbent"]["score"]
    assert audit["candidate"]["solved"] < audit["incumbent"]["solved"]
    assert "verifier" in rung([record])[0], record.figures
    assert record.decision != "promote"
    with Releases.open(small / "flattered") as releases:
        assert releases.head().id == record.parent


@pytest.mark.full
def test_whatever_the_labels_say_the_weights_are_the_same(small):
    short = {"gated": False, "propose.tasks": 8, "learn.least": 1, "train.optimizer.max_steps": 6}
    settings = sums_settings(small, 9) | SMALL | short
    right = evolved(small, settings, "right")[0]
    wrong = evolved(small, settings | {"propose.by": "label_free:mislabelled"}, "wrong")[0]
    read = [(small / home / "generations/001/tasks.jsonl").read_text() for home in ("right", "wrong")]
    assert '"truth":"999"' in read[1] and '"truth":"999"' not in read[0]
    assert right.figures["train"]["adapter"] == wrong.figures["train"]["adapter"]
    assert right.figures["collect"] == wrong.figures["collect"]


@pytest.mark.full
@pytest.mark.parametrize(
    ("world", "settings", "generations"), [(sums_world, sums_settings, 3), (code_world, code_settings, 2)]
)
def test_label_free_in_full(tmp_path, world, settings, generations):
    """Weighed over three seeds together: what one model gains in 100 games hangs on how its processor rounds."""
    pairs = []
    for seed in range(3):
        (tmp_path / str(seed)).mkdir()
        folder = world(tmp_path / str(seed), seed)
        records = evolved(folder, settings(folder) | FULL | {"generations": generations})
        pairs.append(compared(folder / "home", records[0].head, records[-1].candidate))
        print(seed, [one.decision for one in records], pairs[-1])
        assert rung(records) == [set()] * generations
    assert all(pair.difference.value > 0 for pair in pairs)
    lost, won = sum(pair.losses for pair in pairs), sum(pair.wins for pair in pairs)
    assert won > lost and mcnemar(lost, won).exact < 0.01


@pytest.mark.full
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_degenerate_in_full(tmp_path, seed):
    folder = sums_world(tmp_path, seed)
    more = {"generations": 1, "run.verify.by": "label_free:Flatterer"}
    records = evolved(folder, sums_settings(folder) | FULL | more)
    print(seed, [one.figures["gate"] for one in records])
    assert all({"verifier", "reward against success"} <= names for names in rung(records))
    assert not any(one.decision == "promote" for one in records)


@pytest.mark.full
def test_without_a_gate_what_is_paid_for_is_all_that_is_left(tmp_path):
    folder = sums_world(tmp_path)
    more = {"run.verify.by": "label_free:Zero", "gated": False, "grow": "latest", "learn.least": 4}
    records = evolved(folder, sums_settings(folder) | FULL | more)
    rewards = [one.figures["collect"]["reward"] for one in records]
    assert rewards[0] < 0.3 < 0.9 < rewards[-1]
    assert not rung(records)[0] and "one answer" in rung(records)[-1]


# --- the alarm by hand ---------------------------------------------------------------------------------------------


def audited(before, after):
    """Return a record in which verifier and truth say this of 100 games: solved, accepted, both."""
    sides = {
        name: {"games": 100, "solved": solved, "accepted": said, "accepted_right": both, "score": said / 100}
        for name, (solved, said, both) in {"incumbent": before, "candidate": after}.items()
    }
    return Generation(number=1, parent="p", head="h", figures={"gate": {"audit": sides}})


@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ((40, 40, 40), (80, 80, 80), set()),
        ((80, 80, 80), (40, 40, 40), set()),  # worse, and the verifier says so: for the gate, not for the alarm
        ((40, 50, 30), (38, 60, 30), set()),  # so small a fall is chance
        ((80, 80, 70), (40, 90, 40), {"reward against success"}),
        # J = 15 / 54 - 115 / 146 < 0
        ((40, 35, 10), (14, 95, 5), {"reward against success", "verifier"}),
        ((0, 0, 0), (0, 0, 0), set()),
    ],
)
def test_the_alarm_of_a_reward_that_parts_from_the_truth(before, after, names):
    assert {alarm.name for alarm in rung_of([audited(before, after)], CollapseConfig())} == names


def test_nothing_was_audited_nothing_rings():
    nothing = {"games": 0, "solved": 0, "accepted": 0, "accepted_right": 0, "score": None}
    record = Generation(number=1, parent="p", head="h", figures={"gate": {"audit": {"incumbent": nothing}}})
    assert rung_of([record], CollapseConfig()) == []


# --- sums by description ------------------------------------------------------------------------------------------


async def test_only_sums_that_hold_are_proposed():
    held = (sum_task("3 + 4", "7", "plus", "test"),)
    made = await sums(Materials(held_out=held, near=1.0), largest=9).propose(40, {})
    assert len(made.tasks) == 40 and {task.category for task in made.tasks} == {"plus", "minus"}
    for task in made.tasks:
        expression = task.goal.removeprefix("What is ").removesuffix("?")
        assert eval(expression) == int(task.truth) and 0 <= int(task.truth) <= 9 and expression != "3 + 4"
    assert {one.reason for one in made.refused} <= {"held_out", "duplicate", "too_long"}


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("3 + 4", None), ("3 +", "format"), ("3 - 4", "fields"), ("1 + 2 + 3", "fields"), ("30 + 4", "fields"),
        ("8 + 8", "too_long"), ("3.5 + 1", "fields"), ("a + b", "fields"), ("(1 + 2)", None), ("1 + -2", "fields"),
    ],
)  # fmt: skip
def test_what_is_no_sum_is_refused(expression, reason):
    attempt = SumMaker(largest=9).checked("plus", Draft(expression=expression))
    assert (attempt.refusal.reason if attempt.refusal else None) == reason


def test_sums_that_there_are_not():
    with pytest.raises(ConfigError, match="sums has kinds plus, minus, times"):
        SumMaker(kinds=("power",))
