"""The episode graph and the runner: every step recorded, failures apart, nothing lost, nothing twice."""

import asyncio

import pytest
from harness import Bench
from lamarck.agent.hooks import Hooks, Recalled, Shared
from lamarck.agent.scripted import ScriptedLLM, first_llm, random_llm
from lamarck.config import CollectConfig, SolverConfig
from lamarck.core import Reply, ToolCall, ToolSpec, Verdict
from lamarck.errors import ConfigError, ModelError
from worlds import Corridor, Walks


def right(messages):
    return "right"


@pytest.mark.parametrize("saver", [True, False])
async def test_every_step_is_recorded(tmp_path, saver):
    bench = Bench(tmp_path, ScriptedLLM(right), saver=saver)
    result = await bench.run()
    assert (result.finished, result.failed, bench.open, bench.checkpoints) == (4, 0, [], 0)
    for trajectory in bench.trajectories:
        assert [step.action for step in trajectory.steps] == ["right"] * 3
        assert [step.observation for step in trajectory.steps] == [f"You are at {n} of 3." for n in range(3)]
        assert trajectory.final_observation == "You are at 3 of 3."
        assert (trajectory.success, trajectory.reward, trajectory.stop) == (True, 1.0, "terminated")
        assert trajectory.verdict == Verdict(passed=True, score=1.0)
        assert trajectory.steps[1].messages[-1].content == "You are at 1 of 3."
        assert trajectory.steps[0].admissible == ("left", "right", "look")
    assert len({trajectory.id for trajectory in bench.trajectories}) == 4


async def test_a_finished_run_is_not_played_again(tmp_path):
    await Bench(tmp_path, ScriptedLLM(right)).run()
    llm = ScriptedLLM(right)
    result = await Bench(tmp_path, llm).run()
    assert (result.finished, result.already, llm.calls) == (0, 4, [])


@pytest.mark.parametrize("saver", [True, False])
async def test_an_interrupted_episode_goes_on_where_it_was(tmp_path, saver):
    walks = Walks(n=1, length=6)
    asked = []

    async def stuck(messages):
        asked.append(messages[-1].content)
        if len(asked) == 4:
            bench.runner.interrupt()
            await asyncio.sleep(60)
        return "right"

    bench = Bench(tmp_path, ScriptedLLM(stuck), taskset=walks, saver=saver)
    result = await bench.run()
    assert result.interrupted and result.finished == 0 and len(bench.open) == 1
    rest = ScriptedLLM(right)
    again = Bench(tmp_path, rest, taskset=walks, saver=saver)
    result = await again.run()
    assert result.finished == 1 and len(rest.calls) == 3
    [trajectory] = again.trajectories
    assert [step.observation for step in trajectory.steps] == [f"You are at {n} of 6." for n in range(6)]
    assert trajectory.attempt == 0


@pytest.mark.parametrize("saver", [True, False])
async def test_what_was_begun_comes_to_its_end_though_there_is_enough(tmp_path, saver):
    asked, alone = [], CollectConfig(concurrency=1)

    async def stuck(messages):
        asked.append(messages[-1].content)
        if len(asked) == 5:
            bench.runner.interrupt()
            await asyncio.sleep(60)
        return "right"

    bench = Bench(tmp_path, ScriptedLLM(stuck), collect=alone, saver=saver)
    result = await bench.run()
    assert result.interrupted and result.finished == 1 and [row.task_id for row in bench.open] == ["walks/1"]
    again = Bench(tmp_path, ScriptedLLM(right), collect=alone, saver=saver)
    again.enough = lambda: True
    # Also where others stand before it by now.
    result = await again.run(again.taskset.tasks("train")[::-1])
    assert (result.already, result.finished, result.unbegun, again.open) == (1, 1, 2, [])


async def test_infrastructure_failures_have_no_reward_and_are_tried_again(tmp_path):
    answers = iter(["right", ModelError("the model is gone.", kind="server"), "right", "right", "right"])
    bench = Bench(tmp_path, ScriptedLLM(lambda m: next(answers)), taskset=Walks(n=1))
    result = await bench.run()
    assert (result.finished, result.failed) == (1, 0)
    first, second = bench.trajectories
    assert first.failure.boundary == "model" and first.reward is None and first.success is None
    assert (first.stop, len(first.steps)) == ("infrastructure", 1)
    assert (second.attempt, second.parent, second.success) == (1, first.id, True)
    assert [event.kind for event in bench.events if event.trajectory] == ["failed", "finished"]


async def test_given_up_episodes_leave_their_siblings_alone_and_can_be_resumed(tmp_path):
    class Moody(Corridor):
        broken = True

        def reset(self, *, seed=None, task=None):
            if task.id == "walks/1" and Moody.broken:
                raise RuntimeError("moody")
            return super().reset(seed=seed, task=task)

    walks = Walks(Moody)
    bench = Bench(tmp_path, ScriptedLLM(right), taskset=walks)
    result = await bench.run()
    assert (result.finished, result.failed) == (3, 1)
    assert sum(t.failure is not None for t in bench.trajectories) == 2
    Moody.broken = False
    bench = Bench(tmp_path, ScriptedLLM(right), taskset=walks)
    result = await bench.run()
    assert (result.already, result.finished, result.failed) == (3, 1, 0)
    assert max(t.attempt for t in bench.trajectories) == 2


async def test_a_run_stops_when_everything_fails(tmp_path):
    collect = CollectConfig(concurrency=1, attempts=1, max_failures=3)
    bench = Bench(tmp_path, ScriptedLLM(lambda m: ModelError("down.")), taskset=Walks(n=50), collect=collect)
    result = await bench.run()
    assert result.failed == 3 and result.stopped_by == "3 infrastructure failures in a row"


async def test_a_defect_of_ours_is_data(tmp_path):
    bench = Bench(tmp_path, ScriptedLLM(lambda m: KeyError("oops")), taskset=Walks(n=1))
    result = await bench.run()
    assert result.failed == 1 and bench.trajectories[0].failure.boundary == "defect"


@pytest.mark.parametrize(
    ("answer", "validity", "action"),
    [
        ("<action>right</action>", "valid", "right"),
        ("<action>fly</action>", "not_admissible", "fly"),
        ("<action>look</action>", "no_effect", "look"),
        ("no idea", "unparseable", None),
        ("", "unparseable", None),
        ("x" * 2_000_000, "unparseable", None),
    ],
)
async def test_the_text_protocol_and_its_invalid_actions(tmp_path, answer, validity, action):
    solver = SolverConfig(protocol="text", max_steps=1)
    bench = Bench(tmp_path, ScriptedLLM(lambda m: answer), taskset=Walks(n=1), solver=solver)
    await bench.run()
    [step] = bench.trajectories[0].steps
    assert (step.validity, step.action) == (validity, action)


async def test_an_answer_without_an_action_costs_a_turn_and_is_told(tmp_path):
    answers = iter(["what?", "<action>right</action>"] * 3)
    bench = Bench(
        tmp_path,
        ScriptedLLM(lambda m: next(answers)),
        taskset=Walks(n=1),
        solver=SolverConfig(protocol="text"),
    )
    await bench.run()
    [trajectory] = bench.trajectories
    assert [step.validity for step in trajectory.steps] == ["unparseable", "valid"] * 3
    assert "no command" in trajectory.steps[1].messages[-1].content and trajectory.success


async def test_native_tool_calls_act(tmp_path):
    call = Reply(text="", tool_calls=(ToolCall(id="1", name="act", arguments={"action": "right"}),))
    solver = SolverConfig(protocol="tools")
    bench = Bench(tmp_path, ScriptedLLM(lambda m: call), taskset=Walks(n=1), solver=solver)
    await bench.run()
    assert bench.trajectories[0].success
    assert bench.trajectories[0].steps[2].messages[-1].role == "tool"


@pytest.mark.parametrize(
    ("solver", "stop"),
    [
        ({"max_steps": 2}, "max_steps"),
        ({"max_tokens": 1}, "max_tokens"),
        ({"max_cost_usd": 0.5}, "max_cost"),
        ({"max_seconds": 1e-9}, "max_seconds"),
        ({"loop_stop": 3, "on_loop": "ignore"}, "loop"),
    ],
)
async def test_budgets_end_an_episode(tmp_path, solver, stop):
    reply = {"text": "look", "usage": {"prompt_tokens": 5, "cost_usd": 1.0}}
    bench = Bench(
        tmp_path,
        ScriptedLLM(lambda m: Reply.model_validate(reply)),
        taskset=Walks(n=1),
        solver=SolverConfig(**solver),
    )
    await bench.run()
    assert bench.trajectories[0].stop == stop


async def test_loops_are_avoided_or_named(tmp_path):
    avoid = Bench(tmp_path, first_llm(), taskset=Walks(n=1), solver=SolverConfig(max_steps=12, loop_limit=2))
    await avoid.run()
    actions = [step.action for step in avoid.trajectories[0].steps]
    assert actions[:3] == ["left", "left", "right"]
    (tmp_path / "two").mkdir()
    solver = SolverConfig(max_steps=4, on_loop="nudge")
    nudge = Bench(tmp_path / "two", ScriptedLLM(lambda m: "look"), taskset=Walks(n=1), solver=solver)
    await nudge.run()
    last = [step.messages[-1].content for step in nudge.trajectories[0].steps]
    assert "Try something else" not in last[1] and "Try something else" in last[2]


async def test_samples_form_groups_and_seeds_repeat(tmp_path):
    collect = CollectConfig(samples=3, concurrency=4, seed=5)
    runs = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name, random_llm(), collect=collect, solver=SolverConfig(max_steps=8))
        await bench.run()
        runs.append({(t.task.id, t.sample): [s.action for s in t.steps] for t in bench.trajectories})
        assert len({t.group_id for t in bench.trajectories}) == 4 and len(bench.trajectories) == 12
    assert runs[0] == runs[1]
    assert len({tuple(actions) for actions in runs[0].values()}) > 6


async def test_choice_needs_admissible_actions(tmp_path):
    class Silent(Corridor):
        def _info(self):
            return {}

    with pytest.raises(ConfigError, match=r"offers no admissible actions.*text or tools"):
        await Bench(tmp_path, ScriptedLLM(right), taskset=Walks(Silent)).run()


class Calculator:
    def specs(self):
        return [ToolSpec(name="double")]

    async def call(self, call):
        return call.model_copy(update={"result": str(2 * call.arguments["n"])})


async def test_hooks_enter_where_they_should(tmp_path):
    async def remember(now):
        assert now.before.ids == ((f"item-{now.step - 1}",) if now.step else ())
        return Recalled(f"Note {now.step}.", (f"item-{now.step}",))

    async def judge(trajectory):
        return Verdict(passed=False, score=0.25, judge="strict", critique=f"{len(trajectory.steps)} steps")

    def answer(messages):
        if messages[-1].role != "tool":
            return Reply(text="", tool_calls=(ToolCall(id="c", name="double", arguments={"n": 4}),))
        assert messages[-1].content == "8"
        return "<action>right</action>"

    hooks = Hooks(recall=remember, tools=Shared(Calculator()), verify=judge)
    solver = SolverConfig(protocol="text")
    bench = Bench(tmp_path, ScriptedLLM(answer), taskset=Walks(n=1), solver=solver, hooks=hooks)
    await bench.run()
    [trajectory] = bench.trajectories
    assert [step.recalled for step in trajectory.steps] == [("item-0",), ("item-1",), ("item-2",)]
    assert "Note 2." in trajectory.steps[2].messages[1].content
    assert [call.result for call in trajectory.steps[0].tool_calls] == ["8"]
    assert trajectory.verdict.judge == "strict" and trajectory.verdict.critique == "3 steps"


async def test_repair_starts_a_sibling_with_the_critique(tmp_path):
    async def again(trajectory):
        return None if trajectory.success else "Walk to the right."

    def answer(messages):
        return "right" if "Walk to the right." in messages[1].content else "left"

    solver = SolverConfig(max_steps=4, on_loop="ignore")
    bench = Bench(tmp_path, ScriptedLLM(answer), taskset=Walks(n=1), solver=solver, hooks=Hooks(repair=again))
    result = await bench.run()
    first, second = bench.trajectories
    assert (first.success, second.success, second.parent) == (False, True, first.id)
    assert result.finished == 1 and first.group_id == second.group_id
