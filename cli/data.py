"""`lamarck export` and `lamarck import`: trajectories, rows to train on and chats as files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ..core import Trajectory
from ..errors import ConfigError
from ..rundir import RunDirectory
from ..store import Store
from . import options as o
from .tables import console, print_json

SHOWN = 20
"""Refused entries that are printed; the rest is counted."""


def export(
    run: Annotated[Path, typer.Argument(help="Run directory, or a store file.")],
    out: Annotated[Path, typer.Argument(help="File to write: .jsonl, .jsonl.gz or .parquet.")],
    solved: Annotated[bool | None, typer.Option("--solved/--unsolved", help="Only these.")] = None,
    rows: Annotated[
        Literal["step", "episode"] | None,
        typer.Option("--rows", help="Write rows to train on: one per answer, or as few as an episode allows."),
    ] = None,
    form: Annotated[
        Literal["lamarck", "chat"], typer.Option("--form", help="chat: OpenAI-style chats, one a line.")
    ] = "lamarck",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Whose tokenizer to use for text without token ids: embedded or a folder."),
    ] = None,
    strip: Annotated[
        bool, typer.Option("--strip-recalled", help="Take what was recalled from memory out of the prompts.")
    ] = False,
    as_json: o.Json = False,
) -> None:
    """Write the trajectories of a run to one file: whole, as rows to train on (--rows), or as chats (--form chat)."""
    if rows is not None and form == "chat":
        raise ConfigError("--rows and --form chat are two kinds of file.", hint="Give one of them.")
    if (strip or model is not None) and rows is None and not (strip and form == "chat"):
        raise ConfigError("--strip-recalled and --model are for rows.", hint="Add --rows step or --rows episode.")
    with _opened(run) as (store, run_id):
        wanted = {"run_id": run_id, "success": solved}
        if rows is not None:
            report = _rows(store.trajectories(**wanted), out, rows, model, strip)
        elif form == "chat":
            from ..training.chat_files import export_chats

            report = {"file": str(out), "chats": export_chats(store.trajectories(**wanted), out, strip=strip)}
        else:
            from ..store_io import export_trajectories

            report = {"file": str(out), "trajectories": export_trajectories(store, out, **wanted)}
    if as_json:
        print_json(report)
        return
    kind, count = list(report.items())[1]
    console().print(f"{count} {kind} written to {out}", markup=False)
    for why, number in report.get("left_out", {}).items():
        console().print(f"  {number} trajectories left out: {why}", style="yellow", markup=False)


def import_(
    file: Annotated[Path, typer.Argument(help="File to read: .jsonl, .jsonl.gz or .parquet.")],
    store_url: Annotated[str, typer.Option("--store", help="Store to write to: a path or a database URL.")],
    form: Annotated[
        str,
        typer.Option("--format", help="auto, lamarck, react-webshop, knowagent-alfworld or chat (OpenAI-style)."),
    ] = "auto",
    split: Annotated[str | None, typer.Option(help="Put all tasks into this split instead of their own.")] = None,
    success: Annotated[
        bool | None, typer.Option("--solved/--unsolved", help="Take entries that do not say it for solved, or not.")
    ] = None,
    as_json: o.Json = False,
) -> None:
    """Read trajectories into a store; what is there already is left alone.

    The store can be trained from like a run's. Other people's episodes have text and no token ids, which the trained
    model's tokenizer makes of it then.
    """
    from ..store_io import import_trajectories
    from ..training.importers.importer import Given
    from ..training.importers.table import reader

    read = reader(file, form, Given(split, success))
    with Store.open(store_url) as store:
        report = import_trajectories(store, file, read)
    refused = [str(problem) for problem in report.refused]
    if as_json:
        print_json({"new": report.new, "same": report.same, "refused": refused})
    else:
        out = console()
        out.print(f"{report.new} new, {report.same} already there, {len(refused)} refused", markup=False)
        for problem in refused[:SHOWN]:
            out.print(f"  {problem}", style="red", markup=False)
    if refused:
        raise typer.Exit(1)


@contextmanager
def _opened(run: Path) -> Iterator[tuple[Store, str | None]]:
    """Open the store of a run directory, with the run's id, or a store file."""
    if run.is_file():
        with Store.open(run, create=False) as store:
            yield store, None
        return
    directory = RunDirectory(run)
    config = directory.load_config()
    with Store.open(directory.store_url(config), create=False) as store:
        yield store, directory.run_id


def _rows(
    trajectories: Iterator[Trajectory], out: Path, form: Literal["step", "episode"], model: str | None, strip: bool
) -> dict[str, Any]:
    from ..training.row_files import export_rows

    tokenizer = _tokenizer(model) if model is not None else None
    done = export_rows(trajectories, out, form=form, tokenizer=tokenizer, strip=strip)
    return {"file": str(out), "rows": done.rows, "trajectories": done.trajectories, "left_out": done.left_out}


def _tokenizer(model: str) -> Any:
    from ..agent.models_cache import DEFAULT_MODEL, pull
    from ..errors import boundary

    folder = pull(DEFAULT_MODEL) if model == "embedded" else Path(model)
    if not folder.is_dir():
        raise ConfigError(f"there is no model folder {folder}.", hint="Give --model embedded, or a folder.")
    with boundary(ConfigError, f"cannot load the tokenizer of {folder}"):
        from transformers import AutoTokenizer

        found: Callable[..., Any] = AutoTokenizer.from_pretrained
        return found(folder, local_files_only=True)
