"""A vLLM server as a process of this one: started, read from its log, ended."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..errors import ModelError

GRACE_S = 10.0
"""Seconds between asking a server to end and making it."""
TAIL = 400_000
"""Bytes of the log that are read back."""
END = 64_000
"""Bytes of the log that tell why it ended after it had been up: errors before are of questions it got over."""
WHO = re.compile(r"^\([\w: -]+ pid=\d+\)\s*")
LEVEL = re.compile(r"^(?:ERROR|CRITICAL|WARNING|INFO|DEBUG)\s+[\d-]+ [\d:]+ \[[^\]]*\]\s*")
NAMED = re.compile(r"^(?:[\w.]+: )?([\w.]*(?:Error|Exception|Interrupt)|error): (.+)$")
DEAD = "EngineCore failed to start"
"""After this line nothing comes of a server, but it may stay: vLLM 0.32 was seen waiting for its dead engine."""


class VllmProcess:
    """One server and everything it starts, ended with this process however that ends.

    Args:
        command: what to run.
        env: environment variables beside those of this process.
        log: where its output is appended; the folder is made.
        grace_s: seconds between asking it to end and making it.

    Raises:
        ModelError: it cannot be started, or the log not be written.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path, grace_s: float = GRACE_S) -> None:
        self.log = log
        self._grace_s = grace_s
        watched = [sys.executable, "-I", str(Path(__file__).with_name("watched.py")), str(grace_s), *command]
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as out:
                self._from = out.tell()
                self._process = subprocess.Popen(
                    watched,
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **env},
                    start_new_session=True,
                )
        except OSError as error:
            raise ModelError(f"cannot start vLLM with its log in {log}: {error.strerror}.", kind="start") from error

    @property
    def status(self) -> int | None:
        """Exit status, or None while it runs."""
        return self._process.poll()

    @property
    def failed(self) -> bool:
        """Whether nothing will come of it: it has ended, or its engine has."""
        return self.status is not None or any(DEAD in line for line in self._lines())

    def stop(self) -> None:
        """End it and everything it started, and wait for that."""
        process = self._process
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        try:
            process.wait(2 * self._grace_s + 5.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def said(self, text: str) -> bool:
        """Whether its log has a text."""
        return any(text in line for line in self._lines())

    def last(self) -> str:
        """Return the last line it said, to show what it is at."""
        lines = self._lines()
        return _plain(lines[-1])[:120] if lines else "nothing yet"

    def reason(self, tail: int = TAIL) -> str:
        """Return why it failed, as far as its log says: the first error it names, else its last lines.

        The engine's own error comes first in the log; that of the server, which only says that the engine failed,
        behind it.

        Args:
            tail: bytes at the end of the log to look through.
        """
        lines = [_plain(line) for line in self._lines(tail)]
        for number, line in enumerate(lines):
            found = NAMED.match(line)
            if found is not None and "validation error" in found[2] and number + 1 < len(lines):
                return _short(lines[number + 1].partition(" [type=")[0])  # pydantic says what on the next line
            if found is not None:
                return _short(found[2] if found[1] == "error" else f"{found[1].rpartition('.')[2]}: {found[2]}")
        return _short(" / ".join(lines[-3:]) or ("it said nothing" if self.log.is_file() else "its log is gone"))

    def _lines(self, tail: int = TAIL) -> list[str]:
        try:
            with self.log.open("rb") as file:
                file.seek(0, os.SEEK_END)
                file.seek(max(self._from, file.tell() - tail))
                text = file.read().decode("utf-8", errors="replace")
        except OSError:  # who cleans up the folder does not end the server
            return []
        return [line for line in text.splitlines() if line.strip()]


def _plain(line: str) -> str:
    """Return a line without who says it and when."""
    return LEVEL.sub("", WHO.sub("", line)).strip()


def _short(text: str) -> str:
    return text if len(text) <= 300 else text[:297] + "..."
