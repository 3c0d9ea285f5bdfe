"""The command line as a stranger meets it: what it does, and one clear line for everything that is wrong."""

import io
import json
import random
import signal
import subprocess
import sys
import time

import pytest
from lamarck.evals.household import export_games
from lamarck.store import Store
from shell import HERE, TINY, complaint, help_of, lamarck


def test_run_eval_show_export_import(tmp_path):
    out = tmp_path / "run"
    said = lamarck("run", "-m", "random", *TINY, "--limit", 6, "--max-steps", 8, "-o", out, "--json")
    result = json.loads(said.stdout)
    assert (result["finished"], result["total"], result["failed"]) == (6, 6, 0)
    figures = json.loads(lamarck("eval", out, "--json").stdout)
    assert figures["all"]["episodes"] == 6 and len(figures["categories"]) == 6
    assert figures["split_hash"] and figures["release"] and figures["grammar"] == "move" and figures["seed"] == 0
    assert "success [95 % Wilson]" in lamarck("eval", out).stdout
    rows = json.loads(lamarck("show", out, "--json").stdout)
    assert len(rows) == 6 and rows[0]["task"]["environment"] == "household"
    read = lamarck("show", out, rows[0]["id"][:8]).stdout
    assert rows[0]["task"]["goal"] in read and "  1 >" in read
    assert "Read one with" in lamarck("show", out).stdout
    file = tmp_path / "all.jsonl"
    assert json.loads(lamarck("export", out, file, "--json").stdout)["trajectories"] == 6
    report = json.loads(lamarck("import", file, "--store", tmp_path / "other.db", "--json").stdout)
    assert (report["new"], report["refused"]) == (6, [])


def test_the_same_run_twice_is_the_same(tmp_path):
    actions = []
    for name in "ab":
        lamarck("run", "-m", "random", *TINY, "--limit", 4, "--max-steps", 6, "-o", tmp_path / name, "-q", "-j", 3)
        with Store.open(tmp_path / name / "store.db") as store:
            found = sorted(store.trajectories(), key=lambda t: t.task.id)
            actions.append([[step.action for step in t.steps] for t in found])
    assert actions[0] == actions[1]


def test_env_and_models(tmp_path):
    export_games(tmp_path, split="train", size="tiny", games=6)
    found = json.loads(lamarck("env", "check", "alfworld", "--data", tmp_path, "--split", "train", "--json").stdout)
    assert (found["games"], found["won"], found["failures"]) == (6, 6, [])
    assert found["starts_per_s"] > 0 and found["steps_per_s"] > 0
    checked = lamarck("env", "check", "household", "--split", "test", "--limit", 6)
    assert "6 of 6 games won" in checked.stdout
    assert {row["name"] for row in json.loads(lamarck("env", "list", "--json").stdout)} >= {"alfworld", "household"}
    [model] = json.loads(lamarck("models", "list", "--json", LAMARCK_CACHE=str(tmp_path / "none")).stdout)
    assert (model["name"], model["state"], model["licence"]) == ("smollm2-135m-instruct", "not pulled", "Apache-2.0")


def test_a_broken_game_fails_one_episode(tmp_path):
    files = export_games(tmp_path, split="train", size="tiny", games=3)
    files[1].write_text("{")
    out = tmp_path / "run"
    arguments = ["-m", "random", "-t", "alfworld", "--data", tmp_path, "--max-steps", 3, "-o", out]
    done = lamarck("run", *arguments, code=1)
    assert "2 of 3 finished" in done.stdout and "1 given up" in done.stdout
    assert done.stderr.count("is not JSON") == 2 and "given up, no reward" in done.stderr
    assert "environment failure" in lamarck("show", out, "--failed").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "-t", "atlantis"], "no taskset 'atlantis'; there are: agentgym, alfworld, "),
        (["run", "-t", "alfworld"], "Set ALFWORLD_DATA or pass --data"),
        (["run", "-t", "alfworld", "--data", "/nowhere"], "no ALFWorld data folder /nowhere"),
        (["run", *TINY, "--split", "dev"], "no split 'dev'; there are: train"),
        (["run", "-s", "solver.stepz=3"], "unknown key solver.stepz in the flags; there are: protocol"),
        (["run", "-s", "nonsense"], "not of the form key=value"),
        (["run", "-c", "gone.toml"], "cannot read config gone.toml"),
        (["run", "--protocol", "mime"], "solver.protocol in the flags is 'mime'"),
        (["run", "-m", "scripted:gone.jsonl", *TINY], "cannot read script gone.jsonl"),
        (["eval", "nowhere"], "there is no run in nowhere"),
        (["show", "nowhere"], "there is no run in nowhere"),
        (["run", "--resume", "-o", "nowhere"], "no run in nowhere to resume"),
        (["env", "check", "worlds:Walks"], "no walkthroughs to check"),
        (["models", "pull", "giant"], "no embedded model 'giant'"),
    ],
)
def test_wrong_requests_get_one_line(arguments, words, tmp_path):
    if arguments[0] == "run" and "-o" not in arguments:
        arguments = [*arguments, "-o", tmp_path / "run"]
    assert words in complaint(*arguments)


def test_missing_keys_and_unknown_models_get_one_line(tmp_path):
    env = {"OPENAI_API_KEY": ""}
    said = complaint("run", "-m", "openai/gpt-4o", *TINY, "-o", tmp_path / "a", code=1, **env)
    assert "OPENAI_API_KEY" in said and "embedded" in said
    assert "no provider" in complaint("run", "-m", "gibberish", *TINY, "-o", tmp_path / "b", code=1)


def test_a_run_directory_holds_one_run(tmp_path):
    out = tmp_path / "run"
    lamarck("run", "-m", "random", *TINY, "--limit", 2, "--max-steps", 2, "-o", out, "-q")
    assert "already holds a run. Add --resume" in complaint("run", "-m", "random", *TINY, "-o", out)
    assert "model.name was 'random' and is 'first' now" in complaint("run", "-m", "first", "--resume", "-o", out)
    assert "2 of 2 finished" in lamarck("run", "--resume", "-o", out).stdout
    (out / "run.toml").write_text("= broken")
    assert "run.toml" in complaint("eval", out)


def test_two_processes_cannot_share_a_run(tmp_path):
    out = tmp_path / "run"
    first = start(out)
    wait_for(out / "lock")
    assert "is in use by process" in complaint("run", "--resume", "-o", out)
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=30)
    assert first.returncode == 130


def start(out, *more):
    command = [sys.executable, "-m", "lamarck", "run", "-t", "worlds:SlowWalks", "-m", "random", "-o", str(out), "-q"]
    return subprocess.Popen(
        [*command, "--max-steps", "40", *more],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def wait_for(path):
    deadline = time.monotonic() + 60
    while not (path.exists() and path.stat().st_size):
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def test_ctrl_c_stops_cleanly_and_the_run_goes_on(tmp_path):
    out = tmp_path / "run"
    process = start(out)
    wait_for(out / "store.db")
    time.sleep(0.8)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "lamarck run --resume --out" in said
    assert "30 of 30 finished" in lamarck("run", "--resume", "-o", out).stdout


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path):
    """kill -9 at random moments: every episode is finished exactly once, every step is there once, in order."""
    out = tmp_path / "run"
    generator = random.Random(8)
    before = {}
    for kill in range(20):
        process = start(out, *(["--resume"] if kill else []))
        wait_for(out / "lock")
        time.sleep(generator.uniform(0.0, 0.35) + (0.8 if kill % 4 == 0 else 0.0))
        process.kill()
        process.communicate()
        if not (out / "run.toml").exists():
            continue
        with Store.open(out / "store.db") as store:
            now = {t.id: t for t in store.trajectories()}
        assert all(now[ident] == trajectory for ident, trajectory in before.items())
        before = now
    lamarck("run", "--resume", "-o", out, "-q")
    with Store.open(out / "store.db") as store:
        found = list(store.trajectories())
        assert [row for row in store.attempts(found[0].run_id) if row.open] == []
    assert sorted(t.task.id for t in found) == sorted(f"walks/{n}" for n in range(30))
    assert all([step.index for step in t.steps] == list(range(len(t.steps))) for t in found)
    assert all(t.failure is None and t.attempt == 0 for t in found)


def test_benchmarks_speak_json():
    figures = json.loads(lamarck("bench", "agent", "--steps", "50", "--json").stdout)
    assert figures["steps"] == 50 and figures["overhead_ms_p50"] > 0 and figures["overhead_ratio"] > 0


def test_help_is_there_for_every_command():
    assert "Usage" in lamarck("run", "--help").stdout
    for command in ["run", "eval", "show", "demo", "export", "import", "env check", "models pull", "bench model"]:
        assert "Usage" in help_of(*command.split())
    assert lamarck("--version").stdout.startswith("lamarck 0.")


def test_a_note_keeps_the_extra_it_names():
    from lamarck.cli.env import worlds_table
    from rich.console import Console

    note = "gymnasium is not installed. Run: pip install 'lamarck-agents[gymnasium]'."
    out = Console(width=200, record=True, file=io.StringIO())
    out.print(worlds_table([{"name": "gymnasium", "splits": [], "note": note}]))
    assert "lamarck-agents[gymnasium]" in out.export_text()


def test_a_task_type_may_hold_brackets():
    from lamarck.cli.tables import results_table
    from lamarck.evals.metrics import Tally
    from rich.console import Console

    out = Console(width=200, record=True, file=io.StringIO())
    out.print(results_table("shop", {"[/red] lamps": Tally()}))
    assert "[/red] lamps" in out.export_text()
