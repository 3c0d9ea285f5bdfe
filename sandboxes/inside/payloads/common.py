"""The module `common` of every payload: how an attempt is made, and how it is told.

Payloads are text to Lamarck: attacks that it makes on its own sandboxes. Each is bounded by itself, so that it does
no harm where nothing holds it.
"""

import ctypes
import errno
import os
import select
import signal

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
BAD = 1  # a pointer to nothing: a call that gets through to the kernel ends with EFAULT


def named(error):
    return errno.errorcode.get(error.errno, type(error).__name__)


def attempt(call):
    """Return `ok` where a call gets through, else the name of its error."""
    try:
        call()
    except OSError as error:
        return named(error)
    return "ok"


def syscall(number, *arguments):
    """Make a system call by its number; return `ok` or the name of its error."""
    done = libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(value & (1 << 64) - 1) for value in arguments))
    return "ok" if done != -1 else errno.errorcode.get(ctypes.get_errno(), "?")


def in_child(call, seconds=2.0):
    """Return what a forked child says of a call, or the signal that ended it."""
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            for number in (signal.SIGSYS, signal.SIGSEGV):
                signal.signal(number, signal.SIG_DFL)
            os.write(sink, str(call()).encode())
        except BaseException as error:
            os.write(sink, f"raised {error!r}".encode())
        finally:
            os._exit(0)
    os.close(sink)
    said = os.read(source, 4000).decode() if select.select([source], [], [], seconds)[0] else "no answer"
    os.close(source)
    os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return said or (signal.Signals(-code).name if code < 0 else f"exit code {code}")


def listed():
    """Return the ids of the processes that can be seen."""
    return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
