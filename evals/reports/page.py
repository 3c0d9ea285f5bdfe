"""The page itself: one HTML file with everything in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from string import Template

from . import frame, sections
from .data import Page
from .records import line
from .texts import escaped, script_json


def render(page: Page) -> str:
    """Return the HTML of a report. It works from a file, and its policy forbids every request."""
    parts = sections.sections(page)
    trajectories = Template(frame.asset("trajectories.html")).substitute(embedded=escaped(embedded(page)))
    return frame.framed(
        kicker="Evaluation report",
        title=page.title,
        version=page.version,
        made_at=page.made_at,
        lead=sections.lead(page),
        nav=[(part.ident, part.name) for part in parts] + [("trajectories", "Trajectories")],
        body="\n".join([*(part.html for part in parts), trajectories]),
        skip=("trajectories", "Skip to the trajectories"),
        script=frame.asset("report.js"),
        data=_data(page),
    )


def write(page: Page, path: Path) -> int:
    """Write a report whole or not at all; return its size in bytes.

    Raises:
        ConfigError: the file cannot be written.
    """
    return frame.write(render(page), path)


def embedded(page: Page) -> str:
    """Say which trajectories are on the page."""
    shown, there = len(page.records), sum(page.outcomes.values())
    if shown == there:
        return f"All {there:,} trajectories are on this page."
    names = {
        "solved": "solved",
        "failed": "not solved",
        "unknown": "unknown",
        "infrastructure": "infrastructure failures",
    }
    kinds = [
        f"{page.shown[key]:,} of {page.outcomes[key]:,} {name}" for key, name in names.items() if page.outcomes[key]
    ]
    said = f"{shown:,} of {there:,} trajectories are on this page, evenly from every outcome: {_joined(kinds)}."
    if page.dropped:
        said += f" Left out for size, since the file would be too large: {page.dropped:,}."
    return said + " The figures above are over all of them."


def _joined(parts: Iterable[str]) -> str:
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last


def _data(page: Page) -> str:
    """Return the trajectories for the script, put together from parts that are JSON already."""
    runs, texts = script_json([line(run.label) for run in page.runs]), script_json(page.texts)
    return f'{{"runs":{runs},"texts":{texts},"trajectories":[{",".join(page.records)}]}}'
