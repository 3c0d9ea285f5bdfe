"""Estimators by name with options, as a configuration speaks of them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError

from ...errors import ConfigError, TrainingError, boundary
from ..guests import guest, made, plugin, there_are
from .batch import ReinforcePlusPlus
from .episode import Advantages, Credit, Episode
from .table import estimators

ALIASES = {"reinforce++": "reinforce_pp", "hae": "hierarchical"}
"""Names of the literature for names of the table."""
COMPARE = frozenset({"grpo", "dr_grpo", "rloo", "gigpo", "gigpo_std", "hierarchical", "attribution"})
"""Estimators whose baseline is the group: an attempt without siblings, or with siblings that all got the same, has no
advantage but that of states it was in twice."""
GROUP = "lamarck.credits"
"""Entry points by which a package names estimators of its own."""
SHARES = frozenset({"gamma", "lam"})
"""Options from 0 to 1."""


class Need(NamedTuple):
    """What an estimator reads of an episode beyond its rewards, and how to get it."""

    what: str
    words: str
    hint: str


NEEDS = {
    "progress": Need(
        "progress",
        "the progress of each step",
        "An environment reports it as `score` or `progress` in the info of every step, an estimator writes one number "
        "per step into the trajectory's meta['progress']; or take grpo.credit = gigpo, which needs neither.",
    ),
    "attribution": Need(
        "labels",
        "a label of each step",
        "A verdict with step_scores, one per step, above 0 for good and below for bad, labels them; or take "
        "grpo.credit = gigpo, which needs none.",
    ),
}
"""What beyond rewards, by estimator; the others need none."""


def credit_named(name: str, options: Mapping[str, Any] | None = None) -> Credit:
    """Make the estimator called `name` with `options` as keywords: one of ours, `module:name`, or a
    name that a package gives in the entry points `lamarck.credits`.

    Raises:
        ConfigError: there is none of that name, or it does not take these options.
    """
    given = dict(options or {})
    if ":" in name:
        return _guest(name, given, guest(name, "grpo.credit"))
    ours = {credit.name: credit for credit in estimators()}
    found: Any = ours.get(ALIASES.get(name, name))
    if found is None and (factory := plugin(name, GROUP, "grpo.credit")) is not None:
        return _guest(name, given, factory)
    if found is None:
        raise ConfigError(
            f"grpo.credit is {name!r}; there are: {there_are([*ours, *ALIASES], GROUP)}.",
            hint="An estimator of your own is named as module:Class.",
        )
    fields = [field.name for field in dataclasses.fields(found) if field.name != "name"]
    for key, value in given.items():
        _check(name, key, value, fields)
    try:
        made: Credit = TypeAdapter(type(found)).validate_python({**dataclasses.asdict(found), **given})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"grpo.credit_options.{key} is {first['input']!r}: {first['msg'].lower()}.") from None
    return made


def compares(credit: Credit) -> bool:
    """Say whether an estimator compares attempts of a group, so that one alone, or equal ones, teach nothing."""
    if isinstance(credit, ReinforcePlusPlus):
        return credit.baseline
    return credit.name in COMPARE


def advantages_by(name: str, credit: Credit, groups: Sequence[Sequence[Episode]]) -> Advantages:
    """Return what an estimator says, one of the user's own included, which may do anything.

    Raises:
        TrainingError: an episode lacks what the estimator needs, it fails, or it gives too few numbers or too many.
    """
    with nullcontext() if _ours(name) else boundary(TrainingError, f"grpo.credit {name} failed"):
        found = credit.advantages(groups)
        given = [[len(values) for values in group] for group in found]
    wanted = [[len(one.rewards) for one in group] for group in groups]
    if given != wanted:
        raise TrainingError(
            f"grpo.credit {name} returns advantages of {_many(given)}, and there are {_many(wanted)}.",
            hint="It returns one number per step, for each episode of each group.",
        )
    return found


def _ours(name: str) -> bool:
    return name in ALIASES or name in {credit.name for credit in estimators()}


def _many(shape: Sequence[Sequence[int]]) -> str:
    return f"{len(shape)} groups with {sum(map(len, shape))} episodes and {sum(map(sum, shape))} steps"


def _check(name: str, key: str, value: Any, fields: list[str]) -> None:
    if key not in fields:
        raise ConfigError(
            f"grpo.credit_options.{key} is no option of {name}; there are: {', '.join(fields) or 'none'}."
        )
    number = value if isinstance(value, int | float) else None
    if number is None:
        return
    if not math.isfinite(number):
        raise ConfigError(f"grpo.credit_options.{key} is {value}, which is no number.")
    if key in SHARES and not 0 <= number <= 1:
        raise ConfigError(f"grpo.credit_options.{key} is {value}; it is from 0 to 1.")
    if key == "eps" and number <= 0:
        raise ConfigError(f"grpo.credit_options.eps is {value}; it is above 0, so that nothing is divided by 0.")


def _guest(name: str, options: dict[str, Any], factory: Any) -> Credit:
    found: Credit = made(name, factory, options, "grpo.credit")
    if not callable(getattr(found, "advantages", None)):
        raise ConfigError(f"grpo.credit {name} has no method advantages(groups).", hint="See training/credit.")
    if not isinstance(getattr(found, "name", None), str):
        raise ConfigError(f"grpo.credit {name} has no name.", hint="Give the class `name`, a short text.")
    return found
