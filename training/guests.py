"""What a configuration names as `module:name`: a function or class of the user's own."""

from __future__ import annotations

import importlib
import sys
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
