"""What a proposer that makes its tasks has tried so far, and whether that is enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from ...core import Message, Reply, Sampling, ToolSpec, Usage
from ...seams import LLM

if TYPE_CHECKING:
    from .making import Attempt


class Ledger(Protocol):
    """Keeps attempts in the order in which they were made, over kills where it is written down."""

    def tried(self) -> Sequence[Attempt]:
        """Return the attempts of processes before this one: they are gone through again, and not made again."""
        ...

    def add(self, attempt: Attempt) -> None:
        """Take in one more."""
        ...

    def heard(self, usage: Usage) -> None:
        """Take note of what an answer of the model took, whoever of the proposer asked for it."""
        ...

    def enough(self) -> bool:
        """Say whether no further one is to be made; asked before each."""
        ...


class Unlimited:
    """Keeps nothing, and never has enough."""

    def tried(self) -> Sequence[Attempt]:
        """Return nothing."""
        return ()

    def add(self, attempt: Attempt) -> None:
        """Forget it."""

    def heard(self, usage: Usage) -> None:
        """Forget it."""

    def enough(self) -> bool:
        """Say no."""
        return False


class CountedLLM:
    """A model whose answers are counted.

    Args:
        llm: the model.
        heard: told what each answer took.
    """

    def __init__(self, llm: LLM, heard: Callable[[Usage], None]) -> None:
        self.name = llm.name
        self._llm, self._heard = llm, heard

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling | None = None,
        tools: Sequence[ToolSpec] = (),
        session: str | None = None,
    ) -> Reply:
        """Ask, and count; see `LLM.chat`."""
        return self._counted(await self._llm.chat(messages, sampling=sampling, tools=tools, session=session))

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        sampling: Sampling | None = None,
        session: str | None = None,
    ) -> Reply:
        """Ask, and count; see `LLM.choose`."""
        return self._counted(await self._llm.choose(messages, options, sampling=sampling, session=session))

    def end_session(self, session: str) -> None:
        """Forget what was kept for a session."""
        self._llm.end_session(session)

    async def close(self) -> None:
        """Close the model."""
        await self._llm.close()

    def _counted(self, reply: Reply) -> Reply:
        self._heard(reply.usage)
        return reply
