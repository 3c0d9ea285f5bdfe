"""Finding a proposer by name, entry point or `module:Class`."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...errors import ConfigError
from .proposer import Materials, Proposer

GROUP = "lamarck.proposers"
CURRICULA = {name: f"lamarck.agent.proposers.curriculum:{name}" for name in ("uniform", "bandit", "regret", "band")} | {
    "learnability": "lamarck.agent.proposers.curriculum:learnability"
}
"""The curricula that ship with Lamarck."""


def proposer_names(known: Mapping[str, str] = CURRICULA) -> list[str]:
    """Return the names of all proposers there are."""
    return sorted({*known, *(point.name for point in importlib.metadata.entry_points(group=GROUP))})


def load_proposer(
    name: str,
    materials: Materials,
    options: Mapping[str, Any] | None = None,
    known: Mapping[str, str] = CURRICULA,
) -> Proposer:
    """Make the proposer called `name` (a known one, a registered one, or `module:Class`).

    Args:
        name: whose name.
        materials: what it may work with; its first argument.
        options: its keywords.
        known: name -> `module:Class` of those that need no registration.

    Raises:
        ConfigError: there is none of that name, it does not import, or it does not take these options.
    """
    factory = _module_object(name, known.get(name, name)) if name in known or ":" in name else _registered(name, known)
    try:
        inspect.signature(factory).bind(materials, **dict(options or {}))
    except TypeError as error:
        takes = list(inspect.signature(factory).parameters)[1:]
        raise ConfigError(f"proposer {name}: {error}.", hint=f"It takes: {', '.join(takes) or 'no options'}.") from None
    proposer = factory(materials, **dict(options or {}))
    missing = [part for part in ("name", "propose", "feedback", "close") if not hasattr(proposer, part)]
    if missing:
        raise ConfigError(
            f"proposer {name} has no {' and no '.join(missing)}.",
            hint="A proposer has a name, propose(n, state), feedback(outcomes, state) and close().",
        )
    return proposer  # type: ignore[no-any-return]


def _registered(name: str, known: Mapping[str, str]) -> Callable[..., Any]:
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == name:
            try:
                return point.load()  # type: ignore[no-any-return]
            except (ImportError, AttributeError) as error:
                raise ConfigError(f"proposer {name} does not load: {error}.") from error
    raise ConfigError(
        f"there is no proposer {name!r}; there are: {', '.join(proposer_names(known))}.",
        hint="A class of your own is named as module:Class.",
    )


def _module_object(name: str, place: str) -> Callable[..., Any]:
    module_name, _, attribute = place.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        # A console script does not look in the working folder, where a user's module usually is.
        sys.path.insert(0, here)
    try:
        return getattr(importlib.import_module(module_name), attribute)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        raise ConfigError(f"proposer {name}: cannot import {module_name or 'nothing'}: {error}.") from error
    except AttributeError as error:
        raise ConfigError(f"proposer {name}: {module_name} has no {attribute}.") from error
