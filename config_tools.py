"""The sections of the configuration that concern tools and the sandboxes they run in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .section import Section

Builtin = Literal["python", "shell", "files", "search", "submit"]


class SandboxConfig(Section):
    """Where code that a model wrote runs, and what it may use."""

    backend: str = "auto"
    """`auto` (docker, else bubblewrap, else an error), `docker`, `bubblewrap` or `unsafe-local`."""
    allow_unsafe: bool = False
    """Must be true as well for `unsafe-local`: model-written code then has all your rights."""
    url: str | None = None
    """URL of a Docker engine; `DOCKER_HOST` if not given."""
    runtime: str | None = None
    """Runtime of the Docker engine, such as `runsc` for gVisor."""
    packages: tuple[str, ...] = ()
    """Installed distributions that code in a sandbox may import, such as numpy; without what they depend on."""
    network: Literal["none", "loopback"] = "none"
    """`loopback` lets programs within one sandbox talk to each other; nothing reaches further."""
    wall_s: float = Field(default=10.0, ge=0.01)
    """Longest run of one call, in seconds."""
    cpu: float = Field(default=1.0, ge=0.05)
    """Cores of one sandbox."""
    memory_mb: int = Field(default=512, ge=32)
    """Memory of one sandbox, in MiB."""
    disk_mb: int = Field(default=64, ge=1)
    """Room in /work, and again in /tmp, in MiB."""
    pids: int = Field(default=64, ge=8)
    """Processes and threads of one sandbox."""
    warm: int = Field(default=2, ge=0)
    """Sandboxes kept ready."""
    most: int = Field(default=32, gt=0)
    """Sandboxes at once; who asks for more waits."""
    patience_s: float = Field(default=300.0, gt=0.0)
    """Longest wait for a sandbox, in seconds."""


class ToolsConfig(Section):
    """Which tools the solver may call beside acting."""

    builtin: tuple[Builtin, ...] = ()
    """Tools of ours: `python` (keeps its variables), `shell`, `files`, `search` (over `documents`), `submit`."""
    plugins: tuple[str, ...] = ()
    """Tools that installed packages register in the entry-point group `lamarck.tools`."""
    mcp: tuple[str, ...] = ()
    """MCP servers: a URL (http://...) or a command line. Their tools are used as they were when the run started."""
    documents: str | None = None
    """Folder whose text files `search` looks through."""
    make: bool = False
    """Let the agent write tools of its own. They live where its memory lives, or in the run's store without one."""
    replay: bool = True
    """Play the task anew with a tool that was just written; where it is then not solved, the tool is refused."""
    calls_per_step: int = Field(default=8, gt=0)
    """Tool calls between two actions; then only acting is offered."""
    calls_per_episode: int = Field(default=100, gt=0)
    """Tool calls of one episode."""
    parallel: int = Field(default=4, gt=0)
    """Calls of one answer that run at once; those that share a sandbox still take turns."""
    result_chars: int = Field(default=4000, ge=100)
    """Longest result of one call in the prompt, in characters; what is cut is noted."""
    prompt_chars: int = Field(default=24_000, ge=1000)
    """All results of one step in the prompt together, in characters; the oldest are cut first."""
    approve: bool = False
    """Ask a person on the terminal before each call."""
