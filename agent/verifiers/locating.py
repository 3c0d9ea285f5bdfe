"""A verifier that judges attempts as a whole, asked about beginnings: which step is the first at fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core import Trajectory, Verdict
from ...errors import ConfigError
from ..hooks import Judged
from .first_error import bisect_error
from .verifier import Verifier, ask, says_something
from .vote import Make


class LocatingVerifier:
    """Says what another verifier says and, of an attempt that it fails without step scores, where that began.

    The first step at fault is scored -1 and all others 0, so that repairs go back to it and splices end with it; see
    `bisect_error` for how it is found and what that assumes.

    Args:
        members: one table with `by`, and optionally `options`: who is asked.
        make: makes it.

    Raises:
        ConfigError: there is not exactly one, or it is no verifier.
    """

    name = "locate"

    def __init__(self, members: Sequence[Mapping[str, Any]] = (), make: Make | None = None) -> None:
        entry = members[0] if len(members) == 1 else None
        if make is None or not isinstance(entry, Mapping) or not isinstance(entry.get("by"), str):
            raise ConfigError(
                "verifier locate asks one other verifier, and none or several are named.",
                hint='Set verify.options.members, e.g. [{by = "judge"}].',
            )
        if unknown := sorted(set(entry) - {"by", "options"}):
            raise ConfigError(f"verify.options.members[0].{unknown[0]}: there are by and options.")
        if entry["by"] == "environment":
            raise ConfigError("verify.options.members[0]: the environment says nothing about beginnings.")
        self._asked: Verifier = make(entry["by"], entry.get("options", {}))

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Judge, and look for the first step at fault."""
        return (await self.judge(trajectory)).verdict

    async def judge(self, trajectory: Trajectory) -> Judged:
        """Judge, and look for the first step at fault; return what that took as well."""
        said = await ask(self._asked, trajectory)
        verdict = said.verdict.model_copy(update={"judge": self.name})
        if verdict.passed or verdict.step_scores or not says_something(verdict):
            return said._replace(verdict=verdict)
        at, usage = await bisect_error(trajectory, self._asked, said)
        scores = tuple(-1.0 if number == at else 0.0 for number in range(len(trajectory.steps)))
        return Judged(verdict.model_copy(update={"step_scores": scores if at is not None else ()}), usage, said.heard)
