"""TrainConfig: what a training stage is made of; saved as `train.toml` beside what it made."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from .config_tree import Tree
from .section import Section

Rate = Annotated[float, Field(ge=0.0, le=1.0)]


class SamplesConfig(Section):
    """Which stored attempts are trained on, and in which form."""

    rows: Literal["episode", "step"] = "episode"
    """One row for as much of an episode as goes on without a break, or one row per answer."""
    splits: tuple[str, ...] = ("train",)
    """Only attempts at tasks of these splits; attempts at others are left out and counted. Empty takes every split."""
    tasks: tuple[str, ...] = ()
    """Only attempts at these task ids; all if empty."""
    roles: tuple[Literal["solver", "proposer", "verifier"], ...] = Field(default=("solver",), min_length=1)
    """Only attempts in which the model played one of these parts; those of others are left out and counted. An
    evolution stores what a model was asked as proposer or judge apart (`roles/` of each generation), with rewards of
    its own and in groups of its own, and hands it to training as far as this names it; so sft and grpo train the parts
    of one model at once."""
    strip_recalled: bool = False
    """Take what was recalled from memory out of the prompts, so that the weights learn to do without it."""
    max_tokens: int = Field(default=2048, gt=1)
    """Longest row. Longer ones are left out and counted, never cut."""
    outcome: Literal["environment", "verdict"] = "environment"
    """By whose word an attempt went well: the environment's, or its verdict's. With `verdict` reward, success and score
    are the verdict's, for every kind and every reward, and attempts without a verdict that says something are left out
    and counted; where the truth is withheld there is nothing else."""
    judge: str | None = None
    """With `verdict`: take the verdicts that `lamarck verify` gave under this name; None takes those of the run."""
    agreement: str | tuple[Rate, Rate] | None = None
    """With `verdict`: how the verifier errs, by which rewards are corrected: what `lamarck verify agreement --json`
    printed, or two shares, of wrong attempts that it passes and of right ones that it does not. None corrects
    nothing."""
    least_confidence: Rate = 0.0
    """With `verdict`: verdicts that are less sure than this say nothing."""
    splice: bool = False
    """Kind sft: imitate as well how a failed attempt could have gone on after its first error (Agent-R): it, a thought
    that takes the error back, and the way of a solved attempt at the same task in the same run. Each is carried out in
    its world, and those that do not end well there are left out; only the thought and the good steps are taught."""

    @model_validator(mode="after")
    def _of_verdicts(self) -> Self:
        if self.outcome == "environment" and (self.judge or self.agreement or self.least_confidence):
            raise ValueError("judge, agreement and least_confidence are about verdicts; set outcome = verdict as well")
        if self.splice and self.outcome == "verdict":
            raise ValueError("splice asks worlds whether an attempt ends well; that goes with outcome = environment")
        return self


class AdapterConfig(Section):
    """The low-rank adapter that is trained (LoRA, Hu et al. 2021)."""

    rank: int = Field(default=16, gt=0)
    """Inner dimension."""
    alpha: float = Field(default=32.0, gt=0.0)
    """Scale: the update is multiplied by alpha / rank."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the adapter's inputs that are dropped while training."""
    targets: str | tuple[str, ...] = "all-linear"
    """Layers that get one, in the words of peft."""


class OptimizerConfig(Section):
    """How the weights are moved."""

    learning_rate: float | None = Field(default=None, gt=0.0)
    """None takes the kind's own: 2e-4 for sft, 2e-5 for dpo and kto, 2e-5 for grpo (all of them for adapters)."""
    epochs: float = Field(default=1.0, gt=0.0)
    """Passes over the rows."""
    max_steps: int | None = Field(default=None, gt=0)
    """This many updates, whatever `epochs` says; None goes by `epochs`."""
    batch: int = Field(default=2, gt=0)
    """Rows that go through the model at once."""
    accumulate: int = Field(default=4, gt=0)
    """Batches per update."""
    warmup: float = Field(default=0.03, ge=0.0, lt=1.0)
    """Share of the updates over which the learning rate rises."""
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    """How the learning rate falls after that."""
    weight_decay: float = Field(default=0.0, ge=0.0)
    """AdamW's decay."""
    clip: float = Field(default=1.0, gt=0.0)
    """Largest norm of a gradient."""
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the weights; `auto` is bfloat16 on a GPU that has it, else float32."""
    threads: int | None = Field(default=None, gt=0)
    """CPU threads of torch; None leaves them as they are."""
    gradient_checkpointing: bool = False
    """Less memory for more time."""


PairLoss = Literal[
    "sigmoid", "sigmoid_norm", "hinge", "ipo", "robust", "exo_pair", "nca_pair", "bco_pair", "sppo_hard", "aot",
    "aot_unpaired", "apo_zero", "apo_down", "discopop", "sft",
]  # fmt: skip
"""TRL's loss types of pairs."""
Weight = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


class PreferenceSettings(Section):
    """The losses of dpo and kto, which `beta` belongs to as well."""

    loss: dict[PairLoss, Weight] = Field(default={"sigmoid": 1.0, "sft": 1.0}, min_length=1)
    """TRL's loss types of dpo with their weights; their sum is the loss. The sft term keeps the chosen answer likely:
    sigmoid alone, which is DPO as published, only widens the margin, and both answers may become unlikely."""
    smoothing: float = Field(default=0.0, ge=0.0, lt=0.5)
    """Share of pairs that may be the wrong way round, for the dpo losses sigmoid, robust and exo_pair (which needs it
    above 0)."""
    kto_loss: Literal["kto", "apo_zero_unpaired"] = "kto"
    """TRL's loss type of kto."""
    good: Weight | None = None
    """Weight of good answers in kto. Where neither this nor `bad` is set, the rarer kind is weighed up until both weigh
    the same in all; where one is set, the other is 1."""
    bad: Weight | None = None
    """Weight of bad answers in kto."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        if set(self.loss) == {"sft"}:
            raise ValueError("sft alone prefers nothing; add sigmoid, or train by kind sft")
        if "exo_pair" in self.loss and not self.smoothing:
            raise ValueError("exo_pair needs a smoothing above 0, for example 0.001")
        return self


class GRPOSettings(Section):
    """Reinforcement over stored or fresh attempts."""

    credit: str = "gigpo"
    """Estimator of the advantages: grpo, dr_grpo, rloo, step_return, reinforce++, gigpo, gigpo_std, progress, hae,
    attribution (`lamarck train inspect` shows them side by side), or your own as module:Class."""
    credit_options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the estimator, for example gamma."""
    rewards: dict[str, float] = Field(default_factory=lambda: {"environment": 1.0})
    """Reward functions by name with their weights; their sum is the reward. Those that speak of steps (environment,
    invalid_actions, format, process, progress, repair_cost) are given to the step, the others (outcome, length,
    verifier, verifier_backward, verifier_forward, tool_use, tool_calls, par, and your own as module:name) to the last
    one."""
    reward_options: dict[str, dict[str, JsonValue]] = Field(default_factory=dict)
    """Keyword arguments of the reward functions, by their name; `length` needs `most` and `buffer`, in tokens."""
    reward_bounds: tuple[float, float] | None = None
    """Lowest and highest reward of a whole attempt; what is over is taken off its last step. None sets no bounds."""
    loss: Literal["grpo", "dapo", "bnpo", "dr_grpo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    """TRL's loss type."""
    objective: str | None = None
    """Loss in the place of `loss`, its clipping and `ratio`: nft (failures are learned from as in supervised learning),
    mixed (reinforcement and imitation with a balance), or your own as module:name. None takes TRL's."""
    objective_options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the objective: floor and failures of nft; start, end, clip_low and clip_high of mixed."""
    beta: float = Field(default=0.0, ge=0.0)
    """Weight of the KL divergence from the model that training starts from; 0 loads no reference."""
    clip_low: float = Field(default=0.2, gt=0.0, lt=1.0)
    """How far below 1 the ratio counts."""
    clip_high: float = Field(default=0.28, gt=0.0)
    """How far above 1 the ratio counts; 0.28 is DAPO's. For cispo, which caps the weight and not the gain, the cap is 1
    more than this, and its paper takes a far higher one: 4 makes it TRL's recommended 5."""
    clip_stripped: float = Field(default=0.6, gt=0.0)
    """The same for rows that lost what was recalled, whose ratio has further to go; 0.6 is AgentEvolver's."""
    ratio: Literal["token", "sequence"] = "token"
    """Importance ratio per token, or one per row (GSPO)."""
    packing: bool = True
    """Compute beginnings that rows share only once."""
    pick_groups: bool = True
    """Leave out groups whose attempts all got the same: they have no advantage (DAPO). Only with estimators that
    compare the attempts of a group."""
    agreement: float = Field(default=0.1, gt=0.0)
    """Refuse to train when log-probabilities of the same policy, as sampled and as computed here, differ by more than
    this at the mean, in nats."""


class ReplayConfig(Section):
    """Training on what older policies did (kind grpo)."""

    staleness: int | None = Field(default=None, ge=0)
    """Leave out rows sampled more than this many policies ago; None takes all."""
    weights: Literal["row", "token"] = "row"
    """One importance weight for a row, the geometric mean over its tokens, or one for each token."""
    truncate: float = Field(default=2.0, gt=0.0)
    """Largest importance weight."""
    trust: float | None = Field(default=None, gt=0.0)
    """Leave out rows whose mean log-ratio is beyond this, in nats; None takes all."""
    self_imitation: float = Field(default=0.0, ge=0.0)
    """Weight that replayed good attempts of earlier rounds reach in the last one (SPEAR, live rounds only); 0 replays
    none."""
    patches: int = Field(default=0, ge=-1)
    """Semi-online replay of expert attempts (UI-S1): how often in an attempt the expert's action may stand in for the
    model's; -1 sets no limit."""
    resample: int | None = Field(default=None, gt=1)
    """Keep this many attempts of each group, the cleanest successes first (rStar2-Agent); None keeps all."""


class LiveConfig(Section):
    """Fresh attempts in turn with training (kind grpo)."""

    rounds: int = Field(default=0, ge=0)
    """Rounds of collecting and training; 0 trains on what is stored only."""
    tasks: int = Field(default=8, gt=0)
    """Tasks that are played at once; also how many of them must teach something before the round trains."""
    asks: int = Field(default=10, gt=0)
    """How often more tasks are played in a round while too few teach something (DAPO); 1 takes what comes first."""
    samples: int = Field(default=4, gt=1)
    """Attempts at each."""
    fresh: float = Field(default=1.0, gt=0.0, le=1.0)
    """Share of fresh rows in a round; the rest is drawn from the stores and from earlier rounds."""


class TrainConfig(Tree):
    """Everything a training stage needs to be repeated."""

    kind: Literal["sft", "dpo", "kto", "grpo"]
    """Imitate successes, prefer better siblings, push good and bad answers apart, or reinforce by advantage."""
    stores: tuple[str, ...] = ()
    """Run directories, or files made by `lamarck export`."""
    model: str = "embedded"
    """Base model: `embedded`, or a folder that transformers can load."""
    start: str | None = None
    """Folder of an adapter to train further; None starts a new one."""
    samples: SamplesConfig = SamplesConfig()
    adapter: AdapterConfig = AdapterConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    beta: float = Field(default=0.1, gt=0.0)
    """How close dpo and kto stay to the model that training starts from."""
    preferences: PreferenceSettings = PreferenceSettings()
    grpo: GRPOSettings = GRPOSettings()
    replay: ReplayConfig = ReplayConfig()
    live: LiveConfig = LiveConfig()
    validate_share: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the tasks held back to measure the loss on (by a hash of the task id, so that siblings stay together);
    it decides which checkpoint is best. 0 holds back none, and the best is the last."""
    save_steps: int = Field(default=50, gt=0)
    """A checkpoint after this many updates."""
    keep: int = Field(default=2, gt=0)
    """Checkpoints kept."""
    report_to: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    """Where curves are written; TensorBoard files lie in `logs/`."""
    seed: int = 0
    """Seed of the adapter's first weights and of the order of the rows."""
