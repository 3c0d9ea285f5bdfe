"""Question sets: MBPP judged in a real sandbox, HotpotQA over its own paragraphs; published data where it lies near."""

import json
from pathlib import Path

import pytest
from harness import Bench
from lamarck.agent.hooks import Hooks
from lamarck.agent.scripted import ScriptedLLM
from lamarck.config import CollectConfig, SolverConfig
from lamarck.core import Reply, Task, ToolCall
from lamarck.errors import ConfigError, EnvironmentFailure, SandboxError
from lamarck.evals.worlds.hotpot import HotpotTaskset, exact_match, f1, normalised
from lamarck.evals.worlds.mbpp import MbppTaskset
from lamarck.store import Store
from shell import lamarck

SHARED = Path(__file__).parents[2] / "shared" / "data" / "qa_code"
MBPP, HOTPOT = SHARED / "mbpp", SHARED / "hotpot_distractor_sample_100.jsonl"

ROWS = [
    {
        "task_id": 600 + n,
        "text": f"Write a function to add {n}.",
        "code": f"def add(x):\r\n    return x + {n}",
        "test_setup_code": "BASE = 1",
        "test_list": [f"assert add(BASE) == {n + 1}", f"assert add(2) == {n + 2}", f"assert add(3) == {n + 3}"],
        "challenge_test_list": [f"assert add(-1) == {n - 1}"],
    }
    for n in range(-2, 3)
]


def mbpp_file(tmp_path, rows=ROWS):
    file = tmp_path / "mbpp.jsonl"
    file.write_text("\n".join(json.dumps(row) for row in rows))
    return file


# --- MBPP ---------------------------------------------------------------------------------------------------------


def test_the_published_solutions_pass_and_the_splits_are_the_published_ones(tmp_path):
    data = MBPP if MBPP.is_dir() else mbpp_file(tmp_path)
    taskset = MbppTaskset(str(data))
    report = taskset.check("train", limit=8)
    assert report["failures"] == [] and report["won"] == report["games"] >= 2
    if MBPP.is_dir():
        counts = {"prompt": 7, "test": 257, "valid": 43, "train": 120}
        assert {split: len(taskset.tasks(split)) for split in taskset.splits()} == counts
        full = MbppTaskset(str(MBPP), variant="full")
        assert {split: len(full.tasks(split)) for split in full.splits()} == {
            "prompt": 10,
            "test": 500,
            "valid": 90,
            "train": 374,
        }
        assert MbppTaskset(str(MBPP / "mbpp.jsonl"), challenge=True).check("prompt", limit=4)["won"] == 4


def test_made_problems_pass_with_their_own_solutions():
    taskset = MbppTaskset()
    report = taskset.check("valid", limit=8)
    assert (report["split"], report["games"], report["won"], report["failures"]) == ("valid", 8, 8, [])
    assert taskset.check(limit=1)["split"] == "train"
    goals = [task.goal for split in taskset.splits() for task in taskset.tasks(split)]
    assert len(goals) == len(set(goals)) == 120


def test_hidden_asserts_stay_hidden(tmp_path):
    file = str(mbpp_file(tmp_path))
    [two, *_] = MbppTaskset(file, shown=1, challenge=True).tasks("train")
    assert two.id == "mbpp/full/601" and "assert add(BASE) == 2" in two.goal and "add(2)" not in two.goal
    assert two.truth["tests"][-1] == "assert add(-1) == 0" and two.truth["setup"] == "BASE = 1"
    assert "assert" not in MbppTaskset(file, shown=0).tasks("train")[0].goal
    assert MbppTaskset(file).splits() == ["valid", "train"]
    assert MbppTaskset(file).tasks("valid")[0].goal.count("assert add") == 3


async def test_wrong_code_scores_nothing_and_is_told_why_without_the_asserts(tmp_path):
    taskset = MbppTaskset(str(mbpp_file(tmp_path)), timeout_s=1.0)
    task = taskset.tasks("train")[1]
    environment = taskset.environment()
    for code, said in (
        ("def add(x):\n    return x + 3", "AssertionError"),
        ("def plus(x):\n    return x + 2", "NameError name 'add' is not defined"),
        ("def add(x:\n", "SyntaxError"),
        ("import sys\ndef add(x):\n    sys.exit(0)", "Not all asserts hold"),
        ("import os\ndef add(x):\n    os._exit(0)", "Not all asserts hold"),
        ("def add(x):\n    while True: pass", "timeout"),
        ("", "NameError"),
    ):
        text, info = await environment.reset(task=task)
        assert task.goal in text and info == {"admissible_actions": ["<code>"]}
        text, reward, terminated, truncated, info = await environment.step(code)
        assert (reward, terminated, truncated, info["success"], info["score"]) == (0.0, True, False, False, 0.0)
        assert said in text or said in info["status"], (code, text)
        assert "add(" not in text and "== " not in text
    await environment.reset(task=task)
    assert (await environment.step("def add(x):\n    return x + 2"))[:2] == ("All asserts hold.", 1.0)
    with pytest.raises(EnvironmentFailure, match="reset first"):
        await environment.step("def add(x): ...")
    await environment.close()


async def test_two_environments_share_sandboxes_until_the_last_has_gone():
    taskset = MbppTaskset()
    one, other = taskset.environment(), taskset.environment()
    task = taskset.tasks("test", limit=1)[0]
    [code] = taskset.walkthrough(task)
    await one.reset(task=task)
    await other.reset(task=task)
    await one.close()
    assert (await other.step(code))[4]["success"]
    await other.close()
    await one.reset(task=task)
    assert (await one.step(code))[4]["success"]
    await one.close()


async def test_a_sandbox_that_fails_is_no_wrong_answer(tmp_path):
    with pytest.raises(SandboxError, match="allow_unsafe"):
        await MbppTaskset(backend="unsafe-local").environment().reset(task=MbppTaskset().tasks("train", limit=1)[0])
    llm = ScriptedLLM(lambda messages: "```python\npass\n```")
    collect, solver = CollectConfig(attempts=1), SolverConfig(protocol="text")
    bench = Bench(tmp_path, llm, taskset=MbppTaskset(backend="unsafe-local", count=1), solver=solver, collect=collect)
    result = await bench.run()
    assert (result.finished, result.failed) == (0, 1)
    [trajectory] = bench.trajectories
    assert trajectory.failure.boundary == "sandbox" and trajectory.reward is None and trajectory.success is None


@pytest.mark.parametrize("protocol", ["text", "tools", "submit", "react"])
async def test_code_of_many_lines_is_handed_in_by_every_protocol(tmp_path, protocol):
    taskset = MbppTaskset(count=2)
    known = {task.goal: taskset.walkthrough(task)[0] for task in taskset.tasks("train")}
    assert all("\n" in code for code in known.values())

    def answer(messages):
        code = next(code for goal, code in known.items() if goal in messages[1].content)
        if protocol in ("tools", "submit"):
            name, key = ("act", "action") if protocol == "tools" else ("submit", "answer")
            return Reply(text="", tool_calls=(ToolCall(id="a", name=name, arguments={key: code}),))
        if protocol == "react":
            return f"Thought: easy.\nAction:\n```python\n{code}\n```"
        return f"<think>easy</think><action>```python\n{code}\n```</action>"

    solver = SolverConfig(protocol="tools" if protocol == "submit" else protocol)
    hooks = Hooks(submit=protocol == "submit")
    bench = Bench(tmp_path, ScriptedLLM(answer), taskset=taskset, solver=solver, hooks=hooks)
    assert (await bench.run()).finished == 2
    for trajectory in bench.trajectories:
        assert (trajectory.success, trajectory.reward, trajectory.stop) == (True, 1.0, "terminated")
        assert trajectory.steps[0].validity == "valid" and trajectory.steps[0].action == known[trajectory.task.goal]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"variant": "huge"}, "no variant 'huge'; there are: sanitized, full"),
        ({"backend": "cellar"}, "no sandbox backend 'cellar'"),
        ({"count": 0}, "count >= 1"),
        ({"data": "nowhere"}, "no MBPP problems in nowhere"),
    ],
)
def test_wrong_mbpp_options_are_named(options, words):
    with pytest.raises(ConfigError, match=words):
        MbppTaskset(**options)


def test_files_that_are_not_mbpp(tmp_path):
    file = mbpp_file(tmp_path)
    file.write_text(file.read_text()[:-20])
    with pytest.raises(ConfigError, match=r"mbpp\.jsonl, line 5: no JSON, Unterminated string"):
        MbppTaskset(str(file)).splits()
    for text, words in (("\n", "it is empty"), ("[]", "it is empty"), ("[1", "no JSON"), ("[1]", "row 1: TypeError")):
        file.write_text(text)
        with pytest.raises(ConfigError, match=words):
            MbppTaskset(str(file)).splits()
    with pytest.raises(ConfigError, match=r"cannot read MBPP problems.*KeyError 'test_list'"):
        MbppTaskset(str(mbpp_file(tmp_path, [{"task_id": 1, "text": "x"}]))).splits()
    with pytest.raises(ConfigError, match="no split 'dev'; there are: train, valid, test"):
        MbppTaskset().tasks("dev")
    with pytest.raises(EnvironmentFailure, match="no problem of this set"):
        MbppTaskset().walkthrough(Task(id="mbpp/train/0/x", goal="", environment="mbpp"))


# --- HotpotQA -----------------------------------------------------------------------------------------------------


def test_normalising_as_published():
    assert normalised("The  Beatles, (a band)!") == "beatles band"
    assert exact_match("the Eiffel Tower.", "Eiffel tower") and not exact_match("Eiffel", "Eiffel tower")
    # Precision 1/1, recall 1/2: 2 * 1 * .5 / 1.5; then one shared word of two and of three.
    assert f1("Eiffel", "Eiffel Tower") == pytest.approx(2 / 3)
    assert f1("red tower", "the Eiffel Tower hall") == pytest.approx(0.4)
    assert f1("no", "yes") == 0.0 and f1("yes it is", "yes") == 0.0 and f1("Yes.", "yes") == 1.0
    assert f1("tower tower", "tower") == pytest.approx(2 / 3) and f1("", "tower") == 0.0


def hotpot_file(tmp_path):
    """Return a file in the published form, with pairs instead of parallel lists."""
    taskset = HotpotTaskset(count=6)
    rows = []
    for task in taskset.tasks("test"):
        question = taskset.question(task)
        rows.append(
            {
                "_id": question.ident,
                "question": question.question,
                "answer": question.answer,
                "type": question.kind,
                "supporting_facts": [[title, 0] for title in question.support],
                "context": [[title, list(sentences)] for title, sentences in question.paragraphs],
            }
        )
    file = tmp_path / "hotpot.json"
    file.write_text(json.dumps(rows))
    return file


def test_right_answers_match_and_wrong_ones_do_not(tmp_path):
    sets = [HotpotTaskset(), HotpotTaskset(str(hotpot_file(tmp_path)))]
    if HOTPOT.is_file():
        sets.append(HotpotTaskset(str(HOTPOT)))
        assert len(sets[-1].tasks("valid")) == 100
    for taskset in sets:
        report = taskset.check("valid")
        assert report["won"] == report["games"] and report["failures"] == []
        environment = taskset.environment()
        for task in taskset.tasks("valid"):
            environment.reset(task=task)
            title = taskset.question(task).support[0]
            assert environment.step(f"search[{title}]")[0].startswith(f"{title}: ")
            _, reward, terminated, _, info = environment.step("finish[nothing of that kind, surely not]")
            assert (reward, terminated, info["success"]) == (0.0, True, False)
            environment.reset(task=task)
            _, reward, _, _, info = environment.step(f"FINISH [ {task.truth.upper()}. ]")
            assert (reward, info["success"], info["score"]) == (1.0, True, 1.0)


def test_searching_and_looking_up():
    taskset = HotpotTaskset(count=4, max_steps=7)
    task = taskset.tasks("train")[0]
    question, environment = taskset.question(task), taskset.environment()
    person, town = question.support
    text, info = environment.reset(task=task)
    assert text == f"Question: {question.question}" and f"search[{town}]" in info["admissible_actions"]
    assert environment.step("lookup[town]")[0] == "Search for a page first."
    text, *_ = environment.step(f"search[{person.split()[0]}]")
    assert text.startswith(f"There is no page {person.split()[0]}. Similar: {person}")
    assert f"was born in {town}" in environment.step(f"search[{person.lower()}]")[0]
    state = environment.snapshot()
    assert environment.step("lookup[THE]")[0].startswith("(Result 1 of 1) The works of")
    assert environment.step("lookup[the]")[0] == "No more results for the."
    environment.restore(state)
    assert environment.step("lookup[the]")[0].startswith("(Result 1 of 1)")
    text, _, _, truncated, info = environment.step("think about it")
    assert info["effective"] is False and not truncated
    assert environment.step("search[zzz]")[0] == "There is no page zzz. Similar: nothing."
    environment.restore(environment.snapshot())
    _, reward, terminated, truncated, info = environment.step("lookup[x]")
    assert (reward, terminated, truncated) == (0.0, False, True)
    with pytest.raises(EnvironmentFailure, match="reset first"):
        environment.step(f"finish[{question.answer}]")
    assert HotpotTaskset(titles=False).environment().reset(task=task)[1]["admissible_actions"] == [
        "search[<entity>]",
        "lookup[<words>]",
        "finish[<answer>]",
    ]


def test_partial_answers_score_but_do_not_succeed(tmp_path):
    file = hotpot_file(tmp_path)
    rows = json.loads(file.read_text())
    file.write_text(json.dumps([{**rows[0], "answer": "the river Orla"}]))
    environment = (taskset := HotpotTaskset(str(file))).environment()
    environment.reset(task=taskset.tasks("valid")[0])
    _, reward, _, _, info = environment.step("finish[Orla]")
    assert (reward, info["success"], info["score"], info["answer"]) == (0.0, False, pytest.approx(2 / 3), "Orla")


def test_wrong_hotpot_requests_are_named(tmp_path):
    (tmp_path / "bad.jsonl").write_text('{"question": "who?"}')
    with pytest.raises(
        ConfigError, match=r"cannot read HotpotQA questions from .*bad\.jsonl, line 1: KeyError 'context'"
    ):
        HotpotTaskset(str(tmp_path / "bad.jsonl")).splits()
    nameless = {"question": "who?", "answer": "me", "context": []}
    (tmp_path / "nameless.json").write_text(json.dumps([{**nameless, "id": "a"}, nameless]))
    with pytest.raises(ConfigError, match=r"nameless\.json, row 2: KeyError '_id'"):
        HotpotTaskset(str(tmp_path / "nameless.json")).splits()
    with pytest.raises(ConfigError, match=r"nowhere: No such file"):
        HotpotTaskset(str(tmp_path / "nowhere")).splits()
    with pytest.raises(ConfigError, match="no split 'dev'"):
        HotpotTaskset().tasks("dev")
    with pytest.raises(ConfigError, match="max_steps >= 1"):
        HotpotTaskset(max_steps=0)
    with pytest.raises(EnvironmentFailure, match="no question of this set"):
        HotpotTaskset().environment().reset(task=Task(id="x", goal="", environment="hotpotqa", split="train"))


def test_played_from_the_command_line(tmp_path):
    out = tmp_path / "run"
    lamarck("run", "-t", "hotpotqa", "-m", "random", "--limit", 3, "--max-steps", 4, "-o", out, "-q")
    with Store.open(out / "store.db") as store:
        found = list(store.trajectories())
    assert len(found) == 3 and all(step.action.startswith("search[") for one in found for step in one.steps)
    assert {(one.stop, one.success) for one in found} == {("max_steps", False)}
    figures = json.loads(lamarck("env", "check", "mbpp", "--limit", 3, "--json").stdout)
    assert (figures["taskset"], figures["split"], figures["games"], figures["won"]) == ("mbpp", "train", 3, 3)
