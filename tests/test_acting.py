"""The call by which a model acts: kept as it was written, in later prompts, in rows of text, in chats and back."""

import json

import pytest
import stored
from chats import WITHOUT_TOOLS, tokenizer
from harness import Bench
from lamarck.agent.hooks import Hooks, Shared
from lamarck.agent.scripted import ScriptedLLM
from lamarck.cli.app import app
from lamarck.config import SolverConfig
from lamarck.config_training import TrainConfig
from lamarck.core import Reply, Step, ToolCall, ToolSpec
from lamarck.errors import TrainingError
from lamarck.store import Store
from lamarck.store_io import import_trajectories
from lamarck.training.chat_files import chats, export_chats
from lamarck.training.importers import chat
from lamarck.training.importers.importer import Given
from lamarck.training.importers.table import reader
from lamarck.training.prepared import prepare
from lamarck.training.row_files import export_rows
from lamarck.training.rows import CALLS, rows_of
from lamarck.training.sources import Sources
from typer.testing import CliRunner
from worlds import Corridor, Walks

BYTES, MUTE = tokenizer(), tokenizer(WITHOUT_TOOLS)
TOOLS = SolverConfig(protocol="tools")


def act(action="right", ident="", text="", name="act", key="action"):
    return Reply(text=text, tool_calls=(ToolCall(id=ident, name=name, arguments={key: action}),))


class Unlisted(Corridor):
    """Does not say what can be done, so that prompts go on from each other word for word."""

    def _info(self):
        return {"score": super()._info()["score"]}


async def played(tmp_path, answer, make=Unlisted, **more):
    bench = Bench(tmp_path, ScriptedLLM(answer), taskset=Walks(make, n=1), solver=TOOLS, **more)
    await bench.run()
    return bench.trajectories[0]


def same(one, other):
    """Say whether two steps are what a chat holds of a step; it has no place for times, tokens and what was offered."""
    names = ("index", "messages", "completion", "action", "act", "rounds", "reward")
    calls = [[(c.id, c.name, c.arguments, c.result) for c in step.tool_calls] for step in (one, other)]
    return all(getattr(one, name) == getattr(other, name) for name in names) and calls[0] == calls[1]


def back(one, tmp_path):
    """Return an attempt as it comes back from a file of chats."""
    file = tmp_path / "chats.jsonl"
    assert export_chats([one], file) == 1
    with Store.open(tmp_path / "back.db") as store:
        assert import_trajectories(store, file, reader(file)).refused == []
        [found] = store.trajectories()
    return found


async def test_the_call_is_kept_and_later_prompts_go_on_from_it(tmp_path):
    numbers = iter(range(9))
    one = await played(tmp_path, lambda messages: act(ident=f"id{next(numbers)}"))
    assert [step.act.id for step in one.steps] == ["id0", "id1", "id2"] and one.success
    assert all(step.act.arguments == {"action": "right"} and step.completion == "" for step in one.steps)
    assert all(step.tool_calls == () for step in one.steps)
    [line] = chats(one)
    asked = [m["tool_calls"][0] for m in line["messages"] if m["role"] == "assistant"]
    assert [call["function"] for call in asked] == [{"name": "act", "arguments": '{"action": "right"}'}] * 3
    assert [call["id"] for call in asked] == ["id0", "id1", "id2"]
    [row] = rows_of(one, tokenizer=BYTES)
    written = [BYTES.decode([t for t, own in zip(row.completion_ids, row.loss_mask, strict=True) if own])]
    assert written == ['<call>act {"action": "right"}<|im_end|>' * 3]


@pytest.mark.parametrize(
    ("reply", "shown"),
    [
        (act(), {"id": "call_0", "name": "act", "arguments": {"action": "right"}}),
        (act(ident="x", text="I go."), {"id": "x", "name": "act", "arguments": {"action": "right"}}),
        (act("Right", ident="x"), {"id": "call_0", "name": "act", "arguments": {"action": "right"}}),
        (
            Reply(text="", tool_calls=(ToolCall(id="x", name="act", arguments="right"),)),
            {"id": "call_0", "name": "act", "arguments": {"action": "right"}},
        ),
    ],
    ids=["no id", "with words", "other letters", "no object"],
)
async def test_later_prompts_show_a_call_that_says_what_was_done(tmp_path, reply, shown):
    one = await played(tmp_path, lambda messages: reply, Corridor)
    first, second = one.steps[:2]
    assert first.action == "right" and first.act.arguments == reply.tool_calls[0].arguments
    [call] = second.messages[2].tool_calls
    assert call == ToolCall.model_validate(shown) and second.messages[3].tool_call_id == call.id


async def test_chats_come_back_as_the_same_steps(tmp_path):
    one = await played(tmp_path, lambda messages: act())
    found = back(one, tmp_path)
    assert len(found.steps) == 3 and all(same(*both) for both in zip(found.steps, one.steps, strict=True))
    assert found.reward == one.reward and chats(found)[0]["messages"] == chats(one)[0]["messages"]


class Adds:
    def specs(self):
        return [ToolSpec(name="add")]

    async def call(self, call):
        return call.model_copy(update={"result": "2"})


async def test_rounds_of_tools_come_back_as_rounds(tmp_path):
    def answer(messages):
        if not any(message.role == "tool" for message in messages):
            return Reply(text="I add.", tool_calls=(ToolCall(id="a", name="add", arguments={"x": 1}),))
        beside = ToolCall(id="late", name="add", arguments={})
        return act("left", "b", "2.").model_copy(update={"tool_calls": (beside, *act("left", "b").tool_calls)})

    one = await played(tmp_path, answer, hooks=Hooks(tools=Shared(Adds())))
    first = one.steps[0]
    assert [(call.id, call.ran) for call in first.tool_calls] == [("a", True), ("late", False)]
    assert first.act.id == "b" and first.completion == "2."
    # What was asked beside the acting call was not run, and is not to be imitated.
    one = one.model_copy(
        update={"steps": (first.model_copy(update={"tool_calls": first.tool_calls[:1]}),), "reward": first.reward}
    )
    found = back(one, tmp_path)
    assert len(found.steps) == 1 and same(found.steps[0], first.model_copy(update={"tool_calls": first.tool_calls[:1]}))
    asked, acted = rows_of(found, form="step", tokenizer=BYTES)
    assert BYTES.decode(asked.completion_ids) == 'I add.<call>add {"x": 1}<|im_end|>'
    assert BYTES.decode(acted.completion_ids) == '2.<call>act {"action": "left"}<|im_end|>'


def test_an_answer_that_is_handed_in_is_an_action_too():
    step = Step(index=0, observation="o", act=act("4", "s", name="submit", key="answer").tool_calls[0])
    assert Step.model_validate_json(step.model_dump_json()) == step
    assert Step.model_validate_json('{"index": 0, "observation": "o"}').act is None
    talk = [{"role": "user", "content": "2 + 2?"}]
    for name, arguments in (("submit", '{"answer": "4"}'), ("submit", "4"), ("act", '{"answer": "4"}')):
        call = {"id": "s", "type": "function", "function": {"name": name, "arguments": arguments}}
        text = json.dumps({"messages": [*talk, {"role": "assistant", "content": None, "tool_calls": [call]}]})
        [found] = chat.read(text, Given()).steps
        known = (found.action, found.act is not None, len(found.tool_calls))
        assert known == (("4", True, 0) if arguments == '{"answer": "4"}' and name == "submit" else (None, False, 1))


def test_of_several_calls_that_act_the_first_counts():
    calls = [
        {"id": command, "type": "function", "function": {"name": "act", "arguments": {"action": command}}}
        for command in ("left", "right")
    ]
    talk = [{"role": "user", "content": "Go."}, {"role": "assistant", "content": None, "tool_calls": calls}]
    [step] = chat.read(json.dumps({"messages": talk}), Given()).steps
    assert (step.action, step.act.id, step.tool_calls) == ("left", "left", ())
    one = stored.attempt("one", "key").model_copy(update={"steps": (step,)})
    [row] = rows_of(one, tokenizer=BYTES)
    assert BYTES.decode(row.completion_ids) == '<call>act {"action": "left"}<|im_end|>'


async def test_templates_without_calls_leave_out_and_count(tmp_path):
    by_call = await played(tmp_path, lambda messages: act())
    by_call = by_call.model_copy(update={"task": by_call.task.model_copy(update={"split": "train"})})
    plain = stored.change(stored.attempt("plain", "open red"), 0, token_ids=(), logprobs=(), prompt_token_ids=())
    config = TrainConfig(kind="sft")
    found = prepare(config, Sources((by_call, plain)), stored.base(tokenizer=MUTE))
    assert [row.trajectory_id for row in found.train] == ["plain"] and found.left_out == {CALLS: 1}
    assert export_rows([by_call, plain], tmp_path / "rows.jsonl", tokenizer=MUTE).left_out == {CALLS: 1}
    with pytest.raises(TrainingError, match=r"no attempt can be written for this model: 1 with tool calls, which"):
        prepare(config, Sources((by_call,)), stored.base(tokenizer=MUTE))
    # The tiny model reads 128 tokens, so one answer is all that fits; it is written now.
    short = by_call.model_copy(
        update={"steps": (by_call.steps[0].model_copy(update={"messages": plain.steps[0].messages}),)}
    )
    found = prepare(config, Sources((short, plain)), stored.base(tokenizer=BYTES))
    assert {row.trajectory_id for row in found.train} == {by_call.id, "plain"} and found.left_out == {}


def test_export_from_the_command_line(tmp_path):
    step = Step(
        index=0, observation="o", action="go", act=act("go", "x").tool_calls[0], messages=stored.attempt("m", "key")
        .steps[0].messages,
    )  # fmt: skip
    one = stored.attempt("one", "key").model_copy(update={"steps": (step,)})
    path = stored.store(tmp_path / "store.db", one)
    result = CliRunner().invoke(app, ["export", path, str(tmp_path / "out.jsonl"), "--form", "chat"])
    assert result.exit_code == 0, result.output
    [line] = (tmp_path / "out.jsonl").read_text().splitlines()
    [call] = json.loads(line)["messages"][-1]["tool_calls"]
    assert call == {"id": "x", "type": "function", "function": {"name": "act", "arguments": '{"action": "go"}'}}
