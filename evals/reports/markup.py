"""Pieces of HTML that several sections share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .data import Page
from .texts import escaped

COLOURS = 6
"""Runs with a colour of their own; more of them begin anew."""
TOTAL = "all tasks"
"""What the row of all categories together is called."""
_TEXT = ' class="text"'


def table(top: str, rows: Iterable[tuple[bool, str, Sequence[str]]], class_: str = "") -> str:
    """Return a table: its head, and rows of (is a total, head of the row, cells); class `prose` is for sentences."""
    lines = []
    for total, head, cells in rows:
        inside = "".join(f"<td>{escaped(cell)}</td>" for cell in cells)
        lines.append(f"<tr{' class=total' if total else ''}>{head}{inside}</tr>")
    body = f"<thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody>"
    kind = f' class="{class_}"' if class_ else ""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table"><table{kind}>{body}</table></div>'


def heads(names: Iterable[str]) -> str:
    """Return the head of a table; columns of words stand to the left, figures to the right."""
    return "".join(f'<th scope="col"{_TEXT if name == "run" else ""}>{escaped(name)}</th>' for name in names)


def head(name: str) -> str:
    """Return the head of a row."""
    return f'<th scope="row">{escaped(name)}</th>'


def figure(name: str, note: str, drawn: str, legend: str = "") -> str:
    """Return a plot with its name, a note and a legend above it."""
    said = f" <span>{escaped(note)}</span>" if note else ""
    return f"<figure><figcaption><b>{escaped(name)}</b>{said}{legend}</figcaption>{drawn}</figure>"


def legend(page: Page, words: Sequence[str] = ()) -> str:
    """Return which colour is which run, with a few words on each; of a single run the words alone."""
    if len(page.runs) == 1:
        return f'<ul class="legend"><li>{escaped(words[0])}</li></ul>' if words else ""
    return keyed(zip((colour(n) for n in range(len(page.runs))), named(page, words), strict=True))


def named(page: Page, words: Sequence[str] = ()) -> list[str]:
    """Return each run's name, with the words on it behind."""
    labels = [run.label for run in page.runs]
    return [f"{label}: {said}" for label, said in zip(labels, words, strict=True)] if words else labels


def keyed(keys: Iterable[tuple[str, str]]) -> str:
    """Return a legend of (class, name)."""
    entries = "".join(f'<li><i class="{class_}"></i>{escaped(name)}</li>' for class_, name in keys)
    return f'<ul class="legend">{entries}</ul>'


def mark(number: int) -> str:
    """Return a spot in the colour of a run."""
    return f'<i class="key-mark {colour(number)}"></i>'


def colour(number: int) -> str:
    """Return the class of a run's colour."""
    return f"s{number % COLOURS}"
