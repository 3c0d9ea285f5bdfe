"""What an evolution learned: the most valuable items, and how memories grew and changed."""

from __future__ import annotations

from . import evolution_course as course
from .evolution_data import Evolution, Learned
from .markup import figure, head, heads, keyed, table
from .plots import Line, lines
from .texts import escaped

MANY = {"episode": "Episodes", "principle": "Principles", "skill": "Skills", "tool": "Tools", "warning": "Warnings"}


def memory(page: Evolution) -> str:
    """Return the best items by kind with their causal value, the growth of memory, and how it changed."""
    drawn = _growth(page) + _values(page)
    shown = "".join(_kind(page, kind) for kind in dict.fromkeys(one.kind for one in page.learned))
    tools = [(False, head(name), [said]) for name, said in page.tools]
    made = "<h3>Made tools in use</h3>" + table(heads(["tool", "what it does"]), tools, "prose") if tools else ""
    if not (drawn or shown or made or page.changes):
        return ""
    plots = f'<div class="grid">{drawn}</div>' if drawn else ""
    top = f'<p class="quiet apart">{escaped(page.memory_of)} {escaped(_how(page))}</p>' if shown else ""
    return plots + top + shown + made + _changes(page)


def _how(page: Evolution) -> str:
    if any(one.effect is not None for one in page.learned):
        return (
            "Effect is reward with an item less reward without it, where lots decided (memory.credit.leave_out); items "
            "that were never left out have a value Q only, which knows what happened with them and not without."
        )
    return (
        "Value Q is the mean reward of episodes with an item, newer ones weighing more, with its standard deviation: "
        "what happened with it, not because of it. memory.credit.leave_out measures that."
    )


def _kind(page: Evolution, kind: str) -> str:
    found = [one for one in page.learned if one.kind == kind]
    measured = any(one.effect is not None for one in page.learned)
    columns = [
        "for",
        "what it says",
        *(["effect"] if measured else []),
        "value Q",
        "shown",
        "rewarded",
        "won",
        "status",
    ]
    rows = [(False, head(one.applies), _cells(one, measured=measured)) for one in found]
    of = page.kinds.get(kind, len(found))
    some = f' <span class="quiet">the best {len(found)} of {of:,}</span>' if of > len(found) else ""
    return f"<h3>{escaped(MANY.get(kind, kind))}{some}</h3>{table(heads(columns), rows, 'prose')}"


def _cells(one: Learned, *, measured: bool) -> list[str]:
    effect = "-"
    if one.effect is not None:
        e = one.effect
        effect = f"{e.value:+.2f} [{e.low:+.2f}, {e.high:+.2f}], {e.kept} with, {e.left_out} without"
    value = f"{one.q:+.2f} ± {one.uncertainty:.2f}" if one.rewarded else "not known"
    counts = [f"{one.shown:,}", f"{one.rewarded:,}", f"{one.successes:,}"]
    return [one.content, *([effect] if measured else []), value, *counts, one.status]


def _growth(page: Evolution) -> str:
    names = ("candidate", "active", "retired")
    kept = [name for name in names if any(name in one.items for one in page.stages)]

    def held(name: str) -> course.Value:
        return lambda one: float(one.items[name]) if name in one.items else None

    return course.curves(page, "p-memory", "Memory", "items by status", [(name, held(name)) for name in kept], "items")


def _values(page: Evolution) -> str:
    found = [(float(one.number), *one.value) for one in page.stages if one.value is not None]
    if not found:
        return ""
    points = [(at, mean) for at, mean, _ in found]
    band = [(at, mean - spread, mean + spread) for at, mean, spread in found]
    last = f"last: mean {found[-1][1]:+.2f}, spread {found[-1][2]:.2f}"
    line = Line(3, points, band, dots=len(points) <= course.DOTS)
    drawn = lines("p-value", "Values of memory", last, [line], names=("generation", "Q"))
    return figure("Values of memory", "mean and spread over items that were rewarded", drawn, keyed([("s3", last)]))


def _changes(page: Evolution) -> str:
    if not page.changes:
        return ""
    rows = []
    for one in reversed(page.changes):
        top = "; ".join(f"{said} ({_moved(before, after)})" for said, before, after in one.top)
        rows.append((False, head(str(one.generation)), [f"{one.added:,}", f"{one.removed:,}", f"{one.changed:,}", top]))
    columns = ["generation", "new", "gone", "another value", "moved most"]
    note = "Candidate against the release it was grown from: promoted generations, and the newest."
    return f'<h3>How memory changed</h3><p class="quiet">{note}</p>{table(heads(columns), rows, "prose")}'


def _moved(before: float | None, after: float | None) -> str:
    if before is None:
        return f"new, {after or 0.0:+.2f}"
    return "gone" if after is None else f"{before:+.2f} to {after:+.2f}"
