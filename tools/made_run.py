"""Running a made tool in a sandbox: code and arguments go in as JSON, the result comes back as JSON, as data.

Every call is a fresh process in the sandbox, so that no call finds what another one left in memory, and the tool does
not meet the variables of the Python that the agent itself uses there. The process that runs the tool never learns the
nonce that marks the result: its parent reads it from us after the two have parted.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import JsonValue

from ..errors import ToolError
from ..sandboxes.launch import PYTHON
from ..sandboxes.result import ExecResult
from .made import canonical

Why = Literal["", "raised", "timeout", "memory", "died", "result", "unstarted"]
"""`died`: its process ended otherwise; `result`: what it returned is no JSON or too large; `unstarted`: no process was
left in the sandbox for it, which is not its fault."""

DRIVER = r"""
import os, sys
def take(size):
    parts = []
    while size:
        data = os.read(0, min(size, 1 << 16))
        if not data:
            os._exit(81)
        parts.append(data)
        size -= len(data)
    return b"".join(parts)
payload, most = take(int(take(12))), int(take(12))
back, out = os.pipe()
child = os.fork()
if child == 0:
    os.close(back)
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    import json
    ask = json.loads(payload)
    sys.argv, sys.path = [""], sys.path + [os.path.join(os.path.dirname(os.__file__), "site-packages")]
    def failed(why, error):
        try:
            words = str(error)[:500]
        except BaseException:
            words = ""
        line, trace = 0, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == "<tool>":
                line = trace.tb_lineno
            trace = trace.tb_next
        return {"why": why, "type": type(error).__name__[:100], "message": words, "line": line}
    try:
        sys.modules["tool"] = module = type(sys)("tool")
        names = module.__dict__
        exec(compile(ask["code"], "<tool>", "exec"), names)
        value = names[ask["name"]](**ask["arguments"])
    except MemoryError as error:
        said = failed("memory", error)
    except BaseException as error:
        said = failed("raised", error)
    else:
        said = {"value": value}
    try:
        text = json.dumps(said, allow_nan=False)
        if len(text) > most:
            raise OverflowError("it has %d characters of JSON; at most %d are allowed" % (len(text), most))
    except BaseException as error:
        text = json.dumps(failed("result", error))
    data = memoryview(text.encode())
    while data:
        data = data[os.write(out, data) :]
    os._exit(0)
os.close(out)
parts, size = [], 0
while size < most + 4096:
    data = os.read(back, 1 << 16)
    if not data:
        break
    parts.append(data)
    size += len(data)
else:
    os.kill(child, 9)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
nonce = take(32)
data = memoryview(b"%s %d %s %s\n" % (nonce, code, b"".join(parts), nonce))
while data:
    data = data[os.write(1, data) :]
"""


class Box(Protocol):
    """What runs programs: a sandbox, or a lease of one."""

    async def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        cwd: str = "/work",
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult: ...


@dataclass(frozen=True)
class RunLimits:
    """How long a made tool may run, and how much it may say."""

    timeout_s: float = 5.0
    """Longest run of one call, in seconds; never above the sandbox's own."""
    result_chars: int = 16_000
    """Longest result, in characters of JSON; must fit into what the sandbox keeps of an output."""
    arguments_chars: int = 200_000
    """Longest arguments, in characters of JSON."""
    python: str = PYTHON
    """The interpreter in the sandbox."""


@dataclass(frozen=True)
class Outcome:
    """What came of one call."""

    value: JsonValue = None
    why: Why = ""
    """Why it failed; empty where it did not."""
    type: str = ""
    """Of the exception."""
    message: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it returned something."""
        return not self.why

    @property
    def own_fault(self) -> bool:
        """Whether the tool's code is what failed."""
        return self.why not in ("", "unstarted")


async def run_code(
    box: Box,
    name: str,
    code: str,
    arguments: Mapping[str, JsonValue],
    *,
    limits: RunLimits,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Call a function of some code, in a process of its own.

    Args:
        box: where.
        name: of the function.
        code: source that defines it.
        arguments: given by name.
        limits: of the call.
        env: environment variables; the seed of hashes is 0 where nothing else is said.

    Raises:
        SandboxError: the sandbox failed.
        ToolError: the arguments are too large.
    """
    given = dict(arguments)
    if len(json.dumps(given)) > limits.arguments_chars:
        raise ToolError(f"the arguments are too large; at most {limits.arguments_chars:,} characters of JSON.")
    payload = json.dumps({"code": code, "name": name, "arguments": given}).encode()
    nonce = secrets.token_hex(16)
    stdin = b"%012d%s%012d%s" % (len(payload), payload, limits.result_chars, nonce.encode())
    done = await box.exec(
        # Not -I, which would make it deaf to PYTHONHASHSEED; -P, so that a file in /work is not taken for a module.
        [limits.python, "-s", "-S", "-P", "-c", DRIVER],
        stdin=stdin,
        env={"PYTHONHASHSEED": "0", **(env or {})},
        timeout_s=limits.timeout_s,
    )
    return _read(done, nonce)


def _read(done: ExecResult, nonce: str) -> Outcome:
    seconds = done.wall_s
    if done.status == "timeout":
        return Outcome(why="timeout", message=f"it was stopped after {seconds:.1f} s", seconds=seconds)
    if done.status == "memory":
        return Outcome(why="memory", message="it used too much memory", seconds=seconds)
    head, _, rest = done.stdout.partition(f"{nonce} ")
    code, _, rest = rest.partition(" ")
    text, end, _ = rest.rpartition(f" {nonce}")
    if head or not end:
        if done.status == "output_limit" or done.truncated:
            return Outcome(why="result", message="it wrote too much", seconds=seconds)
        why = done.error.message if done.error is not None else done.stderr.strip()[-200:]
        return Outcome(why="unstarted", message=why or f"exit code {done.exit_code}", seconds=seconds)
    if code == "-9":
        return Outcome(why="memory", message="its process was killed, most likely for its memory", seconds=seconds)
    if code != "0":
        return Outcome(why="died", message=f"its process ended with {code}", seconds=seconds)
    return _said(text, seconds)


def _said(text: str, seconds: float) -> Outcome:
    """Read what the process that ran the tool said; every character of it may be the tool's."""
    nonsense = Outcome(why="result", message="what it returned is no JSON", seconds=seconds)
    try:
        said = json.loads(text)
        canonical(said)
    except (ValueError, RecursionError):
        return nonsense
    if not isinstance(said, dict):
        return nonsense
    if "value" in said:
        return Outcome(value=said["value"], seconds=seconds)
    whys: dict[str, Why] = {"raised": "raised", "memory": "memory", "result": "result"}
    kind, words = str(said.get("type", "Error"))[:100], str(said.get("message", ""))[:500]
    where = f" (line {said['line']})" if said.get("line") else ""
    return Outcome(
        why=whys.get(str(said.get("why")), "result"),
        type=kind,
        message=f"{kind}: {words}{where}" if words else f"{kind}{where}",
        seconds=seconds,
    )
