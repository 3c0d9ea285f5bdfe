"""`lamarck gate`: would this candidate take the incumbent's place? From two evaluation runs, by hand."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from pydantic import TypeAdapter, ValidationError
from rich.markup import escape
from rich.table import Table

from ..config_gate import GateConfig
from ..config_tree import parse_assignment
from ..core_evolution import Claim, GateReport
from ..errors import ConfigError
from ..evals.figures.compare import Side
from ..evals.figures.pick import rule_of
from ..evals.figures.played import Played, different, same_tasks
from ..evals.gate.decide import decide
from ..evals.gate.evidence import Environment, Evidence, Probed
from ..evals.gate.held_out import names, seen_in
from ..rundir import RunDirectory
from ..whole import write_whole
from . import options as o
from .tables import console, print_json

STYLES = {"pass": "green", "fail": "red", "unknown": "yellow"}
REPORTS = "gate"
"""Folder in HOME where reports that were made by hand are kept."""


def gate(
    incumbent: Annotated[Path, typer.Argument(help="Evaluation run of what is there now.")],
    candidate: Annotated[Path, typer.Argument(help="Evaluation run of what would take its place, on the same tasks.")],
    home: Annotated[
        Path | None, typer.Option(help="Keep the report here, and account for earlier looks at the same tasks.")
    ] = None,
    claim: Annotated[str, typer.Option(help="better, or cheaper: no worse, and it saves something.")] = "better",
    seen: Annotated[
        list[Path] | None,
        typer.Option(help="Run, memory or store that the candidate learned from. Repeatable."),
    ] = None,
    unseen: Annotated[bool, typer.Option("--nothing-seen", help="The candidate learned from nothing.")] = False,
    other: Annotated[
        list[str] | None,
        typer.Option(help="Another environment: NAME=INCUMBENT_RUN,CANDIDATE_RUN. Repeatable."),
    ] = None,
    probes: Annotated[
        Path | None,
        typer.Option(help="JSON list of probes: name, critical, before and after, each with unsafe and cases."),
    ] = None,
    waive: Annotated[list[str] | None, typer.Option(help="A check that may stay unknown. Repeatable.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file with the gate's settings.")] = None,
    settings: o.Set = None,
    as_json: o.Json = False,
) -> None:
    """Decide on a candidate from two evaluation runs: promote, refuse, or not yet. Nothing is promoted by it.

    Exit code 0 whatever the decision is.
    """
    if claim not in ("better", "cheaper"):
        raise ConfigError(f"--claim is better or cheaper, not {claim!r}.")
    if seen and unseen:
        raise ConfigError("--seen and --nothing-seen exclude each other.")
    place, before, after = _environment("", incumbent, candidate)
    overrides: dict[str, Any] = {"samples": _samples(before)} | dict(parse_assignment(text) for text in settings or [])
    if waive:
        overrides["waived"] = list(waive)
    rules = GateConfig.load(config, overrides)
    evidence = Evidence(
        incumbent=_release(before),
        candidate=_release(after),
        held_out=place,
        seen=seen_in(seen) if seen else ({} if unseen else None),
        others=[_other(text) for text in other or []],
        probes=_probes(probes) if probes is not None else None,
        claim=cast(Claim, claim),
    )
    folder = home / REPORTS if home is not None else None
    report = decide(evidence, rules, _reports(folder), created_at=round(time.time(), 3))
    if folder is not None:
        _keep(folder, report)
    if as_json:
        print_json({**report.model_dump(mode="json"), "sentence": report.sentence()})
    else:
        print_report(report)


def _environment(name: str, incumbent: Path, candidate: Path) -> tuple[Environment, Played, Played]:
    directories = [RunDirectory(incumbent), RunDirectory(candidate)]
    different(directories)
    before, after = (Played.read(directory) for directory in directories)
    same_tasks(before, after)
    for run in (before, after):
        if run.config.memory.mode == "learn":
            raise ConfigError(
                f"the memory of run {run.path} learned while it was played, so its tasks are not held out.",
                hint="Play it with --memory-mode read.",
            )
    tasks = {**before.tasks, **after.tasks}.values()
    task = before.config.taskset
    environment = Environment(
        name or f"{task.name}/{task.split}",
        _planned(before, "incumbent"),
        _planned(after, "candidate"),
        names(tasks, before.evaluation or after.evaluation),
    )
    return environment, before, after


def _planned(run: Played, name: str) -> Side:
    """Return the run as a side; of one that picks the best of n, the picked samples are all that was planned."""
    side = run.side(name)
    if rule_of(run.config.collect) == "none":
        return side
    there = side.infrastructure
    tasks = -(-there.planned // run.config.collect.samples)
    if run.allocated is not None:
        tasks = run.allocated.tasks
    return replace(side, infrastructure=replace(there, planned=tasks))


def _samples(run: Played) -> int:
    return run.config.collect.samples if rule_of(run.config.collect) == "none" else 1


def _release(run: Played) -> str:
    if run.release is None:
        raise ConfigError(f"run {run.path} does not say which release it played.", hint="Play it with `lamarck eval`.")
    return run.release.id


def _other(text: str) -> Environment:
    name, equals, runs = text.partition("=")
    incumbent, comma, candidate = runs.partition(",")
    if not (equals and comma and name and incumbent and candidate):
        raise ConfigError(f"{text!r} is not of the form NAME=INCUMBENT_RUN,CANDIDATE_RUN.")
    return _environment(name, Path(incumbent), Path(candidate))[0]


def _probes(file: Path) -> list[Probed]:
    try:
        return TypeAdapter(list[Probed]).validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"cannot read probes {file}: {error.strerror}.") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigError(f"{file} is no list of probes: {where}: {first['msg'].lower()}.") from None


def _reports(folder: Path | None) -> Sequence[GateReport]:
    found = []
    for file in sorted(folder.glob("*.json")) if folder is not None else ():
        try:
            report = GateReport.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise ConfigError(
                f"{file} is no gate report that can be read.", hint="Without it, looks are not accounted for."
            ) from error
        if report.hashed() != report.id:
            raise ConfigError(f"{file} was changed after it was written: its contents do not have the id it bears.")
        found.append(report)
    return found


def _keep(folder: Path, report: GateReport) -> None:
    file = folder / f"{report.id}.json"
    if not file.exists():
        write_whole(file, json.dumps(report.model_dump(mode="json"), indent=1, ensure_ascii=False))


def print_report(report: GateReport) -> None:
    """Print a decision with its checks."""
    out = console()
    table = Table(title=f"test {report.test_number} on these tasks, level {report.alpha:.3g}", title_justify="left")
    for name in ("check", "outcome", "what was seen"):
        table.add_column(name, no_wrap=name != "what was seen")
    for check in report.checks:
        style = STYLES[check.outcome]
        table.add_row(check.name, f"[{style}]{check.outcome}[/{style}]", escape(check.sentence))
    out.print(table)
    out.print(report.sentence(), style="bold", markup=False)
