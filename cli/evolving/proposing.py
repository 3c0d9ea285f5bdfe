"""Which tasks a generation plays: chosen or made by a proposer from what the generations before have come to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from pydantic import JsonValue

from ...agent.evolution.generation import Figures, Generation
from ...agent.proposers.admission import HeldOut
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
from .budget import Allowance
from .exam import exam_of
from .home import Home, write
from .progress import with_progress
from .tried import Tried
from .verifying import Verifying

FILE, TASKS, ASKED = "propose.json", "tasks.jsonl", "asked.jsonl"


class Proposing:
    """The phase `propose`. A proposer's state lies with each generation, so after a kill the phase is done again; what
    had been made by then is in a ledger, and is not made again (see `Tried`).

    Where the truth is withheld, a proposer is shown tasks without theirs.

    Args:
        home: of the evolution.
        config: its settings.
        verifying: says which attempts count, and what they came to.
        model: how the model that proposes in a generation is run; None goes by its name alone.
        allowed: what making the tasks of a generation may use up.
    """

    def __init__(
        self,
        home: Home,
        config: EvolveConfig,
        verifying: Verifying,
        model: Callable[[Generation], ModelConfig | None] = lambda now: None,
        allowed: Allowance | None = None,
    ) -> None:
        self._allowed = allowed or Allowance()
        self._home, self._config, self._verifying, self._model = home, config, verifying, model
        self._blind = config.run.verify.withhold
        self._choice: tuple[Task, ...] | None = None
        self._exam: tuple[Task, ...] = ()
        self._kept_back: tuple[Task, ...] | None = None
        """Tasks to choose from, and tasks that are never proposed: a process loads them once, and only if it must."""
        self._says: dict[tuple[str, str, str], Said] = {}
        """What held-out and given tasks say; for a game that takes long to find out, and it is asked each time."""

    async def propose(self, now: Generation) -> Figures:
        """Choose or make the tasks, and write down which.

        Raises:
            LamarckError: there are no tasks to choose from, or the proposer is not known.
        """
        folder, wanted = self._home.generation(now.number), self._config.propose
        if not (folder / FILE).exists():
            before, tried = self._before(now.number), Tried(folder, self._allowed)
            async with self._proposer(wanted, before, self._model(now), tried) as proposer:
                state, rates = self._state(now.number, proposer, before)
                made = await tried.proposed(proposer, wanted.tasks, state)
            left_out = tried.left_out(wanted.tasks - len(made.tasks))
            if not made.tasks and any(one.reason == "nothing_reached" for one in made.refused):
                made, left_out = await self._meanwhile(now.number, made), {}
            if not made.tasks:
                tried.begin_anew()
                raise tried.nothing(
                    f"proposer {wanted.by} has nothing to play in generation {now.number}: {len(made.refused)} refused"
                )
            write_tasks(folder / TASKS, self._written(made.tasks, made.figures))
            write(folder / ASKED, "".join(one.model_dump_json() + "\n" for one in made.asked))
            # A proposer of a package may ask a model of its own, which nobody has counted.
            used = tried.usage if tried.usage != Usage() else sum((one.reply.usage for one in made.asked), Usage())
            spent = {"tokens": used.tokens, "cost_usd": round(used.cost_usd, 6)} if made.asked or used.calls else {}
            figures = {"refused": len(made.refused), **spent, **made.figures, **left_out}
            ids = [task.id for task in made.tasks]
            plain = {"ids": ids, "state": made.state, "rates": rates, "figures": figures}
            write(folder / FILE, json.dumps(plain, indent=2, sort_keys=True) + "\n")
            tried.remove()
        found = self._read(now.number)
        return {"tasks": len(found["ids"]), **found["figures"]}

    def taskset(self, number: int) -> TasksetConfig:
        """Return the tasks of a generation as a run names them: given ones by their ids, others by their file.

        Raises:
            ConfigError: what was written down of them is gone or damaged.
        """
        given, found = self._config.run.taskset, self._read(number)
        ids, file = tuple(str(ident) for ident in found["ids"]), self._home.generation(number) / TASKS
        if not self._all_given(read_tasks(file), found["figures"]):
            return config_for(file.resolve(), given, given.split)
        return given.model_copy(update={"ids": ids, "limit": None})

    def self_made(self, number: int) -> tuple[Task, ...]:
        """Return the tasks of a generation where they were made; none where it plays given ones.

        Raises:
            ConfigError: what was written down of them is gone or damaged.
        """
        tasks = read_tasks(self._home.generation(number) / TASKS)
        return () if self._all_given(tasks, self._read(number)["figures"]) else tuple(tasks)

    def exam(self) -> tuple[Task, ...]:
        """Return the given tasks that students are measured on; none without students.

        Raises:
            LamarckError: there is no such task.
        """
        self._held_out()
        return self._exam

    async def _meanwhile(self, number: int, made: Proposal) -> Proposal:
        """Return given tasks for a proposer that makes its tasks of what was played, and nothing came of that yet."""
        plain = self._config.propose.model_copy(update={"by": "uniform", "options": {}, "model": None})
        async with self._proposer(plain, [], None) as uniform:
            drawn = await uniform.propose(plain.tasks, {"proposer": uniform.name, "round": number})
        figures = {**made.figures, **drawn.figures, "given": len(drawn.tasks)}
        return made.model_copy(update={"tasks": drawn.tasks, "figures": figures})

    def _proposer(
        self, wanted: ProposeConfig, before: list[Trajectory], model: ModelConfig | None, tried: Tried | None = None
    ) -> AbstractAsyncContextManager[Proposer]:
        held_out = self._held_out()
        given = () if wanted.by in SELF_MADE else self._given()
        whole = {_key(task): task for task in (*given, *held_out)}

        def says(task: Task) -> Said:
            if (key := _key(task)) not in whole:
                return said(task)
            if key not in self._says:
                self._says[key] = said(whole[key])
            return self._says[key]

        if self._exam:
            exam = HeldOut([says(task) for task in self._exam], near=1.0)
            given = tuple(task for task in given if not exam.has(says(task)))
        return proposing(
            wanted,
            tasks=self._shown(given),
            held_out=self._shown(held_out),
            trajectories=before,
            said=says,
            model=model,
            ledger=tried,
        )

    def _given(self) -> tuple[Task, ...]:
        """Return the tasks to choose from."""
        if self._choice is None:
            given = self._config.run.taskset
            self._choice = tuple(select(load_taskset(given.name, given.options), given))
        return self._choice

    def _held_out(self) -> tuple[Task, ...]:
        """Return what is never proposed: what the gate looks at, here and elsewhere, `propose.held_out`, the exam."""
        if self._kept_back is None:
            given, held = self._config.run.taskset, self._config.held_out
            taskset = load_taskset(given.name, given.options)
            looked_at = taskset.tasks(held.split, seed=given.seed, limit=held.limit)
            named = in_splits(taskset, self._config.propose, given)
            others = [task for one in held.others for task in select(load_taskset(one.name, one.options), one)]
            kept = tuple({_key(task): task for task in (*looked_at, *named, *others)}.values())
            self._exam = exam_of(self._given, kept, self._config.propose)
            self._kept_back = (*kept, *self._exam)
        return self._kept_back

    def _before(self, number: int) -> list[Trajectory]:
        """Return the attempts of the generation before."""
        return self._verifying.counting(number - 1)[0] if number > 1 else []

    def _all_given(self, tasks: Sequence[Task], figures: Mapping[str, JsonValue]) -> bool:
        """Say whether tasks are all among those to choose from, whoever chose them; made ones are not."""
        if self._made(figures):
            return False
        whole = self._whole(tasks)
        return all(task.id in whole and _plain(task) == _plain(whole[task.id]) for task in tasks)

    def _made(self, figures: Mapping[str, JsonValue]) -> bool:
        """Say whether tasks were made, so that those to choose from need not be loaded; see `_meanwhile`."""
        return self._config.propose.by in SELF_MADE and "given" not in figures

    def _whole(self, tasks: Sequence[Task]) -> dict[str, Task]:
        """Return the tasks to choose from that go by the same ids as these."""
        asked = {task.id for task in tasks}
        return {task.id: task for task in self._given() if task.id in asked}

    def _shown(self, tasks: Sequence[Task]) -> tuple[Task, ...]:
        return tuple(blind_task(task) for task in tasks) if self._blind else tuple(tasks)

    def _written(self, tasks: Sequence[Task], figures: Mapping[str, JsonValue]) -> list[Task]:
        """Return tasks as they are written down: those that are played from there need their truth."""
        if not self._blind or self._made(figures) or self._all_given(tasks, figures):
            return list(tasks)
        whole = self._whole(tasks)
        return [task if task.truth is not None else whole.get(task.id, task) for task in tasks]

    def _state(self, number: int, proposer: Proposer, before: list[Trajectory]) -> tuple[State, dict[str, float]]:
        """Return what a proposer knows: its state of the generation before, and what came of that.

        And the latest success rate of each category at given tasks, which the next progress is measured from. Tasks
        that are made may become easier, which is no progress, so they have that of students.
        """
        if number == 1:
            return {}, {}
        last = self._read(number - 1)
        given = self._all_given(read_tasks(self._home.generation(number - 1) / TASKS), last["figures"])
        rates: dict[str, float] = last["rates"]
        outcomes = outcomes_of(before, rates if given else None)
        if not given:
            outcomes = with_progress(self._home.generation(number - 1), outcomes)
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


def _plain(task: Task) -> str:
    """Return all of a task but its truth, which who proposes may not have been shown."""
    return blind_task(task).model_dump_json()


def _key(task: Task) -> tuple[str, str, str]:
    """Return what tells a task from others, of several tasksets too; the same without its truth."""
    return task.environment, task.id, task.goal
