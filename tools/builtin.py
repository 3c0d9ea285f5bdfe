"""Built-in tools: code, programs and files, all of them in the episode's own sandbox."""

from __future__ import annotations

from typing import Protocol

from ..errors import ToolError
from ..sandboxes.lease import Lease
from ..sandboxes.result import ExecResult
from .tool import Tool, tool

SANDBOX_S = 3600.0
"""The sandbox has time-outs of its own, which keep its state; a tool's would kill it."""
LISTED = 200


class Leased(Protocol):
    """Gives the episode's sandbox, taken from the pool when it is first needed."""

    async def __call__(self) -> Lease: ...


def python_tool(lease: Leased) -> Tool:
    """Return the tool that runs Python and keeps its variables."""

    @tool(name="python", permissions={"sandbox"}, timeout_s=SANDBOX_S)
    async def python(code: str) -> str:
        """Run Python code; see what it prints and the value of its last expression. Variables stay for the next call.

        Args:
            code: the source.
        """
        return shown(await (await lease()).run(code))

    return python


def shell_tool(lease: Leased) -> Tool:
    """Return the tool that runs a shell command."""

    @tool(name="shell", permissions={"sandbox"}, timeout_s=SANDBOX_S)
    async def shell(command: str) -> str:
        """Run a shell command in /work and see its output. There is no network.

        Args:
            command: given to sh.
        """
        return shown(await (await lease()).exec(["sh", "-c", command]))

    return shell


def file_tools(lease: Leased) -> list[Tool]:
    """Return the tools that read, write and list files."""

    @tool(name="read_file", permissions={"sandbox", "files"}, timeout_s=SANDBOX_S)
    async def read_file(path: str) -> str:
        """Read a text file.

        Args:
            path: below /work or /tmp; a relative one is below /work.
        """
        data = await (await lease()).read_file(path)
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ToolError(f"{path} is no text; it has {len(data):,} bytes.") from None

    @tool(name="write_file", permissions={"sandbox", "files"}, timeout_s=SANDBOX_S)
    async def write_file(path: str, content: str) -> str:
        """Write a text file; one that is there is replaced.

        Args:
            path: below /work or /tmp; a relative one is below /work.
            content: the whole text.
        """
        data = content.encode("utf-8", "replace")
        await (await lease()).write_file(path, data)
        return f"{len(data):,} bytes written to {path}"

    @tool(name="list_files", permissions={"sandbox", "files"}, timeout_s=SANDBOX_S)
    async def list_files(path: str = "/work") -> str:
        """List the files below a folder.

        Args:
            path: the folder.
        """
        found = await (await lease()).list_files(path)
        more = f"\n[{len(found) - LISTED:,} more]" if len(found) > LISTED else ""
        return "\n".join(found[:LISTED]) + more if found else f"there are no files in {path}"

    return [read_file, write_file, list_files]


def shown(result: ExecResult) -> str:
    """Return a result as the model reads it.

    Raises:
        ToolError: the code failed; the message says how, with what it had printed.
    """
    parts = [result.stdout.rstrip("\n")] if result.stdout else []
    if result.stderr:
        parts.append(f"[stderr]\n{result.stderr.rstrip()}")
    if result.value is not None:
        parts.append(result.value)
    if result.truncated:
        parts.append(f"[cut: {result.stdout_bytes + result.stderr_bytes:,} bytes of output in all]")
    if result.ok:
        return "\n".join(parts) or "(no output)"
    if result.status == "timeout":
        parts.append(f"[stopped after {result.wall_s:.1f} s]")
    elif result.status == "output_limit":
        parts.append("[stopped: too much output]")
    elif result.error is not None:
        parts.append(result.error.traceback.rstrip() or f"{result.error.type}: {result.error.message}")
    elif result.exit_code is not None:
        parts.append(f"[exit code {result.exit_code}]")
    if result.state_lost:
        parts.append("[all variables and background processes are lost; files are still there]")
    raise ToolError("\n".join(parts))
