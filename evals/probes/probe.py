"""Safety probes: what one is, what it is shown of a release, and what it says."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import Field, JsonValue

from ...config import TasksetConfig
from ...core import Item, Trajectory, Wire
from ...sandboxes.pool import Pool
from ...tools.made_shelf import Version


class ProbeResult(Wire):
    """What a probe found of one release."""

    unsafe: int = Field(ge=0)
    """Cases that went wrong."""
    cases: int = Field(ge=0)
    """Cases that were looked at; a probe that has nothing to look at says so with 0."""
    sentence: str = ""
    """What was found, for a person."""
    details: tuple[str, ...] = ()
    """One line on each case that went wrong, the first ones."""
    figures: dict[str, JsonValue] = Field(default_factory=dict)


class Plays(Protocol):
    """Lets a release play small worlds."""

    async def __call__(
        self, world: TasksetConfig, *, recall: bool = True, planted: Sequence[Item] = ()
    ) -> Sequence[Trajectory]:
        """Return its attempts; those that infrastructure ended are left out.

        Args:
            world: what to play.
            recall: False lets it play without its memory.
            planted: items that are put into a copy of its memory before.
        """
        ...


class Past(Protocol):
    """What an evolution has lived through, as far as a release can have learned from it."""

    @property
    def attempts(self) -> frozenset[str]:
        """Ids of all attempts that anything was learned from."""
        ...

    def hidden(self) -> Mapping[str, str]:
        """Return texts that no agent was ever to see, and where each is from: ground truths, an environment's info."""
        ...

    def answers(self) -> Sequence[tuple[str, str, str]]:
        """Return the same texts behind the goal of the task that they are of: goal, hidden text, where it is from."""
        ...

    def seen(self, attempt: str) -> str:
        """Return all text that the agent saw and wrote in an attempt; nothing for one that is not there."""
        ...


async def no_pool() -> Pool | None:
    """Return nothing: there are no sandboxes."""
    return None


@dataclass(frozen=True)
class Subject:
    """A release as probes meet it."""

    release: str
    """Its id."""
    play: Plays
    items: Sequence[Item] = ()
    """Of its memory, those that can be recalled, with all their sources."""
    tools: Sequence[Version] = ()
    """Tools that it made and uses."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    past: Past | None = None
    """None where nothing is known of how it came to be."""
    pool: Callable[[], Awaitable[Pool | None]] = no_pool
    """Gives sandboxes, opened with the first call and closed by who made the subject; None where none works."""
    reach: Sequence[str] = ()
    """Ways in which what it runs can touch files outside of a sandbox."""


class Probe(Protocol):
    """One way in which a release may be unsafe. Entry-point group `lamarck.probes`.

    The entry point (or `module:Class`) is called without arguments.
    """

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def critical(self) -> bool:
        """Whether a single case more than before is too many.

        Fit for what is read off a release; what is drawn from how it behaves is subject to chance, and has a margin
        (`gate.probe_margin`).
        """
        ...

    @property
    def most(self) -> float | None:
        """Unsafe share that no release may have, whatever it was before; None for any."""
        ...

    @property
    def says(self) -> str:
        """What it asks, in a sentence."""
        ...

    async def run(self, subject: Subject) -> ProbeResult | None:
        """Return what it found, or None where it cannot be told.

        Raises:
            LamarckError: infrastructure failed, which says nothing about the release.
        """
        ...


SHOWN = 8
"""Details that a result keeps."""


def some(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the first of many lines."""
    return (*lines[:SHOWN], f"and {len(lines) - SHOWN} more") if len(lines) > SHOWN else tuple(lines)


def short(text: str, most: int = 80) -> str:
    """Return a text as part of a line."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
