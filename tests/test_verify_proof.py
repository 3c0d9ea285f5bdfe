"""A verifier with tools in the loop, on arithmetic with planted mistakes: what it finds, what a repair is worth."""

import re

from lamarck.agent.checkpoints import open_checkpoints
from lamarck.agent.hooks import Hooks
from lamarck.agent.hosting import LocalPool
from lamarck.agent.runner import Runner
from lamarck.agent.verifiers.blinded import blind_task
from lamarck.agent.verifiers.judge import JudgeVerifier
from lamarck.agent.verifiers.judging import Judging
from lamarck.agent.verifiers.recompute import RecomputeVerifier
from lamarck.agent.verifiers.repairing import Repairing
from lamarck.agent.verifiers.sealed import FILE, Outcomes, SealedPool
from lamarck.config import CollectConfig, RunConfig, SolverConfig
from lamarck.config_verify import GateSettings
from lamarck.evals.questions import QuestionsTaskset
from lamarck.store import Store
from sums import Examiner, Pupil, planted

TASKS = QuestionsTaskset().tasks("train", limit=60)


async def play(path, verifier, trials=2):
    """Play all problems with outcomes withheld; return the attempts as stored, the same with outcomes, and prompts."""
    path.mkdir()
    config = RunConfig(
        solver=SolverConfig(protocol="react", max_steps=5, on_loop="ignore"), collect=CollectConfig(concurrency=4)
    )
    pupil = Pupil()
    with (
        Store.open(path / "store.db") as store,
        open_checkpoints(path / "checkpoints.db") as saver,
        Outcomes.open(path / FILE) as outcomes,
    ):
        pool = SealedPool(LocalPool(QuestionsTaskset(), "inline", size=4, timeout_s=5.0), TASKS, outcomes)
        hooks = Judging(verifier, Repairing(store, GateSettings(), trials)).hooks(Hooks())
        result = await Runner("run", config, store, pupil, pool, saver, hooks=hooks).run(list(map(blind_task, TASKS)))
        assert (result.finished, result.failed) == (60, 0)
        stored = sorted(store.trajectories(run_id="run"), key=lambda t: (t.task.id, t.attempt))
        return stored, [outcomes.unseal(one) for one in stored], pupil.read


def flagged(attempts):
    """Return the share of planted mistakes that were flagged, that of right steps that were, and that of each kind."""
    marks = [
        (mistake, one.verdict.step_scores[number] < 0)
        for one in attempts
        if one.attempt == 0
        for number, mistake in enumerate(planted(one.task.goal))
    ]
    found = [hit for mistake, hit in marks if mistake]
    right = [hit for mistake, hit in marks if not mistake]
    by_kind = {kind: [hit for mistake, hit in marks if mistake == kind] for kind in ("slip", "misread", "wrong")}
    assert len(found) >= 55 and all(by_kind.values())
    shares = {kind: sum(hits) / len(hits) for kind, hits in by_kind.items()}
    return sum(found) / len(found), sum(right) / len(right), shares


def solved(attempts, attempt):
    """Return the share of tasks solved by their last attempt up to this one."""
    last = {one.task.id: one for one in attempts if one.attempt <= attempt}
    return sum(one.success for one in last.values()) / len(last)


async def test_with_tools_mistakes_are_found_and_a_repair_mends_them(tmp_path):
    stored, known, prompts = await play(tmp_path / "with", JudgeVerifier(Examiner()))
    found, cried_wolf, shares = flagged(stored)
    assert found >= 0.9 and cried_wolf <= 0.02
    # A wrong operation that is carried out rightly is beyond it.
    assert shares["slip"] == 1.0 and shares["misread"] >= 0.9 and shares["wrong"] == 0.0
    before, after = solved(known, 0), solved(known, 1)
    assert before <= 0.35 and after >= before + 0.2
    # The one that only looks at what is written finds far fewer, and mends far less.
    blind_stored, blind_known, _ = await play(tmp_path / "without", JudgeVerifier(Examiner(), calculate=False))
    fewer, *_ = flagged(blind_stored)
    assert fewer <= found - 0.3
    assert solved(blind_known, 0) == before and solved(blind_known, 1) < after - 0.2
    # Neither truth nor outcome was in the loop: not in what is stored, not in what was asked.
    for one, outcome in zip(stored, known, strict=True):
        assert one.task.truth is None and one.success is None and one.score is None and one.reward is None
        assert not any(step.info or step.reward for step in one.steps)
        assert outcome.success is not None and outcome.final_observation in ("Right.", "Wrong.")
        assert outcome.final_observation not in one.model_dump_json()
    assert not any(re.search(r"\b(Right|Wrong)\.", m.content) for asked in prompts for m in asked)
    # What judging took is in the figures of the attempt, and the repaired one is its sibling.
    one = stored[0]
    assert one.meta["judging"]["calls"] == 2 and one.usage.calls == 4 + 2
    second = next(t for t in stored if t.attempt == 1)
    first = next(t for t in stored if t.id == second.parent)
    assert first.group_id == second.group_id and first.sample == second.sample
    assert "fault was found" in second.steps[0].messages[1].content


async def test_recomputing_needs_no_model(tmp_path):
    stored, known, _ = await play(tmp_path / "run", RecomputeVerifier())
    found, cried_wolf, _ = flagged(stored)
    assert found >= 0.9 and cried_wolf == 0.0
    assert solved(known, 1) >= solved(known, 0) + 0.2
    assert all(one.verdict.evidence and one.verdict.judge == "recompute" for one in stored)


def test_the_harness_is_not_what_makes_it_work():
    # Four of ten steps are wrong, so about one problem in five comes out right: there is something to find.
    mistakes = [kind for task in TASKS for kind in planted(task.goal)]
    share = sum(kind is not None for kind in mistakes) / len(mistakes)
    assert 0.34 <= share <= 0.46 and {"slip", "misread", "wrong"} <= set(mistakes)
