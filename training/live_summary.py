"""What a live run was and what came of it: the figures of its rounds in the form that a stage has its own."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..config_training import TrainConfig
from ..core import Trajectory
from ..errors import TrainingError
from ..whole import write_whole
from .card import card
from .headers import INFRASTRUCTURE
from .live_state import LiveState, Round
from .output import TrainDirectory
from .sources import Sources
from .summary import Data, Summary, Trend

LEARNED = ("loss", "reward")
"""Figures of a stage that are followed over all rounds."""


def finish(config: TrainConfig, state: LiveState, played: Sequence[Trajectory], out: Path) -> Summary:
    """Put the last round's adapter, a summary and a model card at the top of a live run's folder.

    Args:
        config: the settings of all rounds.
        state: how they went; each has come to its end.
        played: the attempts of all rounds.
        out: folder of the live run.

    Raises:
        ConfigError: the summary of a round is gone or damaged.
        TrainingError: the folder cannot be written.
    """
    directory, last = TrainDirectory(out), out / state.finished[-1].adapter
    try:
        _publish(last, directory.adapter)
        _publish(last, directory.best)  # of live rounds nothing is held back
        summary = live_summary(config, state, played, out)
        write_whole(directory.summary_path, summary.model_dump_json(indent=2) + "\n")
        write_whole(directory.card_path, card(config, summary))
    except OSError as error:
        raise TrainingError(f"cannot write to {out}: {error.strerror}.") from error
    return summary


def unfinish(out: Path) -> None:
    """Remove what says that a live run is finished, since it goes on.

    Raises:
        TrainingError: it cannot be removed.
    """
    directory = TrainDirectory(out)
    try:
        for told in (directory.summary_path, directory.card_path):
            told.unlink(missing_ok=True)
    except OSError as error:
        raise TrainingError(f"cannot write to {out}: {error.strerror}.") from error


def live_summary(config: TrainConfig, state: LiveState, played: Sequence[Trajectory], out: Path) -> Summary:
    """Return the rounds as one stage: sums of what was done, and figures from the first update to the last.

    Raises:
        ConfigError: the summary of a round is gone or damaged.
    """
    rounds = state.finished
    each = [Summary.read(TrainDirectory((out / one.adapter).parent).summary_path) for one in rounds]
    first, last = each[0], each[-1]
    seconds = sum(one.seconds for one in each)
    # Of a stage that was resumed the last process's time is known only, and its speed is of that.
    tokens = sum(one.tokens_per_s * one.seconds for one in each)
    return last.model_copy(
        update={
            "out": str(out),
            "start": first.start,
            "data": _data(config, rounds, each, played, out),
            "steps": sum(one.steps for one in each),
            "steps_planned": sum(one.steps_planned for one in each),
            "epochs": round(sum(one.epochs for one in each), 3),
            "seed": config.seed,
            "seconds": round(seconds, 3),
            "tokens_per_s": round(tokens / seconds, 1) if seconds else 0.0,
            **{name: _trend(each, name) for name in LEARNED},
            "peak_memory_bytes": max((one.peak_memory_bytes or 0 for one in each), default=0) or None,
            "notes": tuple(dict.fromkeys([_how(rounds), *(note for one in each for note in one.notes)])),
        }
    )


def _how(rounds: Sequence[Round]) -> str:
    return (
        f"{len(rounds)} rounds of playing with the policy as it was and training on what came of it; the rewards and "
        "rows of each are in rounds/NNN/train"
    )


def _data(
    config: TrainConfig, rounds: Sequence[Round], each: Sequence[Summary], played: Sequence[Trajectory], out: Path
) -> Data:
    known = tuple(one for one in played if one.failure is None)
    left_out: Counter[str] = Counter()
    for one in each:
        left_out.update(one.data.left_out)
    if failed := sum(one.failed for one in rounds):
        left_out[INFRASTRUCTURE] += failed
    figures = {f"share solved in round {one.number}, before its update": one.success or 0.0 for one in rounds}
    totals = {
        "rows replayed": sum(one.replayed_rows for one in rounds),
        "rows imitated": sum(one.imitated_rows for one in rounds),
    }
    runs = tuple(dict.fromkeys(one.run_id for one in known))
    return Data.of(
        Sources(known, {}, runs),
        (*config.stores, str(out / "rounds")),
        left_out=dict(left_out.most_common()),
        rows=sum(one.data.rows for one in each),
        tokens=sum(one.data.tokens for one in each),
        figures=figures | {name: float(count) for name, count in totals.items() if count},
    )


def _trend(each: Sequence[Summary], name: str) -> Trend | None:
    """Return one trend over all rounds; its updates are counted from the first round's first."""
    found: list[tuple[int, Trend]] = []
    before = 0
    for one in each:
        if (trend := getattr(one, name)) is not None:
            found.append((before, trend))
        before += one.steps
    if not found:
        return None
    best = max if name == "reward" else min
    passed, top = best(found, key=lambda pair: pair[1].best)
    return Trend(first=found[0][1].first, last=found[-1][1].last, best=top.best, best_step=passed + top.best_step)


def _publish(made: Path, place: Path) -> None:
    """Copy an adapter to where a stage has its own, whole or not at all."""
    beside = place.with_name(f".{place.name}-new")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(made, beside)
    shutil.rmtree(place, ignore_errors=True)
    beside.rename(place)
