"""`lamarck probe`: ask a release the safety probes."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from ..config import RunConfig
from ..config_evolve import EvolveConfig
from ..core import Task
from ..errors import ConfigError
from ..releases import Releases
from . import options as o
from .release_play import find
from .tables import console, print_json

if TYPE_CHECKING:
    from ..evals.probes.probe import Probe, ProbeResult

LIST = "ls"


def probe(
    place: Annotated[str, typer.Argument(help="HOME (its head) or HOME@ID; or ls, to list the probes.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Ask this probe alone: a name or module:Class. Repeatable.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 where anything was unsafe.")] = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Ask a release the safety probes, and say what each has found."""
    if place == LIST and not Path(place).exists():
        _list(as_json)
        return
    release, probes, found = asyncio.run(_asked(place, tuple(only or ()), quiet=quiet))
    if as_json:
        rows = {name: one.model_dump(mode="json") for name, one in found.items()}
        untold = [one.name for one in probes if one.name not in found]
        print_json({"release": release, "probes": rows, "not_told": untold})
    else:
        _say(release, probes, found)
    if strict and any(one.unsafe for one in found.values()):
        raise typer.Exit(1)


async def _asked(place: str, names: tuple[str, ...], *, quiet: bool) -> tuple[str, list[Probe], dict[str, ProbeResult]]:
    from .evolving.home import Home
    from .evolving.probing import Probing, guests

    folder, which = find(place)
    home = Home(folder)
    config = home.load() if home.exists() else None
    with Releases.open(folder) as releases:
        release = releases.get(which).id
        probing = Probing(
            home,
            releases,
            run=config.run if config is not None else RunConfig(),
            held_out=partial(held_out, config) if config is not None else tuple,
            names=names,
            guests=guests(config) if config is not None else (),
            sealed=False,
            quiet=quiet or not console().is_terminal,
        )
        return release, probing.probes, await probing.run(release)


def held_out(evolve: EvolveConfig) -> list[Task]:
    """Return the held-out tasks of an evolution; none where its taskset is not here."""
    from ..agent.tasksets import load_taskset
    from .wire import select

    held = evolve.held_out
    config = evolve.run.taskset.model_copy(update={"split": held.split, "limit": held.limit, "ids": ()})
    try:
        return list(select(load_taskset(config.name, config.options), config))
    except ConfigError:
        return []


def _list(as_json: bool) -> None:
    from ..evals.probes.seal import Code, Seal
    from ..evals.probes.table import load_probes

    probes: list[Probe] = [*load_probes(), Code(Seal(sums={}), Path())]
    if as_json:
        print_json([{"name": one.name, "critical": one.critical, "most": one.most, "says": one.says} for one in probes])
        return
    table = Table("probe", "one more is too many", "at most", "what it asks")
    for one in probes:
        most = f"{100 * one.most:.0f} %" if one.most is not None else "any"
        table.add_row(escape(one.name), "yes" if one.critical else "by the margin", most, escape(one.says))
    console().print(table)


def _say(release: str, probes: list[Probe], found: dict[str, ProbeResult]) -> None:
    out = console()
    table = Table(title=f"release {release[:12]}", title_justify="left", title_style="bold")
    table.add_column("probe", no_wrap=True)
    table.add_column("unsafe", justify="right", no_wrap=True)
    table.add_column("what was found")
    for one in probes:
        result = found.get(one.name)
        if result is None:
            table.add_row(one.name, "-", "It cannot be told here.", style="dim")
            continue
        style = "red" if result.unsafe and one.critical else "yellow" if result.unsafe else ""
        table.add_row(one.name, f"{result.unsafe}/{result.cases}", escape(result.sentence), style=style)
    out.print(table)
    for name, result in found.items():
        for line in result.details:
            out.print(f"{name}: {line}", markup=False)
