"""Which tasks a generation plays: chosen or made by a proposer from what the generations before have come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from ...agent.evolution.generation import Figures, Generation
from ...agent.proposers.likeness import Said
from ...agent.proposers.outcomes import category_rates, outcomes_of
from ...agent.proposers.proposer import Proposal, Proposer, State
from ...agent.tasksets import load_taskset
from ...agent.verifiers.blinded import blind_task
from ...config import ModelConfig, TasksetConfig
from ...config_evolve import EvolveConfig
from ...config_propose import ProposeConfig
from ...core import Task, Trajectory, Usage
from ...errors import ConfigError
from ...evals.proposed.known import said
from ...evals.proposed.table import SELF_MADE
from ...evals.proposed.taskset import config_for, read_tasks, write_tasks
from ..wire import select
from ..wire_propose import in_splits, proposing
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
        self._kept_back: tuple[Task, ...] | None = None
        self._says: dict[tuple[str, str, str], Said] = {}
        """What held-out and given tasks say; for a game that takes long to find out, and it is asked each time."""

    async def propose(self, now: Generation) -> Figures:
        """Choose or make the tasks, and write down which.

        Raises:
            LamarckError: there are no tasks to choose from, or the proposer is not known.
        """
        folder, wanted = self._home.generation(now.number), self._config.propose
        if not (folder / FILE).exists():
            before = self._before(now.number)
            async with self._proposer(wanted, before, self._model(now)) as proposer:
                state, rates = self._state(now.number, proposer, before)
                made = await proposer.propose(wanted.tasks, state)
            if not made.tasks and any(one.reason == "nothing_reached" for one in made.refused):
                made = await self._meanwhile(now.number, made)
            if not made.tasks:
                raise ConfigError(
                    f"proposer {wanted.by} has nothing to play in generation {now.number}: "
                    f"{len(made.refused)} refused.",
                    hint="`lamarck propose` says what was refused and why.",
                )
            write_tasks(folder / TASKS, self._written(made.tasks))
            write(folder / ASKED, "".join(one.model_dump_json() + "\n" for one in made.asked))
            used = sum((one.reply.usage for one in made.asked), Usage())
            spent = {"tokens": used.tokens, "cost_usd": round(used.cost_usd, 6)} if made.asked else {}
            figures = {"refused": len(made.refused), **spent, **made.figures}
            ids = [task.id for task in made.tasks]
            plain = {"ids": ids, "state": made.state, "rates": rates, "figures": figures}
            write(folder / FILE, json.dumps(plain, indent=2, sort_keys=True) + "\n")
        found = self._read(now.number)
        return {"tasks": len(found["ids"]), **found["figures"]}

    def taskset(self, number: int) -> TasksetConfig:
        """Return the tasks of a generation as a run names them: given ones by their ids, others by their file.

        Raises:
            ConfigError: what was written down of them is gone or damaged.
        """
        given, ids = self._config.run.taskset, tuple(str(ident) for ident in self._read(number)["ids"])
        file = self._home.generation(number) / TASKS
        if not self._all_given(read_tasks(file)):
            return config_for(file.resolve(), given, given.split)
        return given.model_copy(update={"ids": ids, "limit": None})

    async def _meanwhile(self, number: int, made: Proposal) -> Proposal:
        """Return given tasks for a proposer that makes its tasks of what was played, and nothing came of that yet."""
        plain = self._config.propose.model_copy(update={"by": "uniform", "options": {}, "model": None})
        async with self._proposer(plain, [], None) as uniform:
            drawn = await uniform.propose(plain.tasks, {"proposer": uniform.name, "round": number})
        figures = {**made.figures, **drawn.figures, "given": len(drawn.tasks)}
        return made.model_copy(update={"tasks": drawn.tasks, "figures": figures})

    def _proposer(
        self, wanted: ProposeConfig, before: list[Trajectory], model: ModelConfig | None
    ) -> AbstractAsyncContextManager[Proposer]:
        given = () if wanted.by in SELF_MADE else self._given()
        held_out = self._held_out()
        whole = {_key(task): task for task in (*given, *held_out)}

        def says(task: Task) -> Said:
            if (key := _key(task)) not in whole:
                return said(task)
            if key not in self._says:
                self._says[key] = said(whole[key])
            return self._says[key]

        return proposing(
            wanted,
            tasks=self._shown(given),
            held_out=self._shown(held_out),
            trajectories=before,
            said=says,
            model=model,
        )

    def _given(self) -> tuple[Task, ...]:
        """Return the tasks to choose from."""
        given = self._config.run.taskset
        return tuple(select(load_taskset(given.name, given.options), given))

    def _held_out(self) -> tuple[Task, ...]:
        """Return what is never proposed: what the gate looks at, here and elsewhere, and `propose.held_out`."""
        if self._kept_back is None:
            given, held = self._config.run.taskset, self._config.held_out
            taskset = load_taskset(given.name, given.options)
            looked_at = taskset.tasks(held.split, seed=given.seed, limit=held.limit)
            named = in_splits(taskset, self._config.propose, given)
            others = [task for one in held.others for task in select(load_taskset(one.name, one.options), one)]
            self._kept_back = tuple({_key(task): task for task in (*looked_at, *named, *others)}.values())
        return self._kept_back

    def _before(self, number: int) -> list[Trajectory]:
        """Return the attempts of the generation before."""
        return self._verifying.counting(number - 1)[0] if number > 1 else []

    def _all_given(self, tasks: Sequence[Task]) -> bool:
        """Say whether tasks are all among those to choose from, whoever chose them."""
        known = {task.id: blind_task(task).model_dump_json() for task in self._given()}
        return all(known.get(task.id) == blind_task(task).model_dump_json() for task in tasks)

    def _shown(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        return tuple(blind_task(task) for task in tasks) if self._blind else tuple(tasks)

    def _written(self, tasks: Sequence[Task]) -> list[Task]:
        """Return tasks as they are written down: those that are played from there need their truth."""
        if not self._blind or self._all_given(tasks):
            return list(tasks)
        whole = {task.id: task for task in self._given()}
        return [task if task.truth is not None else whole.get(task.id, task) for task in tasks]

    def _state(self, number: int, proposer: Proposer, before: list[Trajectory]) -> tuple[State, dict[str, float]]:
        """Return what a proposer knows: its state of the generation before, and what came of that.

        And the latest success rate of each category at given tasks, which the next progress is measured from. Tasks
        that are made may become easier, which is no progress, so they have none.
        """
        if number == 1:
            return {}, {}
        last = self._read(number - 1)
        given = self._all_given(read_tasks(self._home.generation(number - 1) / TASKS))
        rates: dict[str, float] = last["rates"]
        outcomes = outcomes_of(before, rates if given else None)
        return proposer.feedback(outcomes, last["state"]), rates | (category_rates(outcomes) if given else {})

    def _read(self, number: int) -> dict[str, Any]:
        file = self._home.generation(number) / FILE
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
            parts = {name: dict(found.get(name, {})) for name in ("state", "rates", "figures")}
            return {"ids": list(found["ids"]), **parts}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{file} cannot be read, so it is not known which tasks generation {number} plays.",
                hint=f"Remove {file.parent} and the folders of later generations; --resume makes them anew.",
            ) from error


def check_progress(wanted: ProposeConfig) -> None:
    """Refuse progress where it cannot be measured: on tasks that were made, which may just have become easier.

    Raises:
        ConfigError: it is asked for.
    """
    if wanted.model is not None and wanted.reward == "progress":
        raise ConfigError(
            "propose.reward is progress, and an evolution does not play the same tasks before and after it has trained "
            "on what was proposed.",
            hint="Set propose.reward = learnability, azr or another; propose.by = bandit with propose.options.gain = "
            "progress goes by the progress at given tasks.",
        )
    rule = wanted.options.get("rule_options")
    if isinstance(rule, dict) and rule.get("gain") == "progress":
        raise ConfigError(
            f"propose.options.rule_options.gain is progress, and {wanted.by} makes its tasks: it is measured at given "
            "ones.",
            hint="Leave it out, or set propose.by = bandit with propose.options.gain = progress.",
        )


def _key(task: Task) -> tuple[str, str, str]:
    """Return what tells a task from others, of several tasksets too; the same without its truth."""
    return task.environment, task.id, task.goal
