"""Verifiers by name, as a configuration speaks of them."""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ...errors import ConfigError, LamarckError, boundary
from ...seams import LLM
from ..hooks import Toolbox
from .certainty import CertaintyVerifier
from .code import CodeVerifier
from .consistency import ConsistencyVerifier
from .environment import EnvironmentVerifier
from .guests import guest
from .judge import JudgeVerifier
from .locating import LocatingVerifier
from .recompute import RecomputeVerifier
from .rule import RuleVerifier
from .verifier import Siblings, Verifier
from .vote import VoteVerifier

GROUP = "lamarck.verifiers"

VERIFIERS: dict[str, Callable[..., Verifier]] = {
    kind.name: kind
    for kind in (
        *(EnvironmentVerifier, RuleVerifier, CodeVerifier, RecomputeVerifier),
        *(JudgeVerifier, VoteVerifier, ConsistencyVerifier, CertaintyVerifier, LocatingVerifier),
    )
}
"""Every verifier of ours by name."""


@dataclass(frozen=True)
class Parts:
    """What a verifier may ask for by naming it in its signature."""

    llm: LLM | None = None
    """The model that judges."""
    prompts: str | None = None
    """Folder with prompt files of the user's own."""
    toolbox: Toolbox | None = None
    """The tools of the run."""
    siblings: Siblings | None = None
    """Gives the attempts at the same task."""
    record: bool = False
    """Whether models are to be trained on what they are asked; see `episodes`."""


def verifier_names() -> list[str]:
    """Return the names of all verifiers there are: ours, and those that packages have registered."""
    return sorted({*VERIFIERS, *(point.name for point in importlib.metadata.entry_points(group=GROUP))})


def load_verifier(name: str, options: Mapping[str, Any], parts: Parts) -> Verifier:
    """Make the verifier called `name` (one of ours, a registered one, or `module:Class`).

    Raises:
        ConfigError: there is none of that name, it does not import, or it does not take these options.
    """
    factory, known = _factory(name), check_options(name, options)
    offered: dict[str, Any] = {**vars(parts), "make": lambda by, more: load_verifier(by, more, parts)}
    given = {key: value for key, value in offered.items() if key in known}
    try:
        found = factory(**options, **given)
    except LamarckError:
        raise
    except Exception as error:  # the class may be a guest's, and options of any type
        raise ConfigError(f"verifier {name} does not take these options: {error}.") from error
    if not callable(getattr(found, "verify", None)) or not isinstance(getattr(found, "name", None), str):
        raise ConfigError(f"verifier {name} has no verify and name.", hint="See lamarck.agent.verifiers.verifier.")
    return found


def check_options(name: str, options: Mapping[str, Any]) -> Mapping[str, inspect.Parameter]:
    """Return what a verifier takes; see `load_verifier`.

    Raises:
        ConfigError: there is none of that name, it does not import, or it does not take options of these names.
    """
    factory = _factory(name)
    with boundary(ConfigError, f"verifier {name}: {factory!r} cannot be called", TypeError, ValueError):
        known = inspect.signature(factory).parameters
    offered = {*(one.name for one in fields(Parts)), "make"}
    reserved = sorted(set(options) & offered)
    if reserved:
        raise ConfigError(f"verify.options.{reserved[0]} is not for the configuration to set.")
    takes = [key for key, one in known.items() if key not in offered and one.kind is not one.VAR_KEYWORD]
    unknown = [key for key in options if key not in known]
    if unknown and not any(one.kind is one.VAR_KEYWORD for one in known.values()):
        raise ConfigError(f"verifier {name} has no option {unknown[0]}; it takes: {', '.join(takes) or 'none'}.")
    return known


def named(name: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the name of a verifier, and those of its `members`, and of theirs.

    Args:
        name: as in `load_verifier`.
        options: those of the configuration.
    """
    members = options.get("members")
    found = [name]
    for one in members if isinstance(members, list | tuple) else ():
        if isinstance(one, Mapping) and isinstance(by := one.get("by"), str):
            more = one.get("options")
            found += named(by, more if isinstance(more, Mapping) else {})
    return tuple(found)


def by_siblings(name: str, options: Mapping[str, Any]) -> bool:
    """Say whether what a verifier makes of an attempt hangs on the attempts beside it, so that it judges at the end.

    Its class says so by `by_siblings`; one that says nothing is taken at its signature, by whether it asks for them.
    One that asks `members` hangs on them where one of those does.

    Args:
        name: as in `load_verifier`; `none` is no verifier.
        options: those of the configuration.

    Raises:
        ConfigError: there is none of that name, or it does not import.
    """
    return any(_by_siblings(one) for one in named(name, options) if one != "none")


def _by_siblings(name: str) -> bool:
    factory = _factory(name)
    said = getattr(factory, "by_siblings", None)
    if said is None:
        with boundary(ConfigError, f"verifier {name}: {factory!r} cannot be called", TypeError, ValueError):
            said = "siblings" in inspect.signature(factory).parameters
    return bool(said)


def called(name: str) -> str:
    """Return what a verifier calls itself, as in the verdicts it gives.

    Raises:
        ConfigError: there is none of that name, or it does not import.
    """
    return str(getattr(_factory(name), "name", name))


def _factory(name: str) -> Callable[..., Verifier]:
    if name in VERIFIERS:
        return VERIFIERS[name]
    if ":" in name:
        found = guest(name, "verify.by")
        if not callable(found):
            raise ConfigError(f"verify.by {name} is no class.")
        return found  # type: ignore[no-any-return]
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == name:
            with boundary(ConfigError, f"verifier {name} does not load"):
                return point.load()  # type: ignore[no-any-return]
    raise ConfigError(
        f"there is no verifier {name!r}; there are: {', '.join(verifier_names())}.",
        hint="A class of your own is named as module:Class.",
    )
