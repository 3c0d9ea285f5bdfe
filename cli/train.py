"""`lamarck train`: train from what is stored, and look at it as training sees it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from ..core import Trajectory
from ..errors import ConfigError
from ..rundir import RunDirectory
from ..store import Store
from ..training.credit.table import CreditTable, credit_table
from . import options as o
from . import train_fit, train_live
from .tables import console, print_json
from .train_agree import agree

app = typer.Typer(help="Training: from stored attempts to an adapter.", no_args_is_help=True)
for _command in train_fit.COMMANDS:
    app.command()(_command)
app.command()(agree)
app.command()(train_live.live)


@app.callback()
def train() -> None:
    """Training: from stored attempts to an adapter."""


@app.command()
def inspect(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    which: Annotated[str | None, typer.Argument(help="Group or task id; the beginning is enough.")] = None,
    as_json: o.Json = False,
) -> None:
    """Show every estimator's advantage of each step of a group of attempts, side by side.

    Without WHICH, the largest group whose attempts differ in reward is shown: the others teach nothing.
    """
    directory = RunDirectory(run)
    config = directory.load_config()
    with Store.open(directory.store_url(config), create=False) as store:
        groups: defaultdict[str, list[Trajectory]] = defaultdict(list)
        for header in store.headers(run_id=directory.run_id):
            groups[header.group_id].append(header)
        chosen = _choose(groups, which, run)
        table = credit_table([store.trajectory(header.id) for header in chosen])
    if as_json:
        print_json(_figures(chosen, table))
    else:
        _print(chosen, table)


def _choose(groups: dict[str, list[Trajectory]], which: str | None, run: Path) -> list[Trajectory]:
    if not groups:
        raise ConfigError(f"run {run} has no finished episode yet.")
    if which is None:
        return max(groups.values(), key=lambda group: (len({found.reward for found in group} - {None}) > 1, len(group)))
    found = [group for ident, group in groups.items() if ident.startswith(which)]
    found = found or [group for group in groups.values() if group[0].task.id.startswith(which)]
    if len(found) != 1:
        what = "no group" if not found else f"not one but {len(found)} groups"
        raise ConfigError(f"{what} of run {run} begins with {which!r}.", hint=f"`lamarck show {run}` lists the tasks.")
    return found[0]


def _figures(chosen: list[Trajectory], table: CreditTable) -> dict[str, Any]:
    return {
        "task": chosen[0].task.id,
        "group": chosen[0].group_id,
        "episodes": [
            {
                "trajectory": episode.id,
                "rewards": episode.rewards,
                "advantages": {name: column[index] for name, column in table.columns.items()},
            }
            for index, episode in enumerate(table.episodes)
        ],
        "missing": table.missing,
        "left_out": table.left_out,
    }


def _print(chosen: list[Trajectory], table: CreditTable) -> None:
    out = console()
    actions = {found.id: found for found in chosen}
    shown = Table("attempt", "step", "reward", *table.columns, title=chosen[0].task.id, title_justify="left")
    for index, episode in enumerate(table.episodes):
        for t, reward in enumerate(episode.rewards):
            row = [episode.id[:8] if t == 0 else "", str(t), f"{reward:g}"]
            shown.add_row(*row, *(f"{column[index][t]:+.3f}" for column in table.columns.values()))
        shown.add_section()
    out.print(shown)
    solved = sum(bool(actions[episode.id].success) for episode in table.episodes)
    out.print(f"{len(table.episodes)} attempts, {solved} solved", markup=False)
    if len(table.episodes) == 1:
        out.print("One attempt alone has nothing to be compared with; play with --samples 4 or more.", style="yellow")
    for name, why in table.missing.items():
        out.print(f"{name}: {why}", style="dim", markup=False)
    for ident in table.left_out:
        out.print(f"{ident}: left out, infrastructure ended it", style="dim", markup=False)
