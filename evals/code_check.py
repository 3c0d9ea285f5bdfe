"""Judging code by assertions, in a sandbox: what passes has shown that it ran to the end of them."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import NamedTuple

from ..sandboxes.result import ExecResult
from ..sandboxes.sandbox import Sandbox


class Judged(NamedTuple):
    """Whether code passed, and what came of it."""

    passed: bool
    result: ExecResult


async def judge(sandbox: Sandbox, code: str, asserts: Sequence[str], *, timeout_s: float | None = None) -> Judged:
    """Run code, and then assertions about it, in a sandbox that is fresh or reset.

    Code that ends the interpreter has not passed: only who reaches the last line can say the word that stands there.
    The word is random and comes with the second call; the code could still read it by looking at its caller's frames,
    so for code that may cheat on purpose compare values on this side instead.

    Raises:
        SandboxError: the sandbox failed.
    """
    defined = await sandbox.run(code, timeout_s=timeout_s)
    if not defined.ok:
        return Judged(False, defined)
    word = secrets.token_hex(8)
    result = await sandbox.run("\n".join([*asserts, repr(word)]), timeout_s=timeout_s)
    return Judged(result.ok and result.value == repr(word) and not result.state_lost, result)
