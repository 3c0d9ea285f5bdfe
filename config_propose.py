"""ProposeConfig: where the next tasks come from."""

from __future__ import annotations

from pydantic import Field, JsonValue

from .config_tree import Tree
from .section import Section


class StudentsConfig(Section):
    """How an evolution measures what self-made tasks teach (SOAR, 2601.18778): a student, a copy of the parent's
    weights, is trained on a set of them and plays given tasks that the parent has played before. What it solves more of
    those than the parent is the progress of each task of its set, and the student is thrown away.

    That takes at most sets x updates, and (sets + 1) x tasks x samples episodes. It is done when all attempts of a
    generation are there, judged where a verifier judges them, and no budget of a phase ends it. A set whose attempts
    are not all there, or cannot be trained on, is not taken for one that teaches nothing: it is not measured. Nor is
    any where more than a quarter of the given tasks have no outcome.
    """

    sets: int = Field(default=0, ge=0)
    """Into how many sets the tasks of a generation are dealt, in the order in which they were proposed; each has a
    student. 0 trains none. To pay for progress takes 2, so that there is something to compare with; a task that was
    made alone is not measured. Nor is anything where a proposer of your own chooses among given tasks."""
    updates: int = Field(default=10, gt=0)
    """Updates of a student, which is trained as `train` says."""
    tasks: int = Field(default=8, gt=0)
    """Given tasks that parent and students play, of the split that is played: drawn by `seed`, the same in each
    generation, all where there are fewer; where `relabelled` or a proposer of your own may want to play given ones, one
    at least has to be left. They are not proposed, nor any that says the same, nothing learns from them, and none of
    them says what a held-out one says."""
    samples: int = Field(default=1, gt=0)
    """Attempts at each, played as a release plays: more than one tell more only with a `run.model.temperature` above
    0."""


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
    injected, regret, or progress, which in an evolution is that of its students."""
    students: StudentsConfig = StudentsConfig()
    """Students, by whose progress tasks are paid; heeded by an evolution alone."""
