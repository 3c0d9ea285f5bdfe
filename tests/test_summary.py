"""What a stage says of itself in the end: the command to try it with, the card, the figures in between."""

import shlex

import pytest
import yaml
from lamarck.config import RunConfig
from lamarck.config_training import TrainConfig
from lamarck.config_tree import parse_assignment
from lamarck.core import Task, Trajectory
from lamarck.rundir import RunDirectory
from lamarck.training.card import card
from lamarck.training.played import Played, played
from lamarck.training.sources import Sources
from lamarck.training.summary import Data, Summary
from lamarck.training.watching import drift, named

OPTIONS = {
    "size": "small",
    "types": ["pick", "it's hot"],
    "rooms": [{"name": "hall", "doors": [1, 2]}, {}],
    "most": float("inf"),
    "games": 12,
    "data": "/a b/c",
    "deep": {"text": "7", "on": True},
}


def attempt(ident, run="r", seed=0):
    task = Task(id=ident, goal="", environment="household", split="train", seed=seed)
    return Trajectory(id=ident, run_id=run, task=task, stop="terminated", reward=1.0, success=True)


def summary(**fields):
    data = Data(tasksets={"household": 3}, **fields.pop("data", {}))
    known = {
        "kind": "sft", "out": "out", "base_model": "tiny", "base_weights": "a" * 12, "data": data, "steps": 1,
        "steps_planned": 1, "epochs": 1.0, "rows_per_step": 8, "learning_rate": 1e-4, "seed": 0, "seconds": 1.0,
        "tokens_per_s": 1.0,
    }  # fmt: skip
    return Summary(**{**known, **fields})


def run(folder, **options):
    """Begin a run and return its id."""
    directory = RunDirectory(folder)
    directory.create(RunConfig(taskset={"name": "household", "options": options}), resume=False)
    return directory.run_id


def test_it_is_tried_at_the_games_it_was_trained_on(tmp_path):
    most, fewer = run(tmp_path / "most", **OPTIONS), run(tmp_path / "fewer", size="full")
    attempts = [attempt("a", most), attempt("b", fewer), attempt("c", most)]
    places = [str(tmp_path / "fewer"), str(tmp_path / "most"), str(tmp_path / "exported.jsonl")]
    found = played(places, attempts)
    assert found == Played(taskset="household", options=OPTIONS)
    assert played(places[2:], attempts) is None and played(places[:1], attempts).options == {"size": "full"}
    # A store beside its run, and the draws of live rounds.
    assert played([str(tmp_path / "most" / "store.db")], attempts) == found
    live = run(tmp_path / "rounds" / "001" / "draw-1", size="tiny")
    assert played([str(tmp_path / "rounds")], [attempt("d", live)]).options == {"size": "tiny"}
    words = shlex.split(summary(data={"played": found}).next_command)
    assert words[:6] == ["lamarck", "eval", "--taskset", "household", "--split", "valid_unseen"]
    told = [parse_assignment(words[n + 1]) for n, word in enumerate(words) if word == "--set"]
    flat = {f"taskset.options.{key}": value for key, value in OPTIONS.items() if key != "deep"}
    assert dict(told) == flat | {"taskset.options.deep.text": "7", "taskset.options.deep.on": True}
    # The configuration that these flags make has the options of the run.
    assert RunConfig.load(None, dict(told)).taskset.options == OPTIONS


@pytest.mark.parametrize(
    ("model", "named"),
    [("embedded", "embedded"), ("embedded:a b", "embedded:a b"), ("embedded-x", "embedded:embedded-x")],
)
def test_commands_can_be_pasted(model, named):
    done = summary(out="my runs/one", model=model)
    words = shlex.split(done.next_command)
    assert words[words.index("--model") + 1] == named and words[words.index("--adapter") + 1] == "my runs/one/best"
    stopped = summary(out="my runs/one", interrupted=True)
    assert shlex.split(stopped.next_command) == ["lamarck", "train", "sft", "--resume", "--out", "my runs/one"]


def test_the_card_names_seeds_and_can_be_read():
    attempts = [attempt(str(seed), seed=seed) for seed in (30, *range(22), 3)]
    data = Data.of(Sources(tuple(attempts)), ["walks"])
    assert data.seeds == (*range(22), 30)
    done = summary(base_model="my: model #2", data={}).model_copy(update={"data": data})
    text = card(TrainConfig(kind="sft"), done)
    assert yaml.safe_load(text.split("---")[1]) == {
        "base_model": "my: model #2", "library_name": "peft", "tags": ["lora", "lamarck"],
    }  # fmt: skip
    assert f"- Seeds of the tasks: {', '.join(map(str, range(20)))} and 3 more (`summary.json`)." in text
    few = done.model_copy(update={"data": Data.of(Sources((attempts[0],)), ["walks"])})
    assert "- Seeds of the tasks: 30." in card(TrainConfig(kind="sft"), few)


def test_the_divergence_of_pairs_by_hand():
    # Rewards are beta times the log-ratio: 0.1 * 2 = 0.2 and 0.1 * -4 = -0.4; the mean log-ratio is -1.
    logs = {"rewards/chosen": 0.2, "rewards/rejected": -0.4, "rewards/margins": 0.6, "rewards/accuracies": 0.75}
    assert drift(logs, 0.1) == pytest.approx(1.0)
    assert named(logs, 0.1) == {"margin": 0.6, "accuracy": 0.75, "KL": pytest.approx(1.0)}
    assert "KL" not in named(logs) and drift({"loss": 1.0}, 0.1) is None
    assert named({"kl": 0.5, **logs}, 0.1)["KL"] == 0.5  # what TRL says itself goes first
