"""Iterative deepening: each attempt may take twice as much as the one before, and is told to check again.

ID-Sampling (Chen, Koenig and Dilkina 2025, arXiv 2502.05449) lets a model write up to a budget, appends a sentence that
makes it look for its own mistakes, and lets it go on with a budget that has grown by a factor, here 2. Unclear: the
paper has no verifier inside, it picks among several such samples at the end; that an attempt which a verifier accepts
is the last one is ours. An agent's attempt is the unit here, not a text: it goes on from where the one before was cut
short, or from before its last step where that ended the episode, as far as the world takes snapshots, and else begins
anew with what it had written in its prompt. The attempts are siblings like those of any repair, so training has them as
rows.
"""

from __future__ import annotations

from ...config import RepairConfig
from ...config_verify import GateSettings
from ...core import Trajectory
from ...store import Store
from ..hooks import AttemptLimit, Retry
from .answers import step_text
from .prompt_files import fill
from .repairing import Repairing
from .verifier import says_something

CUT_SHORT = ("max_steps", "max_tokens")
"""Ends of an attempt that might have gone on."""
SHOWN_CHARS = 2000
"""The last characters of what was written; a shorter record would lose the work that a larger budget goes on with."""


class Deepening(Repairing):
    """The hook `repair` of attempts whose budget grows, and what each of them may take.

    Args:
        store: where the run's attempts are.
        gate: whether an attempt may go on from the one before (`fork`).
        config: the first budget, what it counts, and how many attempts there are.
        prompts: folder with prompt files of the user's own.
        max_steps: the solver's own bound of an episode.
    """

    def __init__(
        self,
        store: Store,
        gate: GateSettings,
        config: RepairConfig,
        prompts: str | None = None,
        *,
        max_steps: int = 1_000_000,
    ) -> None:
        super().__init__(store, gate, config.trials, prompts)
        self._config, self._max_steps = config, max_steps

    def limit(self, deepened: int) -> AttemptLimit:
        """Return B0 * 2^k, what an attempt may take after its budget has grown k times."""
        most = self._config.first_budget * 2**deepened
        return AttemptLimit(steps=most) if self._config.budget_in == "steps" else AttemptLimit(tokens=most)

    async def repair(self, trajectory: Trajectory) -> Retry | None:
        """Return the trigger for another attempt and the step it goes on from; None for the last one."""
        # Nobody waits to be accepted by one whose word is known to be worth nothing.
        if trajectory.failure is not None or _accepted(trajectory) or self._settings.weight == 0.0:
            return None
        tried = await self._tried(trajectory)
        if tried >= self._trials:
            return None
        return Retry(self._trigger(trajectory), self._from(trajectory), deepened=tried)

    def _from(self, trajectory: Trajectory) -> int | None:
        steps = len(trajectory.steps)
        at = steps if trajectory.stop in CUT_SHORT else steps - 1 if trajectory.stop == "terminated" else 0
        # Where the solver's own bound is reached, there is no room to go on in.
        return at if self._settings.fork and 0 < at < self._max_steps else None

    def _trigger(self, trajectory: Trajectory) -> str:
        steps = [step for step in trajectory.steps if step_text(step)]
        text = step_text(steps[-1]) if steps else "(nothing)"
        before = text if len(text) <= SHOWN_CHARS else "..." + text[3 - SHOWN_CHARS :]
        return fill("check_again", self._folder, before=before)


def _accepted(trajectory: Trajectory) -> bool:
    """Say whether a verifier has passed an attempt; the environment's own word is not asked."""
    verdict = trajectory.verdict
    if verdict is None or verdict.judge == "environment" or not says_something(verdict):
        return False
    return verdict.passed
