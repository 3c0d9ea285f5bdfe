"""How far the memory of a generation has learned, written down on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ...agent.evolution.generation import Figures
from ...core import Item, Usage, Wire
from ...errors import ConfigError
from ...memory.bank import Memory
from .home import write

FILE = "learned.json"
EVENTS = {"new": "created", "merged": "merged", "newly_retired": "retired"}
"""What distilling counts, by what the memory's log calls it."""


class Made(Wire):
    """What was made of an attempt, before it is in the memory."""

    attempt: str
    items: tuple[Item, ...]
    since: int
    """Number of the last event in the memory's log before any of them was remembered."""

    def left(self, memory: Memory) -> list[Item]:
        """Return the items that the memory has neither taken nor merged into others: nobody else writes to it."""
        query = "SELECT subject, event, detail FROM item_log WHERE seq > ? AND event IN ('created', 'merged')"
        there = {
            str(subject) if event == "created" else str(json.loads(str(detail))["item"])
            for subject, event, detail in memory.store.select(query, (self.since,))
        }
        return [item for item in self.items if item.id not in there]


class Learned(Wire):
    """Where the memory stood before, and what has been distilled since.

    A model that distils does not say the same twice, so what it said of an attempt is written down before any of it is
    remembered: after a crash it is not asked again, nor with a later link of a chain.
    """

    since: int | None = None
    """Number of the last event in the memory's log before the generation distilled anything; None until it does."""
    links: int = 0
    """Links of chains that were learned from."""
    attempts: tuple[str, ...] = ()
    """Ids of the attempts that were distilled, in that order."""
    made: Made | None = None
    """What is being remembered; None between two attempts."""
    usage: Usage = Usage()
    """What the model that distils has taken for them, and for comparing what it said with what was there."""
    seconds: float = 0.0
    """How long all of that has taken, between links of chains too: the clock of a phase measures playing with it."""
    between: float = 0.0
    """Seconds on the clock of `collect` that went into learning between links, and not into playing."""
    began: float | None = None
    """Where that clock stood when learning from a link began that has not ended; None while links are played."""

    @classmethod
    def read(cls, folder: Path) -> Learned | None:
        """Return what is written down of a generation in its folder, or None.

        Raises:
            ConfigError: it cannot be read.
        """
        file = folder / FILE
        if not file.exists():
            return None
        try:
            return cls.model_validate_json(file.read_text(encoding="utf-8"))
        except (OSError, ValidationError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{file} cannot be read, so it is not known what was learned from.",
                hint=f"Remove {folder} and the folders of later generations; --resume makes them anew.",
            ) from error

    @classmethod
    def begun(cls, folder: Path, memory: Memory) -> Learned:
        """Return what is written down; before anything is learned, write down where the memory stands."""
        found = cls.read(folder)
        if found is None or found.since is None:
            found = (found or cls()).model_copy(update={"since": memory.head.seq})
            found.write(folder)
        return found

    def making(self, folder: Path, made: Made, usage: Usage, seconds: float) -> Learned:
        """Write down what was made of an attempt and what that took, before the memory takes any of it."""
        now = self.model_copy(update={"made": made, **self._with(usage, seconds)})
        now.write(folder)
        return now

    def taken(self, folder: Path, usage: Usage, seconds: float) -> Learned:
        """Write down that what was made is in the memory, and what comparing it with what was there took."""
        assert self.made is not None
        attempts = (*self.attempts, self.made.attempt)
        now = self.model_copy(update={"attempts": attempts, "made": None, **self._with(usage, seconds)})
        now.write(folder)
        return now

    def _with(self, usage: Usage, seconds: float) -> dict[str, Any]:
        return {"usage": self.usage + usage, "seconds": round(self.seconds + seconds, 3)}

    def learning(self, folder: Path, at: float) -> Learned:
        """Write down that learning from a link begins, with the clock of `collect` at so many seconds."""
        now = self.model_copy(update={"began": at})
        now.write(folder)
        return now

    def stopped(self, folder: Path, at: float) -> Learned:
        """Write down how long learning has taken that a process had begun and did not end, if there is such."""
        if self.began is None:
            return self
        now = self.model_copy(update=self._until(at))
        now.write(folder)
        return now

    def link(self, folder: Path, at: float) -> Learned:
        """Write down that one more link was learned from, with the clock of `collect` at so many seconds."""
        now = self.model_copy(update={"links": self.links + 1, **self._until(at)})
        now.write(folder)
        return now

    def _until(self, at: float) -> dict[str, Any]:
        # What a process left of the clock may be some seconds old, and so be before learning began.
        took = max(0.0, at - self.began) if self.began is not None else 0.0
        return {"between": round(self.between + took, 3), "began": None}

    def write(self, folder: Path) -> None:
        """Write it into the folder of the generation, whole or not at all."""
        write(folder / FILE, self.model_dump_json(indent=2) + "\n")

    def counted(self, memory: Memory) -> Figures:
        """Return what distilling has done since, by the memory's log: it says the same after a crash in between."""
        assert self.since is not None
        query = "SELECT event, COUNT(*) FROM item_log WHERE seq > ? GROUP BY event"
        known = {str(event): int(count) for event, count in memory.store.select(query, (self.since,))}
        spent: Figures = {"tokens": self.usage.tokens, "cost_usd": round(self.usage.cost_usd, 6)}
        return {**{name: known.get(event, 0) for name, event in EVENTS.items()}, **spent}
