"""What a configuration names as `module:name`: a verifier or a rule of the user's own."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from ...errors import ConfigError, boundary


def guest(name: str, where: str) -> Any:
    """Import `module:name`, also from the working folder.

    Raises:
        ConfigError: it is no such name, the module does not import, or has no such attribute.
    """
    module, _, attribute = name.partition(":") if isinstance(name, str) else ("", "", "")
    if not module or module.startswith(".") or not attribute:
        raise ConfigError(f"{where} {name!r}: this is no module:name.")
    here = str(Path.cwd())
    if here not in sys.path:
        # A console script does not look in the working folder, where a user's module usually is.
        sys.path.insert(0, here)
    # The module is the user's, and may raise anything.
    with boundary(ConfigError, f"{where} {name}: cannot import {module}"):
        imported = importlib.import_module(module)
    if not hasattr(imported, attribute):
        raise ConfigError(f"{where} {name}: {module} has no {attribute}.")
    return getattr(imported, attribute)
