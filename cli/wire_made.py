"""Tools that the agent makes for itself: which store they live in, and how a new one is tried on its task."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ..agent.hooks import Hooks
from ..config import RunConfig
from ..core import Task
from ..errors import ToolError
from ..rundir import RunDirectory
from ..sandboxes.pool import Pool
from ..store import Store
from ..tools.builtin import SANDBOX_S, Leased
from ..tools.made import RESERVED, MadeTool
from ..tools.made_check import signature_of
from ..tools.made_log import ToolLog
from ..tools.made_rules import Rules
from ..tools.made_run import run_code
from ..tools.made_toolset import MadeSettings, MadeToolset
from ..tools.made_trial import TrialLimits
from ..tools.tool import Tool, as_text
from ..tools.toolset import Tools, Toolset
from ..tools.workbench import Workbench


class Solved(Protocol):
    """Plays a task with these hooks; says whether it was solved, or None where its world does not say."""

    async def __call__(self, task: Task, hooks: Hooks, *, name: str) -> bool | None: ...


@dataclass(frozen=True)
class Making:
    """What the making of tools needs of a run."""

    store: Store
    """Where the tools live: with the memory where there is one, since they are inherited together."""
    run_id: str
    frozen: bool = False
    """Use what is there, and make nothing."""
    replay: Solved | None = None
    """Plays a task anew."""
    upto: int | None = None
    """Use what the log had up to there; None takes what it has when the run starts."""


def made_tools(
    making: Making, config: RunConfig, pool: Pool, taken: frozenset[str], around: Callable[[MadeTool], Hooks]
) -> Callable[[Leased, Task, str], Toolset]:
    """Return what gives each episode the made tools.

    Args:
        making: the run's part.
        config: of the run.
        pool: where new tools are tried.
        taken: names of other tools, which a made one may not bear.
        around: gives the hooks of a replay with one more tool.
    """
    log = ToolLog(making.store)
    upto = (log.shelf().seq if making.upto is None else making.upto) if making.frozen else None
    settings = MadeSettings(rules=Rules(reserved=RESERVED | taken), upto=upto)

    def made(lease: Leased, task: Task, trajectory_id: str) -> Toolset:
        again = None
        if making.replay is not None and config.tools.replay:
            again = functools.partial(_again, making.replay, task, around)
        return MadeToolset(
            log, lease, pool, run_id=making.run_id, trajectory_id=trajectory_id, settings=settings, replay=again
        )

    return made


async def _again(replay: Solved, task: Task, around: Callable[[MadeTool], Hooks], tool: MadeTool) -> bool | None:
    return await replay(task, around(tool), name=tool.name)


def with_candidate(hooks: Hooks, bench: Workbench, tool: MadeTool) -> Hooks:
    """Return the hooks of a replay: the run's tools and one more, no memory, nothing learned."""
    return Hooks(tools=bench.with_more(functools.partial(_candidate, tool)), budget=hooks.budget, submit=hooks.submit)


def _candidate(made: MadeTool, lease: Leased, task: Task, trajectory_id: str) -> Toolset:
    limits = TrialLimits().run

    async def call(**arguments: object) -> str:
        done = await run_code(await lease(), made.name, made.code, arguments, limits=limits)  # type: ignore[arg-type]
        if not done.ok:
            raise ToolError(f"{made.name} failed: {done.message}.")
        return as_text(done.value)

    check = signature_of(made).arguments
    return Tools(
        [
            Tool(
                made.name,
                made.description,
                made.parameters,
                call,
                lambda given: dict(check(given)),
                timeout_s=SANDBOX_S,
            )
        ]
    )


def tools_store(config: RunConfig, directory: RunDirectory) -> str:
    """Return where the made tools of a run are, for those who read it later."""
    memory = config.memory
    if memory.mode == "off":
        return directory.store_url(config)
    return memory.store or str((Path(memory.path) if memory.path is not None else directory.path) / "store.db")
