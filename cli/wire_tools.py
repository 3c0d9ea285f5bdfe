"""Putting the tools of a run together: built-in ones, plug-ins, MCP servers, and the sandboxes behind them."""

from __future__ import annotations

import asyncio
import shlex
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

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


async def open_tools(config: RunConfig, stack: AsyncExitStack, making: Making | None = None) -> Toolbox | None:
    """Return what makes the tools of each episode, or None where the configuration names none.

    Args:
        config: of the run.
        stack: closes what is opened.
        making: where tools that the agent writes live; without it, it writes none.

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
    needed = tuple(name for name in tools.builtin if name in SANDBOXED)
    pool = await open_pool(config.sandbox, stack) if needed or tools.make else None
    bench = Workbench(pool=pool, builtin=needed, shared=shared, around=_asked if tools.approve else None)
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
    size = PoolLimits(warm=min(config.warm, config.most), most=config.most)
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


def _asked(toolset: Toolset) -> Toolset:
    """Put a person before every call."""

    async def ask(call: ToolCall) -> bool:
        out: Any = Console(stderr=True)
        out.print(f"{call.name}({call.arguments})", markup=False)
        return (await asyncio.to_thread(input, "allow? [y/N] ")).strip().lower() in ("y", "yes")

    return Approved(toolset, ask)
