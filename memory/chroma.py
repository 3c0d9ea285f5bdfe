"""What a vector index is to the rest: what it holds, what it answers, and how it breaks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ..errors import StoreError

if TYPE_CHECKING:
    from .embedding import Matrix

PASSING = (
    "no space left",
    "disk is full",
    "disk full",
    "too many open files",
    "is locked",
    "permission denied",
)
"""What goes wrong around an index, not in it: building it anew would not help."""
BATCH = 5000
"""Vectors per call; Chroma refuses more than a few ten thousand."""


class Hit(NamedTuple):
    """A text and the cosine of its vector with the query's.

    Texts, not items: many items may apply to the same text, and a graph of equal vectors falls apart.
    """

    text_id: str
    similarity: float


class Mark(NamedTuple):
    """What an index holds."""

    embedder: str
    dimension: int
    upto: int
    """The texts of all items up to this number are in it."""
    size: int = 0
    """How many texts that are."""
    generation: str = ""
    """Changes with every write, so that other processes see that theirs is old."""
    home: str = ""
    """Where exactly the vectors are, within the place of the index."""


class Page(NamedTuple):
    """Texts on their way into an index."""

    ids: Sequence[str]
    vectors: Matrix
    upto: int


Pages = Callable[[int], Page | None]
"""Returns the texts of the items that came after a number, a part at a time."""


class Broken(Exception):
    """The index cannot be used and must be built anew."""


class Backend(Protocol):
    """Where vectors are searched.

    All methods raise `Broken` where it is damaged or lacks what it should hold, and `StoreError` where it cannot be
    reached, has no room, or was built with another embedder.
    """

    place: str

    def mark(self) -> Mark | None:
        """Return what it holds; None where there is nothing."""
        ...

    def search(self, vectors: Matrix, k: int, since: Mark) -> list[list[Hit]]:
        """Return the k nearest of each vector, if it holds what `since` says at least."""
        ...

    def extend(self, page: Page, since: Mark) -> None:
        """Add texts to what `since` says is there; doing it again changes nothing."""
        ...

    def rebuild(self, pages: Pages, since: Mark) -> None:
        """Build it anew beside what is there, and take its place at the end."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


def trusted(mark: Mark | None, since: Mark, place: str) -> None:
    """Check that an index holds what this process takes for granted; others may have built or removed it since.

    Raises:
        Broken: it lacks items.
        StoreError: it was built anew with another embedder.
    """
    if mark is not None and mark.embedder != since.embedder:
        raise mismatch(f"index {place}", mark.dimension, since.dimension, since.embedder, mark.embedder)
    if since.upto and (mark is None or mark.upto < since.upto):
        raise Broken(f"it holds items up to number {mark.upto if mark else 0} instead of {since.upto}")


def mismatch(what: str, there: int, here: int, name: str, other: str = "") -> StoreError:
    """Return the error of vectors that do not go together, with both numbers."""
    of = f" of {other}" if other else ""
    return StoreError(
        f"{what} holds vectors of {there} dimensions{of}, but {name} gives {here}.",
        hint="Set memory.embedding to what it was, or run: lamarck memory reindex --embedding NAME",
        kind="dimension",
    )


def hits_of(found: Any) -> list[list[Hit]]:
    """Return what a query of Chroma's found; its distance is 1 - cosine."""
    return [
        [Hit(ident, 1.0 - distance) for ident, distance in zip(ids, distances, strict=True)]
        for ids, distances in zip(found["ids"], found["distances"], strict=True)
    ]


@contextlib.contextmanager
def chroma_errors(place: str) -> Iterator[None]:
    """Tell a damaged folder from one that has no room or is in use; Chroma's Rust core panics beside `Exception`."""
    try:
        yield
    except (Broken, StoreError):
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        text = (str(error).strip().splitlines() or [type(error).__name__])[0]
        if any(words in text.lower() for words in PASSING):
            raise StoreError(f"index {place} cannot be written or read: {text}.", kind="index") from error
        raise Broken(text) from error
