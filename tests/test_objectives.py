"""Objectives in the place of TRL's losses: by hand, against TRL where they are the same, and of one's own."""

import importlib
import math
import sys

import pytest
import tiny_model
import torch
from lamarck.config_training import TrainConfig
from lamarck.errors import ConfigError, TrainingError
from lamarck.training.collate import Weighed, collate
from lamarck.training.credit.named import credit_named
from lamarck.training.grpo import RowTrainer, row_config
from lamarck.training.objectives.mixed import Mixed
from lamarck.training.objectives.named import objective_named
from lamarck.training.objectives.nft import NFT
from lamarck.training.objectives.objective import Tokens
from lamarck.training.packed_trainer import PackedRowTrainer
from lamarck.training.rewards.named import parts
from lamarck.training.rows import Row
from lamarck.training.settle import settle
from lamarck.training.sources import Sources
from peft import LoraConfig
from stored import attempt

pytestmark = pytest.mark.filterwarnings("ignore")
WON, LOST = attempt("won", "open red"), attempt("lost", "open blue", won=0.0)


def tokens(ratio, advantages, progress=0.0):
    """Return one row of tokens whose probability was one half before."""
    old = torch.full((1, len(ratio)), math.log(0.5))
    now = (old + torch.tensor([ratio]).log()).requires_grad_()
    return Tokens(now, old, torch.tensor([advantages]), torch.ones(1, len(ratio)), progress)


def slopes(objective, given):
    losses, _ = objective(given)
    [found] = torch.autograd.grad(losses.sum(), given.logprobs)
    return losses[0].tolist(), found[0].tolist()


def test_nft_by_hand():
    # q = 4/5: A of the solved is sqrt(1/4) = 1/2, of the others -sqrt(4) = -2.
    losses, slope = slopes(NFT(floor=0.1), tokens([1.5, 1.1, 1.0], [0.5, -2.0, 0.0]))
    # -w log R with w = 1/2; -w log((1 - q R) / (1 - q)) = -1/2 log((1 - 0.88) / 0.2) = -1/2 log 0.6.
    assert losses == pytest.approx([-0.5 * math.log(1.5), -0.5 * math.log(0.6), 0.0], abs=1e-6)
    # d/dlog R of the second: w q R / (1 - q R) = 1/2 * 0.88 / 0.12.
    assert slope == pytest.approx([-0.5, 0.5 * 0.88 / 0.12, 0.0], rel=1e-5)
    # At the floor the value stays, and the slope is w q R / ((1 - q) floor).
    losses, slope = slopes(NFT(floor=1.0), tokens([1.1], [-2.0]))
    assert losses == pytest.approx([0.0], abs=1e-6) and slope == pytest.approx([0.5 * 0.8 * 1.1 / 0.2], rel=1e-5)
    assert NFT(floor=1.0)(tokens([1.1, 0.9], [-2.0, -2.0]))[1] == {"nft/at_floor": 0.5}
    assert slopes(NFT(failures=0.0), tokens([1.1], [-2.0])) == ([0.0], [0.0])


@pytest.mark.parametrize("floor", [1.0, 0.5])
def test_nft_is_grpo_on_policy(floor):
    _, slope = slopes(NFT(floor=floor), tokens([1.0] * 4, [0.5, -2.0, -0.25, 0.0]))
    assert slope == pytest.approx([-0.5, 2.0, 0.25, 0.0], rel=1e-5)


def test_mixed_by_hand():
    given = [1.5, 1.1], [2.0, -1.0]
    # 1.28 is where the gain of the first is cut off; log 0.75 is its log-probability.
    losses, slope = slopes(Mixed(start=0.25), tokens(*given))
    assert losses == pytest.approx([0.75 * -1.28 * 2.0 + 0.25 * -math.log(0.75), 0.75 * 1.1], rel=1e-5)
    assert slope == pytest.approx([-0.25, 0.75 * 1.1], rel=1e-5)
    _, figures = Mixed(start=0.5, end=0.0)(tokens(*given, progress=0.5))
    assert figures == {"balance": 0.25}


def row(ident, prompt, completion, mask):
    n = len(completion)
    return Row(ident, "g", tuple(prompt), tuple(completion), tuple(mask), (-2.0,) * n, (0,) * n)


ROWS = [
    Weighed(row("a", [3, 4], [5, 6, 7], [1, 0, 1]), (1.0, 0.0, -0.5)),
    Weighed(row("b", [3], [8, 9], [1, 1]), (-1.5, 2.0)),
    Weighed(row("c", [3, 4, 5], [6], [1]), (0.25,)),
    Weighed(row("d", [3, 4], [5, 9], [1, 1]), (-0.5, 0.75)),
]


def loss_of(tmp_path, kind, objective, beta=0.0, **settings):
    """Return loss and gradients of one batch of four, by a trainer with TRL's loss or with an objective."""
    args = row_config(
        str(tmp_path), batch=4, use_cpu=True, save_strategy="no", loss_type="dapo", epsilon=0.2, epsilon_high=0.28,
        beta=beta, **settings,
    )  # fmt: skip
    net = tiny_model.model(1)
    # With an adapter, the model without it is the reference.
    peft = LoraConfig(r=4, target_modules="all-linear") if beta else None
    trainer = kind(
        rows=ROWS, args=args, model=net, processing_class=tiny_model.tokenizer(), objective=objective, peft_config=peft,
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1
    trained = {name: one for name, one in trainer.model.named_parameters() if one.requires_grad}
    draw = torch.Generator().manual_seed(3)
    for name, one in trained.items():
        if "lora" in name:  # it begins as nothing
            one.data = torch.randn(one.shape, generator=draw) * 0.1
    trainer.model.train()
    batch = trainer._generate_and_score_completions([{"row": n} for n in range(4)])
    loss = trainer._compute_loss(trainer.model, batch)
    loss.backward()
    return loss.item(), torch.cat([one.grad.flatten() for one in trained.values()]), trainer


@pytest.mark.parametrize("kind", [RowTrainer, PackedRowTrainer])
@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_reinforcement_alone_is_trls_loss(tmp_path, kind, beta):
    theirs, slope, one = loss_of(tmp_path, kind, None, beta)
    ours, same, other = loss_of(tmp_path, kind, Mixed(start=0.0), beta)
    assert ours == pytest.approx(theirs, abs=1e-6) and torch.allclose(slope, same, atol=1e-6)
    assert slope.abs().max() > 1e-3
    for name in ("entropy", "ratio/mean", *(["kl"] if beta else [])):
        assert other._metrics["train"][name] == pytest.approx(one._metrics["train"][name], rel=1e-5)
    assert other._metrics["train"]["balance"] == [0.0]


@pytest.mark.parametrize("objective", [NFT(), Mixed()])
def test_an_update_is_the_same_in_parts(tmp_path, objective):
    """Two micro-batches of two give what one of four gives."""
    found = []
    for batch, accumulate in ((4, 1), (2, 2)):
        args = row_config(
            str(tmp_path), batch=batch, accumulate=accumulate, use_cpu=True, save_strategy="no", max_steps=2,
            learning_rate=1e-2, lr_scheduler_type="constant", optim="sgd", disable_tqdm=True,
        )  # fmt: skip
        net = tiny_model.model(1)
        RowTrainer(
            rows=ROWS, args=args, model=net, processing_class=tiny_model.tokenizer(), objective=objective
        ).train()
        found.append(torch.cat([one.detach().flatten() for one in net.parameters()]))
    before = torch.cat([one.detach().flatten() for one in tiny_model.model(1).parameters()])
    assert torch.allclose(*found, atol=1e-5) and (found[0] - before).abs().max() > 1e-4


OWN = """
import torch
def plain(tokens, scale=1.0):
    return -scale * tokens.advantages * tokens.logprobs, {"scale": scale}
class Kept:
    def __init__(self, by=1.0): self.by = by
    def __call__(self, tokens): return plain(tokens, self.by)
def number(tokens): return tokens.logprobs.sum(), {}
def broken(tokens): raise KeyError("x")
def by_mask(tokens): return plain(tokens)[0] / tokens.mask, {}
class Choosy:
    def __init__(self): raise ValueError("not today")
    def __call__(self, tokens): return plain(tokens)
class Mute: pass
nothing = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_objectives.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_objectives", raising=False)


def test_objectives_of_ones_own(own, tmp_path):
    given = tokens([1.0, 1.0], [1.0, -2.0])
    for name, key in (("plain", "scale"), ("Kept", "by")):
        losses, figures = objective_named(f"own_objectives:{name}", {key: 2})(given)
        assert losses[0].tolist() == pytest.approx([2 * math.log(2), -4 * math.log(2)]) and figures == {"scale": 2.0}
    loss, _, _ = loss_of(tmp_path, RowTrainer, objective_named("own_objectives:plain"))
    net, batch = tiny_model.model(1), collate(ROWS, 0)
    wanted = -sum(
        advantage * value * known
        for (one, advantages) in ROWS
        for advantage, value, known in zip(
            advantages, tiny_model.logprobs(net, one.prompt_ids, one.completion_ids), one.loss_mask, strict=True
        )
    )
    assert loss == pytest.approx(wanted / batch["num_items_in_batch"].item(), abs=1e-5)
    for name, told in (("number", r"losses of shape \(\) for tokens of \(1, 2\)"), ("broken", "broken failed: 'x'")):
        with pytest.raises(TrainingError, match=told):
            objective_named(f"own_objectives:{name}")(given)


def test_what_was_read_has_no_slope_either(own, tmp_path):
    """Where the mask is 0, this objective divides by it."""
    wanted, slope, _ = loss_of(tmp_path, RowTrainer, objective_named("own_objectives:plain"))
    loss, same, _ = loss_of(tmp_path, RowTrainer, objective_named("own_objectives:by_mask"))
    assert loss == pytest.approx(wanted) and torch.allclose(slope, same, atol=1e-6) and slope.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("nfl", {}, r"grpo.objective is 'nfl'; there are: nft, mixed"),
        ("nft", {"ceiling": 1}, "grpo.objective_options.ceiling is no option of nft; there are: floor, failures"),
        ("nft", {"floor": 0}, "grpo.objective_options.floor is 0: input should be greater than 0"),
        ("mixed", {"start": 2}, "grpo.objective_options.start is 2"),
        ("own_objectives:nothing", {}, "is no function"),
        ("own_objectives:Mute", {}, "is no function"),
        ("own_objectives:Choosy", {}, "grpo.objective own_objectives:Choosy cannot be made: not today"),
        ("own_objectives:plain", {"scales": 1}, "plain does not take tokens and these options: .*'scales'"),
        ("own_objectives:Kept", {"to": 1}, "does not take these options: .*'to'"),
        ("own_objectives:none", {}, "own_objectives has no none"),
    ],
)
def test_what_is_no_objective_is_said_before_training(own, name, options, told):
    config = TrainConfig(kind="grpo", grpo={"objective": name, "objective_options": options})
    with pytest.raises(ConfigError, match=told):
        settle(config, Sources((WON, LOST)), tiny_model.tokenizer())


PLUGGED = """
class Zero:
    name = "zero"
    def __init__(self, by=0.0): self.by = by
    def advantages(self, groups): return [[tuple(self.by for _ in e.rewards) for e in g] for g in groups]
def ten(prompts, completions, **columns): return [10.0]
def flat(tokens): return tokens.logprobs * 0, {}
"""


def test_packages_name_their_own_by_entry_points(tmp_path, monkeypatch):
    (tmp_path / "plugged_in.py").write_text(PLUGGED)
    info = tmp_path / "plugged_in-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged-in\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[lamarck.credits]\nzero = plugged_in:Zero\n[lamarck.rewards]\nten = plugged_in:ten\n"
        "[lamarck.objectives]\nflat = plugged_in:flat\nlost = plugged_in:lost\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    assert credit_named("zero", {"by": 3.0}).by == 3.0
    [part] = parts({"ten": 1.0}, {})
    assert part.rewards(WON) == (10.0,) and not part.of_steps
    losses, _ = objective_named("flat")(tokens([1.0], [1.0]))
    assert losses.tolist() == [[0.0]]
    config = TrainConfig(
        kind="grpo", grpo={"credit": "zero", "credit_options": {"by": 2}, "rewards": {"ten": 1.0}, "objective": "flat"}
    )
    found = settle(config, Sources((WON, LOST)), tiny_model.tokenizer())
    assert {value for one in found.rows for value in one.advantages} == {2.0}
    with pytest.raises(ConfigError, match=r"there are: .*hae, zero"):
        credit_named("nought")
    with pytest.raises(ConfigError, match="there are: nft, mixed, flat, lost"):
        objective_named("nought")
    with pytest.raises(ConfigError, match=r"grpo.objective lost: cannot load plugged_in:lost"):
        objective_named("lost")
