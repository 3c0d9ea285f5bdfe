"""The same in a fresh process: another hash seed, nothing left over from earlier episodes."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from typing import Any

from ...core import Task
from .conformance_play import Walk, follow
from .conformance_report import Failed, NotJudged, Spot
from .conformance_subject import Make, Subject

OBJECT_ONLY = "the taskset was given as an object, which no other process can make"


def listed_elsewhere(subject: Subject, split: str, limit: int) -> list[Task]:
    """Return the tasks of a split as another process lists them.

    Raises:
        Failed: they cannot be had there.
        NotJudged: the taskset was not given by name.
    """
    return list(_asked(subject, _list, split, limit, subject.seed))


def followed_elsewhere(subject: Subject, walks: Sequence[Walk]) -> list[Walk]:
    """Return walks with the same actions, as played in another process.

    Raises:
        Failed: they cannot be played there.
        NotJudged: the taskset was not given by name.
    """
    return list(_asked(subject, _follow, subject.split, [(walk.task, walk.actions) for walk in walks]))


def _asked(subject: Subject, function: Any, *args: Any) -> Any:
    if subject.make is None:
        raise NotJudged(f"{OBJECT_ONLY}.")
    context = multiprocessing.get_context("spawn")
    pipe, child = context.Pipe()
    process = context.Process(target=_serve, args=(child, subject.make, function, args), daemon=True)
    with _another_hash_seed():
        process.start()
    child.close()
    try:
        while True:
            subject.announce(Spot())
            kind, value = pipe.recv()
            if kind == "spot":
                subject.announce(value)
                continue
            if kind == "failed":
                raise Failed(f"in a fresh process: {value[0]}", value[1], crashed=True)
            return value
    except EOFError:
        process.join(5.0)
        raise Failed(f"a fresh process died (exit code {process.exitcode}).", crashed=True) from None
    finally:
        pipe.close()
        process.kill()
        process.join()
        process.close()


def _serve(pipe: Connection, make: Make, function: Any, args: tuple[Any, ...]) -> None:
    with suppress(BrokenPipeError):
        try:
            pipe.send(("value", function(make(), pipe, *args)))
        except Failed as failed:
            pipe.send(("failed", (failed.detail, failed.spot)))
        except Exception as error:  # noqa: BLE001 - a guest's code may raise anything
            pipe.send(("failed", (f"{type(error).__name__}: {error}", Spot())))


def _list(taskset: Any, pipe: Connection, split: str, limit: int, seed: int) -> list[Task]:
    return Subject(taskset, split, seed=seed).listed(split, limit=limit)


def _follow(taskset: Any, pipe: Connection, split: str, wanted: list[tuple[Task, tuple[str, ...]]]) -> list[Walk]:
    subject = Subject(taskset, split, announce=lambda spot: pipe.send(("spot", spot)))
    with subject.play() as play:
        return [follow(play, task, actions) for task, actions in wanted]


@contextmanager
def _another_hash_seed() -> Iterator[None]:
    """Give children that start now another order of sets than this process has, and not the same by accident."""
    before = os.environ.get("PYTHONHASHSEED")
    os.environ["PYTHONHASHSEED"] = "2" if before == "1" else "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONHASHSEED"]
        else:
            os.environ["PYTHONHASHSEED"] = before
