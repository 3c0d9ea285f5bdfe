"""Payload: files that are not what they seem, for those who read, write and list them from outside."""

import os
import socket
import time
import zipfile

from common import attempt

MIB = 1 << 20
KEPT = []


def links(folder, targets):
    """Lay links to files and to folders; return their paths by target."""
    made = {}
    for number, target in enumerate(targets):
        for name, goal in ((f"link{number}", target), (f"folder{number}", os.path.dirname(target) or "/")):
            path = f"{folder}/{name}"
            os.symlink(goal, path)
            made[path if name.startswith("link") else f"{path}/{os.path.basename(target)}"] = target
    return made


def odd_files(folder):
    """Make files that block, that never end, that are endless, or that are no files."""
    os.mkfifo(f"{folder}/pipe")
    os.mkfifo(f"{folder}/read-pipe")
    os.symlink("loop", f"{folder}/loop")
    os.symlink("/dev/zero", f"{folder}/zero")
    os.symlink("/proc/self/fd/0", f"{folder}/stdin")
    os.symlink("/proc/kmsg", f"{folder}/kmsg")
    os.mkdir(f"{folder}/dir")
    socket_file(f"{folder}/socket")
    KEPT.append(os.open(f"{folder}/read-pipe", os.O_RDWR | os.O_NONBLOCK))


def socket_file(path):
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    KEPT.append(server)


def swapper(folder, target, seconds):
    """A process that swaps a folder with a link to another one, as fast as it can."""
    os.mkdir(f"{folder}/real")
    with open(f"{folder}/real/{os.path.basename(target)}", "w") as file:
        file.write("mine")
    os.symlink(os.path.dirname(target), f"{folder}/false")
    os.symlink("real", f"{folder}/race")
    if os.fork() == 0:
        ending = time.monotonic() + seconds
        while time.monotonic() < ending:
            for goal in ("false", "real"):
                os.symlink(goal, f"{folder}/next")
                os.rename(f"{folder}/next", f"{folder}/race")
        os._exit(0)


def odd_names(folder):
    """Make files with names that are hard to print."""
    names = [b"new\nline", b"\xff\xfe", b"\x1b[31mred", b"-rf", b" ", "\u202egpj.exe".encode(), b"x" * 255]
    for name in names:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(name)
    return len(names)


def sparse(path, size):
    """Return how large a file of holes could be made."""
    with open(path, "wb") as file:
        for power in range(size.bit_length() - 1, 0, -1):
            if attempt(lambda power=power: os.ftruncate(file.fileno(), 1 << power)) == "ok":
                break
        return os.fstat(file.fileno()).st_size


def zip_bomb(folder, mib):
    """Unpack so many MiB of zeros from a small archive; return how many came out, and the error."""
    with zipfile.ZipFile(f"{folder}/bomb.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number in range(mib // 16):
            archive.writestr(f"{number}", bytes(16 * MIB))
    size = os.path.getsize(f"{folder}/bomb.zip")
    result = attempt(lambda: zipfile.ZipFile(f"{folder}/bomb.zip").extractall(f"{folder}/out"))
    return size, sum(os.path.getsize(f"{folder}/out/{name}") for name in os.listdir(f"{folder}/out")) // MIB, result


def nest(folder, depth):
    """Make folders in folders, deeper than a path can say; return how deep."""
    os.chdir(folder)
    for number in range(depth):
        try:
            os.mkdir("d")
            os.chdir("d")
        except OSError:
            os.chdir(folder)
            return number
    os.chdir(folder)
    return depth


def hide(folder, secret):
    """Leave a file in a folder that nobody may enter."""
    os.makedirs(f"{folder}/hidden/inner")
    with open(f"{folder}/hidden/inner/file", "w") as file:
        file.write(secret)
    os.chmod(f"{folder}/hidden/inner", 0)
    os.chmod(f"{folder}/hidden", 0)


def found_hidden(folder):
    """Open what is hidden again; return what is in it."""
    if not os.path.isdir(f"{folder}/hidden"):
        return os.listdir(folder)
    os.chmod(f"{folder}/hidden", 0o700)
    if os.path.isdir(f"{folder}/hidden/inner"):
        os.chmod(f"{folder}/hidden/inner", 0o700)
    return [open(os.path.join(at, name)).read() for at, _, names in os.walk(f"{folder}/hidden") for name in names]


def lock_places():
    """Take all rights from the folders that everybody needs."""
    return {place: attempt(lambda place=place: os.chmod(place, 0)) for place in ("/tmp", "/dev/shm", "/work")}


def mark_places(secret):
    """Write on the folders themselves, not into them."""
    found = {}
    for place in ("/work", "/tmp", "/dev/shm"):
        found[place] = attempt(lambda place=place: os.setxattr(place, "user.lamarck", secret.encode()))
    return found


def marks():
    found = []
    for place in ("/work", "/tmp", "/dev/shm", "/"):
        try:
            found += [os.getxattr(place, name).decode() for name in os.listxattr(place) if name.startswith("user.")]
        except OSError:
            pass
    return found


def hard_links(sources):
    """Return what came of giving files from elsewhere a name of ours."""
    return {s: attempt(lambda s=s, n=n: os.link(s, f"/work/hard{n}")) for n, s in enumerate(sources)}


def spoil_mount(folder):
    """Try to change what is mounted for reading."""
    calls = {
        "write": lambda: open(f"{folder}/file", "w").close(),
        "append": lambda: open(f"{folder}/file", "a").close(),
        "create": lambda: open(f"{folder}/new", "w").close(),
        "unlink": lambda: os.unlink(f"{folder}/file"),
        "rename": lambda: os.rename(f"{folder}/file", f"{folder}/other"),
        "mkdir": lambda: os.mkdir(f"{folder}/dir"),
        "chmod": lambda: os.chmod(f"{folder}/file", 0o777),
        "utime": lambda: os.utime(f"{folder}/file", (0, 0)),
        "truncate": lambda: os.truncate(f"{folder}/file", 0),
        "link": lambda: os.link(f"{folder}/file", "/work/hard"),
        "above": lambda: open(f"{folder}/../new", "w").close(),
        "link out": lambda: open(f"{folder}/out/canary").close(),
    }
    return {name: attempt(call) for name, call in calls.items()}
