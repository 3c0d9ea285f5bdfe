"""The page itself: one HTML file with everything in it."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from string import Template

from ...errors import ConfigError
from . import sections
from .data import Page
from .records import line
from .texts import escaped, script_json


def render(page: Page) -> str:
    """Return the HTML of a report. It works from a file, and its policy forbids every request."""
    style, script = _asset("report.css"), _asset("report.js")
    parts = sections.sections(page)
    return Template(_asset("report.html")).substitute(
        title=escaped(page.title),
        version=escaped(page.version),
        made_at=escaped(page.made_at),
        style=style,
        style_hash=_hash(style),
        script=script,
        script_hash=_hash(script),
        lead=sections.lead(page),
        nav=sections.nav(part for part in parts),
        sections="\n".join(part.html for part in parts),
        embedded=escaped(embedded(page)),
        data=_data(page),
    )


def write(page: Page, path: Path) -> int:
    """Write a report whole or not at all; return its size in bytes.

    Raises:
        ConfigError: the file cannot be written.
    """
    content = render(page).encode()
    temporary = path.with_name(path.name + ".tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}.", hint="Name another file by --out.") from error
    return len(content)


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


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return what a content security policy calls an inline script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
