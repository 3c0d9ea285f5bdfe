"""What a training stage was and what came of it, for people, programs and the next stage."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ..core import Trajectory, Wire
from ..errors import ConfigError
from ..roles import SOLVER, role_of
from .played import Played, played
from .sources import Sources

NOUNS = {"sft": "rows", "dpo": "pairs", "kto": "judged answers", "grpo": "rows"}
"""What a kind is trained on."""
HELD_OUT = {"alfworld": "valid_unseen", "household": "valid_unseen"}
"""What a taskset calls its unseen split, where that is not `test`."""
LIBRARIES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")


class Trend(Wire):
    """A figure over the updates of a stage."""

    first: float
    last: float
    best: float
    best_step: int

    @classmethod
    def of(cls, log: Sequence[Mapping[str, Any]], key: str, *, high: bool = False) -> Trend | None:
        """Return the trend of a key of the trainer's log; the lowest one after training began is best unless `high`."""
        found = [(int(entry["step"]), float(entry[key])) for entry in log if entry.get(key) is not None]
        if not found:
            return None
        trained = [pair for pair in found if pair[0]] or found
        step, best = (max if high else min)(trained, key=lambda pair: pair[1])
        return cls(first=found[0][1], last=found[-1][1], best=best, best_step=step)


class Data(Wire):
    """What was trained on."""

    stores: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()
    """Ids of the runs the attempts come from."""
    releases: tuple[str, ...] = ()
    """Ids of the releases that made the attempts."""
    policies: dict[str, int] = Field(default_factory=dict)
    """Policy version (or model) that sampled the attempts -> attempts."""
    tasksets: dict[str, int] = Field(default_factory=dict)
    splits: dict[str, int] = Field(default_factory=dict)
    """Split -> attempts."""
    roles: dict[str, int] = Field(default_factory=dict)
    """Part that the model played (solver, proposer, verifier) -> attempts. Tasksets, tasks and what was solved are
    those of the solver."""
    seeds: tuple[int, ...] = ()
    """Seeds of the tasks, each once; with id and split they name the same episodes anywhere."""
    played: Played | None = None
    """Taskset and options of the run that most attempts come from, where its folder was read."""
    attempts: int = 0
    tasks: int = 0
    solved: int = 0
    spliced: int = 0
    """Attempts made of failed ones and solved siblings (`samples.splice`); they are among `attempts` and `solved`."""
    left_out: dict[str, int] = Field(default_factory=dict)
    """Why attempts or rows were left out, and how many."""
    rows: int = 0
    """Examples trained on: rows, pairs or judged answers."""
    held: int = 0
    """Examples held back to measure the loss on."""
    tokens: int = 0
    """Tokens of an epoch."""
    figures: dict[str, float] = Field(default_factory=dict)
    """More about the rows (groups, replay, agreement), by name."""

    @classmethod
    def of(cls, sources: Sources, places: Sequence[str], **more: Any) -> Data:
        """Return what there is to say of attempts; `more` says what was made of them."""
        found = sources.trajectories
        own = [one for one in found if role_of(one) == SOLVER]
        return cls(
            stores=tuple(places) or sources.places,
            runs=sources.runs,
            releases=tuple(sorted({one.release_id for one in found if one.release_id})),
            policies=_count(map(_policy, found)),
            tasksets=_count(one.task.environment for one in own),
            splits=_count(one.task.split or "none" for one in found),
            roles=_count(map(role_of, found)),
            seeds=tuple(sorted({one.task.seed for one in found})),
            played=played(places, found),
            attempts=len(found),
            tasks=len({one.task.id for one in own}),
            solved=sum(bool(one.success) for one in own),
            spliced=sum("spliced" in one.meta for one in own),
            **more,
        )


class Summary(Wire):
    """How a stage went; `summary.json`."""

    schema_version: Literal[1] = 1
    kind: str
    out: str
    """The folder of the stage."""
    interrupted: bool = False
    """It was stopped before its last update: there is a checkpoint, and no adapter yet."""
    model: str = "embedded"
    """The base model as it was named: `embedded`, or its folder."""
    base_model: str
    base_weights: str
    start: str | None = None
    """Id of the adapter that training went on from."""
    adapter: str | None = None
    """Id of the adapter after the last update, in `adapter/`."""
    best: str | None = None
    """Id of the best adapter, in `best/`."""
    policy_version: str | None = None
    """What steps will say that are sampled with the best adapter."""
    data: Data
    steps: int
    """Updates made, those before an interruption included."""
    steps_planned: int
    epochs: float
    rows_per_step: int
    learning_rate: float
    seed: int
    seconds: float
    """Wall time of training in the last process."""
    tokens_per_s: float
    loss: Trend | None = None
    held_out_loss: Trend | None = None
    """On what was held back; `first` is before training where that was measured."""
    reward: Trend | None = None
    """Mean return of the rows of an update (grpo), or the margin of the preferences (dpo, kto)."""
    device: str = "cpu"
    peak_memory_bytes: int | None = None
    """On the GPU; None without one."""
    versions: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What was done otherwise than set, and why."""

    @property
    def best_folder(self) -> Path:
        """Where the best adapter is."""
        return Path(self.out) / "best"

    @property
    def next_command(self) -> str:
        """What to do with the result."""
        if self.interrupted:
            return shlex.join(["lamarck", "train", self.kind, "--resume", "--out", self.out])
        taskset = max(self.data.tasksets, key=lambda name: self.data.tasksets[name], default="household")
        split, before = HELD_OUT.get(taskset, "test"), self.data.played
        named = self.model == "embedded" or self.model.startswith("embedded:")
        return shlex.join(
            [
                *("lamarck", "eval", "--taskset", taskset if before is None else before.taskset, "--split", split),
                *([] if before is None else before.flags),
                *("--model", self.model if named else f"embedded:{self.model}", "--adapter", str(self.best_folder)),
            ]
        )

    @classmethod
    def read(cls, path: Path) -> Summary:
        """Read a `summary.json`.

        Raises:
            ConfigError: there is none, or it was damaged.
        """
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}.") from error
        except ValueError as error:
            raise ConfigError(f"{path} is no summary of a training stage: {str(error).splitlines()[0]}.") from error


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide what comes out."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def lines(summary: Summary) -> list[str]:
    """Return the summary in plain sentences."""
    data = summary.data
    where = " and ".join(data.stores)
    out = [
        f"{summary.kind}: {summary.steps} of {summary.steps_planned} updates in {summary.seconds:.1f} s "
        f"({summary.tokens_per_s:,.0f} tokens/s) on {data.rows} {NOUNS[summary.kind]} of {data.attempts} attempts at "
        f"{data.tasks} tasks, {data.solved} solved, from {where}"
    ]
    if set(data.roles) - {SOLVER}:
        out.append("roles: " + ", ".join(f"{count} attempts as {role}" for role, count in data.roles.items()))
    if data.spliced:
        out.append(f"spliced: {data.spliced} of the attempts, of a failed one and the way of a solved sibling")
    if data.left_out:
        out.append("left out: " + ", ".join(f"{count} {why}" for why, count in data.left_out.items()))
    out += [f"{name}: {sentence}" for name, sentence in trends(summary).items()]
    out += summary.notes
    if summary.interrupted:
        out.append(f"Stopped. Go on with: {summary.next_command}")
    else:
        out.append(f"Adapter {(summary.best or '')[:12]} on {summary.base_model} in {summary.best_folder}")
        out.append(f"Try it with: {summary.next_command}")
    return out


def trends(summary: Summary) -> dict[str, str]:
    """Return how loss and reward went, in words by name."""
    of_reward = "reward" if summary.kind == "grpo" else "margin"
    named = {"loss": summary.loss, "held-out loss": summary.held_out_loss, of_reward: summary.reward}
    return {
        name: f"{short(trend.first)} at first, {short(trend.last)} at last, "
        f"{'highest' if name == of_reward else 'lowest'} {short(trend.best)} at update {trend.best_step}"
        for name, trend in named.items()
        if trend is not None
    }


def short(value: float) -> str:
    """Return a figure in a few digits."""
    return f"{value:.4f}" if math.isfinite(value) and (abs(value) >= 1e-3 or value == 0) else f"{value:.2e}"


def _policy(one: Trajectory) -> str:
    step = one.steps[0] if one.steps else None
    return (step.policy_version or step.model or "unknown") if step is not None else "unknown"


def _count(values: Any) -> dict[str, int]:
    return dict(Counter(values).most_common())
