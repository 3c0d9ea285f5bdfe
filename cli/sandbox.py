"""`lamarck sandbox`: what runs model-written code here, whether it holds, and trying it out."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..config import RunConfig
from ..config_tree import parse_assignment
from ..errors import ConfigError, SandboxError
from ..sandboxes.choose import make_backend
from ..sandboxes.result import ExecResult
from ..sandboxes.sandbox import Probe, Sandbox
from . import options as o
from .tables import console, print_json
from .wire_tools import open_pool

app = typer.Typer(help="Sandboxes: which work here, whether they hold, and running code in one.", no_args_is_help=True)

BackendName = Annotated[str, typer.Option("--backend", "-b", help="auto, docker, bubblewrap or unsafe-local.")]
AllowUnsafe = Annotated[
    bool, typer.Option("--allow-unsafe", help="Needed for unsafe-local: code gets all your rights.")
]
ALL = ("docker", "bubblewrap")
HELD = {True: "held", False: "GOT THROUGH", None: "-"}


@app.command()
def doctor(as_json: o.Json = False) -> None:
    """Say which sandboxes work here, what each guarantees, and what to do about those that do not."""

    async def look() -> list[Probe]:
        found = []
        for name in ALL:
            backend = make_backend(name)
            try:
                found.append(await backend.probe())
            finally:
                await backend.close()
        return found

    probes = asyncio.run(look())
    chosen = next((probe.backend for probe in probes if probe.available), None)
    if as_json:
        print_json({"auto": chosen, "backends": [asdict(probe) for probe in probes]})
    else:
        table = Table(
            "backend", "works", "guarantee", "ready", "how", "not enforced by the kernel", title_justify="left"
        )
        for probe in probes:
            missing = ", ".join(probe.capabilities.missing()) or "-"
            ready = f"{1000 * probe.ready_s:.0f} ms" if probe.available else "-"
            how = probe.mode if probe.available else probe.reason
            row = (probe.backend, "yes" if probe.available else "no", probe.guarantee if probe.available else "-")
            table.add_row(*row, ready, how, missing if probe.available else "-")
        out = console()
        out.print(table)
        for probe in probes:
            if not probe.available and probe.hint:
                out.print(f"{probe.backend}: {probe.hint}", markup=False)
        out.print(f"auto takes {chosen}." if chosen else "No sandbox works here; code of a model will not be run.")
    if chosen is None:
        raise typer.Exit(1)


@app.command()
def build(
    package: Annotated[list[str] | None, typer.Option(help="Installed package to put in. Repeatable.")] = None,
    as_json: o.Json = False,
) -> None:
    """Build the file system that sandboxes start from; done by itself when it is first needed."""
    from ..sandboxes import rootfs

    say = o.progress_console(as_json)
    tree = rootfs.build(package or (), say=lambda text: say.print(text, style="dim", markup=False))
    size = rootfs.size_of(tree)
    if as_json:
        print_json({"image": tree.name, "path": str(tree), "bytes": size})
    else:
        console().print(f"{tree} ({size / 1e6:.0f} MB)", markup=False)


@app.command()
def run(
    code: Annotated[str | None, typer.Argument(help="Python code; read from stdin if not given.")] = None,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Run this file's code.")] = None,
    backend: BackendName = "auto",
    allow_unsafe: AllowUnsafe = False,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Run Python code in a fresh sandbox; prints its output and the value of its last expression."""
    text = _code(code, file)

    async def call(sandbox: Sandbox) -> ExecResult:
        return await sandbox.run(text)

    _report(_with(backend, allow_unsafe, settings, call), as_json)


@app.command("exec")
def exec_(
    argv: Annotated[list[str], typer.Argument(help="Program and arguments; put -- before them.")],
    backend: BackendName = "auto",
    allow_unsafe: AllowUnsafe = False,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Run a program in a fresh sandbox, with our stdin where that is no terminal."""
    data = b"" if sys.stdin.isatty() else sys.stdin.buffer.read()

    async def call(sandbox: Sandbox) -> ExecResult:
        return await sandbox.exec(argv, stdin=data)

    _report(_with(backend, allow_unsafe, settings, call), as_json)


@app.command()
def sweep(as_json: o.Json = False) -> None:
    """Remove what sandboxes of dead processes left behind; every run does it when it starts."""

    async def clean() -> dict[str, int]:
        removed = {}
        for name in ALL:
            backend = make_backend(name)
            try:
                if (await backend.probe()).available:
                    removed[name] = await backend.sweep()
            finally:
                await backend.close()
        return removed

    removed = asyncio.run(clean())
    if as_json:
        print_json(removed)
    else:
        console().print(", ".join(f"{name}: {n} removed" for name, n in removed.items()) or "no sandbox works here")


def _with(
    backend: str, allow_unsafe: bool, settings: list[str] | None, call: Callable[[Sandbox], Awaitable[ExecResult]]
) -> ExecResult:
    overrides = {f"sandbox.{key.removeprefix('sandbox.')}": v for key, v in map(parse_assignment, settings or [])}
    named = {"sandbox.backend": backend, "sandbox.allow_unsafe": allow_unsafe}
    config = RunConfig.load(None, {**named, **overrides}).sandbox

    async def go() -> ExecResult:
        async with AsyncExitStack() as stack:
            pool = await open_pool(config.model_copy(update={"warm": 0}), stack)
            async with await pool.backend.create(pool.limits, pool.policy) as sandbox:
                return await call(sandbox)

    return asyncio.run(go())


def _code(code: str | None, file: Path | None) -> str:
    if file is None:
        return code if code is not None else sys.stdin.read()
    if code is not None:
        raise ConfigError("give code or --file, not both.")
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}.") from error


def _report(result: ExecResult, as_json: bool) -> None:
    """Print a result; the exit code is 0 only where the code ran to its end."""
    if as_json:
        print_json(asdict(result))
    else:
        sys.stdout.write(result.stdout)
        sys.stderr.write(result.stderr)
        if result.value is not None:
            sys.stdout.write(result.value + "\n")
        if not result.ok:
            detail = result.error.traceback or f"{result.error.type}: {result.error.message}" if result.error else ""
            sys.stderr.write(f"{detail.rstrip()}\n" if detail else "")
            how = f"exit code {result.exit_code}" if result.exit_code is not None else result.status
            sys.stderr.write(f"[{result.status}: {how}, {result.wall_s:.2f} s, {result.backend}]\n")
        if result.truncated:
            sys.stderr.write(f"[cut: {result.stdout_bytes:,} bytes of stdout, {result.stderr_bytes:,} of stderr]\n")
    if not result.ok:
        raise typer.Exit(1)


@app.command()
def attack(
    backend: Annotated[str | None, typer.Option("--backend", "-b", help="docker, bubblewrap or unsafe-local.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only attacks whose name holds this. Repeatable.")] = None,
    allow_unsafe: AllowUnsafe = False,
    as_json: o.Json = False,
) -> None:
    """Run the attack suite on the sandboxes that work here; the exit code is 1 if anything escapes."""
    from ..sandboxes.attacks import Report, attack

    async def go() -> list[Report]:
        reports = []
        for name in (backend,) if backend else ALL:
            chosen = make_backend(name, allow_unsafe=allow_unsafe)
            try:
                if backend is None and not (await chosen.probe()).available:
                    continue
                reports.append(await attack(chosen, only=tuple(only or ()), progress=progress))
            except ValueError as error:
                raise ConfigError(f"{error}") from None
            finally:
                await chosen.close()
        return reports

    line = o.progress_console(as_json)

    def progress(name: str) -> None:
        line.print(name, style="dim", markup=False)

    reports = asyncio.run(go())
    if not reports:
        raise SandboxError("no sandbox works here.", hint="Run: lamarck sandbox doctor", kind="unavailable")
    escapes = sum(len(report.escapes) for report in reports)
    if as_json:
        tried = sum(row.held is not None for report in reports for row in report.rows)
        print_json({"attacks": tried, "escapes": escapes, "backends": [report.as_dict() for report in reports]})
    else:
        for report in reports:
            table = Table("attack", "what is tried", "", "seen", title=f"{report.backend}, {report.mode}")
            for row in report.rows:
                table.add_row(row.name, row.what, HELD[row.held], row.seen, style="red" if row.held is False else "")
            console().print(table)
        for report in reports:
            console().print(report.sentence(), markup=False)
    if escapes:
        raise typer.Exit(1)
