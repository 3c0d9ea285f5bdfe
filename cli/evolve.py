"""`lamarck evolve`: generation after generation, what made the agent better is kept and the rest is not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from ..config_evolve import EvolveConfig
from ..config_tree import parse_assignment
from ..errors import ConfigError
from . import options as o
from .tables import console, print_json

if TYPE_CHECKING:
    from ..agent.evolution.generation import Generation
    from .evolving.home import Home


def evolve(
    taskset: o.TasksetName = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the evolution.")] = None,
    generations: Annotated[int | None, typer.Option("--generations", "-g", help="How many there are to be.")] = None,
    tasks: Annotated[int | None, typer.Option(help="Tasks per generation.")] = None,
    samples: o.Samples = None,
    split: Annotated[
        str | None, typer.Option(help="Split that is played and learned from; train if not given.")
    ] = None,
    held_out: Annotated[
        str | None, typer.Option(help="Split that the gate looks at; valid_unseen if not given.")
    ] = None,
    held_out_limit: Annotated[int | None, typer.Option(help="Use only its first so many tasks.")] = None,
    data: o.Data = None,
    model: o.ModelName = None,
    adapter: Annotated[
        str | None, typer.Option("--adapter", help="Adapter of the first release, as `lamarck train` made it.")
    ] = None,
    protocol: o.Protocol = None,
    max_steps: o.MaxSteps = None,
    concurrency: o.Concurrency = None,
    seed: o.Seed = None,
    memory: Annotated[bool | None, typer.Option("--memory/--no-memory", help="Whether memory learns.")] = None,
    weights: Annotated[bool | None, typer.Option("--weights/--no-weights", help="Whether weights are trained.")] = None,
    gate: Annotated[bool | None, typer.Option("--gate/--no-gate", help="Without, nothing is ever promoted.")] = None,
    grow: Annotated[str | None, typer.Option(help="Grow from the head, the latest candidate, or by clade.")] = None,
    config: Annotated[Path | None, typer.Option("--config", "-c", help="TOML file; flags win over it.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Any setting, e.g. --set gate.alpha=0.1. Repeatable.")
    ] = None,
    resume: o.Resume = False,
    as_json: o.Json = False,
    quiet: o.Quiet = False,
) -> None:
    """Play, learn, train and weigh, generation after generation; only what the gate lets through comes into force.

    Ctrl-C stops it; `lamarck evolve --resume --out HOME` goes on, also after a crash or kill -9.
    """
    from .evolving.home import Home

    if out is None:
        raise ConfigError("--out is missing: where is the evolution to live?", hint="Give --out HOME.")
    home = Home(out)
    named: dict[str, Any] = {
        "generations": generations, "propose.tasks": tasks, "run.collect.samples": samples,
        "run.taskset.name": taskset, "run.taskset.split": split, "held_out.split": held_out,
        "held_out.limit": held_out_limit, "run.taskset.options.data": data, "run.model.name": model,
        "run.model.adapter": adapter, "run.solver.protocol": protocol, "run.solver.max_steps": max_steps,
        "run.collect.concurrency": concurrency, "run.collect.seed": seed, "learn.memory": memory,
        "learn.weights": weights, "gated": gate, "grow": grow,
    }  # fmt: skip
    overrides = dict(parse_assignment(text) for text in settings or [])
    overrides |= {key: value for key, value in named.items() if value is not None}
    wanted = EvolveConfig.load(config or (home.config_path if resume and home.exists() else None), overrides)
    check(wanted)
    records = run(wanted, home, resume=resume, quiet=quiet or as_json)
    show(home, records, as_json)


def check(config: EvolveConfig, without_weights: str = "--no-weights") -> None:
    """Refuse settings that cannot go together, before anything is written.

    Args:
        config: the settings.
        without_weights: what the command calls an evolution that trains none.

    Raises:
        ConfigError: they cannot.
    """
    from .evolving.roles import check_roles

    run = config.run
    if run.memory.path is not None:
        raise ConfigError(
            f"run.memory.path is {run.memory.path}, but each generation brings its own.", hint="Leave it out."
        )
    if run.taskset.split == config.held_out.split:
        raise ConfigError(
            f"split {run.taskset.split} is both learned from and held out.", hint="Name another by --held-out."
        )
    _check_word(config)
    check_roles(config)
    if config.learn.weights and not run.model.name.startswith(("embedded", "vllm:")):
        raise ConfigError(
            f"the weights of {run.model.name} cannot be trained here.",
            hint=f"Add {without_weights}, or take --model embedded, embedded:FOLDER or vllm:FOLDER.",
        )
    if run.tools.make and not config.learn.memory:
        raise ConfigError(
            "run.tools.make is set, but made tools live in memory, and that does not learn.",
            hint="Let memory learn (--memory), or leave run.tools.make out.",
        )
    if config.learn.chain > 1 and not config.learn.memory:
        raise ConfigError(
            f"learn.chain is {config.learn.chain}, but without memory a chain passes nothing on.",
            hint="Leave it at 1, or let memory learn.",
        )
    if config.gated:
        _check_held_out(config)


def _check_word(config: EvolveConfig) -> None:
    """Make sure that it is clear whose word counts, and that it can be had."""
    from .wire_verify import check as check_verifier

    verify, by, samples = config.run.verify, config.learn.by, config.train.samples
    check_verifier(config.run)
    if verify.withhold and by == "environment":
        raise ConfigError(
            "run.verify.withhold keeps the outcome from the loop, and learn.by = environment goes by it.",
            hint="Set learn.by = verdict, and run.verify.by to who judges.",
        )
    if by == "verdict" and verify.by in ("none", "environment"):
        raise ConfigError(
            f"learn.by = verdict needs a verifier, and run.verify.by is {verify.by}.",
            hint="Set run.verify.by, for example to rule, recompute or judge.",
        )
    if by == "environment" and samples.outcome == "verdict":
        raise ConfigError(
            "train.samples.outcome is verdict, and learn.by is environment.", hint="Set learn.by = verdict alone."
        )
    if by == "verdict" and samples.splice:
        raise ConfigError(
            "train.samples.splice asks worlds whether an attempt ends well, and learn.by is verdict.",
            hint="Leave it out.",
        )
    if samples.judge is not None:
        raise ConfigError(
            f"train.samples.judge is {samples.judge}, but what is learned from here are the verdicts of run.verify.by.",
            hint="Leave it out.",
        )


def _check_held_out(config: EvolveConfig) -> None:
    from ..agent.tasksets import load_taskset
    from .evolving.others import named
    from .wire import select

    given = config.run.taskset
    taskset = load_taskset(given.name, given.options)
    for split in (given.split, config.held_out.split):
        if split not in taskset.splits():
            raise ConfigError(
                f"taskset {given.name} has no split {split!r}; there are: {', '.join(taskset.splits())}.",
                hint="Name one by --split, another by --held-out.",
            )
    for other in named(config).values():
        select(load_taskset(other.name, other.options), other.model_copy(update={"limit": 1}))


def run(
    config: EvolveConfig, home: Home, *, resume: bool, quiet: bool, again: str | None = None
) -> tuple[Generation, ...]:
    """Go through the generations that are left.

    Args:
        config: the settings.
        home: of the evolution.
        resume: go on with what is there.
        quiet: show failures only.
        again: what is said to go on by when it is stopped; `lamarck evolve` if not given.

    Raises:
        LamarckError: something is missing or wrong.
    """
    # Imported here: wiring pulls in LangGraph, which `lamarck --help` can do without.
    from ..agent.evolution.graph import EvolutionContext, evolve
    from ..releases import Releases
    from .evolving.begin import begin, begun
    from .evolving.budget import Budget
    from .evolving.clock import PhaseClock
    from .evolving.phases import Evolving
    from .evolving.starting import check_exam, check_start, told
    from .evolving.watching import EvolutionWatch
    from .watch import sigterm_stops

    if not resume:
        check_start(config)
        check_exam(config, home)
    home.check(config, resume=resume)  # here too, or a folder would be made for the lock of what cannot be
    lock = home.lock()
    try:
        home.create(config, resume=resume)  # by the lock's holder alone: whoever plays goes on with what is written
        with sigterm_stops(), Releases.open(home.path, create=True) as releases:
            begin(config, home, releases, quiet=quiet)
            watch = EvolutionWatch(config.generations, home.path / "logs", quiet=quiet, records=home.kept())
            for line in told(config, home, releases):
                watch.console.print(f"Mind: {line}", style="yellow", markup=False)
            clock = PhaseClock(home)
            phases = Evolving(home, begun(config), releases, clock=clock, quiet=quiet, screen=watch.screen)
            on = switched_on(config)
            budget = Budget(config.budget, phases.kept, clock.unended)

            def enough() -> bool:
                return budget.spent() or (config.on_alarm == "stop" and alarmed(phases.kept()))

            with watch:
                return asyncio.run(evolve(EvolutionContext(phases, config.generations, on, watch, enough, clock)))
    except KeyboardInterrupt:
        again = again or f"lamarck evolve --resume --out {home.path}"
        Console(stderr=True, soft_wrap=True).print(f"Stopped. Go on with: {again}", markup=False)
        raise typer.Exit(130) from None
    finally:
        lock.close()


def alarmed(records: tuple[Generation, ...]) -> bool:
    """Say whether an alarm rang in the last generation that has ended."""
    ended = [one for one in records if one.ended]
    return bool(ended) and bool(ended[-1].figures.get("settle", {}).get("alarms"))


def switched_on(config: EvolveConfig) -> tuple[Any, ...]:
    """Return the phases that these settings ask for."""
    learn = config.learn
    on = ["verify"] if config.run.verify.by not in ("none", "environment") else []
    on += [name for name in ("credit", "distil") if learn.memory and getattr(learn, name)]
    return tuple(on + (["train"] if learn.weights else []) + (["gate"] if config.gated else []))


def show(home: Home, records: tuple[Generation, ...], as_json: bool) -> None:
    """Print what came of it."""
    from ..releases import Releases
    from .evolving.again import left_open
    from .evolving.tree import fit, surest
    from .evolving.words import fitting

    with Releases.open(home.path) as releases:
        head = releases.head()
        most = surest(records, fit(releases, records), head.id) if head is not None else None
        still_open = left_open(home, releases, records[-1]) if records else None
    if as_json:
        plain = [one.model_dump(mode="json") for one in records]
        known = {"head": head.id if head is not None else None, "surest": most.id if most is not None else None}
        print_json({"home": str(home.path), **known, "generations": plain})
        return
    out = console()
    out.print(fitting(records, out))
    if head is not None:
        out.print(f"In force: {head.id[:12]}. Play it with: lamarck run --release {home.path}", markup=False)
    if most is not None and head is not None and most.id != head.id:
        out.print(
            f"By its own held-out games {most.id[:12]} promises most ({most.successes} of {most.evaluations}); "
            f"it is not in force. Try it with: lamarck run --release {home.path}@{most.id[:12]}",
            markup=False,
        )
    if still_open is not None:
        out.print(still_open, markup=False)
