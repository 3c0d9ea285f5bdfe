"""What a gate asks of the held-out tasks: that there are outcomes, that nobody saw them, that there is a gain."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from pydantic import JsonValue

from ...config_gate import GateConfig
from ...core_evolution import Check
from ..figures.outcomes import Sample
from ..figures.paired import mcnemar, sign_flip
from .claims import Claim, against, claim, latest
from .evidence import Environment, Evidence, outcome
from .spending import Account
from .words import between, count, percent, points, some

FLIPS = 2_000
"""Signs drawn for a p-value, where there are several samples per task."""

OFTEN = 0.2
"""How much more often than not a saving must be there for which further episodes are worked out: 60 to 40."""

READ: dict[str, Callable[[Sample], float]] = {
    "tokens": lambda one: float(one.usage.tokens),
    "cost": lambda one: one.usage.cost_usd,
    "seconds": lambda one: one.seconds,
    "steps": lambda one: float(one.steps),
}


def outcomes(place: Environment, config: GateConfig) -> Check:
    """Ask whether enough pairs have an outcome; who is missing is not left to chance."""
    pairs = sum(map(len, place.gaps(config.by).values()))
    planned = max(place.planned, pairs)
    share = (planned - pairs) / planned if planned else 1.0
    figures: dict[str, JsonValue] = {"pairs": pairs, "planned": planned, "missing": share}
    if share <= config.max_missing:
        return Check(
            name="outcomes",
            outcome="pass",
            sentence=f"{pairs:,} of {count(planned, 'pair')} have both outcomes.",
            figures=figures,
        )
    lacking = {
        who: planned - sum(outcome(one, config.by) is not None for one in side.samples)
        for who, side in (("incumbent", place.incumbent), ("candidate", place.candidate))
    }
    figures |= {"lacking": dict[str, JsonValue](lacking), "further_episodes": sum(lacking.values())}
    who = " and ".join(f"{number:,} of the {name}" for name, number in lacking.items())
    return Check(
        name="outcomes",
        outcome="unknown",
        sentence=f"{planned - pairs:,} of {count(planned, 'pair')} lack an outcome ({who}), more than "
        f"{percent(config.max_missing)}: resume the runs before anything is decided.",
        figures=figures,
    )


def held_out(evidence: Evidence) -> Check:
    """Ask whether any held-out task was learned from, by what tasks contain; those of other environments alike.

    Fails, and names the tasks, where one was. Unknown where it is not known what was learned from, or what a task
    contains.
    """
    names = _names(evidence.held_out)
    for place in evidence.others:
        names |= {f"{place.name}: {ident}": found for ident, found in _names(place).items()}
    ids = sorted(names)
    nameless = [ident for ident in ids if not names[ident]]

    def answer(outcome: str, sentence: str, **figures: JsonValue) -> Check:
        return Check.model_validate(
            {"name": "held-out", "outcome": outcome, "sentence": sentence, "figures": {"tasks": len(ids), **figures}}
        )

    if evidence.seen is None:
        return answer("unknown", "What the candidate learned from is not known, so no task is known to be held out.")
    found = {ident: evidence.seen[name] for ident in ids for name in names[ident] if name in evidence.seen}
    if found:
        where = some(sorted(set(found.values())), 3)
        return answer(
            "fail",
            f"{count(len(found), 'held-out task')} of {len(ids):,} had been learned from in {where}: "
            f"{some(list(found))}.",
            overlap=dict[str, JsonValue](found),
        )
    if evidence.unknown:
        what = f"What {some(list(evidence.unknown), 3)} learned from is not known, so nothing is known as held out."
        return answer("unknown", what, unknown=list[JsonValue](evidence.unknown))
    if nameless or not ids:
        what = (
            f"What is in {count(len(nameless), 'task')} is not known ({some(nameless)})." if ids else "There are none."
        )
        return answer("unknown", what, nameless=list[JsonValue](nameless))
    return answer(
        "pass", f"None of {count(len(ids), 'task')} is among the {len(evidence.seen):,} names of what was seen."
    )


def _names(place: Environment) -> dict[str, tuple[str, ...]]:
    """Return the names of the tasks of an environment by what is in them, by id."""
    ids = {one.task_id for side in (place.incumbent, place.candidate) for one in side.samples}
    return {ident: tuple(place.names.get(ident, ())) for ident in ids}


def gain(evidence: Evidence, config: GateConfig, spend: Account) -> Check:
    """Ask whether the candidate is better.

    Pass: the e-value against "it is no better on average" has reached 1 / alpha. Fail: a gain as large as matters is
    unlikely, that is, the e-value against "it is better by `least_gain` or more" has reached 1 / (1 - power). Else
    unknown, with the episodes it would take at the difference seen and at the least that matters.
    """
    place = evidence.held_out
    gaps = place.gaps(config.by)
    found = claim(gaps, config, spend.alpha, bound=0.0, least=config.least_gain)
    futile = against(gaps, config, config.least_gain)
    values = latest(gaps, config)
    wins, losses = sum(value > 0 for value in values), sum(value < 0 for value in values)
    p, test = one_sided(values, 1)
    figures = found.figures() | {"e_against_least_gain": float(f"{math.exp(min(futile, 700)):.6g}")}
    figures |= {"wins": wins, "losses": losses, "p": float(f"{p:.6g}"), "test": test}
    said = (
        f"{points(found.value)} points {between(found.low, found.high)} on {count(found.tasks, 'task')}, "
        f"{wins:,} won and {losses:,} lost; {_evidence(found)}"
        if values
        else "There are no pairs yet"
    )
    if found.shown:
        return Check(name="gain", outcome="pass", sentence=f"{said}.", figures=figures)
    if futile >= -math.log(1 - config.power):
        return Check(
            name="gain",
            outcome="fail",
            sentence=f"{said}. It is not better by the {100 * config.least_gain:g} points that matter.",
            figures=figures,
        )
    return _open("gain", said, figures, found, config, config.least_gain)


def not_worse(evidence: Evidence, config: GateConfig, spend: Account) -> Check:
    """Ask, of a change that only saves something, whether the candidate is worse by less than the margin.

    Pass: the e-value against "it is worse by the margin or more" has reached 1 / alpha. Fail: it fell by more than the
    margin and significantly below 0, see `fell`. Else unknown.
    """
    gaps = evidence.held_out.gaps(config.by)
    found = claim(gaps, config, spend.alpha, bound=-config.margin, least=0.0)
    p, test = one_sided(latest(gaps, config), -1)
    figures = found.figures() | {"p_fell": float(f"{p:.6g}"), "test": test}
    said = (
        f"{points(found.value)} points {between(found.low, found.high)} on {count(found.tasks, 'task')}, where "
        f"{points(-config.margin)} is put up with; {_evidence(found)}"
        if found.tasks
        else "There are no pairs yet"
    )
    if found.shown:
        return Check(name="not worse", outcome="pass", sentence=f"{said}.", figures=figures)
    if fell(found.value, p, config.margin, config.fall_alpha):
        return Check(name="not worse", outcome="fail", sentence=f"{said}. It is worse.", figures=figures)
    return _open("not worse", said, figures, found, config, 0.0)


def saving(evidence: Evidence, config: GateConfig, spend: Account) -> Check:
    """Ask whether the candidate saves what it was to save.

    Costs have no bounds, so a pair counts by its sign: 1 where the candidate took less than 1 - `least_saving` of what
    the incumbent took, -1 where it took more, 0 where both took exactly that. Pass: the e-value against "no more often
    less than more" has reached 1 / alpha, and all pairs together saved that share too, so that many small savings do
    not hide a large loss. Fail: the e-value against "no more often more than less" has. Else unknown.
    """
    read, kept = READ[config.saving], 1 - config.least_saving
    place = evidence.held_out
    every = place.paired(read, lambda old, new: float((new < kept * old) - (new > kept * old)))
    # Only pairs that have outcomes: an attempt that infrastructure ended early is cheap.
    known = place.gaps(config.by)
    gaps = {task: {n: every[task][n] for n in samples} for task, samples in known.items()}
    found = claim(gaps, config, spend.alpha, bound=0.0, least=OFTEN)
    before, after = (
        sum(read(one) for one in side.samples if one.sample in known.get(one.task_id, ()))
        for side in (place.incumbent, place.candidate)
    )
    share = 1 - after / before if before else 0.0
    figures = found.figures() | {"before": before, "after": after, "saved": float(f"{share:.6g}")}
    said = (
        f"{before:,.6g} {config.saving} before and {after:,.6g} after, {percent(share)} saved, and {percent(kept)} "
        f"or less in {points(found.value)} points more of the tasks than not; {_evidence(found)}"
    )
    if found.shown and share >= config.least_saving:
        return Check(name="saving", outcome="pass", sentence=f"{said}.", figures=figures)
    if against(gaps, config, 0.0) >= -math.log(spend.alpha):
        said = f"{said}. It does not save {percent(config.least_saving)}"
        return Check(name="saving", outcome="fail", sentence=f"{said}.", figures=figures)
    return _open("saving", said, figures, found, config, OFTEN)


def fell(value: float, p: float, margin: float, alpha: float) -> bool:
    """Say whether something is known to have fallen too far: by more than the margin, and significantly below 0."""
    return value < -margin and p <= alpha


def one_sided(values: Sequence[float], sign: int) -> tuple[float, str]:
    """Return the exact p of "no difference" against one direction, and the name of the test.

    It is for a number of tasks fixed beforehand. Half of McNemar's two-sided exact p, where tasks are won, lost or
    tied; else half of the sign-flip test's, which is the same test for means of several samples.

    Args:
        values: candidate minus incumbent, one per task.
        sign: 1 for better, -1 for worse.
    """
    single = all(value in (-1.0, 0.0, 1.0) for value in values)
    name = "McNemar exact" if single else "sign flip"
    if sign * sum(values) <= 0:
        return 1.0, name
    if single:
        return mcnemar(sum(value < 0 for value in values), sum(value > 0 for value in values)).exact / 2, name
    return sign_flip(values, resamples=FLIPS) / 2, name


def episodes(tasks: int, config: GateConfig, found: int) -> int:
    """Return how many episodes of both releases some further tasks are, in the round that is being played."""
    return int(2 ** max(1, found)) * tasks * config.samples


def _evidence(found: Claim) -> str:
    return f"evidence {math.exp(min(found.log_e, 700)):,.3g} of the {1 / found.alpha:,.3g} needed"


def _open(name: str, said: str, figures: dict[str, JsonValue], found: Claim, config: GateConfig, least: float) -> Check:
    """Return that a claim is not settled, and what would settle it."""
    tasks = found.further(least)
    if tasks is None:
        return Check(name=name, outcome="unknown", sentence=f"{said}; no end is in sight.", figures=figures)
    further = episodes(tasks, config, found.rounds)
    what = "as it seems" if found.value >= least else "what is to be shown at the least"
    return Check(
        name=name,
        outcome="unknown",
        sentence=f"{said}; about {count(tasks, 'further task')} ({further:,} episodes) would show it with a chance of "
        f"{percent(config.power)}, were the difference {what}.",
        figures=figures | {"further_episodes": further},
    )
