"""Locks between processes: files that the operating system unlocks when their holder dies."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType


class FileLock:
    """A lock on a file, exclusive or shared. The file stays; what counts is who holds it.

    Args:
        path: the lock file; its folder must exist.

    Raises:
        OSError: the file cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        self._file = Path(path).open("a+", encoding="utf-8")  # noqa: SIM115 - closed by close()

    def acquire(self, *, shared: bool = False, wait: bool = True) -> bool:
        """Take the lock, or return False where `wait` is off and another holds it.

        Without shared locks (Windows), a shared one is exclusive too.
        """
        if sys.platform == "win32":
            import msvcrt

            self._file.seek(0)
            try:
                msvcrt.locking(self._file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
            except OSError:
                return False
            return True
        import fcntl

        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(self._file, kind if wait else kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        if sys.platform == "win32":
            import msvcrt

            self._file.seek(0)
            msvcrt.locking(self._file.fileno(), msvcrt.LK_UNLCK, 1)
            return
        import fcntl

        fcntl.flock(self._file, fcntl.LOCK_UN)

    def note(self, text: str) -> None:
        """Write who holds the lock, for others to read."""
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()

    def noted(self) -> str:
        """Return what the holder wrote."""
        self._file.seek(0)
        return self._file.read().strip()

    def close(self) -> None:
        """Give the lock back and close its file."""
        self._file.close()

    def __enter__(self) -> FileLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
