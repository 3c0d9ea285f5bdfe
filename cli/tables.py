"""Printing tables and JSON."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..evals.metrics import Rate, Tally


def console() -> Console:
    """Return a console for results on stdout; where that is no terminal, wide enough for any table."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=160)


class _Lines(logging.Handler):
    def __init__(self, to: Console) -> None:
        super().__init__(logging.WARNING)
        self._to = to

    def emit(self, record: logging.LogRecord) -> None:
        self._to.print(record.getMessage(), style="yellow", markup=False)


def warnings_to(to: Console) -> logging.Handler:
    """Return a handler that prints warnings as they come: a damaged index, a server that is waited for."""
    return _Lines(to)


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
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column("task type", no_wrap=True)
    for name in ("games", "solved", "success [95 % Wilson]", "score", "steps", "invalid"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, tally in rows.items():
        table.add_row(
            escape(name),
            str(tally.episodes),
            str(tally.successes),
            percent(tally.success),
            number(tally.mean_score, 2),
            number(tally.mean_steps),
            f"{100 * sum(tally.invalid().values()):.1f} %",
            style="bold" if name == "all" else "",
        )
    return table


def totals(tally: Tally) -> list[str]:
    """Return what a table has no room for, as lines: time, tokens, cost, invalid actions, how episodes ended."""
    invalid = ", ".join(f"{kind.replace('_', ' ')} {100 * rate:.1f} %" for kind, rate in tally.invalid().items())
    seconds = tally.seconds / tally.episodes if tally.episodes else math.nan
    lines = [
        f"{number(seconds)} s per game, {tally.usage.tokens:,} tokens ({tally.usage.cached_tokens:,} from cache), "
        f"{tally.usage.cost_usd:.4f} USD",
        f"of {tally.steps:,} steps: {invalid}",
    ]
    if tally.tool_calls:
        share = 100 * tally.tool_errors / tally.tool_calls
        each = 1000 * tally.tool_seconds / tally.tool_calls
        lines.append(f"{tally.tool_calls:,} tool calls of {each:.0f} ms, {share:.1f} % of them failed")
    if tally.stops:
        lines.append("ended by: " + ", ".join(f"{kind} {n}" for kind, n in tally.stops.most_common()))
    if tally.failed:
        lines.append(f"{tally.failed} attempts failed by infrastructure; they are in none of these figures but tokens")
    return lines


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return value
