"""Which tasks a generation plays: chosen by a proposer from what the generations before have come to."""

from __future__ import annotations

import json
from typing import Any

from ...agent.evolution.generation import Figures, Generation
from ...agent.proposers.curriculum import Curriculum
from ...agent.proposers.outcomes import outcomes_of
from ...agent.proposers.proposer import Materials, Proposer, State
from ...agent.proposers.rules import rule_of
from ...agent.tasksets import load_taskset
from ...config_evolve import EvolveConfig
from ...errors import ConfigError
from ...rundir import RunDirectory
from ..wire import select
from .collecting import COLLECT
from .home import Home, write
from .playing import attempts

FILE = "propose.json"


class Proposing:
    """The phase `propose`. A proposer's state lies with each generation, so a phase is simply done again.

    Args:
        home: of the evolution.
        config: its settings.
    """

    def __init__(self, home: Home, config: EvolveConfig) -> None:
        self._home, self._config = home, config

    async def propose(self, now: Generation) -> Figures:
        """Choose the tasks, and write down which.

        Raises:
            LamarckError: there are no tasks to choose from, or the proposer is not known.
        """
        file = self._home.generation(now.number) / FILE
        if not file.exists():
            proposer = self._proposer()
            try:
                made = await proposer.propose(self._config.propose.tasks, self._state(now.number, proposer))
            finally:
                await proposer.close()
            ids = [task.id for task in made.tasks]
            plain = {"ids": ids, "state": made.state, "figures": made.figures}
            write(file, json.dumps(plain, indent=2, sort_keys=True) + "\n")
        found = self._read(now.number)
        return {"tasks": len(found["ids"]), **found["figures"]}

    def proposed(self, number: int) -> list[str]:
        """Return the ids of the tasks of a generation.

        Raises:
            ConfigError: the file is gone or damaged.
        """
        return [str(ident) for ident in self._read(number)["ids"]]

    def _proposer(self) -> Proposer:
        run, held = self._config.run, self._config.held_out
        taskset = load_taskset(run.taskset.name, run.taskset.options)
        materials = Materials(
            tasks=tuple(select(taskset, run.taskset)),
            held_out=tuple(taskset.tasks(held.split, seed=run.taskset.seed, limit=held.limit)),
            seed=run.collect.seed,
        )
        return Curriculum(rule_of(self._config.propose.by), materials)

    def _state(self, number: int, proposer: Proposer) -> State:
        """Return what a proposer knows: its state of the generation before, and what came of that."""
        if number == 1:
            return {}
        state: State = self._read(number - 1)["state"]
        played = RunDirectory(self._home.generation(number - 1) / COLLECT)
        return proposer.feedback(outcomes_of(attempts(played)), state)

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
