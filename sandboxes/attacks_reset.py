"""Attacks on the next user: what should be gone after a reset, and is not."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time

from ..errors import SandboxError, ToolError
from .attacks_target import Attack, Escape, Target, arm, told
from .sandbox import Sandbox


async def _reset(sandbox: Sandbox) -> str:
    """Reset; a sandbox that ends because it cannot be reset is as good."""
    try:
        await asyncio.wait_for(sandbox.reset(), 20)
    except SandboxError as error:
        if sandbox.alive:
            raise Escape(f"it cannot be reset ({error.message[:80]}), and goes on") from error
        return f"it cannot be reset, and has ended ({error.message[:80]})"
    return ""


async def _nest(target: Target) -> str:
    async with target.sandbox("files") as sandbox:
        depth = await told(sandbox, "nest('/work', 5000)")
        began = time.monotonic()
        with contextlib.suppress(ToolError):
            await sandbox.list_files()
        if ended := await _reset(sandbox):
            raise Escape(ended)
        left = await told(sandbox, "__import__('os').listdir('/work')")
        if left:
            raise Escape(f"after a reset {left} is left")
        return f"{depth} folders deep, gone in {time.monotonic() - began:.2f} s"


async def _hidden(target: Target) -> str:
    secret = secrets.token_hex(8)
    async with target.sandbox("files") as sandbox:
        for folder in ("/work", "/tmp", "/dev/shm"):
            await told(sandbox, f"hide({folder!r}, {secret!r})")
        if ended := await _reset(sandbox):
            return ended
        await arm(sandbox, "files")
        for folder in ("/work", "/tmp", "/dev/shm"):
            if found := await told(sandbox, f"found_hidden({folder!r})"):
                raise Escape(f"after a reset {folder} holds {found!s:.80}")
        return "a folder without rights is emptied"


async def _locked(target: Target) -> str:
    async with target.sandbox("files") as sandbox:
        locked = await told(sandbox, "lock_places()")
        if ended := await _reset(sandbox):
            return ended
        for folder in ("/work", "/tmp", "/dev/shm"):
            done = await sandbox.run(f"open('{folder}/new', 'w').close()")
            if not done.ok:
                raise Escape(f"after a reset nothing can be written to {folder}: {done.status}")
        return f"{locked}; after a reset all can be written"


async def _marked(target: Target) -> str:
    secret = secrets.token_hex(8)
    async with target.sandbox("files") as sandbox:
        marked = await told(sandbox, f"mark_places({secret!r})")
        if ended := await _reset(sandbox):
            return ended
        await arm(sandbox, "files")
        if secret in str(await told(sandbox, "marks()")):
            raise Escape("after a reset a folder's attributes still hold a secret")
        return f"{marked}; none after a reset"


ATTACKS = (
    Attack("reset-nest", "nest 5,000 folders, deeper than a path can say", _nest),
    Attack("reset-hidden", "hide files from a reset in folders without rights", _hidden),
    Attack("reset-locked", "take the rights from /work and /tmp", _locked),
    Attack("reset-marks", "keep a secret in the attributes of /work", _marked),
)
