"""Settling: rewards and credit by name, by hand; and nothing that infrastructure ended enters a baseline."""

import math
import random
import sys
from types import NoneType
from typing import get_args

import pytest
import tiny_model
from lamarck.config_training import TrainConfig
from lamarck.core import Verdict
from lamarck.errors import ConfigError, TrainingError
from lamarck.training.credit.batch import ReinforcePlusPlus
from lamarck.training.credit.contributions import contributions
from lamarck.training.credit.gigpo import GiGPO
from lamarck.training.credit.hierarchical import Hierarchical
from lamarck.training.credit.named import ALIASES, compares, credit_named
from lamarck.training.credit.table import estimators
from lamarck.training.headers import ALIKE, NOTHING
from lamarck.training.rewarded import rewards_of
from lamarck.training.rewards.named import REWARDS, parts, summed
from lamarck.training.settle import settle
from lamarck.training.sources import Sources
from pydantic import BaseModel
from stored import CRASH, attempt, change

WON = attempt("won", "open red", "look left", task="a")
LOST = attempt("lost", "open blue", "look right", task="a", won=0.0)
MORE, LESS = attempt("more", "key", task="b", won=3.0), attempt("less", "door", task="b", won=1.0)
SAME = tuple(attempt(f"same{n}", "open red", task="c") for n in range(2))


def settled(*attempts, rows="episode", replay=None, **grpo):
    config = TrainConfig(kind="grpo", samples={"rows": rows}, grpo=grpo, replay=replay or {})
    return settle(config, Sources(attempts), tiny_model.tokenizer())


def advantages(found):
    """Return attempt -> advantages of the tokens of its rows."""
    out = {}
    for row, values in found.rows:
        out.setdefault(row.trajectory_id, []).append(values)
    return out


def test_two_groups_by_hand():
    # gamma 1/2. Group a: R = 1, 0, so A_E = +-1/2; G = (1/2, 1) and (0, 0); both were in the same two states, so
    # A_S = +-1/4 and +-1/2. Group b: R = 3, 1, A_E = +-1; one shared state, A_S = +-1. All of group c got the same.
    found = settled(WON, LOST, MORE, LESS, *SAME, credit="gigpo", credit_options={"gamma": 0.5})
    # Two words and the end of the answer, one word that was read, then the second answer.
    assert advantages(found) == {
        "won": [(0.75, 0.75, 0.75, 0.0, 1.0, 1.0, 1.0)],
        "lost": [(-0.75, -0.75, -0.75, 0.0, -1.0, -1.0, -1.0)],
        "more": [(2.0, 2.0)],
        "less": [(-2.0, -2.0)],
    }
    figures = found.groups
    assert (figures.groups, figures.used, figures.same, figures.alone, figures.attempts) == (3, 2, 1, 0, 4)
    assert figures.reward_mean == pytest.approx(7 / 6)
    assert found.left_out == {"in groups that all got the same": 2}
    by_step = settled(WON, LOST, rows="step", credit="gigpo", credit_options={"gamma": 0.5})
    assert advantages(by_step)["won"] == [(0.75,) * 3, (1.0,) * 3]


def test_rewards_by_name_are_weighed_given_to_steps_and_bounded():
    clumsy = change(change(LOST, 0, validity="unparseable"), 1, reward=0.5)
    clumsy = clumsy.model_copy(update={"success": True, "verdict": Verdict(passed=True, score=0.8)})
    weights = {"environment": 2.0, "invalid_actions": 0.5, "outcome": 1.0, "verifier": 0.25}
    known = parts(weights, {"invalid_actions": {"penalty": 0.2}, "outcome": {"won": 10.0}})
    # Step 0: -0.5 * 0.2. Step 1: 2 * 0.5 + 10 + 0.25 * 0.8.
    assert summed(known, clumsy) == pytest.approx((-0.1, 11.2))
    # The sum of 11.1 is 1 at most: the last step pays.
    assert summed(known, clumsy, (-1.0, 1.0)) == pytest.approx((-0.1, 1.1))
    assert summed(parts({"verifier": 1.0}, {}), LOST) is None


def test_step_rewards_add_up_to_those_of_the_episode():
    answers = "<think>a</think><action>b</action>", "no form"
    one = change(change(WON, 0, completion=answers[0], validity="not_admissible"), 1, completion=answers[1])
    assert summed(parts({"format": 1.0}, {}), one) == (0.5, 0.0)
    assert summed(parts({"invalid_actions": 1.0}, {}), one) == (-0.1, 0.0)
    judged = one.model_copy(update={"verdict": Verdict(passed=False, score=0.0, step_scores=(0.75, 0.5))})
    assert summed(parts({"process": 1.0}, {}), judged) == (0.75, 0.0)
    assert summed(parts({"process": 1.0}, {"process": {"shape": "clip"}}), judged) == (0.0, 0.0)
    assert summed(parts({"process": 1.0}, {"process": {"shape": "none"}}), judged) == (0.75, 0.5)
    backward = parts({"verifier_backward": 1.0}, {"verifier_backward": {"accepts_wrong": 0.2, "rejects_right": 0.3}})
    assert summed(backward, judged) == pytest.approx((0.0, -0.4))


def test_the_cost_of_a_repair_by_hand():
    # The verdict that sent the solver back had confidence 0.9: 0.05 sigmoid(5 (0.7 - 0.9)) = 0.05 / (1 + e) = 0.01345.
    cost = 0.05 / (1 + math.e)
    repaired = WON.model_copy(update={"parent": LOST.id, "fork_at": 1, "meta": {"repair_cost": cost}})
    known = parts({"environment": 1.0, "repair_cost": 2.0}, {})
    assert summed(known, repaired) == pytest.approx((0.0, 1.0 - 2 * 0.0134471), abs=1e-7)
    # Begun anew, its first step is the first that was decided anew; one fork there and no more bears it where it ends.
    assert summed(known, repaired.model_copy(update={"fork_at": None})) == pytest.approx((-2 * cost, 1.0))
    assert summed(known, repaired.model_copy(update={"fork_at": 2})) == pytest.approx((0.0, 1.0 - 2 * cost))
    # It is not there where nobody asks for it, nor for who was not repaired or whose repair cost nothing that is known.
    assert summed(parts({"environment": 1.0}, {}), repaired) == (0.0, 1.0)
    alone = parts({"repair_cost": 1.0}, {})
    assert summed(alone, repaired.model_copy(update={"parent": None})) is None
    assert summed(alone, repaired.model_copy(update={"meta": {}})) is None
    assert summed(known, WON) == (0.0, 1.0)


def test_of_two_siblings_that_are_as_good_the_one_without_a_repair_is_better():
    # R = 1 and 1 - 0.02 in one group, so the advantages are +- 0.01; without the cost there is nothing to learn.
    repaired = attempt("repaired", "open blue", "look right", task="a")
    repaired = repaired.model_copy(update={"parent": LOST.id, "meta": {"repair_cost": 0.02}})
    costly = settled(WON, repaired, credit="dr_grpo", rewards={"environment": 1.0, "repair_cost": 1.0})
    assert costly.returns == {"won": 1.0, "repaired": 0.98}
    values = {name: {round(one, 9) for one in rows[0]} - {0.0} for name, rows in advantages(costly).items()}
    assert values == {"won": {0.01}, "repaired": {-0.01}}
    with pytest.raises(TrainingError, match="all got the same"):
        settled(WON, repaired, credit="dr_grpo")


def test_what_is_all_the_same_is_told_from_what_cannot_be_trained_on():
    crashed = SAME[0].model_copy(update={"id": "crashed", "failure": CRASH})
    unweighed = [change(change(one, 0, logprobs=()), 1, logprobs=()) for one in (WON, LOST)]
    cases = [
        (ALIKE, SAME, {}),
        (ALIKE, SAME, {"pick_groups": False, "credit": "grpo"}),
        (NOTHING, (*SAME, crashed), {}),
        (NOTHING, unweighed, {}),
        (NOTHING, (WON, LOST), {"credit": "attribution"}),
    ]
    for kind, attempts, grpo in cases:
        with pytest.raises(TrainingError) as caught:
            settled(*attempts, **grpo)
        assert caught.value.kind == kind, (kind, grpo, caught.value.message)


OPTIONS = {
    "length": {"most": 8, "buffer": 4},
    "par": {"references": [0.0, 1.0]},
    "verifier_backward": {"accepts_wrong": 0.1, "rejects_right": 0.1},
    "verifier_forward": {"rejects_right": 0.1},
}


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_there_is(name):
    verdict, known = Verdict(passed=True, score=1.0, step_scores=(0.5, 1.0)), {"progress": [0.25, 0.75]}
    told = WON.model_copy(update={"verdict": verdict, "meta": {**known, "repair_cost": 0.01}, "parent": LOST.id})
    told = told.model_copy(update={"task": told.task.model_copy(update={"truth": [{"name": "go", "arguments": {}}]})})
    [part] = parts({name: 1.0}, {name: OPTIONS[name]} if name in OPTIONS else {})
    found = summed([part], told)
    assert found is not None and len(found) == 2
    assert part.of_steps == (name in ("environment", "invalid_actions", "format", "process", "progress", "repair_cost"))
    assert part.of_steps or found[0] == 0.0


def test_every_estimator_there_is():
    for credit in estimators():
        assert credit_named(credit.name) == credit
    assert credit_named("reinforce++", {"gamma": 0.5}) == ReinforcePlusPlus(gamma=0.5)
    assert credit_named("hae") == Hierarchical()
    assert credit_named("gigpo_std", {"weight": 2}) == GiGPO(norm="mean_std", name="gigpo_std", weight=2.0)
    told = [named for named in (*(one.name for one in estimators()), *ALIASES) if not compares(credit_named(named))]
    assert told == ["step_return", "reinforce_pp", "progress", "reinforce++"]
    assert compares(credit_named("reinforce++", {"baseline": True}))


def test_rewards_and_estimators_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my_credit.py").write_text(
        "def words(prompts, completions, **columns):\n"
        "    return [float(sum(len(m['content'].split()) for m in said)) for said in completions]\n"
        "class Double:\n"
        "    name = 'double'\n"
        "    def __init__(self, by=2.0):\n"
        "        self.by = by\n"
        "    def advantages(self, groups):\n"
        "        return [[tuple(self.by * r for r in e.rewards) for e in g] for g in groups]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = settled(WON, credit="my_credit:Double", credit_options={"by": 3}, rewards={"my_credit:words": 1.0})
    assert advantages(found) == {"won": [(0.0, 0.0, 0.0, 0.0, 12.0, 12.0, 12.0)]}
    with pytest.raises(ConfigError, match="my_credit has no Triple"):
        settled(WON, credit="my_credit:Triple")
    with pytest.raises(ConfigError, match="cannot import nowhere_at_all"):
        settled(WON, rewards={"nowhere_at_all:x": 1.0})
    with pytest.raises(ConfigError, match=r"does not take these options: .*'to'"):
        settled(WON, credit="my_credit:Double", credit_options={"to": 1})


OWN = """
class Nameless:
    def advantages(self, groups): return [[e.rewards for e in g] for g in groups]
class Choosy(Nameless):
    name = "choosy"
    def __init__(self): raise ValueError("not today")
class Short:
    name = "short"
    def advantages(self, groups): return [[e.rewards[:1] for e in g] for g in groups]
class Broken:
    name = "broken"
    def advantages(self, groups): raise KeyError("x")
def two(prompts, completions, **columns): return [1.0, 2.0]
def strict(prompts, completions): return [1.0]
def words(prompts, completions, **columns): return ["a"]
async def later(prompts, completions, **columns): return [1.0]
number = 3
"""


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"credit": "own_faults:Nameless"}, "Nameless has no name"),
        ({"credit": "own_faults:Choosy"}, "grpo.credit own_faults:Choosy cannot be made: not today"),
        ({"credit": "own_faults:Short"}, "of 1 groups with 2 episodes and 2 steps, and there are .* 4 steps"),
        ({"credit": "own_faults:Broken"}, "grpo.credit own_faults:Broken failed: 'x'"),
        ({"rewards": {"own_faults:two": 1.0}}, r"own_faults:two returns \[1.0, 2.0\] for 1 attempt"),
        ({"rewards": {"own_faults:strict": 1.0}}, "strict failed at trajectory won: .*unexpected keyword"),
        ({"rewards": {"own_faults:words": 1.0}}, r"returns \['a'\] for 1 attempt"),
        ({"rewards": {"own_faults:later": 1.0}}, "later is no plain function"),
        ({"rewards": {"own_faults:number": 1.0}}, "number is no plain function"),
    ],
)
def test_faults_of_ones_own_code_are_one_line(tmp_path, monkeypatch, settings, told):
    (tmp_path / "own_faults.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_faults", raising=False)
    with pytest.raises((ConfigError, TrainingError), match=told):
        settled(WON, LOST, **settings)


def test_what_attempts_get_by_the_rewards_that_count():
    judged = WON.model_copy(update={"verdict": Verdict(passed=True, score=0.1 + 0.2)})
    lost = LOST.model_copy(update={"failure": CRASH, "reward": None, "success": None})
    config = TrainConfig(kind="grpo", grpo={"rewards": {"verifier": 1.0}})
    assert rewards_of(config, [judged, LOST, lost]) == {"won": 0.3}


def test_a_file_can_say_every_setting():
    """TOML has no word for nothing: a setting that may be None has to be None where it is not set."""

    def settings(model):
        for name, field in model.model_fields.items():
            yield name, field
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from settings(field.annotation)

    optional = {name: field.default for name, field in settings(TrainConfig) if NoneType in get_args(field.annotation)}
    assert {"learning_rate", "staleness", "start"} <= set(optional) and set(optional.values()) == {None}


def test_nothing_that_infrastructure_ended_enters_a_baseline():
    draw = random.Random(7)
    names = ("grpo", "dr_grpo", "rloo", "gigpo", "gigpo_std", "reinforce++", "hae", "step_return")
    for number in range(60):
        attempts = [
            attempt(
                f"{number}/{n}",
                *draw.choices(("open red", "look left", "key"), k=draw.randrange(1, 4)),
                task=draw.choice("ab"),
                won=draw.choice((0.0, 1.0)),
            )
            for n in range(8)
        ]
        lost = [
            one.model_copy(update={"id": f"{one.id}/lost", "failure": CRASH, "reward": None, "success": None})
            for one in attempts
            if draw.random() < 0.5
        ]
        together = draw.sample([*attempts, *lost], len(attempts) + len(lost))
        order = [one for one in together if one.failure is None]
        options = {"credit": draw.choice(names), "pick_groups": draw.random() < 0.5}
        try:
            clean = settled(*order, **options)
        except TrainingError as error:
            with pytest.raises(TrainingError) as caught:
                settled(*together, **options)
            assert str(caught.value) == str(error)
            continue
        mixed = settled(*together, **options)
        assert advantages(mixed) == advantages(clean) and mixed.groups == clean.groups
        assert mixed.left_out.get("ended by infrastructure", 0) == len(lost)
        assert not any("lost" in row.trajectory_id for row, _ in mixed.rows)


def test_groups_are_picked_by_the_rewards_that_count():
    # To the environment both are the same, to the judge they are not.
    judged = [
        one.model_copy(update={"verdict": Verdict(passed=True, score=score)})
        for one, score in zip(SAME, (0.25, 0.75), strict=True)
    ]
    found = settled(*judged, credit="dr_grpo", rewards={"verifier": 1.0})
    assert advantages(found) == {"same0": [(-0.25,) * 3], "same1": [(0.25,) * 3]}
    assert found.groups.same == 0


def test_groups_are_kept_on_demand():
    found = settled(WON, LOST, *SAME, credit="dr_grpo", pick_groups=False)
    assert advantages(found)["same0"] == [(0.0,) * 3] and found.left_out == {}
    assert (found.groups.used, found.groups.same) == (2, 1)


def test_one_alone_is_left_out_and_counted():
    found = settled(WON, LOST, MORE, credit="rloo")
    assert set(advantages(found)) == {"won", "lost"}
    assert found.left_out == {"without a sibling": 1} and found.groups.alone == 1
    # An estimator over the batch takes it.
    assert set(advantages(settled(WON, LOST, MORE, credit="step_return"))) == {"won", "lost", "more"}


def test_resampling_on_correct():
    group = [attempt(f"w{n}", "open red", task="a") for n in range(4)]
    group += [attempt(f"l{n}", "open blue", task="a", won=0.0) for n in range(4)]
    found = settled(*group, replay={"resample": 4}, credit="dr_grpo")
    kept = sorted(advantages(found))
    assert [one[0] for one in kept] == ["l", "l", "w", "w"]
    assert found.left_out == {"resampled away": 4}
    assert settled(*group, replay={"resample": 4}, credit="dr_grpo").rows == found.rows
    lost = group[0].model_copy(update={"id": "lost", "failure": CRASH, "reward": None, "success": None})
    mixed = settled(*group, lost, replay={"resample": 4}, credit="dr_grpo")
    assert mixed.rows == found.rows and mixed.left_out == {"ended by infrastructure": 1, "resampled away": 4}


def test_progress_comes_from_an_estimator_or_the_environment():
    stored = WON.model_copy(update={"meta": {"progress": [0.25, 0.75]}})
    assert contributions(stored) == (0.25, 0.75)
    reported = change(change(WON, 0, info={"score": 0.4}), 1, info={"score": 1.0})
    assert contributions(reported) == (0.4, 0.6)
    assert contributions(change(WON, 0, info={"score": 0.4})) == ()
    assert contributions(WON.model_copy(update={"meta": {"progress": [1.0]}})) == ()
    assert contributions(WON.model_copy(update={"meta": {"progress": [1.0, float("nan")]}})) == ()
    found = settled(stored, LOST, credit="progress", credit_options={"grounding": 0.0})
    # Returns of the contributions are 1 and 0.75: mean 0.875, deviation with n - 1 is 0.125 * sqrt(2).
    [values] = advantages(found)["won"]
    assert values == pytest.approx((*[0.5**0.5] * 3, 0.0, *[-(0.5**0.5)] * 3), abs=1e-6)
    assert found.left_out == {"without the progress of each step": 1}


def test_attribution_by_the_labels_of_a_judge():
    def judged(one, *scores):
        return one.model_copy(update={"verdict": Verdict(passed=True, score=1.0, step_scores=scores)})

    found = settled(judged(WON, 1.0, -1.0), judged(LOST, -1.0, -1.0), WON, credit="attribution")
    assert set(advantages(found)) == {"won", "lost"}
    assert found.left_out == {"without a label of each step": 1}


def test_steps_that_are_not_numbered_from_zero():
    late = WON.model_copy(update={"steps": tuple(s.model_copy(update={"index": s.index + 3}) for s in WON.steps)})
    found = settled(late, LOST, credit="gigpo", credit_options={"gamma": 0.5})
    assert advantages(found)["won"] == [(0.75, 0.75, 0.75, 0.0, 1.0, 1.0, 1.0)]
