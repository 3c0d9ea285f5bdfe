"""Baselines by name, and ReAct, on which most of them stand."""

import asyncio
import json
import threading

import pytest
from fake_server import FakeServer
from harness import Bench
from hypothesis import given
from hypothesis import strategies as st
from lamarck.agent.react import LONGEST_SAID, parse_react, said
from lamarck.agent.scripted import ScriptedLLM
from lamarck.cli.app import app
from lamarck.config import RunConfig, SolverConfig
from lamarck.errors import ConfigError
from lamarck.evals.baselines import baseline, baselines
from lamarck.store import Store
from shell import TINY
from typer.testing import CliRunner
from worlds import Walks

PARTS = (
    "Thought",
    "Action",
    "think[",
    "]",
    ":",
    "\n",
    " 3",
    "**",
    "> ",
    "Observation:",
    "go to desk 1",
    "<think>",
    "x",
)
OFFERED = ["go to desk 1", "take lamp 1 from desk 1", "search[<words>]"]


@pytest.mark.parametrize(
    ("text", "action", "validity", "thought"),
    [
        ("Thought: the desk\nAction: go to desk 1", "go to desk 1", "valid", "the desk"),
        (
            "Thought 3: the desk.\nIt is near.\nAction 3: go to desk 1",
            "go to desk 1",
            "valid",
            "the desk.\nIt is near.",
        ),
        ("**Thought:** the desk\n**Action:** Go to the desk 1.", "go to desk 1", "valid", "the desk"),
        ("Action: search[red lamp]", "search[red lamp]", "valid", ""),
        ("Action: go to shelf 9", "go to shelf 9", "not_admissible", ""),
        ("> go to desk 1", "go to desk 1", "valid", ""),
        ("Thought: x\nAction:\ngo to desk 1", "go to desk 1", "valid", "x"),
        # What the model makes up behind its own action is not read.
        (
            "Action: go to desk 1\nObservation: a lamp\nAction: take lamp 1 from desk 1",
            "go to desk 1",
            "valid",
            "",
        ),
        # Thoughts alone, in the three shapes there are.
        ("Thought: where could a lamp be?", None, "valid", "where could a lamp be?"),
        ("> think: where could a lamp be?", None, "valid", "where could a lamp be?"),
        ("Action: think[where could a lamp be?]", None, "valid", "where could a lamp be?"),
        ("think[" + "far " * 200 + "]", None, "valid", ("far " * 200).strip()),
        ("<think>hm</think>Thought: the desk", None, "valid", "hm"),
        # Hidden reasoning may speak of observations; what follows the action may not.
        ("<think>\nObservation: dark\n</think>\nAction: go to desk 1", "go to desk 1", "valid", "Observation: dark"),
        ("Observation: dark\n</think>\nAction: go to desk 1", "go to desk 1", "valid", ""),
        (
            "Action: go to desk 1\nObservation: dark\n<think>hm</think>\nAction: take lamp 1 from desk 1",
            "go to desk 1",
            "valid",
            "",
        ),
        # A thought that stops in front of its action is neither.
        ("Thought: x\nAction:", None, "unparseable", "x"),
        ("", None, "unparseable", ""),
        ("I would rather not.", None, "unparseable", ""),
    ],
)
def test_reading_thoughts_and_actions(text, action, validity, thought):
    parsed = parse_react(text, OFFERED)
    assert (parsed.action, parsed.validity, parsed.thought) == (action, validity, thought)


def test_a_thought_is_no_answer_where_any_text_is_one():
    assert parse_react("Thought: Paris?", ["<answer>"]).action is None
    assert parse_react("Action: think[Paris?]", None) == (None, "valid", "Paris?", "thought")
    assert parse_react("Thought: Paris!\nAction: Paris", ["<answer>"]).action == "Paris"


@given(st.text() | st.lists(st.sampled_from(PARTS)).map("".join), st.sampled_from([None, OFFERED, ["<answer>"]]))
def test_whatever_a_model_says_is_read(text, admissible):
    parsed = parse_react(text, admissible)
    assert parsed.validity != "valid" or parsed.action or parsed.note == "thought"
    if parsed.action is not None and parsed.validity == "valid" and admissible == OFFERED:
        assert parsed.action in OFFERED or parsed.action.lower().startswith("search[")
    assert len(said(text, parsed.action)) <= LONGEST_SAID + 400


def test_what_was_said_stays_short_and_keeps_its_action():
    text = said(f"Thought: {'x' * 9_999}\nAction: go", "go")
    assert len(text) < LONGEST_SAID + 20 and text.endswith("...\nAction: go")
    assert said("Thought: a\nAction: go\nObservation: made up", "go") == "Thought: a\nAction: go"
    assert said("", None) == "Action: (nothing)"


def react(*answers):
    return ScriptedLLM([*answers])


async def test_a_thought_takes_a_step_and_leaves_the_world_as_it_is(tmp_path):
    llm = react(
        "Thought: right it is\nAction: right", "Action: think[two more]", "Action: right", "What?", "Action: right"
    )
    bench = Bench(tmp_path, llm, taskset=Walks(n=1), solver=SolverConfig(protocol="react"))
    await bench.run()
    [trajectory] = bench.trajectories
    assert trajectory.success and [step.action for step in trajectory.steps] == ["right", None, "right", None, "right"]
    assert [step.validity for step in trajectory.steps] == ["valid", "valid", "valid", "unparseable", "valid"]
    assert trajectory.steps[2].observation == trajectory.steps[1].observation == "You are at 1 of 3."
    system, _, one, two, three, four = llm.calls[2]
    assert "think[...]" in system.content and one.content == "Thought: right it is\nAction: right"
    assert two.content == "You are at 1 of 3." and three.content == "Action: think[two more]"
    assert four.content == "OK.\n\nYou can: left, right, look"
    assert "held no command" in llm.calls[4][-1].content and "held no command" not in llm.calls[2][-1].content


async def test_an_episode_goes_on_behind_a_thought(tmp_path):
    class Cut(BaseException):
        pass

    solver = SolverConfig(protocol="react")
    for saver in (True, False):
        place = tmp_path / str(saver)
        place.mkdir()
        with pytest.raises(BaseException, match=r"Cut|cut") as caught:
            llm = ScriptedLLM(_then_raise(["Action: right", "Thought: and on"], Cut("cut")))
            await Bench(place, llm, taskset=Walks(n=1), solver=solver, saver=saver).run()
        assert isinstance(caught.value, Cut)
        bench = Bench(place, react("Action: right", "Action: right"), taskset=Walks(n=1), solver=solver, saver=saver)
        await bench.run()
        [trajectory] = bench.trajectories
        assert [step.action for step in trajectory.steps] == ["right", None, "right", "right"] and trajectory.success


def _then_raise(answers, error):
    left = iter(answers)

    def answer(messages):
        text = next(left, None)
        if text is None:
            raise error
        return text

    return answer


def test_each_baseline_is_a_configuration_and_keeps_what_it_is():
    assert list(baselines()) == [
        "random",
        "first",
        "react",
        "react-memory",
        "reflexion",
        "best-of-n",
        "self-consistency",
    ]
    for one in baselines().values():
        config = RunConfig.load(None, {**one.settings, "baseline": one.name})
        one.check(config)
        assert one.title and one.source and one.sees and config.solver.max_steps == RunConfig().solver.max_steps
        for key in one.fixed:
            changed = RunConfig.load(None, {**one.settings, key: OTHER[key]})
            with pytest.raises(ConfigError, match=key):
                one.check(changed)
        for key, value in one.never.items():
            with pytest.raises(ConfigError, match=f"{key} = .* makes something else of baseline {one.name}"):
                one.check(RunConfig.load(None, {**one.settings, key: value}))
    assert {name: dict(one.never) for name, one in baselines().items() if one.never} == {
        "react-memory": {"memory.mode": "off"},
        "reflexion": {"repair.trials": 1},
        "best-of-n": {"collect.samples": 1},
        "self-consistency": {"collect.samples": 1},
    }
    assert baseline("reflexion").settings["repair.keep"] == 3
    assert baseline("best-of-n").settings["collect.samples"] == 8


OTHER = {
    "model.name": "embedded",
    "solver.protocol": "text",
    "memory.recall.rank": "two_phase",
    "memory.recall.explore": "ucb",
    "repair.by": "none",
    "collect.pick": "none",
}


def lamarck(*arguments):
    """The command line in this process, since starting twenty of them takes its time."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})
    if done.exception is not None:
        raise done.exception
    return done


def script(path, *answers):
    path.write_text("".join(json.dumps(answer) + "\n" for answer in answers))
    return f"scripted:{path}"


def test_baselines_are_listed():
    rows = json.loads(lamarck("baselines", "--json").stdout)
    assert [row["name"] for row in rows] == list(baselines())
    assert next(row for row in rows if row["name"] == "reflexion")["sees"].startswith("whether each trial succeeded")
    assert "arXiv 2303.11366" in lamarck("baselines").stdout


def test_blind_baselines_and_what_a_flag_may_change(tmp_path):
    for name in ("random", "first"):
        out = tmp_path / name
        lamarck("run", "--baseline", name, *TINY, "--limit", 2, "--max-steps", 3, "-o", out, "-q")
        config = RunConfig.load(out / "run.toml")
        assert (config.baseline, config.model.name, config.solver.on_loop) == (name, name, "ignore")
        with Store.open(out / "store.db") as store:
            steps = [step for t in store.trajectories() for step in t.steps]
        assert len(steps) == 6
        if name == "first":
            assert all(step.action == step.admissible[0] for step in steps)
    assert "finished before" in lamarck("run", "--resume", "--baseline", "first", "-o", out).stderr
    file = tmp_path / "my.toml"
    file.write_text("[solver]\non_loop = 'avoid'\nmax_steps = 2\n[model]\nname = 'embedded'\n")
    lamarck("run", "-c", file, "--baseline", "random", *TINY, "--limit", 1, "-o", tmp_path / "over", "-q")
    config = RunConfig.load(tmp_path / "over" / "run.toml")
    # The baseline lies over the file, and leaves alone what is not its own.
    assert (config.model.name, config.solver.on_loop, config.solver.max_steps) == ("random", "ignore", 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--baseline", "ractor"], "there is no baseline 'ractor'; there are: random, first, react"),
        (["--baseline", "random", "-m", "embedded"], "baseline random has model.name = 'random', and it is 'embedded'"),
        (["--baseline", "react", "--protocol", "text"], "baseline react has solver.protocol = 'react'"),
        (["--baseline", "react-memory", "--memory-mode", "off"], "memory.mode = 'off' makes something else of"),
        (["-s", "baseline=best-of-n"], "baseline best-of-n has collect.pick = 'certainty', and it is 'none' here"),
        (["-s", "baseline=reflexion"], "baseline reflexion has repair.by = 'reflexion', and it is 'none' here"),
    ],
)
def test_a_baseline_is_not_what_it_is_not(arguments, words, tmp_path):
    with pytest.raises(ConfigError) as error:
        lamarck("run", *TINY, *arguments, "-o", tmp_path / "x")
    assert words in str(error.value)


def test_react_by_name(tmp_path):
    model = script(tmp_path / "s.jsonl", "Thought: look around\nAction: look", "Thought: hm", "Action: inventory")
    out = tmp_path / "run"
    lamarck("run", "--baseline", "react", "-m", model, *TINY, "--limit", 1, "--max-steps", 3, "-o", out, "-q")
    with Store.open(out / "store.db") as store:
        [trajectory] = store.trajectories()
    assert [step.action for step in trajectory.steps] == ["look", None, "inventory"]
    assert trajectory.steps[2].messages[-1].content.startswith("OK.")
    assert "Thought" in trajectory.steps[2].messages[0].content
    assert json.loads(lamarck("eval", out, "--json").stdout)["baseline"] == "react"


def test_react_with_memory_by_name(tmp_path):
    model = script(tmp_path / "s.jsonl", *["Action: look"] * 4)
    arguments = ["-m", model, *TINY, "--limit", 2, "--max-steps", 2, "-j", 1, "-q"]
    out = tmp_path / "run"
    lamarck("run", "--baseline", "react-memory", *arguments, "-o", out)
    stats = json.loads(lamarck("memory", "stats", out, "--json").stdout)
    assert stats["events"]["learned"] == 2
    config = RunConfig.load(out / "run.toml")
    assert (config.memory.mode, config.memory.path, config.memory.recall.rank) == ("learn", None, "similarity")
    place = tmp_path / "memory"
    lamarck("run", "--baseline", "react-memory", *arguments, "--memory", place, "-o", tmp_path / "other")
    assert json.loads(lamarck("memory", "stats", place, "--json").stdout)["events"]["learned"] == 2


def test_reflexion_by_name(tmp_path):
    answers = ["Action: look"] * 2 + ["I only looked."] + ["Action: inventory"] * 2 + ["I only counted."]
    model = script(tmp_path / "s.jsonl", *answers, "Action: look", "Action: inventory")
    out = tmp_path / "run"
    arguments = ["-m", model, *TINY, "--limit", 1, "--max-steps", 2]
    said = lamarck("run", "--baseline", "reflexion", *arguments, "-o", out, "--json")
    assert json.loads(said.stdout)["this_time"]["usage"]["calls"] == 8
    with Store.open(out / "store.db") as store:
        found = sorted(store.trajectories(), key=lambda t: t.attempt)
        assert store.get_release(found[0].release_id).settings["repair"]["trials"] == 3
    assert [t.meta.get("reflection") for t in found] == ["I only looked.", "I only counted.", None]
    prompt = found[2].steps[0].messages[1].content
    assert "1. I only looked.\n\n2. I only counted." in prompt
    assert "reflection: I only looked." in lamarck("show", out, found[0].id).stdout
    figures = json.loads(lamarck("eval", out, "--json").stdout)["all"]
    # Three trials are one sample, and the model calls of all of them count.
    assert (figures["figures"]["repairs"], figures["figures"]["success"]["n"]) == (2, 1)
    assert (figures["success_rate"], figures["usage"]["calls"]) == (0.0, 8)
    assert "finished before" in lamarck("run", "--resume", "-o", out).stderr


class Serving:
    """A fake server in a thread of its own, for a command line in a process of its own."""

    def __init__(self, *acts):
        self.fake, self.loop = FakeServer(*acts), asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def __enter__(self):
        self.thread.start()
        started = asyncio.run_coroutine_threadsafe(asyncio.start_server(self.fake.handle, "127.0.0.1", 0), self.loop)
        self.server = started.result()
        self.fake.base = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/v1"
        return self.fake

    def __exit__(self, *error):
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()


def test_best_of_n_by_name(tmp_path):
    # Of the two answers a server with log-probabilities gives, neither is an action; the pick works all the same.
    with Serving("logprobs") as fake:
        out = tmp_path / "run"
        arguments = ["-m", "openai/x", "--api-base", fake.base, *TINY, "--limit", 1, "--max-steps", 2]
        lamarck("run", "--baseline", "best-of-n", *arguments, "--samples", 3, "-o", out, "-q")
    assert len(fake.requests) == 6 and {request["temperature"] for request in fake.requests} == {0.7}
    assert all(request["stop"] == ["\nObservation"] for request in fake.requests)
    assert len({request["seed"] for request in fake.requests}) == 6
    found = json.loads(lamarck("eval", out, "--json").stdout)
    assert found["picked"]["rule"] == "certainty" and found["picked"]["by"] == {"likelihood": 1}
    assert "picked by certainty (likelihood 1)" in lamarck("eval", out).stdout


def test_nothing_to_pick_by_is_said(tmp_path):
    out = tmp_path / "run"
    flags = ["--protocol", "choice", "-m", "random", *TINY, "--limit", 1, "--max-steps", 2, "-o", out, "-q"]
    lamarck("run", "--baseline", "best-of-n", *flags)
    assert "nothing to pick a sample of task" in lamarck("eval", out).stdout
    assert "log-probabilities" in json.loads(lamarck("eval", out, "--json").stdout)["picked"]["error"]


def test_self_consistency_by_name(tmp_path):
    model = script(tmp_path / "s.jsonl", *[f"Thought: so\nAction: {n}" for n in (7, 8, 8)])
    out = tmp_path / "run"
    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"question": "3 + 5?", "answer": "8"}) + "\n")
    arguments = ["-t", "questions", "--data", questions, "-m", model, "--samples", 3, "-j", 1]
    lamarck("run", "--baseline", "self-consistency", *arguments, "-o", out, "-q")
    picked = json.loads(lamarck("eval", out, "--json").stdout)["picked"]
    assert picked["success"]["value"] == 1.0 and picked["by"] == {"majority": 1}
