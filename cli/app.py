"""The command line: one small file per command, one place for errors."""

from __future__ import annotations

import os
import sys

import typer
from rich.console import Console

from .. import __version__
from ..errors import ConfigError, LamarckError
from . import (
    baselines,
    bench,
    compare,
    data,
    demo,
    env,
    evaluate,
    evolve,
    forgetting,
    gate,
    memory,
    models,
    play,
    probe,
    propose,
    release,
    report,
    sandbox,
    show,
    tools,
    train,
    verify,
)

app = typer.Typer(
    name="lamarck",
    help="LLM agents that inherit what they acquire.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(play.run)
app.command("eval")(evaluate.evaluate)
app.command("baselines")(baselines.baselines)
app.command("evolve")(evolve.evolve)
app.command("compare")(compare.compare_runs)
app.command("forgetting")(forgetting.forget)
app.command("propose")(propose.propose)
app.command("gate")(gate.gate)
app.command("probe")(probe.probe)
app.command("report")(report.report)
app.command("show")(show.show)
app.command("demo")(demo.demo)
app.command("export")(data.export)
app.command("import")(data.import_)
app.add_typer(env.app, name="env")
app.add_typer(memory.app, name="memory")
app.add_typer(models.app, name="models")
app.add_typer(release.app, name="release")
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(tools.app, name="tools")
app.add_typer(train.app, name="train")
app.add_typer(verify.app, name="verify")
app.add_typer(bench.app, name="bench")


@app.callback(invoke_without_command=True)
def version(version: bool = typer.Option(False, "--version", help="Print the version and stop.")) -> None:
    """LLM agents that inherit what they acquire."""
    if version:
        typer.echo(f"lamarck {__version__}")
        raise typer.Exit


def run() -> None:
    """Run the command line; an error of ours becomes one line on stderr.

    Exit codes: 0 all went well, 1 something failed, 2 the request was wrong, 130 interrupted.
    Set LAMARCK_TRACEBACK=1 to see where an error came from.
    """
    try:
        app()
    except LamarckError as error:
        if os.environ.get("LAMARCK_TRACEBACK"):
            raise
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"error: {error}", style="red", markup=False)
        sys.exit(2 if isinstance(error, ConfigError) else 1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # `lamarck show | head` closes our output; that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
