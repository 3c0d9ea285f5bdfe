"""What every report stands in: one HTML file with everything in it, which asks nothing of any network."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from string import Template

from ...errors import ConfigError
from ...whole import write_whole
from .texts import escaped


def framed(
    *,
    kicker: str,
    title: str,
    version: str,
    made_at: str,
    lead: str,
    nav: Iterable[tuple[str, str]],
    body: str,
    skip: tuple[str, str],
    script: str = "",
    data: str = "",
) -> str:
    """Return a whole page.

    Args:
        kicker: what kind of report it is.
        title: of the page, plain text.
        version: of lamarck.
        made_at: when.
        lead: what matters most, as HTML.
        nav: (id, name) of its sections.
        body: the sections, as HTML.
        skip: (id, words) of the link for who uses the keyboard.
        script: the only one that the page may run; none if empty.
        data: JSON for that script, which nothing in it may end (`texts.script_json`).
    """
    style = asset("report.css")
    inside = f'<script type="application/json" id="data">{data}</script>\n' if data else ""
    return Template(asset("report.html")).substitute(
        kicker=escaped(kicker),
        title=escaped(title),
        version=escaped(version),
        made_at=escaped(made_at),
        style=style,
        style_hash=_hash(style),
        script_policy=_hash(script) if script else "none",
        scripts=f"{inside}<script>{script}</script>\n" if script else "",
        lead=lead,
        nav="".join(f'<a href="#{ident}">{escaped(name)}</a>' for ident, name in nav),
        sections=body,
        skip=skip[0],
        skip_name=escaped(skip[1]),
    )


def section(ident: str, name: str, html: str) -> str:
    """Return a part of the page with its heading."""
    head = f'<h2 id="h-{ident}">{escaped(name)}</h2>'
    return f'<section id="{ident}" aria-labelledby="h-{ident}">{head}{html}</section>'


def write(page: str, path: Path) -> int:
    """Write a page whole or not at all; return its size in bytes.

    Raises:
        ConfigError: the file cannot be written.
    """
    try:
        write_whole(path, page)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}.", hint="Name another file by --out.") from error
    return len(page.encode())


def asset(name: str) -> str:
    """Return a file that lies beside this one."""
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(content: str) -> str:
    """Return what a content security policy calls an inline script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
