"""Imitation and preferences over stored ids: what is shown, and that a tiny model learns it."""

import inspect

import pytest
import tiny_model
import torch
import trl
from lamarck.core import Failure, Step, Task, Trajectory
from lamarck.errors import TrainingError
from lamarck.training.examples import IGNORED, Judged, Pair, judged, labels, pairs, successes
from lamarck.training.offline import PREPARE, JudgedTrainer, PairTrainer, imitate
from lamarck.training.rows import Row

pytestmark = pytest.mark.filterwarnings("ignore")


def attempt(ident, reward, *answers, **fields):
    """Return an attempt whose steps have the prompts (3,), (3, 4), ... and these answers."""
    steps = tuple(
        Step(
            index=i,
            observation="o",
            prompt_token_ids=(3, 4, 5)[: i + 1],
            token_ids=tuple(answer),
            logprobs=(-1.0,) * len(answer),
        )
        for i, answer in enumerate(answers)
    )
    known = {"id": ident, "run_id": "r", "task": Task(id="x", goal="", environment="e"), "stop": "terminated"}
    return Trajectory(**{**known, "steps": steps, "reward": reward, "success": reward == 1.0, **fields})


DEAD = attempt("dead", None, (9,), stop="infrastructure", failure=Failure(boundary="model", kind="k", message=""))


def test_labels_by_hand():
    row = Row("t", "g", (1, 2), (3, 4, 5), (1, 0, 1), (), (0, 0, 1))
    assert labels(row) == ((1, 2, 3, 4, 5), (IGNORED, IGNORED, 3, IGNORED, 5))


def test_only_successes_are_imitated():
    rows = successes([attempt("won", 1.0, (6,)), attempt("lost", 0.0, (7,)), DEAD])
    assert [(row.trajectory_id, row.completion_ids) for row in rows] == [("won", (6,))]


def test_pairs_stand_where_ways_parted():
    group = [attempt("won", 1.0, (6,), (7,)), attempt("lost", 0.0, (6,), (8,)), attempt("half", 0.5, (6,), (9,)), DEAD]
    assert pairs(group) == [Pair((3, 4), (7,), (8,), 1.0)]
    assert pairs([attempt("a", 1.0, (6,)), attempt("b", 1.0, (7,))]) == []
    assert pairs([DEAD]) == []


def test_answers_are_judged_against_their_group():
    group = [attempt("won", 1.0, (6,)), attempt("lost", 0.0, (7,)), attempt("half", 0.5, (8,)), DEAD]
    assert judged(group) == [Judged((3,), (6,), True), Judged((3,), (7,), False)]
    assert judged([DEAD]) == []


def settings(kind, tmp_path, **more):
    return kind(
        output_dir=str(tmp_path), max_steps=30, per_device_train_batch_size=4, learning_rate=1e-2, report_to="none",
        use_cpu=True, bf16=False, save_strategy="no", logging_steps=1, **more,
    )  # fmt: skip


def chance(net, prompt, completion):
    return sum(tiny_model.logprobs(net, prompt, completion))


def test_imitation_trains_on_what_was_sampled_and_on_nothing_else(tmp_path):
    net, words = tiny_model.model(), tiny_model.tokenizer()
    row = Row("t", "g", (3, 10), (5, 11, 6), (1, 0, 1), (), (0, 0, 1))
    before = tiny_model.logprobs(net, row.prompt_ids, row.completion_ids)
    trainer = imitate(
        [row] * 4, args=settings(trl.SFTConfig, tmp_path, max_length=8), model=net, processing_class=words
    )
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["labels"][0].tolist() == [-100, -100, 5, -100, 6]
    net.eval()
    with torch.no_grad():
        loss = net(input_ids=batch["input_ids"], labels=batch["labels"]).loss.item()
    assert loss == pytest.approx(-(before[0] + before[2]) / 2, abs=1e-5)
    trainer.train()
    after = tiny_model.logprobs(net, row.prompt_ids, row.completion_ids)
    assert min(after[0], after[2]) > -0.1


def test_pairs_are_learned(tmp_path):
    net, words = tiny_model.model(), tiny_model.tokenizer()
    gap = chance(net, (3,), (5, 1)) - chance(net, (3,), (6, 1))
    trainer = PairTrainer(
        pairs=[Pair((3,), (5, 1), (6, 1), 1.0)] * 8,
        args=settings(trl.DPOConfig, tmp_path),
        model=net,
        ref_model=tiny_model.model(),
        processing_class=words,
    )
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["input_ids"][0].tolist() == [3, 5, 1] and batch["input_ids"][4].tolist() == [3, 6, 1]
    trainer.train()
    assert trainer.state.log_history[0]["loss"] == pytest.approx(0.6931, abs=1e-3)
    assert chance(net, (3,), (5, 1)) - chance(net, (3,), (6, 1)) > gap + 2


def test_judged_answers_are_learned(tmp_path):
    net, words = tiny_model.model(), tiny_model.tokenizer()
    before = chance(net, (3,), (5, 1)) - chance(net, (4,), (6, 1))
    shown = [Judged((3,), (5, 1), True), Judged((4,), (6, 1), False)] * 8
    trainer = JudgedTrainer(
        judged=shown,
        args=settings(trl.KTOConfig, tmp_path),
        model=net,
        ref_model=tiny_model.model(),
        processing_class=words,
    )
    assert trainer.train_dataset[0]["KL_completion_ids"] == [6, 1]
    trainer.train()
    assert chance(net, (3,), (5, 1)) - chance(net, (4,), (6, 1)) > before + 1


def test_the_hook_in_trl_is_where_it_was():
    for kind in (trl.DPOTrainer, trl.KTOTrainer):
        assert tuple(inspect.signature(kind._prepare_dataset).parameters) == PREPARE, f"TRL {trl.__version__} moved it"


def test_what_cannot_be_trained_is_said(tmp_path):
    words = tiny_model.tokenizer()
    with pytest.raises(TrainingError, match="no rows to train on"):
        imitate([], args=settings(trl.SFTConfig, tmp_path))
    with pytest.raises(TrainingError, match="row of trajectory t has 5 tokens, more than max_length 4"):
        imitate(
            [Row("t", "g", (1, 2), (3, 4, 5), (1, 0, 1), (), (0, 0, 1))],
            args=settings(trl.SFTConfig, tmp_path, max_length=4),
        )
    with pytest.raises(TrainingError, match="no pairs"):
        PairTrainer(pairs=[], args=settings(trl.DPOConfig, tmp_path), model=tiny_model.model(), processing_class=words)
    with pytest.raises(TrainingError, match="the same label"):
        JudgedTrainer(
            judged=[Judged((3,), (5,), True)], args=settings(trl.KTOConfig, tmp_path), model=tiny_model.model()
        )
