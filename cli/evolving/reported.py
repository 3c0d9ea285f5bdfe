"""From the folder of an evolution to the data of its report."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ... import __version__
from ...agent.evolution.generation import OVERTAKEN, Generation
from ...config_evolve import EvolveConfig
from ...core_evolution import GateReport
from ...errors import ConfigError
from ...evals.reports import evolution_data as data
from ...evals.reports.words import counted
from ...releases import Releases
from ...whole import read_records
from ..memory_place import when
from .budget import spent
from .home import Home
from .proposing import TASKS
from .reported_memory import changes, learned

Progress = Callable[[str], None]
ERRORS = {
    "any": "a chance of {:g} that ever one is promoted wrongly on the same tasks",
    "share": "of the promotions on the same tasks a share of {:g} may be wrong",
}
"""What the level of the gate is a level of, by `gate.errors`."""


def gather(home: Home, *, progress: Progress = lambda what: None) -> data.Evolution:
    """Read an evolution and put together what a report of it shows. Nothing is changed, also where it goes on.

    Raises:
        ConfigError: there is none, or a record of it is damaged.
        StoreError: a store cannot be read.
    """
    config, records = home.load(), home.kept()
    if not records:
        raise ConfigError(f"no generation of {home.path} has begun yet.", hint="Wait for it, or `lamarck evolve`.")
    progress("reading releases")
    with Releases.open(home.path) as releases:
        reports = {one.id: one for one in releases.log.reports()}
        tree, rows = releases.tree(), releases.log.rows()
        progress("reading memories")
        top = learned(releases, config)
        moved = changes(releases, records)
    born = {one.candidate: one.number for one in reversed(records) if one.candidate is not None}
    born |= {one.release.id: 0 for one in tree if one.release.parent is None}
    depths = {one.release.id: one.depth for one in tree}
    return data.Evolution(
        title=f"{config.run.taskset.name} {config.run.taskset.split}, {home.path.resolve().name}",
        facts=_facts(home, config, records),
        notes=_notes(config, records),
        settings=config.dump_toml(),
        planned=max(config.generations, len(records)),
        stages=tuple(_stage(home, one, reports.get(one.report or "")) for one in records),
        tree=tuple(
            data.Node(
                id=one.release.id,
                parent=one.release.parent,
                generation=born.get(one.release.id, depths[one.release.id]),
                changed=one.changed,
                decision=one.decision,
                head=one.head,
                was_head=one.was_head,
            )
            for one in tree
        ),
        moves=tuple(data.Moved(r.number, r.release_id, r.action, r.reason, when(r.at)) for r in rows),
        memory_of=top.of,
        kinds=top.kinds,
        learned=top.items,
        tools=top.tools,
        changes=moved,
        version=__version__,
        made_at=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _stage(home: Home, one: Generation, report: GateReport | None) -> data.Stage:
    found: dict[str, dict[str, Any]] = dict(one.figures)
    played, held, gated = dict[str, Any](one.played), found.get("distil", {}), found.get("gate", {})
    trained = found.get("train", {})
    mean, spread = _number(held.get("q_mean")), _number(held.get("q_spread"))
    first, last = _number(trained.get("loss_first")), _number(trained.get("loss_last"))
    return data.Stage(
        number=one.number,
        parent=one.parent,
        candidate=one.candidate if one.candidate != one.parent else None,
        decision=one.decision,
        trained=_rate({**played, "games": played.get("attempts")}),
        in_force=_rate(gated.get("incumbent")),
        weighed=_rate(gated.get("candidate")),
        items={name: int(held[name]) for name in ("candidate", "active", "retired") if name in held},
        learned={name: int(held[name]) for name in ("new", "merged") if name in held},
        value=(mean, spread) if mean is not None and spread is not None else None,
        reward=_number(played.get("reward")),
        entropy=_number(played.get("entropy")),
        different=_number((played.get("actions") or {}).get("different")),
        curriculum=_curriculum(home, one),
        declined=_declined(found.get("propose", {}).get("refused")),
        verifier={
            name: value
            for name in ("accuracy", "accepts_wrong", "rejects_right", "weight")
            if (value := _number(found.get("verify", {}).get(name))) is not None
        },
        adapter="adapter" in trained,
        loss=(first, last) if first is not None and last is not None else None,
        spent={
            phase: data.Spent(
                one.seconds.get(phase, 0.0),
                int(spent(one, "tokens", (phase,))) if phase != "train" else 0,
                spent(one, "cost_usd", (phase,)),
            )
            for phase in one.seconds
        },
        skipped=dict(one.skipped),
        alarms=tuple(data.Alarm(str(a["name"]), str(a["sentence"])) for a in found.get("settle", {}).get("alarms", [])),
        judged=_judged(report, found.get("settle", {}).get(OVERTAKEN)) if report is not None else None,
    )


def _rate(side: dict[str, Any] | None) -> data.Rate | None:
    if not side or not side.get("games") or "solved" not in side:
        return None
    low, high = side.get("interval") or (0.0, 1.0)
    return data.Rate(int(side["solved"]), int(side["games"]), float(low), float(high))


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _judged(report: GateReport, overtaken: str | None) -> data.Judged:
    return data.Judged(
        id=report.id,
        decision=report.decision,
        sentence=f"{overtaken}." if overtaken else report.sentence(),
        alpha=report.alpha,
        test_number=report.test_number,
        further=report.further_episodes,
        checks=tuple(data.Asked(one.name, one.outcome, one.sentence) for one in report.checks),
    )


def _curriculum(home: Home, one: Generation) -> dict[str, int]:
    """Return how many tasks of each category were asked for; self-made ones are counted where they are written down."""
    asked: dict[str, Any] = one.figures.get("propose", {})
    categories = asked.get("categories")
    if isinstance(categories, dict):
        return {str(name): int(count) for name, count in categories.items()}
    return dict(Counter(_categories(home, one.number)))


def _declined(refused: object) -> dict[str, float]:
    """Return the shares that a proposer refused, by reason; who chooses from given tasks tells a number only."""
    if not isinstance(refused, dict):
        return {}
    return {str(why): share for why, value in refused.items() if (share := _number(value)) is not None}


def _categories(home: Home, number: int) -> list[str]:
    try:
        lines = read_records(home.generation(number) / TASKS)
        return [str(json.loads(line).get("category") or "without a category") for line in lines]
    except (OSError, ValueError, AttributeError):
        return []


def _facts(home: Home, config: EvolveConfig, records: Sequence[Generation]) -> dict[str, str]:
    run, held, gate = config.run, config.held_out, config.gate
    learns = [name for name, on in (("memory", config.learn.memory), ("weights", config.learn.weights)) if on]
    return {
        "folder": str(home.path),
        "generations": f"{sum(one.ended for one in records)} of {config.generations} have ended",
        "model": run.model.name,
        "learns": " and ".join(learns) or "nothing",
        "tasks": f"{config.propose.tasks} per generation by {config.propose.by}, "
        f"{counted(run.collect.samples, 'sample')} each, "
        f"from {run.taskset.name} {run.taskset.split}",
        "held out": f"{held.split}, {'all tasks' if held.limit is None else f'the first {held.limit:,}'}, "
        f"{held.chunk} at a time until the gate has decided",
        "gate": f"{ERRORS[gate.errors].format(gate.alpha)}, least gain {100 * gate.least_gain:g} points"
        if config.gated
        else "off: nothing is promoted",
        "probes": ", ".join(config.asked_probes) or "all",
        "grown from": config.grow,
        "seeds": f"tasks {run.taskset.seed}, playing {run.collect.seed}, proposing {config.propose.seed}, "
        f"training {config.train.seed}",
        "version": f"lamarck {__version__} (of this report)",
        "repeat with": f"lamarck evolve --config {home.config_path} --out NEW",
    }


def _notes(config: EvolveConfig, records: Sequence[Generation]) -> tuple[str, ...]:
    notes = [
        "Held-out intervals are 95 % Wilson intervals of the games that the gate looked at, each for itself. What was "
        "promoted was decided by the gate's paired test, which accounts for having looked at the same tasks before.",
    ]
    lost = sum(int(_number(one.figures.get("collect", {}).get("lost")) or 0) for one in records)
    if lost:
        notes.append(
            f"{counted(lost, 'attempt of training was', 'attempts of training were')} lost to infrastructure, and in "
            "none of the figures."
        )
    if not config.gated:
        notes.append("The gate was off, so no candidate was compared with what is in force.")
    if records and not records[-1].ended:
        notes.append(f"Generation {records[-1].number} goes on, or was stopped.")
    return tuple(notes)
