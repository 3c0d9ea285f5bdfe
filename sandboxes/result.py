"""What came of code in a sandbox, and what the sandbox vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "error", "timeout", "memory", "killed", "output_limit"]
"""`error`: the code raised, or the program returned another code than 0; `killed`: its process died otherwise."""

Guarantee = Literal["isolated", "restricted", "none"]
"""`isolated`: no file, process or network of the host is reached and all limits are enforced by the kernel;
`restricted`: the same, but a limit is only watched; `none`: the code can do what we can do."""


@dataclass(frozen=True)
class Capabilities:
    """Which limits the kernel itself enforces here."""

    memory_total: bool = False
    cpu_share: bool = False
    pids: bool = False
    disk_quota: bool = False
    file_count: bool = False
    network: bool = False
    seccomp: bool = False
    own_root: bool = False

    def missing(self) -> tuple[str, ...]:
        """Return what is not enforced, by name."""
        return tuple(name for name, value in vars(self).items() if not value)


@dataclass(frozen=True)
class CodeError:
    """What the code raised."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True)
class ExecResult:
    """One call's outcome. Code that fails is a result; only a sandbox that fails is an exception."""

    status: Status
    backend: str
    guarantee: Guarantee
    value: str | None = None
    """`repr` of the code's last expression, or None where that was None or no expression."""
    exit_code: int | None = None
    """Of a program; negative for a signal."""
    stdout: str = ""
    stderr: str = ""
    stdout_bytes: int = 0
    """All that was written, kept or not."""
    stderr_bytes: int = 0
    truncated: bool = False
    """Something of stdout, stderr or the value was cut."""
    error: CodeError | None = None
    state_lost: bool = False
    """Variables and background processes of earlier calls are gone."""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    """Processor time of the code's own process and of those it has waited for, in seconds."""
    peak_memory: int = 0
    """Highest resident memory of the code's own process so far, in bytes."""

    @property
    def ok(self) -> bool:
        """Whether the code ran to its end."""
        return self.status == "ok"
