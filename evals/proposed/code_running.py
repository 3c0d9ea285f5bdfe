"""Calls of a program in a sandbox, each time in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from ...sandboxes.pool import Pool
from ...sandboxes.result import ExecResult

CALLED = """\
import json, os, sys
given = json.load(sys.stdin)
out = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
found = []
try:
    space = {"__name__": "program"}
    exec(compile(given["source"], "program", "exec"), space)
    for arguments in given["calls"]:
        text = repr(space["f"](*eval(arguments)))
        found.append(["value", text] if len(text) <= given["most"] else ["long", ""])
except BaseException as error:
    found.append(["error", type(error).__name__])
os.write(out, json.dumps(found).encode())
"""
"""What runs inside. The expected outputs never are there: values are compared on this side."""


class Ran(NamedTuple):
    """What came of some calls."""

    status: Literal["ok", "crashed", "timeout"]
    outputs: tuple[str, ...] = ()
    """What each call returned, as Python writes it."""
    detail: str = ""


async def run_calls(
    pool: Pool, source: str, calls: Sequence[str], *, timeout_s: float, most: int, hash_seeds: Sequence[int] = (0,)
) -> list[Ran]:
    """Call f of a program once for each text of arguments, in one process after the other.

    Args:
        pool: where from.
        source: the program.
        calls: arguments as literals, such as `1, [2]`.
        timeout_s: for all calls of a process together.
        most: characters of an output; longer ones count as a crash.
        hash_seeds: of each process; what depends on the order of a set comes out otherwise with another one.

    Raises:
        SandboxError: the sandbox failed, which says nothing about the program.
    """
    given = {"source": source, "calls": [f"({text},)" for text in calls], "most": most}
    found = []
    async with pool.lease() as lease:
        for seed in hash_seeds:
            result = await lease.exec(
                ["python3", "-S", "-c", CALLED],
                stdin=json.dumps(given).encode(),
                env={"PYTHONHASHSEED": str(seed)},
                timeout_s=timeout_s,
            )
            found.append(_ran(result, len(calls), timeout_s))
            if found[-1].status != "ok":
                break
    return found


def _ran(result: ExecResult, calls: int, timeout_s: float) -> Ran:
    if result.status == "timeout":
        return Ran("timeout", detail=f"more than {timeout_s:g} s")
    if not result.ok:
        return Ran("crashed", detail=result.error.type if result.error else result.status)
    return _read(result.stdout, calls)


def _read(text: str, calls: int) -> Ran:
    """Read what the process said; a program that writes there itself only spoils its own run."""
    try:
        rows: Any = json.loads(text)
    except (ValueError, RecursionError):
        return Ran("crashed", detail="it said nothing that can be read")
    if not isinstance(rows, list) or not all(
        isinstance(row, list) and len(row) == 2 and all(isinstance(part, str) for part in row) for row in rows
    ):
        return Ran("crashed", detail="it said nothing that can be read")
    bad = next((row for row in rows if row[0] != "value"), None)
    if bad is not None or len(rows) != calls:
        return Ran("crashed", detail=bad[1] or "an output that is too long" if bad is not None else "it ended early")
    return Ran("ok", tuple(row[1] for row in rows))
