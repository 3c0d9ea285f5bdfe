"""What an evolution has learned: the most valuable items of its memory, and how memories changed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from ...agent.evolution.generation import Generation
from ...config_evolve import EvolveConfig
from ...core import Item, Release
from ...evals.metrics import wilson
from ...evals.reports.evolution_data import Change, Effect, Learned
from ...memory.reading import Light, Reading
from ...memory.state import State
from ...release_memory import FILE, compare
from ...releases import Releases
from ...store import Store
from ...tools.made_log import ToolLog

EACH = 10
"""Items shown of a kind."""
COMPARED = 12
"""Generations whose memory is compared with its parent's, item by item: the promoted ones, and the newest."""
MOVED = 5
"""Items shown of such a comparison."""
WIDE = 600
"""Characters of an item that are shown."""


class Holding(NamedTuple):
    """What a memory holds."""

    of: str = ""
    kinds: dict[str, int] = {}  # noqa: RUF012  # never written to
    items: tuple[Learned, ...] = ()
    tools: tuple[tuple[str, str], ...] = ()


def learned(releases: Releases, config: EvolveConfig) -> Holding:
    """Return what the release in force has learned; where it has no memory, what the newest release with one has.

    Raises:
        StoreError: the memory cannot be read.
    """
    head = releases.head()
    nodes = sorted(releases.tree(), key=lambda one: one.release.created_at)
    found = [one.release for one in nodes if one.release.memory_snapshot is not None]
    if head is not None and head.memory_snapshot is not None:
        chosen, said = head, f"The release in force, {head.id[:12]}."
    elif found:
        chosen = found[-1]
        said = f"Release {chosen.id[:12]}, the newest with a memory; the one in force has none."
    else:
        return Holding()
    return _holding(releases, chosen, said, config)


def _holding(releases: Releases, release: Release, said: str, config: EvolveConfig) -> Holding:
    credit = config.run.memory.credit
    with Store.open(releases.folder(release.id) / "memory" / FILE, create=False) as store:
        reading = Reading(store, credit.alpha)
        head = reading.head()
        lights = reading.lights(head.lineage) if head is not None else []
        live = [one for one in lights if one.state.status != "retired"]
        chosen = _best(live, credit.effect_prior)
        items = reading.items([one.id for one in chosen], head.lineage) if head is not None else {}
        made = [(v.tool.name, v.tool.description) for v in ToolLog(store).shelf().active()]
    shown = tuple(_shown(items[one.id], one.state, credit.effect_prior) for one in chosen if one.id in items)
    return Holding(said, dict(Counter(one.state.kind for one in live)), shown, tuple(made))


def _best(lights: Sequence[Light], prior: float) -> list[Light]:
    """Return the most valuable of each kind: by measured effect where there is one, then by value, then by use."""

    def rank(one: Light) -> tuple[float, ...]:
        state = one.state
        measured = bool(state.kept and state.left_out)
        return (
            -float(measured),
            -state.effect(prior) if measured else 0.0,
            -float(bool(state.rewards)),
            -state.q_value,
            -state.retrievals,
        )

    kinds: dict[str, list[Light]] = {}
    for one in sorted(lights, key=lambda one: (*rank(one), one.id)):
        kinds.setdefault(one.state.kind, []).append(one)
    return [one for _, found in sorted(kinds.items()) for one in found[:EACH]]


def _shown(item: Item, state: State, prior: float) -> Learned:
    return Learned(
        id=item.id,
        kind=item.kind,
        status=item.status,
        applies=_cut(item.applies, WIDE // 3),
        content=_cut(item.content, WIDE),
        q=item.q_value,
        uncertainty=item.uncertainty,
        shown=item.retrieval_count,
        rewarded=item.reward_count,
        successes=item.success_count,
        effect=effect_of(state, prior),
    )


def effect_of(state: State, prior: float) -> Effect | None:
    """Return the measured effect of an item with its interval; None where it was never left out, or never kept.

    Rewards in [-1, 1] are taken as shares (1 + reward) / 2. Of all rewards with a mean, those of -1 and 1 vary most, so
    Newcombe's interval of two shares (1998, method 10, from Wilson's) is at least as wide as it has to be. It is around
    the plain difference of means; the value itself is drawn towards 0 by `prior`.
    """
    if not state.kept or not state.left_out:
        return None
    kept, left_out = (state.kept_sum + state.kept) / 2, (state.left_out_sum + state.left_out) / 2
    p, q = kept / state.kept, left_out / state.left_out
    (low_p, high_p), (low_q, high_q) = wilson(kept, state.kept), wilson(left_out, state.left_out)
    low = p - q - math.hypot(p - low_p, high_q - q)
    high = p - q + math.hypot(high_p - p, q - low_q)
    return Effect(state.effect(prior), 2 * low, 2 * high, state.kept, state.left_out)


def changes(releases: Releases, records: Sequence[Generation]) -> tuple[Change, ...]:
    """Return how memories changed from parent to candidate: in promoted generations, and in the newest.

    Raises:
        StoreError: a memory cannot be read.
    """
    made = [one for one in records if one.candidate not in (None, one.parent)]
    promoted = [one for one in made if one.decision == "promote"][-COMPARED:]
    chosen = {one.number: one for one in [*made[-max(2, COMPARED - len(promoted)) :], *promoted]}
    known = {one.release.id: one.release for one in releases.tree()}
    found = []
    for number, one in sorted(chosen.items()):
        old, new = (known.get(ident or "") for ident in (one.parent, one.candidate))
        if new is None or new.memory_snapshot is None:
            continue
        places = [releases.folder(r.id) / "memory" / FILE if r and r.memory_snapshot else None for r in (old, new)]
        change = compare(places[0], places[1], top=MOVED)
        top = tuple((_cut(str(m["applies"]), WIDE // 3), m["before"], m["after"]) for m in change.top)
        found.append(Change(number, change.added, change.removed, change.changed, top))
    return tuple(found)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
