"""Attempts by a verifier's word: corrections worked by hand, nothing of the environment's, and training by it."""

import json

import pytest
from judgements import attempt, verdict
from lamarck.agent.verifiers.agreement import Case, agreement
from lamarck.agent.verifiers.records import Record, Verdicts
from lamarck.agent.verifiers.verifier import unjudged
from lamarck.config import RunConfig
from lamarck.config_memory import CreditConfig
from lamarck.config_training import TrainConfig
from lamarck.core import Verdict
from lamarck.errors import ConfigError, TrainingError
from lamarck.judged import ABSTAINED, UNSURE, WITHOUT, WORTHLESS, Word, as_ended, as_judged, silent
from lamarck.memory.credit import reward_of
from lamarck.rundir import RunDirectory
from lamarck.training.examples import judged, pairs, successes
from lamarck.training.rewards.named import parts, summed
from lamarck.training.sources import load_sources
from stored import attempt as stored
from stored import store

RULE = {"judge": "rule"}


def ended(success=True, **fields):
    """Return an attempt of two steps of which the world said everything it can."""
    one = attempt("a", "b", success=success, score=0.25, reward=3.0, **fields)
    steps = tuple(step.model_copy(update={"reward": 1.5, "info": {"success": success}}) for step in one.steps)
    return one.model_copy(update={"steps": steps, "task": one.task.model_copy(update={"truth": "42"})})


def test_what_the_world_said_is_replaced_by_the_verdict():
    found = as_judged(ended(verdict=verdict(False, 0.25, **RULE)))
    assert (found.success, found.score, found.reward) == (False, 0.25, 0.25)
    assert [step.reward for step in found.steps] == [0.0, 0.25]
    assert [step.info for step in found.steps] == [{}, {}] and found.task.truth is None
    assert as_judged(found) == found
    assert reward_of(found, CreditConfig()) == CreditConfig().failure


def test_the_noise_is_taken_out_of_the_mean():
    """A verifier that passes 1 of 5 wrong and fails 1 of 10 right attempts: J is 0.7, and of 10 right and 10 wrong
    ones it passes 11, whose corrected rewards have the mean of the truth."""
    word = Word(0.2, 0.1)
    won, lost = word.reward(verdict(True, **RULE)), word.reward(verdict(False, **RULE))
    assert won == pytest.approx(8 / 7) and lost == pytest.approx(-2 / 7)
    assert (11 * won + 9 * lost) / 20 == pytest.approx(0.5)
    assert word.reward(verdict(True, 0.55, **RULE)) == pytest.approx(0.5)


def test_a_word_that_is_next_to_nothing_moves_next_to_nothing():
    """At a J of 1/4 pass and failure are 4 apart, of 1/8 half as far for a quarter of 8, and so on; a coin of which a J
    of 0.01 was measured does not get 100 times the say of a verifier that is always right."""
    for youden, apart in [(0.5, 2.0), (0.25, 4.0), (0.125, 2.0), (0.0625, 1.0), (0.01, 0.16)]:
        word = Word(0.25, 0.75 - youden)
        won, lost = word.reward(verdict(True, **RULE)), word.reward(verdict(False, **RULE))
        assert won - lost == pytest.approx(apart), youden
        assert lost <= 0.5 <= won


def test_a_word_that_weighs_less_is_drawn_to_the_middle():
    assert Word(weight=0.5).reward(verdict(True, **RULE)) == 0.75
    assert Word(weight=0.5).reward(verdict(False, **RULE)) == 0.25


@pytest.mark.parametrize(
    ("fields", "word", "why"),
    [
        ({"verdict": None}, Word(), WITHOUT),
        ({"verdict": verdict()}, Word(), WITHOUT),  # the environment's
        ({"verdict": unjudged("rule", "no idea")}, Word(), ABSTAINED),
        ({"verdict": verdict(), "meta": {"unjudged": {"judge": "rule", "why": "x"}}}, Word(), ABSTAINED),
        ({"verdict": verdict(**RULE)}, Word(weight=0.0), WORTHLESS),
        ({"verdict": verdict(**RULE)}, Word(0.5, 0.5), WORTHLESS),
        ({"verdict": verdict(**RULE, confidence=0.4)}, Word(least=0.5), UNSURE),
        ({"verdict": verdict(**RULE, confidence=0.5)}, Word(least=0.5), None),
    ],
)
def test_a_verdict_that_says_nothing_teaches_nothing(fields, word, why):
    one = ended(**fields)
    assert silent(one, word) == why
    if why is not None:
        found = as_judged(one, word)
        assert (found.success, found.score, found.reward, found.verdict) == (None, None, None, None)
        assert not any(step.reward for step in found.steps)
        assert reward_of(found, CreditConfig()) is None


def test_the_environment_s_word_beside_a_verifier_s():
    """Memory goes by a verdict where there is one; by the outcome it goes once the verifier's word is taken away."""
    one = ended(success=True, verdict=verdict(False, **RULE))
    assert reward_of(one, CreditConfig()) == CreditConfig().failure
    assert reward_of(as_ended(one), CreditConfig()) == 1.0
    assert as_ended(ended(verdict=verdict())) == ended(verdict=verdict())


@pytest.mark.parametrize("wrong", [(0.1, None), (1.2, 0.0), (0.0, 0.0, -1.0), (0.0, 0.0, 1.0, 2.0)])
def test_a_word_of_no_shares_is_refused(wrong):
    with pytest.raises(ConfigError):
        Word(*wrong)


def cases(*rows):
    return [Case(passed, truth, 1.0, float(at)) for at, (passed, truth) in enumerate(rows)]


def test_the_word_by_a_measured_agreement():
    """Of 10 wrong attempts 2 pass, of 10 right ones 1 does not: J is 0.7, which the correction makes up for whole."""
    rows = [(True, False)] * 2 + [(False, False)] * 8 + [(False, True)] + [(True, True)] * 9
    word = Word.of(agreement("rule", cases(*rows)).as_dict())
    assert (word.accepts_wrong, word.rejects_right, word.weight) == (0.2, 0.1, pytest.approx(1.0))
    few = Word.of(agreement("rule", cases(*rows[:5])).as_dict())
    assert (few.accepts_wrong, few.weight) == (None, 1.0)
    assert Word.of(agreement("rule", cases(*[(not truth, truth) for _, truth in rows])).as_dict()).weight == 0.0
    with pytest.raises(ConfigError, match="damaged"):
        Word.of({"judge": "rule"})


def test_who_passes_all_that_is_wrong_teaches_nothing_also_before_anything_was_right():
    word = Word.of(agreement("rule", cases(*[(True, False)] * 20)).as_dict())
    assert silent(ended(verdict=verdict(**RULE)), word) == WORTHLESS
    strict = Word.of(agreement("rule", cases(*[(False, False)] * 20)).as_dict())
    assert strict.reward(verdict(True, **RULE)) == 1.0


def test_a_verifier_that_drifts_weighs_less_than_its_noise():
    """Right 60 times, then wrong every third time of 24: J of late is 1/3, over all 1 - 8/42. What is left beside the
    correction is the one by the other, 7/17."""
    good = [(True, True), (False, False)] * 30
    late = [(True, True), (False, False), (False, True), (True, False), (True, True), (False, False)] * 4
    found = agreement("rule", cases(*good, *late), recent=24)
    assert found.drift is not None and found.drift.worse
    word = Word.of(found.as_dict())
    assert word.weight == pytest.approx(7 / 17)
    assert (word.accepts_wrong, word.rejects_right) == (pytest.approx(4 / 42), pytest.approx(4 / 42))


# Training.

LOST_BUT_PASSED = ("one", "open red", 0.0, True)
WON_BUT_FAILED = ("two", "look left", 1.0, False)


def judged_attempt(ident, answer, won, passed, **fields):
    return stored(ident, answer, won=won, verdict=verdict(passed, judge=fields.pop("judge", "rule")), **fields)


def both():
    return [judged_attempt(*LOST_BUT_PASSED), judged_attempt(*WON_BUT_FAILED)]


def sources(place, kind="grpo", **samples):
    return load_sources(TrainConfig(kind=kind, stores=(place,), samples={"outcome": "verdict", **samples}))


def test_every_kind_goes_by_the_verdict(tmp_path):
    place = store(tmp_path / "s.db", *both())
    assert [one.id for one in sources(place, "sft").trajectories] == ["one"]
    assert len(successes(sources(place, "sft").trajectories)) == 1
    [group] = sources(place).groups()
    [pair] = pairs(group)
    first = group[0].steps[0].token_ids
    assert (pair.chosen_ids[: len(first)], pair.margin) == (first, 1.0)
    assert [one.label for one in judged(group)] == [True, False]
    environment = parts({"environment": 1.0}, {})
    assert [summed(environment, one) for one in group] == [(1.0,), (0.0,)]


def test_the_noise_corrects_what_is_trained_on(tmp_path):
    place = store(tmp_path / "s.db", *both())
    rewards = [one.reward for one in sources(place, agreement=(0.2, 0.1)).trajectories]
    assert rewards == [pytest.approx(8 / 7), pytest.approx(-2 / 7)]
    rows = [(True, False)] * 2 + [(False, False)] * 8 + [(False, True)] + [(True, True)] * 9
    file = tmp_path / "agreement.json"
    file.write_text(json.dumps({"verifiers": [agreement("rule", cases(*rows)).as_dict()]}))
    assert [one.reward for one in sources(place, agreement=str(file)).trajectories] == pytest.approx(rewards)
    other = store(tmp_path / "o.db", judged_attempt(*LOST_BUT_PASSED, judge="code"))
    with pytest.raises(ConfigError, match="knows no verifier code; it knows: rule"):
        sources(other, agreement=str(file))
    with pytest.raises(ConfigError, match="cannot be read"):
        sources(place, agreement=str(tmp_path / "none.json"))
    with pytest.raises(ConfigError, match="no better than chance"):
        sources(place, agreement=(0.6, 0.5))


def test_attempts_whose_verdict_says_nothing_are_left_out_and_counted(tmp_path):
    unsure = stored("unsure", "open red", verdict=verdict(**RULE, confidence=0.2))
    bare = stored("bare", "open red", won=1.0)
    place = store(tmp_path / "s.db", *both(), unsure, bare)
    found = sources(place, least_confidence=0.5)
    assert [one.id for one in found.trajectories] == ["one", "two"]
    assert found.left_out == {UNSURE: 1, WITHOUT: 1}
    with pytest.raises(TrainingError, match=r"1 without a verdict"):
        sources(store(tmp_path / "bare.db", bare))


def run(folder, *attempts, **settings):
    directory = RunDirectory(folder)
    directory.create(RunConfig.load(None, settings), resume=False)
    store(directory.store_path, *(one.model_copy(update={"run_id": directory.run_id}) for one in attempts))
    return str(folder)


def test_a_run_whose_truth_is_withheld(tmp_path):
    unseen = [one.model_copy(update={"success": None, "reward": None}) for one in both()]
    place = run(tmp_path / "run", *unseen, **{"verify.by": "rule", "verify.withhold": True})
    with pytest.raises(ConfigError, match="truth is withheld in") as told:
        load_sources(TrainConfig(kind="sft", stores=(place,)))
    assert place in str(told.value)
    assert told.value.hint == "Train on its verdicts: --set samples.outcome=verdict"
    assert [one.id for one in sources(place, "sft").trajectories] == ["one"]
    assert [one.reward for one in sources(place).trajectories] == [1.0, 0.0]
    by_name = TrainConfig(kind="grpo", stores=(place,), grpo={"rewards": {"verifier": 1.0}})
    assert len(load_sources(by_name).trajectories) == 2


def test_verdicts_that_were_given_afterwards(tmp_path):
    place = run(tmp_path / "run", stored("one", "open red", won=0.0), stored("two", "look left", won=1.0))
    kept = Verdicts(tmp_path / "run")
    kept.add("later", Record(trajectory_id="one", verdict=verdict(True, **RULE)))
    kept.add("later", Record(trajectory_id="two", verdict=unjudged("rule", "no idea")))
    found = sources(place, judge="later")
    assert [(one.id, one.reward) for one in found.trajectories] == [("one", 1.0)]
    assert found.left_out == {ABSTAINED: 1}
    rows = [(True, False)] * 2 + [(False, False)] * 8 + [(False, True)] + [(True, True)] * 9
    file = tmp_path / "agreement.json"
    file.write_text(json.dumps({"verifiers": [agreement("later", cases(*rows)).as_dict()]}))
    assert [one.reward for one in sources(place, judge="later", agreement=str(file)).trajectories] == [
        pytest.approx(8 / 7)
    ]
    with pytest.raises(ConfigError, match=r"samples.judge is other, and there are no verdicts of that name"):
        sources(place, judge="other")


def test_settings_that_say_nothing_are_refused():
    with pytest.raises(ConfigError, match="set outcome = verdict as well"):
        TrainConfig.load(None, {"kind": "sft", "samples.agreement": (0.1, 0.1)})
    assert TrainConfig.load(None, {"kind": "sft", "samples.outcome": "verdict", "samples.agreement": [0.1, 0.1]})
    with pytest.raises(ConfigError, match=r"live\.rounds collects fresh ones"):
        load_sources(TrainConfig(kind="grpo", samples={"outcome": "verdict"}, live={"rounds": 1}))


def test_a_verdict_is_not_the_environment_s_by_default():
    assert Verdict(passed=True, score=1.0).judge == "environment"
