"""Which tasks a generation plays: chosen or made by a proposer from what the generations before have come to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from ...agent.evolution.generation import Figures, Generation
from ...agent.llms import build_llm
from ...agent.proposers.finding import load_proposer
from ...agent.proposers.outcomes import outcomes_of
from ...agent.proposers.proposer import Materials, Proposer, State
from ...agent.tasksets import load_taskset
from ...config import ModelConfig, TasksetConfig
from ...config_evolve import EvolveConfig
from ...core import Task, Trajectory
from ...errors import ConfigError
from ...evals.proposed.known import said
from ...evals.proposed.table import PROPOSERS, SELF_MADE
from ...evals.proposed.taskset import config_for, write_tasks
from ...rundir import RunDirectory
from ..wire import select
from .collecting import COLLECT
from .home import Home, write
from .playing import attempts

FILE, TASKS, ASKED = "propose.json", "tasks.jsonl", "asked.jsonl"


class Proposing:
    """The phase `propose`. A proposer's state lies with each generation, so a phase is simply done again.

    Args:
        home: of the evolution.
        config: its settings.
    """

    def __init__(self, home: Home, config: EvolveConfig) -> None:
        self._home, self._config = home, config

    async def propose(self, now: Generation) -> Figures:
        """Choose or make the tasks, and write down which.

        Raises:
            LamarckError: there are no tasks to choose from, or the proposer is not known.
        """
        folder = self._home.generation(now.number)
        if not (folder / FILE).exists():
            before = self._before(now.number)
            async with self._proposer(before) as proposer:
                state = self._state(now.number, proposer, before)
                made = await proposer.propose(self._config.propose.tasks, state)
            if not made.tasks:
                raise ConfigError(
                    f"proposer {self._config.propose.by} has nothing to play in generation {now.number}: "
                    f"{len(made.refused)} refused.",
                    hint="`lamarck propose` says what was refused and why.",
                )
            write_tasks(folder / TASKS, list(made.tasks))
            write(folder / ASKED, "".join(one.model_dump_json() + "\n" for one in made.asked))
            figures = {"refused": len(made.refused), **made.figures}
            plain = {"ids": [task.id for task in made.tasks], "state": made.state, "figures": figures}
            write(folder / FILE, json.dumps(plain, indent=2, sort_keys=True) + "\n")
        found = self._read(now.number)
        return {"tasks": len(found["ids"]), **found["figures"]}

    def taskset(self, number: int) -> TasksetConfig:
        """Return the tasks of a generation as a run names them.

        Raises:
            ConfigError: what was written down of them is gone or damaged.
        """
        given, ids = self._config.run.taskset, tuple(str(ident) for ident in self._read(number)["ids"])
        if self._config.propose.by in SELF_MADE or ":" in self._config.propose.by:
            return config_for((self._home.generation(number) / TASKS).resolve(), given, given.split)
        return given.model_copy(update={"ids": ids, "limit": None})

    @asynccontextmanager
    async def _proposer(self, before: list[Trajectory]) -> AsyncIterator[Proposer]:
        wanted = self._config.propose
        llm = build_llm(ModelConfig(name=wanted.model)) if wanted.model is not None else None
        given, held_out = self._tasks()
        materials = Materials(
            tasks=given,
            held_out=held_out,
            said=said,
            trajectories=tuple(before),
            llm=llm,
            prompts=Path(wanted.prompts) if wanted.prompts else None,
            seed=wanted.seed,
            near=wanted.near,
            tries=wanted.tries,
        )
        try:
            proposer = load_proposer(wanted.by, materials, wanted.options, PROPOSERS)
            try:
                yield proposer
            finally:
                await proposer.close()
        finally:
            if llm is not None:
                await llm.close()

    def _tasks(self) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
        """Return the tasks to choose from, none for who makes its own, and those that are held out."""
        run, held = self._config.run, self._config.held_out
        taskset = load_taskset(run.taskset.name, run.taskset.options)
        given = () if self._config.propose.by in SELF_MADE else tuple(select(taskset, run.taskset))
        return given, tuple(taskset.tasks(held.split, seed=run.taskset.seed, limit=held.limit))

    def _before(self, number: int) -> list[Trajectory]:
        """Return the attempts of the generation before."""
        return attempts(RunDirectory(self._home.generation(number - 1) / COLLECT)) if number > 1 else []

    def _state(self, number: int, proposer: Proposer, before: list[Trajectory]) -> State:
        """Return what a proposer knows: its state of the generation before, and what came of that."""
        return proposer.feedback(outcomes_of(before), self._read(number - 1)["state"]) if number > 1 else {}

    def _read(self, number: int) -> dict[str, Any]:
        file = self._home.generation(number) / FILE
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            return {"ids": list(found["ids"]), "state": dict(found["state"]), "figures": dict(found["figures"])}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{file} cannot be read, so it is not known which tasks generation {number} plays.",
                hint=f"Remove {file.parent} and the folders of later generations; --resume makes them anew.",
            ) from error
