"""Weighing a candidate against the release in force, on games that nothing learned from."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from ...agent.evolution.generation import Figures, Generation, Ruling
from ...agent.tasksets import load_taskset
from ...agent.verifiers.blinded import blind_task
from ...config import TasksetConfig
from ...config_evolve import EvolveConfig
from ...core import Task, Usage
from ...core_evolution import GateReport
from ...errors import ConfigError
from ...evals.figures.compare import Side
from ...evals.figures.outcomes import Sample
from ...evals.figures.played import Played
from ...evals.figures.summary import infrastructure
from ...evals.gate.decide import decide
from ...evals.gate.evidence import Environment, Evidence
from ...evals.gate.held_out import names, names_in, seen_in
from ...evals.metrics import wilson
from ...releases import Releases
from ...rundir import RunDirectory
from ..screen import Screen
from ..wire import select
from .collecting import COLLECT
from .home import Home, write
from .playing import PLAYED, as_released, played
from .probing import Probing
from .tree import judged_before

HELD_OUT = "held-out"
REPORT = "gate.json"


class Gating:
    """The phases `gate` and `settle`.

    Both releases play the same games, chunk by chunk, until the gate has decided or there are no more. What a release
    has played is kept with the release: the one in force is not played again for each candidate.

    Args:
        home: of the evolution.
        config: its settings.
        releases: of the same home.
        quiet: show failures only.
        screen: what bars are part of, where they are not alone.
    """

    def __init__(
        self, home: Home, config: EvolveConfig, releases: Releases, *, quiet: bool, screen: Screen | None = None
    ) -> None:
        self._home, self._config, self._releases = home, config, releases
        self._quiet, self._screen = quiet, screen
        self._known: dict[Path, tuple[Sample, ...]] = {}
        """What complete runs came to; every look asks for those before it again."""
        self._probing = Probing(
            home,
            releases,
            run=config.run,
            held_out=lambda: _tasks(self._held_out()),
            names=config.probes,
            quiet=quiet,
            screen=screen,
        )

    async def gate(self, now: Generation) -> Ruling:
        """Play what is needed and decide; the report is stored before it is returned.

        Raises:
            LamarckError: the games cannot be played, or the report there is damaged.
        """
        assert now.candidate is not None
        file = self._home.generation(now.number) / REPORT
        if not file.exists():
            report = await self._report(now)
            write(file, report.model_dump_json(indent=2) + "\n")
        try:
            report = GateReport.model_validate_json(file.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the gate's report {file} is damaged.", hint="Remove it; --resume weighs the candidate again."
            ) from error
        self._releases.put_report(report)
        return Ruling(report.decision, report.id, await self._figures(now, report))

    async def settle(self, now: Generation) -> Figures:
        """Promote the candidate if that was decided.

        Raises:
            LamarckError: the release in force was changed by someone else meanwhile.
        """
        # A report that was used has promoted already; what someone has rolled back since stays rolled back.
        used = any(row.report_id == now.report for row in self._releases.log.rows())
        if now.decision == "promote" and not used:
            assert now.candidate is not None
            self._releases.promote(now.candidate, now.report)
        head = self._releases.head()
        return {"head": head.id if head is not None else None}

    async def _report(self, now: Generation) -> GateReport:
        assert now.candidate is not None
        spent = self._releases.log.reports()
        others = [
            await self._environment(now, f"other {number}", one, 0)
            for number, one in enumerate(self._config.held_out.others, 1)
        ]
        seen, held = self._seen(), self._held_out()
        probes = await self._probing.probed(now.head, now.candidate)
        chunk, most = self._config.held_out.chunk, len(_tasks(held))
        for upto in range(chunk, most + chunk, chunk):
            evidence = Evidence(
                incumbent=now.head,
                candidate=now.candidate,
                held_out=await self._environment(now, HELD_OUT, held, min(upto, most)),
                seen=seen,
                others=others,
                probes=probes,
            )
            report = decide(evidence, self._config.gate, spent, created_at=round(time.time(), 3))
            if report.decision != "not_yet":
                break
        return report

    async def _figures(self, now: Generation, report: GateReport) -> Figures:
        """Return what a record says of a decision: the success of both on the games that were looked at."""
        assert now.candidate is not None
        held = self._held_out()
        tasks = _tasks(held)[: len(report.looked_at.get(HELD_OUT, {}))]
        sides = {"incumbent": now.head, "candidate": now.candidate}
        found = {name: await self.side(ident, name, HELD_OUT, held, tasks) for name, ident in sides.items()}
        return {
            "decision": report.decision,
            "said": report.sentence(),
            **{name: _success(side) for name, side in found.items()},
            **self._spent(now, {sides[name]: side for name, side in found.items()}),
        }

    def _spent(self, now: Generation, sides: Mapping[str, Side]) -> Figures:
        """Return what these games took, without those of releases that an earlier gate has let play."""
        counted = judged_before(self._home.kept(), now.number)
        played = [side for ident, side in sides.items() if ident not in counted]
        used = sum((one.usage for side in played for sample in side.samples for one in sample.attempts), Usage())
        return {"tokens": used.tokens, "cost_usd": round(used.cost_usd, 6)}

    async def _environment(self, now: Generation, name: str, config: TasksetConfig, upto: int) -> Environment:
        """Let both releases play the first tasks of an environment; all of them where `upto` is 0."""
        assert now.candidate is not None
        tasks = _tasks(config)
        asked = tasks[:upto] if upto else tasks
        taskset = load_taskset(config.name, config.options)
        incumbent = await self.side(now.head, "incumbent", name, config, asked)
        candidate = await self.side(now.candidate, "candidate", name, config, asked)
        known = names_in(taskset, asked)
        if self._config.run.verify.withhold:
            # What was played has no truth in the stores, so it is told again by what is left without.
            blind = names([blind_task(task) for task in asked])
            known = {ident: tuple(dict.fromkeys((*found, *blind[ident]))) for ident, found in known.items()}
        return Environment(name, incumbent, candidate, known)

    async def side(self, release_id: str, called: str, name: str, config: TasksetConfig, tasks: Sequence[Task]) -> Side:
        """Let a release play tasks, in runs of a chunk each, and return what came of it.

        Raises:
            LamarckError: they cannot be played.
        """
        samples: list[Sample] = []
        size = self._config.held_out.chunk
        for start in range(0, len(tasks), size):
            ids = tuple(task.id for task in tasks[start : start + size])
            folder = self._home.evaluation(release_id, f"{name.replace(' ', '-')}-{start // size:03d}")
            chunk = config.model_copy(update={"ids": ids, "limit": None})
            run = as_released(self._home.path, release_id, chunk, self._config.run, self._config.gate.samples)
            label = f"{called} {release_id[:8]}: {name} games {start + 1} to {start + len(ids)}"
            known = self._known.get(folder)
            if known is None:
                directory = await played(run, folder, label, quiet=self._quiet, screen=self._screen)
                known = Played.read(directory).samples
            if (folder / PLAYED).exists():  # else infrastructure ended some, which are played again when asked again
                self._known[folder] = known
            samples += known
        return Side(called, tuple(samples), infrastructure(samples, len(tasks) * self._config.gate.samples))

    def _held_out(self) -> TasksetConfig:
        held = self._config.held_out
        return self._config.run.taskset.model_copy(update={"split": held.split, "limit": held.limit, "ids": ()})

    def _seen(self) -> dict[str, str]:
        """Return the contents of all tasks that any generation has played, and where."""
        runs = (self._home.generation(one.number) / COLLECT for one in self._home.kept())
        return seen_in([run for run in runs if RunDirectory(run).exists()])


def _tasks(config: TasksetConfig) -> list[Task]:
    return list(select(load_taskset(config.name, config.options), config))


def _success(side: Side) -> Figures:
    outcomes = [one.last.success for one in side.samples if one.last is not None and one.last.success is not None]
    low, high = wilson(sum(outcomes), len(outcomes))
    return {"games": len(outcomes), "solved": sum(outcomes), "interval": [round(low, 4), round(high, 4)]}
