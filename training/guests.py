"""What a configuration names that is not ours: `module:name`, or what an installed package names by an entry point."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, boundary


def guest(name: str, what: str) -> Any:
    """Import `module:name`, also from the working folder.

    Args:
        name: module, colon, attribute.
        what: where it was named, for the message.

    Raises:
        ConfigError: the module does not import, or has no such name.
    """
    module, _, attribute = name.partition(":")
    if not module or module.startswith(".") or not attribute:
        raise ConfigError(f"{what} {name}: this is no module:name.")
    here = str(Path.cwd())
    if here not in sys.path:
        # A console script does not look in the working folder, where a user's module usually is.
        sys.path.insert(0, here)
    # The module is the user's, and may raise anything.
    with boundary(ConfigError, f"{what} {name}: cannot import {module}"):
        imported = importlib.import_module(module)
    try:
        return getattr(imported, attribute)
    except AttributeError as error:
        raise ConfigError(f"{what} {name}: {module} has no {attribute}.") from error


def made(name: str, factory: Any, options: Mapping[str, Any], what: str) -> Any:
    """Make what is named with its options.

    Args:
        name: how it is called.
        factory: a class, or another callable.
        options: keyword arguments.
        what: where it was named, for the message.

    Raises:
        ConfigError: it does not take these options, or cannot be made.
    """
    # The factory is the user's, and may raise anything.
    with boundary(ConfigError, f"{what} {name} cannot be made"):
        try:
            return factory(**options)
        except TypeError as error:
            raise ConfigError(f"{what} {name} does not take these options: {error}.") from None


def plugged(group: str) -> list[str]:
    """Return the names that installed packages give in a group of entry points."""
    return sorted({point.name for point in importlib.metadata.entry_points(group=group)})


def plugin(name: str, group: str, what: str) -> Any:
    """Return what an installed package calls `name` in a group of entry points, or None where none does.

    Raises:
        ConfigError: two packages give the name, or it does not load.
    """
    points = [point for point in importlib.metadata.entry_points(group=group) if point.name == name]
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        raise ConfigError(
            f"{what} {name}: several packages give it ({', '.join(sorted(point.value for point in points))}).",
            hint="Name the one that is meant as module:name.",
        )
    with boundary(ConfigError, f"{what} {name}: cannot load {points[0].value}"):
        return points[0].load()


def there_are(ours: Iterable[str], group: str) -> str:
    """Name what there is: ours, and what installed packages give."""
    return ", ".join(dict.fromkeys([*ours, *plugged(group)]))
