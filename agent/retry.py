"""Trying again: exponential back-off with full jitter, a server's own wish, and an end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from ..errors import ModelError

T = TypeVar("T")

TRANSIENT = frozenset({"timeout", "rate_limit", "server", "connection", "bad_reply"})
"""Kinds of model errors that another try may cure."""


class Transient(ModelError):
    """A failure that another try may cure, with how long the server asked to be left alone."""

    def __init__(self, message: str, *, kind: str, after_s: float | None = None, hint: str = "") -> None:
        super().__init__(message, kind=kind, hint=hint)
        self.after_s = after_s


@dataclass(frozen=True)
class Backoff:
    """How to wait between tries: full jitter over `base_s * 2**n`, at most `most_s` (all in seconds)."""

    retries: int = 4
    base_s: float = 0.5
    most_s: float = 20.0

    def wait(self, tried: int, after_s: float | None, generator: random.Random) -> float:
        """Return how long to wait before the next try; a server's wish counts, up to `most_s`."""
        jittered = generator.uniform(0.0, min(self.most_s, self.base_s * 2**tried))
        return max(jittered, min(after_s, self.most_s)) if after_s is not None else jittered


async def with_retries(call: Callable[[], Awaitable[T]], backoff: Backoff, generator: random.Random | None = None) -> T:
    """Call until it succeeds, fails for good, or the retries are used up.

    Raises:
        ModelError: the last failure, saying how often it was tried.
    """
    generator = generator or random.Random()
    for tried in range(backoff.retries + 1):
        try:
            return await call()
        except Transient as error:
            if tried == backoff.retries:
                times = f" (tried {tried + 1} times)" if tried else ""
                raise ModelError(error.message + times, hint=error.hint, kind=error.kind) from error
            await asyncio.sleep(backoff.wait(tried, error.after_s, generator))
    raise AssertionError("unreachable")
