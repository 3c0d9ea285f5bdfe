"""`lamarck tools made`, `roll-back`, `retire`, `merge`: the tools an agent wrote, and what a person says of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from ..config import RunConfig
from ..errors import ConfigError
from ..rundir import RunDirectory
from ..store import Store
from ..tools.made_convergence import convergence
from ..tools.made_log import ToolLog
from ..tools.made_merge import merge_alike
from ..tools.made_trial import Trial, TrialLimits
from . import options as o
from .tables import console, print_json
from .wire_made import tools_store
from .wire_tools import open_pool

Place = Annotated[Path, typer.Argument(help="Folder of a run, or of a memory.")]
Name = Annotated[str, typer.Argument(help="Name of the tool.")]


@contextmanager
def opened(place: Path) -> Iterator[ToolLog]:
    """Open the log of made tools that belongs to a run or to a memory.

    Raises:
        ConfigError: there is no store.
    """
    directory = RunDirectory(place)
    url = tools_store(directory.load_config(), directory) if directory.exists() else str(place / "store.db")
    if "://" not in url and not Path(url).is_file():
        raise ConfigError(f"there is no store in {place}.", hint="Give the folder of a run or of a memory.")
    with Store.open(url, create=False) as store:
        yield ToolLog(store)


def made(
    place: Place,
    name: Annotated[str | None, typer.Argument(help="Show the code of this tool.")] = None,
    as_json: o.Json = False,
) -> None:
    """List the tools that an agent has written, or show the code of one."""
    with opened(place) as log:
        shelf, figure = log.shelf(), convergence(log.entries())
    rows = [version for versions in shelf.versions.values() for version in versions]
    if name is not None:
        found = [version for version in rows if version.tool.name == name]
        if not found:
            raise ConfigError(f"there is no made tool {name!r}; there are: {', '.join(shelf.versions) or 'none'}.")
        console().print(found[-1].tool.code, markup=False)
        return
    if as_json:
        tools = [{**v.tool.model_dump(mode="json"), "version": v.version, "status": v.status} for v in rows]
        print_json(
            {"tools": tools, "proposed": shelf.proposed, "refused": shelf.refused, "convergence": asdict(figure)}
        )
        return
    table = Table("tool", "version", "status", "calls", "failed", "description")
    for v in rows:
        line = (v.tool.description.strip().splitlines() or [""])[0]
        table.add_row(v.tool.name, str(v.version), v.status, str(v.calls), str(v.failures), line)
    console().print(table)
    rate = "-" if figure.total is None else f"{figure.total:.3f}"
    console().print(f"{shelf.proposed} proposed, {shelf.refused} refused; {rate} new tools per call", markup=False)


def roll_back(
    place: Place, name: Name, version: Annotated[int, typer.Argument(help="The version to go back to.")]
) -> None:
    """Use an earlier version of a tool; newer ones are put away, not deleted."""
    with opened(place) as log:
        log.roll_back(name, version)
    console().print(f"{name} is at version {version} again", markup=False)


def retire(
    place: Place, name: Name, reason: Annotated[str, typer.Option(help="Why; the agent is told.")] = "retired by hand"
) -> None:
    """Take a tool out of use; `roll-back` brings it back."""
    with opened(place) as log:
        newest = log.shelf().newest(name)
        if newest is None:
            raise ConfigError(f"no tool {name!r} is in use.", hint="Look with: lamarck tools made")
        log.deprecate(name, newest.version, reason)
    console().print(f"{name} version {newest.version} is out of use", markup=False)


def merge(place: Place, as_json: o.Json = False) -> None:
    """Merge tools that do the same, as parallel episodes leave them behind; they are run in sandboxes to compare."""

    async def go(log: ToolLog) -> list[tuple[str, str]]:
        async with AsyncExitStack() as stack:
            pool = await open_pool(RunConfig().sandbox, stack)
            return [(merged.name, merged.into) for merged in await merge_alike(log, Trial(pool, TrialLimits()))]

    with opened(place) as log:
        found = asyncio.run(go(log))
    if as_json:
        print_json([{"name": name, "into": into} for name, into in found])
    else:
        console().print("\n".join(f"{name} is now {into}" for name, into in found) or "nothing to merge", markup=False)
