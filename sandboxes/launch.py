"""What every launcher tells the worker, and what each knows of it."""

from __future__ import annotations

import json
from typing import Any

from .limits import Limits, Policy

PYTHON = "/usr/bin/python3"
WORKER = "/usr/lib/lamarck/worker.py"
PATH = "/usr/bin:/bin"
USER = 65534
"""Uid and gid inside; nobody's."""
FIRST_UID, UIDS = 1_200_000_000, 1_000_000
"""Host users that belong to nobody; each sandbox has its own, so that none can signal or count against another."""
CANARY = "/proc/sys/kernel/core_pattern"
"""Writable from inside, it runs a program on the host as root."""

ESCAPES = f"""
import os, socket
found = []
def tries(name, call):
    try:
        call()
        found.append(name)
    except (OSError, ValueError):
        pass
tries("writes {CANARY}", lambda: os.close(os.open("{CANARY}", os.O_WRONLY)))
tries("opens the supervisor", lambda: os.open("/proc/1/fd/1", os.O_WRONLY))
tries("reads the host's files", lambda: os.stat("/proc/1/root/etc/shadow"))
tries("has a network", lambda: socket.create_connection(("1.1.1.1", 53), 0.2))
if hasattr(socket, "AF_VSOCK"):
    tries("reaches the hypervisor", lambda: socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM))
tries("writes outside", lambda: open("/usr/lib/escape", "w"))
tries("is root", lambda: os.setuid(0))
', '.join(found) or 'held'
"""
"""A self-check that a sandbox passes before it is trusted; the whole list is in the attack suite."""


def arguments(limits: Limits, *, address_space: bool = False, nproc: bool = True, **more: Any) -> list[str]:
    """Return how the worker is started.

    Args:
        limits: those of single processes are set by the worker itself.
        address_space: limit each process's address space too, where the memory of all is not limited.
        nproc: limit the user's processes too; where the user is the sandbox's own.
        **more: for the worker.
    """
    rlimits: dict[str, int | None] = {"nofile": int(limits.nofile), "fsize": int(limits.disk), "core": 0}
    rlimits["nproc"] = int(limits.pids) + 2 if nproc else None
    rlimits["as"] = int(limits.memory) + 256 * 1024 * 1024 if address_space else None
    return ["-I", "-S", WORKER, json.dumps({"rlimits": rlimits, **more})]


def environment(policy: Policy) -> dict[str, str]:
    """Return all that the worker's environment holds."""
    base = {"PATH": PATH, "HOME": "/work", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
    return {**base, **policy.env}
