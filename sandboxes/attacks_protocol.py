"""Attacks on the line to the host: false answers, no answers, a supervisor that is stopped, and lies to come."""

from __future__ import annotations

import asyncio
import functools
import secrets
import signal
import time
from collections.abc import Awaitable, Callable

from ..errors import SandboxError
from . import launch
from .attacks_host import processes
from .attacks_target import Attack, Escape, Target, Unjudged, arm, how, told, truthful
from .sandbox import Sandbox

QUICK_S = 1.0
OWN_FILES = """
import os
[os.readlink(f"/proc/self/fd/{fd}") for fd in range(256) if os.path.lexists(f"/proc/self/fd/{fd}")]
"""
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(20)
    os._exit(0)
time.sleep(0.1)
"""
LATE_S = 4.0
"""How much longer than its time-out a call may take, in seconds."""


async def _do(sandbox: Sandbox, code: str) -> str:
    """Run hostile code; return how that ended, whatever it was."""
    began = time.monotonic()
    try:
        ended = how(await sandbox.run(code, timeout_s=QUICK_S))
    except SandboxError as error:
        if sandbox.alive:
            raise Escape(f"a sandbox that failed ({error.kind}) still takes calls") from error
        ended = f"the sandbox has ended ({error.kind})"
    if (took := time.monotonic() - began) > QUICK_S + sandbox.limits.grace_s + LATE_S:
        raise Escape(f"the host waited {took:.1f} s")
    return ended


async def _then(code: str, target: Target, *, pause_s: float = 0.0) -> str:
    """Run hostile code; the next call must be answered truly, or the state be said to be lost."""
    async with target.sandbox("protocol") as sandbox:
        ended = await _do(sandbox, code)
        await asyncio.sleep(pause_s)
        return f"{ended}; {await truthful(sandbox)}"


async def _answered(code: str, target: Target) -> str:
    """As `_then`; and the payload must have found the line that it writes to."""
    async with target.sandbox("protocol") as sandbox:
        if len(await told(sandbox, "pipes(os.O_WRONLY)")) == 0:
            raise Unjudged("the line to the supervisor was not found")
        ended = await _do(sandbox, code)
        await asyncio.sleep(0.3)
        return f"{ended}; {await truthful(sandbox)}"


async def _shout(target: Target) -> str:
    lie = secrets.token_hex(8)
    async with target.sandbox("protocol") as sandbox:
        count = await told(sandbox, f"shout({lie!r})")
        for _ in range(3):
            done = await sandbox.run("'true'")
            if done.value != "'true'":
                raise Escape(f"the host took {done.value!r:.60}")
        return f"{count} places took them, none was the host's; {await truthful(sandbox)}"


async def _exec_fds(target: Target) -> str:
    code = "import os\nprint(*[f for f in range(3, 256) if os.path.exists(f'/proc/self/fd/{f}')])"
    async with target.sandbox() as sandbox:
        done = await sandbox.exec([launch.PYTHON, "-I", "-c", code])
        if not done.ok:
            raise Unjudged(how(done))
        if done.stdout.strip():
            raise Escape(f"a program has inherited {done.stdout.strip()}")
        own = await told(sandbox, OWN_FILES)
        odd = [name for name in own if not name.startswith("pipe:") and name != "/dev/null"]
        if odd or len(own) > 5:
            raise Escape(f"the kernel has inherited {own}")
        return f"a program has none, the kernel {len(own)}: all pipes of its own"


async def _outlive(end: Callable[[Sandbox, str], Awaitable[str]], target: Target) -> str:
    """A process that wants to stay, looked for on the host and inside."""
    mark = f"wanderer-{secrets.token_hex(8)}"
    async with target.sandbox("protocol") as sandbox:
        ended = await end(sandbox, mark)
        left = await _gone(mark)
        if sandbox.alive:
            inside = await told(sandbox, "len([n for n in __import__('os').listdir('/proc') if n.isdigit()])")
            ended += f", {inside} inside"
            if inside > 4:
                raise Escape(f"{inside} processes are left inside")
    if left:
        raise Escape(f"{left} processes are left on the host")
    return f"{ended}; none is left"


async def _by_time_out(sandbox: Sandbox, mark: str) -> str:
    if not (ended := await _do(sandbox, f"wanderer({mark!r})\ncatch_all()")).startswith("timeout"):
        raise Unjudged(ended)
    return ended


async def _by_reset(sandbox: Sandbox, mark: str) -> str:
    seen = await _started(sandbox, mark)
    await sandbox.reset()
    return seen


async def _by_kill(sandbox: Sandbox, mark: str) -> str:
    seen = await _started(sandbox, mark)
    await sandbox.kill()
    return seen


async def _by_exec(sandbox: Sandbox, mark: str) -> str:
    """A program that ends, and leaves a process that has left its session."""
    done = await sandbox.exec([launch.PYTHON, "-I", "-S", "-c", DAEMON, mark], timeout_s=5)
    if not done.ok:
        raise Unjudged(how(done))
    return "ended"


async def _started(sandbox: Sandbox, mark: str) -> str:
    await told(sandbox, f"wanderer({mark!r})")
    return "seen on the host before" if processes(mark) else "not to be seen from the host"


async def _gone(mark: str) -> int:
    """Return how many processes with a mark are still on the host, once they had time to end."""
    for _ in range(20):
        if not (left := processes(mark)):
            return 0
        await asyncio.sleep(0.05)
    return len(left)


async def _worsen(target: Target) -> str:
    """What the next user inherits must not depend on the last one."""
    async with target.sandbox("protocol") as sandbox:
        before = await told(sandbox, "settings(0)")
        tried = await told(sandbox, "worsen()")
        took = [name for name, outcome in tried.items() if outcome == "ok"]
        try:
            await sandbox.reset()
        except SandboxError as error:
            return f"the sandbox has ended ({error.kind})"
        await arm(sandbox, "protocol")
        after = await told(sandbox, "settings(0)")
        if before != after:
            raise Escape(f"by {took} the next user has {after} instead of {before}")
        return f"{len(tried)} tries, {len(took)} took, nothing is inherited"


def _next(name: str, what: str, code: str, *, pause_s: float = 0.0) -> Attack:
    return Attack(name, what, functools.partial(_then, code, pause_s=pause_s))


def _line(name: str, what: str, code: str) -> Attack:
    return Attack(name, what, functools.partial(_answered, code))


TERMINATE = (
    f"signal_supervisor([{int(signal.SIGTERM)}, {int(signal.SIGINT)}, {int(signal.SIGHUP)}, {int(signal.SIGUSR1)}])"
)
ALL = "signal_supervisor(range(1, 65))"
MALFORMED = 'frame(b\'{"value": 5, "error": {"type": []}, "cut": "x"}\')'
STRANGE = (
    'frame(b\'{"value": "\\\\ud800", "error": {"type": "a", "message": "b", "traceback": "c"}, "interrupted": 1e999}\')'
)

ATTACKS = (
    Attack("forge-host", "write answers into everything that can be opened", _shout),
    Attack("inherited-files", "find an open file of the supervisor's", _exec_fds),
    _line("forge-own", "answer the supervisor twice", "say_lie('forged')"),
    _line("forge-later", "answer the supervisor before it asks", "say_lie('forged', 0.1)"),
    _line("answer-huge", "answer 10 MB", "say(frame(b'x' * 10_000_000))"),
    _line("answer-size", "announce 4 GB and go on", "say(b'\\xff' * 4 + b'x')"),
    _line("answer-short", "announce more than comes", "say(b'\\xff\\xff\\0\\0')"),
    _line("answer-broken", "answer what is no JSON", "say(frame(b'{\"value\": '))"),
    _line("answer-nested", "answer JSON that is nested 100,000 deep", "say_nested(100_000)"),
    _line("answer-types", "answer other types than are asked for", f"say({MALFORMED})"),
    _line("answer-strange", "answer half characters and infinite numbers", f"say({STRANGE})"),
    _line("answer-digits", "answer a number of 100,000 digits", "say(frame(b'{\"value\": ' + b'9' * 100_000 + b'}'))"),
    _next("steal-request", "read the next request before the kernel does", "steal()"),
    _next("stop-supervisor", "stop the supervisor", "signal_supervisor([19, 20])"),
    _next("end-supervisor", "ask the supervisor to end", TERMINATE),
    _next("kill-supervisor", "kill the supervisor", "signal_supervisor([9])"),
    _next("signal-supervisor", "send it all 64 signals", ALL),
    _next("kill-all", "kill every process", "signal_all(9)"),
    _next("stop-all", "stop every process, and oneself", "signal_all(19)\nos.kill(os.getpid(), 19)"),
    Attack("inherited-settings", "take limits and cores from the supervisor", _worsen),
    _next("catch-all", "catch every exception, for ever", "catch_all()"),
    _next("deaf", "ignore and block all signals, for ever", "deaf()"),
    _next("stuck", "never come back from a library", "import re\nre.match('(a+)+$', 'a' * 60 + 'b')"),
    Attack("outlive-time-out", "leave a process that outlives a time-out", functools.partial(_outlive, _by_time_out)),
    Attack("outlive-reset", "leave a process that outlives a reset", functools.partial(_outlive, _by_reset)),
    Attack("outlive-kill", "leave a process that outlives the sandbox", functools.partial(_outlive, _by_kill)),
    Attack("outlive-exec", "leave a process that outlives its program", functools.partial(_outlive, _by_exec)),
    _next("repr-huge", "have a value of 300 MB", "Huge()"),
    _next("repr-endless", "have a value that never ends", "Endless()"),
    _next("repr-raises", "have a value that exits", "Raises()"),
    _next("repr-lies", "have a value whose parts are other things", "Liar()"),
    _next("error-deadly", "raise what kills who reads it", "fail(Deadly())"),
    _next("error-stuck", "raise what cannot be read to its end", "fail(Stuck())"),
    _next("error-nameless", "raise what has no name", "fail(Nameless())"),
    _next("exit", "exit", "sys.exit(3)"),
    _next("exit-hard", "exit without a word", "os._exit(0)"),
    _next("exit-later", "die after the call has ended", "end_later(0.1)", pause_s=0.3),
    _next("crash", "read a wrong address", "crash()"),
    _next("recursion", "recurse for ever", "sys.setrecursionlimit(10**9)\nrecurse()"),
    _next("timer", "be killed by a timer later", "signal.setitimer(signal.ITIMER_REAL, 0.1)", pause_s=0.3),
    _next("close-all", "close all open files", "os.closerange(0, 256)"),
    _next("stdout-junk", "put something else in the place of stdout", "sys.stdout = sys.stderr = Junk()"),
    _next("builtins", "take the builtins away", "spoil_builtins()"),
    _next("modules", "change the kernel's own functions", "spoil_modules()"),
)
