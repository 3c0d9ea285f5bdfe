"""The conformance suite: what any environment must do to be believed, whoever wrote it.

`examine` runs the checks in this process; `conform` runs them in a child process that may hang or die.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...agent.tasksets import maker
from ...errors import ConfigError
from ...seams import Taskset
from .conformance_checks import determinism, seeding, tasks, termination
from .conformance_child import Child, Settings, Stopped
from .conformance_load import concurrency, leak, speed
from .conformance_play import Announce
from .conformance_report import Failed, Finding, NotJudged, NotOffered, Report, Seen, Spot, without_echoes
from .conformance_shape import contract
from .conformance_state import admissible, bad_actions, snapshot
from .conformance_subject import Make, Subject

Check = Callable[[Subject], Seen]
CHECKS: Mapping[str, Check] = {
    "tasks": tasks,
    "contract": contract,
    "seeding": seeding,
    "determinism": determinism,
    "termination": termination,
    "snapshot": snapshot,
    "admissible": admissible,
    "bad-actions": bad_actions,
    "concurrency": concurrency,
    "leak": leak,
    "speed": speed,
}
"""In the order in which they run: what the others stand on comes first."""


def chosen(only: Sequence[str]) -> list[str]:
    """Return the checks to run, all of them if none is named.

    Raises:
        ConfigError: there is no such check.
    """
    unknown = sorted(set(only) - set(CHECKS))
    if unknown:
        raise ConfigError(f"there is no check {unknown[0]!r}; there are: {', '.join(CHECKS)}.")
    return [name for name in CHECKS if not only or name in only]


def subject_of(taskset: Taskset, settings: Settings, make: Make | None, announce: Announce) -> Subject:
    """Return what is to be tested.

    Raises:
        ConfigError: there is no such split, or the world cannot be opened here (a missing extra, say).
    """
    splits = list(taskset.splits())
    if not splits:
        raise ConfigError(f"taskset {taskset.name} has no splits.")
    split = settings.split or splits[0]
    if split not in splits:
        raise ConfigError(f"taskset {taskset.name} has no split {split!r}; there are: {', '.join(splits)}.")
    subject = Subject(taskset, split, make, settings.episodes, settings.steps, settings.seed, announce)
    try:
        with subject.play():
            pass
    except Failed as failed:
        if isinstance(failed.__cause__, ConfigError):
            raise failed.__cause__ from None
    return subject


def examine(
    taskset: Taskset,
    settings: Settings | None = None,
    *,
    make: Make | None = None,
    only: Sequence[str] = (),
    announce: Announce = lambda spot: None,
) -> Report:
    """Run the checks in this process.

    Args:
        taskset: what to test.
        settings: the split and how much of it.
        make: a picklable function that makes the same taskset in a fresh process; without it that part is left out.
        only: names of checks, all of them if empty.
        announce: told before each call of the world.

    Raises:
        ConfigError: the split or a check does not exist, or the world cannot be opened here.
    """
    settings = settings or Settings()
    subject = subject_of(taskset, settings, make, announce)
    try:
        findings = without_echoes(run_check(subject, name) for name in chosen(only))
    finally:
        subject.close()
    return Report(taskset.name, subject.split, settings.seed, findings)


def run_check(subject: Subject, name: str) -> Finding:
    """Run one check; whatever the world raises is a finding."""
    try:
        seen = CHECKS[name](subject)
    except Failed as failed:
        return Finding(name, "fail", failed.detail, failed.spot, failed.crashed)
    except NotOffered as reason:
        return Finding(name, "not offered", f"{reason}")
    except NotJudged as reason:
        return Finding(name, "not judged", f"{reason}")
    except Exception as error:  # noqa: BLE001 - a guest's code may raise anything, anywhere
        return Finding(name, "fail", f"raised {type(error).__name__}: {error}", crashed=True)
    return Finding(name, "pass", seen.detail, figures=seen.figures)


def conform(
    name: str,
    options: Mapping[str, Any] | None = None,
    settings: Settings | None = None,
    *,
    only: Sequence[str] = (),
    timeout_s: float = 60.0,
    progress: Callable[[str, int, int], None] = lambda check, number, total: None,
) -> Report:
    """Run the checks in a child process, which is replaced when the world hangs or takes it down.

    Args:
        name: a registered taskset or `module:Class`.
        options: its keywords.
        settings: the split and how much of it.
        only: names of checks, all of them if empty.
        timeout_s: longest wait for one call of the world, in seconds.
        progress: told which check runs, its number from 0, and how many there are.

    Raises:
        ConfigError: the taskset, split or a check does not exist, or the world cannot be opened here.
        EnvironmentFailure: the taskset cannot be made at all.
    """
    settings, wanted = settings or Settings(), chosen(only)
    make, split, found = maker(name, options or {}), settings.split or "", list[Finding]()
    while len(found) < len(wanted):
        progress(wanted[len(found)], len(found), len(wanted))
        with Child(make, settings, wanted[len(found) :], timeout_s) as child:
            try:
                for where, finding in child.findings():
                    split = where
                    found.append(finding)
                    progress(wanted[min(len(found), len(wanted) - 1)], len(found), len(wanted))
            except Stopped as stopped:
                check = wanted[len(found)]
                # Bad actions are the one thing that nobody asks for in earnest: dying of them is no echo of the rest.
                found.append(Finding(check, "fail", stopped.detail, stopped.spot, crashed=check != "bad-actions"))
    return Report(name, split, settings.seed, without_echoes(found))


def serve(taskset: Taskset, settings: Settings, make: Make, checks: Sequence[str], tell: Callable[[Any], None]) -> None:
    """Run checks in the child process and tell what happens, as it happens."""
    subject = subject_of(taskset, settings, make, lambda spot: tell(("spot", spot)))
    for name in checks:
        tell(("begin", Spot()))
        tell(("finding", (subject.split, run_check(subject, name))))


__all__ = ["CHECKS", "Settings", "chosen", "conform", "examine", "run_check", "serve"]
