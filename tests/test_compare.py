"""`lamarck eval`, `compare` and `forgetting` on runs of household games and questions, through the command line."""

import json
import shutil

import pytest
from inside import complaint, lamarck
from lamarck.store import Store
from shell import TINY
from shell import lamarck as outside

PLAY = [*TINY, "--limit", 12, "--max-steps", 6]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a folder with four runs: random choice, the same with two samples, the first action, a truncated set."""
    folder = tmp_path_factory.mktemp("runs")
    lamarck("run", "-m", "random", *PLAY, "-o", folder / "random", "-q")
    lamarck("run", "-m", "random", *PLAY, "--samples", 2, "-o", folder / "twice", "-q")
    lamarck("run", "-m", "first", *TINY, "--limit", 8, "--max-steps", 7, "-o", folder / "first", "-q")
    return folder


def outcomes(folder):
    with Store.open(folder / "store.db") as store:
        return {(t.task.id, t.sample): [step.action for step in t.steps] for t in store.trajectories()}


def test_an_evaluation_is_repeated_by_its_file(runs):
    file = runs / "random" / "evaluation.json"
    said = lamarck("eval", "--again", file, "-o", runs / "again", "--json")
    figures, first = json.loads(said.stdout), json.loads(lamarck("eval", runs / "random", "--json").stdout)
    assert figures["again"] == {"of": first["evaluation"], "same": True, "differences": []}
    assert figures["evaluation"] == first["evaluation"] == json.loads(file.read_text())["id"]
    assert outcomes(runs / "again") == outcomes(runs / "random")
    assert figures["all"]["successes"] == first["all"]["successes"]
    told = complaint("eval", "--again", file, "--seed", 3, "-o", runs / "no")
    assert "--again plays what the file says" in told
    assert "would make it another evaluation" in complaint(
        "eval", "--again", file, "-s", "solver.history=3", "-o", runs / "no"
    )


def test_what_cannot_be_the_same_is_said(runs, tmp_path):
    prompts = tmp_path / "prompts"
    prompts.mkdir()
    (prompts / "system_choice.md").write_text("Play.")
    place = f"solver.prompts={prompts}"
    said = lamarck("eval", "--again", runs / "first", "-s", place, "-o", tmp_path / "again", "-q")
    assert "cannot be the same" not in said.stderr
    said = lamarck("eval", "--again", runs / "first", "-s", place, "-o", tmp_path / "more")
    assert "cannot be the same as evaluation" in said.stderr and "prompts.system_choice" in said.stderr


def test_a_run_that_learned_is_repeated_from_a_new_memory(tmp_path):
    play = [*TINY, "-m", "first", "--limit", 2, "--max-steps", 2, "--memory-mode", "learn", "-q"]
    lamarck("run", *play, "--memory", tmp_path / "memory", "-o", tmp_path / "a")
    again = json.loads(lamarck("eval", "--again", tmp_path / "a", "-o", tmp_path / "b", "--json").stdout)["again"]
    assert again["same"]
    # Into a memory that has something in it already, it is not the same.
    lamarck("run", *play, "--memory", tmp_path / "memory", "-o", tmp_path / "c")
    one, other = (json.loads((tmp_path / run / "evaluation.json").read_text()) for run in "ac")
    assert one["id"] != other["id"] and other["release"]["memory_snapshot"].endswith(", learning")


def test_flags_that_would_do_nothing_are_refused(runs, tmp_path):
    assert "takes no flags" in complaint("eval", runs / "first", "-o", tmp_path / "x")
    told = complaint("eval", "--again", runs / "first", "--memory", tmp_path / "gone", "-o", tmp_path / "x")
    assert "was made without a memory" in told and not (tmp_path / "x").exists()
    old = tmp_path / "old"
    shutil.copytree(runs / "first", old)
    (old / "evaluation.json").unlink()
    assert "Runs of earlier versions wrote none" in complaint("eval", "--again", old, "-o", tmp_path / "x")
    (old / "run.id").unlink()
    assert "cannot read the id of run" in complaint("eval", old)


def test_a_changed_data_file_is_refused(tmp_path):
    file = tmp_path / "questions.jsonl"
    rows = [{"id": f"q{n}", "question": f"{n} + 1?", "answer": str(n + 1)} for n in range(3)]
    file.write_text("\n".join(map(json.dumps, rows)))
    script = tmp_path / "script.jsonl"
    script.write_text("\n".join(json.dumps(f"<action>{n}</action>") for n in (1, 2, 9, 1, 2, 9)))
    out = tmp_path / "run"
    play = ["--taskset", "questions", "--data", file, "-m", f"scripted:{script}", "--protocol", "text", "-j", 1]
    lamarck("run", *play, "-o", out, "-q")
    again = ["eval", "--again", out, "-j", 1, "--json"]
    moved = tmp_path / "moved.jsonl"
    moved.write_text(file.read_text())
    figures = json.loads(lamarck(*again, "--data", moved, "-o", tmp_path / "b").stdout)
    assert figures["again"]["same"] and figures["all"]["successes"] == 2
    rows[1]["answer"] = "5"
    moved.write_text("\n".join(map(json.dumps, rows)))
    told = complaint(*again, "--data", moved, "-o", tmp_path / "c")
    assert "1 of its 3 tasks have changed, the first is q1" in told and not (tmp_path / "c").exists()
    moved.write_text(json.dumps(rows[0]))
    assert "has no task 'q1'" in complaint(*again, "--data", moved, "-o", tmp_path / "c")


def test_figures_of_several_samples(runs):
    figures = json.loads(lamarck("eval", runs / "twice", "--json", "--k", "1,2", "--window", 5).stdout)
    one, two = figures["all"]["figures"]["at_k"]
    assert (one["k"], two["k"], one["tasks"]) == (1, 2, 12) and two["pass"]["value"] >= one["pass"]["value"]
    assert figures["all"]["episodes"] == 24 and figures["all"]["figures"]["success"]["n"] == 12
    assert figures["all"]["success_low"] == figures["all"]["figures"]["success"]["low"]
    assert len(figures["learning_curve"]["points"]) == 24 and figures["verdict"]["allowed"]
    assert "from a seed" in figures["contamination"]["public"]
    printed = lamarck("eval", runs / "twice", "--seen", runs / "random").stdout
    for words in (
        "pass@k",
        "per sample, median",
        "repeated",
        "learning curve over 24",
        "12 of the evaluated ones by id",
    ):
        assert words in printed
    assert "needs as many samples per task" in complaint("eval", runs / "twice", "--k", "3")
    assert "no list of whole numbers" in complaint("eval", runs / "twice", "--k", "two")


def test_runs_are_compared_on_the_tasks_they_share(runs):
    said = lamarck("compare", runs / "random", runs / "first", runs / "twice", "--samples", 300, "--json")
    found = json.loads(said.stdout)
    first, twice = found["pairs"]
    assert (first["tasks"], first["test"], twice["tasks"]) == (8, "McNemar exact", 12)
    assert first["verdict"] == "not told apart" and first["adjusted"] >= first["p"]
    assert len(found["left_out"]["first"]) == 4 and "random" not in found["left_out"]
    assert any("base_model: 'random' -> 'first'" in line for line in found["differences"]["first"])
    assert any("max_steps: 6 -> 7" in line for line in found["differences"]["first"])
    assert set(found["categories"]) and all(len(pairs) == 2 for pairs in found["categories"].values())
    printed = outside("compare", runs / "random", runs / "first", "--samples", 300).stdout
    for words in ("not told apart", "left out, since first has no outcome: 4 tasks", "first differs: release"):
        assert words in printed
    scores = ["--by", "score", "--all-pairs", "--samples", 100, "--json"]
    found = json.loads(lamarck("compare", runs / "random", runs / "twice", runs / "first", *scores).stdout)
    assert len(found["pairs"]) == 3 and found["pairs"][0]["test"] == "sign flip"


def test_runs_that_cannot_be_compared(runs, tmp_path):
    out = tmp_path / "other"
    lamarck("run", "-m", "first", *TINY, "--split", "test", "--limit", 2, "--max-steps", 2, "-o", out, "-q")
    assert "is about household/train and" in complaint("compare", runs / "first", out)
    assert "needs at least two runs" in complaint("compare", out)
    assert "--by is success or score" in complaint("compare", out, out, "--by", "luck")
    assert "are the same run" in complaint("compare", out, out)
    elsewhere = tmp_path / "elsewhere"
    small = ["--taskset", "household", "-s", "taskset.options.size=small", "--limit", 2, "--max-steps", 2]
    lamarck("run", "-m", "first", *small, "-o", elsewhere, "-q")
    assert "have no task in common" in complaint("compare", runs / "first", elsewhere)


def test_infrastructure_failures_block_the_verdict(tmp_path):
    rows = [{"id": f"q{n}", "question": f"{n}?", "answer": str(n)} for n in range(4)]
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "all").write_text("\n".join(json.dumps(f"<action>{n}</action>") for n in range(4)))
    # The script ends before the questions do, which is a model that does not answer.
    (tmp_path / "some").write_text("\n".join(json.dumps(f"<action>{n}</action>") for n in range(3)))
    play = ["--taskset", "questions", "--data", tmp_path / "q.jsonl", "--protocol", "text", "-j", 1, "-q"]
    lamarck("run", *play, "-m", f"scripted:{tmp_path / 'all'}", "-o", tmp_path / "a")
    lamarck("run", *play, "-m", f"scripted:{tmp_path / 'some'}", "-o", tmp_path / "b", code=1)
    printed = lamarck("eval", tmp_path / "b").stdout
    assert "No verdict: 1 of 4 samples have no outcome" in printed and "1 samples lost" in printed
    verdict = json.loads(lamarck("eval", tmp_path / "b", "--json", "--max-infrastructure", "0.3").stdout)["verdict"]
    assert verdict == {"allowed": True, "reason": "", "max_infrastructure": 0.3}
    pair = json.loads(lamarck("compare", tmp_path / "a", tmp_path / "b", "--json").stdout)["pairs"][0]
    assert pair["verdict"] == "no verdict" and "1 of 4 samples of b" in pair["reason"] and pair["tasks"] == 3
    loose = lamarck("compare", tmp_path / "a", tmp_path / "b", "--json", "--max-infrastructure", "0.3").stdout
    assert json.loads(loose)["pairs"][0]["verdict"] == "not told apart"


def test_forgetting(runs):
    cells = [f"one:kitchen={runs / 'random'}", f"two:kitchen={runs / 'twice'}"]
    found = json.loads(lamarck("forgetting", *cells, "--samples", 100, "--json").stdout)
    before, after = (row[0] for row in found["matrix"])
    assert found["backward_transfer"] == pytest.approx(after - before) == -found["forgetting"]
    assert found["changes"]["kitchen"]["tasks"] == 12 and found["kept"][0]["learned"] == "one"
    printed = lamarck("forgetting", *cells, "--samples", 100).stdout
    assert "mean after two +" not in printed and "after Holm" in printed
    assert "after stage" in printed and "backward transfer" in printed and "since it was learned in one" in printed
    assert "not of the form STAGE=RUN" in complaint("forgetting", "nonsense")
    assert "two runs are given" in complaint("forgetting", cells[0], cells[0])


def test_of_a_best_of_n_run_the_picked_samples_stand(tmp_path):
    (tmp_path / "q.jsonl").write_text('{"id": "q0", "question": "1?", "answer": "1"}')
    (tmp_path / "three").write_text("\n".join(json.dumps(f"<action>{n}</action>") for n in (2, 1, 1)))
    (tmp_path / "one").write_text('"<action>2</action>"')
    play = ["--taskset", "questions", "--data", tmp_path / "q.jsonl", "--protocol", "text", "-j", 1, "-q"]
    lamarck("run", *play, "-m", f"scripted:{tmp_path / 'one'}", "-o", tmp_path / "a")
    best = ["--samples", 3, "-s", "collect.pick=majority", "-o", tmp_path / "b"]
    lamarck("run", *play, "-m", f"scripted:{tmp_path / 'three'}", *best)
    figures = json.loads(lamarck("eval", tmp_path / "b", "--json").stdout)
    assert figures["picked"]["success"]["value"] == 1.0 and figures["all"]["successes"] == 2
    pair = json.loads(lamarck("compare", tmp_path / "a", tmp_path / "b", "--json").stdout)["pairs"][0]
    assert (pair["samples"], pair["second_mean"], pair["test"]) == (1, 1.0, "McNemar exact")
