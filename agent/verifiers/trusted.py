"""A verifier whose word counts by how it agreed with the truth before."""

from __future__ import annotations

import json
import math
from pathlib import Path

from ...core import Trajectory, Verdict
from ...errors import ConfigError
from ..hooks import Judged
from .verifier import Verifier, ask, says_something


class TrustedVerifier:
    """Scales the confidence of every verdict; with weight 0 none of them says anything.

    Args:
        verifier: who judges.
        weight: in [0, 1]; see `agreement`.
        why: the weight in words, for verdicts that do not count.
    """

    def __init__(self, verifier: Verifier, weight: float, why: str = "") -> None:
        self.name = verifier.name
        self.sees_outcome = getattr(verifier, "sees_outcome", False)
        self._verifier, self._weight, self._why = verifier, weight, why

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Judge, and weigh."""
        return (await self.judge(trajectory)).verdict

    async def judge(self, trajectory: Trajectory) -> Judged:
        """Judge, and weigh; return what that took as well."""
        judged = await ask(self._verifier, trajectory)
        verdict = judged.verdict
        if self._weight == 1.0 or not says_something(verdict):
            return judged
        changed: dict[str, object] = {"confidence": verdict.confidence * self._weight}
        if self._weight == 0.0:
            changed["critique"] = f"{self._why or 'its word does not count'} (it said: {verdict.critique or 'nothing'})"
        return judged._replace(verdict=verdict.model_copy(update=changed))


def read_weight(file: str | Path, judge: str) -> tuple[float, str]:
    """Return the weight of a verifier and its reason from what `lamarck verify agreement --json` printed.

    Args:
        file: what it printed.
        judge: name of the verifier; of a judge with several models, the first entry of that name.

    Raises:
        ConfigError: the file cannot be read, is something else, or does not know this verifier.
    """
    try:
        entries = json.loads(Path(file).read_text(encoding="utf-8"))["verifiers"]
        known = {str(entry["judge"]): (float(entry["weight"]), str(entry["why"])) for entry in entries}
    except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"verify.trust.agreement {file} cannot be read: {error}.",
            hint="`lamarck verify agreement RUN --json > FILE` writes one.",
        ) from error
    found = known.get(judge) or next((w for name, w in known.items() if name.partition(":")[0] == judge), None)
    if found is None:
        raise ConfigError(
            f"verify.trust.agreement {file} knows no verifier {judge}; it knows: {', '.join(known) or 'none'}."
        )
    if not (math.isfinite(found[0]) and 0.0 <= found[0] <= 1.0):
        raise ConfigError(f"verify.trust.agreement {file}: the weight of {judge} is {found[0]}, not within 0 and 1.")
    return found
