"""Payload: leave something where another sandbox, or the next user of this one, might find it."""

import ctypes
import errno
import os
import signal
import socket

from common import attempt, libc

PLANTED = []
FOLDERS = ("/work", "/tmp", "/dev/shm", "/dev/mqueue", "/dev", "/run", "/var/tmp", "/mnt", "/")
KEY = 0x4C414D41
CREATE = 0o1000 | 0o666


def plant(secret):
    """Leave a secret everywhere; return what could be done."""
    PLANTED.append(secret)
    found = {}
    for folder in FOLDERS:
        found[folder] = attempt(lambda folder=folder: write(f"{folder}/planted-{secret}", secret))
    found["abstract"] = attempt(lambda: serve(socket.AF_UNIX, "\0lamarck-attack", secret))
    found["path"] = attempt(lambda: serve(socket.AF_UNIX, "/tmp/planted.socket", secret))
    found["tcp"] = attempt(lambda: serve(socket.AF_INET, ("127.0.0.1", 24242), secret))
    return {**found, **plant_ipc(secret)}


def write(path, text):
    with open(path, "w") as file:
        if not path.startswith("/dev/mqueue"):  # a file there is a queue, whose name says enough
            file.write(text)


def serve(family, address, secret):
    server = socket.socket(family, socket.SOCK_STREAM)
    server.bind(address)
    server.listen(8)
    if os.fork() == 0:
        signal.alarm(30)
        while True:
            client, _ = server.accept()
            client.sendall(secret.encode())
            client.close()
    server.close()


def plant_ipc(secret):
    """Leave a secret in what outlives all processes: System V and POSIX objects."""
    found = {}
    ident = libc.shmget(KEY, 4096, CREATE)
    found["shm"] = "ok" if ident >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
    if ident >= 0:
        libc.shmat.restype = ctypes.c_void_p
        ctypes.memmove(ctypes.c_void_p(libc.shmat(ident, None, 0)), secret.encode() + b"\0", len(secret) + 1)
    ident = libc.msgget(KEY, CREATE)
    found["msg"] = "ok" if ident >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
    if ident >= 0:
        message = bytes(ctypes.c_long(1)) + secret.encode()
        libc.msgsnd(ident, message, len(secret), 0)
    ident = libc.semget(KEY, 1, CREATE)
    found["sem"] = "ok" if ident >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
    queue = queue_open(os.O_CREAT | os.O_RDWR)
    found["mqueue"] = "ok" if queue >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
    if queue >= 0:
        libc.mq_send(queue, secret.encode(), len(secret), 1)
    return found


def queue_open(flags):
    try:
        return libc.mq_open(b"/lamarck", flags, 0o666, None)
    except AttributeError:  # an older C library has it elsewhere
        return -1


def seek():
    """Return every secret that was planted and can be found."""
    found = []
    for folder in FOLDERS:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name.startswith("planted"):
                found.append(f"{folder}/{name}")
    for family, address in ((1, "\0lamarck-attack"), (1, "/tmp/planted.socket"), (2, ("127.0.0.1", 24242))):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as client:
                client.settimeout(1)
                client.connect(address)
                found.append(f"{address}: {client.recv(100).decode()}")
        except OSError:
            pass
    return found + [f"memory: {secret}" for secret in PLANTED] + seek_ipc()


def seek_ipc():
    found = []
    ident = libc.shmget(KEY, 4096, 0o666)
    if ident >= 0:
        libc.shmat.restype = ctypes.c_void_p
        found.append(f"shm: {ctypes.string_at(ctypes.c_void_p(libc.shmat(ident, None, 0)), 100)!r}")
    ident = libc.msgget(KEY, 0o666)
    if ident >= 0:
        found.append("a message queue")
    if libc.semget(KEY, 1, 0o666) >= 0:
        found.append("semaphores")
    if queue_open(os.O_RDWR) >= 0:
        found.append("a POSIX queue")
    return found


def kill_everybody(most):
    """Kill every process but our own and those of our sandbox that are above us, by its number."""
    spared = {1, os.getpid(), os.getppid()}
    return sum(
        attempt(lambda pid=pid: os.kill(pid, signal.SIGKILL)) == "ok" for pid in range(2, most) if pid not in spared
    )


def watchers():
    """Take all inotify instances; return how many there were."""
    count = 0
    while count < 200 and libc.inotify_init1(0) >= 0:
        count += 1
    return count
