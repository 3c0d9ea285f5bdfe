"""Which samples a run plays next: all of them at once, or round by round where the answers so far decide.

The rounds follow from the tasks, the settings and the stored answers alone. A run that is resumed goes through them
from the first one on, finds most of it played, and goes on as if it had never stopped.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import count

from ..config import CollectConfig
from ..core import Task, Trajectory
from ..errors import ConfigError
from ..store import Store
from .allocation import allocate
from .plan import Job

AnswerOf = Callable[[Trajectory], str | None]
"""Returns what an episode answered, equal answers as equal texts; None where it answered nothing."""


@dataclass
class Rounds:
    """The rounds of one run.

    Args:
        run_id: id of the run.
        tasks: what is played, in order.
        config: how many samples, and who gets them.
        store: where the answers are.
        answer_of: what an episode answered.
    """

    run_id: str
    tasks: Sequence[Task]
    config: CollectConfig
    store: Store
    answer_of: AnswerOf | None = None

    @property
    def budget(self) -> int:
        """How many samples there are at most."""
        return self.config.samples * len(self.tasks)

    async def __call__(self) -> AsyncGenerator[Sequence[Job], None]:
        """Yield the samples of each round; the next one is asked for when they were played.

        Raises:
            ConfigError: the episodes of a first round are no answers to questions.
        """
        if self.config.allocate == "uniform":
            yield [(task, sample) for sample in range(self.config.samples) for task in self.tasks]
            return
        if self.answer_of is None:
            raise ConfigError("collect.allocate = blend goes by answers, and nothing here says what one is.")
        votes: dict[str, Counter[str | None]] = {task.id: Counter() for task in self.tasks}
        begun = {
            (row.task_id, row.sample)
            for row in await asyncio.to_thread(self.store.attempts, self.run_id)
            if row.task_id in votes
        }
        asked = set[tuple[str, int]]()
        while jobs := self._chosen(votes, asked, begun) or self._left(asked, begun):
            asked |= {(task.id, sample) for task, sample in jobs}
            begun |= asked
            yield jobs
            await self._count(jobs, votes)

    def _chosen(
        self, votes: Mapping[str, Counter[str | None]], asked: Set[tuple[str, int]], begun: Set[tuple[str, int]]
    ) -> list[Job]:
        """Return the samples that the answers so far ask for."""
        known, taken, room = {task.id: task for task in self.tasks}, set(asked), self.budget - len(begun)
        # What infrastructure took was asked for, and is no answer: it has a place in the budget, and no vote.
        lost = len(asked) - sum(one.total() for one in votes.values())
        jobs: list[Job] = []
        for ident in allocate(votes, self.budget - lost, rule=self.config.allocate, clear=self.config.clear):
            sample = next(number for number in count() if (ident, number) not in taken)
            # What infrastructure took away once and gave back later may have led an earlier process elsewhere: what
            # it began then has its place in the budget as well.
            new = (ident, sample) not in begun
            if new and not room:
                continue
            room -= new
            taken.add((ident, sample))
            jobs.append((known[ident], sample))
        return jobs

    def _left(self, asked: Set[tuple[str, int]], begun: Set[tuple[str, int]]) -> list[Job]:
        """Return what an earlier process began and no answer asks for now: it comes to its end, and counts."""
        left = sorted(begun - asked)
        return [(task, sample) for task in self.tasks for ident, sample in left if ident == task.id]

    async def _count(self, jobs: Sequence[Job], votes: dict[str, Counter[str | None]]) -> None:
        first, ended, unasked = not any(votes.values()), 0, 0
        for task in {task.id: task for task, _ in jobs}.values():
            samples = {sample for other, sample in jobs if other.id == task.id}
            found = await asyncio.to_thread(self._answers, task, samples)
            votes[task.id].update(found[sample][0] for sample in sorted(found))
            ended += len(found)
            unasked += sum(answer is None and acted for answer, acted in found.values())
        if first and ended and unasked == ended:
            raise ConfigError(
                f"collect.allocate = blend goes by answers, and none of the first {ended} episodes gave one "
                f"(task {jobs[0][0].id} and others).",
                hint="It is for questions; leave samples uniform elsewhere.",
            )

    def _answers(self, task: Task, samples: set[int]) -> dict[int, tuple[str | None, bool]]:
        """Return what each sample answered, by the last of its attempts, and whether it did anything."""
        assert self.answer_of is not None
        headers = [
            one
            for one in self.store.headers(run_id=self.run_id, task_id=task.id, failed=False)
            if one.sample in samples
        ]
        found = {}
        for header in {one.sample: one for one in sorted(headers, key=lambda one: one.attempt)}.values():
            steps = self.store.steps_of(header.id, brief=True)
            acted = any(step.action is not None for step in steps)
            found[header.sample] = (self.answer_of(header.model_copy(update={"steps": steps})), acted)
        return found
