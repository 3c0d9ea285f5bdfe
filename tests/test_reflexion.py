"""Trying again with what was learned from failing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Bench
from lamarck.agent.hooks import Hooks
from lamarck.agent.prompting import Prompts
from lamarck.agent.reflexion import LONGEST, Reflexion, readable, record_text, reflections
from lamarck.agent.scripted import ScriptedLLM
from lamarck.config import CollectConfig, RepairConfig, SolverConfig
from lamarck.core import Sampling, Step, Task, Trajectory
from lamarck.errors import EnvironmentFailure, ModelError, StoreError
from lamarck.store import Store
from trials import NOTE, SPENT, play, reflecting, walker
from worlds import Corridor, Walks

HERE = Path(__file__).parent


async def test_the_second_trial_solves_what_the_note_is_about(tmp_path):
    events = []
    result, (first, second) = await play(tmp_path, walker(), Walks(n=1), events=events)
    assert (first.success, second.success) == (False, True) and second.parent == first.id
    assert first.meta == {"reflection": NOTE} and second.meta == {}
    assert NOTE in second.steps[0].messages[1].content and NOTE not in first.steps[0].messages[1].content
    # Four steps of one call each, and the reflection.
    assert first.usage.calls == 5 and first.usage.tokens == SPENT.tokens and first.usage.cost_usd == 0.5
    assert result.finished == 1 and result.failed == 0
    ended = [(event.kind, event.trajectory.attempt) for event in events if event.trajectory is not None]
    assert ended == [("repaired", 0), ("finished", 1)]


async def test_what_the_model_reads_when_it_reflects(tmp_path):
    llm = walker()
    await play(tmp_path, llm, Walks(n=1))
    [asked] = [messages[0].content for messages in llm.calls if reflecting(messages)]
    assert "Task: walk to the end" in asked and "Seen: You are at 0 of 3.\nDid: left" in asked
    assert "It ended here: no steps were left." in asked and "What you wrote after earlier trials" not in asked


async def test_at_most_so_many_trials_and_notes(tmp_path):
    notes = iter(f"Note {n}." for n in range(1, 99))
    llm = walker(on_reflection=lambda: next(notes))
    _, found = await play(tmp_path, llm, Walks(n=1), trials=6, keep=3)
    assert [t.attempt for t in found] == list(range(6)) and not any(t.success for t in found)
    # After the last trial there is nothing to reflect for.
    assert reflections(found) == [f"Note {n}." for n in range(1, 6)] and found[-1].meta == {}
    last = found[-1].steps[0].messages[1].content
    assert [n for n in range(1, 7) if f"Note {n}." in last] == [3, 4, 5]
    asked = [messages[0].content for messages in llm.calls if reflecting(messages)]
    assert [n for n in range(1, 7) if f"Note {n}." in asked[-1]] == [2, 3, 4]


async def test_samples_do_not_read_each_others_notes(tmp_path):
    count = iter(range(1, 99))
    llm = walker(on_reflection=lambda: f"Note {next(count)}.")
    _, found = await play(tmp_path, llm, Walks(n=1), trials=2, collect=CollectConfig(samples=2, concurrency=1))
    prompts = [t.steps[0].messages[1].content for t in found if t.attempt == 1]
    assert len(prompts) == 2 and all(prompt.count("Note ") == 1 for prompt in prompts)


async def test_a_solved_first_trial_needs_no_words(tmp_path):
    llm = walker()
    taskset = Walks(Won, n=1)
    _, [only] = await play(tmp_path, llm, taskset)
    assert only.success and not any(map(reflecting, llm.calls))


class Won(Corridor):
    def step(self, action):
        return super().step("right")


class Breaks(Corridor):
    """Breaks in its first episode and stays whole afterwards."""

    broken = False

    def step(self, action):
        if not Breaks.broken:
            Breaks.broken = True
            raise RuntimeError("the floor gave way")
        return super().step(action)


async def test_infrastructure_is_not_reflected_on_and_is_no_trial(tmp_path):
    Breaks.broken = False
    llm = walker()
    result, found = await play(tmp_path, llm, Walks(Breaks, n=1), trials=2)
    assert [(t.failure is not None, t.success) for t in found] == [(True, None), (False, False), (False, True)]
    assert sum(map(reflecting, llm.calls)) == 1 and found[0].meta == {} and result.finished == 1


class BreaksLater(Corridor):
    """Breaks in the first step of its second episode only."""

    episodes = 0

    def reset(self, *, seed=None, task=None):
        BreaksLater.episodes += 1
        return super().reset(seed=seed, task=task)

    def step(self, action):
        if BreaksLater.episodes == 2:
            raise RuntimeError("the floor gave way")
        return super().step(action)


async def test_a_second_trial_that_broke_starts_anew_with_its_note(tmp_path):
    BreaksLater.episodes = 0
    events = []
    _, found = await play(tmp_path, walker(), Walks(BreaksLater, n=1), trials=2, events=events)
    assert [(t.failure is not None, t.success) for t in found] == [(False, False), (True, None), (False, True)]
    assert found[2].parent == found[1].id and NOTE in found[2].steps[0].messages[1].content
    # Whoever watches hears of the first trial as well, and of what it took.
    told = [event for event in events if event.trajectory is not None]
    assert [(event.kind, event.trajectory.attempt) for event in told] == [
        ("repaired", 0),
        ("failed", 1),
        ("finished", 2),
    ]
    assert sum(event.trajectory.usage.calls for event in told) == sum(t.usage.calls for t in found) == 5 + 0 + 3


async def test_a_model_that_is_down_while_it_reflects_leaves_the_trial_as_it_was(tmp_path):
    def down():
        raise ModelError("no answer", kind="server")

    events = []
    collect = CollectConfig(concurrency=1, attempts=2)
    result, found = await play(tmp_path, walker(on_reflection=down), Walks(n=1), collect=collect, events=events)
    assert result.failed == 1 and found == []
    said = [event.trajectory.failure.message for event in events if event.trajectory is not None]
    assert len(said) == 2 and said[0].startswith("no reflection on trial 1 of task walks/0: no answer")
    # The four steps were played once, so their calls are told once.
    assert [event.trajectory.usage.calls for event in events if event.trajectory is not None] == [0, 4]
    llm = walker()
    result, (first, second) = await play(tmp_path, llm, Walks(n=1), collect=collect)
    assert (first.failure, first.success, first.attempt) == (None, False, 0) and second.success
    # The trial's steps were not decided again: one reflection, and three steps to the right.
    assert len(llm.calls) == 4 and result.failed == 0


async def test_a_critic_that_is_down_costs_no_attempt(tmp_path):
    """A repair of one's own that asks a model: what was played stays, and the run says how to go on."""

    async def down(trajectory):
        raise ModelError("no answer", kind="server")

    async def up(trajectory):
        return None if trajectory.success else NOTE

    solver = SolverConfig(max_steps=4, on_loop="ignore")
    with pytest.raises(StoreError, match="repairing needs a model: no answer The episode is stored"):
        await Bench(tmp_path, walker(), taskset=Walks(n=1), solver=solver, hooks=Hooks(repair=down)).run()
    bench = Bench(tmp_path, walker(), taskset=Walks(n=1), solver=solver, hooks=Hooks(repair=up))
    await bench.run()
    first, second = bench.trajectories
    assert (first.success, second.success, second.parent) == (False, True, first.id) and bench.checkpoints == 0


class Gone(Corridor):
    """Cannot be set up in its first episode of this process."""

    episodes = 0

    def reset(self, *, seed=None, task=None):
        Gone.episodes += 1
        if Gone.episodes == 1:
            raise RuntimeError("no power")
        return super().reset(seed=seed, task=task)


async def test_an_ended_trial_needs_no_world_to_be_looked_back_on(tmp_path):
    def down():
        raise ModelError("no answer", kind="server")

    collect = CollectConfig(concurrency=1, attempts=2)
    await play(tmp_path, walker(on_reflection=down), Walks(n=1), collect=collect)
    Gone.episodes = 0
    _, found = await play(tmp_path, walker(), Walks(Gone, n=1), collect=collect)
    assert [(t.failure is not None, t.success) for t in found] == [(False, False), (True, None), (False, True)]


@pytest.mark.parametrize("error", [KeyError("note"), EnvironmentFailure("the world fell over.")])
async def test_a_repair_that_breaks_stops_the_run_and_leaves_the_trial_as_it_was(tmp_path, error):
    async def broken(trajectory):
        raise error

    solver = SolverConfig(max_steps=4, on_loop="ignore")
    bench = Bench(tmp_path, walker(), taskset=Walks(n=1), solver=solver, hooks=Hooks(repair=broken))
    with pytest.raises(StoreError, match=r"repairing trajectory [0-9a-f]{32}: .* --resume goes on with its repair"):
        await bench.run()
    with Store.open(tmp_path / "store.db") as store:
        [kept] = store.trajectories(run_id="run")
    assert kept.failure is None and kept.success is False


async def test_reflections_are_drawn_alike_in_every_run(tmp_path):
    drawn = []

    class Asked(ScriptedLLM):
        async def chat(self, messages, *, sampling=None, **more):
            drawn.append(sampling.seed)
            return await super().chat(messages)

    task, config = Task(id="t", goal="g", environment="e"), RepairConfig(by="reflexion")
    with Store.open(tmp_path / "store.db") as store:
        for run, sample, seed in (("a", 0, 1), ("b", 0, 1), ("b", 1, 1), ("b", 0, 2)):
            reflexion = Reflexion(Asked(["x"]), Prompts(), store, config, Sampling(seed=seed))
            found = {"id": f"{run}/{sample}", "run_id": run, "stop": "max_steps", "success": False}
            await reflexion.reflect(Trajectory(task=task, sample=sample, **found))
    assert drawn[0] == drawn[1] and len(set(drawn)) == 3


@pytest.mark.parametrize(("when", "attempts", "calls"), [("right", [False, True], 1), ("reflecting", [True], 4)])
async def test_kill_9_in_the_middle_of_a_repair(tmp_path, when, attempts, calls):
    done = subprocess.run([sys.executable, HERE / "trials.py", tmp_path, when], cwd=HERE, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with Store.open(tmp_path / "store.db") as store:
        rows = store.attempts("run")
        assert [row.open for row in rows] == attempts
        kept = store.steps_of(rows[-1].trajectory_id)
        assert len(kept) == (2 if when == "right" else 4) and store.finished("run") == set()
    llm = walker()
    result, (first, second) = await play(tmp_path, llm, Walks(n=1))
    assert (result.already, result.finished) == (0, 1)
    assert (first.success, second.success, second.parent) == (False, True, first.id)
    assert first.meta == {"reflection": NOTE} and first.usage.calls == 5
    played = second if when == "right" else first
    assert played.steps[: len(kept)] == kept and len(llm.calls) == calls
    again, found = await play(tmp_path, llm, Walks(n=1))
    assert (again.already, again.finished, len(found)) == (1, 0, 2) and len(llm.calls) == calls


async def test_a_run_that_died_between_two_trials_goes_on(tmp_path):
    _, [first] = await play(tmp_path, walker(), Walks(n=1), reflexion=False)
    with Store.open(tmp_path / "other.db") as store:
        store.finish(first.model_copy(update={"meta": {"reflection": NOTE}}))
    (tmp_path / "other.db").rename(tmp_path / "store.db")
    llm = walker()
    result, (_, second) = await play(tmp_path, llm, Walks(n=1))
    assert result.finished == 1 and second.success and len(llm.calls) == 3


def test_notes_are_short_and_can_be_stored():
    assert readable("<think>hm</think> Go right. \ud83d\x00") == "Go right. ?"
    assert len(readable("x" * 99_999)) == LONGEST


def test_a_long_trial_is_shown_by_its_ends():
    steps = tuple(
        Step(index=n, observation=f"room {n}", completion=f"Thought: on {n}\nAction: go {n}", action=f"go {n}")
        for n in range(100)
    )
    task = Task(id="t", goal="g", environment="e")
    text = record_text(Trajectory(id="x", run_id="r", task=task, steps=steps, final_observation="end", stop="loop"))
    assert "Seen: room 29\nThought: on 29\nDid: go 29\n(40 steps left out)\nSeen: room 70" in text
    assert text.endswith("Seen: end\nIt ended here: the same was tried again and again.")
