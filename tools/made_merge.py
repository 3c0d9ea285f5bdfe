"""Tools that do the same: found among those that are there, and made one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .made import Example, MadeTool
from .made_log import ToolLog
from .made_shelf import Version
from .made_trial import Trial


class Merged(NamedTuple):
    """A tool that went into another one."""

    name: str
    into: str
    by: str
    """`code` or `behaviour`."""


async def like(
    trial: Trial, tool: MadeTool, examples: Sequence[Example], versions: Sequence[Version]
) -> Version | None:
    """Return the first version of another name that does the same as a tool, or None.

    Args:
        trial: runs both.
        tool: the tool.
        examples: what it did in its trial.
        versions: those it may be like.
    """
    for version in versions:
        other = version.tool
        if other.name != tool.name and await trial.alike(tool, examples, other, version.examples):
            return version
    return None


async def merge_alike(log: ToolLog, trial: Trial) -> list[Merged]:
    """Merge all tools that do the same, each into the one that came first: what parallel episodes leave to be done.

    Yunjue (2601.18226) does this after each batch; there a language model clusters and merges, here only what was seen
    to behave alike is merged, and nothing is rewritten.

    Raises:
        SandboxError, StoreError: infrastructure failed; what was merged until then stays merged.
    """
    done: list[Merged] = []
    for version in log.shelf().active():
        active = log.shelf().active()
        older = active[: next(n for n, v in enumerate(active) if v.tool.name == version.tool.name)]
        same = [v for v in older if log.same_code(v.tool, version.tool)]
        kept = same[0] if same else await like(trial, version.tool, version.examples, older)
        if kept is not None:
            by = "code" if same else "behaviour"
            if log.absorb(kept, version, by):
                done.append(Merged(version.tool.name, kept.tool.name, by))
    return done
