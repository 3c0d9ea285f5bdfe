"""Payload: use up processes, memory, disk, files, output and processor time."""

import mmap
import os
import select
import signal
import threading
import time

from common import in_child, named

MIB = 1 << 20
KEPT = []


def fork_bomb(most):
    """Return how many processes there were at once."""
    pids = []
    try:
        while len(pids) < most:
            pid = os.fork()
            if pid == 0:
                time.sleep(20)
                os._exit(0)
            pids.append(pid)
    except OSError:
        pass
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        os.waitpid(pid, 0)
    return len(pids)


def fork_storm(most):
    """Processes that fork processes, deaf to all signals; each takes a token first, so that there is an end."""
    source, sink = os.pipe()
    os.set_blocking(source, False)
    os.write(sink, b"x" * most)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    ending = time.monotonic() + 15
    while time.monotonic() < ending:
        try:
            os.read(source, 1)
            if os.fork() == 0:
                os.setsid()
        except OSError:
            time.sleep(0.01)


def thread_bomb(most):
    threading.stack_size(65536)
    enough, count = threading.Event(), 0
    try:
        while count < most:
            threading.Thread(target=enough.wait, args=(20,), daemon=True).start()
            count += 1
    except RuntimeError:
        pass
    enough.set()
    return count


def swell(most):
    """Take memory, saying how many MiB were had."""
    kept = []
    for mib in range(16, most + 1, 16):
        kept.append(b"x" * (16 * MIB))
        os.write(1, b"%d\n" % mib)
    return len(kept) * 16


def swell_children(count, mib):
    """Return how many children hold that much at the same time."""
    source, sink = os.pipe()
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            kept = b"x" * (mib * MIB)
            os.write(sink, b".")
            time.sleep(10)
            os._exit(len(kept) == 0)
        pids.append(pid)
    had, ended, most, ending = 0, set(), 0, time.monotonic() + 4
    while time.monotonic() < ending and had + len(ended) < count:
        if select.select([source], [], [], 0.1)[0]:
            had += len(os.read(source, count))
        ended |= {pid for pid in pids if pid not in ended and os.waitpid(pid, os.WNOHANG)[0]}
        most = max(most, min(had, count - len(ended)))
    for pid in set(pids) - ended:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return most


def swell_unseen(total, each):
    """Shared memory that a child fills and the parent maps but never touches; return the MiB had."""
    kept, had = [], 0
    while had < total:
        area = mmap.mmap(-1, each * MIB)
        kept.append(area)
        if in_child(lambda area=area: area.write(b"x" * (each * MIB)), 5) != str(each * MIB):
            break
        had += each
        os.write(1, b"%d\n" % had)
    return had


def swell_memfd(total, each):
    """Files without a name, written and not mapped; return the MiB had."""
    had = 0
    while had < total:
        fd = os.memfd_create("swell")
        for _ in range(each):
            try:
                os.write(fd, b"x" * MIB)
            except OSError:
                return had
            had += 1
        os.write(1, b"%d\n" % had)
    return had


def fill(folder, most):
    """Return how many MiB of files fit into a folder, of up to 32 MiB each."""
    had, names = 0, []
    try:
        while had < most:
            names.append(f"{folder}/fill{len(names)}")
            with open(names[-1], "wb", buffering=0) as file:
                for _ in range(32):
                    file.write(b"x" * MIB)
                    had += 1
    except OSError as error:
        if not had:
            return named(error)
    for name in names:
        try:
            os.unlink(name)
        except OSError:
            pass
    return had


def litter(folder, most):
    """Return how many empty files fit into a folder."""
    count = 0
    try:
        while count < most:
            os.close(os.open(f"{folder}/n{count}", os.O_CREAT | os.O_WRONLY))
            count += 1
    except OSError:
        pass
    return count


def hoard(most):
    """Return how many files can be open at once."""
    fds = []
    try:
        while len(fds) < most:
            fds.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    for fd in fds:
        os.close(fd)
    return len(fds)


def flood(mib, fd=1):
    chunk = b"x" * MIB
    for _ in range(mib):
        left = memoryview(chunk)
        while left:
            left = left[os.write(fd, left) :]


def flood_later(mib):
    """A child writes after the call has ended, while nobody reads."""
    if os.fork() == 0:
        signal.alarm(20)
        time.sleep(0.2)
        try:
            flood(mib)
        finally:
            os._exit(0)


def spin(count, seconds):
    """Burn processor time in children for so many seconds of wall time."""
    ending = time.monotonic() + seconds
    pids = []
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            while time.monotonic() < ending:
                pass
            os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)


def hog(most):
    """Leave as many processes as there can be; they end by themselves."""
    count = 0
    try:
        while count < most:
            if os.fork() == 0:
                time.sleep(20)
                os._exit(0)
            count += 1
    except OSError:
        pass
    return count


def keep_full(folder):
    """Fill a folder, and leave it so."""
    try:
        for number in range(64):
            with open(f"{folder}/full{number}", "wb", buffering=0) as file:
                for _ in range(16 * 16):
                    file.write(b"x" * (MIB // 16))
    except OSError as error:
        return named(error)
    return "ok"


def keep_memory(mib):
    """Hold memory beyond the end of the call."""
    KEPT.append(b"x" * (mib * MIB))


def unspared(most):
    """Take memory as one that the kernel would rather not kill."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("0")
    return swell(most)
