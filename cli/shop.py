"""`lamarck env shop`: WebShop as a web page that a person can click through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, cast

import typer

from ..errors import ConfigError
from ..serving import listening, url_of
from . import options as o
from .tables import console

if TYPE_CHECKING:
    from ..evals.webshop.goals import Kind


def shop(
    data: Annotated[str | None, typer.Option(help="Folder of WebShop's files; a generated shop if not given.")] = None,
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 8000,
    goal: Annotated[int, typer.Option(help="Number of the goal that the first page gives.")] = 0,
    goals: Annotated[str, typer.Option(help="Kind of goals: synthetic or human.")] = "synthetic",
    limit: o.Limit = None,
    seed: Annotated[int, typer.Option(help="Seed of prices and price caps.")] = 0,
) -> None:
    """Open the shop in a browser: the pages an agent plays, and what a purchase is worth."""
    import uvicorn

    from ..evals.webshop.site import Site
    from ..evals.webshop.taskset import WebShopTaskset

    taskset = WebShopTaskset(data, goals=cast("Kind", goals), products=limit, seed=seed)
    if not 0 <= goal < len(taskset.goals):
        raise ConfigError(f"there is no goal {goal}; this shop has 0 to {len(taskset.goals) - 1}.")
    site = Site(taskset.shop, taskset.goals, first=goal)
    with listening("the shop", "127.0.0.1", port) as listener:
        console().print(f"{url_of(listener, '127.0.0.1')}/  (Ctrl-C ends it)", markup=False)
        uvicorn.Server(uvicorn.Config(site.app(), log_level="warning")).run([listener])
