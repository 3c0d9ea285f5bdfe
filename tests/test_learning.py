"""Learning, end to end: a tiny transformer gets better at a two-step text task by every way of training there is.

It starts as a novice that gives well-formed answers at random and plays its own attempts; what is measured is the
share of solved attempts before and after, sampled at temperature 1.
"""

import copy
import functools
import gc

import pytest
import small_task
import tiny_model
import torch
import trl
from lamarck.config_training import ReplayConfig, TrainConfig
from lamarck.training.collate import Weighed
from lamarck.training.credit.episode import episode_of
from lamarck.training.credit.gigpo import GiGPO
from lamarck.training.credit.group import GRPO
from lamarck.training.credit.hierarchical import Hierarchical
from lamarck.training.examples import judged, pairs, successes
from lamarck.training.grpo import RowTrainer, row_config
from lamarck.training.offline import JudgedTrainer, PairTrainer, imitate
from lamarck.training.preferences import judged_config, pair_config
from lamarck.training.replay_plan import plan_replay
from lamarck.training.rows import episode_rows, step_rows

pytestmark = pytest.mark.filterwarnings("ignore")
QUIET = {"use_cpu": True, "save_strategy": "no", "logging_strategy": "no", "disable_tqdm": True, "report_to": "none",
         "bf16": False, "lr_scheduler_type": "constant", "gradient_checkpointing": False}  # fmt: skip
TASK = small_task.TwoSteps()


@pytest.fixture(autouse=True)
def light():
    """Each trainer collects garbage at its end, over all that the libraries have loaded: let it skip that."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.freeze()
    yield
    gc.unfreeze()
    torch.set_num_threads(threads)


@functools.cache
def _novice(task, seed):
    return small_task.novice(task, seed)


def novice(task, seed):
    return copy.deepcopy(_novice(task, seed))


def weighed(groups, credit, rows=step_rows):
    """Return the rows of groups with their advantages by an estimator."""
    advantages = credit.advantages([[episode_of(one) for one in group] for group in groups])
    return [
        Weighed(row, row.advantages(of_steps))
        for group, found in zip(groups, advantages, strict=True)
        for one, of_steps in zip(group, found, strict=True)
        for row in rows(one)
    ]


def update(net, rows, optimizer, tmp_path, seed, **settings):
    """Train on all rows as one batch, once per epoch."""
    behaviour = settings.pop("behaviour", True)
    args = row_config(str(tmp_path), batch=len(rows), seed=seed, **{**QUIET, **settings})
    RowTrainer(
        rows=rows, args=args, model=net, processing_class=tiny_model.tokenizer(), behaviour=behaviour,
        optimizers=(optimizer, None),
    ).train()  # fmt: skip


def adam(net, learning_rate):
    return torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=0.0)


def reinforce(net, task, tmp_path, seed, credit, *, rounds, rows=step_rows, samples=16, epochs=8, learning_rate=2e-3):
    """Play and train in turn."""
    optimizer = adam(net, learning_rate)
    for n in range(rounds):
        groups = small_task.play(net, task, 1000 * seed + n, samples)
        update(net, weighed(groups, credit, rows), optimizer, tmp_path, seed, num_train_epochs=epochs)


def by_grpo(net, tmp_path, seed, effort):
    reinforce(net, TASK, tmp_path, seed, GRPO(), rounds=effort, rows=episode_rows)


def by_gigpo(net, tmp_path, seed, effort):
    reinforce(net, TASK, tmp_path, seed, GiGPO(), rounds=effort)


def offline(kind, tmp_path, seed, steps, learning_rate, **settings):
    return kind(output_dir=str(tmp_path), max_steps=steps, learning_rate=learning_rate, seed=seed, **QUIET, **settings)


def by_sft(net, tmp_path, seed, effort):
    rows = [row for group in small_task.play(net, TASK, seed, 24) for row in successes(group)]
    args = offline(
        trl.SFTConfig, tmp_path, seed, 8 * effort, 3e-3, per_device_train_batch_size=len(rows), max_length=32
    )
    imitate(rows, args=args, model=net, processing_class=tiny_model.tokenizer()).train()


def small_groups(net, seed, count=6, samples=16):
    return [group for n in range(count) for group in small_task.play(net, TASK, 1000 * seed + n, samples)]


def preferring(kind, tmp_path, seed, effort, batch):
    """Return the settings of a stage at their defaults, and TRL's own beside them."""
    config = TrainConfig(kind=kind, beta=0.5)
    more = {"output_dir": str(tmp_path), "max_steps": 10 * effort, "learning_rate": 1e-3, "seed": seed}
    return config, {**QUIET, **more, "per_device_train_batch_size": batch}


def by_dpo(net, tmp_path, seed, effort):
    """With the likelihood of the chosen answer in the loss, as is the default of a stage."""
    shown = [pair for group in small_groups(net, seed) for pair in pairs(group)]
    config, settings = preferring("dpo", tmp_path, seed, effort, 64)
    PairTrainer(
        pairs=shown, args=pair_config(config, **settings), model=net, ref_model=copy.deepcopy(net),
        processing_class=tiny_model.tokenizer(),
    ).train()  # fmt: skip


def by_kto(net, tmp_path, seed, effort):
    """With more weight on good answers, of which there are fewer, as is the default of a stage."""
    shown = [one for group in small_groups(net, seed) for one in judged(group)]
    config, settings = preferring("kto", tmp_path, seed, effort, 128)
    args = judged_config(config, shown, **settings)
    assert args.desirable_weight > 1.0 == args.undesirable_weight
    JudgedTrainer(
        judged=shown, args=args, model=net, ref_model=copy.deepcopy(net), processing_class=tiny_model.tokenizer()
    ).train()


def by_replay(net, tmp_path, seed, effort):
    """Train on one set of the novice's attempts, pass after pass, with weights for how far it has moved since."""
    rows = weighed(small_task.play(net, TASK, seed, 48), GiGPO(), episode_rows)
    config = TrainConfig(kind="grpo", replay=ReplayConfig(truncate=2.0, trust=2.0))
    optimizer, sizes = adam(net, 2e-3), []
    for _ in range(effort):
        planned = plan_replay(config, rows, {"v0": 1}, lambda shown: [now(net, row) for row in shown])
        sizes.append(planned.ess)
        update(net, planned.rows, optimizer, tmp_path, seed, num_train_epochs=4)
    assert sizes[0] == pytest.approx(len(rows)) and sizes[-1] < sizes[0] - 1


def now(net, row):
    return tuple(tiny_model.logprobs(net, row.prompt_ids, row.completion_ids))


WAYS = {"sft": by_sft, "grpo": by_grpo, "gigpo": by_gigpo, "dpo": by_dpo, "kto": by_kto, "replay": by_replay}


def learned(way, tmp_path, seed, effort):
    """Return the share of solved attempts before and after."""
    net = novice(TASK, seed)
    before = small_task.success(net, TASK)
    WAYS[way](net, tmp_path, seed, effort)
    return before, small_task.success(net, TASK)


@pytest.mark.parametrize("way", WAYS)
def test_it_learns(way, tmp_path):
    before, after = learned(way, tmp_path, seed=0, effort=5)
    assert before < 0.55 and after > before + 0.25


@pytest.mark.full
@pytest.mark.parametrize("way", WAYS)
def test_it_learns_whatever_the_seed(way, tmp_path):
    found = [learned(way, tmp_path, seed, effort=10) for seed in range(3)]
    print(way, *(f"{before:.2f} -> {after:.2f}" for before, after in found))
    assert all(before < 0.55 and after > before + 0.25 for before, after in found)


DECISIVE = small_task.OneDecides()
CREDITS = {"episode": GRPO(), "gigpo": GiGPO(norm="mean_std"), "step": Hierarchical()}


def decided(credit, tmp_path, seed, rounds):
    net = novice(DECISIVE, seed)
    reinforce(
        net, DECISIVE, tmp_path, seed, CREDITS[credit], rounds=rounds, samples=4, epochs=4, learning_rate=1e-3
    )  # fmt: skip
    return small_task.success(net, DECISIVE, samples=256)


def test_step_credit_goes_to_the_step_that_decides():
    """Of twelve steps one decides: how much of all credit it gets."""
    groups = small_task.play(novice(DECISIVE, 0), DECISIVE, 7, 16)
    episodes = [[episode_of(one) for one in group] for group in groups]
    share = {}
    for name, credit in CREDITS.items():
        steps = [of_steps for group in credit.advantages(episodes) for of_steps in group]
        share[name] = sum(abs(a[DECISIVE.at]) for a in steps) / sum(abs(value) for a in steps for value in a)
    assert share["episode"] == pytest.approx(1 / 12)
    assert share["gigpo"] > 1.25 / 12 and share["step"] > 0.4


def test_step_credit_beats_episode_credit(tmp_path):
    """The same novice, the same number of attempts and of updates; only the advantages differ.

    `step` has the group's own values and one sub-goal per step. GiGPO is shown beside them in the long form only: it
    keeps the episode's part of the advantage, and with it most of that part's noise.
    """
    episode, step = (decided(credit, tmp_path, seed=0, rounds=15) for credit in ("episode", "step"))
    assert step > episode and step > 0.85


@pytest.mark.full
def test_step_credit_beats_episode_credit_at_the_mean_of_seeds(tmp_path):
    found = {credit: [decided(credit, tmp_path, seed, rounds=24) for seed in range(5)] for credit in CREDITS}
    for credit, each in found.items():
        print(credit, *(f"{one:.2f}" for one in each), f"mean {sum(each) / 5:.3f}")
    assert sum(found["step"]) / 5 > sum(found["episode"]) / 5 + 0.02
