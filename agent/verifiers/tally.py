"""What verifiers said, counted against the truth: each verifier, and within a vote each member."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ...core import Trajectory, Verdict
from .agreement import Agreement, Case, agreement, case_of
from .verifier import says_something

Place = tuple[int, str]
"""Of a member: its number in the vote, and its name without the model behind a colon, which one that breaks has not."""


@dataclass
class _Heard:
    """What one of them said so far; not frozen: it is counted up."""

    names: set[str] = field(default_factory=set)
    """What it called itself."""
    cases: list[Case] = field(default_factory=list)
    unjudged: int = 0
    members: dict[Place, _Heard] = field(default_factory=dict)


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
        _hear(self._heard.setdefault(judge, _Heard()), verdict, trajectory, at)

    def agreements(self) -> list[Agreement]:
        """Return how each verifier agrees with the truth, ordered by name."""
        return [self._agreement(judge, self._heard[judge]) for judge in sorted(self._heard)]

    def _agreement(self, judge: str, heard: _Heard) -> Agreement:
        members = tuple(self._agreement(name, one) for name, one in _named(heard.members))
        how = {"bins": self._bins, "recent": self._recent, "least": self._least}
        return agreement(judge, heard.cases, unjudged=heard.unjudged, members=members, **how)


def _hear(heard: _Heard, verdict: Verdict, trajectory: Trajectory, at: float | None) -> None:
    heard.names.add(verdict.judge)
    case = case_of(verdict, trajectory)
    if not says_something(verdict):
        heard.unjudged += 1
    elif case is not None:
        heard.cases.append(case if at is None else case._replace(at=at))
    for number, member in enumerate(verdict.members):
        place = (number, _plain(member.judge))
        _hear(heard.members.setdefault(place, _Heard()), member, trajectory, at)


def _named(members: Mapping[Place, _Heard]) -> Iterator[tuple[str, _Heard]]:
    """Yield members in the order of their vote, each under a name of its own: two judges of one model share theirs."""
    seen = Counter[str]()
    for place in sorted(members):
        told = sorted(name for name in members[place].names if name != place[1])
        # One who was asked as several models goes by what they have in common.
        name = told[0] if len(told) == 1 else place[1]
        seen[name] += 1
        yield (name if seen[name] == 1 else f"{name} ({seen[name]})"), members[place]


def _plain(judge: str) -> str:
    return judge.partition(":")[0]
