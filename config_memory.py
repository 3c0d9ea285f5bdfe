"""The sections of the configuration that concern memory."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .section import Section


class RecallConfig(Section):
    """Which items are put into a prompt."""

    rank: Literal["two_phase", "similarity"] = "two_phase"
    """By similarity and learned value together, or by similarity alone."""
    threshold: float = Field(default=0.5, ge=-1.0, le=1.0)
    """Least relevance (cosine) of a candidate; where nothing passes, nothing is put into the prompt."""
    candidates: int = Field(default=20, gt=0)
    """How many candidates the first phase keeps (k1)."""
    select: int = Field(default=3, gt=0)
    """How many items the second phase takes at most (k2)."""
    weight: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the value in the mixed score (lambda); the rest is similarity."""
    explore: Literal["none", "epsilon", "ucb", "thompson"] = "epsilon"
    """How items of unsure value get their chance; only while learning."""
    epsilon: float = Field(default=0.1, ge=0.0, le=1.0)
    """Share of recalls that draw among the candidates by lot, with `explore = "epsilon"`."""
    ucb_width: float = Field(default=1.0, ge=0.0)
    """How many standard deviations are added to the value, with `explore = "ucb"`."""
    lexical: float = Field(default=0.0, ge=0.0, le=1.0)
    """Share of BM25 in the relevance; 0 is dense only, and needs no lexical index."""
    kinds: tuple[Literal["episode", "principle", "skill", "tool", "warning"], ...] = ()
    """Only these kinds; all if empty."""
    statuses: tuple[Literal["candidate", "active"], ...] = ("candidate", "active")
    """Only items of these states."""
    max_tokens: int = Field(default=800, gt=0)
    """Longest text put into a prompt, in tokens (counted as four characters each)."""
    again: float = Field(default=0.2, ge=-1.0, le=1.0)
    """Recall again when what is seen is less similar than this to what was seen at the last recall; -1 never does."""


class CreditConfig(Section):
    """What an episode's end says about the items that stood in its prompts."""

    alpha: float = Field(default=0.3, gt=0.0, le=1.0)
    """Step size of the value."""
    q0: float = Field(default=0.0, ge=-1.0, le=1.0)
    """Value of a new item."""
    reward: Literal["outcome", "score"] = "outcome"
    """1 for success and `failure` else, or the partial score scaled to [-1, 1]."""
    failure: float = Field(default=-1.0, ge=-1.0, le=1.0)
    """Reward of a failed episode with `reward = "outcome"`."""
    baseline: bool = False
    """Subtract the running mean reward of the task's category, so that easy tasks do not flatter."""
    leave_out: float = Field(default=0.0, ge=0.0, le=0.5)
    """Share of the episodes that go without one of their chosen items, to measure what it adds."""
    rank_by_effect: bool = False
    """Rank by that measured effect instead of Q."""
    effect_prior: float = Field(default=2.0, ge=0.0)
    """Imagined episodes on either side that draw an effect towards 0."""
    prove_uses: int = Field(default=2, ge=0)
    """Rewarded uses after which a candidate may become active."""
    prove_score: float = Field(default=0.6, ge=0.0, le=1.0)
    """Least share of successes, (successes + 1) / (uses + 2), to become active."""


class DistilConfig(Section):
    """How finished episodes become items."""

    by: Literal["script", "llm", "none"] = "script"
    """Without a model, by a model with a prompt, or not at all."""
    model: str | None = None
    """The model that distils; None takes the one that acts."""
    merge: float = Field(default=0.85, ge=0.0, le=1.0)
    """Least similarity at which a new item may be merged into an old one; the content is checked besides."""
    max_items: int = Field(default=5, gt=0)
    """Most items from one group of trajectories."""
    max_chars: int = Field(default=1500, gt=0)
    """Longest content of a distilled item, in characters."""


class ForgetConfig(Section):
    """When an item is retired; it stays in the store and can be brought back."""

    floor: float = Field(default=0.3, ge=0.0, le=1.0)
    """Least share of successes, (successes + 1) / (uses + 2)."""
    min_uses: int = Field(default=5, ge=1)
    """Rewarded uses before that share counts."""
    max_idle_days: float | None = Field(default=None, gt=0.0)
    """Retire what was neither made nor used for this long."""
    max_items: int | None = Field(default=None, gt=0)
    """Keep at most this many; those of least value go first."""
    every: int = Field(default=20, gt=0)
    """Look for items to retire after this many learned episodes."""


class MemoryConfig(Section):
    """What the agent remembers, and how."""

    mode: Literal["off", "read", "explore", "learn"] = "off"
    """No memory, a frozen one, one that tries out items of unsure value and learns later (`lamarck evolve`), or one
    that learns from every episode."""
    path: str | None = None
    """Folder of the memory (`store.db`, `index/`); None is the run's own folder."""
    store: str | None = None
    """Database URL of the memory instead of `store.db` in its folder."""
    index: str | None = None
    """URL of a Chroma server (`http://host:8000`) instead of `index/` in its folder."""
    embedding: str = "minilm"
    """`minilm` (all-MiniLM-L6-v2, on this machine) or the name of a litellm embedding model."""
    patience_s: float = Field(default=30.0, ge=0.0)
    """How long to wait for a Chroma server that does not answer, in seconds."""
    recall: RecallConfig = RecallConfig()
    credit: CreditConfig = CreditConfig()
    distil: DistilConfig = DistilConfig()
    forget: ForgetConfig = ForgetConfig()
