"""The processes a supervisor forks: the kernel that runs code, and single programs."""

import _signal as signal
import ctypes
import os
import sys
import time

PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER = 4, 36


def prctl(option, value):
    return ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def fork_or_close(fds):
    """Fork; where no process is left for that, close what the child would have used."""
    try:
        return os.fork()
    except OSError:
        for fd in fds:
            os.close(fd)
        raise


class Kernel:
    """The process that runs the code, and the pipes to it."""

    def __init__(self, supervisor):
        ask_in, ask_out = os.pipe()
        answer_in, answer_out = os.pipe()
        out_in, out_out = os.pipe()
        err_in, err_out = os.pipe()
        fds = (ask_in, ask_out, answer_in, answer_out, out_in, out_out, err_in, err_out)
        pid = fork_or_close(fds)
        if pid == 0:
            try:
                become_kernel(supervisor, ask_in, answer_out, out_out, err_out)
            finally:
                os._exit(70)
        for fd in (ask_in, answer_out, out_out, err_out):
            os.close(fd)
        for fd in (ask_out, answer_in, out_in, err_in):
            os.set_blocking(fd, False)
        self.pid, self.ask, self.answer, self.out, self.err = pid, ask_out, answer_in, out_in, err_in
        self.highest, self.children = 0, 0.0
        self.clock = (~pid << 3) | 2  # the kernel's CPUCLOCK_SCHED of a process

    def cpu(self):
        """Return the processor time of the process, in seconds."""
        try:
            return time.clock_gettime(self.clock)
        except OSError:
            return 0.0

    def family(self):
        """Return the processor time of the children it has waited for, in seconds."""
        try:
            fields = self.proc("stat").rpartition(b")")[2].split()
            return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return 0.0

    def peak(self):
        """Return the highest resident memory of the process, in bytes."""
        try:
            status = self.proc("status")
            start = status.index(b"VmHWM:") + 6
            return int(status[start : status.index(b"kB", start)]) * 1024
        except (OSError, ValueError):
            return 0

    def proc(self, name):
        fd = os.open(f"/proc/{self.pid}/{name}", os.O_RDONLY)
        try:
            return os.read(fd, 4096)
        finally:
            os.close(fd)

    def close(self):
        for fd in (self.ask, self.answer, self.out, self.err):
            os.close(fd)


def become_kernel(supervisor, ask, answer, out, err):
    null = os.open("/dev/null", os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (err, 2)):
        os.dup2(source, target, inheritable=True)
    low, high = sorted((ask, answer))
    for first, last in ((3, low), (low + 1, high), (high + 1, 1 << 20)):
        os.closerange(first, last)
    restore_signals()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # as Python has them: an error that can be caught, not the end
        signal.signal(number, signal.SIG_IGN)
    os.setsid()
    prctl(PR_SET_DUMPABLE, 1)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass
    os.chdir(supervisor.places[0])
    sys.modules["kernel"].serve(ask, answer)


def restore_signals():
    for number in range(1, 32):
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def become_program(supervisor, request, cwd, feed, out, err):
    try:
        for source, target in ((feed, 0), (out, 1), (err, 2)):
            os.dup2(source, target, inheritable=True)
        os.closerange(3, 1 << 20)
        restore_signals()
        os.setsid()
        os.chdir(cwd)
        env = {**os.environ, **request["env"]}
        os.execvpe(request["argv"][0], request["argv"], env)
    except BaseException as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "replace"))
        os._exit(127 if isinstance(error, FileNotFoundError) else 126)
