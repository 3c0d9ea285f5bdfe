"""With ground truth withheld, nothing in the loop can read it: neither prompts, memory, verdicts, steps nor rows."""

import sqlite3
from contextlib import AsyncExitStack

import pytest
from canaries import ENDING, INFO, MARKS, REWARD, TRUTH, MarkedWalks
from gated import Overseer, walker
from judgements import verdict
from lamarck.agent.checkpoints import open_checkpoints
from lamarck.agent.distiller import LLMDistiller
from lamarck.agent.hosting import LocalPool
from lamarck.agent.prompting import Prompts
from lamarck.agent.remember import Remembering
from lamarck.agent.runner import Runner
from lamarck.agent.scripted import ScriptedLLM
from lamarck.agent.verifiers.blinded import ENDED, blind_task
from lamarck.agent.verifiers.judging import Judging
from lamarck.agent.verifiers.repairing import Repairing
from lamarck.agent.verifiers.rewinding import RewindingPool
from lamarck.agent.verifiers.sealed import FILE, Outcomes, SealedPool
from lamarck.cli.memory_learn import learn_from
from lamarck.cli.wire import build_distiller
from lamarck.config import CollectConfig, RunConfig, SolverConfig
from lamarck.config_memory import CreditConfig, DistilConfig
from lamarck.config_verify import GateSettings
from lamarck.core import Task
from lamarck.errors import EnvironmentFailure, StoreError
from lamarck.memory.credit import reward_of
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from memories import episode, memory, walked


class Wrong(Overseer):
    """Fails whatever ended well and passes whatever went left: what follows from its word is not from the truth."""

    async def verify(self, trajectory):
        self.shown.append(trajectory)
        left = any(step.action == "left" for step in trajectory.steps)
        return verdict(left, confidence=0.5, judge="wrong")

    judge = None


async def loop(path, verifier, lefts_at=(1, 2), withheld=True):
    """Play, judge, repair, distil and learn; return all that was stored, asked and remembered."""
    asked = []
    distiller_llm = ScriptedLLM(lambda messages: asked.append(messages) or "nothing usable")
    llm = walker(lefts_at)
    config = RunConfig(solver=SolverConfig(max_steps=7, on_loop="ignore"), collect=CollectConfig(concurrency=1))
    taskset = MarkedWalks()
    tasks = taskset.tasks("train")
    with (
        Store.open(path / "store.db") as store,
        open_checkpoints(path / "checkpoints.db") as saver,
        Outcomes.open(path / FILE) as outcomes,
        memory(path / "memory") as m,
    ):
        pool = RewindingPool(LocalPool(taskset, "inline", size=2, timeout_s=5.0))
        learner = Remembering(m, Prompts(), store, distiller=LLMDistiller(distiller_llm, Prompts(), DistilConfig()))
        hooks = Judging(verifier, Repairing(store, GateSettings(), 2)).hooks(learner.hooks())
        worlds = SealedPool(pool, tasks, outcomes) if withheld else pool
        shown = list(map(blind_task, tasks)) if withheld else tasks
        result = await Runner("run", config, store, llm, worlds, saver, hooks=hooks).run(shown)
        assert result.failed == 0
        stored = sorted(store.trajectories(run_id="run"), key=lambda t: (t.task.id, t.attempt))
        known = [outcomes.unseal(one) for one in stored]
        items = list(m.reading.listing(m.lineage))
        written = [task.model_dump_json() for task in store.tasks()]
    texts = [one.model_dump_json() for one in (*stored, *items)] + written
    texts += [m.model_dump_json() for call in (*llm.calls, *asked) for m in call]
    texts += [one.model_dump_json() for one in verifier.shown]
    return stored, known, items, texts


async def test_no_canary_gets_anywhere(tmp_path):
    overseer = Overseer()
    stored, known, items, texts = await loop(tmp_path, overseer)
    assert len(stored) == 12 and items and len(overseer.shown) == 12
    for mark in (*MARKS, str(REWARD), '"solution"', '"progress"'):
        assert not any(mark in text for text in texts), mark
    # Not in the bytes of the files either, but for the one that is kept apart. Chroma's graph is not looked at: it may
    # hold what this process had in its memory before, such as texts of other tests, and nothing reads that.
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.suffix != ".bin" and not file.name.startswith(FILE):
            assert not any(mark.encode() in file.read_bytes() for mark in MARKS), file
    for one in stored:
        assert (one.task.truth, one.success, one.score, one.reward) == (None,) * 4
        assert one.final_observation in (ENDED, "You are at 3 of 3.") or one.stop != "terminated"
    # Evaluation opens what was kept apart.
    assert all(one.success is True and one.reward == REWARD for one in known)
    # Who judged was not told by the way in which an attempt ended either.
    assert {(one.stop, one.final_observation) for one in overseer.shown} == {("truncated", ENDED)}
    assert not any(step.terminated or step.truncated for one in overseer.shown for step in one.steps)
    assert known[0].final_observation == ENDING and known[0].steps[-1].info["solution"] == INFO
    assert known[0].steps[-1].reward == REWARD and known[0].verdict == stored[0].verdict


async def test_the_same_loop_with_nothing_withheld_is_full_of_them(tmp_path):
    """The search itself finds canaries where they are."""
    *_, texts = await loop(tmp_path, Overseer(), withheld=False)
    for mark in (TRUTH, INFO, ENDING, str(REWARD)):
        assert any(mark in text for text in texts), mark


async def test_learning_goes_by_the_verifier_alone(tmp_path):
    # All end well, none went left; this verifier says that all failed.
    stored, known, items, _ = await loop(tmp_path, Wrong(), lefts_at=())
    assert all(one.success for one in known)
    assert [reward_of(one, CreditConfig()) for one in stored] == [-1.0] * 6
    assert {item.kind for item in items} == {"warning"}
    # One that has no word leaves nothing to learn from.
    (tmp_path / "mute").mkdir()
    mute = Wrong()
    mute.verify = silent(mute)
    stored, _, items, _ = await loop(tmp_path / "mute", mute, lefts_at=())
    assert items == [] and all(one.verdict is None and "unjudged" in one.meta for one in stored)
    assert all(reward_of(one, CreditConfig()) is None for one in stored)


def silent(verifier):
    async def verify(trajectory):
        verifier.shown.append(trajectory)
        return verdict(True, confidence=0.0)

    return verify


OTHERS = ("max_steps", "max_tokens", "max_seconds", "max_cost", "loop")


def ended_alike(others=OTHERS, **fields):
    """Attempts that differ in nothing but that the world ended the first, and something else each of the others."""
    steps = walked(["right", "right"])
    ends = {"terminated": ENDED} | dict.fromkeys(others, "You are at 2 of 3.")
    known = {"steps": steps, "success": None, "verdict": verdict(judge="v"), **fields}
    return [episode(stop, stop=stop, final_observation=last, **known) for stop, last in ends.items()]


async def test_a_model_that_distils_is_not_told_how_an_attempt_ended(tmp_path):
    """Where a world ends only when its task is solved, a last observation that is there is the outcome."""
    asked = []
    llm = ScriptedLLM(lambda messages: asked.append(messages[-1].content) or "nothing usable")
    for withhold, told in ((True, 1), (False, 2)):
        settings = {"verify.withhold": withhold, "memory.mode": "learn", "memory.distil.by": "llm"}
        config = RunConfig.load(None, settings)
        async with AsyncExitStack() as stack:
            with memory(tmp_path / str(withhold)) as m:
                distiller = await build_distiller(config, llm, Prompts(), m, stack)
                asked.clear()
                for one in ended_alike():
                    await distiller.distil([one])
        assert len(asked) == 6 and len(set(asked)) == told
        assert ("You are at 2 of 3." in "".join(asked)) is not withhold and "the attempt succeeded" in asked[0]


def store_of(path, runs):
    """Store the attempts of `ended_alike` for each of these runs, with its reward."""
    with Store.open(path) as store:
        for run_id, reward in runs.items():
            for one in ended_alike(("loop",), task_id=run_id, goal=f"seen by {run_id}"):
                update = {"run_id": run_id, "id": f"{run_id} {one.id}", "reward": reward}
                store.finish(one.model_copy(update=update))


def test_a_memory_that_learns_from_a_run_later_is_not_told_either(tmp_path, monkeypatch):
    asked = []
    llm = ScriptedLLM(lambda messages: asked.append(messages[-1].content) or "nothing usable")
    monkeypatch.setattr("lamarck.cli.memory_learn.build_llm", lambda config: llm)

    def learned(name, source):
        asked.clear()
        with memory(tmp_path / name, distil={"by": "llm"}) as m:
            assert learn_from(m, source, "scripted")["learned"] == len(asked)
        return asked

    # One store of two runs, of which the truth of one was withheld.
    store_of(tmp_path / "both.db", {"withheld": None, "open": 1.0})
    withheld = [text for text in learned("both", tmp_path / "both.db") if "seen by withheld" in text]
    assert len(asked) == 4 and len(withheld) == 2 and "You are at 2 of 3." not in "".join(withheld)
    assert all("You are at 2 of 3." in text for text in asked if text not in withheld)
    # Where the run itself is there, it goes by how that was set: also where nothing is hidden, or nothing was rewarded.
    for number, (hide_end, reward) in enumerate(((True, 1.0), (False, None))):
        directory = RunDirectory(tmp_path / f"run {number}")
        settings = {"verify.withhold": True, "verify.hide_end": hide_end, "verify.by": "recompute"}
        directory.create(RunConfig.load(None, settings), resume=False)
        store_of(directory.store_path, {directory.run_id: reward})
        texts = learned(f"memory {number}", directory.path)
        assert len(texts) == 2 and all(("You are at 2 of 3." in text) is not hide_end for text in texts)


async def test_a_repaired_attempt_has_the_outcome_of_all_its_steps(tmp_path):
    _, known, _, _ = await loop(tmp_path, Overseer(), lefts_at=(1, 2))
    first, second = known[:2]
    assert second.fork_at == 1 and [step.action for step in second.steps] == ["right"] * 3
    # The step it took over brought its info along, and the outcome is its own.
    assert [step.info.get("solution") for step in second.steps] == [INFO] * 3
    assert second.success and second.reward == REWARD and first.success


async def test_a_sealed_world_knows_its_tasks_only(tmp_path):
    with Outcomes.open(tmp_path / FILE) as outcomes:
        pool = SealedPool(LocalPool(MarkedWalks(), "inline", size=1, timeout_s=5.0), [], outcomes)
        with pytest.raises(EnvironmentFailure, match="task x is not among those whose truth is withheld"):
            async with pool.lease() as world:
                await world.reset(Task(id="x", goal="", environment="marked"), 0)


def test_outcomes_that_are_none(tmp_path):
    with pytest.raises(StoreError, match="no outcomes"), Outcomes.open(tmp_path / "none.db", create=False):
        pass
    (tmp_path / "broken.db").write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="opening outcomes"), Outcomes.open(tmp_path / "broken.db"):
        pass
    with sqlite3.connect(tmp_path / "whole.db") as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    with Outcomes.open(tmp_path / "whole.db") as outcomes:
        assert outcomes.of("t") == []
