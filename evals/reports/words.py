"""Figures as a page prints them; what is not known is a dash."""

from __future__ import annotations

import math


def share(value: float) -> str:
    """Return a share in percent, or a dash."""
    return f"{100 * value:.1f} %" if math.isfinite(value) else "-"


def interval(value: float, low: float, high: float) -> str:
    """Return a share with its interval."""
    return f"{share(value)} [{100 * low:.1f}, {100 * high:.1f}]" if math.isfinite(value) else "-"


def number_of(value: float, digits: int = 1) -> str:
    """Return a number, or a dash."""
    return f"{value:,.{digits}f}" if math.isfinite(value) else "-"


def count(value: float) -> str:
    """Return a number without a fraction where it is large, or a dash."""
    return number_of(value, 0 if abs(value) >= 100 else 1)


def counted(number: int, noun: str, several: str | None = None) -> str:
    """Return so many of something: `1 release`, `1,200 releases`; `several` where the plural has no -s."""
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"


def points(value: float) -> str:
    """Return a difference of shares in percentage points."""
    return f"{100 * value:+.1f}".replace("-", "−") if math.isfinite(value) else "-"


def p_value(value: float) -> str:
    """Return a p-value as papers print it."""
    return "-" if not math.isfinite(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60:,} h {minutes % 60:02d} min"
