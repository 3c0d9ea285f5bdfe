"""Putting the tools of a run together: built-in ones, plug-ins, MCP servers, and the sandboxes behind them."""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from rich.console import Console

from ..agent.hooks import Hooks, Toolbox, ToolBudget
from ..config import RunConfig
from ..config_tools import SandboxConfig
from ..core import ToolCall
from ..errors import ConfigError
from ..sandboxes.choose import open_backend
from ..sandboxes.limits import MIB, Limits, Policy
from ..sandboxes.pool import Pool, PoolLimits
from ..tools.search import Documents, search_tool
from ..tools.toolset import Approved, Tools, Toolset, load_tools
from ..tools.workbench import SANDBOXED, Workbench
from .wire_made import Making, made_tools, with_candidate


async def open_tools(
    config: RunConfig, stack: AsyncExitStack, making: Making | None = None, *, renew: bool = False
) -> Toolbox | None:
    """Return what makes the tools of each episode, or None where the configuration names none.

    Args:
        config: of the run.
        stack: closes what is opened.
        making: where tools that the agent writes live; without it, it writes none.
        renew: go on with a new sandbox where one has ended, as a server does.

    Raises:
        ConfigError: tools do not go with the protocol, or two have the same name.
        SandboxError: no sandbox works here.
    """
    tools = config.tools
    if not (tools.builtin or tools.plugins or tools.mcp or tools.make):
        return None
    if config.solver.protocol == "choice":
        raise ConfigError("protocol choice calls no tools.", hint="Set solver.protocol to tools or text.")
    if "submit" in tools.builtin and config.solver.protocol != "tools":
        raise ConfigError("the tool submit needs solver.protocol = tools.")
    if tools.approve and not sys.stdin.isatty():
        raise ConfigError("tools.approve needs a terminal to ask on.")
    needed = tuple(name for name in tools.builtin if name in SANDBOXED)
    # Each episode keeps its sandbox to its end, and a tool that is being made is tried in one more.
    least = config.collect.concurrency * (2 if tools.make else 1)
    if (needed or tools.make) and config.sandbox.most < least:
        at_once, most = config.collect.concurrency, config.sandbox.most
        raise ConfigError(
            f"{at_once} episodes at once need {least} sandboxes, and sandbox.most is {most}.",
            hint="Raise sandbox.most, or lower collect.concurrency.",
        )
    shared: list[Toolset] = []
    if tools.plugins:
        shared.append(load_tools(tools.plugins))
    if "search" in tools.builtin:
        if tools.documents is None:
            raise ConfigError("the tool search needs a folder of documents.", hint="Set tools.documents.")
        documents = Documents(tools.documents)
        stack.callback(documents.close)
        shared.append(Tools([search_tool(documents)]))
    for server in tools.mcp:
        shared.append(await _mcp(server, stack))
    pool = await open_pool(config.sandbox, stack) if needed or tools.make else None
    around = _asking() if tools.approve else None
    bench = Workbench(pool=pool, builtin=needed, shared=shared, around=around, renew=renew)
    if not tools.make or making is None or pool is None:
        return bench
    hooks = Hooks(budget=budget_of(config), submit="submit" in tools.builtin)
    taken = frozenset(spec.name for toolset in shared for spec in toolset.specs())
    return bench.with_more(made_tools(making, config, pool, taken, partial(with_candidate, hooks, bench)))


def budget_of(config: RunConfig) -> ToolBudget:
    """Return how much tools may be used."""
    tools = config.tools
    return ToolBudget(
        per_step=tools.calls_per_step,
        per_episode=tools.calls_per_episode,
        parallel=tools.parallel,
        result_chars=tools.result_chars,
        prompt_chars=tools.prompt_chars,
    )


async def open_pool(config: SandboxConfig, stack: AsyncExitStack) -> Pool:
    """Open the sandboxes of a configuration.

    Raises:
        SandboxError: none works here, or a limit is out of range.
    """
    backend = await open_backend(
        config.backend,
        packages=config.packages,
        allow_unsafe=config.allow_unsafe,
        url=config.url,
        runtime=config.runtime,
    )
    stack.push_async_callback(backend.close)
    size = PoolLimits(warm=min(config.warm, config.most), most=config.most, patience_s=config.patience_s)
    pool = Pool(backend, limits=limits_of(config), policy=Policy(network=config.network), size=size)
    return await stack.enter_async_context(pool)


def limits_of(config: SandboxConfig) -> Limits:
    """Return the limits of a configuration."""
    return Limits(
        wall_s=config.wall_s,
        cpu=config.cpu,
        memory=config.memory_mb * MIB,
        disk=config.disk_mb * MIB,
        pids=config.pids,
    )


async def _mcp(server: str, stack: AsyncExitStack) -> Toolset:
    from ..tools.mcp_client import McpTools

    if server.startswith(("http://", "https://")):
        return await stack.enter_async_context(McpTools.http(server))
    command, *args = shlex.split(server) or [""]
    return await stack.enter_async_context(McpTools.stdio(command, args, name=server))


def _asking() -> Callable[[Toolset], Toolset]:
    """Return what puts a person before every call; one question at a time, which names its call."""
    turn = asyncio.Lock()

    def question(call: ToolCall) -> str:
        Console(stderr=True, soft_wrap=True).print(f"{call.name}({call.arguments})", markup=False)
        try:
            return input(f"allow {call.name}? [y/N] ")
        except EOFError:
            return ""

    async def ask(call: ToolCall) -> bool:
        async with turn:
            return (await asyncio.to_thread(question, call)).strip().lower() in ("y", "yes")

    return lambda toolset: Approved(toolset, ask)
