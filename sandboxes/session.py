"""One sandbox as its user holds it: requests, answers that are checked, time-outs, and its end."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any

from ..errors import SandboxError, ToolError
from .channel import Channel, parse
from .limits import Limits, Policy
from .result import CodeError, ExecResult, Guarantee, Status

HOST_S = 2.0
"""How much longer than the worker the host waits before it ends the sandbox, in seconds."""
FILE_S = 15.0
STATUSES: tuple[Status, ...] = ("ok", "error", "timeout", "memory", "killed", "output_limit")


class Session:
    """A sandbox over a channel to its worker; the same for every launcher.

    Args:
        channel: to a worker that has said hello.
        backend: name of the launcher.
        guarantee: what holds.
        limits: for each call.
        policy: what it may reach.
    """

    def __init__(
        self, channel: Channel, *, backend: str, guarantee: Guarantee, limits: Limits, policy: Policy | None = None
    ) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.backend = backend
        self.guarantee: Guarantee = guarantee
        self.limits = limits
        self.policy = policy if policy is not None else Policy()
        self.calls = 0
        """How many calls it has taken."""
        self.touched = False
        """Whether there is state in it that a fresh sandbox would lack."""
        self.spoiled = False
        """Whether something went wrong in it that makes a fresh one the better choice."""
        self._channel = channel
        self._lock = asyncio.Lock()
        self._closed = ""
        self._ooms = 0

    @property
    def alive(self) -> bool:
        """Whether it still takes calls."""
        return not self._closed

    async def run(self, code: str, *, timeout_s: float | None = None) -> ExecResult:
        """Run Python code; variables stay for the next call."""
        try:
            size = len(code.encode())
        except UnicodeEncodeError as error:
            return self._refused("SyntaxError", f"the code holds what is no text: {error.reason}")
        if size > self.limits.transfer:
            return self._refused("OverflowError", f"the code is larger than {self.limits.transfer} bytes")
        wall = self._wall(timeout_s)
        answer = await self._ask(self._bounded("run", wall, code=code), wall + self.limits.grace_s)
        return await self._result(answer)

    async def exec(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        cwd: str = "/work",
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> ExecResult:
        """Run a program to its end; what it leaves running is killed."""
        if not argv or len(stdin) > self.limits.transfer or any("\0" in word for word in (*argv, cwd)):
            return self._refused("ValueError", "no program, a zero byte in its arguments, or too much stdin")
        words = [*argv, cwd, *(env or {}), *(env or {}).values()]
        if sum(len(word.encode("utf-8", "replace")) for word in words) > self.limits.transfer:
            return self._refused("OverflowError", f"the arguments are larger than {self.limits.transfer} bytes")
        wall = self._wall(timeout_s)
        data = base64.b64encode(stdin).decode()
        request = self._bounded("exec", wall, argv=list(argv), stdin=data, cwd=cwd, env=dict(env or {}))
        return await self._result(await self._ask(request, wall + self.limits.grace_s))

    async def write_file(self, path: str, data: bytes) -> None:
        """Write a file below /work or /tmp."""
        if len(data) > self.limits.transfer:
            raise ToolError(f"{path} is larger than {self.limits.transfer:,} bytes.")
        await self._file(path, {"op": "write", "path": path, "data": base64.b64encode(data).decode()})
        self.touched = True

    async def read_file(self, path: str) -> bytes:
        """Return a regular file below /work or /tmp."""
        answer = await self._file(path, {"op": "read", "path": path, "max": self.limits.transfer})
        try:
            return self._bytes(answer, "data", self.limits.transfer)
        except ValueError as error:
            raise await self._broken("it gave a file that is none") from error

    async def list_files(self, path: str = "/work") -> list[str]:
        """Return the paths of the files below a folder, sorted, relative to it."""
        answer = await self._file(path, {"op": "list", "path": path, "max": self.limits.transfer})
        files = answer.get("files")
        if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
            raise await self._broken("its list of files is none")
        return [name.encode("utf-8", "replace").decode() for name in files]

    async def reset(self) -> None:
        """Forget everything: a fresh interpreter, /work and /tmp empty, no process left."""
        answer = await self._ask({"op": "reset"}, FILE_S, hello=True)
        if answer.get("hello") != 1:
            raise await self._broken(f"it cannot be reset: {answer.get('fail')!s:.200}")
        self.touched = self.spoiled = False

    async def ping(self) -> None:
        """Make sure that it answers."""
        await self._ask({"op": "ping"}, 0.0)

    async def kill(self) -> None:
        """End it and everything in it at once."""
        await self._end("it was closed", "closed")

    async def __aenter__(self) -> Session:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(self.kill())

    async def hello(self, patience_s: float) -> None:
        """Wait until the worker is ready.

        Raises:
            SandboxError: kind `start`.
        """
        try:
            message = parse(await asyncio.wait_for(self._channel.line(), patience_s) or b"null")
            if message.get("hello") != 1:
                raise SandboxError("the worker did not say hello.", kind="protocol")
        except (SandboxError, TimeoutError) as error:
            words = await self._channel.last_words()
            await self.kill()
            why = words or (f"no answer within {patience_s:g} s" if isinstance(error, TimeoutError) else str(error))
            raise SandboxError(f"a {self.backend} sandbox did not start: {why}", kind="start") from error
        except BaseException:
            await asyncio.shield(self.kill())
            raise

    # --- below: one request at a time, each answer checked ------------------------------------------------------

    def _wall(self, timeout_s: float | None) -> float:
        if timeout_s is None:
            return self.limits.wall_s
        if not math.isfinite(timeout_s) or timeout_s <= 0:
            raise SandboxError(f"time-out {timeout_s!r} must be a positive number of seconds.", kind="limits")
        return min(timeout_s, self.limits.wall_s)

    def _bounded(self, op: str, wall: float, **request: Any) -> dict[str, Any]:
        limits = self.limits
        bounds = {"timeout": wall, "grace": limits.grace_s, "output": limits.output, "flood": limits.flood}
        return {"op": op, "value": limits.value, **bounds, **request}

    async def _ask(self, request: dict[str, Any], seconds: float, *, hello: bool = False) -> dict[str, Any]:
        async with self._lock:
            if self._closed:
                raise SandboxError(f"sandbox {self.id} takes no calls: {self._closed}.", kind="closed")
            self.calls += 1
            request["id"] = self.calls
            try:
                async with asyncio.timeout(seconds + HOST_S):
                    await self._channel.send(json.dumps(request).encode() + b"\n")
                    line = await self._channel.line()
            except TimeoutError:
                raise await self._broken(f"it did not answer within {seconds + HOST_S:g} s", "timeout") from None
            except OSError:
                line = b""
            except SandboxError as error:
                raise await self._broken(error.message, "protocol") from error
            except BaseException:  # cancelled: what runs in it is nobody's any more
                await asyncio.shield(self._end("its call was cancelled", "closed"))
                raise
            if not line:
                raise await self._broken("it ended by itself", "died")
            try:
                answer = parse(line)
            except SandboxError as error:
                raise await self._broken(error.message, "protocol") from error
            if hello and answer.get("hello") == 1:
                return answer
            if answer.get("id") != self.calls or answer.keys() - {"id", "ok", "fail"}:
                raise await self._broken("it answered another question", "protocol")
            return answer

    async def _file(self, path: str, request: dict[str, Any]) -> dict[str, Any]:
        if not path or "\0" in path or len(path) > 4096:
            raise ToolError(f"{path[:80]!r} is no path.")
        answer = await self._ask(request, FILE_S)
        if isinstance(fail := answer.get("fail"), dict):
            raise ToolError(f"{path[:200]}: {str(fail.get('message', ''))[:300]}.", kind="file")
        return await self._content(answer)

    async def _content(self, answer: dict[str, Any]) -> dict[str, Any]:
        done = answer.get("ok")
        if not isinstance(done, dict):
            raise await self._broken("its answer has no content")
        return done

    async def _result(self, answer: dict[str, Any]) -> ExecResult:
        if isinstance(fail := answer.get("fail"), dict):
            # The worker could not even start it: no process or memory was left for that. The code used them up.
            self.spoiled = True
            return self._refused(str(fail.get("type", ""))[:80], str(fail.get("message", ""))[:300])
        done = await self._content(answer)
        try:
            return await self._checked(done)
        except (ArithmeticError, KeyError, TypeError, ValueError) as error:
            raise await self._broken(f"its answer is malformed ({error!r:.100})") from error

    async def _checked(self, done: dict[str, Any]) -> ExecResult:
        limits = self.limits
        status, lost = done["status"], done["state_lost"] is True
        if status not in STATUSES:
            raise ValueError("status")
        value, exit_code = done.get("value"), done.get("exit_code")
        if status == "killed" or exit_code == -9:
            ooms = max(await self._channel.oom_kills(), int(_amount(done.get("ooms") or 0)))
            if ooms > self._ooms:
                status, self._ooms = "memory", ooms
        code_error = self._raised(done.get("error"), status, done.get("signal"))
        stdout, stderr = self._bytes(done, "stdout", limits.output), self._bytes(done, "stderr", limits.output)
        sizes = [int(_amount(done["stdout_bytes"])), int(_amount(done["stderr_bytes"]))]
        self.touched = True
        self.spoiled = self.spoiled or lost or status in ("timeout", "memory", "killed")
        return ExecResult(
            status=status,
            backend=self.backend,
            guarantee=self.guarantee,
            value=_text(value, limits.value) if value is not None else None,
            exit_code=exit_code if isinstance(exit_code, int) else None,
            stdout=stdout.decode("utf-8", "replace"),
            stderr=stderr.decode("utf-8", "replace"),
            stdout_bytes=sizes[0],
            stderr_bytes=sizes[1],
            truncated=sizes[0] > len(stdout) or sizes[1] > len(stderr) or done.get("cut") is True,
            error=code_error,
            state_lost=lost,
            wall_s=_amount(done["wall_s"]),
            cpu_s=_amount(done["cpu_s"]),
            peak_memory=int(_amount(done["peak_memory"])),
        )

    def _raised(self, error: Any, status: Status, signal: Any) -> CodeError | None:
        if isinstance(error, dict):
            return CodeError(*(_text(error[key], self.limits.value) for key in ("type", "message", "traceback")))
        if status == "memory":
            return CodeError("KernelDied", f"it used more than {self.limits.memory / 2**20:,.0f} MiB of memory")
        if status == "killed" and isinstance(signal, int):
            how = f"by signal {-signal}" if signal < 0 else f"with exit code {signal}"
            return CodeError("KernelDied", f"its process ended {how}")
        return None

    def _bytes(self, done: dict[str, Any], key: str, most: int) -> bytes:
        try:
            data = base64.b64decode(done[key], validate=True)
        except (binascii.Error, KeyError, TypeError, ValueError) as error:
            raise ValueError(key) from error
        if len(data) > most:
            raise ValueError(key)
        return data

    def _refused(self, kind: str, message: str) -> ExecResult:
        return ExecResult("error", self.backend, self.guarantee, error=CodeError(kind, message))

    async def _broken(self, why: str, kind: str = "protocol") -> SandboxError:
        """End the sandbox and return the error that says why."""
        words = await self._channel.last_words()
        await self._end(why, kind)
        said = f" ({words})" if words else ""
        return SandboxError(f"{self.backend} sandbox {self.id} failed: {why}{said}.", kind=kind)

    async def _end(self, why: str, kind: str) -> None:
        if not self._closed:
            self._closed = why
            with contextlib.suppress(SandboxError):
                await self._channel.kill()


def _amount(value: Any) -> float:
    number = float(value)
    if not 0 <= number < 2**63:
        raise ValueError("amount")
    return number


def _text(value: Any, most: int) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value.encode("utf-8", "replace").decode()[:most]
