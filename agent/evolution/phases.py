"""What a generation is made of, handed in: the evolution graph knows their order, and nothing of how they work."""

from __future__ import annotations

from typing import Protocol

from .generation import Figures, Generation, Ruling


class Phases(Protocol):
    """The work of an evolution.

    Each method may be called again for a generation that it was called for before, after a crash: it then finds what
    it had made, goes on with what it had begun, and returns what it would have returned. It leaves nothing behind
    that counts before it returns.
    """

    async def choose(self, number: int) -> tuple[str, str]:
        """Return the release that generation `number` is grown from, and the one in force.

        The same answer after a crash: a generation that has begun stays with its parent.
        """
        ...

    async def propose(self, now: Generation) -> Figures:
        """Say which tasks are played."""
        ...

    async def collect(self, now: Generation) -> Figures:
        """Play them with what the parent passes on."""
        ...

    async def verify(self, now: Generation) -> Figures:
        """Say what the verifier made of the attempts, and what its word is worth; later phases may go by that."""
        ...

    async def credit(self, now: Generation) -> Figures:
        """Let memory learn what its items were worth."""
        ...

    async def distil(self, now: Generation) -> Figures:
        """Make items of attempts, and retire what has proved useless."""
        ...

    async def train(self, now: Generation) -> Figures:
        """Train the weights where there is enough new evidence; figures without `adapter` say why it was not done."""
        ...

    async def build(self, now: Generation) -> tuple[str, Figures]:
        """Make a release of what the generation has acquired; the parent's id where it acquired nothing."""
        ...

    async def gate(self, now: Generation) -> Ruling:
        """Weigh the candidate against the release in force."""
        ...

    async def settle(self, now: Generation) -> Figures:
        """Carry out what was decided: promote the candidate, or leave the release in force as it is.

        With the figure `overtaken` the decision is `not_yet`: another release came into force meanwhile.
        """
        ...

    def keep(self, now: Generation) -> None:
        """Write a generation's record down, whole or not at all. Called after each phase."""
        ...

    def kept(self) -> tuple[Generation, ...]:
        """Return the records that were written down, the oldest first."""
        ...
