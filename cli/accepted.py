"""What a verifier made of attempts, told without a look at how they really ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from ..core import Trajectory
from ..judged import ABSTAINED, WITHOUT, silent
from ..rundir import RunDirectory
from ..store import Store


@dataclass(frozen=True)
class Accepted:
    """Verdicts on attempts that infrastructure did not end. Without verdicts there is no judge."""

    judge: str
    attempts: int
    verdicts: int
    abstained: int
    passed: int
    score: float | None
    """Mean score of the verdicts."""
    confidence: float | None
    """Their mean confidence."""
    siblings: float | None
    """Share of pairs of attempts at one task that the verifier says the same of; None where there is no pair."""

    @classmethod
    def of(cls, attempts: Iterable[Trajectory]) -> Accepted:
        """Count verdicts of verifiers; the environment's word is none. Works on attempts without their steps."""
        ended = [one for one in attempts if one.failure is None]
        spoken = [(one, one.verdict) for one in ended if silent(one) is None and one.verdict is not None]
        judges = Counter(verdict.judge for _, verdict in spoken) or Counter(map(_refused, ended))
        groups: defaultdict[tuple[str, str], list[bool]] = defaultdict(list)
        for one, verdict in spoken:
            groups[one.run_id, one.group_id or one.task.id].append(verdict.passed)
        pairs = [first == second for group in groups.values() for first, second in combinations(group, 2)]
        return cls(
            judge=judges.most_common(1)[0][0] if judges else "",
            attempts=len(ended),
            verdicts=len(spoken),
            abstained=sum(silent(one) == ABSTAINED for one in ended),
            passed=sum(verdict.passed for _, verdict in spoken),
            score=fmean(verdict.score for _, verdict in spoken) if spoken else None,
            confidence=fmean(verdict.confidence for _, verdict in spoken) if spoken else None,
            siblings=fmean(pairs) if pairs else None,
        )

    def sentence(self) -> str:
        """Say it in a few words, of attempts whose truth is withheld."""
        if not self.judge:
            return f"truth withheld, and {WITHOUT}"
        more = f", which could not judge {self.abstained}" if self.abstained else ""
        return f"truth withheld: {self.passed} accepted by {self.judge}{more}"


def accepted_in(directory: RunDirectory) -> Accepted:
    """Return what the verifier of a run made of its attempts; of a repaired sample, of the last one.

    Raises:
        ConfigError, StoreError: it is gone or damaged.
    """
    return Accepted.of(last_of(headers_in(directory)))


def headers_in(directory: RunDirectory) -> list[Trajectory]:
    """Return the attempts of a run that ended by themselves, without their steps, by sample, task and attempt.

    Raises:
        ConfigError, StoreError: it is gone or damaged.
    """
    with Store.open(directory.store_url(directory.load_config()), create=False) as store:
        found = list(store.headers(run_id=directory.run_id, failed=False))
    return sorted(found, key=lambda one: (one.sample, one.task.id, one.attempt))


def last_of(attempts: Sequence[Trajectory]) -> list[Trajectory]:
    """Return the last attempt of each sample: what came before it was repaired."""
    found: dict[tuple[str, int], Trajectory] = {}
    for one in attempts:
        key = (one.task.id, one.sample)
        if key not in found or found[key].attempt < one.attempt:
            found[key] = one
    return list(found.values())


def _refused(one: Trajectory) -> str:
    told = one.meta.get("unjudged")
    return str(told.get("judge")) if isinstance(told, dict) else ""
