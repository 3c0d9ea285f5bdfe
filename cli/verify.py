"""`lamarck verify`: judge stored attempts, and see how often a verifier is right."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from typer.core import TyperGroup

from ..config import RunConfig
from ..config_tree import parse_assignment
from ..errors import ConfigError
from ..rundir import RunDirectory
from . import options as o
from .tables import console, print_json
from .verify_agreement import agreements, entry, show
from .verify_judge import judge, label_of


class _Runs(TyperGroup):
    """A group whose first command needs no name, so that `lamarck verify RUN` is one."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["attempts", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_Runs,
    help="Judge stored attempts: `lamarck verify RUN --by NAME`; see how often a verifier is right.",
    no_args_is_help=True,
)


@app.command()
def attempts(
    run: Annotated[Path, typer.Argument(help="Run directory.")],
    by: Annotated[
        str | None, typer.Option(help="rule, code, recompute, judge, vote, ...; as the run is set if not given.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model that judges; else the run's own.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name under which the verdicts are kept.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Judge at most so many attempts.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Where to keep them; beside the run if not given.")
    ] = None,
    settings: o.Set = None,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Judge the stored attempts of a run, which stays as it is; those judged under this name already are left alone.

    The verifier sees neither ground truth nor outcome. Where the outcome is known, the agreement with it is shown.
    """
    from ..agent.verifiers.records import Verdicts

    directory = RunDirectory(run)
    config = _config(directory, by, model, settings)
    label = name or label_of(config)
    verdicts = Verdicts(out if out is not None else run)
    with Progress(console=o.progress_console(quiet or as_json), transient=True) as bar:
        row = bar.add_task(f"judging by {label}", total=None)
        new, known = asyncio.run(
            judge(config, directory, verdicts, label, limit, lambda n, total: bar.update(row, completed=n, total=total))
        )
    found = agreements([(directory, verdicts)], config, only=label)
    if as_json:
        print_json({"by": label, "judged": new, "already": known, "verifiers": [entry(one) for one in found]})
        return
    console().print(f"{new} attempts judged by {label}, {known} were already.", markup=False, highlight=False)
    show(found)


@app.command()
def agreement(
    runs: Annotated[list[Path], typer.Argument(help="Run directories.")],
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Show how often each verifier was right in these runs, in the loop and afterwards; what its word is worth.

    What --json prints is what `verify.trust.agreement` reads; `rewards` in it are settings for `lamarck train`.
    """
    from ..agent.verifiers.records import Verdicts

    config = RunConfig.load(None, dict(parse_assignment(text) for text in settings or []))
    found = agreements([(RunDirectory(run), Verdicts(run)) for run in runs], config)
    if as_json:
        print_json({"verifiers": [entry(one) for one in found]})
        return
    if not found:
        console().print(
            "There is no verdict but the environment's in these runs. `lamarck verify RUN --by NAME` gives some."
        )
        return
    show(found)


def _config(directory: RunDirectory, by: str | None, model: str | None, settings: list[str] | None) -> RunConfig:
    """Return the configuration of the run with what was given over it.

    Raises:
        ConfigError: no verifier is named, or a setting is wrong.
    """
    directory.load_config()
    overrides: dict[str, Any] = dict(parse_assignment(text) for text in settings or [])
    overrides |= {key: value for key, value in {"verify.by": by, "verify.model": model}.items() if value is not None}
    config = RunConfig.load(directory.config_path, overrides)
    if config.verify.by == "none":
        raise ConfigError("no verifier is named.", hint="Give --by, for example --by recompute.")
    return config
