"""Which tasks a generation plays: chosen or made by a proposer from what the generations before have come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from ...agent.evolution.generation import Figures, Generation
from ...agent.proposers.outcomes import outcomes_of
from ...agent.proposers.proposer import Proposer, State
from ...agent.tasksets import load_taskset
from ...agent.verifiers.blinded import blind_task
from ...config import ModelConfig, TasksetConfig
from ...config_evolve import EvolveConfig
from ...core import Task, Trajectory, Usage
from ...errors import ConfigError
from ...evals.proposed.known import said
from ...evals.proposed.table import SELF_MADE
from ...evals.proposed.taskset import config_for, write_tasks
from ..wire import select
from ..wire_propose import proposing
from .home import Home, write
from .verifying import Verifying

FILE, TASKS, ASKED = "propose.json", "tasks.jsonl", "asked.jsonl"


class Proposing:
    """The phase `propose`. A proposer's state lies with each generation, so a phase is simply done again.

    Where the truth is withheld, a proposer is shown tasks without theirs.

    Args:
        home: of the evolution.
        config: its settings.
        verifying: says which attempts count, and what they came to.
        model: how the model that proposes in a generation is run; None goes by its name alone.
    """

    def __init__(
        self,
        home: Home,
        config: EvolveConfig,
        verifying: Verifying,
        model: Callable[[Generation], ModelConfig | None] = lambda now: None,
    ) -> None:
        self._home, self._config, self._verifying, self._model = home, config, verifying, model
        self._blind = config.run.verify.withhold

    async def propose(self, now: Generation) -> Figures:
        """Choose or make the tasks, and write down which.

        Raises:
            LamarckError: there are no tasks to choose from, or the proposer is not known.
        """
        folder = self._home.generation(now.number)
        if not (folder / FILE).exists():
            before = self._before(now.number)
            async with self._proposer(before, self._model(now)) as proposer:
                state = self._state(now.number, proposer, before)
                made = await proposer.propose(self._config.propose.tasks, state)
            if not made.tasks:
                raise ConfigError(
                    f"proposer {self._config.propose.by} has nothing to play in generation {now.number}: "
                    f"{len(made.refused)} refused.",
                    hint="`lamarck propose` says what was refused and why.",
                )
            write_tasks(folder / TASKS, self._written(made.tasks))
            write(folder / ASKED, "".join(one.model_dump_json() + "\n" for one in made.asked))
            used = sum((one.reply.usage for one in made.asked), Usage())
            spent = {"tokens": used.tokens, "cost_usd": round(used.cost_usd, 6)} if made.asked else {}
            figures = {"refused": len(made.refused), **spent, **made.figures}
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
        if self._plays_file:
            return config_for((self._home.generation(number) / TASKS).resolve(), given, given.split)
        return given.model_copy(update={"ids": ids, "limit": None})

    def _proposer(self, before: list[Trajectory], model: ModelConfig | None) -> AbstractAsyncContextManager[Proposer]:
        given, held_out = self._tasks()
        whole = {task.id: task for task in (*given, *held_out)}
        return proposing(
            self._config.propose,
            tasks=self._shown(given),
            held_out=self._shown(held_out),
            trajectories=before,
            said=(lambda task: said(whole.get(task.id, task))) if self._blind else said,
            model=model,
        )

    def _tasks(self) -> tuple[tuple[Task, ...], tuple[Task, ...]]:
        """Return the tasks to choose from, none for who makes its own, and those that are held out."""
        run, held = self._config.run, self._config.held_out
        taskset = load_taskset(run.taskset.name, run.taskset.options)
        given = () if self._config.propose.by in SELF_MADE else tuple(select(taskset, run.taskset))
        return given, tuple(taskset.tasks(held.split, seed=run.taskset.seed, limit=held.limit))

    def _before(self, number: int) -> list[Trajectory]:
        """Return the attempts of the generation before."""
        return self._verifying.counting(number - 1)[0] if number > 1 else []

    @property
    def _plays_file(self) -> bool:
        """Whether what is played are the tasks that were written down, and not those of the taskset by their ids."""
        return self._config.propose.by in SELF_MADE or ":" in self._config.propose.by

    def _shown(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        return tuple(blind_task(task) for task in tasks) if self._blind else tuple(tasks)

    def _written(self, tasks: Sequence[Task]) -> list[Task]:
        """Return tasks as they are written down: those that are played from there need their truth."""
        if not (self._blind and self._plays_file):
            return list(tasks)
        whole = {task.id: task for task in self._tasks()[0]}
        return [task if task.truth is not None else whole.get(task.id, task) for task in tasks]

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
