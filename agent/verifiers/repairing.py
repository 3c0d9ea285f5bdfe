"""When a verdict sends the solver back, and where to.

Agent0-VL (its Self-Evolving Reasoning Cycle, as its code has it) has a soft gate in the reward,

    g_t = sigmoid(kappa * (tau_c - confidence_t)),   r_t = score_t * confidence_t + ... - g_t * C_repair,

with kappa 5, tau_c 0.7 and C_repair 0.05, the cost only where a repair was made. Its rollout repairs where the
confidence is below tau_c, at most twice an attempt, whatever the score. That is unclear in two ways: whose confidence
it is (the verifier's in its judgement, or its belief in the step), and whether a step that is surely wrong is to be
repaired, which this rule would leave. Here are three rules: `doubted`, a low score by a verifier that is sure, is the
default; `unsure` is the published one; `product` reads score times confidence as one number.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

from ...config_verify import GateSettings
from ...core import Trajectory, Verdict
from ...store import Store
from ..hooks import Retry
from .first_error import first_error
from .prompt_files import fill
from .verifier import says_something

SHOWN_CHARS = 400


def gate(confidence: float, settings: GateSettings) -> float:
    """Return g = sigmoid(kappa * (tau_c - confidence)): how far open the way to a repair is, in (0, 1)."""
    return 1.0 / (1.0 + math.exp(settings.kappa * (confidence - settings.confidence)))


def repair_cost(verdict: Verdict, settings: GateSettings) -> float:
    """Return g * C_repair, what a repair that this verdict brought about takes off the reward of the attempt it led to.

    An attempt after two repairs bears both. The reward `repair_cost` of training takes it off.
    """
    return gate(verdict.confidence * settings.weight, settings) * settings.cost


def wants_repair(verdict: Verdict, settings: GateSettings) -> bool:
    """Say whether a verdict sends the solver back; one that says nothing, or whose word has no weight, never does.

    By the rule `unsure` a verifier's own doubt counts as it is told: the less its word is worth, the more it would send
    else.
    """
    if not says_something(verdict) or settings.weight == 0.0:
        return False
    if settings.rule == "unsure":
        return verdict.confidence < settings.confidence
    sure = verdict.confidence * settings.weight
    if settings.rule == "product":
        return (2.0 * verdict.score - 1.0) * sure < settings.product
    return verdict.score < settings.score and sure >= settings.confidence


class Repairing:
    """The hook `repair` of a verifier.

    Whether there is another attempt, from where and with which words follows from the stored attempt alone, so it is
    the same after a crash.

    Args:
        store: where the run's attempts are.
        settings: the gate.
        trials: attempts at one task at most, the first one counted.
        prompts: folder with prompt files of the user's own.
    """

    def __init__(self, store: Store, settings: GateSettings, trials: int = 2, prompts: str | None = None) -> None:
        self._store, self._settings = store, settings
        self._trials, self._folder = trials, prompts

    async def repair(self, trajectory: Trajectory) -> Retry | None:
        """Return the critique for another attempt and the first step at fault, or None."""
        verdict = trajectory.verdict
        if trajectory.failure is not None or verdict is None or verdict.judge == "environment":
            return None
        if not wants_repair(verdict, self._settings) or await self._tried(trajectory) >= self._trials:
            return None
        at = first_error(verdict, self._settings.step_score)
        before = trajectory.meta.get("repair_cost", 0.0)
        cost = (before if isinstance(before, int | float) else 0.0) + repair_cost(verdict, self._settings)
        return Retry(self._critique(trajectory, verdict, at), at if self._settings.fork and at else None, cost)

    def _critique(self, trajectory: Trajectory, verdict: Verdict, at: int | None) -> str:
        fault = ""
        if at is not None and at < len(trajectory.steps):
            step = trajectory.steps[at]
            fault = f"\n\nThe first step at fault was: {_short(step.action or step.completion)}"
        text = verdict.critique or "It does not solve the task."
        return fill("verify_critique", self._folder, critique=text, fault=fault)

    async def _tried(self, trajectory: Trajectory) -> int:
        """Return how many attempts there were up to this one; what infrastructure killed was none."""
        found = self._store.headers(run_id=trajectory.run_id, task_id=trajectory.task.id, failed=False)
        headers: Sequence[Trajectory] = await asyncio.to_thread(list, found)
        return 1 + sum(one.sample == trajectory.sample and one.attempt < trajectory.attempt for one in headers)


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN_CHARS else flat[: SHOWN_CHARS - 3] + "..."
