"""Playing the tasks of a generation with what its parent passes on."""

from __future__ import annotations

import shutil
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from ...agent.evolution.generation import Figures, Generation
from ...agent.llms import build_llm
from ...agent.tasksets import load_taskset
from ...config import RunConfig, TasksetConfig
from ...config_evolve import EvolveConfig
from ...config_verify import VerifyConfig
from ...core import Trajectory, Usage
from ...evals.figures.played import Played
from ...evals.metrics import wilson
from ...judged import as_judged
from ...memory.bank import Memory
from ...release_memory import FILE, copy_memory
from ...releases import Releases
from ...roles import VERIFIER
from ...rundir import RunDirectory
from ...store import Store
from ..accepted import Accepted, headers_in, last_of
from ..screen import Screen
from ..wire import select
from .afterwards import Afterwards
from .alarms import signs
from .budget import Allowance, Meter, left
from .chains import links
from .home import Home
from .learned import Learned
from .measured import gated
from .playing import attempts, every, played

COLLECT, MEMORY = "collect", "memory"


class Collecting:
    """The phase `collect`.

    Args:
        home: of the evolution.
        config: its settings.
        releases: of the same home.
        allowed: what playing may use up.
        quiet: show failures only.
        screen: what bars are part of, where they are not alone.
    """

    def __init__(
        self,
        home: Home,
        config: EvolveConfig,
        releases: Releases,
        *,
        allowed: Allowance | None = None,
        quiet: bool,
        screen: Screen | None = None,
    ) -> None:
        self._allowed = allowed or Allowance()
        self._home, self._config, self._releases = home, config, releases
        self._quiet, self._screen = quiet, screen
        self._afterwards = Afterwards(config)
        self._records = VERIFIER in config.train.samples.roles

    async def collect(
        self, now: Generation, tasks: TasksetConfig, learn: Callable[[Generation], Awaitable[None]]
    ) -> Figures:
        """Play these tasks, or go on playing them.

        Args:
            now: the generation.
            tasks: what is played.
            learn: lets memory learn between two links of chains.

        Raises:
            LamarckError: they cannot be played.
        """
        directory, chain = await self._played(now, tasks, learn)
        signals = signs(self._rewarded(directory)) | by_link(directory, chain)
        signals |= self._left_out(now, directory, tasks)
        if self._config.run.verify.withhold:
            return {**unseen(directory, judged=not self._afterwards.needed), **signals}
        found = Played.read(directory)
        ended, solved = found.total.episodes, found.total.successes
        low, high = wilson(solved, ended)
        return {
            "attempts": ended,
            "solved": solved,
            "success": solved / ended if ended else None,
            "interval": [low, high],
            "lost": found.total.failed,
            "tokens": found.total.usage.tokens,
            "cost_usd": round(found.total.usage.cost_usd, 6),
            **signals,
        }

    async def _played(
        self, now: Generation, tasks: TasksetConfig, learn: Callable[[Generation], Awaitable[None]]
    ) -> tuple[RunDirectory, list[tuple[str, ...]]]:
        """Play all tasks, link by link where there are chains; return the links too, none without chains."""
        folder, label = self._home.generation(now.number), f"generation {now.number}: playing"
        shown: dict[str, Any] = {"quiet": self._quiet, "screen": self._screen, "allowed": self._playing(now)}
        if self._config.learn.chain == 1:
            return await played(self.config_of(now, tasks), folder / COLLECT, label, **shown), []
        learned = (Learned.read(folder) or Learned()).stopped(folder, self._allowed.seconds())
        config = self.config_of(now, tasks)
        chain = links(select(load_taskset(tasks.name, tasks.options), tasks), self._config.learn.chain)
        directory = RunDirectory(folder / COLLECT)
        async with AsyncExitStack() as stack:
            for number, ids in list(enumerate(chain, 1))[learned.links :]:
                if "llm" not in shown and config.model.name != "expert":
                    # One for all links: a server takes long to start.
                    shown["llm"] = build_llm(config.model, at_once=config.collect.concurrency)
                    stack.push_async_callback(shown["llm"].close)
                # What was begun of a link before a kill comes to its end, and is learned from, though there is enough.
                there, shown["allowed"] = directory.exists(), self._playing(now)
                if there and not any_begun(directory, ids) and Meter(shown["allowed"], every(directory)).enough():
                    break
                last = number == len(chain)
                said = f"{label}, link {number} of {len(chain)}"
                await played(config, directory.path, said, only=None if last else ids, **shown)
                if not last:
                    (Learned.read(folder) or Learned()).learning(folder, self._allowed.seconds())
                    await learn(now)
                    (Learned.read(folder) or Learned()).link(folder, self._allowed.seconds())
        return directory, chain

    def _playing(self, now: Generation) -> Allowance:
        """Return what playing may use up: what memory has learned between links of chains is none of its time."""
        learned = Learned.read(self._home.generation(now.number))
        return self._allowed.without(learned.between) if learned is not None else self._allowed

    def _left_out(self, now: Generation, directory: RunDirectory, tasks: TasksetConfig) -> Figures:
        """Return how many samples the budget has left out, if any."""
        headers = every(directory)
        limit = Meter(self._playing(now), headers).reached()
        if not limit:
            return {}
        planned = len(select(load_taskset(tasks.name, tasks.options), tasks)) * self._config.run.collect.samples
        return left({limit: planned - len({(one.task.id, one.sample) for one in headers})})

    def _rewarded(self, directory: RunDirectory) -> list[Trajectory]:
        """Return the attempts with the rewards that are learned from: alarms ring where those part from the truth.

        With none where those are not known before all have been judged.
        """
        found = attempts(directory)
        if self._config.learn.by != "verdict":
            return found
        if self._afterwards.needed:
            return [one.model_copy(update={"reward": None}) for one in found]
        return [as_judged(one) for one in found]

    def config_of(self, now: Generation, tasks: TasksetConfig) -> RunConfig:
        """Return how a generation plays: as its parent does, with a copy of the parent's memory to learn into."""
        run, learn = self._config.run, self._config.learn
        parent = self._releases.get(now.parent)
        there = self._releases.folder(parent.id)
        memory = self._memory(now) if learn.memory or parent.memory_snapshot is not None else None
        mode = "off" if memory is None else "explore" if learn.memory else "read"
        verify = self._verify(now)
        return run.model_copy(
            update={
                "taskset": tasks,
                "model": run.model.model_copy(
                    update={
                        "adapter": str(there / "adapter") if parent.adapter is not None else None,
                        "temperature": run.model.temperature if learn.temperature is None else learn.temperature,
                    }
                ),
                "memory": run.memory.model_copy(
                    update={"mode": mode, "path": str(memory) if memory is not None else None}
                ),
                "collect": run.collect.model_copy(update={"seed": run.collect.seed + now.number}),
                "verify": verify.model_copy(update={"record": verify.record or self._records}),
            }
        )

    def _verify(self, now: Generation) -> VerifyConfig:
        """Return how attempts are judged. A run that has begun goes on with the weight that it was begun with.

        Repairs have not always gone by what was measured, and what was begun before they did is to be gone on with.
        """
        verify = gated(self._home, self._config, now.number)
        directory = RunDirectory(self._home.generation(now.number) / COLLECT)
        if not directory.exists():
            return verify
        weight = directory.load_config().verify.gate.weight
        return verify.model_copy(update={"gate": verify.gate.model_copy(update={"weight": weight})})

    def _memory(self, now: Generation) -> Path:
        """Return the memory of a generation: a copy of its parent's, made once and whole; a new one without."""
        folder = self._home.generation(now.number) / MEMORY
        if folder.exists():
            return folder
        parent = self._releases.get(now.parent)
        beside = folder.with_name(f".{folder.name}-new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        if parent.memory_snapshot is not None:
            copy_memory(self._releases.folder(parent.id) / MEMORY / FILE, beside / FILE)
        else:
            Memory.open(self._config.run.memory, beside).close()
        beside.rename(folder)
        return folder


def any_begun(directory: RunDirectory, ids: Collection[str]) -> bool:
    """Say whether any of these tasks was begun in a run, be it not to its end."""
    with Store.open(directory.store_url(directory.load_config())) as store:  # a kill may have come before there was one
        return any(row.task_id in ids for row in store.attempts(directory.run_id))


def by_link(directory: RunDirectory, chain: Sequence[Sequence[str]]) -> Figures:
    """Return what came of each link of chains, for where later ones gain by what earlier ones taught."""
    if not chain:
        return {}
    told: list[JsonValue] = []
    headers = headers_in(directory)
    for ids in chain:
        ended = last_of([one for one in headers if one.task.id in ids])
        known = [one.success for one in ended if one.success is not None]
        told.append({"attempts": len(ended), "solved": sum(known) if known else None})
    return {"links": told}


def unseen(directory: RunDirectory, *, judged: bool = True) -> Figures:
    """Return what can be told of a run whose truth is withheld: what its verifier accepted, where it has judged."""
    with Store.open(directory.store_url(directory.load_config()), create=False) as store:
        every = list(store.headers(run_id=directory.run_id))
    ended = last_of([one for one in every if one.failure is None])
    spent = sum((one.usage for one in every), Usage())
    return {
        "attempts": len(ended),
        **(said_of(ended) if judged else {}),
        "lost": len(every) - sum(one.failure is None for one in every),
        "tokens": spent.tokens,
        "cost_usd": round(spent.cost_usd, 6),
    }


def said_of(ended: Sequence[Trajectory]) -> Figures:
    """Return what a verifier accepted of attempts, of a repaired sample the last one."""
    told = Accepted.of(ended)
    low, high = wilson(told.passed, told.verdicts)
    return {"accepted": told.passed, "judge": told.judge, "abstained": told.abstained, "interval": [low, high]}
