"""The ledger of a generation's proposer: attempts to make tasks, written down one by one, and the budget they have."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from ...agent.evolution.generation import Figures
from ...agent.proposers.making import Attempt
from ...agent.proposers.proposer import Proposal, Proposer, State
from ...core import Usage, Wire
from ...errors import ConfigError, ModelError, StoreError, boundary
from ...whole import read_records
from .budget import Allowance, left
from .home import write

FILE = "tried.jsonl"


class Since(Wire):
    """First line of the file: where the phase stood before anything of it was tried."""

    seconds: float = 0.0
    """On its clock."""
    usage: Usage = Usage()
    """What models had taken of which nothing came: it is spent, and none of what is allowed now."""


class Line(Wire):
    """Any other line: an answer that was heard, or an attempt that was made of those."""

    attempt: Attempt | None = None
    usage: Usage = Usage()
    """What the answer took."""


class Tried:
    """A ledger in a file; see `lamarck.agent.proposers.ledger.Ledger`.

    A model does not make the same twice, so what it made is written down before the next is asked for: after a kill
    nothing is made again, and the budget ends where it would have ended. By time that hangs on the clock, which counts
    all processes. What an answer took is written down when it is heard: an attempt that was cut off is made again, and
    both times count. So are the last ones that got no answer: whoever goes on may have mended the model.

    Args:
        folder: of the generation.
        allowed: what making its tasks may use up.

    Raises:
        StoreError: the file cannot be read or written.
    """

    def __init__(self, folder: Path, allowed: Allowance) -> None:
        self._file, self._allowed = folder / FILE, allowed
        self._since, lines = self._read()
        if self._file.exists():
            self._write(lines)  # what is added follows whole lines, and none that are left out
        self._tried = [one.attempt for one in lines if one.attempt is not None]
        self._used = sum((one.usage for one in lines), Usage())
        self.limit = ""
        """The limit that has ended the making."""

    @property
    def usage(self) -> Usage:
        """What models took, in all processes, be it that nothing came of it."""
        return self._since.usage + self._used

    def heard(self, usage: Usage) -> None:
        """Write down what an answer of the model took.

        Raises:
            StoreError: it cannot be written.
        """
        self._append(Line(usage=usage))
        self._used = self._used + usage

    def tried(self) -> Sequence[Attempt]:
        """Return the attempts that are written down."""
        return tuple(self._tried)

    def add(self, attempt: Attempt) -> None:
        """Write down one more; it is in the file when this returns.

        Raises:
            StoreError: it cannot be written.
        """
        self._append(Line(attempt=attempt))
        self._tried.append(attempt)

    def enough(self) -> bool:
        """Say whether a limit is reached. Before anything was tried there is not enough: a model takes long to load."""
        allowed = self._allowed.without(self._since.seconds)
        self.limit = allowed.reached(self._used.tokens, self._used.cost_usd) if self._tried else ""
        return bool(self.limit)

    async def proposed(self, proposer: Proposer, count: int, state: State) -> Proposal:
        """Return what a proposer proposes that has this ledger.

        Raises:
            ModelError: its model does not answer; whoever goes on asks anew.
            LamarckError: what it needs is not there.
        """
        try:
            return await proposer.propose(count, state)
        except ModelError:
            self.begin_anew()
            raise

    def left_out(self, count: int) -> Figures:
        """Return how many tasks were not made, where a limit has left them out."""
        return left({self.limit: count}) if self.limit else {}

    def nothing(self, said: str) -> ConfigError:
        """Return the error that nothing was made."""
        if not self.limit:
            return ConfigError(f"{said}.", hint="`lamarck propose` says what was refused and why.")
        return ConfigError(
            f"{said} before budget.phases.propose.{self.limit} was reached.",
            hint="--resume tries again with as much. Where that is too little for one task, begin another with more.",
        )

    def begin_anew(self) -> None:
        """Forget all attempts: nothing came of them, and whoever goes on has the whole budget again."""
        self._since = Since(seconds=round(self._allowed.seconds(), 3), usage=self.usage)
        self._tried, self._used = [], Usage()
        self._write([])

    def remove(self) -> None:
        """Remove the file: what it is for is written elsewhere."""
        with boundary(StoreError, f"cannot remove {self._file}", OSError):
            self._file.unlink(missing_ok=True)

    def _append(self, line: Line) -> None:
        if not self._file.exists():
            self._write([])
        with (
            boundary(StoreError, f"cannot write {self._file}", OSError),
            self._file.open("a", encoding="utf-8") as file,
        ):
            file.write(line.model_dump_json() + "\n")

    def _write(self, lines: Sequence[Line]) -> None:
        write(self._file, "".join(one.model_dump_json() + "\n" for one in (self._since, *lines)))

    def _read(self) -> tuple[Since, list[Line]]:
        """Return what is written down and to be gone on from."""
        if not self._file.exists():
            return Since(), []
        with boundary(StoreError, f"cannot read {self._file}", OSError):
            head, *rest = read_records(self._file, torn=True) or [""]
        since, found = Since(), list[Line]()
        # A kill may have cut the last line; what was not written whole is made again.
        with suppress(ValidationError):
            since = Since.model_validate_json(head)
            for one in rest:
                found.append(Line.model_validate_json(one))
        return since, _answered(found)


def _answered(lines: Sequence[Line]) -> list[Line]:
    """Return lines without the last attempts that got no answer of a model, but with what they took."""
    found = list(lines)
    for at in reversed(range(len(found))):
        attempt = found[at].attempt
        if attempt is not None and (attempt.refusal is None or attempt.refusal.reason != "model"):
            break
        found[at] = Line(usage=found[at].usage)
    return [one for one in found if one != Line()]
