"""ProposeConfig: where the next tasks come from."""

from __future__ import annotations

from pydantic import Field, JsonValue

from .config_tree import Tree


class ProposeConfig(Tree):
    """Which proposer says what is played next, and what it may not propose."""

    by: str = "uniform"
    """The proposer. Of given tasks: uniform, bandit (categories by learning gain), regret, band (tasks that are solved
    sometimes) or learnability. Self-made: household, code, sums, documents, or relabelled (given tasks are played
    while nothing was reached that could be relabelled). A registered one, or your own as module:Class."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the proposer, for example tau of the bandit, or folder of documents."""
    tasks: int = Field(default=16, gt=0)
    """How many are proposed at a time."""
    seed: int = 0
    """Of all chance in choosing and making."""
    tries: int = Field(default=8, gt=0)
    """Attempts at a self-made task for each that is wanted; then fewer are proposed."""
    near: float = Field(default=0.8, gt=0.0, le=1.0)
    """Likeness from which on a self-made task is a near-duplicate of another, or of a held-out one, and is refused."""
    held_out: tuple[str, ...] = ("valid_seen", "valid_unseen", "valid", "test")
    """Splits whose tasks are never proposed, nor any that says the same; in an evolution also what its gate looks
    at."""
    model: str | None = None
    """Model that writes self-made tasks, in the words of `lamarck run --model`; None makes them from the seed."""
    prompts: str | None = None
    """Folder of your own propose_*.md; what is not there is taken from the package."""
    reward: str = "azr"
    """What a task earns its proposer: azr (1 - success unless 0 or 1), uncertainty, difficulty, learnability, variance,
    injected, regret, or progress (of `lamarck propose --history` alone: an evolution refuses it)."""
