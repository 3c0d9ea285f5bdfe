"""Episodes with tools: a scripted model that writes Python, budgets, parallel calls, crashes and what is recorded."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from harness import Bench
from lamarck.agent.hooks import Hooks, Shared, ToolBudget
from lamarck.agent.scripted import ScriptedLLM
from lamarck.agent.tool_calls import OVER, trimmed
from lamarck.config import CollectConfig, SolverConfig
from lamarck.core import Reply, Task, ToolCall, ToolSpec
from lamarck.errors import ConfigError, SandboxError
from lamarck.evals.questions import QuestionsTaskset, equal, made, number_of
from lamarck.sandboxes.bubblewrap import Bubblewrap
from lamarck.sandboxes.pool import Pool, PoolLimits
from lamarck.tools.search import Documents, passages, search_tool
from lamarck.tools.tool import tool
from lamarck.tools.toolset import Approved, Limited, Tools
from lamarck.tools.workbench import Workbench
from worlds import Walks

SHARED = Path(__file__).parents[2] / "shared/data/qa_code"


def calls(*named, text=""):
    asked = [ToolCall(id=f"c{n}", name=name, arguments=arguments) for n, (name, arguments) in enumerate(named)]
    return Reply(text=text, tool_calls=tuple(asked), token_ids=(7, 8), logprobs=(-0.1, -0.2), prompt_token_ids=(1, 2))


@asynccontextmanager
async def workbench(*builtin, **more):
    backend = Bubblewrap()
    try:
        async with Pool(backend, size=PoolLimits(warm=1, most=4)) as pool:
            yield Workbench(pool=pool, builtin=builtin, **more)
    finally:
        await backend.close()


def questions(tmp_path, llm, hooks, n=3):
    taskset = QuestionsTaskset(count=n)
    solver, collect = SolverConfig(protocol="tools"), CollectConfig(concurrency=2, attempts=1)
    return Bench(tmp_path, llm, taskset=taskset, solver=solver, collect=collect, hooks=hooks)


def arithmetic(text):
    """Write a program for a problem of `made`, as a model would."""
    start, given, bags, each = [int(word) for word in text.replace(".", " ").split() if word.isdigit()]
    return f"left = {start} - {given}\nleft + {bags} * {each}"


def solve(messages):
    question = next(m.content for m in messages if m.role == "user")
    answers = [m.content for m in messages if m.role == "tool"]
    if not answers:
        return calls(("python", {"code": arithmetic(question)}), text="Let me compute.")
    return calls(("submit", {"answer": answers[-1]}))


async def test_a_model_that_writes_python_answers_arithmetic(tmp_path):
    async with workbench("python") as tools:
        bench = questions(tmp_path, ScriptedLLM(solve), Hooks(tools=tools, submit=True), n=12)
        result = await bench.run()
    assert result.finished == 12 and all(t.success for t in bench.trajectories)
    [step] = bench.trajectories[0].steps
    [call] = step.tool_calls
    assert call.result == bench.trajectories[0].task.truth and call.seconds > 0
    # What the model said is kept as it was sampled; what the tool said stands in prompts only.
    assert step.rounds[0].token_ids == (7, 8) and step.rounds[0].completion == "Let me compute."
    assert [m.role for m in step.messages] == ["system", "user", "assistant", "tool"]
    assert "submit" in step.messages[0].content


@pytest.mark.skipif(not SHARED.is_dir(), reason="benchmark data is not here")
async def test_gsm8k_is_read_and_answered_by_its_own_reasoning(tmp_path):
    """The steps that GSM8K gives in its answers, run as code by a scripted model, lead to its answers."""
    rows = [json.loads(line) for line in (SHARED / "gsm8k/train.jsonl").read_text().splitlines()[:60]]
    code = {r["question"]: "\n".join(p.split("=")[0].replace(",", "") for p in _marked(r["answer"])) for r in rows}
    taskset = QuestionsTaskset(data=str(SHARED / "gsm8k/train.jsonl"))

    def answer(messages):
        question = next(m.content for m in messages if m.role == "user")
        said = [m.content for m in messages if m.role == "tool"]
        if said:
            return calls(("submit", {"answer": said[-1]}))
        return calls(("python", {"code": next(c for q, c in code.items() if q in question)}))

    async with workbench("python") as tools:
        solver, collect = SolverConfig(protocol="tools"), CollectConfig(concurrency=2)
        hooks = Hooks(tools=tools, submit=True)
        bench = Bench(tmp_path, ScriptedLLM(answer), taskset=taskset, solver=solver, collect=collect, hooks=hooks)
        await bench.run(taskset.tasks("train", limit=60))
    solved = sum(bool(t.success) for t in bench.trajectories)
    assert len(bench.trajectories) == 60 and solved >= 50  # the rest end in a step that is not the answer


def _marked(text):
    return [part.split(">>")[0] for part in text.split("<<")[1:]]


async def test_variables_are_the_episodes_own_and_errors_are_read(tmp_path):
    def answer(messages):
        said = [m.content for m in messages if m.role == "tool"]
        if len(said) == 0:
            return calls(("python", {"code": "seen"}))
        if len(said) == 1:
            assert "NameError" in said[0]
            return calls(("python", {"code": "seen = 1"}), ("shell", {"command": "echo $HOME; exit 3"}))
        assert said[1] == "(no output)" and "[exit code 3]" in said[2]
        return calls(("submit", {"answer": "0"}))

    async with workbench("python", "shell", "files") as tools:
        bench = questions(tmp_path, ScriptedLLM(answer), Hooks(tools=tools, submit=True), n=4)
        result = await bench.run()
    assert result.finished == 4
    for trajectory in bench.trajectories:
        first, second, third = trajectory.steps[0].tool_calls
        assert "NameError" in first.error and second.error is None and "exit code 3" in third.error


async def test_calls_of_one_answer_run_at_once_and_keep_their_order(tmp_path):
    together = asyncio.Barrier(4)

    @tool
    async def wait(n: int) -> int:
        """Wait for three others, the last one first."""
        await together.wait()
        await asyncio.sleep(0.01 * (4 - n))
        return n

    def answer(messages):
        said = [m.content for m in messages if m.role == "tool"]
        return calls(("submit", {"answer": "1"})) if said else calls(*[("wait", {"n": n}) for n in range(4)])

    bench = questions(tmp_path, ScriptedLLM(answer), Hooks(tools=Shared(Tools([wait])), submit=True), n=1)
    await asyncio.wait_for(bench.run(), 30)
    [step] = bench.trajectories[0].steps
    assert [call.result for call in step.tool_calls] == ["0", "1", "2", "3"]


async def test_budgets_of_step_and_episode(tmp_path):
    @tool
    def ping() -> str:
        """Answer."""
        return "pong"

    offered = []

    class Asks(ScriptedLLM):
        async def chat(self, messages, *, tools=(), **more):
            offered.append([spec.name for spec in tools])
            return await super().chat(messages, tools=tools, **more)

    def answer(messages):
        said = [m.content for m in messages if m.role == "tool" and m.content in ("pong", OVER)]
        many = 2 if len(said) < 2 else 3
        return calls(*[("ping", {})] * many) if "ping" in offered[-1] else calls(("act", {"action": "right"}))

    hooks = Hooks(tools=Shared(Tools([ping])), budget=ToolBudget(per_step=3, per_episode=5))
    bench = Bench(tmp_path, Asks(answer), taskset=Walks(n=1), solver=SolverConfig(protocol="tools"), hooks=hooks)
    await bench.run()
    made_calls = [[call.result or call.error for call in step.tool_calls] for step in bench.trajectories[0].steps]
    # Two, then three of which one is left; after the first action two are left of the episode's five.
    assert made_calls == [["pong"] * 3 + [OVER] * 2, ["pong"] * 2, []]
    assert offered[-1] == ["act"] and bench.trajectories[0].success


def test_results_are_trimmed_with_a_note():
    asked = {"role": "assistant", "content": ""}
    results = [{"role": "tool", "content": str(n) * 1000, "tool_call_id": str(n)} for n in range(4)]
    messages = [asked, *results[:3], asked, results[3]]
    kept = [m for m in trimmed(messages, ToolBudget(prompt_chars=2200)) if m["role"] == "tool"]
    assert [len(m["content"]) == 1000 for m in kept] == [False, False, True, True]
    assert kept[0]["content"] == "[1,000 characters of this result are left out here]"
    # What the model has not seen yet is never among it.
    assert trimmed(messages, ToolBudget(prompt_chars=1))[-1]["content"] == "3" * 1000
    assert trimmed([asked, *results], ToolBudget(prompt_chars=1000)) == [asked, *results]


async def test_calls_of_one_answer_share_one_sandbox(tmp_path):
    def answer(messages):
        said = [m.content for m in messages if m.role == "tool"]
        if said:
            return calls(("submit", {"answer": said[1]}), ("python", {"code": "never"}))
        return calls(("python", {"code": "x = 42"}), ("python", {"code": "x"}))

    backend = Bubblewrap()
    async with Pool(backend, size=PoolLimits(warm=0, most=1, patience_s=2)) as pool:
        hooks = Hooks(tools=Workbench(pool=pool, builtin=["python"]), submit=True)
        bench = questions(tmp_path, ScriptedLLM(answer), hooks, n=1)
        result = await bench.run()
        assert pool.counts()["started"] == 1
    await backend.close()
    assert result.finished == 1
    [step] = bench.trajectories[0].steps
    assert [call.result for call in step.tool_calls] == ["(no output)", "42", None]
    # What was asked for beside the answer stands on the step as well, and did not run.
    assert not step.tool_calls[2].ran and "acted as well" in step.tool_calls[2].error


async def test_what_was_not_allowed_is_not_done_later_either():
    """An episode that goes on runs its calls again, but not those that were refused."""

    async def no(call):
        return "refused" not in str(call.arguments)

    async with workbench("python", around=lambda tools: Limited(Approved(tools, no), 2)) as tools:
        task = Task(id="t", goal="", environment="e")
        async with tools.session(task, "first") as bench:
            codes = ("a = 1", "refused = 1", "b = 1")
            done = [await bench.call(ToolCall(name="python", arguments={"code": code})) for code in codes]
            done.append(await bench.call(ToolCall(name="python", arguments={"wrong": "c"})))
        assert [call.ran for call in done] == [True, False, False, False]
        async with tools.session(task, "again") as bench:
            await bench.restore(done)
            code = "'a' in globals(), 'b' in globals(), [n for n in globals() if n.startswith('refus')]"
            assert (await bench.call(ToolCall(name="python", arguments={"code": code}))).result == "(True, False, [])"


async def test_a_server_goes_on_with_a_new_sandbox():
    def python(code):
        return ToolCall(name="python", arguments={"code": code})

    task = Task(id="t", goal="", environment="e")
    async with workbench("python", renew=True) as tools, tools.session(task, "x") as bench:
        await bench.call(python("kept = 1"))
        slow = asyncio.create_task(bench.call(python("import time; time.sleep(9)")))
        await asyncio.sleep(0.3)
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert "NameError" in (await bench.call(python("kept"))).error


async def test_a_sandbox_that_fails_is_no_failure_of_the_task(tmp_path):
    class Broken:
        def specs(self):
            return [ToolSpec(name="python")]

        async def call(self, call):
            raise SandboxError("the engine is gone.", kind="engine")

    bench = questions(tmp_path, ScriptedLLM(solve), Hooks(tools=Shared(Broken()), submit=True), n=2)
    result = await bench.run()
    assert result.failed == 2
    assert all(t.failure.boundary == "sandbox" and t.reward is None and t.success is None for t in bench.trajectories)


async def test_an_episode_that_goes_on_finds_its_variables(tmp_path):
    """The first process dies after the variable was set; the second one has a fresh sandbox and sets it again."""
    deaths = []

    def answer(messages):
        said = [m.content for m in messages if m.role == "tool"]
        if not said:
            return calls(("python", {"code": "import os; kept = 41; open('/work/f', 'w').write('x')"}))
        if not deaths:
            deaths.append(1)
            bench.runner.interrupt()
            return "never seen"
        if len(said) == 1:
            return calls(("python", {"code": "kept + len(open('/work/f').read())"}))
        return calls(("submit", {"answer": said[-1]}))

    async with workbench("python") as tools:
        bench = questions(tmp_path, ScriptedLLM(answer), Hooks(tools=tools, submit=True), n=1)
        assert (await bench.run()).interrupted
        await bench.run()
    [trajectory] = bench.trajectories
    assert [call.result for call in trajectory.steps[0].tool_calls] == ["1", "42"]


DYING = """
import asyncio, os, signal, sys
sys.path.insert(0, sys.argv[2])
import test_tool_loop as here

async def main():
    def answer(messages):
        if any(m.role == "tool" for m in messages):
            os.kill(os.getpid(), signal.SIGKILL)
        return here.calls(("python", {"code": "kept = 41; open('/work/f', 'w').write('x')"}))

    async with here.workbench("python") as tools:
        hooks = here.Hooks(tools=tools, submit=True)
        await here.questions(here.Path(sys.argv[1]), here.ScriptedLLM(answer), hooks, n=1).run()

asyncio.run(main())
"""


async def test_an_episode_that_was_killed_finds_its_variables_in_another_process(tmp_path):
    def answer(messages):
        said = [m.content for m in messages if m.role == "tool"]
        if len(said) == 1:
            return calls(("python", {"code": "kept + len(open('/work/f').read())"}))
        return calls(("submit", {"answer": said[-1]}))

    here = Path(__file__).parent
    command = [sys.executable, "-c", DYING, tmp_path, here]
    killed = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=60)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    async with workbench("python") as tools:
        bench = questions(tmp_path, ScriptedLLM(answer), Hooks(tools=tools, submit=True), n=1)
        assert (await bench.run()).finished == 1
    [trajectory] = bench.trajectories
    assert [call.result for call in trajectory.steps[0].tool_calls] == ["1", "42"]


def test_documents_are_searched(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/fox.md").write_text("# Foxes\n\nA fox lives in a den.\n\n# Birds\n\nA bird lives in a nest.")
    (tmp_path / "b.bin").write_bytes(b"den den den")
    (tmp_path / "secret.txt").symlink_to("/etc/passwd")
    (tmp_path / os.fsdecode(b"odd-\xff.txt")).write_text("An odd badger.")
    documents = Documents(tmp_path)
    assert documents.search("where does the fox live?", 1)[0][0] == "a/fox.md"
    assert documents.search('"den" OR NEAR( fox*', 5) and documents.search("?!", 5) == []
    assert not documents.search("root bash", 5) and documents.search("badger", 1)[0][0] == "odd-\ufffd.txt"
    documents.close()
    with pytest.raises(ConfigError, match=r"no folder of documents .*nowhere"):
        Documents(tmp_path / "nowhere")
    assert all(len(part) <= 2400 for part in passages("word " * 5000)) and list(passages("")) == []


async def test_the_search_tool_answers_in_text(tmp_path):
    (tmp_path / "x.txt").write_text("The lamp is in the cellar.")
    documents = Documents(tmp_path)
    done = await search_tool(documents).call(ToolCall(name="search", arguments={"query": "lamp", "k": 99}))
    assert done.result == "[1] x.txt\nThe lamp is in the cellar."
    documents.close()


@pytest.mark.parametrize(
    ("given", "truth", "right"),
    [
        ("42", "42", True),
        ("$1,200.50", "1200.5", True),
        ("the answer is 42.", "42", True),
        ("41 or 42", "42", False),
        ("1/2", "0.5", True),
        ("Paris", " paris.", True),
        ("", "42", False),
        ("forty", "42", False),
        ("42 42", "42", True),
    ],
)
def test_answers_are_compared(given, truth, right):
    assert equal(given, truth) is right


def test_problems_are_the_same_everywhere_and_right():
    one, again, other = made("train", 0, 5), made("train", 0, 5), made("valid", 0, 5)
    assert one == again and one.goal != other.goal
    names = {}
    exec(compile(f"{arithmetic(one.goal).replace(chr(10) + 'left', chr(10) + 'total = left')}", "x", "exec"), names)
    assert number_of(one.truth) == names["total"]
    with pytest.raises(ConfigError, match=r"no split 'none'; there are: train, valid, test"):
        QuestionsTaskset().tasks("none")


def test_a_file_of_questions_that_is_none(tmp_path):
    path = tmp_path / "q.jsonl"
    path.write_text('{"question": "1+1?", "answer": "2", "split": "test"}\n{"question": 1}\n')
    with pytest.raises(ConfigError, match=r"line 2: no JSON object with question and answer"):
        QuestionsTaskset(data=str(path)).splits()
