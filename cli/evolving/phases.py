"""The work of an evolution, put together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...agent.evolution.clade import choose_parent
from ...agent.evolution.generation import OVERTAKEN, Figures, Generation, Ruling
from ...config_evolve import EvolveConfig
from ...errors import ConfigError
from ...release_memory import FILE, holds_items, memory_id
from ...releases import Releases
from ..screen import Screen
from .alarms import rung
from .auditing import Auditing
from .budget import Allowance
from .clock import PhaseClock
from .collecting import MEMORY, Collecting
from .gating import Gating
from .home import Home
from .others import HELD_OUT
from .proposing import Proposing
from .remembering import Learning
from .roles import Roles, judged, proposing_model
from .students import STUDENTS, Students
from .training import Training
from .tree import fit, latest, nodes
from .verifying import Verifying


class Evolving:
    """The phases of one evolution; see `lamarck.agent.evolution.phases.Phases`.

    Args:
        home: its folder.
        config: its settings.
        releases: of the same home; there is a head.
        clock: says how long the phase that goes on has taken; without, only in this process.
        quiet: show failures only.
        screen: what bars are part of, where they are not alone.
    """

    def __init__(
        self,
        home: Home,
        config: EvolveConfig,
        releases: Releases,
        *,
        clock: PhaseClock | None = None,
        quiet: bool = False,
        screen: Screen | None = None,
    ) -> None:
        seconds, may = (clock or PhaseClock(home)).seconds, config.budget.phases
        shown: dict[str, Any] = {"quiet": quiet, "screen": screen}
        self._home, self._config, self._releases = home, config, releases
        self._verifying = Verifying(home, config, may.verify)
        self._proposing = Proposing(
            *(home, config, self._verifying, lambda now: proposing_model(config, releases, now)),
            allowed=Allowance(may.propose, seconds),
        )
        self._students = Students(home, config, releases, self._proposing, **shown)
        self._roles = Roles(home, config, self._verifying)
        self._collecting = Collecting(home, config, releases, allowed=Allowance(may.collect, seconds), **shown)
        self._learning = Learning(home, config, self._verifying, may.distil)
        time = Allowance(may.train, seconds)
        self._training = Training(home, config, releases, self._verifying, self._roles, allowed=time, **shown)
        self._gating = Gating(home, config, releases, allowed=Allowance(may.gate, seconds), **shown)
        self._auditing = Auditing(home, config)

    async def choose(self, number: int) -> tuple[str, str]:
        """Return the release to grow from, as `grow` says, and the one in force."""
        head = self._releases.head()
        if head is None:
            raise ConfigError(f"{self._home.path} has no release in force.", hint="Begin anew in another --out.")
        records = self._home.kept()
        if self._config.grow == "latest":
            return latest(records, self._releases.tree(), head.id) or head.id, head.id
        if self._config.grow == "clade":
            seed = f"{self._config.run.collect.seed}/{number}"
            return choose_parent(nodes(records, fit(self._releases, records)), seed=seed), head.id
        return head.id, head.id

    async def propose(self, now: Generation) -> Figures:
        """Choose the tasks."""
        return await self._proposing.propose(now)

    async def collect(self, now: Generation) -> Figures:
        """Play them; without a verifier to wait for, say what they are worth to who proposed them."""
        figures = await self._collecting.collect(now, self._proposing.taskset(now.number), self._learn)
        return figures if judged(self._config) else await self._worth(now, figures)

    async def _learn(self, now: Generation) -> None:
        """Learn from what was played so far, while the generation goes on; see `learn.chain`."""
        if self._verifying.by_verdict:
            await self._verifying.verify(now)
        if self._config.learn.credit:
            await self._learning.credit(now)
        if self._config.learn.distil:
            await self._learning.distil(now)

    async def verify(self, now: Generation) -> Figures:
        """Say what the verifier made of them, and what they are worth to who proposed and to who judged."""
        return await self._worth(now, await self._verifying.verify(now))

    async def _worth(self, now: Generation, figures: Figures) -> Figures:
        """Measure what the tasks have taught, where that is wanted, and store what was asked of other parts."""
        measured: dict[str, Any] = await self._students.measure(now)
        told: dict[str, Any] = {**figures, **measured}
        if measured:
            told |= {name: told.get(name, 0) + measured[STUDENTS][name] for name in ("tokens", "cost_usd")}
        return {**told, **self._roles.keep(now)}

    async def credit(self, now: Generation) -> Figures:
        """Learn what memory was worth."""
        return await self._learning.credit(now)

    async def distil(self, now: Generation) -> Figures:
        """Make new items."""
        return await self._learning.distil(now)

    async def train(self, now: Generation) -> Figures:
        """Train, where there is enough to train on."""
        return await self._training.train(now)

    async def build(self, now: Generation) -> tuple[str, Figures]:
        """Make a release of the memory and the adapter of this generation."""
        parent = self._releases.get(now.parent)
        adapter, memory = self._training.adapter(now), self._memory(now)
        if adapter is None and memory is None:
            return parent.id, {"memory": False, "adapter": False}
        made = self._releases.put(self._releases.child(parent.id, memory=memory, adapter=adapter))
        changed = {"memory": memory is not None, "adapter": made.adapter != parent.adapter}
        return made.id, dict(changed)

    async def gate(self, now: Generation) -> Ruling:
        """Weigh the candidate; where a verifier's word is learned from and audited, see what it says of these games."""
        ruling = await self._gating.gate(now)
        if not (self._verifying.by_verdict and self._config.held_out.audit):
            return ruling
        sides: dict[str, Any] = await self._auditing.audit(now, HELD_OUT)
        figures: dict[str, Any] = {**ruling.figures, "audit": sides}
        for name in ("tokens", "cost_usd"):
            figures[name] += sum(side[name] for side in sides.values())
        return ruling._replace(figures=figures)

    async def settle(self, now: Generation) -> Figures:
        """Promote the candidate, or leave things as they are; say which alarms ring."""
        figures = await self._gating.settle(now)
        before = [one for one in self._home.kept() if one.number != now.number]
        if OVERTAKEN in figures:
            # As the record will say: what is in force is not this candidate, so its games are not what counts.
            now = now.model_copy(update={"decision": "not_yet"})
        found = rung([*before, now], self._config.collapse)
        return {**figures, "alarms": [alarm.as_dict() for alarm in found]}

    def keep(self, now: Generation) -> None:
        """Write a record down."""
        self._home.keep(now)

    def kept(self) -> tuple[Generation, ...]:
        """Return all records."""
        return self._home.kept()

    def _memory(self, now: Generation) -> Path | None:
        """Return the memory of a generation where it is another one than its parent's."""
        folder = self._home.generation(now.number) / MEMORY
        if not self._config.learn.memory or not (folder / FILE).is_file():
            return None
        known = self._releases.get(now.parent).memory_snapshot
        if known is None and not holds_items(folder / FILE):
            return None
        return folder if memory_id(folder / FILE) != known else None
