"""The ledger of a generation's proposer: attempts to make tasks, written down one by one, and the budget they have."""

from __future__ import annotations

from collections.abc import Sequence
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
    """First line of the file: where the clock of the phase stood before anything of it was tried."""

    seconds: float = 0.0


class Line(Wire):
    """Any other line."""

    attempt: Attempt
    usage: Usage
    """What models took for it."""


class Tried:
    """A ledger in a file; see `lamarck.agent.proposers.ledger.Ledger`.

    A model does not make the same twice, so what it made is written down before the next is asked for: after a kill
    nothing is made again, nothing is left out of what it took, and the budget ends where it would have ended. By time
    that hangs on the clock, which counts all processes.

    Args:
        folder: of the generation.
        allowed: what making its tasks may use up.

    Raises:
        StoreError: the file cannot be read or written.
    """

    def __init__(self, folder: Path, allowed: Allowance) -> None:
        self._file, self._allowed = folder / FILE, allowed
        self._since, self._lines = self._read()
        self.usage = sum((one.usage for one in self._lines), Usage())
        """What models took, in all processes."""
        self._new = Usage()
        self.limit = ""
        """The limit that has ended the making."""

    def heard(self, usage: Usage) -> None:
        """Take note of what an answer of the model took."""
        self._new, self.usage = self._new + usage, self.usage + usage

    def tried(self) -> Sequence[Attempt]:
        """Return the attempts that are written down."""
        return [one.attempt for one in self._lines]

    def add(self, attempt: Attempt) -> None:
        """Write down one more; it is in the file when this returns.

        Raises:
            StoreError: it cannot be written.
        """
        line = Line(attempt=attempt, usage=self._new)
        if not self._file.exists():
            write(self._file, self._since.model_dump_json() + "\n")
        with (
            boundary(StoreError, f"cannot write {self._file}", OSError),
            self._file.open("a", encoding="utf-8") as file,
        ):
            file.write(line.model_dump_json() + "\n")
        self._lines.append(line)
        self._new = Usage()

    def enough(self) -> bool:
        """Say whether a limit is reached."""
        allowed = self._allowed.without(self._since.seconds)
        self.limit = allowed.reached(self.usage.tokens, self.usage.cost_usd)
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
        """Return the error that nothing was made, and begin anew."""
        self.begin_anew()
        if not self.limit:
            return ConfigError(f"{said}.", hint="`lamarck propose` says what was refused and why.")
        return ConfigError(
            f"{said} before budget.phases.propose.{self.limit} was reached.",
            hint="--resume tries again with as much. Where that is too little for one task, begin another with more.",
        )

    def begin_anew(self) -> None:
        """Forget everything: nothing came of it, and whoever goes on has the whole budget again."""
        write(self._file, Since(seconds=round(self._allowed.seconds(), 3)).model_dump_json() + "\n")
        self._lines, self._new, self.usage = [], Usage(), Usage()

    def remove(self) -> None:
        """Remove the file: what it is for is written elsewhere."""
        with boundary(StoreError, f"cannot remove {self._file}", OSError):
            self._file.unlink(missing_ok=True)

    def _read(self) -> tuple[Since, list[Line]]:
        """Return what is written down, up to the first line that is damaged; the file then holds nothing else."""
        if not self._file.exists():
            return Since(), []
        with boundary(StoreError, f"cannot read {self._file}", OSError):
            head, *rest = read_records(self._file, torn=True) or [""]
        since, found = Since(), list[Line]()
        try:
            since = Since.model_validate_json(head)
            for one in rest:
                found.append(Line.model_validate_json(one))
        except ValidationError:
            # A kill has cut the last line; what was not written whole is made again.
            write(self._file, "".join(one.model_dump_json() + "\n" for one in (since, *found)))
        return since, found
