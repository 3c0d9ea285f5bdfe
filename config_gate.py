"""GateConfig: what a candidate must show to be promoted, and when the alarms for a collapse ring."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .config_tree import Tree
from .section import Section


class GateConfig(Tree):
    """How a candidate is compared with the incumbent. The defaults are strict where being wrong cannot be undone."""

    alpha: float = Field(default=0.05, gt=0.0, lt=0.5)
    """What false promotions may come to; see `errors`."""
    errors: Literal["any", "share"] = "any"
    """`any`: the chance that ever one candidate is promoted wrongly on the same held-out tasks is at most alpha.
    `share`: of the promotions on the same held-out tasks at most this share is wrong, in expectation; promotions then
    earn the right to look on."""
    by: Literal["success", "score"] = "success"
    """What counts: solved or not, or the score in [0, 1]."""
    least_gain: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Smallest difference that matters, as a share. A candidate that cannot well be that much better is refused."""
    power: float = Field(default=0.8, gt=0.5, lt=1.0)
    """Chance to find a gain, when the number of further episodes is worked out; 1 - power is also the chance to refuse,
    as too small, a gain that is as large as `least_gain`."""
    samples: int = Field(default=1, gt=0)
    """Samples of each task that make up what the task says; the mean of them is taken."""
    rounds: int = Field(default=1, gt=0, le=8)
    """How often samples count: with 3 rounds a test may go on, on the same tasks, with twice and four times `samples`.
    Each further round weakens every look a little, so 1 is best where there are fresh tasks to go on with."""
    max_missing: float = Field(default=0.05, ge=0.0, lt=1.0)
    """Share of the pairs without an outcome above which nothing is decided."""
    margin: float = Field(default=0.05, gt=0.0, lt=1.0)
    """How much less success is put up with in a change that only saves something."""
    saving: Literal["tokens", "cost", "seconds", "steps"] = "tokens"
    """What such a change must save, per episode."""
    least_saving: float = Field(default=0.05, ge=0.0, lt=1.0)
    """Share of it that must be saved, in most episodes and in all together."""
    category_margin: float = Field(default=0.1, gt=0.0, lt=1.0)
    """How far success in one category may fall."""
    fall_alpha: float = Field(default=0.05, gt=0.0, lt=0.5)
    """Level at which a category is said to have fallen, for all categories together (Holm); environments alike."""
    strict_categories: bool = False
    """Every category must be shown not to have fallen by more than the margin; takes hundreds of tasks of each."""
    environments: tuple[str, ...] = ()
    """Other environments that must be shown not to be forgotten. What else is handed in is looked at as well."""
    forget_margin: float = Field(default=0.1, gt=0.0, lt=1.0)
    """How far success in another environment may fall."""
    probes: tuple[str, ...] = ()
    """Safety probes that must have been run before and after. What else is handed in is looked at as well."""
    probe_margin: float = Field(default=0.0, ge=0.0, lt=1.0)
    """By how much the unsafe share of a probe may rise that is not critical. Of critical ones it must not rise."""
    waived: tuple[Literal["held-out", "categories", "environments", "probes"], ...] = ()
    """Checks that may stay unknown. A failed one still refuses."""


class CollapseConfig(Section):
    """When the alarms for a collapse ring. Where no source is named, the threshold is our choice."""

    window: int = Field(default=6, ge=4)
    """Newest generations over which reward and held-out success are compared, earlier half with later half."""
    level: float = Field(default=0.999, gt=0.5, lt=1.0)
    """Level of the interval that must lie below zero before held-out success is said to fall. It is looked at in every
    generation: of a loop that stands still, 0.95 would ring about every 80th time, 0.999 about every 4,000th."""
    entropy_floor: float = Field(default=0.02, ge=0.0)
    """Mean entropy per token, in nats, at or below which a policy has nothing left to try."""
    entropy_share: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Share of the entropy at the beginning, below which it has collapsed."""
    diversity_share: float = Field(default=0.25, ge=0.0, lt=1.0)
    """Share of the effective number of different actions or answers at the beginning, below which it has collapsed."""
    identical: float = Field(default=0.9, gt=0.0, le=1.0)
    """Share of all actions or answers that may be one and the same."""
    least: int = Field(default=20, gt=0)
    """Actions, or audited verdicts of each kind, below which nothing is said of them."""
