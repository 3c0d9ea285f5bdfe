"""Baselines by name: settings of the same agent, kept as data in `baselines.toml`, so that every claim has something
beside it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from typing import Any

from ..config import RunConfig
from ..errors import ConfigError
from ..rundir import flatten

LEAVE = "Leave that setting as it is, or leave out --baseline."


@dataclass(frozen=True)
class Baseline:
    """One baseline."""

    name: str
    title: str
    """What it does, in one line."""
    source: str
    """The paper it comes from."""
    sees: str
    """What of the outcome it may see while it plays."""
    settings: Mapping[str, Any]
    """Dotted keys of the configuration and their values."""
    fixed: tuple[str, ...] = ()
    """Those settings without which it would be something else."""
    never: Mapping[str, Any] = field(default_factory=dict)
    """Values of other settings with which it would be something else."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON-serialisable values."""
        return asdict(self)

    def check(self, config: RunConfig) -> None:
        """See that a configuration is still this baseline.

        Raises:
            ConfigError: a setting that makes it what it is was changed; says which.
        """
        tree = flatten(config.model_dump(mode="json"))
        for key in self.fixed:
            if tree.get(key) != self.settings[key]:
                raise ConfigError(
                    f"baseline {self.name} has {key} = {self.settings[key]!r}, and it is {tree.get(key)!r} here.",
                    hint=LEAVE,
                )
        for key, value in self.never.items():
            if tree.get(key) == value:
                raise ConfigError(f"{key} = {value!r} makes something else of baseline {self.name}.", hint=LEAVE)


def baselines() -> dict[str, Baseline]:
    """Return all baselines by name, in the order of the file."""
    text = resources.files(__package__).joinpath("baselines.toml").read_text(encoding="utf-8")
    return {
        name: Baseline(
            name=name,
            title=entry["title"],
            source=entry["source"],
            sees=entry["sees"],
            settings=flatten(entry["settings"]),
            fixed=tuple(entry["fixed"]),
            never=flatten(entry.get("never", {})),
        )
        for name, entry in tomllib.loads(text).items()
    }


def baseline(name: str) -> Baseline:
    """Return a baseline by name.

    Raises:
        ConfigError: there is none of that name; says which there are.
    """
    found = baselines().get(name)
    if found is None:
        raise ConfigError(f"there is no baseline {name!r}; there are: {', '.join(baselines())}.")
    return found
