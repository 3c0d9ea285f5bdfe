"""What an importer is: a small module that makes a trajectory of one entry of a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from ...core import Trajectory, content_id


@dataclass(frozen=True)
class Given:
    """What the user says of a file beside what stands in it."""

    split: str | None = None
    """Put every task into this split instead of its own."""
    success: bool | None = None
    """Whether entries that do not say it were successes; None leaves it open."""


class Importer(Protocol):
    """A format of other people's episodes."""

    @property
    def NAME(self) -> str:
        """How `--format` calls it; also the `run_id` of what it reads."""
        ...

    def recognises(self, entry: Mapping[str, Any]) -> bool:
        """Say whether an entry is of this format, by its keys."""
        ...

    def read(self, text: str | bytes, given: Given) -> Trajectory:
        """Return the trajectory of one entry. Its id follows from its content, so reading it again adds nothing.

        Raises:
            ValueError: it is not of this format, says in which field.
        """
        ...


class Entry(BaseModel):
    """Base of the formats' entries. What a format does not know is kept, for the trajectory's `meta`."""

    model_config = ConfigDict(frozen=True, extra="allow", allow_inf_nan=False)


def entry_id(name: str, text: str | bytes, *given: object) -> str:
    """Return the id of a trajectory: that of what stands in its entry, in whatever order, and of what was given."""
    return content_id(name, json.loads(text), *given)
