"""What the gate decided: the tree of releases, what is in force, and what was refused and why."""

from __future__ import annotations

from collections import Counter

from . import evolution_plots
from .evolution_data import Evolution, Stage
from .markup import figure, head, heads, keyed, table
from .texts import escaped
from .words import counted

MOVES = 12
"""Rows of the log that are shown: the first, and the newest."""
REFUSED = 25
"""Decisions of a kind that are told, the newest."""
OPEN = 3
"""Refusals that are unfolded, the newest."""
PART = {"pass": "solved", "fail": "infrastructure", "unknown": "unknown"}
"""Outcome of a check to the class of its badge."""
MADE = {"begin": "at first", "promote": "promoted", "force": "by hand", "rollback": "rolled back"}
"""By what a release came in force, as the page says it."""


def releases(page: Evolution) -> str:
    """Return the tree of releases, and what was in force one after the other."""
    if not page.tree:
        return ""
    counts = Counter(one.decision for one in page.tree if not one.was_head)
    said = f"{counted(len(page.tree), 'release')}; "
    said += counted(sum(one.was_head for one in page.tree), "was in force", "were in force")
    said += "".join(
        f", {counts[key]} {evolution_plots.SAID[key]}" for key in ("refuse", "not_yet", None) if counts[key]
    )
    keys = [("o-solved", "in force, now (ringed) or once"), ("o-unknown", "not yet"), ("o-infrastructure", "refused")]
    keys += [("o-failed", "not judged")] if counts[None] else []
    drawn = evolution_plots.tree("p-tree", "Tree of releases", said, page.tree)
    plot = figure("Which release grew from which", said, drawn, keyed(keys))
    return f'<div class="grid">{plot}<div>{_log(page)}</div></div>'


def _log(page: Evolution) -> str:
    if not page.moves:
        return ""
    made = {one.id: one.generation for one in page.tree}
    moves = page.moves if len(page.moves) <= MOVES else (page.moves[0], *page.moves[-(MOVES - 1) :])
    rows = [
        (
            False,
            head(str(one.number)),
            [one.release[:12], str(made.get(one.release, "-")), MADE.get(one.action, one.action), one.reason, one.at],
        )
        for one in moves
    ]
    columns = ["", "release", "generation", "by", "reason", "since"]
    if not any(one.reason for one in moves):
        columns.remove("reason")
        rows = [(total, name, [cell for n, cell in enumerate(cells) if n != 3]) for total, name, cells in rows]
    more = (
        f'<p class="quiet">{counted(len(page.moves) - len(moves), "row is", "rows are")} left out.</p>'
        if len(page.moves) > len(moves)
        else ""
    )
    return f"<h3>What was in force</h3>{table(heads(columns), rows)}{more}"


def refused(page: Evolution) -> str:
    """Return how often each check failed, and each decision that was no promotion with its checks; then the others."""
    judged = [one for one in page.stages if one.judged is not None]
    if not judged:
        return ""
    held = [one for one in judged if one.decision != "promote"]
    let = [one for one in judged if one.decision == "promote"]
    unfolded = {one.number for one in [one for one in held if one.decision == "refuse"][-OPEN:]}
    told = "".join(_decision(one, unfolded=one.number in unfolded) for one in reversed(held[-REFUSED:]))
    if len(held) > REFUSED:
        others = counted(len(held) - REFUSED, "earlier one is", "earlier ones are")
        told += f'<p class="quiet">{others} left out here; --json has all.</p>'
    if not held:
        told = '<p class="quiet">Nothing was refused.</p>'
    if let:
        told += '<h3 class="apart">What was promoted, and why</h3>'
        told += "".join(_decision(one, unfolded=False) for one in reversed(let[-REFUSED:]))
    return _checks(judged) + told


def _checks(judged: list[Stage]) -> str:
    """Return a table of the checks: how often each passed, failed, and stayed unknown."""
    counts: dict[str, Counter[str]] = {}
    for one in judged:
        for check in one.judged.checks if one.judged is not None else ():
            counts.setdefault(check.name, Counter())[check.outcome] += 1
    rows = [
        (False, head(name), [f"{found[outcome]:,}" for outcome in ("pass", "fail", "unknown")])
        for name, found in counts.items()
    ]
    return table(heads(["check", "passed", "failed", "unknown"]), rows) if rows else ""


def _decision(one: Stage, *, unfolded: bool) -> str:
    judged = one.judged
    assert judged is not None
    checks = "".join(
        f'<li><span class="badge {PART.get(check.outcome, "unknown")}">{escaped(check.outcome)}</span>'
        f"<b>{escaped(check.name)}</b>: {escaped(check.sentence)}</li>"
        for check in sorted(judged.checks, key=lambda check: check.outcome == "pass")
    )
    summary = f"Generation {one.number}: {judged.sentence}"
    return (
        f'<details class="gate"{" open" if unfolded else ""}><summary>{escaped(summary)}</summary><ul>{checks}</ul>'
        f'<p class="quiet">Report <code>{escaped(judged.id[:12])}</code>, test {judged.test_number} on these tasks, '
        f"level {judged.alpha:.2g}.</p></details>"
    )
