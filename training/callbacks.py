"""What hangs on TRL's trainers: telling how it goes, stopping when asked to, keeping the best."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

from ..errors import TrainingError
from .watching import Progress, Watch, named

FINITE = {"loss": "loss", "grad_norm": "gradient", "eval_loss": "held-out loss"}
"""What of TRL's log has to be a number."""


class Watching(TrainerCallback):  # type: ignore[misc]
    """Shows every update to a `Watch`, ends training when it asks for that or when the loss is no number.

    Args:
        watch: who looks on.
        beta: that of dpo; see `watching.drift`.
    """

    def __init__(self, watch: Watch, beta: float | None = None) -> None:
        self._watch, self._beta = watch, beta
        self._began = self._ended = 0.0
        self._from = 0
        self._marks: list[tuple[float, float]] = []
        """When, and how many tokens TRL had counted: at the start, after the first update and after the last."""
        self.stopped = False
        """Whether it ended because it was asked to."""

    @property
    def seconds(self) -> float:
        """Wall time of training in this process."""
        return (self._ended or time.monotonic()) - self._began if self._began else 0.0

    @property
    def tokens_per_s(self) -> float:
        """Tokens through the model per second; the first update, a warm-up, counts only where it stands alone."""
        if len(self._marks) < 2:
            return 0.0
        (since, before), (now, tokens) = self._marks[-2], self._marks[-1]
        return (tokens - before) / max(1e-9, now - since)

    def on_train_begin(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        self._began = time.monotonic()
        self._from = state.global_step
        self._marks = [(self._began, float(state.num_input_tokens_seen))]

    def on_train_end(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        self._ended = time.monotonic()
        if not self.stopped and self._watch.interrupted():
            # There is nothing to go on with. Who calls stages one after another asks the watch as well.
            self._watch.say("that was the last update: the stage is finished, with its adapter")

    def on_step_end(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        if self._watch.stopping() and state.global_step < state.max_steps:
            self.stopped = control.should_training_stop = control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **keywords: Any) -> None:
        logs = logs or {}
        for name, what in FINITE.items():
            value = logs.get(name)
            if isinstance(value, float) and not math.isfinite(value):
                # Raised before this update is saved: what is on disk stays fit to go on from.
                raise TrainingError(
                    f"the {what} of update {state.global_step} is {value}.",
                    hint="Start anew with a lower --lr, or look for rewards and log-probabilities that are no numbers.",
                )
        if "loss" not in logs and "eval_loss" not in logs:
            return  # the totals at the end
        self._count(logs.get("num_tokens"))
        fresh = state.global_step - self._from
        left = self.seconds / fresh * (state.max_steps - state.global_step) if fresh else None
        self._watch.show(
            Progress(state.global_step, state.max_steps, self.seconds, self.tokens_per_s, left, named(logs, self._beta))
        )

    def _count(self, tokens: object) -> None:
        if isinstance(tokens, int | float):
            del self._marks[2:]
            self._marks.append((time.monotonic(), float(tokens)))


class KeepBest(TrainerCallback):  # type: ignore[misc]
    """Keeps the adapter with the lowest held-out loss so far, across restarts.

    Args:
        keep: writes the adapter as it is now.
    """

    def __init__(self, keep: Callable[[], object]) -> None:
        self._keep = keep

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **keywords: Any) -> None:
        if state.global_step == 0:
            return  # nothing is trained yet
        before = [e["eval_loss"] for e in state.log_history if "eval_loss" in e and 0 < e["step"] < state.global_step]
        if metrics["eval_loss"] < min(before, default=math.inf):
            self._keep()
