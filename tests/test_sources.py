"""Sources: every form of store, each attempt once, nothing that infrastructure ended, one line for what is wrong."""

import random
import sqlite3

import pytest
from lamarck.config import RunConfig
from lamarck.config_training import TrainConfig
from lamarck.errors import ConfigError, StoreError, TrainingError
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from lamarck.store_io import export_trajectories
from lamarck.training.sources import Sources, kind_of, load_sources
from stored import CRASH, attempt, change, store

TWO = (attempt("one", "open red", task="a"), attempt("two", "look left", "open blue", task="b", won=0.0))


def config(*stores, kind="grpo", **samples):
    return TrainConfig(kind=kind, stores=stores, samples=samples)


def run(folder, *attempts):
    """Make a run directory with attempts in its store."""
    directory = RunDirectory(folder)
    directory.create(RunConfig(), resume=False)
    own = [one.model_copy(update={"run_id": directory.run_id}) for one in attempts]
    store(directory.store_path, *own)
    return str(folder)


def idents(found):
    return [one.id for one in found.trajectories]


def test_every_form_of_store_gives_the_same(tmp_path):
    db = store(tmp_path / "bare.db", *TWO)
    places = [db, str((tmp_path / "imported" / "store.db").parent), f"sqlite:///{db}"]
    store(tmp_path / "imported" / "store.db", *TWO)
    for name in ("all.jsonl", "all.jsonl.gz", "all.parquet"):
        with Store.open(db) as opened:
            export_trajectories(opened, tmp_path / name)
        places.append(str(tmp_path / name))
    for place in places:
        found = load_sources(config(place))
        assert found.trajectories == TWO, place
        assert (found.left_out, found.runs) == ({}, ("r",))
    assert [kind_of(place) for place in places] == ["store", "folder", "store", "file", "file", "file"]


def test_a_run_gives_its_own_attempts_only(tmp_path):
    place = run(tmp_path / "run", *TWO)
    store(RunDirectory(place).store_path, attempt("other", "open red", run="another"))
    found = load_sources(config(place))
    assert idents(found) == ["one", "two"]
    assert found.runs == (RunDirectory(place).run_id,) and found.places == (place,)
    assert len(load_sources(config(str(tmp_path / "run" / "store.db"))).trajectories) == 3


def test_the_order_hangs_on_what_was_played_and_not_on_when(tmp_path):
    """Of two runs in one store, each with two tasks and two samples, that ended in any order."""
    began = {"r": 0.0, "s": 100.0}
    wanted = [(run, task, sample) for run in "rs" for task in "ab" for sample in range(2)]
    played = [attempt(f"{run}{task}{n}", "look left", task=task, run=run, sample=n) for run, task, n in wanted]
    for seed in range(3):
        times = random.Random(seed).sample(range(50), len(played))
        drawn = [
            one.model_copy(update={"started_at": began[one.run_id] + at}) for one, at in zip(played, times, strict=True)
        ]
        place = store(tmp_path / f"{seed}.db", *random.Random(seed).sample(drawn, len(drawn)))
        assert idents(load_sources(config(place))) == [one.id for one in played]
        with Store.open(place) as opened:
            export_trajectories(opened, tmp_path / f"{seed}.jsonl")
        assert idents(load_sources(config(str(tmp_path / f"{seed}.jsonl")))) == [one.id for one in played]


def test_the_same_attempt_in_two_stores_counts_once(tmp_path):
    first, second = store(tmp_path / "a.db", TWO[0]), store(tmp_path / "b.db", *TWO)
    found = load_sources(config(first, second, first))
    assert idents(found) == ["one", "two"]
    assert found.left_out == {"read already": 2}


def test_two_stores_that_disagree(tmp_path):
    first = store(tmp_path / "a.db", TWO[0])
    second = store(tmp_path / "b.db", attempt("one", "open red", task="a", won=0.5))
    with pytest.raises(TrainingError) as caught:
        load_sources(config(first, second))
    assert str(caught.value) == (
        f"trajectory one in {second} is not the one of this id in {first}. Train from one of the two."
    )


def test_what_is_left_out_is_counted_and_why(tmp_path):
    place = store(
        tmp_path / "s.db",
        *TWO,
        attempt("test", "open red", split="test"),
        attempt("none", "open red", split=""),
        attempt("far", "open red", task="c"),
        attempt("ended", "open red", task="a", failure=CRASH),
        attempt("empty", "open red", task="a").model_copy(update={"steps": ()}),
    )
    found = load_sources(config(place, tasks=("a", "b")))
    assert idents(found) == ["one", "two"]
    assert found.left_out == {
        "of split test": 1,
        "of split '' (none)": 1,
        "at other tasks": 1,
        "ended by infrastructure": 1,
        "without a step": 1,
    }
    assert sorted(idents(load_sources(config(place, splits=())))) == ["far", "none", "one", "test", "two"]
    solved = load_sources(config(place, kind="sft", tasks=("a", "b")))
    assert idents(solved) == ["one"] and solved.left_out["not solved"] == 1


def test_steps_of_what_is_left_out_are_never_read(tmp_path):
    place = store(tmp_path / "s.db", *TWO, *(attempt(f"skip{n}", "open red", split="test") for n in range(5)))
    damage(place, "skip")
    assert idents(load_sources(config(place))) == ["one", "two"]


def test_a_damaged_attempt_is_left_out_and_named(tmp_path):
    place = store(tmp_path / "s.db", *TWO)
    damage(place, "one")
    said = []
    found = load_sources(config(place), said.append)
    assert idents(found) == ["two"] and found.left_out == {"unreadable": 1}
    assert said[-1] == f"trajectory one in {place} is damaged and left out: steps of one in {place} are damaged."


def test_what_is_damaged_in_one_store_is_taken_from_another(tmp_path):
    spoilt, whole = store(tmp_path / "a.db", *TWO), store(tmp_path / "b.db", *TWO)
    damage(spoilt, "one")
    found = load_sources(config(spoilt, whole))
    assert idents(found) == ["two", "one"] and found.left_out == {"unreadable": 1, "read already": 1}


def damage(place, start):
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE steps SET body = x'00' WHERE trajectory_id LIKE ?", (f"{start}%",))
    connection.close()


def test_unreadable_lines_are_named_and_the_rest_taken(tmp_path):
    file = tmp_path / "mine.jsonl"
    file.write_text(TWO[0].model_dump_json() + "\n{}\nnot json\n", encoding="utf-8")
    said = []
    found = load_sources(config(str(file)), said.append)
    assert idents(found) == ["one"] and found.left_out == {"unreadable": 2}
    assert said[1] == f"{file}, entry 2, is no trajectory: id: field required"
    more = tmp_path / "more.jsonl"
    more.write_text(TWO[1].model_dump_json() + "\n{}\n{}\n{}\n", encoding="utf-8")
    assert idents(load_sources(config(str(more), str(file)))) == ["two", "one"]
    assert idents(load_sources(config(str(file), str(more)))) == ["one", "two"]
    more.write_text("{}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"more\.jsonl, entry 1, is no trajectory"):
        load_sources(config(str(file), str(more)))
    file.write_text('{"messages": []}\n', encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_sources(config(str(file)))
    assert str(caught.value) == (
        f"{file}, entry 1, is no trajectory: id: field required. `lamarck import` reads other formats into a store."
    )


def test_attempts_without_a_group_share_that_of_run_and_task():
    one, two = (attempt(name, "open red", group_id="") for name in ("x", "y"))
    other = attempt("z", "open red", run="s", group_id="")
    named = attempt("n", "open red", group_id="g")
    groups = Sources((one, other, named, two)).groups()
    assert [[found.id for found in group] for group in groups] == [["x", "y"], ["z"], ["n"]]


def test_nothing_that_infrastructure_ended_is_ever_read(tmp_path):
    draw = random.Random(5)
    for number in range(4):
        attempts = [
            attempt(
                f"{number}-{n}",
                "open red",
                task=draw.choice("ab"),
                split=draw.choice(("train", "test")),
                failure=draw.choice((None, CRASH)),
            )
            for n in range(draw.randrange(1, 9))
        ]
        wanted = [one.id for one in attempts if one.failure is None and one.task.split == "train"]
        db = store(tmp_path / f"{number}.db", *attempts)
        with Store.open(db) as opened:
            export_trajectories(opened, tmp_path / f"{number}.jsonl")
        for place in (db, str(tmp_path / f"{number}.jsonl")):
            if not wanted:
                with pytest.raises(TrainingError):
                    load_sources(config(place))
                continue
            found = load_sources(config(place))
            assert sorted(idents(found)) == sorted(wanted)
            assert all(one.failure is None for one in found.trajectories)
            assert len(found.trajectories) + sum(found.left_out.values()) == len(attempts)


def test_what_is_no_store(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.db").write_text("words, and more words than a header would have", encoding="utf-8")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with sqlite3.connect(tmp_path / "foreign.db") as connection:
        connection.execute("CREATE TABLE other (n)")
    connection.close()
    wrong = {
        tmp_path / "nowhere": f"there is no run, store or file {tmp_path / 'nowhere'}. Check --store.",
        tmp_path / "empty": f"{tmp_path / 'empty'} is no run: it has neither run.toml nor store.db. "
        "`lamarck run` makes one.",
        tmp_path / "text.db": f"opening store {tmp_path / 'text.db'}: {tmp_path / 'text.db'} is damaged or no store",
        tmp_path / "foreign.db": f"{tmp_path / 'foreign.db'} is a database, but no Lamarck store.",
        tmp_path / "bad.parquet": f"{tmp_path / 'bad.parquet'} is no Parquet file of trajectories: ",
    }
    for place, line in wrong.items():
        with pytest.raises((ConfigError, StoreError)) as caught:
            load_sources(config(str(place)))
        assert str(caught.value).startswith(line) and "\n" not in str(caught.value)


def test_nothing_to_train_on_is_one_line(tmp_path):
    empty = store(tmp_path / "empty.db")
    lost = store(tmp_path / "lost.db", attempt("x", "open red", failure=CRASH), attempt("y", "look", failure=CRASH))
    test = store(tmp_path / "test.db", attempt("x", "open red", split="test"))
    failed = store(tmp_path / "failed.db", attempt("x", "open red", won=0.0))
    lines = [
        (config(), "no store is named to train from. Give --store RUN, a store or an exported file."),
        (config(empty), f"there is no finished attempt in {empty}. `lamarck run --out DIR` collects some."),
        (
            config(lost),
            f"no attempt in {lost} can be trained on: 2 ended by infrastructure. "
            "`lamarck show RUN` lists the attempts; collect others.",
        ),
        (
            config(test),
            f"no attempt in {test} can be trained on: 1 of split test. "
            "Training takes samples.splits = ['train']; name others, or [] for all.",
        ),
        (
            config(failed, kind="sft"),
            f"no attempt in {failed} can be trained on: 1 not solved. "
            "Imitation needs solved attempts: collect more, or learn from failures by grpo, dpo or kto.",
        ),
    ]
    for wanted, line in lines:
        with pytest.raises((ConfigError, TrainingError)) as caught:
            load_sources(wanted)
        assert str(caught.value) == line


def test_live_rounds_need_no_store():
    assert load_sources(TrainConfig(kind="grpo", live={"rounds": 1})) == Sources()


def test_equal_token_ids_are_one_object(tmp_path):
    many = tuple(range(1000, 1100))
    one, two = (change(attempt(name, "open red"), 0, prompt_token_ids=many) for name in ("x", "y"))
    found = load_sources(config(store(tmp_path / "s.db", one, two))).trajectories
    assert found == (one, two)
    first, second = (read.steps[0].prompt_token_ids for read in found)
    assert all(a is b for a, b in zip(first, second, strict=True))
