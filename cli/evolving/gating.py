"""Weighing a candidate against the release in force, on games that nothing learned from."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import fmean

from pydantic import ValidationError

from ...agent.evolution.generation import OVERTAKEN, Figures, Generation, Ruling
from ...agent.tasksets import load_taskset
from ...config import TasksetConfig
from ...config_evolve import EvolveConfig
from ...core import Task
from ...core_evolution import GateReport
from ...errors import ConfigError, LamarckError
from ...evals.figures.compare import Side
from ...evals.gate.decide import decide
from ...evals.gate.evidence import Evidence
from ...evals.gate.held_out import names_in
from ...evals.metrics import wilson
from ...releases import Releases
from ..screen import Screen
from .budget import Allowance, left
from .evaluated import Evaluated
from .home import Home, write
from .origin import of_release
from .others import HELD_OUT, named
from .probing import Probing, guests
from .sides import Sides, tasks_of

REPORT = "gate.json"


class Gating:
    """The phases `gate` and `settle`.

    Both releases play the same games, chunk by chunk, until the gate has decided or there are no more. What a release
    has played is kept with the release: the one in force is not played again for each candidate.

    Args:
        home: of the evolution.
        config: its settings.
        releases: of the same home.
        allowed: what weighing a candidate may use up.
        quiet: show failures only.
        screen: what bars are part of, where they are not alone.
    """

    def __init__(
        self,
        home: Home,
        config: EvolveConfig,
        releases: Releases,
        *,
        allowed: Allowance | None = None,
        quiet: bool,
        screen: Screen | None = None,
    ) -> None:
        self._evaluated, self._allowed = Evaluated(home), allowed or Allowance()
        self._home, self._config, self._releases = home, config, releases
        self._others = named(config)
        self._sides = Sides(home, config, quiet=quiet, screen=screen)
        self._probing = Probing(
            home,
            releases,
            run=config.run,
            held_out=lambda: tasks_of(self._held_out()),
            names=config.asked_probes,
            guests=guests(config),
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
        self._evaluated.begin(now)
        if not file.exists():
            report = await self.weigh(now.head, now.candidate, lambda: bool(self._reached(now)))
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
        """Promote the candidate if that was decided, and what it was weighed against is in force still.

        Returns:
            `head`, and `overtaken` with a sentence where someone else has changed what is in force meanwhile.

        Raises:
            LamarckError: the candidate is damaged.
        """
        # A report that was used has promoted already; what someone has rolled back since stays rolled back.
        used = any(row.report_id == now.report for row in self._releases.log.rows())
        if now.decision != "promote" or used:
            return {"head": self._head()}
        assert now.candidate is not None
        try:
            if self._head() == now.head:
                self._releases.promote(now.candidate, now.report)
        except LamarckError:
            # Who changes the head between these lines has overtaken it as well.
            if self._head() == now.head:
                raise
        head = self._head()
        if head == now.candidate:
            return {"head": head}
        said = (
            f"{now.candidate[:12]} was shown to be better than {now.head[:12]}, but {str(head)[:12]} came into force "
            f"meanwhile, so nothing was promoted; `lamarck release gate {self._home.path} {now.candidate[:12]}` "
            "weighs it against that one"
        )
        return {"head": head, OVERTAKEN: said}

    def _head(self) -> str | None:
        head = self._releases.head()
        return head.id if head is not None else None

    def _reached(self, now: Generation) -> str:
        """Return the name of the limit that weighing this candidate has reached, else nothing."""
        return self._evaluated.reached(now, self._allowed)

    async def weigh(self, head: str, candidate: str, enough: Callable[[], bool] = lambda: False) -> GateReport:
        """Let two releases play and decide, as the next look of their test where they were looked at before.

        The report is not stored. Where there is enough before all was played, what is open is not yet.

        Args:
            head: the release in force.
            candidate: the other one.
            enough: asked before each further chunk of games that was not begun yet.

        Raises:
            LamarckError: the games cannot be played.
        """
        pair, spent = (head, candidate), self._releases.log.reports()
        others = [
            await self._sides.environment(pair, name, one, tasks_of(one), enough) for name, one in self._others.items()
        ]
        origin = of_release(self._home, self._releases, candidate, self._config.held_out.seen)
        probes = await self._probing.probed(head, candidate)
        report: GateReport | None = None
        for tasks in self._looks(pair, spent):
            # A gate that was killed looks at all that it had begun, also where there is enough by now.
            if report is not None and not self._sides.begun(pair, HELD_OUT, tasks) and enough():
                break
            evidence = Evidence(
                incumbent=head,
                candidate=candidate,
                claim=self._config.claim,
                held_out=await self._sides.environment(pair, HELD_OUT, self._held_out(), tasks),
                seen=origin.seen,
                unknown=origin.unknown,
                others=others,
                probes=probes,
            )
            report = decide(evidence, self._config.gate, spent, created_at=round(time.time(), 3))
            if report.decision != "not_yet":
                break
        assert report is not None
        return report

    def _looks(self, pair: tuple[str, str], spent: Sequence[GateReport]) -> list[list[Task]]:
        """Return the held-out tasks of each look: chunk by chunk, up to the limit.

        Of two that were looked at before, no look sees less than the last one did: it would not hold what that one
        saw, and so be another test on the same tasks, with less to spend.
        """
        held, size = self._held_out(), self._config.held_out.chunk
        tasks, begun = tasks_of(held), 0
        known = {
            name for one in spent if (one.incumbent, one.candidate) == pair for name in one.looked_at.get(HELD_OUT, ())
        }
        if known:
            every = tasks_of(held.model_copy(update={"limit": None}))
            called = names_in(load_taskset(held.name, held.options), every)
            begun = max((n for n, task in enumerate(every, 1) if not known.isdisjoint(called[task.id])), default=0)
            tasks = every[: max(begun, len(tasks))]
        return [tasks[:upto] for upto in (*range(size, len(tasks), size), len(tasks)) if upto >= begun]

    async def _figures(self, now: Generation, report: GateReport) -> Figures:
        """Return what a record says of a decision: the success of both on the games that were looked at."""
        assert now.candidate is not None
        held = self._held_out()
        tasks = tasks_of(held)[: len(report.looked_at.get(HELD_OUT, {}))]
        sides = {"incumbent": now.head, "candidate": now.candidate}
        found = {name: await self._sides.side(ident, name, HELD_OUT, held, tasks) for name, ident in sides.items()}
        return {
            "decision": report.decision,
            "said": report.sentence(),
            **{name: _success(side) for name, side in found.items()},
            **self._evaluated.spent(now),
            **self._left_out(now, report),
        }

    def _left_out(self, now: Generation, report: GateReport) -> Figures:
        """Return how many tasks the budget has left out, where they might have decided."""
        limit = self._reached(now)
        if not limit or report.decision != "not_yet":
            return {}
        asked = {HELD_OUT: self._held_out(), **self._others}
        # `lamarck release gate` may have looked at more than the limit before.
        unseen = (len(tasks_of(one)) - len(report.looked_at.get(name, {})) for name, one in asked.items())
        return left({limit: sum(max(0, count) for count in unseen)})

    def _held_out(self) -> TasksetConfig:
        held = self._config.held_out
        return self._config.run.taskset.model_copy(update={"split": held.split, "limit": held.limit, "ids": ()})


def _success(side: Side) -> Figures:
    outcomes = [one.last.success for one in side.samples if one.last is not None and one.last.success is not None]
    scores = [one.last.score for one in side.samples if one.last is not None and one.last.score is not None]
    low, high = wilson(sum(outcomes), len(outcomes))
    return {
        "games": len(outcomes),
        "solved": sum(outcomes),
        "interval": [round(low, 4), round(high, 4)],
        "score": round(fmean(scores), 6) if scores else None,
    }
