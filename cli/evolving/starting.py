"""What is wrong with an evolution and can be known before hours were spent on it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from ...agent.tasksets import load_taskset
from ...config_evolve import EvolveConfig
from ...errors import ConfigError, SandboxError
from ...evals.gate.held_out import names_in
from ...evals.probes.made_tools import MadeTools
from ...evals.probes.planted_tools import PlantedTools
from ...releases import Releases
from ..wire import select
from ..wire_tools import open_pool
from .home import Home
from .origin import Origin, of_adapter, of_release, told_by, whose
from .others import HELD_OUT, named, too_few
from .proposing import Proposing
from .verifying import Verifying

MEND = (
    "Name the runs it learned from by --set 'held_out.seen=[\"RUN\"]', or let it be unknown by --set "
    "'gate.waived=[\"held-out\"]'."
)
NAME = "Name the runs it learned from by --set 'held_out.seen=[\"RUN\"]'; for a release that was imported, RELEASE=RUN."
SANDBOXED = (MadeTools.name, PlantedTools.name)
"""Probes that cannot be asked without a sandbox."""


def check_start(config: EvolveConfig) -> None:
    """Refuse an adapter to begin with that leaves the gate shut for ever.

    Raises:
        ConfigError: it is not known what it was trained on, or it was trained on what is held out; or what
            `held_out.seen` names is not there, or tells of no task.
    """
    adapter, seen = config.run.model.adapter, told_by(config.held_out.seen)
    if not config.gated or (adapter is None and not seen):
        return
    origin = of_adapter(Path(adapter), "adapter") if adapter is not None else Origin()
    cleared = any(not ident for ident, _ in map(whose, config.held_out.seen))
    if origin.unknown and not cleared and "held-out" not in config.gate.waived:
        raise ConfigError(
            f"what {origin.unknown[0]} was trained on is not known here, so the gate could never promote anything.",
            hint=MEND,
        )
    known = {**origin.seen, **seen}
    names = _looked_at(config) if known else {}
    found = {ident: next((known[name] for name in own if name in known), None) for ident, own in names.items()}
    learned = {ident: where for ident, where in found.items() if where is not None}
    if learned:
        ident, where = next(iter(learned.items()))
        raise ConfigError(
            f"{len(learned)} of the {len(found)} held-out tasks were learned from before, the first is {ident}, in "
            f"{where}: the gate would refuse everything.",
            hint="Hold out others by --held-out and held_out.others, or begin without --adapter.",
        )


def check_exam(config: EvolveConfig, home: Home) -> None:
    """Refuse students whom no given task can measure, or whose exam leaves none to be played.

    Raises:
        LamarckError: there are such.
    """
    if config.propose.students.sets:
        Proposing(home, config, Verifying(home, config)).exam()


def _looked_at(config: EvolveConfig) -> dict[str, tuple[str, ...]]:
    """Return the names of all tasks that the gate looks at, those of other environments as well, as it calls them."""
    held = config.held_out
    own = config.run.taskset.model_copy(update={"split": held.split, "limit": held.limit, "ids": ()})
    found: dict[str, tuple[str, ...]] = {}
    for name, one in {HELD_OUT: own, **named(config)}.items():
        taskset = load_taskset(one.name, one.options)
        before = "" if name == HELD_OUT else f"{name}: "
        found |= {before + ident: names for ident, names in names_in(taskset, select(taskset, one)).items()}
    return found


def told(config: EvolveConfig, home: Home, releases: Releases) -> list[str]:
    """Return in lines what keeps the gate shut, as far as it can be known now: none where it is well.

    Raises:
        ConfigError: an environment is named that is not played, or something is not there.
    """
    if not config.gated:
        return []
    head = releases.head()
    lines = too_few(config)
    if head is not None and "held-out" not in config.gate.waived:
        unknown = of_release(home, releases, head.id, config.held_out.seen).unknown
        lines += [f"what {one} learned from is not known here, so the gate stays shut. {NAME}" for one in unknown]
    able = SANDBOXED if config.run.tools.make else SANDBOXED[1:]  # without made tools there are none to run
    asked = [name for name in (config.asked_probes or able) if name in able]
    if asked and "probes" not in config.gate.waived and (why := asyncio.run(_no_sandbox(config))) is not None:
        lines.append(
            f"{' and '.join(asked)} cannot be asked without a sandbox, so the gate stays shut: {why} Or name the "
            "probes that are asked, without these, by --set probes=[...]."
        )
    return lines


async def _no_sandbox(config: EvolveConfig) -> str | None:
    """Return why there is no sandbox, or None where there is one."""
    async with AsyncExitStack() as stack:
        try:
            await open_pool(config.run.sandbox.model_copy(update={"warm": 0}), stack)
        except SandboxError as error:
            return f"{error.message} {error.hint or ''}".strip()
    return None
