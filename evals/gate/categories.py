"""What a gate asks of categories: that none regressed beyond a margin."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pydantic import JsonValue

from ...config_gate import GateConfig
from ...core_evolution import Check
from ..figures.intervals import Interval
from ..figures.paired import difference, holm, tasks_needed
from .checks import episodes, fell, one_sided
from .claims import Claim, claim, latest
from .evidence import Evidence, Gaps
from .spending import Account
from .words import between, points, some

RESAMPLES = 500
"""Of the intervals of categories, which decide nothing."""


@dataclass(frozen=True, slots=True)
class Category:
    """What is known of one category."""

    name: str
    seen: Interval
    """Of the difference; for this number of tasks, not for every look."""
    p: float
    """Exact and one-sided, of "it did not fall"."""
    adjusted: float
    claim: Claim | None
    """That it fell by less than the margin; only where all are to be shown."""
    outcome: Literal["fell", "suspected", "not shown", "too few", "kept"]
    further: int | None = None
    """Further tasks of this category that would settle it, where it is open."""

    def words(self) -> str:
        """Return name, difference, interval and tasks."""
        if not self.seen.n:
            return f"{self.name} (no pairs)"
        return f"{self.name} {points(self.seen.value)} {between(self.seen.low, self.seen.high)} on {self.seen.n}"

    def figures(self) -> dict[str, JsonValue]:
        """Return it as JSON-serialisable values."""
        row: dict[str, JsonValue] = {"outcome": self.outcome, "tasks": self.seen.n, "further_tasks": self.further}
        numbers = {"difference": self.seen.value, "low": self.seen.low, "high": self.seen.high}
        numbers |= {"p_fell": self.p, "p_fell_adjusted": self.adjusted}
        return row | {key: float(f"{one:.6g}") if math.isfinite(one) else None for key, one in numbers.items()}


def categories(evidence: Evidence, config: GateConfig, spend: Account) -> Check:
    """Ask whether a category regressed.

    For each category the exact one-sided p of "it did not fall" is taken, for a number of tasks fixed beforehand, and
    adjusted for the number of categories (Holm).
    Fail: one fell by more than `category_margin` in what was seen, and its adjusted p is at most `fall_alpha`.
    Unknown: one fell by more than the margin, and p is at most `fall_alpha` before it is adjusted, but not after. It is
    suspected, and more tasks must tell.
    Pass: neither. A category with too few tasks to say is reported with its interval and stands in nobody's way; but
    with `strict_categories` it is unknown until the e-value against "it fell by the margin or more" has reached
    1 / alpha in every category. All of them must be shown, so nothing is adjusted.
    How often one looks is not accounted for in p: what comes of it are refusals, and those cost a candidate, never a
    wrong promotion.

    So the default protects against the collapse of a category and against large falls where there are tasks enough:
    of six categories, one that loses 5 tasks and wins none is suspected, and one that loses 7 and wins none, or 10 and
    wins one, has fallen. With 20 tasks in it, a fall of 15 points will mostly pass. The default does not show that
    nothing fell; only `strict_categories` does, at the price of two to five hundred tasks in each category.
    """
    found = _all(evidence, config, spend)
    figures: dict[str, JsonValue] = {"categories": {one.name: one.figures() for one in found}}
    allowed = f"{100 * config.category_margin:g} points"

    def those(outcome: str) -> list[str]:
        return [one.words() for one in found if one.outcome == outcome]

    if fallen := those("fell"):
        sentence = f"Fallen by more than {allowed}: {some(fallen)}."
        return Check(name="categories", outcome="fail", sentence=sentence, figures=figures)
    if (suspects := those("suspected")) or those("not shown"):
        further = [one.further for one in found if one.outcome in ("suspected", "not shown")]
        tasks = sum(one for one in further if one is not None)
        played = max((one.claim.rounds for one in found if one.claim is not None), default=1)
        figures |= {"further_episodes": episodes(tasks, config, played)} if tasks else {}
        parts = [f"suspected of having fallen by more than {allowed}: {some(suspects)}"] if suspects else []
        parts += [f"not shown to have kept within {allowed}: {some(those('not shown'))}"] if those("not shown") else []
        sentence = "; ".join(parts)
        sentence = f"{sentence[0].upper()}{sentence[1:]}."
        return Check(name="categories", outcome="unknown", sentence=sentence, figures=figures)
    if config.strict_categories:
        sentence = f"All of {len(found)} were shown to have kept within {allowed}."
    else:
        few = those("too few")
        rest = f"; too few tasks to rule it out of {some(few, 8)}" if few else ""
        sentence = f"None of {len(found)} is known to have fallen by more than {allowed}{rest}."
    return Check(name="categories", outcome="pass", sentence=sentence, figures=figures)


def _all(evidence: Evidence, config: GateConfig, spend: Account) -> list[Category]:
    place = evidence.held_out
    gaps = place.gaps(config.by)
    parts = {name: {ident: gaps[ident] for ident in ids if ident in gaps} for name, ids in place.categories.items()}
    plain = [one_sided(latest(part, config), -1)[0] for part in parts.values()]
    tested = zip(parts.items(), plain, holm(plain), strict=True)
    return [_category(name, part, (p, adjusted), len(parts), config, spend) for (name, part), p, adjusted in tested]


def _category(
    name: str, gaps: Gaps, p: tuple[float, float], family: int, config: GateConfig, spend: Account
) -> Category:
    values, margin = latest(gaps, config), config.category_margin
    seen = difference(values, resamples=RESAMPLES)
    shown = claim(gaps, config, spend.alpha, bound=-margin, least=0.0) if config.strict_categories else None

    def answer(
        outcome: Literal["fell", "suspected", "not shown", "too few", "kept"], tasks: int | None = None
    ) -> Category:
        return Category(name, seen, p[0], p[1], shown, outcome, tasks)

    if values and fell(seen.value, p[1], margin, config.fall_alpha):
        return answer("fell")
    if values and fell(seen.value, p[0], margin, config.fall_alpha):
        # At the difference seen, at the level that Holm asks of the first; two-sided there, one-sided here.
        needed = tasks_needed(values, alpha=2 * config.fall_alpha / family, power=config.power)
        return answer("suspected", max(1, needed - len(values)) if needed is not None else None)
    if shown is not None:
        return answer("kept") if shown.shown else answer("not shown", shown.further(0.0))
    return answer("too few" if not values or seen.low < -margin else "kept")
