"""What the report of an evolution shows, as plain data; nothing in it knows of HTML, or of where it was read."""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """Games that were solved, with the 95 % interval of the share."""

    solved: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share; not a number where there were no games."""
        return self.solved / self.of if self.of else float("nan")


@dataclass(frozen=True, slots=True)
class Asked:
    """A check of the gate."""

    name: str
    outcome: str
    """`pass`, `fail` or `unknown`."""
    sentence: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A report of the gate."""

    id: str
    decision: str
    sentence: str
    alpha: float
    test_number: int
    further: int | None
    """Episodes that would settle what is open."""
    checks: tuple[Asked, ...]


@dataclass(frozen=True, slots=True)
class Alarm:
    """What rang, and why."""

    name: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Spent:
    """What one phase took."""

    seconds: float = 0.0
    tokens: int = 0
    cost_usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Stage:
    """One generation."""

    number: int
    parent: str
    candidate: str | None
    """None where nothing was acquired, or not yet."""
    decision: str | None
    """None while it goes on."""
    trained: Rate | None
    """Attempts of training."""
    in_force: Rate | None
    """Held-out games of the release that was in force when it began."""
    weighed: Rate | None
    """Held-out games of the candidate."""
    items: dict[str, int]
    """Memory items by status."""
    learned: dict[str, int]
    """Items that came, and that were merged into others."""
    value: tuple[float, float] | None
    """Mean and spread of the values of items that were rewarded."""
    reward: float | None
    entropy: float | None
    different: float | None
    """Effective number of different actions."""
    curriculum: dict[str, int]
    """Tasks that were asked for, by category."""
    declined: dict[str, float]
    """Why the proposer refused what it had made itself, as shares of all that it made."""
    verifier: dict[str, float]
    """How far its word agreed with the truth, where it was measured: accuracy, accepts_wrong, rejects_right, weight."""
    adapter: bool
    """Whether weights were trained."""
    loss: tuple[float, float] | None
    """Of training, first and last."""
    spent: dict[str, Spent]
    """By phase."""
    skipped: dict[str, str]
    """Phase to why it was left out."""
    alarms: tuple[Alarm, ...]
    judged: Judged | None

    @property
    def after(self) -> Rate | None:
        """Held-out games of what was in force when it had ended."""
        return self.weighed if self.decision == "promote" else self.in_force

    @property
    def seconds(self) -> float:
        """How long it took."""
        return sum(one.seconds for one in self.spent.values())

    @property
    def tokens(self) -> int:
        """Tokens that models used up."""
        return sum(one.tokens for one in self.spent.values())

    @property
    def cost_usd(self) -> float:
        """Money."""
        return sum(one.cost_usd for one in self.spent.values())


@dataclass(frozen=True, slots=True)
class Node:
    """A release in the tree, behind its parent."""

    id: str
    parent: str | None
    generation: int
    """In which it was made; 0 for the first."""
    changed: tuple[str, ...]
    decision: str | None
    """What the gate said of it last."""
    head: bool
    was_head: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """One row of the log of what is in force."""

    number: int
    release: str
    action: str
    reason: str
    at: str


@dataclass(frozen=True, slots=True)
class Effect:
    """Reward with an item less reward without it, by lot (`memory.credit.leave_out`)."""

    value: float
    low: float
    high: float
    """95 % interval, Newcombe's of two shares; rewards in [-1, 1] vary at most as much, so it is on the wide side."""
    kept: int
    """Episodes with it."""
    left_out: int
    """Episodes without it."""


@dataclass(frozen=True, slots=True)
class Learned:
    """An item of the memory, and what it has proved to be worth."""

    id: str
    kind: str
    status: str
    applies: str
    content: str
    q: float
    uncertainty: float
    shown: int
    rewarded: int
    successes: int
    effect: Effect | None
    """None where it was never left out."""


@dataclass(frozen=True, slots=True)
class Change:
    """How the memory of a generation differs from its parent's."""

    generation: int
    added: int
    removed: int
    changed: int
    top: tuple[tuple[str, float | None, float | None], ...]
    """(what it applies to, value before, value after) of the items whose value moved most."""


@dataclass(frozen=True, slots=True)
class Evolution:
    """Everything on the page."""

    title: str
    facts: dict[str, str]
    """What is needed to believe and to repeat it, in reading order."""
    notes: tuple[str, ...]
    settings: str
    """The resolved settings as TOML."""
    planned: int
    """Generations that there are to be."""
    stages: tuple[Stage, ...]
    tree: tuple[Node, ...]
    moves: tuple[Moved, ...]
    memory_of: str
    """Whose memory is shown, in words; empty where there is none."""
    kinds: dict[str, int]
    """Items that can be recalled, by kind."""
    learned: tuple[Learned, ...]
    """The most valuable of each kind."""
    tools: tuple[tuple[str, str], ...]
    """Made tools in use: name and description."""
    changes: tuple[Change, ...]
    version: str
    made_at: str

    @property
    def head(self) -> Node | None:
        """The release in force."""
        return next((one for one in self.tree if one.head), None)

    @property
    def ended(self) -> tuple[Stage, ...]:
        """Generations that were decided."""
        return tuple(one for one in self.stages if one.decision is not None)

    def as_dict(self) -> dict[str, object]:
        """Return all of it as JSON-serialisable values."""
        return asdict(self)
