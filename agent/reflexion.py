"""Reflexion: after a failed trial the model writes down what went wrong, and tries again with its notes in the prompt
(Shinn et al. 2023, "Reflexion: Language Agents with Verbal Reinforcement Learning", algorithm 1).

Whether a trial failed is the environment's word, so this sees the outcome between trials: its success after several
trials is to be compared with that of other methods at as many attempts. The weights stay as they are, and so does
memory: notes are about one task and die with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from ..config import RepairConfig
from ..core import Message, Sampling, Trajectory, content_id
from ..errors import ModelError
from ..seams import LLM
from ..store import Store
from .hooks import Hooks, Reflection
from .prompting import Prompts
from .react import parse_react

SHOWN_STEPS = 60
"""Steps of a trial that a reflection reads; of a longer one the first and last halves of as many."""
SHOWN_CHARS = 400
LONGEST = 3000
"""Characters of a reflection that are kept."""


class Reflexion:
    """The hooks `reflect` and `repair` of one run.

    A reflection is stored with its trial, so what follows from it, whether there is another trial and with which
    notes, is read from the store alone and is the same after a crash.

    Args:
        llm: the model that acts; it reflects as well.
        prompts: has the prompts `reflect` and `reflections`.
        store: where the run's trials are.
        config: how many trials, how many notes.
        sampling: how reflections are drawn; its seed is the run's.
    """

    def __init__(
        self, llm: LLM, prompts: Prompts, store: Store, config: RepairConfig, sampling: Sampling | None = None
    ) -> None:
        self._llm = llm
        self._prompts = prompts
        self._store = store
        self._config = config
        self._sampling = (sampling or Sampling()).model_copy(
            update={"max_tokens": config.max_tokens, "logprobs": False}
        )

    def hooks(self, hooks: Hooks) -> Hooks:
        """Return hooks with these two added."""
        return replace(hooks, reflect=self.reflect, repair=self.repair)

    async def reflect(self, trajectory: Trajectory) -> Reflection | None:
        """Return what the model makes of a failed trial; None where no other trial follows.

        Raises:
            ModelError: the model does not answer. The trial keeps its outcome and waits.
        """
        if not failed(trajectory):
            return None
        earlier = await self._earlier(trajectory)
        if len(earlier) + 1 >= self._config.trials:
            return None
        notes = reflections(earlier)[-self._config.keep :]
        text = self._prompts.fill(
            "reflect",
            goal=trajectory.task.goal,
            before=f"\nWhat you wrote after earlier trials:\n\n{_listed(notes)}\n" if notes else "",
            record=record_text(trajectory),
        )
        # From the task and not from the trajectory's id, which is another one in each run.
        drawn = content_id("reflection", self._sampling.seed, trajectory.task.id, trajectory.sample, len(earlier))
        seed = int(drawn[:15], 16)
        try:
            reply = await self._llm.chat(
                [Message(role="user", content=text)], sampling=self._sampling.model_copy(update={"seed": seed})
            )
        except ModelError as error:
            what = f"no reflection on trial {len(earlier) + 1} of task {trajectory.task.id}: {error.message}"
            raise ModelError(what, hint=error.hint, kind=error.kind) from error
        return Reflection(readable(reply.text), reply.usage)

    async def repair(self, trajectory: Trajectory) -> str | None:
        """Return the notes for the next trial, the latest ones last; None where there is no next trial."""
        if not failed(trajectory):
            return None
        earlier = await self._earlier(trajectory)
        if len(earlier) + 1 >= self._config.trials:
            return None
        notes = reflections([*earlier, trajectory])[-self._config.keep :]
        return self._prompts.fill("reflections", reflections=_listed(notes)) if notes else ""

    async def _earlier(self, trajectory: Trajectory) -> list[Trajectory]:
        """Return the trials before this one, without their steps; what infrastructure killed was no trial."""
        found = self._store.headers(run_id=trajectory.run_id, task_id=trajectory.task.id, failed=False)
        trials = await asyncio.to_thread(list, found)
        same = [t for t in trials if t.sample == trajectory.sample and t.attempt < trajectory.attempt]
        return sorted(same, key=lambda t: t.attempt)


def failed(trajectory: Trajectory) -> bool:
    """Say whether a trial failed at its task: by the environment's word, and not by infrastructure's fault."""
    return trajectory.failure is None and trajectory.success is False


def reflections(trials: Sequence[Trajectory]) -> list[str]:
    """Return what was written after these trials, empty ones left out."""
    found = [trial.meta.get("reflection") for trial in trials]
    return [text for text in found if isinstance(text, str) and text]


def readable(text: str) -> str:
    """Return a model's note without its hidden reasoning, characters that cannot be stored, and excess length."""
    text = text.rpartition("</think>")[2].encode("utf-8", "replace").decode("utf-8").replace("\x00", "").strip()
    return text if len(text) <= LONGEST else text[: LONGEST - 3].rstrip() + "..."


def record_text(trajectory: Trajectory) -> str:
    """Return a trial as the prompt shows it: what was seen, thought and done, its middle left out where it is long."""
    lines = []
    for step in trajectory.steps:
        thought = parse_react(step.completion, step.admissible).thought
        seen = f"Seen: {_short(step.observation)}\n" + (f"Thought: {_short(thought)}\n" if thought else "")
        lines.append(f"{seen}Did: {step.action or '(nothing)'}")
    if len(lines) > SHOWN_STEPS:
        half = SHOWN_STEPS // 2
        lines = [*lines[:half], f"({len(lines) - 2 * half} steps left out)", *lines[-half:]]
    return "\n".join([*lines, f"Seen: {_short(trajectory.final_observation)}", f"It ended here: {ending(trajectory)}."])


def ending(trajectory: Trajectory) -> str:
    """Return in words how a trial ended."""
    words = {"max_steps": "no steps were left", "loop": "the same was tried again and again"}
    return words.get(trajectory.stop, "the task was not solved")


def _listed(notes: Sequence[str]) -> str:
    return "\n\n".join(f"{number}. {note}" for number, note in enumerate(notes, 1))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN_CHARS else flat[: SHOWN_CHARS - 3] + "..."
