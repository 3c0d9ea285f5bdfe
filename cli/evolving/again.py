"""Weighing a release against the one in force again, on as many held-out tasks as are given, in its home's account."""

from __future__ import annotations

import asyncio
from contextlib import closing

from ...agent.evolution.generation import OVERTAKEN, Generation
from ...core_evolution import GateReport
from ...errors import ConfigError
from ...locks import FileLock
from ...releases import Releases
from ..watch import sigterm_stops
from .begin import begun
from .gating import Gating
from .home import Home
from .others import HELD_OUT


def weigh_again(home: Home, which: str, limit: int | None = None, *, quiet: bool = False) -> GateReport:
    """Let a release and the head play what they have not played yet, decide, and store the report.

    A look at the same two with more tasks is the same test going on: its evidence is valid at every look, and spends
    nothing more. Against another head, or for a release that was never weighed, it is one test more in the account of
    these tasks. Nothing is promoted, and what it takes is not in the budget of the evolution.

    Args:
        home: of the evolution.
        which: release id, or the beginning of it.
        limit: use the first so many held-out tasks; as the evolution does if not given.
        quiet: show failures only.

    Raises:
        LamarckError: there is no evolution or no such release, it is in force, the evolution goes on in another
            process, or the games cannot be played.
        KeyboardInterrupt: it was stopped; what was played is kept.
    """
    config = begun(home.load())
    if limit is not None:
        config = config.model_copy(update={"held_out": config.held_out.model_copy(update={"limit": limit})})
    with closing(FileLock(home.path / "lock")) as lock:
        if not lock.acquire(wait=False):
            raise ConfigError(f"evolution {home.path} is in use by another process.", hint="Wait for it, or stop it.")
        with sigterm_stops(), Releases.open(home.path) as releases:
            candidate, head = releases.get(which), releases.get("head")
            if candidate.id == head.id:
                raise ConfigError(
                    f"release {head.id[:12]} is in force, so there is nothing to weigh it against.",
                    hint="`lamarck release ls` lists the others.",
                )
            report = asyncio.run(Gating(home, config, releases, quiet=quiet).weigh(head.id, candidate.id))
            releases.put_report(report)
            return report


def left_open(home: Home, releases: Releases, last: Generation) -> str | None:
    """Return what can be done about a generation's candidate that was not shown to be better, None where nothing can.

    Args:
        home: of the evolution.
        releases: of the same home.
        last: the generation, which has ended.
    """
    found, head = releases.log.reports(last.candidate), releases.head()
    if last.decision != "not_yet" or not found or (head is not None and head.id == last.candidate):
        return None
    overtaken = last.figures.get("settle", {}).get(OVERTAKEN)
    if isinstance(overtaken, str) and found[-1].id == last.report:
        return f"{overtaken}."
    return next_step(home, found[-1])


def next_step(home: Home, report: GateReport, limit: int | None = None) -> str | None:
    """Return what can be done after a decision, or None where nothing is to be done by hand.

    Args:
        home: of the evolution.
        report: of the decision.
        limit: the held-out tasks that were asked for, where that is known.
    """
    place, looked_at = f"{home.path} {report.candidate[:12]}", len(report.looked_at.get(HELD_OUT, ()))
    if report.decision == "promote":
        return f"Put it in force with: lamarck release promote {place}"
    if report.decision == "refuse" or report.further_episodes is None:
        return None
    if limit is not None and looked_at < limit and report.check("outcomes").outcome == "pass":
        return f"There are no more than these {looked_at:,} held-out tasks, so the gate cannot go on with it."
    samples = report.settings.get("samples")
    each = 2 * samples if isinstance(samples, int) else 2
    tasks = looked_at - (-report.further_episodes // each)
    return f"Let the gate go on with it: lamarck release gate {place} --held-out-limit {tasks}"
