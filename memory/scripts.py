"""Distilling without a model: scripts from successes, what a success did and a failure did not. Deterministic.

Nothing here looks at a task's ground truth or at what the environment reports beside its text; a script is made of
what the agent did and saw, and of the verdict.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ..config_memory import DistilConfig
from ..core import Item, Step, Trajectory
from .credit import judged, succeeded
from .items import make_item

MOVES = ("go ", "goto ", "walk ", "navigate ")
WATCHES = ("look", "examine ", "inventory", "help", "think", "read ")
LOOKS = (*WATCHES, "open ", "close ")
"""First words of moves and of looking around, as text worlds share them; for other worlds nothing is left out."""
TAKE = re.compile(r"take (.+) from (.+)")
PUT = re.compile(r"(?:move|put) (.+?) (?:to|in/on|in|on) (.+)")

NUMBER = re.compile(r"\s+\d+\b")
WORD = re.compile(r"[^\W\d_]+")
SLOTS = "ABCDEFGH"
SMALL = frozenset(["a", "an", "the", "to", "in", "on", "from", "with", "of", "it", "and", "at", "under", "some", "two"])


class Record(NamedTuple):
    """A judged attempt and its script."""

    trajectory: Trajectory
    success: bool
    script: tuple[str, ...]


def distil(trajectories: Sequence[Trajectory], config: DistilConfig) -> list[Item]:
    """Return items from a group of attempts at one task; the last attempt is the one that is new.

    From a success: its script, and a skill in which the goal's things are letters. From a failure: a warning, with
    what a sibling that succeeded did and it did not. From several successes: the steps they share. Attempts without
    a verdict and those that infrastructure ended give nothing.
    """
    records = [Record(t, succeeded(t), script(t.steps)) for t in judged(trajectories)]
    if not records:
        return []
    new, siblings = records[-1], records[:-1]
    made: list[Item] = []
    if new.success:
        made += _episode(new, config) + _skill(new, config) + _shared([*siblings, new], config)
        made += [item for old in siblings if not old.success for item in _warning(old, [new], config)]
    else:
        made += _warning(new, [old for old in siblings if old.success], config)
    return made[: config.max_items]


def script(steps: Sequence[Step]) -> tuple[str, ...]:
    """Return the actions that mattered: none that failed, no walk in a circle, no visit that only looked around."""
    done = [step for step in steps if step.action and step.validity == "valid"]
    kept = [step for step in _without_circles(done) if not _is(step, WATCHES) or step is done[-1]]
    return tuple(step.action for step in _visits(_without_undone(kept)) if step.action)


def _without_circles(steps: Sequence[Step]) -> list[Step]:
    """Drop what lies between two equal situations: same text and same admissible actions, so the same state."""
    kept: list[Step] = []
    places: dict[tuple[str, tuple[str, ...]], int] = {}
    for step in steps:
        if step.admissible is not None:
            key = (step.observation, tuple(sorted(step.admissible)))
            if key in places:
                del kept[places[key] :]
                places = {seen: at for seen, at in places.items() if at < len(kept)}
            places[key] = len(kept)
        kept.append(step)
    return kept


def _without_undone(steps: Sequence[Step]) -> list[Step]:
    """Drop taking something and putting it back at once."""
    kept: list[Step] = []
    for step in steps:
        taken = TAKE.fullmatch(kept[-1].action or "") if kept else None
        put = PUT.fullmatch(step.action or "")
        if taken and put and taken.groups() == put.groups():
            kept.pop()
        else:
            kept.append(step)
    return kept


def _visits(steps: Sequence[Step]) -> list[Step]:
    """Drop each move that was followed by nothing but looking around before the next move."""
    visits: list[list[Step]] = [[]]
    for step in steps:
        if _is(step, MOVES):
            visits.append([])
        visits[-1].append(step)
    last = len(visits) - 1
    useful = [
        visit
        for number, visit in enumerate(visits)
        if number == last or not visit or not _is(visit[0], MOVES) or not all(_is(s, MOVES + LOOKS) for s in visit)
    ]
    return [step for visit in useful for step in visit]


def _is(step: Step, beginnings: tuple[str, ...]) -> bool:
    return (step.action or "").lower().startswith(beginnings)


def _episode(record: Record, config: DistilConfig) -> list[Item]:
    steps = len(record.trajectory.steps)
    text = f"This worked ({len(record.script)} steps that mattered, of {steps}):\n{numbered(record.script)}"
    return _made("episode", record.trajectory.task.goal, text, [record], config)


def _skill(record: Record, config: DistilConfig) -> list[Item]:
    """Make the script general: things of the goal become letters, numbers go, and where a thing was found goes."""
    goal = record.trajectory.task.goal
    slots = _slots(goal, record.script)
    if not slots:
        return []
    lines = _needed([_general(action, slots) for action in record.script], frozenset(slots.values()))
    if not lines:
        return []
    return _made("skill", goal, f"{_general(goal, slots)}:\n{numbered(lines)}", [record], config)


def _needed(lines: Sequence[str], letters: frozenset[str]) -> list[str]:
    """Keep what acts on the goal's things, and the moves to places that such an act names."""
    kept: list[str] = []
    acts: set[str] = set()
    for line in reversed(lines):
        moves = line.lower().startswith(MOVES)
        if not moves and letters & set(line.split()):
            # Where a thing lay this time says nothing about the next time.
            head, source, tail = line.partition(" from ")
            line = head if source and tail not in letters else line
            kept.append(line)
            acts |= set(line.split()[1:])
        elif moves and acts & set(line.split()[1:]) - {"to"}:
            kept.append(line)
            acts.clear()
    kept.reverse()
    return [line for number, line in enumerate(kept) if number == 0 or line != kept[number - 1]]


def _shared(records: Sequence[Record], config: DistilConfig) -> list[Item]:
    """State what all successes of the task have in common, in order."""
    won = [record for record in records if record.success]
    if len(won) < 2:
        return []
    common: list[str] = [NUMBER.sub("", action) for action in won[0].script]
    for record in won[1:]:
        common = _subsequence(common, [NUMBER.sub("", action) for action in record.script])
    if not common:
        return []
    text = f"All {len(won)} attempts that succeeded did this, in this order:\n{numbered(common)}"
    return _made("principle", won[0].trajectory.task.goal, text, won, config)


def _warning(record: Record, won: Sequence[Record], config: DistilConfig) -> list[Item]:
    """Say what a failure tried, and what a success did that it did not."""
    tried = [NUMBER.sub("", action) for action in record.script if not action.lower().startswith(MOVES + LOOKS)]
    # What ended it is not written down: that it was not the world may be the truth that is withheld.
    how = (
        f"An attempt failed after: {'; '.join(tried[:12])}."
        if tried
        else "An attempt failed without changing anything."
    )
    if won:
        best = min(won, key=lambda other: len(other.script))
        did = set(tried)
        lacking = [line for line in (NUMBER.sub("", a) for a in best.script) if line not in did]
        lacking = [line for line in dict.fromkeys(lacking) if not line.lower().startswith(MOVES + LOOKS)]
        if lacking:
            how += f" What succeeded did, and this did not: {'; '.join(lacking[:8])}."
    elif not tried:
        return []  # nothing was done, and nothing shows what should have been
    return _made("warning", record.trajectory.task.goal, how, [record, *won[:1]], config)


def _made(kind: str, applies: str, content: str, records: Sequence[Record], config: DistilConfig) -> list[Item]:
    first = records[0].trajectory
    if not applies.strip() or not content.strip() or len(content) > config.max_chars:
        return []
    return [
        make_item(
            kind,
            applies,
            content,
            trajectory_ids=[record.trajectory.id for record in records],
            release_id=first.release_id,
            model=next((step.model for step in first.steps if step.model), ""),
            category=first.task.category,
            by="script",
        )
    ]


def _slots(goal: str, actions: Sequence[str]) -> dict[str, str]:
    """Return letters for words of the goal that are things: they stand in an action, but never begin one."""
    verbs = {action.split()[0].lower() for action in actions if action.split()}
    things = {word.lower() for action in actions for word in WORD.findall(action)} - verbs - SMALL
    named = [word for word in dict.fromkeys(w.lower() for w in WORD.findall(goal)) if word in things]
    return dict(zip(named, SLOTS, strict=False))


def _general(text: str, slots: dict[str, str]) -> str:
    return WORD.sub(lambda found: slots.get(found[0].lower(), found[0]), NUMBER.sub("", text))


def _subsequence(one: Sequence[str], other: Sequence[str]) -> list[str]:
    """Return the longest common subsequence."""
    best: list[list[list[str]]] = [[[] for _ in range(len(other) + 1)] for _ in range(len(one) + 1)]
    for i, a in enumerate(one):
        for j, b in enumerate(other):
            best[i + 1][j + 1] = (
                [*best[i][j], a] if a == b else max(best[i][j + 1], best[i + 1][j], key=lambda found: len(found))
            )
    return best[-1][-1]


def numbered(lines: Sequence[str]) -> str:
    """Return lines with numbers before them."""
    return "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
