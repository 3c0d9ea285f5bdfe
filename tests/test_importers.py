"""Other people's episodes: every line is read or named, nothing twice, and nothing of them is lost."""

import json
import random
from pathlib import Path

import pytest
from chats import embedded_or_own, tokenizer
from lamarck.cli.app import app
from lamarck.core import Message, Round, Step, Task, ToolCall, Trajectory
from lamarck.errors import ConfigError
from lamarck.store import Store
from lamarck.store_io import entries, export_trajectories, import_trajectories
from lamarck.training.chat_files import chats, export_chats
from lamarck.training.importers import chat, knowagent_alfworld, react_webshop
from lamarck.training.importers.importer import Given
from lamarck.training.importers.table import detect, reader
from lamarck.training.rows import rows_of
from typer.testing import CliRunner

SHARED = Path(__file__).parents[2] / "shared" / "data" / "trajectories"
REACT = {
    "session": "fixed_3",
    "instruction": "i want a red lamp",
    "reward": 0.5,
    "success": False,
    "steps": [
        {"action": "reset", "observation": "Webshop\ni want a red lamp\n[Search]"},
        {"action": "search[red lamp]", "observation": "[B01]\nLamp"},
        {"action": "think[B01 is a lamp.]", "observation": "OK."},
        {"action": "click[B02]", "observation": "Invalid action!"},
        {"action": "click[Buy Now]", "observation": "Your score (min 0.0, max 1.0): 0.5"},
    ],
}
KNOW = {
    "name": "pick_and_place_simple-Cup-None-Shelf-1/trial_T1",
    "result": True,
    "traj": "You see a shelf 1.\nYour task is to: put some cup on shelf.\n"
    "> Think: First find it.\n> ActionPath: Start\n> go to shelf 1\nOn it is\na cup 1.\n"
    "> take cup 1\nNothing happens.\n> Think: Now (\nThe shelf 1 is open.\n"
    "> put cup 1 in/on shelf 1\nYou put it.\n",
}
CHAT = {
    "messages": [
        {"role": "developer", "content": "You add."},
        {"role": "user", "content": [{"type": "text", "text": "1 "}, {"type": "text", "text": "+ 1?"}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"x": 1, "y": 1}'}},
                {"id": "b", "type": "function", "function": {"name": "add", "arguments": "no json"}},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "error"},
        {"role": "tool", "tool_call_id": "a", "content": "2"},
        {"role": "assistant", "content": "It is 2."},
        {"role": "user", "content": "Thanks."},
        {"role": "assistant", "content": "Bye.", "weight": 0},
    ],
    "id": 7,
    "reward": 0.5,
    "success": True,
    "model": "m",
    "colour": "red",
}
FORMATS = {
    "react-webshop": (react_webshop, REACT),
    "knowagent-alfworld": (knowagent_alfworld, KNOW),
    "chat": (chat, CHAT),
}


def lines(name, own, count):
    """Return the published file's lines if it is there, else some made from our own example."""
    file = SHARED / name
    if file.is_file():
        return file.read_bytes().splitlines()
    key = next(iter(own))
    return [json.dumps({**own, key: f"{own[key]}{n}"}).encode() for n in range(count)]


def read(found, entry, given=None):
    return found.read(json.dumps(entry), given or Given())


def test_all_episodes_of_react(tmp_path):
    texts = lines("react_webshop_400.jsonl", REACT, 40)
    raw = [json.loads(text) for text in texts]
    file = tmp_path / "file.jsonl"
    file.write_bytes(b"\n".join(texts))
    make = reader(file)
    found = [make(text) for _, text in entries(file)]
    file.write_bytes(b"\n".join(texts[:40]))
    with Store.open(tmp_path / "store.db") as store:
        report, again = (import_trajectories(store, file, reader(file)) for _ in range(2))
        assert sorted(store.trajectories(split="test"), key=str) == sorted(found[:40], key=str)
    assert (report.new, report.same, report.refused) == (40, 0, [])
    assert (again.new, again.same, again.refused) == (0, 40, [])
    assert len({one.id for one in found}) == len(raw)
    assert sum(bool(one.success) for one in found) == sum(entry["success"] for entry in raw)
    assert sum(one.reward for one in found) == pytest.approx(sum(entry["reward"] for entry in raw))
    assert all(one.reward == sum(step.reward for step in one.steps) for one in found)
    actions = sorted([step.completion for step in one.steps] for one in found)
    assert actions == sorted([step["action"] for step in entry["steps"][1:]] for entry in raw)
    for one in found:
        assert all(step.messages[-1].role == "user" and not step.token_ids for step in one.steps)
        assert all((step.action is None) == step.completion.startswith("think[") for step in one.steps)
    tokens = embedded_or_own()
    for one in found[:3]:
        [row] = rows_of(one, tokenizer=tokens)
        assert set(row.steps) == set(range(len(one.steps)))


def test_all_episodes_of_knowagent():
    texts = lines("knowagent_alfworld_510.jsonl", KNOW, 40)
    raw = [json.loads(text) for text in texts]
    found = [knowagent_alfworld.read(text, Given()) for text in texts]
    assert len({one.id for one in found}) == len(raw) and {one.task.split for one in found} == {"train"}
    assert sum(bool(one.success) for one in found) == sum(entry["result"] for entry in raw)
    assert sum(one.reward for one in found) == sum(entry["result"] for entry in raw)
    for one, entry in zip(found, raw, strict=True):
        told = [one.steps[0].observation]
        answers = [*(step.messages[-1].content for step in one.steps[1:]), one.final_observation]
        for step, answer in zip(one.steps, answers, strict=True):
            told += [f"> {line}" for line in step.completion.split("\n")] + [answer]
        # Nothing of the text is lost, nothing comes in but the line breaks.
        assert "".join("\n".join(told).split("\n")) == "".join(entry["traj"].split("\n"))
    tokens = embedded_or_own()
    for one in found[:3]:
        [row] = rows_of(one, tokenizer=tokens)
        assert set(row.steps) == set(range(len(one.steps)))


def test_an_episode_of_react_by_hand():
    one = read(react_webshop, REACT)
    assert (one.task.id, one.task.split, one.task.goal) == ("webshop/react/fixed_3", "test", "i want a red lamp")
    assert [step.action for step in one.steps] == ["search[red lamp]", None, "click[B02]", "click[Buy Now]"]
    assert [step.validity for step in one.steps] == ["valid", "valid", "not_admissible", "valid"]
    assert [step.reward for step in one.steps] == [0, 0, 0, 0.5] and one.steps[3].terminated
    first = "Webshop\ni want a red lamp\n[Search]"
    assert [step.observation for step in one.steps] == [first, "[B01]\nLamp", "[B01]\nLamp", "Invalid action!"]
    talk = [first, "search[red lamp]", "[B01]\nLamp", "think[B01 is a lamp.]", "OK."]
    assert [message.content for message in one.steps[2].messages] == talk
    assert (one.stop, one.success, one.score) == ("terminated", False, 0.5)
    ended = read(react_webshop, {**REACT, "steps": REACT["steps"][:3]})
    assert ended.stop == "max_steps" and not ended.steps[-1].terminated


def test_an_episode_of_knowagent_by_hand():
    one = read(knowagent_alfworld, KNOW)
    assert one.task.id == "alfworld/json_2.1.1/train/pick_and_place_simple-Cup-None-Shelf-1/trial_T1"
    assert (one.task.goal, one.task.category) == ("put some cup on shelf", "pick_and_place_simple")
    assert one.meta["grammar"] == "put X in/on Y"
    assert [(step.completion, step.action, step.validity) for step in one.steps] == [
        ("Think: First find it.\nActionPath: Start\ngo to shelf 1", "go to shelf 1", "valid"),
        ("take cup 1", "take cup 1", "no_effect"),
        ("Think: Now (", None, "unparseable"),
        ("put cup 1 in/on shelf 1", "put cup 1 in/on shelf 1", "valid"),
    ]
    assert [step.observation for step in one.steps[1:]] == [
        "On it is\na cup 1.",
        "Nothing happens.",
        "The shelf 1 is open.",
    ]
    assert one.final_observation == "You put it." and one.steps[-1].reward == 1.0 and one.steps[-1].terminated
    lost = read(knowagent_alfworld, {**KNOW, "result": False, "traj": KNOW["traj"] + "> Think: done\n"})
    assert (lost.stop, lost.reward, lost.success) == ("max_steps", 0.0, False)
    assert (lost.steps[-1].completion, lost.steps[-1].action, lost.steps[-1].validity) == ("Think: done", None, "valid")


def test_a_chat_by_hand():
    one = read(chat, CHAT)
    first, second = one.steps
    assert [(m.role, m.content) for m in first.messages] == [("system", "You add."), ("user", "1 + 1?")]
    assert first.action is None and first.completion == "" and first.observation == "1 + 1?"
    assert [(c.id, c.name, c.arguments, c.result) for c in first.tool_calls] == [
        ("a", "add", {"x": 1, "y": 1}, "2"),
        ("b", "add", "no json", "error"),
    ]
    assert [m.tool_call_id for m in second.messages] == [None, None, None, "b", "a"]
    assert (second.completion, second.action, second.observation) == ("It is 2.", "It is 2.", "2")
    assert (first.reward, second.reward, one.reward, one.success) == (0.0, 0.5, 0.5, True)
    assert second.terminated and one.final_observation == "Thanks." and first.model == "m"
    assert one.meta == {"imported": "chat", "id": 7, "colour": "red"}
    assert one.task.goal == "1 + 1?" and one.task.split == "train" and one.task.environment == "chat"
    rows = rows_of(one, form="step", tokenizer=tokenizer())
    assert [row.steps[0] for row in rows] == [0, 1]


def short(*answers, **more):
    talk = [{"role": "user", "content": "hi"}]
    for answer in answers:
        talk += [{"role": "assistant", **answer}, {"role": "user", "content": "on"}]
    return {"messages": talk[:-1], **more}


def test_outcomes_of_chats():
    plain = short({"content": "a"}, {"content": "b"})
    one = read(chat, plain)
    assert (one.reward, one.success, one.score) == (0.0, None, None)
    assert read(chat, plain, Given(success=True)).success is True
    assert read(chat, plain, Given(success=True)).reward == 1.0
    assert read(chat, {**plain, "success": False}, Given(success=True)).success is False
    scored = read(chat, {**plain, "score": 0.25})
    assert (scored.reward, scored.score) == (0.25, 0.25) and scored.steps[1].reward == 0.25
    rewarded = short({"content": "a", "reward": 0.5}, {"content": "b", "reward": -1}, reward=-0.5)
    assert [step.reward for step in read(chat, rewarded).steps] == [0.5, -1.0]
    assert read(chat, {**rewarded, "reward": None}).reward == -0.5
    named = read(chat, {**plain, "task": 5, "group": "g", "goal": "be kind", "split": "dev", "environment": "e"})
    assert (named.task.id, named.group_id, named.task.goal, named.task.split) == ("5", "g", "be kind", "dev")
    assert read(chat, plain, Given(split="x")).task.split == "x"


def test_chats_about_the_same_are_one_group():
    one, other = read(chat, short({"content": "a"})), read(chat, short({"content": "b"}))
    assert one.id != other.id and one.task.id == other.task.id and one.group_id == other.group_id
    assert (
        read(chat, {"messages": [{"role": "user", "content": "ho"}, {"role": "assistant", "content": "a"}]}).group_id
        != one.group_id
    )
    assert (
        read(chat, dict(reversed(short({"content": "a"}, id=1).items()))).id
        == read(chat, short({"content": "a"}, id=1)).id
    )


def test_older_shapes_of_chats():
    talk = [
        {"role": "assistant", "content": "Hello, I greet first."},
        {"role": "user", "content": "1 + 1?"},
        {"role": "assistant", "function_call": {"name": "add", "arguments": "{}"}},
        {"role": "function", "name": "add", "content": "2"},
        {"role": "assistant", "reasoning_content": "easy", "content": "2"},
    ]
    first, second = read(chat, {"messages": talk}).steps
    [call] = first.tool_calls
    assert call.id and call.result == "2" and second.messages[-1].tool_call_id == call.id
    assert second.completion == "<think>easy</think>2" and len(first.messages) == 2


BROKEN = {
    "react-webshop": [
        ({**REACT, "reward": "much"}, "reward"),
        ({**REACT, "steps": [{"action": "reset"}]}, "steps.0.observation: field required"),
        ({**REACT, "steps": REACT["steps"][1:]}, "the first one is the reset"),
        ({**REACT, "reward": float("nan")}, "reward"),
    ],
    "knowagent-alfworld": [
        ({**KNOW, "traj": "> go"}, "no line `Your task is to"),
        ({**KNOW, "traj": "Your task is to: x.\nand that is all"}, "no answer of the model"),
        ({**KNOW, "result": None}, "result"),
    ],
    "chat": [
        ({"messages": []}, "messages: tuple should have at least 1 item"),
        ({"messages": [{"role": "user", "content": "x"}]}, "no answer of the assistant"),
        ({"messages": [{"role": "alien", "content": "x"}]}, "messages.0.role"),
        (short({"content": [{"type": "image_url", "image_url": {}}]}), "content"),
        (short({"content": "a", "weight": 0}), "no answer of the assistant"),
        (short({"content": "a", "reward": 1}, reward=0.5), "it is 0.5, and those of the messages add up to 1"),
        (short({"content": "a"}, score=2), "score"),
        (short({"content": "\ud800"}), "invalid json"),
    ],
}


@pytest.mark.parametrize("name", list(FORMATS))
def test_broken_lines_are_named_and_the_others_read(tmp_path, name):
    good = json.dumps(FORMATS[name][1])
    broken = [*(json.dumps(entry) for entry, _ in BROKEN[name]), "{", "[1]", "[" * 100_000, "{}"]
    file = tmp_path / "file.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([good, "", *broken, good]).encode() + b'\n{"\xff": 1}')
    with Store.open(tmp_path / "store.db") as store:
        report = import_trajectories(store, file, reader(file))
        assert store.counts()["trajectories"] == 1
    assert (report.new, report.same, len(report.refused)) == (1, 1, len(broken) + 1)
    for number, (said, (_, words)) in enumerate(zip(report.refused, BROKEN[name], strict=False), 3):
        assert f"entry {number}: " in said and words in said and "\n" not in said


def test_whatever_stands_in_a_file_each_line_is_read_or_named(tmp_path):
    draw = random.Random(5)
    values = [None, True, -1, 0, 10**40, 1e308, "", "x" * 50, "\x00", "💥", [], {}, [[]], {"role": "user"}, "NaN"]

    def changed(value):
        if draw.random() < 0.01:
            return draw.choice(values)
        if isinstance(value, dict):
            return {k: changed(v) for k, v in value.items() if draw.random() > 0.005}
        if isinstance(value, list):
            return [changed(v) for v in value if draw.random() > 0.02]
        return value

    tokens = tokenizer()
    for name, (_, entry) in FORMATS.items():
        texts = []
        for _ in range(150):
            text = bytearray(json.dumps(changed(entry)).encode())
            for _ in range(draw.choice([0, 0, 0, 1, 3])):
                text[draw.randrange(len(text))] = draw.randrange(11, 256)
            texts.append(bytes(text))
        file = tmp_path / f"{name}.jsonl"
        file.write_bytes(b"\n".join(texts))
        with Store.open(tmp_path / f"{name}.db") as store:
            report = import_trajectories(store, file, reader(file, name))
            again = import_trajectories(store, file, reader(file, name))
            assert report.new + report.same + len(report.refused) == len([text for text in texts if text.strip()])
            assert (again.new, again.refused) == (0, report.refused)
            for one in store.trajectories():
                rows_of(one, tokenizer=tokens)
        assert min(report.new, report.same, len(report.refused)) > 5


def test_the_format_is_told_by_the_first_entry(tmp_path):
    file = tmp_path / "file.jsonl"
    for name, (_, entry) in FORMATS.items():
        file.write_text(f"\n{{broken\n[1]\n{json.dumps(entry)}")
        assert detect(file) == name
    with Store.open(tmp_path / "store.db") as store:
        store.finish(read(chat, CHAT))
        export_trajectories(store, tmp_path / "own.jsonl")
        export_trajectories(store, tmp_path / "own.parquet")
    assert detect(tmp_path / "own.jsonl") == detect(tmp_path / "own.parquet") == "lamarck"
    file.write_text("")
    assert detect(file) == "lamarck"
    file.write_text('{"question": 1, "answer": 2}')
    with pytest.raises(ConfigError, match=r"cannot tell the format of .*answer, question.*--format"):
        reader(file)
    with pytest.raises(ConfigError, match="there is no format 'x'; there are: auto, lamarck"):
        reader(file, "x")
    with pytest.raises(ConfigError, match="say for themselves"):
        reader(tmp_path / "own.jsonl", given=Given(split="train"))
    with pytest.raises(ConfigError, match="there is no file"):
        reader(tmp_path / "gone.jsonl")


def test_import_from_the_command_line(tmp_path):
    file, store_file = tmp_path / "file.jsonl", tmp_path / "store.db"
    file.write_text("\n".join(json.dumps(short({"content": text})) for text in "abc") + "\n{}")

    def run(*arguments):
        return CliRunner().invoke(app, ["import", *map(str, arguments)])

    out = run(file, "--store", store_file, "--solved", "--split", "mine", "--json")
    said = json.loads(out.stdout)
    assert (said["new"], said["same"], len(said["refused"]), out.exit_code) == (3, 0, 1, 1)
    with Store.open(store_file, create=False) as store:
        assert {(one.task.split, one.success) for one in store.headers()} == {("mine", True)}
    file.write_text(json.dumps(REACT))
    assert "1 new, 0 already there, 0 refused" in run(file, "--store", store_file, "--format", "auto").stdout
    assert isinstance(run(file, "--store", store_file, "--format", "odd").exception, ConfigError)


# And back again.


def random_chat(draw):
    talk = [{"role": "system", "content": "s"}] if draw.random() < 0.5 else []
    talk.append({"role": "user", "content": draw.choice("abc")})
    for number in range(draw.randrange(1, 5)):
        if draw.random() < 0.4:
            call = {"id": f"c{number}", "type": "function", "function": {"name": "f", "arguments": '{"x": "ö"}'}}
            talk.append({"role": "assistant", "content": draw.choice(["", "hm"]), "tool_calls": [call]})
            talk.append({"role": "tool", "tool_call_id": f"c{number}", "content": "1"})
        if draw.random() < 0.2:
            talk.append({"role": "assistant", "content": "skipped", "weight": 0})
        talk.append({"role": "assistant", "content": draw.choice("xyz"), **draw.choice([{}, {"reward": 0.5}])})
        talk.append({"role": "user", "content": draw.choice("abc")})
    known = draw.choice([{}, {"success": True}, {"score": 0.5}, {"group": "g", "task": "t"}])
    return {"messages": talk[:-1], **known}


def test_chats_survive_the_way_out_and_in(tmp_path):
    draw = random.Random(3)
    before = [read(chat, random_chat(draw)) for _ in range(60)]
    assert export_chats(before, tmp_path / "chats.jsonl.gz") == 60
    with Store.open(tmp_path / "store.db") as store:
        file = tmp_path / "chats.jsonl.gz"
        assert import_trajectories(store, file, reader(file)).refused == []
        after = {one.meta["id"]: one for one in store.trajectories()}
    for one in before:
        back = after[one.id]
        assert back.steps == one.steps and back.task == one.task and back.group_id == one.group_id
        assert (back.reward, back.success, back.score) == (one.reward, one.success, one.score)


def test_a_task_without_a_split_comes_back_without_one(tmp_path):
    one = read(chat, short({"content": "a"}), Given(split=""))
    [line] = chats(one)
    assert line["split"] == "" == read(chat, line).task.split


def test_each_answer_is_learned_once_where_prompts_were_rebuilt():
    def message(role, content):
        return Message(role=role, content=content)

    asking = Message(role="assistant", content="", tool_calls=(ToolCall(id="c", name="f"),))
    start = message("user", "door")
    second = (start, message("assistant", "a"), message("user", "lock"))
    third = (message("user", "door, lock"), message("assistant", "b"), message("user", "key"))
    steps = (
        Step(index=0, observation="o", messages=(start,), completion="a", action="a", reward=0.25),
        Step(index=1, observation="o", messages=second, completion="b", action="b"),
        Step(
            index=2,
            observation="o",
            messages=(*third, asking, message("tool", "1")),
            completion="c",
            action="c",
            rounds=(Round(calls=("c",)),),
            tool_calls=(ToolCall(id="c", name="f", result="1"),),
            reward=0.75,
        ),
    )
    task = Task(id="x", goal="g", environment="e", split="train")
    one = Trajectory(id="t", run_id="r", task=task, steps=steps, stop="terminated", reward=1.0, success=True)
    first, other = chats(one)
    assert (first["id"], other["id"], first["reward"], other["success"]) == ("t/0", "t/1", 1.0, True)
    assert [m["content"] for m in first["messages"]] == ["door", "a", "lock", "b"]
    assert [m.get("weight") for m in first["messages"]] == [None] * 4
    assert [m.get("weight") for m in other["messages"]] == [None, 0, None, None, None, None]
    learned = [step.completion for line in (first, other) for step in read(chat, line).steps]
    assert learned == ["a", "b", "", "c"]
