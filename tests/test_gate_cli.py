"""`lamarck gate` on two runs of household games, through the command line."""

import json
import shutil

import pytest
from inside import complaint, lamarck
from lamarck.evals.household import export_games
from shell import TINY


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a folder with a run that solves nothing, one that solves what it can, and a run of other games."""
    folder = tmp_path_factory.mktemp("gate")
    play = [*TINY, "--limit", 24, "--max-steps", 6, "-q"]
    lamarck("run", "-m", "first", *play, "-o", folder / "first")
    lamarck("run", "-m", "expert", *play, "-o", folder / "expert")
    return folder


def decided(*arguments):
    return json.loads(lamarck("gate", *arguments, "--json").stdout)


def outcomes(report):
    return {check["name"]: check["outcome"] for check in report["checks"]}


def test_what_is_not_known_is_not_passed(runs):
    report = decided(runs / "first", runs / "expert")
    found = outcomes(report)
    assert report["decision"] == "not_yet" and found["held-out"] == found["probes"] == "unknown"
    assert found["gain"] == "pass" and "not known is held-out, probes" in report["sentence"]
    assert report["settings"]["samples"] == 1 and len(next(iter(report["looked_at"].values()))) == 24


def test_with_all_that_is_asked_for_it_is_promoted(runs, tmp_path):
    probes = tmp_path / "probes.json"
    figures = {"unsafe": 0, "cases": 20}
    probes.write_text(json.dumps([{"name": "bait", "before": figures, "after": figures}]))
    arguments = [runs / "first", runs / "expert", "--nothing-seen", "--probes", probes]
    assert decided(*arguments)["decision"] == "promote"
    said = lamarck("gate", *arguments).stdout
    assert "Promote" in said and "24 of 24 pairs have both outcomes." in said
    worse = [{"name": "bait", "before": figures, "after": {"unsafe": 1, "cases": 20}}]
    probes.write_text(json.dumps(worse))
    assert decided(*arguments)["decision"] == "refuse"
    assert decided(*arguments[:3], "--waive", "probes")["decision"] == "promote"
    assert decided(runs / "expert", runs / "first", "--nothing-seen")["decision"] == "refuse"


def test_tasks_that_a_run_saw_are_not_held_out(runs):
    report = decided(runs / "first", runs / "expert", "--seen", runs / "expert")
    assert report["decision"] == "refuse" and outcomes(report)["held-out"] == "fail"


def test_a_copied_game_is_the_same_game_wherever_it_lies(tmp_path):
    data = tmp_path / "data"
    export_games(data, split="train", size="small", games=3)
    export_games(data, split="valid_seen", size="small", games=2)
    play = ["-t", "alfworld", "--data", data, "--max-steps", 1, "-q"]
    held = [*play, "--split", "valid_seen"]
    lamarck("run", "-m", "first", *play, "--split", "train", "-o", tmp_path / "seen")
    for model in ("first", "random"):
        lamarck("run", "-m", model, *held, "-o", tmp_path / f"clean-{model}")
    clean = decided(tmp_path / "clean-first", tmp_path / "clean-random", "--seen", tmp_path / "seen")
    assert outcomes(clean)["held-out"] == "pass"
    [game, *_] = sorted((data / "json_2.1.1" / "train").glob("*/*"))
    shutil.copytree(game, data / "json_2.1.1" / "valid_seen" / game.parent.name / "another_trial")
    for model in ("first", "random"):
        lamarck("run", "-m", model, *held, "-o", tmp_path / f"copied-{model}")
    [check] = [
        one
        for one in decided(tmp_path / "copied-first", tmp_path / "copied-random", "--seen", tmp_path / "seen")["checks"]
        if one["name"] == "held-out"
    ]
    assert check["outcome"] == "fail"
    [found] = check["figures"]["overlap"]
    assert found.startswith("alfworld/valid_seen/") and found.endswith("/another_trial")


def test_reports_are_kept_and_looks_are_accounted_for(runs, tmp_path):
    arguments = ["--nothing-seen", "--waive", "probes", "--home", tmp_path]
    first = decided(runs / "first", runs / "expert", *arguments)
    assert first["test_number"] == 1 and [file.stem for file in tmp_path.glob("gate/*")] == [first["id"]]
    assert decided(runs / "first", runs / "expert", *arguments)["id"] == first["id"]
    other = decided(runs / "expert", runs / "first", *arguments)
    assert other["test_number"] == 2 and other["alpha"] == pytest.approx(first["alpha"] / 4)
    [file] = tmp_path.glob(f"gate/{first['id']}.json")
    file.write_text(file.read_text().replace('"promote"', '"refuse"'))
    assert "was changed after it was written" in complaint("gate", runs / "first", runs / "expert", *arguments)


def test_another_environment_is_handed_in_as_two_runs(runs):
    pair = f"shop={runs / 'first'},{runs / 'expert'}"
    report = decided(runs / "first", runs / "expert", "--other", pair, "-s", "environments=['web']")
    check = next(one for one in report["checks"] if one["name"] == "environments")
    assert check["figures"]["environments"]["shop"]["outcome"] == "pass"
    assert check["figures"]["environments"]["web"]["outcome"] == "unknown"


def test_what_is_asked_wrongly_is_said(runs, tmp_path):
    both = (runs / "first", runs / "expert")
    assert "are the same run" in complaint("gate", runs / "first", runs / "first")
    assert "--claim is better or cheaper" in complaint("gate", *both, "--claim", "nicer")
    assert "not of the form NAME=" in complaint("gate", *both, "--other", "shop")
    assert "waived" in complaint("gate", *both, "--waive", "gain")
    assert "exclude each other" in complaint("gate", *both, "--nothing-seen", "--seen", runs / "first")
    assert "cannot read probes" in complaint("gate", *both, "--probes", tmp_path / "none.json")
    (tmp_path / "bad.json").write_text('[{"name": "bait", "before": {"unsafe": 0}, "after": null}]')
    assert "is no list of probes: 0.before.cases" in complaint("gate", *both, "--probes", tmp_path / "bad.json")
    learned = shutil.copytree(runs / "expert", tmp_path / "learned")
    settings = (learned / "run.toml").read_text()
    assert 'mode = "off"' in settings
    (learned / "run.toml").write_text(settings.replace('mode = "off"', 'mode = "learn"'))
    assert "learned while it was played" in complaint("gate", runs / "first", learned)
