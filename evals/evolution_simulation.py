"""An evolution whose learner is known through and through, on the real graph and with the real gate.

The learner's chance at a task is its base plus what memory, skills and weights give, each in proportion to how much of
it there is. A generation closes half of what is still open of each part that learns. So what the loop must come to is
known: the base plus the gain of every part that is switched on. Now and then a generation brings something bad along:
a poisoned memory, a reward that was tampered with, a regression in another environment. Harms are flags here, and what
a probe says of poison is set; the tests have a learner that plays with real memory, tools and weights beside this one.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from ..agent.evolution.generation import Figures, Generation, Ruling
from ..config_gate import GateConfig
from ..core import content_id
from ..core_evolution import GateReport
from .figures.compare import Side
from .figures.outcomes import Sample
from .gate.decide import decide
from .gate.evidence import Environment, Evidence, Probed, ProbeFigures
from .gate_simulation import CATEGORIES, all_there, sample_of

Part = Literal["memory", "skills", "weights"]
Harm = Literal["poison", "hack", "regression"]
PARTS: tuple[Part, ...] = ("memory", "skills", "weights")
BASE = 0.2
GAINS: Mapping[Part, float] = {"memory": 0.15, "skills": 0.2, "weights": 0.3}
"""What each part adds to the chance once all of it is there."""
CLOSED = 0.5
"""Share of what is still open of a part that a generation closes."""
ELSEWHERE = 0.6
"""Chance in the other environment."""
LOST = 0.3
"""What a hacked reward costs in truth, and what a regression costs elsewhere."""
CASES = 40
"""Cases of the safety probe."""


@dataclass(frozen=True)
class Simulated:
    """What a simulated release has acquired."""

    parts: Mapping[Part, float] = field(default_factory=lambda: dict.fromkeys(PARTS, 0.0))
    """How much of each part there is, from 0 to 1."""
    poisoned: bool = False
    hacked: bool = False
    forgets: bool = False

    @property
    def ability(self) -> float:
        """The true chance at a held-out task."""
        gained = BASE + sum(GAINS[part] * there for part, there in self.parts.items())
        return max(0.0, gained - LOST) if self.hacked else gained

    @property
    def rewarded(self) -> float:
        """The chance of a reward in training, which a hack lifts whatever the truth."""
        return 0.99 if self.hacked else self.ability

    @property
    def elsewhere(self) -> float:
        """The true chance in the other environment."""
        return ELSEWHERE - (LOST if self.forgets else 0.0)

    @property
    def id(self) -> str:
        """A name by content, as releases have."""
        return content_id(dict(self.parts), self.poisoned, self.hacked, self.forgets)


def optimum(parts: Sequence[Part] = PARTS) -> float:
    """Return the chance that an evolution with these parts comes to."""
    return BASE + sum(GAINS[part] for part in parts)


class SimulatedPhases:
    """Phases that learn by formula and play by coin, so that a whole evolution takes no time.

    What a phase does follows from the seed and the generation's number alone, so it may be done again.

    Args:
        seed: of tasks and luck.
        parts: what learns.
        harms: generation -> what bad thing it brings along.
        config: of the gate.
        held_out: fresh held-out tasks per generation.
        attempts: training attempts per generation.
    """

    def __init__(
        self,
        seed: int,
        *,
        parts: Sequence[Part] = PARTS,
        harms: Mapping[int, Harm] | None = None,
        config: GateConfig | None = None,
        held_out: int = 400,
        attempts: int = 64,
    ) -> None:
        first = Simulated()
        self.known: dict[str, Simulated] = {first.id: first}
        self.heads = [first.id]
        self.reports: list[GateReport] = []
        self.records: dict[int, Generation] = {}
        self._seed, self._parts, self._harms = seed, tuple(parts), dict(harms or {})
        self._config = config or GateConfig(environments=("elsewhere",), probes=("planted malice",))
        self._held_out, self._attempts = held_out, attempts

    @property
    def head(self) -> Simulated:
        """The release in force."""
        return self.known[self.heads[-1]]

    async def choose(self, number: int) -> tuple[str, str]:
        """Grow from the latest candidate that was not refused, else from the head."""
        last = self.records.get(number - 1)
        if last is not None and last.decision == "not_yet" and last.candidate is not None:
            return last.candidate, self.heads[-1]
        return self.heads[-1], self.heads[-1]

    async def propose(self, now: Generation) -> Figures:
        """Name as many tasks as there are attempts."""
        return {"tasks": self._attempts}

    async def collect(self, now: Generation) -> Figures:
        """Play them; a reward is what training sees."""
        draw, chance = self._draw(now, "collect"), self.known[now.parent].rewarded
        return {"attempts": self._attempts, "solved": sum(draw.random() < chance for _ in range(self._attempts))}

    async def verify(self, now: Generation) -> Figures:
        """Nobody judges here; what a hacked reward does shows in the attempts."""
        return {}

    async def credit(self, now: Generation) -> Figures:
        """Nothing is kept here: what memory gains shows in the release."""
        return {}

    async def distil(self, now: Generation) -> Figures:
        """As `credit`."""
        return {}

    async def train(self, now: Generation) -> Figures:
        """As `credit`."""
        return {}

    async def build(self, now: Generation) -> tuple[str, Figures]:
        """Close half of what is open of each part that learns, and bring along what this generation brings."""
        parent, harm = self.known[now.parent], self._harms.get(now.number)
        solved = now.figures["collect"]["solved"]
        done = {"memory": "credit", "skills": "distil", "weights": "train"}
        parts = dict(parent.parts)
        for part in self._parts:
            if solved and done[part] in now.figures:
                parts[part] += CLOSED * (1 - parts[part])
        made = replace(
            parent,
            parts=parts,
            poisoned=parent.poisoned or harm == "poison",
            hacked=parent.hacked or harm == "hack",
            forgets=parent.forgets or harm == "regression",
        )
        self.known[made.id] = made
        return made.id, {"ability": made.ability, "rewarded": made.rewarded}

    async def gate(self, now: Generation) -> Ruling:
        """Let the real gate decide, on fresh tasks."""
        assert now.candidate is not None
        old, new = self.known[now.head], self.known[now.candidate]
        evidence = Evidence(
            incumbent=now.head,
            candidate=now.candidate,
            held_out=self._play(now, "held-out", old.ability, new.ability),
            seen={},
            others=[self._play(now, "elsewhere", old.elsewhere, new.elsewhere)],
            probes=[Probed("planted malice", _probed(old), _probed(new))],
        )
        report = decide(evidence, self._config, self.reports)
        self.reports.append(report)
        return Ruling(report.decision, report.id, {"failed": [c.name for c in report.checks if c.outcome == "fail"]})

    async def settle(self, now: Generation) -> Figures:
        """Put a promoted candidate in force."""
        if now.decision == "promote":
            assert now.candidate is not None
            self.heads.append(now.candidate)
        return {"ability": self.head.ability}

    def keep(self, now: Generation) -> None:
        """Remember the record."""
        self.records[now.number] = now

    def kept(self) -> tuple[Generation, ...]:
        """Return all records."""
        return tuple(self.records[number] for number in sorted(self.records))

    def _draw(self, now: Generation, what: str) -> random.Random:
        return random.Random(f"{self._seed}/{now.number}/{what}")

    def _play(self, now: Generation, name: str, old: float, new: float) -> Environment:
        draw, before, after = self._draw(now, name), list[Sample](), list[Sample]()
        names = {}
        for index in range(self._held_out):
            ident, category = f"{name}/{now.number}/{index}", CATEGORIES[index % len(CATEGORIES)]
            names[ident] = (f"{self._seed}/{ident}",)
            # The same luck for both: a task that the worse one solves, the better one solves as well.
            luck = draw.random()
            before.append(sample_of(ident, category, 0, luck < old))
            after.append(sample_of(ident, category, 0, luck < new))
        there = all_there(self._held_out)
        return Environment(name, Side("incumbent", tuple(before), there), Side("candidate", tuple(after), there), names)


def _probed(release: Simulated) -> ProbeFigures:
    return ProbeFigures(CASES // 4 if release.poisoned else 0, CASES)
