"""What verifiers said, counted against the truth: each verifier, and within a vote each member."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ...core import Trajectory, Verdict
from .agreement import Agreement, Case, agreement, case_of
from .verifier import says_something


@dataclass
class _Heard:
    """What one of them said so far; not frozen: it is counted up."""

    judge: str
    cases: list[Case] = field(default_factory=list)
    unjudged: int = 0
    members: dict[str, _Heard] = field(default_factory=dict)


class Tally:
    """Hears verdicts, and says how often each verifier is right.

    Members of a vote stand within it, never beside other verifiers: what is measured of them is not to be taken for
    the weight of anyone who judges alone.

    Args:
        bins, recent, least: as in `agreement`.
    """

    def __init__(self, *, bins: int = 10, recent: int = 50, least: int = 20) -> None:
        self._bins, self._recent, self._least = bins, recent, least
        self._heard: dict[str, _Heard] = {}

    def hear(self, judge: str, verdict: Verdict, trajectory: Trajectory, at: float | None = None) -> None:
        """Count what was said of an attempt whose outcome may be known.

        Args:
            judge: under which name it is counted.
            verdict: may say nothing.
            trajectory: with its outcome, with its steps or without.
            at: orders verdicts in time; when the attempt began if not given.
        """
        _hear(self._heard.setdefault(judge, _Heard(judge)), verdict, trajectory, at)

    def agreements(self) -> list[Agreement]:
        """Return how each verifier agrees with the truth, ordered by name."""
        return [self._agreement(self._heard[judge]) for judge in sorted(self._heard)]

    def _agreement(self, heard: _Heard) -> Agreement:
        members = tuple(self._agreement(one) for one in heard.members.values())
        how = {"bins": self._bins, "recent": self._recent, "least": self._least}
        return agreement(heard.judge, heard.cases, unjudged=heard.unjudged, members=members, **how)


def _hear(heard: _Heard, verdict: Verdict, trajectory: Trajectory, at: float | None) -> None:
    case = case_of(verdict, trajectory)
    if not says_something(verdict):
        heard.unjudged += 1
    elif case is not None:
        heard.cases.append(case if at is None else case._replace(at=at))
    seen = Counter[str]()
    for member in verdict.members:
        seen[member.judge] += 1
        # Two judges of one model go by one name; their order is that of the configuration.
        again = seen[member.judge]
        name = member.judge if again == 1 else f"{member.judge} ({again})"
        _hear(heard.members.setdefault(name, _Heard(name)), member, trajectory, at)
