"""A stage at its edges: resumed behind its last update, refused before it leaves anything, told what it passes over."""

import os
import signal

import pytest
import stages
import torch
from lamarck.config_training import OptimizerConfig
from lamarck.errors import ConfigError, TrainingError
from lamarck.training.adapters import Adapter
from lamarck.training.fit import fit, remarks
from lamarck.training.output import TrainDirectory
from lamarck.training.shortage import shortage
from lamarck.training.weighing import COMPARED, spread
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


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_killed_behind_the_last_update_it_makes_no_other(model, found, tmp_path, kind):
    """Six updates of two rows: the last one is in the middle of an epoch."""
    settings = {"optimizer.accumulate": 1, "optimizer.batch": 2, "kind": kind, "optimizer.max_steps": 6}
    wanted = stages.fit(model, found, tmp_path / "whole", **settings)
    out = tmp_path / "out"

    def child():
        stages.when_opened("new/lamarck.json", lambda: os.kill(os.getpid(), signal.SIGKILL))
        stages.fit(model, found, out, **settings)

    code, printed = stages.in_child(child)
    assert code == -signal.SIGKILL, printed
    assert TrainDirectory(out).last_checkpoint().name == "checkpoint-6" and not (out / "adapter").exists()
    watch = Seen()
    summary = stages.fit(model, found, out, resume=True, watch=watch, **settings)
    assert watch.shown == [] and (summary.steps, summary.steps_planned) == (6, 6)
    assert summary.adapter == wanted.adapter == Adapter.read(out / "adapter").id
    assert summary.loss == wanted.loss and summary.epochs == wanted.epochs
    assert not [place for place in out.iterdir() if place.name.startswith(".")]


@pytest.mark.parametrize("kind", ["sft", "dpo", "kto", "grpo"])
@pytest.mark.parametrize("targets", ["lm_head", ["q_proj", "lm_head"]])
def test_an_adapter_on_the_output_layer_is_refused_before_there_is_a_folder(model, found, tmp_path, kind, targets):
    with pytest.raises(ConfigError, match=r"on the output layer \(lm_head\).* Leave lm_head out of adapter\.targets"):
        stages.fit(model, found, tmp_path / "out", kind=kind, **{"adapter.targets": targets})
    assert not (tmp_path / "out").exists()


def test_answers_of_one_sort_are_refused_before_there_is_a_folder(model, found, tmp_path):
    def shorten(one):
        """Cut the prompts of good attempts to pieces too long to be trained on."""
        long = one.steps[0].prompt_token_ids * 20
        steps = tuple(step.model_copy(update={"prompt_token_ids": long}) for step in one.steps)
        return one.model_copy(update={"steps": steps}) if one.success else one

    with pytest.raises(TrainingError, match=r"all \d+ answers that are left to train on are bad, and kto needs good"):
        stages.fit(model, list(map(shorten, found)), tmp_path / "out", kind="kto", **{"samples.max_tokens": 12})
    assert not (tmp_path / "out").exists()


def test_the_reward_shown_is_the_one_that_is_trained_on(model, found, tmp_path):
    """All 32 rows are in one update: a quarter of the attempts gets 1, three times over."""
    for n, weight in enumerate((1.0, 3.0)):
        watch, settings = Seen(), {"grpo.rewards": {"environment": weight}, "optimizer.max_steps": 1}
        settings |= {"optimizer.batch": 32, "optimizer.accumulate": 1, "grpo.credit": "grpo"}
        summary = stages.fit(model, found, tmp_path / f"{n}", kind="grpo", watch=watch, **settings)
        assert watch.shown[0].figures["reward"] == pytest.approx(0.25 * weight) == summary.reward.last


def test_the_divergence_of_dpo_is_shown(model, found, tmp_path):
    watch = Seen()
    stages.fit(model, found, tmp_path / "out", kind="dpo", watch=watch, **{"optimizer.max_steps": 3})
    first, *_, last = (one.figures for one in watch.shown)
    assert {"margin", "accuracy", "KL", "entropy"} <= set(first)
    assert first["KL"] == pytest.approx(0.0, abs=1e-6) and abs(last["KL"]) > 1e-5


@pytest.mark.parametrize(
    ("rows", "settings", "said"),
    [
        (16, {}, None),
        (19, {"optimizer.epochs": 1.0}, "3 of 19 rows fill no update of 8: they are never seen"),
        (19, {}, "3 of 19 rows fill no update of 8: each epoch leaves out as many, others each time"),
        (16, {"grpo.ratio": "sequence"}, "with one ratio per row, loss dapo counts rows by their length"),
        (16, {"grpo.ratio": "sequence", "grpo.loss": "grpo"}, None),
        (16, {"grpo.ratio": "sequence", "grpo.objective": "nft"}, None),
    ],
)
def test_what_is_passed_over_is_said(rows, settings, said):
    config = stages.config("grpo", **{"optimizer.max_steps": None, **settings})
    told = remarks(config, fit("grpo", OptimizerConfig(), rows), rows)
    assert (len(told) == 1 and told[0].startswith(said)) if said else told == ()


def test_what_is_passed_over_is_in_the_summary(model, found, tmp_path):
    settings = {"optimizer.max_steps": None, "optimizer.epochs": 1, "optimizer.batch": 5, "optimizer.accumulate": 1}
    watch = Seen()
    summary = stages.fit(model, found, tmp_path / "out", kind="grpo", watch=watch, **settings)
    note = "2 of 32 rows fill no update of 5: they are never seen"
    assert summary.steps == 6 and note in summary.notes and note in watch.said


def test_threads_are_those_of_scoring_too(model, found, tmp_path):
    seen = {}

    class Counting(Seen):
        def say(self, text):
            seen[text.split(" ")[0]] = torch.get_num_threads()

    torch.set_num_threads(2)
    try:
        settings = {"optimizer.max_steps": 1, "optimizer.threads": 1}
        stages.fit(model, found, tmp_path / "out", kind="grpo", watch=Counting(), **settings)
        assert set(seen.values()) == {1} and torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_rows_that_are_compared_are_spread_over_all_of_them():
    assert spread(list(range(5))) == [0, 1, 2, 3, 4]
    for count in (COMPARED, 31, 100):
        chosen = spread(list(range(count)))
        assert len(chosen) == COMPARED and chosen[0] == 0 and chosen[-1] >= count - count / COMPARED - 1
        assert chosen == sorted(set(chosen))


def test_what_cannot_be_read_is_no_torn_checkpoint(tmp_path):
    folder = TrainDirectory(tmp_path)
    place = folder.checkpoints / "checkpoint-2"
    (place / "trainer_state.json").mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"cannot read checkpoint .*checkpoint-2: Is a directory\. Mend that"):
        folder.sweep()
    assert place.exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("trainer_state.json", b"[]"),
        ("adapter_config.json", b"\xff"),
        ("adapter_model.safetensors", b"\x02" + b"\0" * 7 + b"[]"),
    ],
)
def test_files_of_another_form_are_torn(tmp_path, file, text):
    folder = TrainDirectory(tmp_path)
    place = folder.checkpoints / "checkpoint-2"
    place.mkdir(parents=True)
    (place / "trainer_state.json").write_text('{"global_step": 2}')
    (place / "adapter_config.json").write_text("{}")
    (place / file).write_bytes(text)
    assert folder.sweep() == ["checkpoint-2"] and not place.exists()


@pytest.mark.parametrize(
    "name", ["CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"]
)
def test_no_room_for_a_librarys_own_is_a_shortage_of_memory(name):
    assert shortage(RuntimeError(f"CUDA error: {name}")) == "memory"
