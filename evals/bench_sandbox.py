"""How fast sandboxes are: to be ready, to answer a call, many at once; beside a plain exec and beside ipykernel."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.metadata
import re
import time
from collections.abc import Callable
from typing import Any

from ..errors import SandboxError
from ..sandboxes.choose import make_backend
from ..sandboxes.limits import MIB, Limits, Policy
from ..sandboxes.processes import descendants, proportional
from ..sandboxes.sandbox import Backend, Sandbox

Progress = Callable[[str, int, int], None]
AT_ONCE = 32
IPYKERNEL = """
import time
from jupyter_client.manager import KernelManager
began = time.perf_counter()
manager = KernelManager(transport="ipc", connection_file="/tmp/kernel.json", ip="/tmp/kernel")
manager.kernel_cmd = ["/usr/bin/python3", "-c",
    "import sys; sys.path.append('/usr/lib/python%d.%d/site-packages' % sys.version_info[:2]);"
    "from ipykernel.kernelapp import launch_new_instance as go; go()", "-f", "{connection_file}"]
manager.start_kernel()
client = manager.client()
client.start_channels()
client.wait_for_ready(timeout=40)
ready = time.perf_counter() - began
seconds = []
for _ in range(COUNT):
    start = time.perf_counter()
    client.execute_interactive("1 + 1", timeout=20, output_hook=lambda message: None)
    seconds.append(time.perf_counter() - start)
client.stop_channels()
manager.shutdown_kernel(now=True)
[ready, *seconds]
"""


def bench_sandbox(
    names: tuple[str, ...], *, calls: int = 10_000, ipykernel: bool = True, progress: Progress = lambda *_: None
) -> dict[str, dict[str, Any]]:
    """Measure backends one after the other in one run.

    Args:
        names: of the backends.
        calls: in one session.
        ipykernel: measure it too, inside a sandbox of the same kind.
        progress: told the label, how many are done, and of how many.

    Returns:
        Figures by backend; seconds are given in milliseconds, memory in MB.

    Raises:
        SandboxError: a backend does not work here.
    """
    return {name: asyncio.run(_measure(name, calls, ipykernel, progress)) for name in names}


async def _measure(name: str, calls: int, ipykernel: bool, progress: Progress) -> dict[str, Any]:
    async with contextlib.AsyncExitStack() as stack:
        backend = make_backend(name)
        stack.push_async_callback(backend.close)
        probe = await backend.probe()
        if not probe.available:
            raise SandboxError(f"{name} does not work here: {probe.reason}", hint=probe.hint, kind="unavailable")
        figures: dict[str, Any] = {"mode": probe.mode}
        figures |= _spread("ready_ms", await _ready(backend, 20, progress))
        sandbox = await backend.create()
        async with sandbox:
            before = (await sandbox.run("0")).peak_memory
            figures |= _spread("call_ms", await _calls(sandbox, calls, progress))
            figures["calls"] = calls
            figures["calls_grew_mb"] = ((await _settled(sandbox)) - before) / 1e6
            figures |= _spread("reset_ms", [await _timed(sandbox.reset()) for _ in range(20)])
            figures |= _spread("program_ms", [await _timed(sandbox.exec(["true"])) for _ in range(50)])
        progress(f"{name}: {AT_ONCE} at once", 0, 0)
        figures |= await _many(backend)
        if name == "docker":
            figures |= await _docker_exec(backend)
            figures["docker_exec_over_call"] = figures["docker_exec_ms_p50"] / figures["call_ms_p50"]
        if ipykernel:
            progress(f"{name}: ipykernel", 0, 0)
            figures |= await _ipykernel(name)
            figures["ipykernel_over_call"] = figures["ipykernel_call_ms_p50"] / figures["call_ms_p50"]
        return figures


async def _ready(backend: Backend, count: int, progress: Progress) -> list[float]:
    seconds = []
    for number in range(count):
        began = time.perf_counter()
        sandbox = await backend.create()
        seconds.append(time.perf_counter() - began)
        await sandbox.kill()
        progress(f"{backend.name}: ready", number + 1, count)
    return seconds


async def _calls(sandbox: Sandbox, count: int, progress: Progress) -> list[float]:
    seconds = []
    for number in range(count):
        seconds.append(await _timed(sandbox.run("1 + 1")))
        if number % 500 == 0:
            progress(f"{sandbox.backend}: calls", number, count)
    return seconds


async def _settled(sandbox: Sandbox) -> int:
    """Return the peak memory now; short calls do not measure it anew."""
    return (await sandbox.run("import time; time.sleep(0.01)")).peak_memory


async def _timed(call: Any) -> float:
    began = time.perf_counter()
    await call
    return time.perf_counter() - began


async def _many(backend: Backend) -> dict[str, float]:
    """Start many, call all of them at once, and see what they weigh."""
    small = Limits(memory=128 * MIB, pids=32)
    began = time.perf_counter()
    boxes = await asyncio.gather(*(backend.create(small) for _ in range(AT_ONCE)))
    ready = time.perf_counter() - began
    try:
        began = time.perf_counter()
        await asyncio.gather(*(_calls(box, 100, lambda *_: None) for box in boxes))
        calling = time.perf_counter() - began
        weights = [await _weight(backend, box) for box in boxes[:8]]
    finally:
        await asyncio.gather(*(box.kill() for box in boxes))
    found = {"at_once": AT_ONCE, "at_once_ready_s": ready, "at_once_calls_per_s": AT_ONCE * 100 / calling}
    return found | ({"memory_each_mb": sum(weights) / len(weights) / 1e6} if weights else {})


async def _weight(backend: Any, sandbox: Any) -> int:
    """Return the memory of a sandbox in bytes: the proportional set size of its processes, or what the engine says."""
    pid = getattr(sandbox._channel, "pid", None)
    if pid is not None:
        return sum(map(proportional, [pid, *descendants(pid)]))
    said = await asyncio.to_thread(backend._api().stats, sandbox._channel._ident, stream=False, one_shot=True)
    return int(said["memory_stats"]["usage"])


async def _docker_exec(backend: Any) -> dict[str, float]:
    """Measure an exec of Python per call, in a warm container: what most do."""
    sandbox = await backend.create()
    async with sandbox:
        api, ident = backend._api(), sandbox._channel._ident

        def once() -> None:
            made = api.exec_create(ident, ["python3", "-I", "-S", "-c", "print(1 + 1)"])
            assert api.exec_start(made["Id"]) == b"2\n"

        return _spread("docker_exec_ms", [await _timed(asyncio.to_thread(once)) for _ in range(30)])


async def _ipykernel(name: str, count: int = 100) -> dict[str, float]:
    """Measure ipykernel with its own client, both in one sandbox, so that no wall is between them."""
    backend = make_backend(name, packages=sorted(closure("ipykernel")))
    try:
        limits = Limits(wall_s=90, memory=512 * MIB, pids=128, nofile=512)
        sandbox = await backend.create(limits, Policy(network="loopback", env={"JPY_PARENT_PID": "0"}))
        async with sandbox:
            result = await sandbox.run(IPYKERNEL.replace("COUNT", str(count)))
    finally:
        await backend.close()
    if not result.ok or result.value is None:
        why = result.error.traceback[-800:] if result.error else result.status
        raise SandboxError(f"ipykernel did not run in {name}: {why}", kind="bench")
    ready, *seconds = [float(word) for word in result.value.strip("[]").split(",")]
    return {"ipykernel_ready_ms": 1000 * ready, **_spread("ipykernel_call_ms", seconds)}


def closure(name: str) -> set[str]:
    """Return an installed distribution and all installed ones it needs.

    Raises:
        SandboxError: it is not installed.
    """
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise SandboxError(f"{name} is not installed.", hint=f"Run: pip install {name}, or --no-ipykernel") from None
    found, queue = set[str](), [name]
    while queue:
        current = queue.pop()
        if current in found:
            continue
        try:
            needs = importlib.metadata.requires(current) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(current)
        queue += [re.split(r"[\s<>=!~;\[(]", need)[0] for need in needs if "extra ==" not in need]
    return found


def _spread(name: str, seconds: list[float]) -> dict[str, float]:
    """Return median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    at = (len(ordered) // 2, min(len(ordered) - 1, int(len(ordered) * 0.95)))
    return {f"{name}_p50": 1000 * ordered[at[0]], f"{name}_p95": 1000 * ordered[at[1]]}
