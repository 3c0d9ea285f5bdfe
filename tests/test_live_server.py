"""One vLLM server over all rounds of live training, asleep while there is training, and never left behind."""

import asyncio
import sys

import pytest
from lamarck.agent.llms import build_llm, same_model
from lamarck.cli.live_collect import Runs
from lamarck.cli.live_follow import Experts
from lamarck.cli.live_rounds import _played
from lamarck.cli.train_live import _player
from lamarck.config import RunConfig
from lamarck.config_training import TrainConfig
from lamarck.core import Message, Step, Task, Trajectory
from lamarck.errors import ConfigError, TrainingError
from lamarck.training.collate import Weighed
from lamarck.training.live import Live
from lamarck.training.live_parts import Draw
from lamarck.training.output import TrainDirectory
from lamarck.training.rows import Row
from lamarck.training.summary import Data, Summary, Trend
from lamarck.weights import adapter_id, policy_version, weights_id
from vllms import adapter, calls, gone, interpreter, model_in, started

pytestmark = pytest.mark.filterwarnings("ignore")
WORLD = """
from itertools import count
GAMES = count()
class Coin:
    concurrency = "inline"
    goal = "be lucky"
    def reset(self, seed, task):
        return "toss", {"admissible_actions": ["look", "go"]}
    def step(self, action):
        won = bool(next(GAMES) // 2 % 2)  # each task once won, once lost
        return "tossed", float(won), True, False, {"admissible_actions": ["look", "go"], "success": won}
"""


class Notes:
    """Trains nothing: notes which calls the server had had by then, and leaves an adapter of the round's name."""

    def __init__(self, model, notes, breaks=False):
        self.model, self.notes, self.breaks, self.before = model, notes, breaks, []

    def version(self, folder):
        return policy_version(weights_id(self.model), None if folder is None else adapter_id(folder))

    def rewards(self, config, attempts):
        return {one.id: one.reward for one in attempts if one.reward is not None}

    def settle(self, config, attempts):
        return [
            Weighed(Row(one.id, one.group_id, (1,), (2,), (1,), (-1.0,), (0,), "m", "w"), (1.0,)) for one in attempts
        ]

    def train(self, config, rows, known, out):
        self.before.append(calls(self.notes)[-1:])
        if self.breaks:
            raise TrainingError("out of memory.")
        number, n = out.parent.name, len(self.before)
        made = adapter(out / "adapter", self.model, weights=number.encode())
        summary = Summary(
            kind="grpo", out=str(out), base_model="small", base_weights=weights_id(self.model), start=f"from {n}",
            adapter=adapter_id(made), best=adapter_id(made), steps=3, steps_planned=3, epochs=1.0, rows_per_step=4,
            learning_rate=1e-5, seed=n, seconds=2.0, tokens_per_s=10.0,
            loss=Trend(first=9 - n, last=8 - n, best=n, best_step=2),
            data=Data(rows=len(rows), tokens=7, attempts=4, left_out={"too long": n}),
        )  # fmt: skip
        TrainDirectory(out).summary_path.write_text(summary.model_dump_json())
        return made


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setenv("FAKE_VLLM_NOTES", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "coin_world.py").write_text(WORLD)
    monkeypatch.delitem(sys.modules, "coin_world", raising=False)
    return model_in(tmp_path / "small")


def settings(model, rounds=3, **more):
    vllm = {"python": interpreter(model.parent), "start_s": 60.0, "sleep": True, **more}
    run = {
        "taskset": {"name": "coin_world:Coin", "options": {"episodes": 2}},
        "model": {"name": f"vllm:{model}", "vllm": vllm, "retries": 0},
        "collect": {"concurrency": 1, "attempts": 1, "max_failures": 1},
        "solver": {"max_steps": 2},
    }
    live = {"rounds": rounds, "tasks": 2, "samples": 2}
    return RunConfig.model_validate(run), TrainConfig.model_validate(
        {"kind": "grpo", "model": str(model), "live": live}
    )


def played(run, config, stage, out, player=Runs):
    """Do the rounds as the command does them."""
    llm = build_llm(run.model, logs=out / "logs")
    rounds = Live(config, player(run, config, out, llm, quiet=True), stage, out)
    return asyncio.run(_played(rounds, llm))


def test_one_server_plays_all_rounds_and_sleeps_while_there_is_training(model, tmp_path):
    run, config = settings(model)
    stage, out = Notes(model, tmp_path), tmp_path / "lived"
    state = played(run, config, stage, out)
    label = f"small@{weights_id(model)}"
    one, two = (f"{label}+{adapter_id(out / f'rounds/00{n}/train/adapter')[:12]}" for n in (1, 2))
    # It is woken to play, not to end. Nothing is unloaded before there is something else.
    assert calls(tmp_path) == [
        "sleep", "wake_up", f"load {one}", "sleep", "wake_up", f"load {two}", f"unload {one}", "sleep",
    ]  # fmt: skip
    assert stage.before == [["sleep"]] * 3
    [server] = started(tmp_path)
    assert gone(server["pid"]) and (out / "logs/vllm.log").exists()
    assert [one.attempts for one in state.rounds] == [4, 4, 4]
    with_policy = [
        {s.policy_version for t in Runs(run, config, out).load(Draw(n, 0, n - 1)) for s in t.steps} for n in (1, 2, 3)
    ]
    assert with_policy == [{one.policy} for one in state.rounds] and state.rounds[2].policy == two.partition("@")[2]


def test_what_it_was_stands_at_the_top_when_it_ends(model, tmp_path):
    run, config = settings(model, rounds=2)
    out = tmp_path / "lived"
    state = played(run, config, Notes(model, tmp_path), out)
    directory = TrainDirectory(out)
    found = Summary.read(directory.summary_path)
    assert (found.out, found.start, found.steps, found.seconds, found.tokens_per_s) == (
        str(out),
        "from 1",
        6,
        4.0,
        10.0,
    )
    # The lowest loss, 1, was that of the first round's second update.
    assert found.loss == Trend(first=8, last=6, best=1, best_step=2) and found.reward is None
    data = found.data
    assert (data.attempts, data.tasks, data.solved, data.rows, data.tokens) == (8, 2, 4, 8, 14)
    assert data.left_out == {"too long": 3} and data.policies == {one.policy: 4 for one in state.rounds}
    assert data.figures["share solved in round 2, before its update"] == 0.5
    assert (
        adapter_id(directory.adapter)
        == adapter_id(directory.best)
        == found.best
        == adapter_id(out / state.finished[1].adapter)
    )
    card = directory.card_path.read_text()
    assert "- Note: 2 rounds of playing" in card and f"--adapter {out / 'best'}" in card
    # While it goes on it is not finished.
    with pytest.raises(TrainingError, match="out of memory"):
        played(run, settings(model, rounds=3)[1], Notes(model, tmp_path, breaks=True), out)
    assert not directory.summary_path.exists() and not directory.card_path.exists()


def test_training_that_fails_leaves_no_server(model, tmp_path):
    run, config = settings(model)
    with pytest.raises(TrainingError, match="out of memory"):
        played(run, config, Notes(model, tmp_path, breaks=True), tmp_path / "lived")
    assert calls(tmp_path) == ["sleep"] and [gone(row["pid"]) for row in started(tmp_path)] == [True]
    # Gone on with, there is nothing to play before training, so nothing is started.
    with pytest.raises(TrainingError, match="out of memory"):
        played(run, config, Notes(model, tmp_path, breaks=True), tmp_path / "lived")
    assert len(started(tmp_path)) == 1


class Torn(Runs):
    """Is stopped in the middle of playing."""

    async def collect(self, draw, adapter):
        await super().collect(draw, adapter)
        raise KeyboardInterrupt if draw.round == 2 else ConfigError("the disk is gone.")


@pytest.mark.parametrize(("round_", "error"), [(1, ConfigError), (2, KeyboardInterrupt)])
def test_playing_that_fails_leaves_no_server(model, tmp_path, round_, error):
    run, config = settings(model)
    if round_ == 2:
        played(run, settings(model, rounds=1)[1], Notes(model, tmp_path), tmp_path / "lived")
    with pytest.raises(error):
        played(run, config, Notes(model, tmp_path), tmp_path / "lived", Torn)
    assert len(started(tmp_path)) == round_ and all(gone(row["pid"]) for row in started(tmp_path))


def test_experts_are_followed_with_the_adapter_of_the_round(model, tmp_path):
    run, config = settings(model)
    sent = Message(role="user", content="look")
    step = Step(index=0, observation="o", messages=(sent,), action="look", completion="look", admissible=("look", "go"))
    expert = Trajectory(
        id="e", run_id="x", task=Task(id="x", goal="", environment="e"), steps=(step,), stop="terminated", reward=1.0,
        success=True,
    )  # fmt: skip
    one, llm = adapter(tmp_path / "one", model), build_llm(run.model, logs=tmp_path)

    async def follow():
        player = Experts([expert], run, config, tmp_path / "followed", llm)
        try:
            first = await player.collect(Draw(1, 0, 0), None)
            await player.rest()
            return first, await player.collect(Draw(2, 0, 1), one)
        finally:
            await llm.close()

    first, second = asyncio.run(follow())
    assert {s.policy_version for t in first for s in t.steps} == {weights_id(model)}
    assert {s.policy_version for t in second for s in t.steps} == {policy_version(weights_id(model), adapter_id(one))}
    assert [call.partition(" ")[0] for call in calls(tmp_path)] == ["sleep", "wake_up", "load"]


def test_a_server_that_cannot_sleep_is_left_awake(model, tmp_path):
    run, config = settings(model, rounds=2, sleep=False)
    played(run, config, Notes(model, tmp_path), tmp_path / "lived")
    assert [call.partition(" ")[0] for call in calls(tmp_path)] == ["load"]


def test_only_the_model_that_is_trained_may_play(model, tmp_path):
    run, config = settings(model)
    assert _player(run, config).model.name == f"vllm:{model}" and _player(run, config).model.temperature == 1.0
    assert _player(RunConfig(), config).model.name == f"embedded:{model}"
    assert same_model("vllm:embedded", "embedded") and not same_model("vllm:embedded", str(model))
    other = config.model_copy(update={"model": "embedded"})
    with pytest.raises(
        ConfigError, match=r"run\.model\.name is vllm:.*small, but live rounds play with the model they"
    ):
        _player(run, other)


def test_a_round_that_was_moved_is_told_in_one_line(model, tmp_path):
    run, config = settings(model)
    played(run, settings(model, rounds=1)[1], Notes(model, tmp_path), tmp_path / "lived")
    with pytest.raises(KeyboardInterrupt):
        played(run, config, Notes(model, tmp_path), tmp_path / "lived", Torn)
    for mark in (tmp_path / "lived/rounds/002").glob("*/played"):
        mark.unlink()  # stopped before its last episode
    (tmp_path / "lived").rename(tmp_path / "moved")
    with pytest.raises(ConfigError, match=r"was begun in .*/lived, and the live run is in .*/moved now\. Move it back"):
        played(run, config, Notes(model, tmp_path), tmp_path / "moved")
    (tmp_path / "moved").rename(tmp_path / "lived")
    assert len(played(run, config, Notes(model, tmp_path), tmp_path / "lived").finished) == 3
