"""Learning curves: success over the episodes of a run, in the order in which they began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from ..metrics import wilson
from .outcomes import Outcome, Sample

WINDOW = 20


@dataclass(frozen=True, slots=True)
class Point:
    """Mean of the latest episodes, up to `window` of them, after this many."""

    episode: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Threshold:
    """When a curve first reached a level."""

    level: float
    episodes: int
    """Episodes it took; those there were, where it never did."""
    censored: bool
    """True where it was never reached, so that `episodes` is a lower bound."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A learning curve with what is read off it."""

    window: int
    points: tuple[Point, ...]
    area: float
    """Area under the curve by trapezoids, divided by its length: in [0, 1] for values in [0, 1]; NaN without points."""
    best: float
    """Highest mean of a whole window (of all episodes, where they do not fill one)."""
    last: float
    """Mean of the last window."""
    thresholds: tuple[Threshold, ...]

    def as_dict(self) -> dict[str, object]:
        """Return everything as JSON-serialisable values."""
        return asdict(self)


def learning_curve(
    outcomes: Sequence[float], *, window: int = WINDOW, thresholds: Sequence[float] = (0.25, 0.5, 0.75, 0.9)
) -> Curve:
    """Return the curve of the mean of the latest `window` episodes.

    A level counts as reached at the end of the first whole window whose mean is at least that high, so that a lucky
    first episode reaches nothing. Intervals are Wilson's; neighbouring points share episodes and are not independent.

    Args:
        outcomes: one value in [0, 1] per episode, in order.
        window: how many episodes are averaged.
        thresholds: levels to look for.

    Raises:
        ValueError: the window is not at least 1.
    """
    if window < 1:
        raise ValueError(f"a learning curve needs a window of at least 1, not {window}.")
    points = []
    for episode in range(1, len(outcomes) + 1):
        part = outcomes[max(0, episode - window) : episode]
        low, high = wilson(sum(part), len(part))
        points.append(Point(episode, fmean(part), low, high))
    whole = points[window - 1 :] or points[-1:]
    nan = float("nan")
    return Curve(
        window=window,
        points=tuple(points),
        area=_area([point.value for point in points]),
        best=max((point.value for point in whole), default=nan),
        last=points[-1].value if points else nan,
        thresholds=tuple(_threshold(points[window - 1 :], level, len(outcomes)) for level in thresholds),
    )


def in_order(samples: Sequence[Sample]) -> list[Outcome]:
    """Return the outcomes with a known success in the order in which the episodes began."""
    outcomes = [sample.last for sample in samples if sample.last is not None]
    return sorted((one for one in outcomes if one.success is not None), key=lambda one: one.started_at)


def _area(curve: Sequence[float]) -> float:
    if len(curve) < 2:
        return curve[0] if curve else float("nan")
    return (sum(curve) - (curve[0] + curve[-1]) / 2) / (len(curve) - 1)


def _threshold(whole: Sequence[Point], level: float, episodes: int) -> Threshold:
    for point in whole:
        if point.value >= level - 1e-12:
            return Threshold(level, point.episode, False)
    return Threshold(level, episodes, True)
