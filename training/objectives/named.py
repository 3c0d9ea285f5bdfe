"""Objectives by name with options, as a configuration speaks of them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from ...errors import ConfigError, TrainingError, boundary
from ..guests import guest, made, plugin, there_are
from .mixed import Mixed
from .nft import NFT
from .objective import Objective, Tokens

if TYPE_CHECKING:
    from torch import Tensor

GROUP = "lamarck.objectives"
"""Entry points by which a package names objectives of its own."""
OBJECTIVES: Mapping[str, type[Objective]] = {"nft": NFT, "mixed": Mixed}


def objective_named(name: str, options: Mapping[str, Any] | None = None) -> Objective:
    """Make the objective called `name` with `options` as keywords.

    Args:
        name: one of ours, `module:name`, or a name that a package gives in the entry points `lamarck.objectives`. A
            class is made with the options, a function is called with them beside the tokens.
        options: keyword arguments.

    Raises:
        ConfigError: there is none of that name, or it does not take these options.
    """
    given = dict(options or {})
    if name in OBJECTIVES:
        return _ours(name, given)
    found = guest(name, "grpo.objective") if ":" in name else plugin(name, GROUP, "grpo.objective")
    if found is None:
        raise ConfigError(
            f"grpo.objective is {name!r}; there are: {there_are(OBJECTIVES, GROUP)}.",
            hint="One of your own is named as module:name; without one TRL's loss type counts (grpo.loss).",
        )
    if inspect.isclass(found):
        found, given = made(name, found, given, "grpo.objective"), {}
    if not callable(found):
        raise ConfigError(f"grpo.objective {name} is no function.", hint="See training/objectives/objective.py.")
    _takes(name, found, given)
    return Own(name, functools.partial(found, **given))


@dataclass(frozen=True)
class Own:
    """An objective of the user's own, which may do anything, with its failures told in one line."""

    name: str
    inner: Callable[..., Any]

    def __call__(self, tokens: Tokens) -> tuple[Tensor, Mapping[str, float]]:
        """Return what it returns.

        Raises:
            TrainingError: it fails, or returns something else than a number per token and figures.
        """
        with boundary(TrainingError, f"grpo.objective {self.name} failed"):
            losses, figures = self.inner(tokens)
            found = {str(key): float(value) for key, value in figures.items()}
            shape = tuple(losses.shape)
        if shape != tuple(tokens.mask.shape):
            raise TrainingError(
                f"grpo.objective {self.name} returns losses of shape {shape} for tokens of {tuple(tokens.mask.shape)}.",
                hint="It returns one number per token, also for those with mask 0.",
            )
        return losses, found


def _takes(name: str, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
    """Make sure that a function can be called with tokens and these options, before there is training."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some that are not written in Python tell none
        return
    try:
        signature.bind(None, **options)
    except TypeError as error:
        raise ConfigError(f"grpo.objective {name} does not take tokens and these options: {error}.") from None


def _ours(name: str, options: dict[str, Any]) -> Objective:
    fields = list(inspect.signature(OBJECTIVES[name]).parameters)
    unknown = next((key for key in options if key not in fields), None)
    if unknown is not None:
        raise ConfigError(f"grpo.objective_options.{unknown} is no option of {name}; there are: {', '.join(fields)}.")
    try:
        return TypeAdapter(OBJECTIVES[name]).validate_python(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigError(f"grpo.objective_options.{key} is {first['input']!r}: {first['msg'].lower()}.") from None
