"""Payload: speak for the worker, stop it, or leave it in a state that lies to the next call."""

import builtins
import ctypes
import fcntl
import os
import resource
import signal
import stat
import struct
import sys
import threading
import time

from common import attempt, listed


def true_answer(ident, value):
    """Return a line as the worker would say it to the host."""
    fields = '"stdout":"","stderr":"","stdout_bytes":0,"stderr_bytes":0,"state_lost":false'
    times = '"wall_s":0.0,"cpu_s":0.0,"peak_memory":0,"signal":null'
    return f'{{"id":{ident},"ok":{{"status":"ok","value":"{value}",{fields},{times}}}}}\n'.encode()


def pipes(mode):
    """Return our open pipes that can be read, or written."""
    found = []
    for fd in range(3, 256):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode) and fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == mode:
                found.append(fd)
        except OSError:
            pass
    return found


def shout(value):
    """Write false answers into everything that can be opened; return how many took them."""
    lines = b"".join(true_answer(ident, value) for ident in range(1, 40))
    places = [f"/proc/{pid}/fd/{fd}" for pid in {1, os.getppid(), *listed()[:50]} for fd in range(40)]
    places += "/dev/stdout /dev/stderr /dev/tty /dev/console /dev/pts/0 /dev/ptmx /dev/stdin".split()
    # Our own lines to the supervisor have attacks of their own.
    spared = {os.fstat(fd).st_ino for mode in (os.O_RDONLY, os.O_WRONLY) for fd in pipes(mode)}
    took = 0
    for place in places:
        try:
            if os.stat(place).st_ino not in spared:
                fd = os.open(place, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
                took += os.write(fd, lines) > 0
                os.close(fd)
        except OSError:
            pass
    for fd in range(3, 256):
        try:
            if os.fstat(fd).st_ino not in spared:
                took += os.write(fd, lines) > 0
        except OSError:
            pass
    return took


def frame(body):
    return struct.pack("<I", len(body)) + body


def say(data, later=0.0):
    """Write bytes as the kernel's answer, at once or when the call is over; return how many lines there were."""
    lines = pipes(os.O_WRONLY)

    def go():
        time.sleep(later)
        for fd in lines:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]

    if later:
        threading.Thread(target=go, daemon=True).start()
    else:
        go()
    return len(lines)


def say_lie(value, later=0.0):
    return say(frame(b'{"value":"%s"}' % value.encode()), later)


def say_nested(depth):
    return say(frame(b"[" * depth + b"]" * depth))


def steal():
    """Read the next request before the kernel does."""
    (fd, *_) = pipes(os.O_RDONLY)
    os.set_blocking(fd, False)

    def go():
        while True:
            try:
                os.read(fd, 1 << 16)
            except OSError:
                pass

    threading.Thread(target=go, daemon=True).start()


def signal_supervisor(numbers):
    """Send signals to the first process and to our parent; return what came of them."""
    found = {}
    for pid in {1, os.getppid()}:
        for number in numbers:
            found[f"{pid} {number}"] = attempt(lambda pid=pid, number=number: os.kill(pid, number))
    return found


def signal_all(number):
    return attempt(lambda: os.kill(-1, number))


def wanderer(mark, deaf=True, seconds=60):
    """Start a process that nobody waits for, in a session of its own, deaf to signals; it ends by itself."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            if deaf:
                for number in range(1, 32):
                    if number not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD):
                        signal.signal(number, signal.SIG_IGN)
            traps = "trap '' HUP INT QUIT TERM TSTP; " if deaf else ""
            os.execv("/bin/sh", ["sh", "-c", f"{traps}for i in $(seq {seconds * 5}); do sleep 0.2; done", mark])
        os._exit(0)
    time.sleep(0.1)


def deaf():
    """Never stop: not by an exception, not by a signal."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    ending = time.monotonic() + 20
    while time.monotonic() < ending:
        try:
            while time.monotonic() < ending:
                pass
        except BaseException:
            pass


def catch_all():
    ending = time.monotonic() + 20
    while time.monotonic() < ending:
        try:
            while time.monotonic() < ending:
                pass
        except BaseException:
            pass


def settings(pid):
    """Return what a process hands down to its children."""
    numbers = [resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_STACK]
    limits = [resource.prlimit(0, number) for number in numbers]
    return [limits, os.getpriority(os.PRIO_PROCESS, 0), sorted(os.sched_getaffinity(0)), os.sched_getscheduler(0)]


def worsen():
    """Take from the supervisor what it hands down to the next kernel."""
    calls = {
        "files": lambda p: resource.prlimit(p, resource.RLIMIT_FSIZE, (4096, 4096)),
        "time": lambda p: resource.prlimit(p, resource.RLIMIT_CPU, (60, 60)),
        "stack": lambda p: resource.prlimit(p, resource.RLIMIT_STACK, (65536, 65536)),
        "nice": lambda p: os.setpriority(os.PRIO_PROCESS, p, 19),
        "user's nice": lambda p: os.setpriority(os.PRIO_USER, 0, 19),
        "scheduler": lambda p: os.sched_setscheduler(p, os.SCHED_IDLE, os.sched_param(0)),
        "cores": lambda p: os.sched_setaffinity(p, {max(os.sched_getaffinity(0))}),
    }
    parents = sorted({1, os.getppid()})
    return {f"{name} {p}": attempt(lambda call=call, p=p: call(p)) for name, call in calls.items() for p in parents}


class Huge:
    def __repr__(self):
        return "x" * (300 << 20)


class Endless:
    def __repr__(self):
        while True:
            pass


class Raises:
    def __repr__(self):
        raise SystemExit("from repr")


class Deadly(Exception):
    def __str__(self):
        os._exit(3)


class Stuck(Exception):
    def __str__(self):
        while True:
            pass


class Meta(type):
    __name__ = property(lambda cls: 1 / 0)


class Nameless(Exception, metaclass=Meta):
    pass


class Text(str):
    """A string whose every part is something else."""

    def __len__(self):
        return 1 << 62

    def __getitem__(self, key):
        return [self] * 1000


class Liar:
    def __repr__(self):
        return Text("x")


class Junk:
    """Stands for stdout."""

    def write(self, text):
        raise SystemExit("no")

    def flush(self):
        while True:
            pass


def fail(error):
    raise error


def recurse():
    return recurse()


def crash():
    ctypes.string_at(8)


def spoil_builtins():
    for name in ("len", "repr", "isinstance", "type", "compile", "exec", "eval", "str", "dict", "map", "range"):
        setattr(builtins, name, None)


def spoil_modules():
    import gc

    for thing in gc.get_objects():
        if type(thing).__name__ == "Cells":
            thing.run = lambda *words: {"value": "'lie'"}
    os.write = os.read = struct.pack = struct.unpack = None
    sys.modules.clear()


def end_later(seconds):
    """Die when the call is over."""
    threading.Timer(seconds, os._exit, (7,)).start()
