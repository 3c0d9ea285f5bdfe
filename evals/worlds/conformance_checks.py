"""Checks of what an episode is: how tasks are addressed, seeds, the same again, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...core import Task
from ...errors import ConfigError
from ...seams import Taskset
from .conformance_elsewhere import followed_elsewhere, listed_elsewhere
from .conformance_play import Moment, Play, Walk, difference, explore, explored, follow
from .conformance_report import Failed, NotJudged, Seen, Spot
from .conformance_subject import Subject

MOST_TASKS = 300
"""Tasks of each split that are compared."""
LONGEST = 400
"""Steps of the longest episode that is played to see its limit."""


def tasks(subject: Subject) -> Seen:
    """Ids that are unique and stay, the same order each time, `limit` as a prefix, splits without common tasks."""
    found: dict[str, list[Task]] = {}
    splits = list(subject.taskset.splits())
    if len(set(splits)) < len(splits) or splits != list(subject.taskset.splits()):
        raise Failed(f"splits() returned {splits} and is not the same each time, or not unique.")
    for split in splits:
        found[split] = subject.listed(split, limit=MOST_TASKS)
        _well_named(split, found[split])
        _same_tasks(split, found[split], subject.listed(split, limit=MOST_TASKS), "a second call")
        few = max(1, min(subject.episodes, len(found[split]) - 1))
        _same_tasks(split, found[split][:few], subject.listed(split, limit=few), f"a call with limit={few}")
    notes = [f"{sum(map(len, found.values()))} tasks in {len(found)} splits"]
    try:
        elsewhere = listed_elsewhere(subject, subject.split, MOST_TASKS)
        _same_tasks(subject.split, found[subject.split], elsewhere, "another process")
    except NotJudged as reason:
        notes.append(f"not compared with a fresh process: {reason}")
    notes.append(_apart(subject, found))
    if not _refuses(subject.taskset):
        notes.append("an unknown split is not refused")
    return Seen("; ".join(notes))


def _well_named(split: str, rows: Sequence[Task]) -> None:
    ids = [task.id for task in rows]
    if len(set(ids)) < len(ids):
        twice = next(ident for n, ident in enumerate(ids) if ident in ids[:n])
        raise Failed(f"split {split} has the id {twice!r} more than once.", Spot(twice))
    odd = next((task for task in rows if not task.id.strip() or task.split not in ("", split)), None)
    if odd is not None:
        raise Failed(f"split {split} lists task {odd.id!r} of split {odd.split!r}.", Spot(odd.id))


def _same_tasks(split: str, first: Sequence[Task], second: Sequence[Task], where: str) -> None:
    for n, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            what = f"{b.id!r} instead of {a.id!r}" if a.id != b.id else f"task {a.id!r} with other contents"
            raise Failed(f"split {split}, task number {n}: {where} lists {what}.", Spot(a.id, a.seed))
    if len(first) != len(second):
        raise Failed(f"split {split}: {where} lists {len(second)} tasks, not {len(first)}.")


def _apart(subject: Subject, found: dict[str, list[Task]]) -> str:
    """Fail where splits share an id or, as far as it can be told, a content; say how it was told."""
    ids: dict[str, str] = {}
    for split, rows in found.items():
        for task in rows:
            if ids.setdefault(task.id, split) != split:
                raise Failed(f"task {task.id!r} is in split {ids[task.id]} and in split {split}.", Spot(task.id))
    if len(found) < 2:
        return "one split only"
    if all(task.truth is not None for rows in found.values() for task in rows):
        keys = {split: {_told(task): task for task in rows} for split, rows in found.items()}
        how = "splits share no question with its answer"
    else:
        try:
            keys = {split: _begun(subject, rows[: subject.episodes]) for split, rows in found.items()}
        except Failed:
            return "contents not compared: an episode does not begin"
        if any(len(keys[split]) < len(rows[: subject.episodes]) for split, rows in found.items()):
            return "contents not compared: tasks of one split begin alike"
        how = f"the first {subject.episodes} tasks of each split begin differently"
    seen: dict[str, tuple[str, Task]] = {}
    for split, contents in keys.items():
        for key, task in contents.items():
            other, twin = seen.setdefault(key, (split, task))
            if other != split:
                raise Failed(f"task {task.id!r} of split {split} is task {twin.id!r} of split {other}.", Spot(task.id))
    return how


def _told(task: Task) -> str:
    return json.dumps([task.goal, task.truth, task.options], sort_keys=True, default=str)


def _begun(subject: Subject, rows: Sequence[Task]) -> dict[str, Task]:
    with subject.play() as play:
        return {json.dumps([task.goal, *_first(play.reset(task))]): task for task in rows}


def _first(now: Moment) -> tuple[str, tuple[str, ...] | None]:
    return now.observation, now.admissible


def _refuses(taskset: Taskset) -> bool:
    try:
        taskset.tasks("no such split", limit=1)
    except ConfigError:
        return True
    except Exception:  # noqa: BLE001 - a guest's code may raise anything; only its own error counts
        return False
    return False


def seeding(subject: Subject) -> Seen:
    """A task with its seed begins the same in a used object and in a new one, and other tasks are other tasks."""
    firsts: list[Walk] = []
    with subject.play() as play:
        for task in subject.tasks:
            firsts.append(follow(play, task, ()))
            explore(play, task, subject.policy(task), subject.steps // 2)
        for first in firsts:
            _begins_alike(first, follow(play, first.task, ()), "when reset again in the same object")
    for first in firsts:
        with subject.play() as play:
            _begins_alike(first, follow(play, first.task, ()), "in a new object")
    notes = [f"{len(firsts)} tasks begin as before in the same object and in a new one"]
    if len({_first(walk.moments[0]) for walk in firsts}) > 1 or len(firsts) < 2:
        notes.append("and unlike each other" if len(firsts) > 1 else "")
    else:
        notes.append(_all_alike(subject))
    return Seen(", ".join(filter(None, notes)))


def _begins_alike(first: Walk, second: Walk, where: str) -> None:
    differs = difference(first, second)
    if differs is not None:
        raise Failed(f"the first {differs[1]} {where}.", first.spot(0))


def _all_alike(subject: Subject) -> str:
    """All tasks begin alike. Fail where they say they differ, and their goals do not, and they play alike as well."""
    one, *others = subject.tasks
    if len({task.goal for task in subject.tasks}) > 1:
        return "all with the same first observation (their goals differ)"
    if all(task.options == one.options and task.truth == one.truth for task in others):
        return "all with the same first observation (they differ in their seeds only)"
    with subject.play() as play:
        walk = explore(play, one, subject.policy(one), subject.steps)
        if any(difference(walk, follow(play, task, walk.actions)) for task in others):
            return "all with the same first observation"
    raise Failed("tasks with different options are all played alike: reset does not read its task.", walk.spot())


def determinism(subject: Subject) -> Seen:
    """The same actions bring the same episode: in the same object, in another one, and in a fresh process."""
    with subject.play() as play:
        walks = [explore(play, task, subject.policy(task), subject.steps) for task in subject.tasks]
        _all_same(walks, [follow(play, walk.task, walk.actions) for walk in walks], "in the same object")
    with subject.play() as play:
        _all_same(walks, [follow(play, walk.task, walk.actions) for walk in walks], "in another object")
    seen = f"{len(walks)} episodes, {sum(len(walk.actions) for walk in walks)} steps, the same three times"
    try:
        _all_same(walks, followed_elsewhere(subject, walks), "in a fresh process")
    except NotJudged as reason:
        return Seen(f"{seen}; not in a fresh process: {reason}")
    return Seen(f"{seen} and in a fresh process")


def _all_same(walks: Sequence[Walk], again: Sequence[Walk], where: str) -> None:
    for walk, other in zip(walks, again, strict=True):
        differs = difference(walk, other)
        if differs is None:
            continue
        if differs[0] == 0 and where != "in a fresh process":
            raise NotJudged(f"the first observation differs already, see seeding (task {walk.task.id}).")
        raise Failed(f"{where}, after {differs[0]} steps, {differs[1]}.", walk.spot(differs[0]))


def termination(subject: Subject) -> Seen:
    """Episodes end within their limit, with one flag, for good, and `success` and `score` agree with the reward."""
    limit = subject.max_steps
    length = min(limit or 2 * subject.steps, LONGEST)
    ended, solved = 0, 0
    with subject.play() as play:
        for task in subject.tasks:
            walk = explore(play, task, subject.policy(task, "end"), length)
            if limit is not None and limit <= length and not walk.moments[-1].ended:
                raise Failed(f"max_steps is {limit}, and after {limit} steps the episode goes on.", walk.spot())
            ended += _ended_well(subject, play, walk)
            shown = subject.walkthrough(task)
            if shown:
                walk = follow(play, task, shown)
                ended += _ended_well(subject, play, walk)
                if walk.moments[-1].terminated and walk.moments[-1].success is False:
                    raise Failed("its own walkthrough ends the episode without success.", walk.spot())
                solved += bool(walk.moments[-1].success)
    if not ended:
        raise NotJudged(f"no episode ended within {length} steps; play longer ones (--steps).")
    limits = f"max_steps {limit}" if limit is not None else "no max_steps declared"
    return Seen(f"{ended} episodes played to their end, {solved} of them by a walkthrough with success; {limits}")


def _ended_well(subject: Subject, play: Play, walk: Walk) -> bool:
    """Look at how a walk ended, if it did."""
    last, spot = walk.moments[-1], walk.spot()
    if not last.ended:
        return False
    if last.terminated and last.truncated:
        raise Failed("terminated and truncated are both set: was it the end or the time limit?", spot)
    total = sum(now.reward for now in walk.moments)
    if last.success and last.score is not None and last.score < 0.999:
        raise Failed(f"it ends with success and a score of {last.score:g}.", spot)
    if last.success is False and last.score is not None and last.score >= 1.0:
        raise Failed("it ends with a score of 1 and without success.", spot)
    if last.success and total <= 0.0 and not any(now.reward < 0.0 for now in walk.moments):
        raise Failed("it ends with success and without any reward.", spot)
    after = [*walk.actions[-1:], explored(last, walk.task, subject.policy(walk.task, "after"))]
    for action in after:
        try:
            now = play.step(action)
        except Failed:
            return True
        if not now.ended or now.reward > 0.0 or (last.success is not None and now.success not in (None, last.success)):
            what = "the episode goes on" if not now.ended else f"reward {now.reward:g}, success {now.success}"
            raise Failed(f"a step after the end is neither refused nor without effect: {what}.", play.spot)
    return True
