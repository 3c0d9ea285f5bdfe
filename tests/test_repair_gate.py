"""When a verdict sends the solver back, from where, and that nothing of it is lost."""

import math
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from gated import ACTED, JUDGED, Overseer, play, walker
from judgements import Says, attempt, verdict
from lamarck.agent.verifiers.first_error import beginning, bisect_error, first_error
from lamarck.agent.verifiers.locating import LocatingVerifier
from lamarck.agent.verifiers.repairing import gate, repair_cost, wants_repair
from lamarck.agent.verifiers.table import Parts, load_verifier
from lamarck.agent.verifiers.verifier import unjudged
from lamarck.config_verify import GateSettings
from lamarck.core import Usage
from lamarck.errors import ConfigError, ModelError
from worlds import Corridor, Walks

HERE = Path(__file__).parent


def made(path, name):
    (path / name).mkdir()
    return path / name


def test_the_soft_gate_by_hand():
    settings = GateSettings()
    # sigmoid(5 * (0.7 - c)), times 0.05.
    assert gate(0.7, settings) == 0.5
    assert gate(0.5, settings) == pytest.approx(1 / (1 + math.exp(-1)))
    assert repair_cost(verdict(confidence=1.0), settings) == pytest.approx(0.05 / (1 + math.exp(1.5)))


@pytest.mark.parametrize(
    ("score", "confidence", "rule", "wanted"),
    [
        (0.2, 0.9, "doubted", True),
        (0.2, 0.6, "doubted", False),
        (0.5, 0.9, "doubted", False),
        (0.2, 0.9, "unsure", False),
        (0.9, 0.6, "unsure", True),
        (0.2, 0.0, "unsure", False),
        (0.2, 0.1, "product", True),
        (0.5, 0.9, "product", False),
    ],
)
def test_which_verdicts_send_back(score, confidence, rule, wanted):
    said = verdict(False, score=score, confidence=confidence)
    assert wants_repair(said, GateSettings(rule=rule)) is wanted


def test_the_less_a_word_is_worth_the_less_often_it_sends_back():
    for rule in ("doubted", "unsure"):
        sent = [
            sum(
                wants_repair(verdict(False, score=score, confidence=confidence), GateSettings(rule=rule, weight=weight))
                for score in (0.1, 0.5, 0.9)
                for confidence in (0.3, 0.6, 0.8, 0.95)
            )
            for weight in (0.0, 0.1, 0.5, 1.0)
        ]
        assert sent == sorted(sent) and sent[-1] > 0, (rule, sent)


def test_who_could_not_judge_sends_nobody_back():
    for rule in ("doubted", "unsure", "product"):
        assert not wants_repair(unjudged("judge", "no JSON"), GateSettings(rule=rule, confidence=0.0))


async def test_going_on_from_before_the_first_error(tmp_path):
    events = []
    result, (first, second) = await play(tmp_path, walker((2, 3)), Walks(n=1, length=4), events=events)
    assert [step.action for step in first.steps] == ["right", "right", "left", "left", "right", "right"]
    assert [step.action for step in second.steps] == ["right"] * 4
    assert (second.parent, second.fork_at, second.attempt, second.success) == (first.id, 2, 1, True)
    assert (first.fork_at, first.group_id, first.sample) == (None, second.group_id, second.sample)
    # The steps before it are the first attempt's own; what they took is counted once.
    for one, other in zip(first.steps[:2], second.steps[:2], strict=True):
        assert other == one.model_copy(update={"usage": Usage()})
    assert second.usage == ACTED + ACTED + JUDGED and first.usage.calls == 6 + 1
    assert first.meta == {"judging": JUDGED.model_dump()}
    # 0.05 sigmoid(5 (0.7 - 0.9)), by how sure the verifier was of the first; only the second bears it.
    assert second.meta == {"judging": JUDGED.model_dump(), "repair_cost": pytest.approx(0.05 / (1 + math.e))}
    # Only what is decided anew is decided with the critique in the prompt.
    assert ["Never go left" in step.messages[1].content for step in second.steps] == [False, False, True, True]
    assert "The first step at fault was: left" in second.steps[2].messages[1].content
    assert [(e.kind, e.trajectory.attempt) for e in events if e.trajectory] == [("repaired", 0), ("finished", 1)]
    assert result.finished == 1


async def test_a_repair_that_is_due_is_played_though_there_is_enough(tmp_path):
    """As after a kill between an attempt and the one that repairs it."""
    _, [first] = await play(tmp_path, walker((2, 3)), Walks(n=1, length=4), trials=0)
    result, (_, second) = await play(tmp_path, walker((2, 3)), Walks(n=2, length=4), enough=True)
    assert (second.parent, second.attempt, second.success) == (first.id, 1, True)
    assert (result.finished, result.unbegun) == (1, 1)


class Plain:
    """A corridor without snapshots."""

    concurrency = "inline"

    def __init__(self, length=4):
        self._inner = Corridor(length)
        self.moves = 0

    def reset(self, *, seed=None, task=None):
        return self._inner.reset()

    def step(self, action):
        self.moves += 1
        return self._inner.step(action)


class Counted(Plain):
    """One with snapshots, that counts the steps it carries out."""

    total = 0

    def step(self, action):
        Counted.total += 1
        return self._inner.step(action)

    def snapshot(self):
        return self._inner.snapshot()

    def restore(self, state):
        self._inner.restore(state)


async def test_without_snapshots_it_starts_again(tmp_path):
    _, (first, second) = await play(tmp_path, walker((2, 3)), Walks(Plain, n=1, length=4))
    assert (second.parent, second.fork_at, len(second.steps), second.success) == (first.id, None, 4, True)
    assert all("Never go left" in step.messages[1].content for step in second.steps)
    assert second.usage.calls == 4 + 1


async def test_with_snapshots_no_step_is_carried_out_twice(tmp_path):
    Counted.total = 0
    _, (_, second) = await play(tmp_path, walker((2, 3)), Walks(Counted, n=1, length=4))
    assert second.fork_at == 2 and second.success and Counted.total == 6 + 2


async def test_forking_can_be_switched_off(tmp_path):
    gate = GateSettings(fork=False)
    _, (_, second) = await play(tmp_path, walker((2, 3)), Walks(n=1, length=4), gate=gate)
    assert second.fork_at is None and second.success


async def test_an_error_in_the_first_step_starts_again(tmp_path):
    _, (_, second) = await play(tmp_path, walker((0,)), Walks(n=1, length=4), max_steps=6)
    assert second.fork_at is None and second.success and len(second.steps) == 4


async def test_at_most_so_many_attempts_and_only_where_it_is_sure(tmp_path):
    # Nothing is ever good enough for this one: it goes on until there are no more trials.
    never = Says(verdict(False, critique="No.", judge="never"))
    _, found = await play(made(tmp_path, "a"), walker(()), Walks(n=1), verifier=never, trials=3)
    assert [one.attempt for one in found] == [0, 1, 2] and all(one.success for one in found)
    # It is sure each time: 0.05 sigmoid(5 (0.7 - 1)) for each repair that led to an attempt.
    each = 0.05 / (1 + math.exp(1.5))
    assert [one.meta.get("repair_cost") for one in found] == [None, pytest.approx(each), pytest.approx(2 * each)]
    _, found = await play(made(tmp_path, "b"), walker((1,)), Walks(n=1), verifier=Overseer(confidence=0.5))
    assert len(found) == 1 and found[0].verdict.passed is False


async def test_who_cannot_judge_leaves_no_verdict_of_its_own(tmp_path):
    mute = Says(unjudged("mute", "nothing to go by"))
    _, [only] = await play(tmp_path, walker((1,)), Walks(n=1), verifier=mute)
    assert only.meta["unjudged"] == {"judge": "mute", "why": "could not judge: nothing to go by"}
    # The environment's word stands, as without a verifier.
    assert only.verdict.judge == "environment"


async def test_the_verifier_sees_no_outcome(tmp_path):
    overseer = Overseer()
    _, found = await play(tmp_path, walker((1,)), Walks(n=1), verifier=overseer)
    assert len(overseer.shown) == 2 and all(one.success is not None for one in found)
    for one in overseer.shown:
        assert (one.success, one.score, one.reward, one.verdict) == (None,) * 4
        assert not any(step.info or step.reward for step in one.steps)


async def test_a_verifier_that_is_down_leaves_the_attempt_as_it_was(tmp_path):
    down = Says(lambda trajectory: (_ for _ in ()).throw(ModelError("no answer", kind="server")))
    result, found = await play(tmp_path, walker((1,)), Walks(n=1), verifier=down)
    assert result.failed == 1 and found == []
    llm = walker((1,))
    _, (first, second) = await play(tmp_path, llm, Walks(n=1))
    assert second.success and first.failure is None and second.fork_at == 1
    # The steps of the first attempt were not decided again.
    assert len(llm.calls) == len(second.steps) - 1


def one_like(found):
    return [
        (t.attempt, t.fork_at, t.parent, t.success, t.usage, t.meta, [(s.action, s.messages, s.usage) for s in t.steps])
        for t in found
    ]


@pytest.mark.parametrize("where", ["copying", "2", "3"])
async def test_killed_in_the_middle_of_a_repair_it_ends_as_if_it_had_not_been(tmp_path, where):
    (tmp_path / "killed").mkdir()
    (tmp_path / "whole").mkdir()
    command = [sys.executable, str(HERE / "gated.py"), str(tmp_path / "killed"), where]
    assert subprocess.run(command, cwd=HERE, timeout=120).returncode == -signal.SIGKILL
    _, whole = await play(tmp_path / "whole", walker((2, 3)), Walks(n=1, length=4))
    llm = walker((2, 3))
    _, found = await play(tmp_path / "killed", llm, Walks(n=1, length=4))
    assert one_like(found) == one_like(whole) and found[1].fork_at == 2
    assert len(llm.calls) == {"copying": 2, "2": 2, "3": 1}[where]


def test_the_first_error():
    assert first_error(verdict(step_scores=(1.0, 0.0, -0.2, -1.0))) == 2
    assert first_error(verdict(step_scores=(1.0, 0.0)), 0.5) == 1
    assert first_error(verdict(step_scores=(1.0, 0.0))) is None and first_error(verdict()) is None


@pytest.mark.parametrize("wrong_at", range(11))
async def test_bisecting_finds_the_first_error_with_few_questions(wrong_at):
    one = attempt(*["a"] * 11)
    critic = Says(lambda t: verdict(len(t.steps) <= wrong_at))
    found, _ = await bisect_error(one, critic)
    assert found == wrong_at and len(critic.shown) <= 1 + 4
    assert all(t.success is None for t in critic.shown)


async def test_bisecting_what_passes_or_cannot_be_judged():
    one = attempt("a", "b")
    assert (await bisect_error(one, Says(verdict())))[0] is None
    assert (await bisect_error(one, Says(unjudged("x", "y"))))[0] is None
    # A beginning that cannot be judged is taken for good: the error is sought behind it.
    half = Says(lambda t: verdict(False) if len(t.steps) == 2 else unjudged("x", "y"))
    assert (await bisect_error(one, half))[0] == 1
    assert beginning(one, 1).final_observation == "seen 1" and beginning(one, 1).stop == "max_steps"


async def test_a_verifier_without_step_scores_is_asked_where_it_went_wrong():
    one, scored = attempt(*["a"] * 11), tuple(-1.0 if n == 7 else 0.0 for n in range(11))
    critic = Says(lambda t: verdict(len(t.steps) <= 7, critique="No."))
    locate = LocatingVerifier([{"by": "critic"}], make=lambda by, options: critic)
    said = await locate.verify(one)
    assert (said.passed, said.step_scores, said.critique, said.judge) == (False, scored, "No.", "locate")
    assert first_error(said) == 7 and len(critic.shown) <= 1 + 4
    # Where it passes, could not judge, or scores steps itself, it is asked once.
    for word in (verdict(), unjudged("x", "y"), verdict(False, step_scores=(-1.0,) * 11)):
        once = Says(word)
        locate = LocatingVerifier([{"by": "x"}], make=lambda by, options, once=once: once)
        assert (await locate.verify(one)).step_scores == word.step_scores
        assert len(once.shown) == 1


@pytest.mark.parametrize(
    "members", [[], [{}], [{"by": "rule"}, {"by": "judge"}], [{"by": "environment"}], [{"by": "rule", "x": 1}]]
)
def test_one_verifier_is_asked_about_beginnings(members):
    with pytest.raises(ConfigError, match=r"verify.options.members|locate asks one"):
        load_verifier("locate", {"members": members}, Parts())
