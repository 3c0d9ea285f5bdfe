"""`lamarck tools`: what a model could call, calling it by hand, and serving it to other agents."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..config import RunConfig
from ..config_tree import parse_assignment
from ..core import Task, ToolCall
from ..errors import ConfigError
from ..tools.toolset import GROUP, Toolset
from . import made_tools
from . import options as o
from .tables import console, print_json
from .wire_tools import open_tools

app = typer.Typer(help="Tools: list them, call one, serve them over MCP; and what an agent made.", no_args_is_help=True)
app.command("made")(made_tools.made)
app.command("roll-back")(made_tools.roll_back)
app.command("retire")(made_tools.retire)
app.command("merge")(made_tools.merge)

Builtin = Annotated[list[str] | None, typer.Option(help="Built-in: python, shell, files, search. Repeatable.")]
Plugin = Annotated[list[str] | None, typer.Option(help="Registered by an installed package. Repeatable.")]
Mcp = Annotated[list[str] | None, typer.Option(help="MCP server: a URL or a command line. Repeatable.")]
Documents = Annotated[Path | None, typer.Option(help="Folder that `search` looks through.")]


@app.command()
def ls(
    builtin: Builtin = None,
    plugin: Plugin = None,
    mcp: Mcp = None,
    documents: Documents = None,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """List tools with their arguments; without flags, the built-in ones and all that packages register."""

    async def go() -> None:
        async with opened(resolved(builtin, plugin, mcp, documents, settings)) as toolset:
            specs = toolset.specs()
        if as_json:
            print_json([spec.model_dump(mode="json") for spec in specs])
            return
        table = Table("tool", "arguments", "description")
        for spec in specs:
            properties = spec.parameters.get("properties")
            names = ", ".join(properties) if isinstance(properties, dict) else ""
            table.add_row(spec.name, names, (spec.description.strip().splitlines() or [""])[0])
        console().print(table)

    asyncio.run(go())


@app.command()
def call(
    name: Annotated[str, typer.Argument(help="Name of the tool.")],
    arguments: Annotated[str, typer.Argument(help="Its arguments, a JSON object.")] = "{}",
    builtin: Builtin = None,
    plugin: Plugin = None,
    mcp: Mcp = None,
    documents: Documents = None,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Call a tool as a model would, and print what the model would read."""
    try:
        parsed = json.loads(arguments)
    except ValueError as error:
        raise ConfigError(f"the arguments are no JSON: {error}.", hint='For example: \'{"code": "6 * 7"}\'') from None
    if not isinstance(parsed, dict):
        raise ConfigError("the arguments are no JSON object.")

    async def go() -> ToolCall:
        async with opened(resolved(builtin, plugin, mcp, documents, settings)) as toolset:
            return await toolset.call(ToolCall(id="call", name=name, arguments=parsed))

    done = asyncio.run(go())
    if as_json:
        print_json(done.model_dump(mode="json"))
    else:
        console().print(done.error if done.error is not None else done.result, markup=False, highlight=False)
    if done.error is not None:
        raise typer.Exit(1)


@app.command()
def serve(
    port: Annotated[
        int | None, typer.Option(help="Serve over HTTP on this port; stdin and stdout if not given.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    token: Annotated[
        str, typer.Option(envvar="LAMARCK_TOKEN", help="Clients must send it; needed beyond loopback.")
    ] = "",
    builtin: Builtin = None,
    plugin: Plugin = None,
    mcp: Mcp = None,
    documents: Documents = None,
    settings: o.Set = None,
) -> None:
    """Serve tools over MCP to any agent that speaks it. One sandbox keeps the state of all calls."""
    from ..tools.mcp_serve import serve_http, serve_stdio

    logging.basicConfig(level=logging.WARNING)

    async def go() -> None:
        async with opened(resolved(builtin, plugin, mcp, documents, settings)) as toolset:
            if port is None:
                await serve_stdio(toolset)
                return
            async with serve_http(toolset, host=host, port=port, **({"token": token} if token else {})) as url:
                o.progress_console(False).print(f"serving at {url}; Ctrl-C stops", markup=False)
                await asyncio.Event().wait()

    asyncio.run(go())


def resolved(
    builtin: list[str] | None,
    plugin: list[str] | None,
    mcp: list[str] | None,
    documents: Path | None,
    settings: list[str] | None,
) -> RunConfig:
    """Return the configuration that the flags amount to."""
    pairs = dict(parse_assignment(text) for text in settings or [])
    if not (builtin or plugin or mcp or any(key.startswith("tools.") for key in pairs)):
        builtin = ["python", "shell", "files", *(["search"] if documents is not None else [])]
        plugin = sorted(point.name for point in importlib.metadata.entry_points(group=GROUP))
    named = {"solver.protocol": "tools", "tools.builtin": builtin, "tools.plugins": plugin, "tools.mcp": mcp}
    named["tools.documents"] = str(documents) if documents is not None else None
    return RunConfig.load(None, {**{key: value for key, value in named.items() if value is not None}, **pairs})


@asynccontextmanager
async def opened(config: RunConfig) -> AsyncIterator[Toolset]:
    """Open the tools of a configuration as one episode would have them."""
    async with AsyncExitStack() as stack:
        toolbox = await open_tools(config.model_copy(update={"sandbox": _one(config)}), stack, renew=True)
        if toolbox is None:
            raise ConfigError("no tools are named.", hint="Use --builtin, --plugin or --mcp.")
        task = Task(id="by-hand", goal="", environment="none")
        yield await stack.enter_async_context(toolbox.session(task, "by-hand"))


def _one(config: RunConfig) -> object:
    """Return the sandbox settings with no sandbox started before it is needed."""
    return config.sandbox.model_copy(update={"warm": 0})
