"""What lies in wait on the host for attacks: a file, a variable, a process, servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any


class Host:
    """What lies in wait on the host: nothing in a sandbox may reach it, and it tells when something does."""

    def __init__(self) -> None:
        self.secret = secrets.token_hex(16)
        self.mark = f"attack-{secrets.token_hex(8)}"
        self.variable = f"LAMARCK_BAIT_{secrets.token_hex(4)}"
        self.abstract = f"lamarck-bait-{secrets.token_hex(4)}"
        self.reached: list[str] = []
        """Which of the servers were spoken to."""
        self.folder = Path()
        self.ports: dict[str, int] = {}
        self.pid = 0
        self._stack = contextlib.AsyncExitStack()

    @property
    def canary(self) -> Path:
        """A file that holds the secret; everybody on the host may read it."""
        return self.folder / "canary"

    @property
    def socket(self) -> Path:
        """A socket that everybody on the host may connect to."""
        return self.folder / "open" / "socket"

    @property
    def bait_lives(self) -> bool:
        """Whether the process to be killed was not."""
        return self._bait.returncode is None

    async def __aenter__(self) -> Host:
        async with contextlib.AsyncExitStack() as stack:
            # Not in /tmp: sandboxes have one of their own, where the same path may be made.
            place = "/var/tmp" if os.access("/var/tmp", os.W_OK) else None
            self.folder = Path(tempfile.mkdtemp(prefix="lamarck-attack-", dir=place))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.folder.chmod(0o755)
            self.canary.write_text(self.secret)
            self.canary.chmod(0o644)
            self.socket.parent.mkdir()
            self.socket.parent.chmod(0o777)
            os.environ[self.variable] = self.secret
            stack.callback(os.environ.pop, self.variable, None)
            await self._listen(stack)
            await self._start_bait(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def _listen(self, stack: contextlib.AsyncExitStack) -> None:
        tcp = await asyncio.start_server(self._answer("tcp"), "127.0.0.1", 0)
        stack.push_async_callback(_closed, tcp)
        self.ports["tcp"] = tcp.sockets[0].getsockname()[1]
        for name, path in (("path socket", str(self.socket)), ("abstract socket", "\0" + self.abstract)):
            server = await asyncio.start_unix_server(self._answer(name), path)
            stack.push_async_callback(_closed, server)
        self.socket.chmod(0o777)
        loop = asyncio.get_running_loop()
        udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), ("127.0.0.1", 0))
        stack.callback(udp.close)
        self.ports["udp"] = udp.get_extra_info("sockname")[1]

    def _answer(self, name: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.reached.append(name)
            with contextlib.suppress(OSError):
                writer.write(self.secret.encode())
                await writer.drain()
                writer.close()
                await writer.wait_closed()

        return answer

    async def _start_bait(self, stack: contextlib.AsyncExitStack) -> None:
        code = "import signal\nsignal.alarm(600)\nsignal.pause()"
        self._bait = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", code, self.abstract, env={self.variable: self.secret}
        )
        self.pid = self._bait.pid

        async def end() -> None:
            with contextlib.suppress(ProcessLookupError):
                self._bait.kill()
            await self._bait.wait()

        stack.push_async_callback(end)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, host: Host) -> None:
        self.host = host
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.host.reached.append("udp")
        self.transport.sendto(self.host.secret.encode(), addr)


async def _closed(server: asyncio.Server) -> None:
    server.close()
    await server.wait_closed()


def processes(word: str) -> set[int]:
    """Return the processes of this machine that have a word in their command line or environment, but for ours."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            for name in ("cmdline", "environ"):
                with contextlib.suppress(OSError):
                    if word.encode() in (entry / name).read_bytes():
                        found.add(int(entry.name))
    return found
