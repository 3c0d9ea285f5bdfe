"""`lamarck baselines`: what a result can be put beside, by name."""

from __future__ import annotations

from rich.table import Table

from ..evals.baselines import baselines as known
from . import options as o
from .tables import console, print_json


def baselines(as_json: o.Json = False) -> None:
    """List the baselines: what each does, where it comes from, what of the outcome it may see.

    Play one with `lamarck run --baseline react --model openai/...`; its settings end up in run.toml.
    """
    found = known().values()
    if as_json:
        print_json([one.as_dict() for one in found])
        return
    table = Table(show_lines=True)
    for name in ("name", "what it does", "source", "sees of the outcome"):
        table.add_column(name, no_wrap=name == "name", overflow="fold")
    for one in found:
        table.add_row(one.name, one.title, one.source, one.sees)
    console().print(table)
