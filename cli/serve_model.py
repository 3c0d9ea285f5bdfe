"""`lamarck models serve`: a vLLM server that stays, for runs that come and go."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from ..agent.llms import vllm_served
from ..agent.vllm_command import Served
from ..agent.vllm_server import HOST, VllmServer
from ..config import RunConfig
from ..config_tree import parse_assignment
from ..config_vllm import VllmConfig
from ..errors import ConfigError
from ..serving import is_local
from . import options as o
from .tables import print_json

WATCH_S = 1.0


def serve(
    model: Annotated[str, typer.Argument(help="Folder of a model, name on a hub, or embedded.")],
    adapter: o.Adapter = None,
    port: Annotated[int, typer.Option(help="Port; a free one if 0.")] = 8000,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = HOST,
    token: Annotated[
        str, typer.Option(envvar="LAMARCK_TOKEN", help="Clients must send it; needed beyond loopback.")
    ] = "",
    python: Annotated[str | None, typer.Option(help="Interpreter that has vllm; this one if not given.")] = None,
    log: Annotated[Path | None, typer.Option(help="Where vLLM's output goes; a temporary file if not given.")] = None,
    settings: o.Set = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Serve a model, and an adapter on it, with vLLM until Ctrl-C.

    It needs a GPU, or a build of vLLM for processors. Settings are those of model.vllm, e.g. --set sleep=true.
    """
    if not is_local(host) and not token:
        raise ConfigError(f"{host} can be reached from outside, so a token is needed.", hint="Set LAMARCK_TOKEN.")
    config = _config(settings, port, python, adapters=adapter is not None)
    if config.sleep and not is_local(host):
        # vLLM asks for its key below /v1 only, and opens these together with paths that run code.
        raise ConfigError(
            f"with sleep=true vLLM opens its paths for development to all who can reach {host}, token or not.",
            hint="Serve on 127.0.0.1, or leave sleep out.",
        )
    say = None if quiet or as_json else (lambda text: o.progress_console(False).print(text, style="dim", markup=False))
    if say is not None and config.lora_rank and not token:
        say("Without a token whoever can use this machine can load adapters into the server; LAMARCK_TOKEN sets one.")
    served = vllm_served(model, say)
    server = VllmServer(served, config, log=log, host=host, key=token or None, notify=say)
    asyncio.run(_serve(server, served, Path(adapter) if adapter is not None else None, as_json=as_json))


def _config(settings: list[str] | None, port: int, python: str | None, *, adapters: bool) -> VllmConfig:
    given: dict[str, Any] = {"port": port} | ({"python": python} if python is not None else {})
    if not adapters:
        given["lora_rank"] = 0  # nobody asks this server to load one, and without it takes less memory
    for text in settings or []:
        key, value = parse_assignment(text)
        given[key.removeprefix("model.vllm.")] = value
    overrides = {f"model.vllm.{key}": value for key, value in given.items()}
    return RunConfig.load(None, overrides).model.vllm


async def _serve(server: VllmServer, served: Served, adapter: Path | None, *, as_json: bool) -> None:
    """Serve until interrupted.

    Raises:
        ConfigError, ModelError: it does not come up, or it dies.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows loops take no signal handlers
            loop.add_signal_handler(name, stop.set)
    starting = asyncio.create_task(server.start(adapter))
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((starting, waiting), return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return
        starting.result()
        _tell(server, served, as_json=as_json)
        while not stop.is_set():
            # A busy server may be slow to answer; only one that says so is taken for lost.
            if (lost := await server.lost(silent=False)) is not None:
                raise lost
            await asyncio.wait((waiting,), timeout=WATCH_S)
    finally:
        waiting.cancel()
        starting.cancel()
        await asyncio.gather(waiting, starting, return_exceptions=True)
        await server.stop()


def _tell(server: VllmServer, served: Served, *, as_json: bool) -> None:
    """Say where it is, and what can be typed next."""
    name = f"hosted_vllm/{server.model}"
    if as_json:
        print_json(
            {
                "url": server.url,
                "model": name,
                "weights": served.weights,
                "seconds": round(server.seconds, 1),
                "log": str(server.log),
            }
        )
        sys.stdout.flush()
        return
    command = f"lamarck run --model {name} --api-base {server.url}"
    if server.key is not None:
        command += " --set model.api_key_env=LAMARCK_TOKEN"
    lines = [f"serving {server.model} at {server.url}; Ctrl-C stops", f"log:  {server.log}", f"next: {command}"]
    o.progress_console(False).print("\n".join(lines), markup=False, soft_wrap=True, highlight=False)
