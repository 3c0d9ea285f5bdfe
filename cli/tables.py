"""Printing tables and JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from ..evals.metrics import Rate, Tally


def console() -> Console:
    """Return a console for results: stdout, never wrapping in the middle of a value."""
    return Console(soft_wrap=True, highlight=False)


def print_json(value: object) -> None:
    """Print one JSON object; not-a-number becomes null, as JSON knows no NaN."""
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False))  # noqa: T201 - this is the output


def percent(rate: Rate) -> str:
    """Return a rate with its interval, such as `40.0 % [24.6, 57.7]`."""
    if not rate.n:
        return "-"
    low, high = rate.interval
    return f"{100 * rate.value:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def number(value: float, digits: int = 1) -> str:
    """Return a number, or a dash for not-a-number."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def results_table(title: str, rows: Mapping[str, Tally]) -> Table:
    """Return the evaluation table: one row per category, the last one for all."""
    table = Table(title=title, title_justify="left", title_style="bold", caption_justify="left")
    table.add_column("task type")
    for name in ("games", "solved", "success [95 % Wilson]", "score", "steps", "s", "tokens", "USD"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("unparseable", "not admissible", "no effect"):
        table.add_column(name, justify="right")
    for name, tally in rows.items():
        invalid = tally.invalid()
        table.add_row(
            name,
            str(tally.episodes) + (f" (+{tally.failed} failed)" if tally.failed else ""),
            str(tally.successes),
            percent(tally.success),
            number(tally.mean_score, 3),
            number(tally.mean_steps),
            number(tally.seconds / tally.episodes if tally.episodes else math.nan),
            str(tally.usage.tokens),
            f"{tally.usage.cost_usd:.4f}",
            *(f"{100 * invalid[kind]:.1f} %" for kind in ("unparseable", "not_admissible", "no_effect")),
            style="bold" if name == "all" else "",
        )
    return table


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
