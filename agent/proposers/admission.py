"""Who may pass: nothing twice, nothing nearly twice, and nothing that is held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import JsonValue

from .likeness import Print, Said, likeness, mean_distance, print_of, read, written
from .proposer import Refusal, State

REMEMBERED = 2048
"""Tasks of earlier rounds that near-duplicates are sought among, the newest ones. Duplicates are known for good."""


class HeldOut:
    """Tasks that are never proposed.

    Args:
        tasks: what they say.
        near: likeness from which on another task is refused as well.
    """

    def __init__(self, tasks: Sequence[Said], *, near: float) -> None:
        self._prints = [print_of(said) for said in tasks]
        self._contents = {one.content for one in self._prints}
        self._near = near

    def has(self, said: Said) -> bool:
        """Say whether a task says what a held-out one says."""
        return print_of(said).content in self._contents

    def refuses(self, one: Print) -> Refusal | None:
        """Return why a task may not pass."""
        if one.content in self._contents:
            return Refusal(reason="held_out", detail=one.content)
        if any(likeness(one, other) >= self._near for other in self._prints):
            return Refusal(reason="near_held_out", detail=one.content)
        return None


class Admission:
    """Lets new tasks in, one after the other, and remembers them.

    Args:
        held_out: what never passes.
        near: likeness from which on a task is a near-duplicate.
        state: what was let in before; see `kept`.
    """

    def __init__(self, held_out: HeldOut, near: float, state: State) -> None:
        self._held_out, self._near = held_out, near
        contents, prints = state.get("contents"), state.get("prints")
        self._contents = [str(one) for one in contents] if isinstance(contents, list) else []
        self._prints = [read(one) for one in prints] if isinstance(prints, list) else []
        self._known = set(self._contents)
        self._new: list[Print] = []

    def admit(self, said: Said) -> Refusal | None:
        """Let a task in, or return why not."""
        one = print_of(said)
        refusal = self._held_out.refuses(one)
        if refusal is not None:
            return refusal
        if one.content in self._known:
            return Refusal(reason="duplicate", detail=one.content)
        for other in self._prints:
            if likeness(one, other) >= self._near:
                return Refusal(reason="near_duplicate", detail=f"{one.content} is nearly {other.content}")
        self._known.add(one.content)
        self._contents.append(one.content)
        self._prints.append(one)
        self._new.append(one)
        return None

    def kept(self) -> dict[str, JsonValue]:
        """Return what is remembered, as plain JSON."""
        return {
            "contents": list(self._contents),
            "prints": [list(written(one)) for one in self._prints[-REMEMBERED:]],
        }

    def diversity(self, categories: Sequence[str], refused: Sequence[Refusal]) -> dict[str, JsonValue]:
        """Return how different the admitted tasks are from each other, and the share that was refused for each reason.

        `distance` is the mean of 1 - likeness over all pairs of them.
        """
        seen = len(self._new) + len(refused)
        return {
            "admitted": len(self._new),
            "categories": len(set(categories)),
            "distance": round(mean_distance(self._new), 4),
            "refused": {
                reason: round(count / seen, 4) for reason, count in sorted(Counter(r.reason for r in refused).items())
            },
        }
