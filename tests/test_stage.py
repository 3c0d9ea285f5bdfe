"""One stage of training: what it leaves behind, how it is stopped, killed and resumed, what it says when it fails."""

import errno
import json
import math
import os
import resource
import signal
from dataclasses import replace

import pytest
import stages
import tiny_model
import torch
from lamarck.config_training import OptimizerConfig, TrainConfig
from lamarck.errors import ConfigError, TrainingError
from lamarck.training.adapters import Adapter
from lamarck.training.base import load_base
from lamarck.training.callbacks import Watching
from lamarck.training.collate import Weighed
from lamarck.training.fit import Fit, fit
from lamarck.training.output import TrainDirectory
from lamarck.training.prepared import Prepared
from lamarck.training.rows import episode_rows, step_rows
from lamarck.training.scoring import logprobs
from lamarck.training.shortage import shortage
from lamarck.training.stage import train
from lamarck.training.summary import Summary, lines
from lamarck.training.trainers import trainer_for
from lamarck.training.wholeness import whole
from stages import Seen

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module", autouse=True)
def light():
    with stages.light():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return stages.model_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def found(model):
    return stages.attempts(model)


@pytest.fixture(scope="module")
def straight(model, found, tmp_path_factory):
    """A stage that went through without a break."""
    out = tmp_path_factory.mktemp("straight") / "out"
    watch = Seen()
    return out, stages.fit(model, found, out, watch=watch), watch


def test_a_stage_leaves_all_there_is_to_know(straight, model, found):
    out, summary, watch = straight
    assert (summary.steps, summary.steps_planned, summary.kind, summary.interrupted) == (6, 6, "sft", False)
    last, best = Adapter.read(out / "adapter"), Adapter.read(out / "best")
    assert summary.adapter == last.id == best.id == summary.best  # nothing was held back
    assert summary.policy_version == f"{last.base_weights}+{last.id[:12]}"
    assert Summary.read(out / "summary.json") == summary
    assert summary.data.solved == sum(one.success for one in found) and summary.data.attempts == len(found)
    assert summary.data.left_out["not solved"] >= 2 and summary.data.releases == ("r" * 32,)
    assert summary.data.splits == {"train": len(found)} and summary.data.runs == ("small",)
    assert summary.loss.last < summary.loss.first and summary.tokens_per_s > 0
    assert [one.step for one in watch.shown] == [1, 2, 3, 4, 5, 6] and watch.shown[-1].seconds_left == 0
    assert {"loss", "entropy", "gradient", "learning rate"} <= set(watch.shown[-1].figures)
    card = (out / "README.md").read_text()
    assert "Seed: 0" in card and last.id in card and "r" * 32 in card and "train (32)" in card
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["checkpoint-4", "checkpoint-6"]
    assert f"--adapter {out}/best" in lines(summary)[-1]
    assert TrainDirectory(out).load_config() == stages.config()


@pytest.mark.parametrize(
    ("kind", "shown", "settings"),
    [
        ("dpo", {"margin"}, {"samples.rows": "step"}),
        ("kto", {"KL"}, {}),
        ("grpo", {"reward", "entropy", "clipped", "ratio", "KL"}, {"samples.rows": "step", "validate_share": 0.5}),
        ("grpo", {"reward", "KL"}, {"grpo.beta": 0.1, "grpo.packing": False, "grpo.credit": "grpo"}),
    ],
)
def test_every_kind_trains_quietly_and_again_in_the_same_process(model, found, tmp_path, capfd, kind, shown, settings):
    wanted = stages.config(kind, **{"optimizer.max_steps": 2, "report_to": ["tensorboard"], **settings})
    base, watch = load_base(wanted, model), Seen()
    capfd.readouterr()
    summary = train(wanted, stages.sources(found), base, tmp_path / "one", watch=watch)
    assert capfd.readouterr() == ("", "")
    assert summary.steps == 2 and shown <= {name for one in watch.shown for name in one.figures}
    assert list((tmp_path / "one" / "logs").glob("events*")) and summary.tokens_per_s > 0
    assert set(base.model.peft_config) == {"default"}
    if "validate_share" in settings:
        assert summary.held_out_loss is not None and summary.data.held > 0
    first = Adapter.read(tmp_path / "one" / "adapter")
    again = train(wanted, stages.sources(found), replace(base, adapter=first), tmp_path / "two")
    assert again.start == first.id and again.adapter != first.id
    assert Adapter.read(tmp_path / "two" / "adapter").parent == first.id


def test_the_best_is_the_one_with_the_lowest_loss_on_what_is_held_back(model, found, tmp_path):
    watch = Seen()
    # A rate so high that it gets worse again.
    settings = {"validate_share": 0.5, "save_steps": 1, "keep": 6}
    settings |= {"optimizer.learning_rate": 3.0, "optimizer.schedule": "constant"}
    summary = stages.fit(model, found, tmp_path / "out", watch=watch, **settings)
    losses = {one.step: one.figures["held-out loss"] for one in watch.shown if "held-out loss" in one.figures}
    assert sorted(losses) == [0, 1, 2, 3, 4, 5, 6] and summary.held_out_loss.first == losses[0]
    best = min((step for step in losses if step), key=losses.get)
    assert best < 6 and summary.held_out_loss.best_step == best
    kept = (tmp_path / "out" / "checkpoints" / f"checkpoint-{best}" / "adapter_model.safetensors").read_bytes()
    assert (tmp_path / "out" / "best" / "adapter_model.safetensors").read_bytes() == kept
    assert summary.best == Adapter.read(tmp_path / "out" / "best").id != summary.adapter


def test_stopped_and_resumed_it_ends_where_it_would_have_ended(straight, model, found, tmp_path):
    _, wanted, _ = straight
    out = tmp_path / "out"
    stopped = stages.fit(model, found, out, watch=Seen(stop_at=3))
    assert stopped.interrupted and stopped.steps == 3 and not (out / "adapter").exists()
    assert lines(stopped)[-1].endswith(f"lamarck train sft --resume --out {out}")
    with pytest.raises(ConfigError, match=r"already holds a training stage\. Add --resume"):
        stages.fit(model, found, out)
    watch = Seen()
    summary = stages.fit(model, found, out, resume=True, watch=watch)
    assert "going on from checkpoint-3" in watch.said and [one.step for one in watch.shown] == [4, 5, 6]
    assert summary.adapter == wanted.adapter
    # At its end it is not begun again.
    watch = Seen()
    assert stages.fit(model, found, out, resume=True, watch=watch) == summary and not watch.shown
    # It may go on for longer, and be stopped once more.
    more = {"optimizer.max_steps": 9, "optimizer.epochs": 9}
    halfway = stages.fit(model, found, out, resume=True, watch=Seen(stop_at=8), **more)
    assert halfway.interrupted and halfway.steps == 8
    longer = stages.fit(model, found, out, resume=True, **more)
    assert longer.steps == 9 and longer.adapter != summary.adapter


def test_stopped_in_its_last_update_it_is_finished(straight, model, found, tmp_path):
    _, wanted, _ = straight
    watch = Seen(stop_at=6)
    summary = stages.fit(model, found, tmp_path / "out", watch=watch)
    assert watch.stopping() and not summary.interrupted
    assert (summary.steps, summary.adapter) == (6, wanted.adapter) and (tmp_path / "out" / "best").is_dir()
    assert watch.said[-1].startswith("that was the last update")
    # Nobody is told so who did not stop it: where time is up, there was enough of it for this stage.
    enough = Seen(stop_at=6, enough=True)
    enough.shown = watch.shown
    Watching(enough).on_train_end(None, None, None)
    assert enough.stopping() and not enough.said


def test_a_folder_of_something_else_is_left_alone(model, found, tmp_path):
    for name in ("README.md", "checkpoints/checkpoint-500/model.bin", "logs/events"):
        out = tmp_path / name.partition("/")[0]
        (out / name).parent.mkdir(parents=True)
        (out / name).write_text("mine")
        with pytest.raises(ConfigError, match=f"holds {name.partition('.bin')[0].rsplit('/model', 1)[0]}"):
            stages.fit(model, found, out)
        assert (out / name).read_text() == "mine" and not (out / "train.toml").exists()


@pytest.mark.parametrize("file", ["trainer_state.json", "adapter_model.safetensors", "optimizer.pt", "rng_state.pth"])
def test_a_checkpoint_that_was_cut_off_is_passed_over(straight, tmp_path, file):
    out, _, _ = straight
    folder = TrainDirectory(tmp_path)
    for step in (4, 6):
        copy = folder.checkpoints / f"checkpoint-{step}"
        copy.mkdir(parents=True)
        for path in (out / "checkpoints" / f"checkpoint-{step}").iterdir():
            (copy / path.name).write_bytes(path.read_bytes())
    assert folder.last_checkpoint().name == "checkpoint-6"
    torn = folder.checkpoints / "checkpoint-6" / file
    torn.write_bytes(torn.read_bytes()[:-20])
    assert not whole(torn.parent) and folder.last_checkpoint().name == "checkpoint-4"
    torn.unlink()
    assert not whole(torn.parent)
    assert folder.sweep() == ["checkpoint-6"] and not torn.parent.exists()
    assert folder.last_checkpoint().name == "checkpoint-4"


KILLS = (
    "update 1",
    "checkpoint-2/trainer_state.json",
    "checkpoint-4/adapter_config.json",
    "update 5",
    "new/lamarck.json",
)
"""Before the first checkpoint, within two of them, between two, and while the adapter is written."""


def test_killed_again_and_again_it_ends_where_it_would_have_ended(straight, model, found, tmp_path):
    _, wanted, _ = straight
    out = tmp_path / "out"

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    for n, point in enumerate(KILLS):

        def child(n=n, point=point):
            at = int(point.split()[1]) if point.startswith("update") else 0
            if not at:
                stages.when_opened(point, kill)
            watch = Seen(on_show=lambda progress: progress.step == at and kill())
            stages.fit(model, found, out, resume=n > 0, watch=watch)

        code, printed = stages.in_child(child)
        assert code == -signal.SIGKILL, printed
        assert not (out / "adapter").exists() and not (out / "summary.json").exists()
    assert TrainDirectory(out).last_checkpoint().name == "checkpoint-6"
    summary = stages.fit(model, found, out, resume=True)
    assert summary.steps == 6 and summary.adapter == wanted.adapter == Adapter.read(out / "adapter").id


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(straight, model, found, tmp_path):
    _, wanted, _ = straight
    out = tmp_path / "out"
    stages.fit(model, found, out, watch=Seen(stop_at=2))
    size = (out / "checkpoints" / "checkpoint-2" / "optimizer.pt").stat().st_size

    def child():
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, size // 2))
        try:
            stages.fit(model, found, out, resume=True)
        except TrainingError as error:
            print(error)
            return 3

    code, printed = stages.in_child(child)
    assert code == 3, printed
    assert [line for line in printed.splitlines() if line and "Loading" not in line] == [
        f"there is no room left to write to {out}. The last checkpoint is {out}/checkpoints/checkpoint-2. "
        "Make room, then --resume."
    ]
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["checkpoint-2"]
    assert not (out / "adapter").exists()
    assert stages.fit(model, found, out, resume=True).adapter == wanted.adapter


def test_too_little_memory_is_one_line(model, found, tmp_path):
    def burst(progress):
        if progress.step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    with pytest.raises(
        TrainingError, match=r"not enough memory\. The last checkpoint is .*checkpoint-2\. Save memory by"
    ):
        stages.fit(model, found, tmp_path / "out", watch=Seen(on_show=burst))


def test_what_is_a_shortage_and_what_is_not():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**58)
    assert shortage(caught.value) == "memory"
    assert shortage(MemoryError()) == "memory"
    full = OSError(errno.ENOSPC, "No space left on device")
    assert shortage(full) == "disk"
    passed_on = RuntimeError("unexpected pos 64")
    passed_on.__context__ = full
    assert shortage(passed_on) == "disk"
    assert shortage(RuntimeError("shapes do not fit")) is None and shortage(OSError(errno.EACCES, "no")) is None


def test_a_loss_that_is_no_number_ends_training(model, found, tmp_path):
    with pytest.raises(
        TrainingError, match=r"the (loss|gradient) of update \d is (nan|inf)\. Start anew with a lower --lr"
    ):
        stages.fit(model, found, tmp_path / "out", **{"optimizer.learning_rate": 1e38, "optimizer.clip": 1e30})
    assert not (tmp_path / "out" / "adapter").exists()


def test_what_cannot_be_resumed(straight, model, found, tmp_path):
    out, _, _ = straight
    with pytest.raises(ConfigError, match=r"seed was 0 and is 1 now\. Resume with the settings"):
        stages.fit(model, found, out, resume=True, seed=1)
    with pytest.raises(
        TrainingError, match=r"trained on has changed since \(rows \d+ then, \d+ now, tokens .* --start"
    ):
        stages.fit(model, found[:12], out, resume=True)
    with pytest.raises(ConfigError, match=r"there is no training in .* to resume"):
        stages.fit(model, found, tmp_path / "none", resume=True)
    with TrainDirectory(out).lock(), pytest.raises(ConfigError, match=f"is in use by process {os.getpid()}"):
        stages.fit(model, found, out, resume=True, **{"optimizer.max_steps": 9})
    assert json.loads((out / "summary.json").read_text())["steps"] == 6


def test_a_stage_that_cannot_begin_leaves_nothing(model, found, tmp_path):
    with pytest.raises(TrainingError, match="has one attempt"):
        stages.fit(model, found[:1], tmp_path / "out", kind="dpo")
    with pytest.raises(ConfigError, match="report_to names wandb, which is not installed"):
        stages.fit(model, found, tmp_path / "out", report_to=["wandb"])
    assert not (tmp_path / "out").exists()


def test_log_probabilities_in_batches_are_those_one_by_one(model, found):
    rows = [row for one in found[:5] for row in (*episode_rows(one), *step_rows(one))]
    net = tiny_model.model().train()
    scored = logprobs(net, rows, batch=4, pad_id=0)
    assert net.training
    for row, values in zip(rows, scored, strict=True):
        assert values == pytest.approx(tiny_model.logprobs(net, row.prompt_ids, row.completion_ids), abs=1e-5)


def test_what_another_policy_sampled_is_weighed(model, found, tmp_path):
    def moved(step):
        return step.model_copy(update={"policy_version": "old", "logprobs": tuple(v - 0.5 for v in step.logprobs)})

    half = [one.model_copy(update={"steps": tuple(map(moved, one.steps))}) if one.sample < 4 else one for one in found]
    watch, settings = Seen(), {"optimizer.max_steps": 1, "grpo.credit": "grpo"}
    summary = stages.fit(model, half, tmp_path / "out", kind="grpo", watch=watch, **settings)
    assert any("16 of 32 rows are not of the policy in training" in text for text in watch.said)
    # Half of the rows weigh 1, half exp(0.5).
    one, other = 16.0, 16 * math.exp(0.5)
    assert summary.data.figures["replay/ess"] == pytest.approx((one + other) ** 2 / (16 + 16 * math.e), rel=1e-3)
    assert watch.shown[0].figures["ratio"] == pytest.approx(1.0, abs=1e-4)


def test_sides_that_do_not_agree_do_not_train(model, found, tmp_path):
    def lie(step):
        return step.model_copy(update={"logprobs": tuple(v - 1.0 for v in step.logprobs)})

    wrong = [one.model_copy(update={"steps": tuple(map(lie, one.steps))}) for one in found]
    with pytest.raises(TrainingError, match="do not agree"):
        stages.fit(model, wrong, tmp_path / "out", kind="grpo")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "rows", "batch", "accumulate", "wanted"),
    [
        ("sft", 100, 2, 4, (2, 4)),
        ("sft", 5, 2, 4, (2, 2)),
        ("sft", 1, 2, 4, (1, 1)),
        ("grpo", 3, 8, 1, (3, 1)),
        ("grpo", 10, 1, 1, (1, 2)),
        ("kto", 10, 1, 4, (2, 2)),
    ],
)
def test_updates_shrink_to_the_rows_there_are(kind, rows, batch, accumulate, wanted):
    found = fit(kind, OptimizerConfig(batch=batch, accumulate=accumulate), rows)
    assert (found.batch, found.accumulate) == wanted
    assert bool(found.notes) == ((batch, accumulate) != wanted) and math.prod(wanted) <= max(rows, 2)


def test_too_few_rows_are_said():
    with pytest.raises(TrainingError, match="nothing to train on"):
        fit("sft", OptimizerConfig(), 0)
    with pytest.raises(TrainingError, match="one row alone is not enough for grpo"):
        fit("grpo", OptimizerConfig(), 1)


def test_the_cap_of_cispo_is_one_more_than_that_of_the_others(model, found, tmp_path):
    for loss, cap in (("cispo", 1.28), ("dapo", 0.28)):
        config = stages.config("grpo", **{"grpo.loss": loss})
        rows = [Weighed(one, (0.0,) * len(one.completion_ids)) for one in step_rows(found[0])]
        place = TrainDirectory(tmp_path / loss)
        trainer = trainer_for(config, Prepared(tuple(rows * 4)), load_base(config, model), place, Fit(2, 2))
        assert trainer.epsilon_high == pytest.approx(cap)
    with pytest.raises(ConfigError, match="'sharp'"):
        TrainConfig.load(None, {"kind": "grpo", "grpo.loss": "sharp"})
    with pytest.raises(ConfigError, match="greater than 0"):
        TrainConfig.load(None, {"kind": "sft", "optimizer.max_steps": 0})
