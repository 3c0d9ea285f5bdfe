"""`lamarck env serve`: our worlds for others, over OpenEnv's messages."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from contextlib import suppress
from typing import Annotated

import typer

from ..agent.tasksets import load_taskset, maker, open_pool
from ..config_tree import parse_assignment
from . import options as o
from .tables import print_json


def serve(
    name: Annotated[str, typer.Argument(help="Taskset: household, webshop, module:Class ...")],
    port: Annotated[int, typer.Option(help="Port; a free one if 0.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    token: Annotated[
        str, typer.Option(envvar="LAMARCK_TOKEN", help="Clients must send it; needed beyond loopback.")
    ] = "",
    data: o.Data = None,
    split: Annotated[str | None, typer.Option(help="Where a reset that names no split looks for its task.")] = None,
    settings: o.Set = None,
    max_sessions: Annotated[int, typer.Option(min=1, help="Players at once.")] = 64,
    idle_s: Annotated[float, typer.Option(min=1.0, help="Close a session that says nothing for so long.")] = 900.0,
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Longest wait for one call of the world.")] = 60.0,
    as_json: o.Json = False,
) -> None:
    """Serve a taskset as an OpenEnv server: OpenEnv's own client, and what trains through it, can play it.

    An action is {"text": ...}; a reset may name task_id, split, index and seed.
    """
    from ..evals.worlds.openenv_serve import Serving, serve_taskset

    logging.basicConfig(level=logging.WARNING)
    options = dict(parse_assignment(text) for text in settings or [])
    if data is not None:
        options["data"] = data
    how = Serving(host=host, port=port, token=token, split=split, max_sessions=max_sessions, idle_s=idle_s)

    async def go() -> None:
        taskset = load_taskset(name, options)
        pool = open_pool(taskset, make=maker(name, options), size=max_sessions, timeout_s=timeout_s)
        try:
            async with serve_taskset(taskset, pool, how) as url:
                if as_json:
                    print_json({"taskset": taskset.name, "url": url, "max_sessions": max_sessions})
                    sys.stdout.flush()
                said = f"serving {taskset.name} at {url}; Ctrl-C stops"
                o.progress_console(as_json).print(said, markup=False, soft_wrap=True)
                await _interrupted()
        finally:
            await pool.close()

    import uvicorn

    with asyncio.Runner(loop_factory=uvicorn.Config("").get_loop_factory()) as runner:
        runner.run(go())


async def _interrupted() -> None:
    """Wait until the process is told to stop, by Ctrl-C or by whoever started it."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows loops take no signal handlers
            loop.add_signal_handler(name, stop.set)
    await stop.wait()
