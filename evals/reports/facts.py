"""What is needed to believe and to repeat a run, as words."""

from __future__ import annotations

import shlex
from pathlib import Path

from ...errors import ConfigError
from ..figures.compare import MAX_INFRASTRUCTURE
from ..figures.contamination import contamination
from ..figures.differences import differences
from ..figures.played import Played
from ..figures.summary import Figures
from ..metrics import split_hash

METHODS = {"wilson": "Wilson", "bca": "bootstrap over tasks (BCa)", "percentile": "bootstrap over tasks (percentile)"}


def facts_of(played: Played, total: Figures) -> dict[str, str]:
    """Return where the figures of a run come from, in reading order; what is not known is left out."""
    config, made = played.config, played.evaluation
    solver, model = config.solver, config.model
    release = played.release
    tasks = sorted(made.tasks if made is not None else played.tasks)
    method = METHODS.get(total.success.method)
    grammars = "+".join(sorted(played.total.grammars))
    budget = [f"{solver.max_steps} steps"]
    budget += [f"{solver.max_tokens:,} tokens"] if solver.max_tokens else []
    budget += [f"{solver.max_seconds:g} s"] if solver.max_seconds else []
    budget += [f"{solver.max_cost_usd:g} USD"] if solver.max_cost_usd else []
    found = {
        "run": str(played.path),
        "run id": played.run_id,
        "evaluation": made.id if made is not None else "none written (made by an earlier version)",
        "release": release.id if release is not None else "",
        "baseline": config.baseline or "",
        "model": release.base_model if release is not None else model.name,
        "adapter": (release.adapter or "") if release is not None else "",
        "memory": (release.memory_snapshot or "") if release is not None else "",
        "taskset": config.taskset.name,
        "split": f"{config.taskset.split} ({len(tasks):,} tasks, hash {split_hash(tasks)})",
        "seeds": f"tasks {config.taskset.seed}, sampling {config.collect.seed}",
        "samples per task": str(config.collect.samples)
        + (" on average, by how uncertain the answer is" if config.collect.allocate != "uniform" else ""),
        "protocol": f"{solver.protocol}, temperature {model.temperature:g}",
        "grammar": grammars,
        "budget of an episode": ", ".join(budget),
        "intervals": f"95 %, {method}; each task weighs the same" if method else "none: no outcome is known",
        "version": f"lamarck {made.version}" if made is not None else "",
        "repeat with": repeat(played),
    }
    return {name: text for name, text in found.items() if text}


def repeat(played: Played) -> str:
    """Return the command that plays the run again."""
    if played.evaluation is not None:
        return f"lamarck eval --again {shlex.quote(str(played.path))} --out NEW"
    return f"lamarck run --config {shlex.quote(str(played.path / 'run.toml'))} --out NEW"


def notes_of(played: Played, total: Figures) -> tuple[str, ...]:
    """Return what a reader should know before believing the figures: what was lost, and what was seen before."""
    found = total.infrastructure
    notes = []
    if found.lost or found.unfinished:
        notes.append(
            f"{found.lost + found.unfinished} of {found.planned} episodes have no outcome ({found.lost} lost to "
            f"infrastructure, {found.unfinished} not finished); they are in none of the figures."
        )
    if found.failed_attempts:
        where = ", ".join(f"{name} {count}" for name, count in sorted(found.boundaries.items()))
        notes.append(f"{found.failed_attempts} of {found.attempts} attempts failed by infrastructure ({where}).")
    if total.unknown:
        notes.append(f"{total.unknown} episodes ended without a word on success; they are in no success rate.")
    config, memory = played.config, played.config.memory
    folder = None if memory.mode == "off" or memory.path is None else Path(memory.path)
    seen = contamination(
        config.taskset.name,
        config.taskset.options,
        played.tasks,
        memory_mode=memory.mode,
        memory=folder,
        samples=config.collect.samples,
    )
    return (*notes, *seen.lines())


def brief_of(played: Played, total: Figures) -> tuple[str, ...]:
    """Return the facts that belong beside the figures, ids shortened."""
    made, config = played.evaluation, played.config
    found = [f"evaluation {made.id[:12]}"] if made is not None else []
    found += [f"release {played.release.id[:12]}", played.release.base_model] if played.release is not None else []
    tasks = sorted(made.tasks if made is not None else played.tasks)
    found += [f"split {config.taskset.split} ({split_hash(tasks)})"]
    found += [f"seeds {config.taskset.seed} and {config.collect.seed}"]
    return (*found, *([f"intervals {METHODS[total.success.method]}"] if total.success.method in METHODS else []))


def warning_of(total: Figures) -> str:
    """Return why the figures are no verdict on the agent, or nothing where they are."""
    found = total.infrastructure
    if found.share <= MAX_INFRASTRUCTURE:
        return ""
    return (
        f"no verdict, since {found.lost + found.unfinished} of {found.planned} episodes have no outcome "
        f"({found.lost} lost to infrastructure, {found.unfinished} not finished), more than {MAX_INFRASTRUCTURE:.0%}."
    )


def picked_of(played: Played) -> str:
    """Return how good the picked samples are, or nothing where none are picked."""
    try:
        found = played.picked()
    except ConfigError as error:
        # The other figures stand without it.
        return str(error)
    if found is None:
        return ""
    one = found.success
    return (
        f"picked by {found.rule}: success {100 * one.value:.1f} % [{100 * one.low:.1f}, {100 * one.high:.1f}] "
        f"on {found.tasks} tasks"
    )


def unlike_of(first: Played, other: Played) -> tuple[str, ...]:
    """Return in lines what differs between two evaluations, beside what came of them."""
    if first.evaluation is None or other.evaluation is None:
        return ("one of the runs has no evaluation.json, so what else differs is not known",)
    return tuple(differences(first.evaluation, other.evaluation))
