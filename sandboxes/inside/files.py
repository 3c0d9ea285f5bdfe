"""Files, reached from a process of their own: a path may lead to /proc, and a pipe in its place may block."""

import _signal as signal
import os
import select
import stat
import time

from children import fork_or_close
from wire import dump

NAMES = ("/work", "/tmp")


def apart(supervisor, work):
    """Do something in a fork that holds nothing of the supervisor's; return its bytes."""
    source, sink = os.pipe()
    pid = fork_or_close((source, sink))
    if pid == 0:
        try:
            for fd in (*supervisor.private, supervisor.kernel.ask, supervisor.kernel.answer):
                os.close(fd)
            try:
                data = b"+" + (work() or b"")
            except Exception as error:
                data = b"-" + f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:500]
            view = memoryview(data)
            while view:
                view = view[os.write(sink, view) :]
        finally:
            os._exit(0)
    os.close(sink)
    poll, parts, deadline = select.poll(), [], time.monotonic() + 10
    poll.register(source, select.POLLIN)
    try:
        while poll.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            data = os.read(source, 1 << 20)
            if not data:
                break
            parts.append(data)
        else:
            raise TimeoutError("the file did not answer")
    finally:
        os.close(source)
        os.kill(pid, signal.SIGKILL)
        supervisor.ended[pid] = None
        while supervisor.ended[pid] is None:
            supervisor.reap()
        del supervisor.ended[pid]
    data = b"".join(parts)
    if data[:1] != b"+":
        raise OSError(data[1:].decode("utf-8", "replace") or "the file could not be reached")
    return data[1:]


def placed(places, path):
    """Return a path where the places for files really are; they have these names wherever that is."""
    for name, place in zip(NAMES, places, strict=False):
        if path == name or path.startswith(name + "/"):
            return place + path[len(name) :]
    return os.path.join(places[0], path)


def allowed(places, path):
    """Return the real path, where it lies below a place for files."""
    real = os.path.realpath(placed(places, path))
    if not any(real == place or real.startswith(place + "/") for place in map(os.path.realpath, places)):
        raise PermissionError(f"{path} is not below {' or '.join(places)}")
    return real


def write(places, path, data):
    real = allowed(places, path)
    os.makedirs(os.path.dirname(real), exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(real, flags, 0o644)
    regular(fd, path)
    with open(fd, "wb") as file:
        file.write(data)


def read(places, path, most):
    fd = os.open(allowed(places, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    regular(fd, path)
    with open(fd, "rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OverflowError(f"{path} is larger than {most} bytes")
    return data


def regular(fd, path):
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise IsADirectoryError(f"{path} is no regular file")


def listing(places, path, most):
    root, found, size = allowed(places, path), [], 0
    if not os.path.isdir(root):
        raise NotADirectoryError(f"there is no folder {path}")
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(os.path.join(root, folder)))
        except OSError:
            continue  # without rights, or deeper than a path can say
        for entry in entries:
            name = os.path.join(folder, entry.name)
            if entry.is_dir(follow_symlinks=False):
                folders.append(name)
                continue
            size += len(name) + 8
            if size > most:
                raise OverflowError(f"the list of files in {path} is larger than {most} bytes")
            found.append(name)
    return dump(sorted(found)).encode()


def marks(place):
    """Return what of a folder itself can be changed, to be put back."""
    return os.stat(place).st_mode & 0o7777


def clean(place, mode):
    """Make a place for files as it was: empty, with its own rights, times and no attributes.

    Folders deeper than a path can say are brought up to the top before they are looked into, so nothing recurses.
    """
    own = os.stat(place).st_uid == os.getuid()
    if own:
        os.chmod(place, mode | 0o700)
    number = 0
    while names := os.listdir(place):
        before = number
        for name in names:
            path = os.path.join(place, name)
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
                continue
            os.chmod(path, 0o700)
            for inner in os.listdir(path):
                below = os.path.join(path, inner)
                if stat.S_ISDIR(os.lstat(below).st_mode):
                    os.chmod(below, 0o700)  # a folder that cannot be written cannot be moved
                    number += 1
                    os.rename(below, os.path.join(place, f".{os.getpid()}-{number}-{time.monotonic_ns()}"))
                else:
                    os.unlink(below)
            os.rmdir(path)
        if number == before and len(os.listdir(place)) >= len(names):
            raise OSError(f"{place} cannot be emptied")
    if own:
        for name in os.listxattr(place):
            if name.startswith("user."):
                os.removexattr(place, name)
        os.chmod(place, mode)
        os.utime(place, (0, 0))
