"""Demonstrations: what somebody who can play would do, as ordinary episodes."""

import pytest
from harness import Bench
from lamarck.agent.expert import ExpertLLM
from lamarck.agent.prompting import Prompts, build_messages, new_history, push, steps_shown
from lamarck.config import SolverConfig
from lamarck.core import Message, Task
from lamarck.errors import ConfigError, ModelError
from lamarck.evals.alfworld_engine import Engine
from lamarck.evals.demonstrations import demonstrate
from lamarck.evals.household import HouseholdTaskset
from lamarck.evals.questions import QuestionsTaskset


def test_demonstrations_win_and_look_about_first():
    taskset = HouseholdTaskset(size="small")
    longer = 0
    for task in taskset.tasks("train", limit=18):
        game = taskset.game(task)
        for sample in range(3):
            commands = demonstrate(taskset, task, sample)
            engine = Engine(game)
            engine.reset()
            for command in commands:
                assert command in engine.admissible()
                engine.step(command)
            assert engine.won
            longer += len(commands) > len(game.walkthrough)
        assert demonstrate(taskset, task, 1) == demonstrate(taskset, task, 1)
    assert longer > 20


def test_nothing_sought_stands_in_a_place_that_is_looked_into_in_vain():
    taskset = HouseholdTaskset(size="small", types=["pick_and_place_simple"])
    for task in taskset.tasks("train", limit=12):
        game = taskset.game(task)
        commands = demonstrate(taskset, task)
        take = next(n for n, command in enumerate(commands) if command.startswith("take "))
        sought = commands[take].removeprefix("take ").split(" from ")[0].rsplit(" ", 1)[0]
        engine = Engine(game)
        engine.reset()
        walked = [command for command in commands[:take] if command.startswith("go to ")]
        for command in commands[:take]:
            text = engine.step(command)
            assert command in (walked[-1], f"open {walked[-1][6:]}") or f" {sought} " not in text, (command, text)


async def test_an_episode_of_demonstrations_counts_its_steps_from_the_prompt(tmp_path):
    taskset = HouseholdTaskset(size="full", types=["pick_two_obj_and_place"])
    tasks = taskset.tasks("train", limit=2)
    plans = {task.id: demonstrate(taskset, task) for task in tasks}
    llm = ExpertLLM(lambda session: plans[session.partition("/")[2].rsplit("/", 1)[0]])
    bench = Bench(tmp_path, llm, taskset=taskset, solver=SolverConfig(history=1, summary=2))
    await bench.run(tasks)
    assert {t.task.id: tuple(step.action for step in t.steps) for t in bench.trajectories} == plans


def test_counting_the_steps_before_a_prompt():
    task, history, prompts = Task(id="x", goal="g", environment="e"), new_history("start"), Prompts()
    for number in range(9):
        messages = build_messages(prompts, task, history, protocol="choice")
        assert steps_shown(messages) == number
        history = push(history, {"action": f"a{number}", "observation": "o"}, keep=2, summary=3)
    assert "earlier steps are left out" in build_messages(prompts, task, history, protocol="choice")[1].content


async def test_what_an_expert_cannot_do():
    llm = ExpertLLM(lambda session: ("look",))
    asked = [Message(role="system", content="s"), Message(role="user", content="u")]
    assert (await llm.chat(asked)).text == "<action>look</action>"
    with pytest.raises(ModelError, match="'look' in s, which is not offered"):
        await llm.choose(asked, ["wait"], session="s")
    with pytest.raises(ModelError, match="only 1 commands"):
        await llm.chat([*asked, Message(role="assistant", content="look"), Message(role="user", content="u")])
    with pytest.raises(ConfigError, match="taskset questions has no walkthroughs"):
        demonstrate(QuestionsTaskset(), Task(id="x", goal="", environment="questions"))
