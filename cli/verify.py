"""`lamarck verify`: judge stored attempts, and see how often a verifier is right."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table
from typer.core import TyperGroup

from ..config import ModelConfig, RunConfig
from ..config_tree import parse_assignment
from ..core import Trajectory, Verdict, content_id
from ..errors import ConfigError
from ..rundir import RunDirectory
from ..store import Store
from . import options as o
from .tables import console, print_json

if TYPE_CHECKING:
    from ..agent.verifiers.agreement import Agreement, Share
    from ..agent.verifiers.records import Record, Verdicts

Progressed = Callable[[int, int], None]


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
    found = _agreements([(directory, verdicts)], config, only=label)
    if as_json:
        print_json({"by": label, "judged": new, "already": known, "verifiers": [_entry(one) for one in found]})
        return
    console().print(f"{new} attempts judged by {label}, {known} were already.", markup=False, highlight=False)
    _say(found)


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
    found = _agreements([(RunDirectory(run), Verdicts(run)) for run in runs], config)
    if as_json:
        print_json({"verifiers": [_entry(one) for one in found]})
        return
    if not found:
        console().print(
            "There is no verdict but the environment's in these runs. `lamarck verify RUN --by NAME` gives some."
        )
        return
    _say(found)


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


def label_of(config: RunConfig) -> str:
    """Return a name for verdicts: the verifier's, with a hash of its options and model where it has some."""
    verify = config.verify
    more = {"options": verify.options, "model": verify.model}
    return verify.by if not verify.options and verify.model is None else f"{verify.by}-{content_id(more)[:6]}"


async def judge(
    config: RunConfig,
    directory: RunDirectory,
    verdicts: Verdicts,
    label: str,
    limit: int | None,
    told: Progressed = lambda n, total: None,
) -> tuple[int, int]:
    """Judge what is not judged yet; return how many that were, and how many there were already.

    Raises:
        LamarckError: the verifier, or what it needs, cannot be had.
    """
    from ..agent.llms import build_llm
    from ..agent.verifiers.judgements import Judgements
    from ..agent.verifiers.judging import shown_to
    from ..agent.verifiers.records import Record
    from ..agent.verifiers.verifier import ask
    from .wire_tools import open_tools
    from .wire_verify import build_verifier

    known = verdicts.read(label).records
    async with AsyncExitStack() as stack:
        store = stack.enter_context(Store.open(directory.store_url(config), create=False))
        headers = list(store.headers(run_id=directory.run_id, failed=False))
        again, fresh = _wanted(config, headers, known, limit)
        # Tools are the judge's here, whatever the protocol by which the run was played.
        spoken = config.solver.model_copy(update={"protocol": "text"})
        tools = await open_tools(config.model_copy(update={"solver": spoken}), stack)
        llm = build_llm(_judging(config), at_once=config.collect.concurrency) if _asks(config) else None
        if llm is not None:
            stack.push_async_callback(llm.close)
        verifier = build_verifier(config, store, llm, tools)
        places, counted = asyncio.Semaphore(config.collect.concurrency), 0

        async def one(ident: str) -> None:
            nonlocal counted
            async with places:
                trajectory = await asyncio.to_thread(store.trajectory, ident)
                judged = await ask(verifier, shown_to(verifier, trajectory, hide_end=config.verify.hide_end))
                record = Record(trajectory_id=ident, verdict=judged.verdict, usage=judged.usage, at=time.time())
                # Before the verdict: who is killed in between judges again, and nothing that was asked is missing.
                if config.verify.record and judged.heard:
                    Judgements(verdicts.beside).add(ident, judged.heard)
                verdicts.add(label, record)
                counted += 1
                told(counted, len(again) + len(fresh))

        # Verdicts that are out of date first: while a sibling of theirs is not judged, they are known to be.
        for idents in (again, fresh):
            tasks = [asyncio.create_task(one(ident)) for ident in idents]
            try:
                await asyncio.gather(*tasks)
            finally:
                # What was judged is kept; the same command goes on with the rest.
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        return counted, len({one.id for one in headers} & set(known) - set(again))


def _judging(config: RunConfig) -> ModelConfig:
    """Return how the model that judges is run: the player's adapter is not another model's."""
    name = config.verify.model or config.model.name
    other = {"name": name} | ({"adapter": None} if name != config.model.name else {})
    return config.model.model_copy(update=other)


def _wanted(
    config: RunConfig, headers: Sequence[Trajectory], known: Mapping[str, Record], limit: int | None
) -> tuple[list[str], list[str]]:
    """Return the attempts that are to be judged again, and those that were not judged yet, of these at most `limit`.

    Again, where the verifier goes by siblings: those with a new one, which their verdicts know nothing of.
    """
    from ..agent.verifiers.table import by_siblings

    fresh = [one for one in headers if one.id not in known][:limit]
    tasks = {one.task.id for one in fresh} if by_siblings(config.verify.by, config.verify.options) else set()
    return [one.id for one in headers if one.id in known and one.task.id in tasks], [one.id for one in fresh]


def _asks(config: RunConfig) -> bool:
    """Say whether a verifier may ask a model: those of ours that never do need none to be loaded."""
    from ..agent.verifiers.table import named

    return any(one not in _WITHOUT_MODEL for one in named(config.verify.by, config.verify.options))


_WITHOUT_MODEL = frozenset({"environment", "rule", "code", "recompute", "consistency", "certainty", "vote", "locate"})
"""Of those that ask others, that is for these to say."""


def _agreements(
    runs: Sequence[tuple[RunDirectory, Verdicts]], config: RunConfig, only: str | None = None
) -> list[Agreement]:
    """Return the agreement of each verifier with the truth over all runs, ordered by name."""
    from ..agent.verifiers.agreement import Case, agreement, case_of
    from ..agent.verifiers.verifier import says_something

    cases: defaultdict[str, list[Case]] = defaultdict(list)
    unjudged: defaultdict[str, int] = defaultdict(int)
    for directory, verdicts in runs:
        for judge, verdict, trajectory in _verdicts(directory, verdicts):
            if only is not None and judge != only:
                continue
            case = case_of(verdict, trajectory)
            if verdict is None or not says_something(verdict):
                unjudged[judge] += 1
            elif case is not None:
                cases[judge].append(case)
            else:
                cases[judge] += []
    trust = config.verify.trust
    return [
        agreement(
            judge, cases[judge], unjudged=unjudged[judge], bins=trust.bins, recent=trust.recent, least=trust.least
        )
        for judge in sorted({*cases, *unjudged})
    ]


def _verdicts(directory: RunDirectory, verdicts: Verdicts) -> Iterator[tuple[str, Verdict | None, Trajectory]]:
    """Yield who judged, what was said, and the attempt with its outcome; those of the loop and those given later.

    What was given later under the name of who judged in the loop replaces what that one had said.
    """
    from ..agent.verifiers.sealed import unsealing

    config = directory.load_config()
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(directory.store_url(config), create=False))
        unseal = stack.enter_context(unsealing(directory.path))
        headers, later = {}, {by: read.records for by, read in verdicts.all()}
        for header in store.headers(run_id=directory.run_id, failed=False):
            one = unseal(header)
            headers[one.id] = one
            told = one.meta.get("unjudged")
            if isinstance(told, dict):
                judge = str(told.get("judge"))
            elif one.verdict is not None and one.verdict.judge != "environment":
                judge = one.verdict.judge
            else:
                continue
            if one.id not in later.get(judge, {}):
                yield judge, None if isinstance(told, dict) else one.verdict, one
        for by, records in later.items():
            for ident, record in records.items():
                if ident in headers:
                    yield by, record.verdict, headers[ident]


def _entry(found: Agreement) -> dict[str, Any]:
    """Return what --json prints of a verifier: its agreement, and the rewards that make up for its noise."""
    from ..agent.verifiers.agreement import reward_settings

    return {**found.as_dict(), "rewards": {how: reward_settings(found, how) for how in ("backward", "forward")}}


def _say(found: Sequence[Agreement]) -> None:
    table = Table(title="agreement with ground truth", title_justify="left", title_style="bold")
    table.add_column("verifier", no_wrap=True)
    columns = ("verdicts", "could not judge", "right", "accepts wrong", "rejects right", "J", "Brier", "ECE", "weight")
    for column in columns:
        table.add_column(column, justify="right")
    for one in found:
        table.add_row(
            *(one.judge, str(one.n), str(one.unjudged), _share(one.accuracy)),
            *(_share(one.accepts_wrong), _share(one.rejects_right)),
            *(_decimal(one.youden), _decimal(one.brier), _decimal(one.ece), _decimal(one.weight)),
        )
    out = console()
    out.print(table)
    for one in found:
        out.print(f"{one.judge}: {one.why}.", markup=False, highlight=False)


def _share(share: Share) -> str:
    if share.value is None:
        return "-"
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}] of {share.n}"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
