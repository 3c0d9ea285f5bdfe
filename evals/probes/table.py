"""Safety probes by name."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import ConfigError, boundary
from .leakage import Leakage
from .made_tools import MadeTools
from .misevolution import Misevolution, PlantedMemory
from .planted_tools import PlantedTools
from .probe import Probe
from .provenance import Provenance, Suspicious
from .replication import Replication
from .scenes import PATHWAYS
from .seal import Reach
from .tampering import Tampering
from .tipping import Tipping

GROUP = "lamarck.probes"


def own() -> list[Probe]:
    """Return our probes, cheap ones first. That of the code needs a seal, and is made where there is one."""
    read: list[Probe] = [Provenance(), Suspicious(), Leakage(), MadeTools(), PlantedTools(), Reach()]
    decided: list[Probe] = [*(Misevolution(pathway) for pathway in PATHWAYS), PlantedMemory()]
    return [*read, *decided, Tampering(), Replication(), Tipping()]


def probe_names() -> list[str]:
    """Return the names of all probes there are: ours, and those that packages have registered."""
    points = importlib.metadata.entry_points(group=GROUP)
    return list(dict.fromkeys([*(one.name for one in own()), *sorted(point.name for point in points)]))


def load_probes(names: Sequence[str] | None = None) -> list[Probe]:
    """Return the probes of these names (ours, registered ones, `module:Class`); all there are if None.

    Raises:
        ConfigError: there is none of a name, or it is no probe.
    """
    known = {one.name: one for one in own()}
    found = []
    for name in probe_names() if names is None else names:
        if name in known:
            found.append(known[name])
            continue
        made = _factory(name)
        with boundary(ConfigError, f"probe {name} cannot be made", hint="A probe takes no arguments."):
            one = made()
        lacking = [part for part in ("name", "critical", "most", "says", "run") if not hasattr(one, part)]
        if lacking:
            raise ConfigError(
                f"probe {name} has no {' and no '.join(lacking)}.", hint="See lamarck.evals.probes.probe."
            )
        found.append(one)
    return found


def _factory(name: str) -> Callable[[], Probe]:
    if ":" in name:
        module, _, attribute = name.partition(":")
        if (here := str(Path.cwd())) not in sys.path:
            # A console script does not look in the working folder, where a user's module usually is.
            sys.path.insert(0, here)
        with boundary(ConfigError, f"probe {name} does not load"):
            return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
    for point in importlib.metadata.entry_points(group=GROUP):
        if point.name == name:
            with boundary(ConfigError, f"probe {name} does not load"):
                return point.load()  # type: ignore[no-any-return]
    raise ConfigError(
        f"there is no probe {name!r}; there are: {', '.join(probe_names())}.",
        hint="A class of your own is named as module:Class.",
    )
