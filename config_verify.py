"""The sections of the configuration that concern verifiers: who judges an attempt, and when it is tried again."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from .section import Section


class GateSettings(Section):
    """When a verdict sends the solver back, with `repair.by = "verifier"`."""

    rule: Literal["doubted", "unsure", "product"] = "doubted"
    """`doubted`: a low score by a verifier that is sure of it. `unsure`: a verifier that is not sure, whatever its
    score. `product`: score times confidence is low."""
    score: float = Field(default=0.5, ge=0.0, le=1.0)
    """Scores below this are low, with `doubted`."""
    confidence: float = Field(default=0.7, ge=0.0, le=1.0)
    """tau_c: from this confidence on a verifier is sure."""
    product: float = Field(default=0.0, ge=-1.0, le=1.0)
    """Below this, score (scaled to [-1, 1]) times confidence is low, with `product`."""
    step_score: float = Field(default=0.0, ge=-1.0, le=1.0)
    """The first step with a score below this is the first one at fault."""
    kappa: float = Field(default=5.0, gt=0.0)
    """Steepness of the soft gate, sigmoid(kappa * (tau_c - confidence))."""
    weight: float = Field(default=1.0, ge=0.0, le=1.0)
    """What the verifier's word is worth here: scales its confidence; at 0 it sends nobody back. An evolution sets this
    to what it measured after the generation before, where the truth is known."""
    cost: float = Field(default=0.05, ge=0.0)
    """C_repair: what a repair costs in reward where the gate is fully open. It is kept with the attempt that the repair
    led to; training takes it off where `grpo.rewards` names `repair_cost`."""
    fork: bool = True
    """Go on from just before the first step at fault, where the environment takes snapshots; else start again."""


class TrustSettings(Section):
    """How much a verifier's word counts, by how it agreed with ground truth before."""

    agreement: str | None = None
    """File written by `lamarck verify agreement --json`; its weight scales the confidence of every verdict."""
    recent: int = Field(default=50, gt=0)
    """This many latest verdicts are compared with all before them to see whether the verifier drifts."""
    least: int = Field(default=20, gt=0)
    """With fewer verdicts of known truth than this, nothing is concluded: the weight stays 1."""
    bins: int = Field(default=10, gt=0)
    """Bins of the calibration error."""


class VerifyConfig(Section):
    """Who judges an attempt, and what may be seen of how it ended."""

    by: str = "none"
    """`none`, `environment`, `rule`, `code`, `recompute`, `judge`, `vote`, `consistency`, `certainty`, `locate`, a
    registered verifier or `module:Class`."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the verifier."""
    model: str | None = None
    """The model that judges; None takes the one that acts."""
    withhold: bool = False
    """Keep ground truth, outcome and rewards out of the loop: solver, verifier, memory and training never see them.
    They are kept apart, for evaluation. What ended an episode, its world, a budget or a loop, is shown to no verifier
    either; that an episode was shorter than the budget cannot be hidden, and in worlds that end only when won
    (household, alfworld) it says as much to who counts steps (`rule` with `max_steps`)."""
    hide_end: bool = True
    """Show a verifier no last observation of an episode: many worlds say there how it went. Where the truth is
    withheld, a model that distils is shown none either."""
    record: bool = False
    """Keep what models are asked as judges and what they answer, in `judgements.jsonl` beside the run, to train on it.
    An evolution sets this where `train.samples.roles` names the verifier."""
    gate: GateSettings = GateSettings()
    trust: TrustSettings = TrustSettings()
