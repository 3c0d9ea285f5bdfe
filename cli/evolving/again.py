"""Weighing a release against the one in force again, on as many held-out tasks as are given, in its home's account."""

from __future__ import annotations

import asyncio
from contextlib import closing

from ...agent.evolution.generation import OVERTAKEN, Generation
from ...core_evolution import GateReport
from ...errors import ConfigError
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
    with closing(home.lock()), sigterm_stops(), Releases.open(home.path) as releases:
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
    place = f"{home.path} {report.candidate[:12]}"
    if report.decision == "promote":
        return f"Put it in force with: lamarck release promote {place}"
    further = _further(report)
    if report.decision == "refuse" or not further:
        return None
    said = report.settings.get("samples")
    samples = said if isinstance(said, int) else 1
    tasks = _planned(report, samples)
    if limit is not None and tasks < limit and "outcomes" not in further:
        return f"There are no more than these {tasks:,} held-out tasks, so the gate cannot go on with it."
    # Episodes that lack an outcome are of tasks that were asked for already; going on plays them again.
    more = max((number for name, number in further.items() if name != "outcomes"), default=0)
    tasks += -(-more // (2 * samples))
    return f"Let the gate go on with it: lamarck release gate {place} --held-out-limit {tasks}"


def _further(report: GateReport) -> dict[str, int]:
    """Return check -> episodes at held-out tasks that would settle it, of those that keep the gate closed.

    What is open in other environments is not among them: held-out tasks say nothing of those.
    """
    waived = report.settings.get("waived")
    aside = ["environments", *(waived if isinstance(waived, list) else ())]
    found = {one.name: one.figures.get("further_episodes") for one in report.checks if one.outcome == "unknown"}
    return {name: more for name, more in found.items() if isinstance(more, int) and more and name not in aside}


def _planned(report: GateReport, samples: int) -> int:
    """Return how many held-out tasks both were asked to play, whether or not they came to an outcome there."""
    looked_at = len(report.looked_at.get(HELD_OUT, ()))
    pairs = next((one.figures.get("planned") for one in report.checks if one.name == "outcomes"), None)
    return max(looked_at, pairs // samples) if isinstance(pairs, int) else looked_at
