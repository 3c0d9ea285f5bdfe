"""What the code of a made tool may use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .made import RESERVED


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PURE = _words("""
    __future__ abc array ast base64 binascii bisect calendar cmath collections colorsys contextlib copy csv dataclasses
    datetime decimal difflib enum fractions functools graphlib hashlib heapq html io itertools json math numbers
    operator pprint random re statistics string struct textwrap typing unicodedata urllib.parse zlib
    """)
"""Modules that compute and do nothing else."""
FILES = frozenset({"pathlib", "tempfile", "glob", "fnmatch", "fileinput", "gzip", "zipfile", "tarfile", "sqlite3"})
"""Modules for tools that may touch files."""
HIDDEN = _words("""
    os posix sys subprocess socket ctypes multiprocessing threading thread importlib builtins inspect gc signal asyncio
    """)
"""Modules that others hold as attributes, under these names or with underscores."""
FUNCTIONS = _words("eval exec compile open input breakpoint globals locals vars help exit quit")
ATTRIBUTES = _words("""
    open open_code FileIO now today utcnow get_type_hints ForwardRef get_field gi_frame gi_code cr_frame cr_code
    ag_frame ag_code tb_frame tb_next f_back f_globals f_locals f_builtins f_code
    """)
"""Attributes that open files, read the clock, evaluate text, or lead out of a function's own frame."""
BY_NAME: Mapping[str, int] = {
    "getattr": 1,
    "setattr": 1,
    "hasattr": 1,
    "delattr": 1,
    "attrgetter": 0,
    "methodcaller": 0,
}
"""Functions that take an attribute's name, and in which place."""


@dataclass(frozen=True)
class Rules:
    """What a tool's code may use, and how large it may be."""

    modules: frozenset[str] = PURE
    """What it may import; `a.b` allows that one alone, `a` all below it too. Everything else is forbidden."""
    files: bool = False
    """Whether it may touch files (below /work and /tmp, as the sandbox has it)."""
    code_chars: int = 16_000
    tests: int = 2
    """Fewest tests."""
    most_tests: int = 20
    test_chars: int = 8_000
    """Longest test, in characters of JSON."""
    reserved: frozenset[str] = RESERVED
    """Names that a tool may not bear."""

    def imports(self, module: str) -> bool:
        """Say whether a module may be imported."""
        allowed = self.modules | FILES if self.files else self.modules
        parts = module.split(".")
        return any(".".join(parts[: end + 1]) in allowed for end in range(len(parts)))
