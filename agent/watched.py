"""Run as a program: start a command, and end it with everything it started when standard input closes.

Standard input is a pipe whose other end the starting process holds. The system closes it however that process ends,
also at kill -9, so a server never outlives who asked for it. Needs nothing but Python itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

PR_SET_PDEATHSIG = 1


def main(grace_s: float, command: Sequence[str]) -> int:
    """Run `command` in a process group of its own; return its exit status.

    Args:
        grace_s: seconds between asking it to end and making it.
        command: what to run.
    """
    # Ctrl-C in a terminal reaches the whole foreground group; when to stop is for who started us to say.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=_ready_to_end(os.getpid())
    )
    signal.signal(signal.SIGTERM, lambda *_: _signal(child.pid, signal.SIGTERM))
    threading.Thread(target=_end_with_input, args=(child, grace_s), daemon=True).start()
    status = child.wait()
    # A server that crashed may leave its workers behind.
    _signal(child.pid, signal.SIGKILL)
    return status if status >= 0 else 128 - status


def _ready_to_end(parent: int) -> Callable[[], None] | None:
    """Return what has the system end the command when this process itself is killed; Linux knows how."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None).prctl  # looked up here: little is safe between fork and exec

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # ignored signals are inherited
        if os.getppid() != parent:  # killed in between
            os._exit(1)

    return before_exec


def _end_with_input(child: subprocess.Popen[bytes], grace_s: float) -> None:
    while os.read(0, 4096):
        pass
    _signal(child.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(child.pid, signal.SIGKILL)


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
