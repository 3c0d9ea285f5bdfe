"""A verifier in the episode graph: it judges each attempt before that is stored, and sees no outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ...core import Trajectory
from ...store import Store
from ..hooks import Hooks, Judged
from .blinded import blinded
from .judgements import Judgements
from .repairing import Repairing
from .verifier import Seeing, Siblings, Verifier, ask


class Judging:
    """The hook `verify`, and with a gate the hook `repair`.

    Args:
        verifier: who judges.
        repairing: sends the solver back; None leaves attempts as they are.
        hide_end: show no last observation, whatever ended the episode.
        heard: keeps what models were asked; None keeps nothing.
    """

    def __init__(
        self,
        verifier: Verifier,
        repairing: Repairing | None = None,
        *,
        hide_end: bool = True,
        heard: Judgements | None = None,
    ) -> None:
        self._verifier, self._repairing = verifier, repairing
        self._hide_end, self._heard = hide_end, heard

    def hooks(self, hooks: Hooks) -> Hooks:
        """Return hooks with these added."""
        with_verify = replace(hooks, verify=self.verify)
        return with_verify if self._repairing is None else replace(with_verify, repair=self._repairing.repair)

    async def verify(self, trajectory: Trajectory) -> Judged:
        """Return the verdict on an attempt, and what reaching it took.

        Raises:
            ModelError, SandboxError: what the verifier needs does not answer; the attempt waits.
        """
        judged = await ask(self._verifier, shown_to(self._verifier, trajectory, hide_end=self._hide_end))
        if self._heard is not None and judged.heard:
            self._heard.add(trajectory.id, judged.heard)
        scores, steps = judged.verdict.step_scores, len(trajectory.steps)
        if scores and len(scores) != steps:
            # A verifier of the user's own may miscount; scores of other steps must not be taken for those of these.
            return judged._replace(verdict=judged.verdict.model_copy(update={"step_scores": ()}))
        return judged


def shown_to(verifier: Verifier, trajectory: Trajectory, *, hide_end: bool = True) -> Trajectory:
    """Return an attempt as a verifier is shown it: without its outcome, unless the outcome is what it repeats."""
    if isinstance(verifier, Seeing) and verifier.sees_outcome:
        return trajectory
    return blinded(trajectory, hide_end=hide_end)


def siblings_in(store: Store) -> Siblings:
    """Return what gives the finished attempts at a task in its run, blinded."""

    async def siblings(trajectory: Trajectory) -> Sequence[Trajectory]:
        def read() -> list[Trajectory]:
            found = store.trajectories(run_id=trajectory.run_id, task_id=trajectory.task.id, failed=False)
            return [blinded(one) for one in found if one.id != trajectory.id]

        return await asyncio.to_thread(read)

    return siblings
