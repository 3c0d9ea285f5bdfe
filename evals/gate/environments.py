"""What a gate asks of other environments: that they are not forgotten."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydantic import JsonValue

from ...config_gate import GateConfig
from ...core_evolution import Check
from ..figures.paired import holm
from .checks import episodes, fell, one_sided, outcomes
from .claims import Claim, claim, latest
from .evidence import Environment, Evidence
from .spending import Account, share
from .wealth import MOST, log_wealth_of
from .words import between, count, points


def environments(evidence: Evidence, config: GateConfig, spend: Account) -> Check:
    """Ask whether another environment was forgotten.

    Fail: one fell by more than `forget_margin` in what was seen, and significantly (exact, one-sided, Holm over the
    environments, at `fall_alpha`). Pass: of every environment that is handed in or named in the settings, the e-value
    against "it fell by the margin or more" has reached 1 / alpha. Else unknown; so is an environment that is named and
    not handed in, or lacks too many outcomes. Where none is named and none handed in there is nothing to forget, and
    the check passes and says so.
    """
    places = {one.name: one for one in evidence.others}
    names = list(dict.fromkeys((*config.environments, *places)))
    if not names:
        return Check(
            name="environments", outcome="pass", sentence="No other environment is named, so none is asked for."
        )
    adjusted = _fallen({name: latest(place.gaps(config.by), config) for name, place in places.items()})
    rows: dict[str, JsonValue] = {}
    answers: dict[str, list[str]] = {"pass": [], "fail": [], "unknown": []}
    further: list[int | None] = []
    for name in names:
        if name not in places:
            answers["unknown"].append(f"{name} was not played")
            rows[name] = {"outcome": "unknown"}
            further.append(None)
            continue
        answer, said, found, more = _kept(places[name], config, spend, adjusted[name])
        answers[answer].append(said)
        rows[name] = {"outcome": answer, "p_fell": float(f"{adjusted[name]:.6g}"), **found.figures()}
        if answer == "unknown":
            further.append(more)
    figures: dict[str, JsonValue] = {"environments": rows}
    allowed = f"{100 * config.forget_margin:g} points"
    if answers["fail"]:
        sentence = f"Forgotten by more than {allowed}: {'; '.join(answers['fail'])}."
        return Check(name="environments", outcome="fail", sentence=sentence, figures=figures)
    if answers["unknown"]:
        known = [more for more in further if more is not None]
        figures |= {"further_episodes": sum(known)} if known else {}
        sentence = f"Not shown to have kept within {allowed}: {'; '.join(answers['unknown'])}."
        return Check(name="environments", outcome="unknown", sentence=sentence, figures=figures)
    sentence = f"Kept within {allowed}: {'; '.join(answers['pass'])}."
    return Check(name="environments", outcome="pass", sentence=sentence, figures=figures)


def ties_needed(config: GateConfig, number: int) -> int:
    """Return how many tasks, all of them with the same outcome as before, show that nothing was lost; `MOST` where no
    number that can be played does.

    Args:
        config: margin, level and rounds.
        number: which test on these tasks it is.
    """
    needed = math.log(config.rounds) - math.log(config.alpha * share(number))

    def enough(tasks: int) -> bool:
        return log_wealth_of({0.0: tasks}, -config.forget_margin) >= needed

    low, high = 0, 1
    while not enough(high):
        low, high = high, 2 * high
        if low >= MOST:
            return MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _kept(place: Environment, config: GateConfig, spend: Account, p: float) -> tuple[str, str, Claim, int | None]:
    """Return what is known of one environment: the outcome, a clause, the claim, and further episodes."""
    found = claim(place.gaps(config.by), config, spend.alpha, bound=-config.forget_margin, least=0.0)
    missing = outcomes(place, config)
    if missing.outcome != "pass":
        more = missing.figures["further_episodes"]
        return "unknown", f"{place.name}: {missing.sentence.rstrip('.')}", found, int(str(more))
    said = f"{place.name} {points(found.value)} {between(found.low, found.high)} on {count(found.tasks, 'task')}"
    if found.shown:
        return "pass", said, found, None
    if fell(found.value, p, config.forget_margin, config.fall_alpha):
        return "fail", f"{said}, p {p:.2g}", found, None
    tasks = found.further(0.0)
    if tasks is None:
        return "unknown", said, found, None
    more = episodes(tasks, config, found.rounds)
    return "unknown", f"{said}, about {more:,} further episodes", found, more


def _fallen(values: dict[str, list[float]]) -> dict[str, float]:
    """Return the p of "it did not fall" of each, adjusted for how many there are."""
    found: Sequence[float] = holm([one_sided(own, -1)[0] for own in values.values()])
    return dict(zip(values, found, strict=True))
