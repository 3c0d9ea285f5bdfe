"""What a test may spend on held-out tasks that earlier tests have looked at."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ...core_evolution import Claim, GateReport

Seen = Mapping[str, Mapping[str, Mapping[int, float]]]
"""Environment to task to sample to difference, as in `GateReport.looked_at`."""


@dataclass(frozen=True, slots=True)
class Account:
    """What this test may spend, and what went before it."""

    number: int
    """Which test it is on these tasks; the first is 1."""
    alpha: float
    """Its level."""
    earlier: int
    """Other tests on any of these tasks, or on tasks that such tests looked at."""
    promotions: int
    """Those of them that ended in a promotion."""
    goes_on: bool
    """Whether an earlier report is of this same test, with less evidence."""


def share(number: int) -> float:
    """Return the part of alpha for the k-th test, 6 / (pi^2 k^2); over all k they add up to 1 (Euler)."""
    return 6 / (math.pi * number) ** 2


def account(
    spent: Iterable[GateReport],
    looked_at: Seen,
    *,
    candidate: str,
    incumbent: str,
    claim: Claim,
    alpha: float,
    errors: Literal["any", "share"] = "any",
) -> Account:
    """Return what a test may spend.

    Every test on the same tasks has its own level, alpha_k = alpha * 6 / (pi^2 k^2) for the k-th. The levels of
    however many tests add up to alpha, so the chance that ever one of them promotes wrongly is at most alpha
    (Bonferroni over an unbounded number of tests). With `errors="share"` it is e-LOND (Xu and Ramdas 2024, AISTATS,
    2311.06412): alpha_k times one more than the number of other promotions so far, which keeps the expected share of
    wrong promotions at alpha, whatever the tests have to do with each other.

    Tests are told apart by what they looked at, not by what the set is called. One that looks at any task of an
    earlier one, in any environment, stands in the same account, and so does what that one shared tasks with; tasks
    that no one has looked at begin a new account. A report on the same candidate, incumbent and claim whose differences
    are all among the present ones is an earlier look of the same test, which spends nothing more, as the evidence is
    valid at every look. If a difference is another one now, the tasks were played anew, and that is a new test.

    What it does not cover: tasks are a sample themselves. The levels hold for being better on tasks like these as
    long as candidates do not depend on which tasks these are. What is carried on from generation to generation are
    decisions, so little leaks, but not nothing; fresh tasks now and then are the cure.

    Args:
        spent: all reports there are, in any order.
        looked_at: what this test looks at.
        candidate: release id.
        incumbent: release id.
        claim: what is to be shown.
        alpha: what all tests together may spend.
        errors: `any` or `share`, see above.
    """
    related = _related(list(spent), looked_at)
    own = (candidate, incumbent, claim)
    earlier = [one for one in related if _key(one)[:3] == own and _among(one.looked_at, looked_at)]
    number = min((one.test_number for one in earlier), default=0)
    others = {_key(one) for one in related} - {(*own, number)}
    promoted = {_key(one) for one in related if one.decision == "promote"} - {(*own, number)}
    number = number or len(others) + 1
    level = alpha * share(number) * (len(promoted) + 1 if errors == "share" else 1)
    return Account(number, min(level, alpha), len(others), len(promoted), bool(earlier))


def _key(report: GateReport) -> tuple[str, str, Claim, int]:
    return report.candidate, report.incumbent, report.claim, report.test_number


def _related(spent: Sequence[GateReport], looked_at: Seen) -> list[GateReport]:
    """Return the reports that share a task with this test, or with one that does."""
    reached = set[str]().union(*looked_at.values())
    waiting, related = list(spent), list[GateReport]()
    while near := [one for one in waiting if any(not reached.isdisjoint(tasks) for tasks in one.looked_at.values())]:
        related += near
        for one in near:
            reached.update(*one.looked_at.values())
        taken = {id(one) for one in near}
        waiting = [one for one in waiting if id(one) not in taken]
    return related


def _among(old: Seen, new: Seen) -> bool:
    """Say whether all differences of one look are among those of another."""
    return all(
        new.get(place, {}).get(name, {}).get(sample) == gap
        for place, tasks in old.items()
        for name, samples in tasks.items()
        for sample, gap in samples.items()
    )
