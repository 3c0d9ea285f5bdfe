"""The environment's own word as a verdict."""

from __future__ import annotations

from ...core import Trajectory, Verdict
from .verifier import unjudged


class EnvironmentVerifier:
    """Repeats what the world said of the attempt, and rewards of steps as they were, bounded to [-1, 1]."""

    name = "environment"
    sees_outcome = True

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Return the outcome as a verdict."""
        if trajectory.success is None:
            return unjudged(self.name, "the environment does not say whether the task was solved")
        score = trajectory.score if trajectory.score is not None else float(trajectory.success)
        rewards = tuple(min(1.0, max(-1.0, step.reward)) for step in trajectory.steps)
        return Verdict(
            passed=trajectory.success,
            score=score,
            step_scores=rewards if any(rewards) else (),
            critique="" if trajectory.success else "The environment says that the task was not solved.",
            judge=self.name,
        )
