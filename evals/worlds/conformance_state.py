"""Checks of the state in an episode: taking it and putting it back, actions that must not touch it, listed actions."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from ...agent.actions import is_open
from ...errors import LamarckError
from ...seams import Snapshots
from .conformance_play import Moment, Play, Walk, difference, explore, filled, follow, go_on
from .conformance_report import Failed, NotJudged, NotOffered, Seen, shown
from .conformance_subject import Subject

T = TypeVar("T")
PLAYED = 4
"""Tasks that these checks use: they play each many times over."""
TRIED = 20
"""Listed actions that are tried in one state."""
PATIENCE_S = 30.0
"""After this long a check that plays the same over and over leaves out the rest, and says so."""
BAD = (
    *("", " ", "\n", "\t\r\n", "\0", "\x1b[2J\x1b[31mred", "\u200b\u202eright to left", "go\x00to"),
    *("x" * 20_000, "go to " * 3_000, "(" * 5_000, "🐢" * 500, "żółw 家 שלום ﷽", "e\u0301" * 200),
    *("None", "null", "42", "-1e309", "nan", "[]", '{"action": "look"}', "['look']", "<action>look</action>"),
    *("'; DROP TABLE tasks; --", "__import__('os')._exit(3)", "$(kill $$)", "{{7*7}}", "%s%n", "../../etc/passwd"),
    *("fly to the moon with the invisible ladder", "look look look", "take", "click[", "search[", "]", "[<words>]"),
)
"""What a model may answer, and worse."""


def snapshot(subject: Subject) -> Seen:
    """`restore` brings back what `snapshot` took: the same continuation, each time, whatever was done in between."""
    pickled = elsewhere = 0
    rows = subject.tasks[:PLAYED]
    with subject.play() as play, subject.play() as other:
        if not isinstance(play.environment, Snapshots):
            raise NotOffered("it has no snapshot and restore")
        for task in rows:
            walk = explore(play, task, subject.policy(task), subject.steps)
            if difference(walk, follow(play, task, walk.actions)) is not None:
                raise NotJudged("the same actions do not bring the same episode, see determinism.")
            state = _restored(subject, play, walk)
            cut = _cut(walk)
            try:
                copy = pickle.loads(pickle.dumps(state))
            except Exception as error:
                if subject.concurrency == "process":
                    detail = f"a snapshot cannot be sent between processes: {shown(str(error))}"
                    raise Failed(detail, walk.spot(cut)) from error
                continue
            play.restore(copy)
            _compare(walk, cut, go_on(play, task, walk.moments[cut], walk.actions[cut:]), "a pickled snapshot restored")
            pickled += 1
            elsewhere += _in_another_object(other, walk, copy)
    where = {0: "only in the object that took it", len(rows): "in another object too"}.get(elsewhere, "in some objects")
    return Seen(
        f"{len(rows)} episodes went on the same 4 times; {'picklable' if pickled else 'not picklable'}, {where}"
    )


def _cut(walk: Walk) -> int:
    """Return after how many steps the snapshot of a walk is taken: about half way, and before its end."""
    return len(walk.actions) // 2


def _restored(subject: Subject, play: Play, walk: Walk) -> object:
    """Take a snapshot half way, and go on from it three times; return it."""
    cut = _cut(walk)
    now, rest = walk.moments[cut], walk.actions[cut:]
    follow(play, walk.task, walk.actions[:cut])
    try:
        state = play.snapshot()
    except Failed as failed:
        if isinstance(failed.__cause__, LamarckError) and failed.__cause__.kind == "unsupported":
            raise NotOffered(failed.__cause__.message) from None
        raise Failed(failed.detail, failed.spot) from failed
    _compare(walk, cut, go_on(play, walk.task, now, rest), "a snapshot was taken")
    _restore(play, walk, state)
    _compare(walk, cut, go_on(play, walk.task, now, rest), "it was restored")
    _restore(play, walk, state)
    chance = subject.policy(walk.task, "detour")
    there = now
    for _ in range(len(rest) + 3):
        if there.ended or not there.admissible:
            break
        there = play.step(filled(chance.choice(there.admissible), lambda: "detour"))
    _restore(play, walk, state)
    _compare(walk, cut, go_on(play, walk.task, now, rest), "it was restored after other actions")
    return state


def _restore(play: Play, walk: Walk, state: object) -> None:
    try:
        play.restore(state)
    except Failed as failed:
        raise Failed(failed.detail, walk.spot(_cut(walk))) from failed


def _compare(walk: Walk, cut: int, again: Walk, when: str) -> None:
    expected = Walk(walk.task, walk.actions[cut:], walk.moments[cut:])
    differs = difference(expected, again)
    if differs is not None:
        detail = f"a snapshot after {cut} steps: when {when}, {differs[0]} steps on, {differs[1]}."
        raise Failed(detail, walk.spot(cut + differs[0]))


def _in_another_object(other: Play, walk: Walk, state: object) -> bool:
    """Say whether a snapshot also works in another object; nobody promised it."""
    cut = _cut(walk)
    try:
        other.reset(walk.task)
        other.restore(state)
        _compare(walk, cut, go_on(other, walk.task, walk.moments[cut], walk.actions[cut:]), "restored elsewhere")
    except Failed:
        return False
    return True


def bad_actions(subject: Subject) -> Seen:
    """No action raises, and one that is reported as not `effective` changes nothing that follows.

    What follows is compared, not snapshots: these may count steps, and may hold what has no equality.
    """
    tried = refused = 0
    patience = Patience()
    with subject.play() as play:
        for task in subject.tasks[:2]:
            walk = explore(play, task, subject.policy(task), min(subject.steps, 12))
            steady = difference(walk, follow(play, task, walk.actions)) is None
            places = [(cut, bad) for cut in sorted({0, len(walk.actions) // 2}) for bad in _bad(walk.moments[cut])]
            for cut, bad in patience.through(places):
                if follow(play, task, walk.actions[:cut]).moments[-1].ended:
                    continue
                now = _tried(play, bad)
                tried += 1
                if not now.effective:
                    refused += 1
                    steady = steady and _unchanged(play, walk, cut, now)
    told = f"{refused} of them reported as not effective" if refused else "`effective` is never reported"
    return Seen(f"{tried} bad actions answered with text, {told}{patience}")


class Patience:
    """Goes through what there is to try, until `PATIENCE_S` are over in all."""

    def __init__(self) -> None:
        self._until = time.monotonic() + PATIENCE_S
        self._left = 0

    def through(self, rows: Sequence[T]) -> Iterator[T]:
        """Return the rows that there is time for, the first one always."""
        for number, row in enumerate(rows):
            if number and time.monotonic() > self._until:
                self._left += len(rows) - number
                return
            yield row

    def __str__(self) -> str:
        return f"; {self._left} left out after {PATIENCE_S:g} s" if self._left else ""


def _bad(now: Moment) -> Iterator[str]:
    yield from BAD
    for option in now.admissible or ():
        if is_open(option):
            yield from (filled(option, lambda words=words: words) for words in BAD)  # type: ignore[misc]
    yield from (f"{action} {action}" for action in (now.admissible or ())[:2])


def _tried(play: Play, action: str) -> Moment:
    try:
        return play.step(action)
    except Failed as failed:
        # Not a crash: the check asked for something unusual.
        raise Failed(f"action {shown(action)}: {failed.detail}", failed.spot) from failed


def _unchanged(play: Play, walk: Walk, cut: int, now: Moment) -> bool:
    """Fail where an action without effect had one; say whether the world is still one that can be compared at all."""
    fault, spot = _changed(play, walk, cut, now), play.spot
    if not fault:
        return True
    if difference(walk, follow(play, walk.task, walk.actions)) is not None:
        # It is chance that differs, and not the action that did it.
        return False
    raise Failed(f"action {shown(spot.actions[cut])} is not effective, {fault}", spot)


def _changed(play: Play, walk: Walk, cut: int, now: Moment) -> str:
    """Return what an action changed: what is listed, or one of the next three steps; nothing if it did not."""
    before = walk.moments[cut]
    if now.admissible != before.admissible and not now.truncated:
        return "and changes the admissible actions."
    if now.terminated:
        return "and ends the episode."
    steps = go_on(play, walk.task, now, walk.actions[cut : cut + 3])
    for number, seen in enumerate(steps.moments[1:], 1):
        # The wasted step may use up the last one that is allowed; that is no change of what is there.
        expected, found = (moment._replace(truncated=False) for moment in (walk.moments[cut + number], seen))
        differs = difference(Walk(walk.task, (), (expected,)), Walk(walk.task, (), (found,)))
        if differs is not None:
            return f"yet {number} steps later {differs[1]}."
    return ""


def admissible(subject: Subject) -> Seen:
    """Each listed action is understood where it is listed; a state that goes on lists something."""
    tried = states = 0
    patience = Patience()
    with subject.play() as play:
        for task in subject.tasks[:PLAYED]:
            walk = explore(play, task, subject.policy(task), subject.steps)
            if all(now.admissible is None for now in walk.moments):
                continue
            for cut in sorted({0, len(walk.actions) // 3, 2 * len(walk.actions) // 3}):
                if walk.moments[cut].ended:
                    continue
                states += 1
                tried += _accepted(subject, play, walk, cut, patience)
    if not states:
        raise NotOffered("it lists no admissible actions")
    if not tried:
        raise NotOffered("it lists open actions only")
    return Seen(f"{tried} listed actions understood, in {states} states{patience}")


def _accepted(subject: Subject, play: Play, walk: Walk, cut: int, patience: Patience) -> int:
    """Try the actions that are listed in one state; return how many."""
    listed = walk.moments[cut].admissible
    if not listed:
        raise Failed("the episode goes on, and no admissible action is listed.", walk.spot(cut))
    closed = [number for number, option in enumerate(listed) if not is_open(option)]
    chance = subject.policy(walk.task, f"listed {cut}")
    tried = 0
    for number in patience.through(sorted(chance.sample(closed, min(TRIED, len(closed))))):
        # The way there is played anew and its own list read: so a world of chance is not blamed for its list.
        there = follow(play, walk.task, walk.actions[:cut]).moments[-1]
        option = there.admissible[number] if there.admissible and number < len(there.admissible) else ""
        if there.ended or not option or is_open(option):
            continue
        try:
            now = play.step(option)
        except Failed as failed:
            raise Failed(f"{shown(option)} is listed as admissible: {failed.detail}", failed.spot) from failed
        if not now.effective:
            raise Failed(f"{shown(option)} is listed as admissible and then not effective.", play.spot)
        tried += 1
    return tried
