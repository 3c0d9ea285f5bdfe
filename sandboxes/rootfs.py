"""The file system that sandboxes start from: this machine's own Python and a few programs, and nothing else.

No registry is asked. The tree is known by the hash of what went into it, built once under a lock, and read-only to
everything inside a sandbox. Its modules are compiled, since a read-only file system never caches them: that halves
the time until a sandbox is ready.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.metadata
import os
import py_compile
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ..errors import SandboxError, boundary
from ..locks import FileLock
from ..wheels import cache_folder

INSIDE = Path(__file__).parent / "inside"
PROGRAMS = """
    sh bash cat cp mv rm mkdir rmdir ls ln touch chmod head tail wc sort uniq cut tr tee find grep sed awk xargs env
    echo printf sleep seq date basename dirname realpath readlink stat du df diff cmp true false test expr id kill
    timeout tar gzip gunzip unzip md5sum sha256sum base64 pwd which setpriv
""".split()
"""Taken where they are installed; only `sh` and `setpriv` are needed, and setpriv by one way of launching alone."""
SKIPPED = {"test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "site-packages", "__pycache__"}
UNUSED = ("config-", "_tkinter", "_test", "_xxtest", "_ctypes_test")
EXTRA = ("librt.so.1", "libdl.so.2", "libpthread.so.0", "libutil.so.1", "libstdc++.so.6", "libgcc_s.so.1")
MOUNTS = ("dev", "proc", "sys", "tmp", "work", "mnt", "etc", "var/tmp", "run")
LAYOUT = 4
"""Raised when the way a tree is laid out changes."""

Notify = Callable[[str], None]


def images_folder() -> Path:
    """Return where trees are kept: `$LAMARCK_CACHE`, else a folder that an unprivileged user can walk to.

    A sandbox that is started as root runs as another user, who could not enter root's home.
    """
    if os.geteuid() == 0 and not os.environ.get("LAMARCK_CACHE"):
        return Path("/var/cache/lamarck/sandboxes")
    return cache_folder("sandboxes")


def build(packages: Sequence[str] = (), *, folder: Path | None = None, say: Notify | None = None) -> Path:
    """Return the tree for this Python and these installed packages, built if it is not there yet.

    Args:
        packages: distributions to put in beside the standard library, without what they depend on.
        folder: where trees are kept.
        say: told when one is built.

    Raises:
        SandboxError: kind `image`, it cannot be built or written; or a package is not installed.
    """
    folder = folder if folder is not None else images_folder()
    ident = content_address(packages)
    target = folder / ident
    if target.is_dir():
        return target
    with boundary(SandboxError, f"cannot build the sandbox image in {folder}", OSError, kind="image"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        with FileLock(folder / "lock") as lock:
            lock.acquire()
            for stale in folder.glob(".building-*"):
                shutil.rmtree(stale, ignore_errors=True)
            if not target.is_dir():
                if say is not None:
                    say(f"building the sandbox image {ident} (once, a few seconds)")
                work = folder / f".building-{uuid.uuid4().hex[:8]}"
                try:
                    _lay_out(work, packages)
                    work.rename(target)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
    return target


def content_address(packages: Sequence[str] = ()) -> str:
    """Return the hash of what a tree is made of."""
    digest = hashlib.sha256(f"{LAYOUT}\n{sys.version}\n{sys.base_prefix}\n".encode())
    for path in sorted(INSIDE.glob("*.py")):
        digest.update(path.read_bytes())
    for path in (Path(sys.executable).resolve(), *(p for n in PROGRAMS if (p := _program(n)))):
        seen = path.stat()
        digest.update(f"{path} {seen.st_size} {seen.st_mtime_ns}\n".encode())
    for name in sorted(set(packages)):
        digest.update(f"{name} {_distribution(name).version}\n".encode())
    return digest.hexdigest()[:16]


def size_of(tree: Path) -> int:
    """Return the bytes of all files in a tree."""
    return sum(p.lstat().st_size for p in tree.rglob("*") if p.is_file() and not p.is_symlink())


def _lay_out(root: Path, packages: Sequence[str]) -> None:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for name in MOUNTS:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("usr/bin", "usr/lib", "usr/lib/lamarck"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "lib", "lib64"):
        (root / "usr" / name).mkdir(exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")
    (root / "etc/passwd").write_text("sandbox:x:65534:65534::/work:/bin/sh\n")
    (root / "etc/group").write_text("sandbox:x:65534:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    python = root / "usr/bin" / version
    shutil.copyfile(Path(sys.executable).resolve(), python)
    python.chmod(0o755)
    (root / "usr/bin/python3").symlink_to(version)
    (root / "usr/bin/python").symlink_to(version)
    binaries = [Path(sys.executable).resolve()]
    for name in PROGRAMS:
        if (found := _program(name)) is not None:
            shutil.copyfile(found, root / "usr/bin" / name)
            (root / "usr/bin" / name).chmod(0o755)
            binaries.append(found)
    library = root / "usr/lib" / version
    shutil.copytree(sysconfig.get_path("stdlib"), library, symlinks=False, ignore=_skipped)
    for name in set(packages):
        binaries += _install(name, library / "site-packages")
    binaries += library.rglob("*.so")
    for source in _libraries(binaries):
        where = root / (str(source).lstrip("/") if not _private(source) else f"usr/lib/{source.name}")
        if not where.exists():
            where.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.resolve(), where)
            where.chmod(0o755)
    # Only Python's own: wheels bring libraries that have been rewritten, and do not bear it.
    _slim([*(library / "lib-dynload").glob("*.so"), *(root / "usr/lib").glob("libpython*")])
    _cache_libraries(root)
    for path in INSIDE.glob("*.py"):
        shutil.copyfile(path, root / "usr/lib/lamarck" / path.name)
    for place in (library, root / "usr/lib/lamarck"):
        compileall.compile_dir(
            place,
            quiet=2,
            stripdir=str(root),
            prependdir="/",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        )
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & stat.S_IXUSR else 0o644)
    for name in ("tmp", "var/tmp"):  # Docker gives a file system in memory the mode of the folder below it
        (root / name).chmod(0o1777)
    root.chmod(0o755)


def _skipped(folder: str, names: list[str]) -> Iterable[str]:
    return {name for name in names if name in SKIPPED or name.startswith(UNUSED) or name.endswith((".a", ".pyc"))}


def _program(name: str) -> Path | None:
    found = shutil.which(name, path="/usr/bin:/bin:/usr/sbin:/sbin")
    path = Path(found).resolve() if found else None
    if path is None:
        return None
    with path.open("rb") as file:
        return path if file.read(4) == b"\x7fELF" else None  # not a script, whose interpreter may be missing


def _distribution(name: str) -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise SandboxError(
            f"cannot put package {name} into the sandbox image: it is not installed.",
            hint=f"Run: pip install {name}",
            kind="image",
        ) from None


def _install(name: str, site: Path) -> list[Path]:
    """Copy an installed distribution; return its shared objects."""
    found = []
    for entry in _distribution(name).files or ():
        source = Path(str(entry.locate()))
        if ".." in entry.parts or not source.is_file() or source.suffix == ".pyc":
            continue
        target = site / Path(*entry.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        if ".so" in source.name:
            found.append(source)
    return found


def _libraries(binaries: Iterable[Path]) -> set[Path]:
    """Return the shared libraries that binaries need, and those that Python packages open by themselves."""
    found: set[Path] = set()
    for path in binaries:
        done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False, timeout=30)
        found |= {Path(match[1]) for match in re.finditer(r"(?:=> )?(/\S+) \(0x", done.stdout)}
    for folder in {path.parent for path in found if not _private(path)}:
        found |= {folder / name for name in EXTRA if (folder / name).exists()}
    return {path for path in found if path.exists()}


def _private(library: Path) -> bool:
    """Say whether a library lies where only its own Python looks for it."""
    return not str(library).startswith(("/lib", "/usr/lib"))


def _slim(libraries: list[Path]) -> None:
    """Take out what only a debugger reads; a Python that was built by hand is four times as large with it."""
    if (strip := shutil.which("strip")) is not None and libraries:
        command = [strip, "--strip-unneeded", *map(str, libraries)]
        subprocess.run(command, capture_output=True, check=False, timeout=120)


def _cache_libraries(root: Path) -> None:
    folders = {path.parent for path in root.rglob("*.so*") if "lib-dynload" not in str(path)}
    lines = sorted("/" + str(folder.relative_to(root)) for folder in folders if "site-packages" not in str(folder))
    (root / "etc/ld.so.conf").write_text("\n".join(lines) + "\n")
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:/usr/bin")
    if ldconfig is None:
        raise SandboxError("cannot build the sandbox image: there is no ldconfig.", kind="image")
    subprocess.run([ldconfig, "-r", str(root)], capture_output=True, check=False, timeout=60)
