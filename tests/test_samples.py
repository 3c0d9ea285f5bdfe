"""Samples: rows of ids or text, without what was recalled, checked against their text, and as files."""

import json
import random

import pytest
from chats import WITHOUT_TOOLS, embedded_or_own, tokenizer
from harness import Bench
from lamarck.agent.hooks import Hooks, Recalled
from lamarck.agent.scripted import ScriptedLLM
from lamarck.agent.steps import shown
from lamarck.cli.app import app
from lamarck.config import CollectConfig
from lamarck.core import Choice, Failure, Message, Round, Step, Task, ToolCall, Trajectory
from lamarck.errors import ConfigError, TrainingError
from lamarck.store import Store
from lamarck.training.decoding import decodes, misspelled
from lamarck.training.row_files import export_rows, read_rows
from lamarck.training.rows import MIXED, Row, has_ids, rows_of, step_rows, text_rows
from lamarck.training.strip import bare_messages, without_recalled
from lamarck.training.texts import prompt_ids
from stored import damaged
from typer.testing import CliRunner
from worlds import Walks

BYTES = tokenizer()
NOTES = "Notes from earlier attempts.\n\nFor: doors\nPull, do not push."
SYSTEM = Message(role="system", content="You act.")


def said(text):
    return Message(role="assistant", content=text)


def asked(text):
    return Message(role="user", content=text)


def trajectory(*steps, ident="t", **more):
    task = Task(id="x", goal="g", environment="e", split="train")
    known = {"success": True, "reward": 1.0, **more}
    return Trajectory(id=ident, run_id="r", group_id="g", task=task, steps=steps, stop="terminated", **known)


def sampled(index, messages, text, tokens=BYTES, **more):
    """Return a step as a model with this tokenizer would have sampled it."""
    ids = (*tokens.encode(text, add_special_tokens=False), tokens.eos_token_id)
    known = {"prompt_token_ids": prompt_ids(messages, tokens), "token_ids": ids, "logprobs": (-0.5,) * len(ids)}
    fields = {"model": "m", "policy_version": "1", **known, **more}
    return Step(index=index, observation="o", messages=tuple(messages), completion=text, action=text, **fields)


def told(index, messages, text, **more):
    return Step(index=index, observation="o", messages=tuple(messages), completion=text, action=text, **more)


def recalling(goes_on=(), text=NOTES):
    first = asked(f"A door.\n\n{text}\n\nWhat you did so far:\n- look" if text else "A door.\n\nWhat you did so far:")
    return (SYSTEM, first, *goes_on)


# What was recalled.


async def test_a_step_keeps_the_text_that_was_recalled_and_not_the_critique(tmp_path):
    async def recall(now):
        return Recalled(f"note {now.step % 2}", ("a",))

    llm = ScriptedLLM(lambda messages: "right", name="right")
    hooks = Hooks(recall=recall)
    bench = Bench(tmp_path, llm, taskset=Walks(n=1), hooks=hooks, collect=CollectConfig(concurrency=1))
    await bench.run()
    [played] = bench.trajectories
    assert [step.recalled_text for step in played.steps] == ["note 0", "note 1", "note 0"]
    for step in played.steps:
        assert step.recalled_text in step.messages[1].content
        assert not any("note" in message.content for message in bare_messages(step))
    assert shown("  note ", [asked("a note\n")]) == "note" and shown("note", [asked("nothing")]) == ""
    assert Step.model_validate_json('{"index": 0, "observation": "o", "recalled": ["a"]}').recalled_text == ""


@pytest.mark.parametrize("make", [lambda: BYTES, embedded_or_own], ids=["bytes", "embedded"])
def test_stripped_prompts_are_those_that_never_held_the_text(make):
    tokens = make()
    first = sampled(0, recalling(), "open door", tokens, recalled=("a",), recalled_text=NOTES)
    talk = (said("open door"), asked("It is open."))
    second = sampled(1, recalling(talk), "go in", tokens, recalled=("a",), recalled_text=NOTES)
    bare = [(SYSTEM, asked("A door.\n\nWhat you did so far:\n- look"), *more) for more in ((), talk)]
    rows = rows_of(trajectory(first, second), form="step", tokenizer=tokens, strip=True)
    for row, step, messages in zip(rows, (first, second), bare, strict=True):
        assert row.prompt_ids == prompt_ids(messages, tokens) != step.prompt_token_ids
        assert row.completion_ids == step.token_ids and row.logprobs == step.logprobs
        assert row.stripped and row.on_record
    [whole] = rows_of(trajectory(first, second), tokenizer=tokens, strip=True)
    assert whole.stripped and whole.prompt_ids + whole.completion_ids == rows[1].prompt_ids + rows[1].completion_ids
    kept = rows_of(trajectory(first, second), form="step", strip=False)
    assert [row.prompt_ids for row in kept] == [first.prompt_token_ids, second.prompt_token_ids]
    assert not any(row.stripped for row in kept)


def test_ids_that_the_messages_do_not_show_stay_as_they_were_sent():
    tools = tuple(BYTES.encode("tools: python\n"))
    step = sampled(0, recalling(), "open", recalled=("a",), recalled_text=NOTES)
    sent = step.model_copy(update={"prompt_token_ids": tools + step.prompt_token_ids + tools})
    bare = without_recalled(sent, BYTES)
    assert bare.prompt_token_ids == tools + prompt_ids(bare.messages, BYTES) + tools
    assert bare.recalled_text == "" and NOTES in sent.messages[1].content


def test_rounds_of_tools_are_stripped_too():
    call = ToolCall(id="c", name="python", arguments={"code": "1"})
    first = prompt_ids(recalling(), BYTES)
    asking = Round(completion="let me", calls=("c",), prompt_token_ids=first, token_ids=(1, 2), logprobs=(-1.0, -1.0))
    talk = (Message(role="assistant", content="let me", tool_calls=(call,)), Message(role="tool", content="1"))
    step = sampled(0, recalling(talk), "open", rounds=(asking,), recalled=("a",), recalled_text=NOTES)
    one, two = rows_of(trajectory(step), form="step", tokenizer=BYTES, strip=True)
    assert one.prompt_ids == prompt_ids(bare_messages(step)[:2], BYTES) and one.completion_ids == (1, 2)
    assert two.prompt_ids == prompt_ids(bare_messages(step), BYTES)


def test_rows_that_held_some_do_not_join_those_that_did_not():
    plain = sampled(0, (SYSTEM, asked("A door.")), "look")
    talk = (said("look"), asked("A lock."))
    later = sampled(1, (SYSTEM, asked(f"A door.\n\n{NOTES}"), *talk), "open", recalled=("a",), recalled_text=NOTES)
    rows = rows_of(trajectory(plain, later), tokenizer=BYTES, strip=True)
    assert [row.stripped for row in rows] == [False, True]
    assert rows[1].prompt_ids[: len(plain.prompt_token_ids)] == plain.prompt_token_ids


def test_what_the_model_has_said_itself_is_not_stripped():
    step = told(0, (asked(f"{NOTES}\n\nA door."), said(f"I read: {NOTES}"), asked("Go on.")), "x", recalled_text=NOTES)
    assert [message.content for message in bare_messages(step)] == ["A door.", f"I read: {NOTES}", "Go on."]


def test_a_short_text_is_stripped_where_it_was_added_and_nowhere_else():
    goes_on = (said("x"), asked("It is not open; nothing."), asked("a\n\nnot\n\nb"))
    step = told(0, (asked("You may go left or not.\n\nnot"), *goes_on), "x", recalled_text="not")
    assert bare_messages(step) == (asked("You may go left or not."), *goes_on)
    assert bare_messages(told(0, (asked("Go.\n\nnot\n\nor"),), "x", recalled_text="not")) == (asked("Go.\n\nor"),)
    assert bare_messages(told(0, (asked("not\n\nGo."),), "x", recalled_text="not")) == (asked("Go."),)
    # The words of a user's own prompt may stand around it.
    assert bare_messages(told(0, (asked("Hint (not)."), *goes_on), "x", recalled_text="not"))[0] == asked("Hint (not).")
    inline = (asked("Hint: pull."), said("pull"), asked("You pull."))
    assert bare_messages(told(0, inline, "x", recalled_text="pull")) == (asked("Hint: ."), *inline[1:])


@pytest.mark.parametrize("make", [lambda: BYTES, embedded_or_own], ids=["bytes", "embedded"])
def test_what_is_stripped_leaves_the_form_of_a_chat(make):
    tokens, draw = make(), random.Random(2)
    pieces = ["go", " ", "\n", "\n\n", "12", "é", "💥", "'s", "assistant\n", "<", "user"]
    for form in ("{seen}\n\n{note}", "{note}\n\n{seen}", "{seen} {note}\n\nSo far:", "{note}"):
        for _ in range(8):
            seen, note = ("".join(draw.choices(pieces, k=5)).strip() for _ in range(2))
            if not note:
                continue
            messages = (SYSTEM, asked(form.format(seen=seen, note=note)))
            ids = without_recalled(sampled(0, messages, "x", tokens, recalled_text=note), tokens).prompt_token_ids
            assert [ids.count(token) for token in tokens.encode("<|im_start|><|im_end|>")] == [3, 2]
            assert tokens.decode(ids).endswith("<|im_start|>assistant\n")
            assert ids == prompt_ids(bare_messages(told(0, messages, "x", recalled_text=note)), tokens)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (sampled(3, recalling(), "x", recalled=("a",)), "does not hold its text"),
        (sampled(3, recalling(), "x", recalled_text="something else"), "does not stand in its prompt"),
        (sampled(3, recalling(), "x", recalled_text=NOTES, prompt_token_ids=(7, 7)), "other tokens"),
    ],
)
def test_what_cannot_be_stripped_is_said_once_with_trajectory_and_step(step, words):
    with pytest.raises(TrainingError, match=rf"^step 3 of trajectory t: .*{words}"):
        rows_of(trajectory(step), tokenizer=BYTES, strip=True)
    assert len(rows_of(trajectory(step))) == 1


# Ids or text.


def test_ids_are_taken_where_they_are_and_text_is_tokenised_where_not():
    with_ids = trajectory(sampled(0, recalling(), "open"))
    assert has_ids(with_ids) and rows_of(with_ids, form="step") == step_rows(with_ids)
    text = trajectory(told(0, recalling(), "open"))
    [row] = rows_of(text, tokenizer=BYTES)
    assert not has_ids(text) and not row.on_record
    # Text in the form of the model that will be trained is what that model would have sampled.
    assert (row.prompt_ids, row.completion_ids) == (step_rows(with_ids)[0].prompt_ids, with_ids.steps[0].token_ids)
    with pytest.raises(TrainingError, match="trajectory t has text but no token ids, which takes a tokenizer"):
        rows_of(text)
    with pytest.raises(TrainingError, match="trajectory t is to be stripped"):
        rows_of(trajectory(told(0, recalling(), "open", recalled_text=NOTES)), strip=True)
    assert rows_of(trajectory(Step(index=0, observation="o"))) == []


@pytest.mark.parametrize(
    "odd",
    [
        told(1, recalling(), "go"),
        Step(index=1, observation="o", messages=recalling(), action="go"),
        sampled(1, recalling(), "go", rounds=(Round(completion="let me"),)),
    ],
)
def test_ids_at_some_answers_only_are_refused(odd):
    with pytest.raises(TrainingError, match="trajectory t has token ids at step 0 and only text at step 1"):
        rows_of(trajectory(sampled(0, recalling(), "open"), odd), tokenizer=BYTES)


@pytest.mark.parametrize("make", [lambda: BYTES, embedded_or_own], ids=["bytes", "embedded"])
def test_text_whose_prompts_go_on_is_one_row(make):
    tokens = make()
    first = (SYSTEM, asked("A door."))
    second = (*first, said("open door"), asked("It is open."))
    steps = told(0, first, "open door"), told(1, second, "go in"), told(2, (SYSTEM, asked("Anew.")), "look")
    one, two = rows_of(trajectory(*steps), tokenizer=tokens)
    assert one.prompt_ids == prompt_ids(first, tokens) and two.prompt_ids == prompt_ids(steps[2].messages, tokens)
    assert one.prompt_ids + one.completion_ids == (
        *prompt_ids(second, tokens),
        *tokens.encode("go in", add_special_tokens=False),
        tokens.eos_token_id,
    )
    trained = [token for token, known in zip(one.completion_ids, one.loss_mask, strict=True) if known]
    assert tokens.decode(trained, skip_special_tokens=True) == "open doorgo in"
    assert {step for step, known in zip(one.steps, one.loss_mask, strict=True) if known} == {0, 1}
    assert len(text_rows(trajectory(*steps), tokens)) == 3


def test_tool_calls_in_text_are_written_by_the_template_or_refused():
    call = ToolCall(id="c", name="add", arguments={"a": 1}, result="2")
    step = Step(index=0, observation="o", messages=(asked("1 + 1?"),), completion="hm", tool_calls=(call,))
    [row] = text_rows(trajectory(step), BYTES)
    assert BYTES.decode(row.completion_ids) == 'hm<call>add {"a": 1}<|im_end|>'
    with pytest.raises(TrainingError, match=r"step 0 of trajectory t: it calls tools, which the chat template"):
        text_rows(trajectory(step), tokenizer(WITHOUT_TOOLS))
    asking = Round(completion="hm", calls=("c",))
    talk = (asked("1 + 1?"), Message(role="assistant", content="hm", tool_calls=(call,)), asked("2"))
    rounds = told(0, talk, "2", rounds=(asking,), tool_calls=(call,))
    assert [BYTES.decode(row.completion_ids) for row in text_rows(trajectory(rounds), BYTES)] == [
        'hm<call>add {"a": 1}<|im_end|>',
        "2<|im_end|>",
    ]
    # A prompt without the calls it holds would be one that nobody was sent.
    with pytest.raises(TrainingError, match=r"step 0 of trajectory t: it calls tools"):
        text_rows(trajectory(told(0, talk, "2")), tokenizer(WITHOUT_TOOLS))
    refusing = tokenizer("{{ raise_exception('roles must alternate') }}")
    with pytest.raises(TrainingError, match=r"step 0 of trajectory t: .*cannot write its prompt: roles must alternate"):
        text_rows(trajectory(told(0, recalling(), "x")), refusing)


# Ids and their text.


def spelled(text, **more):
    return sampled(4, recalling(), text, **more)


@pytest.mark.parametrize(
    "step",
    [
        spelled("open door"),  # with the token that ends answers
        spelled("open door", token_ids=tuple(BYTES.encode("open door"))),  # an option, without it
        spelled("go", token_ids=tuple(BYTES.encode("go\nObservation"))),  # cut off at a stop string
        spelled("", token_ids=tuple(BYTES.encode("<call>act"))),  # the server keeps calls apart
        spelled("<think>hm</think>go", token_ids=tuple(BYTES.encode("\nhm\n</think>\n\ngo"))),
        spelled("go to bed 1", choice=Choice(index=0), token_ids=tuple(BYTES.encode('{"action": "go to bed 1"}'))),
        spelled("move a to b 1", choice=Choice(index=0), token_ids=tuple(BYTES.encode("put a in/on b 1"))),
        told(4, recalling(), "no ids"),
        spelled("söft 💥", token_ids=tuple(BYTES.encode("söft 💥"))),
    ],
)
def test_ids_that_spell_their_text(step):
    assert decodes(step, BYTES)


@pytest.mark.parametrize(
    "step",
    [
        spelled("open door", token_ids=(3, 4, 5)),
        spelled("open door", token_ids=tuple(BYTES.encode("open"))),
        spelled("door", token_ids=tuple(BYTES.encode("the door"))),
        spelled("open", token_ids=(*BYTES.encode("open"), 99_999)),
        spelled("open", token_ids=(*BYTES.encode("open"), -1)),
        spelled("open", rounds=(Round(completion="hm", token_ids=(1,)),)),
        spelled("go to bed 1", choice=Choice(index=0), token_ids=tuple(BYTES.encode("xyz"))),
        spelled("go", choice=Choice(index=0, score_kind="mean_logprob"), token_ids=tuple(BYTES.encode("ago"))),
    ],
)
def test_ids_that_do_not(step):
    assert not decodes(step, BYTES)


def test_the_answer_that_is_misspelled_is_named():
    first = Round(completion="hm", token_ids=tuple(BYTES.encode("hm")))
    step = spelled("open", rounds=(first, Round(completion="so", token_ids=(1,))))
    assert misspelled(step, BYTES) == ((1,), "so")


def test_another_models_tokenizer_is_found_out():
    other = tokenizer()
    other.add_tokens(["open"])
    step = sampled(0, recalling(), "open the door", other)
    assert decodes(step, other) and not decodes(step, BYTES)


# Files.


def mixed():
    call = ToolCall(id="c", name="add", arguments={"a": 1})
    with_ids = trajectory(sampled(0, recalling(), "open"), sampled(1, recalling(), "go"), ident="ids")
    calling = Step(index=0, observation="o", messages=(asked("1 + 1?"),), tool_calls=(call,))
    text = trajectory(told(0, recalling(), "öffne"), told(1, recalling(), "geh"), ident="text", success=None)
    broken = trajectory(ident="x", reward=None, failure=Failure(boundary="model", kind="k", message="m"))
    return [with_ids, trajectory(calling, ident="tools", reward=0.25), text, broken, trajectory(ident="empty")]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_rows_as_files_come_back_and_load_in_datasets(tmp_path, name):
    from datasets import load_dataset

    file = tmp_path / name
    done = export_rows(mixed(), file, form="step", tokenizer=BYTES)
    assert (done.rows, done.trajectories) == (5, 3)
    assert done.left_out == {"infrastructure": 1, "nothing to train on": 1}
    wanted = [row for found in mixed() for row in rows_of(found, form="step", tokenizer=BYTES)]
    assert list(read_rows(file)) == wanted
    kind = "parquet" if name.endswith("parquet") else "json"
    loaded = load_dataset(kind, data_files=str(file), split="train", cache_dir=str(tmp_path / "cache"))
    assert [tuple(one) for one in loaded["completion_ids"]] == [row.completion_ids for row in wanted]
    assert loaded["logprobs"][0] == [-0.5] * 5 and loaded["logprobs"][4] is None
    assert loaded["reward"] == [1.0, 1.0, 0.25, 1.0, 1.0] and loaded["success"][3:] == [None, None]
    assert [message["content"] for message in loaded[0]["messages"]][2:] == ["open"]
    assert loaded[2]["messages"][1]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 1}'}
    assert set(loaded["trajectory_id"]) == {"ids", "tools", "text"} and set(loaded["split"]) == {"train"}


def test_stripped_rows_say_so_in_files(tmp_path):
    step = sampled(0, recalling(), "open", recalled=("a",), recalled_text=NOTES)
    export_rows([trajectory(step)], tmp_path / "rows.jsonl", tokenizer=BYTES, strip=True)
    [row] = read_rows(tmp_path / "rows.jsonl")
    assert row.stripped and NOTES not in BYTES.decode(row.prompt_ids)
    assert NOTES not in (tmp_path / "rows.jsonl").read_text()


def test_the_chat_of_a_row_ends_with_its_own_answer(tmp_path):
    call = ToolCall(id="c", name="add", arguments={"a": 1})
    talk = (asked("1 + 1?"), Message(role="assistant", content="hm", tool_calls=(call,)), asked("2"))
    rounds = told(0, talk, "It is 2.", rounds=(Round(completion="hm", calls=("c",)),), tool_calls=(call,))
    export_rows([trajectory(rounds)], tmp_path / "rows.jsonl", form="step", tokenizer=BYTES)
    ends = [
        json.loads(line)["messages"][-1]["content"]
        for line in (tmp_path / "rows.jsonl").read_text().split("\n")
        if line
    ]
    assert ends == ["hm", "It is 2."]


def test_a_row_file_is_whole_or_not_there(tmp_path):
    ids = trajectory(sampled(0, recalling(), "open"))
    for name in ("rows.jsonl", "rows.parquet"):
        with pytest.raises(TrainingError, match="takes a tokenizer"):
            export_rows([ids, trajectory(told(0, recalling(), "x"))], tmp_path / name)
    assert list(tmp_path.iterdir()) == []
    partly = trajectory(*ids.steps, told(1, recalling(), "x"))
    assert export_rows([ids, partly], tmp_path / "all.gz.jsonl").left_out == {MIXED: 1}
    assert len(list(read_rows(tmp_path / "all.gz.jsonl"))) == 1
    with pytest.raises(ConfigError, match=r"Name it \.jsonl"):
        export_rows([ids], tmp_path / "rows.csv")
    export_rows([ids], tmp_path / "rows.jsonl")
    record = json.loads((tmp_path / "rows.jsonl").read_text())
    for broken in ({**record, "loss_mask": [1]}, {"prompt_ids": [1]}, [1]):
        (tmp_path / "rows.jsonl").write_text(f"{json.dumps(record)}\n{json.dumps(broken)}")
        with pytest.raises(ConfigError, match=r"rows\.jsonl, record 2"):
            list(read_rows(tmp_path / "rows.jsonl"))
    (tmp_path / "rows.jsonl.gz").write_bytes(damaged())
    with pytest.raises(ConfigError, match="no file of rows"):
        list(read_rows(tmp_path / "rows.jsonl.gz"))
    (tmp_path / "rows.parquet").write_text("no")
    with pytest.raises(ConfigError, match="no file of rows"):
        list(read_rows(tmp_path / "rows.parquet"))


def test_export_from_the_command_line(tmp_path):
    with Store.open(tmp_path / "store.db") as store:
        for found in mixed():
            store.finish(found)
    BYTES.save_pretrained(tmp_path / "model")

    def run(*arguments):
        return CliRunner().invoke(app, ["export", str(tmp_path / "store.db"), *map(str, arguments)])

    out = run(tmp_path / "a.parquet", "--rows", "episode", "--model", tmp_path / "model", "--json")
    assert json.loads(out.stdout)["rows"] == 5 and all(
        isinstance(row, Row) for row in read_rows(tmp_path / "a.parquet")
    )
    out = run(tmp_path / "a.jsonl", "--rows", "step", "--solved", "-m", tmp_path / "model")
    assert "3 rows written" in out.stdout and "1 trajectories left out: nothing to train on" in out.stdout
    out = run(tmp_path / "c.jsonl", "--form", "chat")
    assert "chats written" in out.stdout and "messages" in json.loads(
        (tmp_path / "c.jsonl").read_text().splitlines()[0]
    )
    assert "5 trajectories written" in run(tmp_path / "t.jsonl").stdout
    assert "takes a tokenizer" in str(run(tmp_path / "x.jsonl", "--rows", "step").exception)
    assert "two kinds" in str(run(tmp_path / "x.jsonl", "--rows", "step", "--form", "chat").exception)
    assert "are for rows" in str(run(tmp_path / "x.jsonl", "--model", "embedded").exception)
    assert "no model folder" in str(run(tmp_path / "x.jsonl", "--rows", "step", "--model", tmp_path / "no").exception)
    (tmp_path / "empty").mkdir()
    assert "tokenizer of" in str(run(tmp_path / "x.jsonl", "--rows", "step", "-m", tmp_path / "empty").exception)
    assert not (tmp_path / "x.jsonl").exists()
