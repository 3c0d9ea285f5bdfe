"""The evaluation file: what it names, what it leaves out, how it repeats, and what it refuses."""

import json

import pytest
from figures import episode
from lamarck.agent.tasksets import load_taskset
from lamarck.config import RunConfig
from lamarck.core import Release, Task
from lamarck.errors import ConfigError
from lamarck.evals.figures.contamination import contamination, public
from lamarck.evals.figures.contents import data_name, task_names
from lamarck.evals.figures.differences import differences
from lamarck.evals.figures.evaluation import NEW_MEMORY, Evaluation, record
from lamarck.evals.household import export_games
from lamarck.memory.items import make_item
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from lamarck.store_rows import insert_new
from lamarck.store_tables import ITEMS
from lamarck.task_contents import is_place


def described(config, **release):
    taskset = load_taskset(config.taskset.name, config.taskset.options)
    tasks = taskset.tasks(config.taskset.split, seed=config.taskset.seed, limit=config.taskset.limit)
    return Evaluation.of(config, taskset, tasks, Release.of(base_model="m", **release))


def configured(**flat):
    tree = {"taskset.name": "questions", "taskset.split": "test", "taskset.limit": 3}
    return RunConfig.load(None, {**tree, **{key.replace("__", "."): value for key, value in flat.items()}})


def games(folder):
    export_games(folder, split="train", size="tiny", games=3)
    return configured(taskset__name="alfworld", taskset__split="train", taskset__options__data=str(folder))


def test_it_names_what_it_is_and_not_where():
    one = described(configured())
    assert one.id == described(configured()).id == one.hashed() and len(one.tasks) == one.planned == 3
    for same in ({"collect__concurrency": 9}, {"model__retries": 1}, {"memory__path": "m"}, {"store": "x.db"}):
        assert described(configured(**same)).id == one.id, same
    # What is switched off can be set to anything.
    assert described(configured(memory__recall__select=9, sandbox__cpu=2.0, repair__trials=5)).id == one.id
    others = (
        {"collect__seed": 1},
        {"collect__samples": 2},
        {"taskset__seed": 1},
        {"taskset__limit": 2},
        {"taskset__split": "train"},
        {"taskset__options__tolerance": 0.1},
        {"solver__max_steps": 3},
        {"solver__max_tokens": 100},
        {"model__temperature": 0.5},
        {"model__max_tokens": 9},
    )
    ids = {one.id, *(described(configured(**other)).id for other in others)}
    assert len(ids) == 1 + len(others)
    assert described(configured(), memory_snapshot="kitchen@3").id not in ids


def test_a_release_made_later_is_the_same_one():
    early, late = (described(configured(), created_at=at) for at in (1.0, 2.0))
    assert early.id == late.id and differences(early, late) == []


def test_it_comes_back_from_its_file(tmp_path):
    one = described(configured(solver__max_steps=7, memory__path="kitchen", model__api_base="http://host:8000/v1"))
    one.write(tmp_path)
    assert Evaluation.read(tmp_path) == Evaluation.read(tmp_path / "evaluation.json") == one
    config = one.config({"collect.concurrency": 2, "taskset.options.data": "elsewhere"})
    assert config.solver.max_steps == 7 and config.collect.concurrency == 2 and config.memory.path == "kitchen"
    assert config.taskset.ids == tuple(one.tasks) and config.taskset.options["data"] == "elsewhere"
    with pytest.raises(ConfigError, match=r"solver\.max_steps would make it another evaluation"):
        one.config({"solver.max_steps": 8})


def test_options_can_only_be_moved():
    one = described(configured(taskset__options__tolerance=0.1))
    for key, value in (("taskset.options.tolerance", 0.5), ("taskset.options.size", "small"), ("baseline", "react")):
        with pytest.raises(ConfigError, match=f"{key} would make it another evaluation"):
            one.config({key: value})


def test_order_counts_where_a_memory_learns():
    def ordered(mode, *numbers):
        taskset = load_taskset("questions", {})
        known = {task.id: task for task in taskset.tasks("test", seed=0)}
        tasks = [known[f"questions/test/0/{number}"] for number in numbers]
        return Evaluation.of(configured(memory__mode=mode), taskset, tasks, Release.of(base_model="m"))

    assert ordered("off", 0, 1).id == ordered("off", 1, 0).id
    assert ordered("learn", 0, 1).id == ordered("learn", 0, 1).id != ordered("learn", 1, 0).id
    [line] = differences(ordered("learn", 0, 1), ordered("learn", 1, 0))
    assert line.startswith("tasks: in another order")
    assert differences(ordered("off", 0, 1), ordered("off", 1, 0)) == []


def test_a_memory_that_was_new_is_new_again():
    learnt = configured(memory__mode="learn", memory__path="kitchen")
    assert described(learnt, memory_snapshot=NEW_MEMORY).config().memory.path is None
    assert described(learnt, memory_snapshot="m@7, learning").config().memory.path == "kitchen"


def test_passwords_stay_out_of_the_file():
    one = described(configured(memory__store="postgresql://me:secret@host/db", memory__mode="read", memory__path="m"))
    assert "secret" not in one.model_dump_json() and one.places == {"memory.path": "m"}


def test_damaged_and_changed_files_are_refused(tmp_path):
    file = described(configured()).write(tmp_path)
    plain = json.loads(file.read_text())
    for change, words in (
        ({"samples": 4}, "was changed after it was written"),
        ({"release": {**plain["release"], "base_model": "better"}}, "was changed after it was written"),
        ({"surprise": 1}, "is no evaluation: surprise"),
    ):
        file.write_text(json.dumps({**plain, **change}))
        with pytest.raises(ConfigError, match=words):
            Evaluation.read(file)
    file.write_text(json.dumps({**plain, "places": {"memory.path": "moved"}}))
    assert Evaluation.read(file).places == {"memory.path": "moved"}
    with pytest.raises(ConfigError, match="cannot read evaluation"):
        Evaluation.read(tmp_path / "gone.json")


def test_data_is_named_by_what_is_in_it(tmp_path):
    one, moved = games(tmp_path / "here"), games(tmp_path / "there")
    first, second = described(one), described(moved)
    assert first.id == second.id and first.places != second.places and first.data is None
    file = next((tmp_path / "there").rglob("*.tw-pddl"))
    file.write_text(file.read_text() + " ")
    assert described(moved).id != first.id
    taskset = load_taskset("alfworld", moved.taskset.options)
    with pytest.raises(ConfigError, match="1 of its 3 tasks have changed, the first is alfworld/train/"):
        first.check(taskset, moved.taskset, taskset.tasks("train"))
    with pytest.raises(ConfigError, match="1 of its 3 tasks are missing"):
        first.check(load_taskset("alfworld", one.taskset.options), one.taskset, taskset.tasks("train")[:2])
    same = load_taskset("alfworld", one.taskset.options)
    first.check(same, one.taskset, same.tasks("train"))


def test_it_is_the_same_wherever_one_stands(tmp_path, monkeypatch):
    config = games(tmp_path / "data")
    one, taskset = described(config), load_taskset("alfworld", config.taskset.options)
    task = taskset.tasks("train")[0]
    # Where the game's name is a path that leads to it.
    monkeypatch.chdir(str(taskset.path(task)).removesuffix(task.options["game"]))
    assert described(config).tasks == one.tasks


def test_data_that_no_task_names_counts_whole(tmp_path):
    file = tmp_path / "q.jsonl"
    file.write_text('{"question": "1 + 1?", "answer": "2"}\n')
    config = configured(taskset__split="train", taskset__options__data=str(file))
    before = described(config)
    file.write_text('{"question": "1 + 1?", "answer": "2"}\n\n')
    assert described(config).tasks == before.tasks and described(config).data != before.data

    class Shop:
        name = "shop"

    folder = tmp_path / "folder"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "items.json").write_text("[]")
    name = data_name(Shop(), {"data": str(folder)})
    (folder / ".cache").write_text("what is hidden does not count")
    assert data_name(Shop(), {"data": str(folder)}) == name
    (folder / "deep" / "items.json").rename(folder / "items.json")
    assert data_name(Shop(), {"data": str(folder)}) != name
    assert data_name(Shop(), {"size": "tiny"}) is None
    Shop.fingerprint = lambda self: "mine"
    assert data_name(Shop(), {"data": str(folder)}) == "mine"


def test_places_and_ids(tmp_path):
    assert is_place("data", "gone") and is_place("url", "http://host:1") and is_place("anything", str(tmp_path))
    assert not is_place("size", "tiny") and not is_place("games", 12) and not is_place("id", "CartPole-v1.5")
    task = Task(id="t", goal="g", environment="e")
    with pytest.raises(ConfigError, match="two tasks the id 't'"):
        task_names(load_taskset("questions", {}), [task, task])


def test_a_resumed_run_has_the_tasks_it_was_begun_with(tmp_path):
    config = games(tmp_path / "data")
    begun = record(tmp_path, described(config))
    assert record(tmp_path, described(config)).created_at == begun.created_at
    file = next((tmp_path / "data").rglob("*.tw-pddl"))
    file.write_text(file.read_text() + " ")
    with pytest.raises(ConfigError, match=r"cannot resume .*: tasks: 1 changed"):
        record(tmp_path, described(config))


def test_differences_are_said_once():
    old = described(configured(), settings={"temperature": 0.0}, memory_snapshot="kitchen@3")
    new = described(
        configured(model__temperature=0.5, solver__max_tokens=9, taskset__limit=2), settings={"temperature": 0.5}
    )
    new = new.model_copy(update={"version": "9.9"})
    assert differences(old, new) == [
        "release, memory_snapshot: 'kitchen@3' -> None",
        "release, settings.temperature: 0.0 -> 0.5",
        f"package version: {old.version} -> 9.9",
        "tasks: 1 missing, the first is questions/test/0/2",
        "budget.max_tokens: None -> 9",
    ]


def test_contamination_by_id_content_and_goal(tmp_path):
    seen = [episode(f"t{n}") for n in range(3)]
    with Store.open(tmp_path / "store.db") as store:
        for one in seen:
            store.finish(one)
        item = make_item("principle", "Goal of t7", "Look first.")
        row = {"id": item.id, "seq": 1, "kind": "principle", "text_id": "x", "created_at": 0.0}
        store.write("item", lambda c: insert_new(c, ITEMS, {**row, "body": item.model_dump_json()}))
    tasks = {
        "t0": seen[0].task,
        "t1": seen[1].task.model_copy(update={"goal": "another goal"}),
        "t7": Task(id="t7", goal="goal of t7", environment="e"),
        "t8": Task(id="t8", goal="goal of t8", environment="e"),
    }
    found = contamination("household", {}, tasks, memory_mode="learn", memory=tmp_path, samples=2)
    [one] = found.overlaps
    assert (one.tasks, one.items, one.same_id, one.same_content, one.same_goal) == (3, 1, 2, 1, 2)
    assert len(found.notes) == 3 and any("2 of the evaluated ones by id" in line for line in found.lines())
    assert contamination("household", {}, tasks).overlaps == ()
    with pytest.raises(ConfigError, match="no run, no memory and no store"):
        contamination("household", {}, tasks, seen=[tmp_path.parent])
    assert "public since 2022" in public("webshop", {"data": "x"}) and "public" in public("questions", {"data": "x"})
    assert "from a seed" in public("questions", {}) == public("webshop", {}).replace("webshop", "questions")
    assert "not known" in public("mine:World", {})


def test_an_evaluation_of_a_run_directory_is_beside_its_configuration(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.create(configured(), resume=False)
    record(directory.path, described(configured()))
    assert sorted(path.name for path in directory.path.iterdir()) == ["evaluation.json", "logs", "run.id", "run.toml"]
