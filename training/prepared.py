"""What each kind of training is given, checked: rows, pairs, judged answers or weighed rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, NamedTuple, TypeVar

from ..config_training import TrainConfig
from ..core import Trajectory, content_id
from ..errors import TrainingError
from ..roles import about
from .base import Base
from .checks import check
from .collate import Weighed
from .examples import Judged, Pair, judged, pairs
from .headers import INFRASTRUCTURE, NOTHING, UNSOLVED, nothing_in
from .rewarded import SAMPLES, GroupFigures
from .rows import CALLS, Row
from .settle import formed, nothing, settle
from .sources import Sources, some

T = TypeVar("T")
FEW = 5
"""Ids that are named where many could be."""


@dataclass(frozen=True)
class Prepared(Generic[T]):
    """Examples to train on, and examples of other tasks to measure the loss on."""

    train: tuple[T, ...]
    validate: tuple[T, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Why attempts or rows were left out, and how many: what `Sources` counted, and more."""
    too_long: tuple[str, ...] = ()
    """The first few attempts (for dpo and kto, tasks) with a row over the limit."""
    groups: GroupFigures | None = None
    """Kind grpo only."""
    returns: Mapping[str, float] | None = None
    """Kind grpo only: what each attempt got by `grpo.rewards`, by its id; None where it is not known."""


class Made(NamedTuple):
    """An example before it is sorted."""

    task_id: str
    ident: str
    """What it is called when it is too long."""
    tokens: int
    """Of the longest input that is made of it."""
    example: Any


def prepare_sft(config: TrainConfig, sources: Sources, base: Base) -> Prepared[Row]:
    """Return the rows of solved attempts.

    Raises:
        TrainingError: nothing was solved, or see `prepare`.
    """
    sources, left_out = _begun(config, sources, base)
    won = [one for one in sources.trajectories if one.success]
    left_out[UNSOLVED] += len(sources.trajectories) - len(won)
    if not won:
        raise TrainingError(
            f"none of the {len(sources.trajectories)} attempts was solved, and imitation needs solved ones.",
            hint="Collect more, or learn from failures by grpo, dpo or kto.",
            kind=nothing_in(left_out),
        )

    def made() -> Iterator[Made]:
        for one in won:
            for row in formed(config, one, base.tokenizer, left_out):
                yield Made(one.task.id, one.id, _length(row), row)

    return _sorted(config, base, made(), left_out)


def prepare_dpo(config: TrainConfig, sources: Sources, base: Base) -> Prepared[Pair]:
    """Return pairs of answers that siblings gave to the same prompt, the better first.

    Raises:
        TrainingError: no attempt has a sibling, no two of them part, or see `prepare`.
    """
    sources, left_out = _begun(config, sources, base)

    def made() -> Iterator[Made]:
        for group in _siblings(config, sources, left_out):
            task = group[0].task.id
            for pair in pairs(group, _answers(config, base, left_out)):
                longest = max(len(pair.chosen_ids), len(pair.rejected_ids))
                yield Made(task, task, len(pair.prompt_ids) + longest, pair)

    return _sorted(
        config,
        base,
        made(),
        left_out,
        none="no two siblings with different rewards gave different answers to the same prompt.",
        hint="Collect more attempts at each task, or at a higher model.temperature.",
    )


def prepare_kto(config: TrainConfig, sources: Sources, base: Base) -> Prepared[Judged]:
    """Return answers with whether their attempt did better than its group.

    Raises:
        TrainingError: no attempt has a sibling, all got the same, or see `prepare`.
    """
    sources, left_out = _begun(config, sources, base)

    def made() -> Iterator[Made]:
        for group in _siblings(config, sources, left_out):
            task = group[0].task.id
            for one in judged(group, _answers(config, base, left_out)):
                yield Made(task, task, len(one.prompt_ids) + len(one.completion_ids), one)

    return _sorted(
        config,
        base,
        made(),
        left_out,
        none="the attempts of each group all got the same, so none is good or bad.",
        hint="Collect more attempts, at other tasks, or at a higher model.temperature.",
    )


def prepare_grpo(config: TrainConfig, sources: Sources, base: Base) -> Prepared[Weighed]:
    """Return rows with the advantage of each token.

    Advantages come from all attempts, those of tasks that are held back included: a group is never split.

    Raises:
        ConfigError: see `settle`.
        TrainingError: see `settle` and `prepare`.
    """
    sources, left_out = _begun(config, sources, base)
    settled = settle(config, sources, base.tokenizer)
    left_out.update(settled.left_out)
    task = {one.id: one.task.id for one in sources.trajectories}
    made = (Made(task[one.row.trajectory_id], one.row.trajectory_id, _length(one.row), one) for one in settled.rows)
    return replace(_sorted(config, base, made, left_out, groups=settled.groups), returns=settled.returns)


PREPARE: dict[str, Callable[[TrainConfig, Sources, Base], Prepared[Any]]] = {
    "sft": prepare_sft,
    "dpo": prepare_dpo,
    "kto": prepare_kto,
    "grpo": prepare_grpo,
}


def prepare(config: TrainConfig, sources: Sources, base: Base) -> Prepared[Any]:
    """Return what training of this kind is given.

    Rows longer than `samples.max_tokens`, or than the model reads, are left out and counted, never cut.

    Raises:
        ConfigError: a name or an option of the configuration is not one there is.
        TrainingError: attempts cannot be trained on by this model (see `checks`), or nothing is left to train on.
    """
    return PREPARE[config.kind](config, sources, base)


def held_back(config: TrainConfig, task_id: str) -> bool:
    """Say whether a task is held back to measure the loss on: by its id alone, so in every stage and run alike.

    What was judged at a task is held back with it.
    """
    return int(content_id("validate", about(task_id))[:12], 16) / 16**12 < config.validate_share


def limit(config: TrainConfig, base: Base) -> int:
    """Return the longest row that is trained on, in tokens."""
    return min(config.samples.max_tokens, base.context or config.samples.max_tokens)


def _begun(config: TrainConfig, sources: Sources, base: Base) -> tuple[Sources, Counter[str]]:
    """Return checked sources and what was left out so far. Fresh attempts come here without `load_sources`."""
    left_out = Counter(sources.left_out)
    left_out[INFRASTRUCTURE] += sum(one.failure is not None for one in sources.trajectories)
    known = tuple(one for one in sources.trajectories if one.failure is None)
    found = replace(sources, trajectories=known, left_out={why: n for why, n in left_out.items() if n})
    some(config, found)
    check(found.trajectories, base)
    return found, left_out


def _siblings(config: TrainConfig, sources: Sources, left_out: Counter[str]) -> list[list[Trajectory]]:
    groups = sources.groups()
    several = [group for group in groups if len(group) > 1]
    if not several:
        raise TrainingError(
            f"every one of the {len(groups)} groups has one attempt, and {config.kind} compares siblings.",
            hint=SAMPLES,
            kind=NOTHING,
        )
    left_out["without a sibling"] += len(groups) - len(several)
    return several


def _answers(config: TrainConfig, base: Base, left_out: Counter[str]) -> Callable[[Trajectory], list[Row]]:
    """Return what gives one row per answer, whatever `samples.rows` says: preferences are about answers."""
    samples = config.samples.model_copy(update={"rows": "step"})
    by_step = config.model_copy(update={"samples": samples})
    return lambda one: formed(by_step, one, base.tokenizer, left_out)


def _sorted(
    config: TrainConfig,
    base: Base,
    made: Iterable[Made],
    left_out: Counter[str],
    *,
    none: str = "",
    hint: str = "",
    groups: GroupFigures | None = None,
) -> Prepared[Any]:
    """Return examples by whether their task is held back, without those that are too long."""
    most = limit(config, base)
    train: list[Any] = []
    validate: list[Any] = []
    long: list[Made] = []
    for one in made:
        if one.tokens > most:
            long.append(one)
            continue
        (validate if held_back(config, one.task_id) else train).append(one.example)
    if long:
        left_out[f"rows over {most} tokens"] += len(long)
    if not train and not validate and not long:
        told = none and not left_out[CALLS]
        raise TrainingError(none, hint=hint, kind=nothing_in(left_out)) if told else nothing(left_out)
    if not train and not validate:
        shortest = min(long, key=lambda one: one.tokens)
        raise TrainingError(
            f"all {len(long)} rows are longer than {most} tokens; the shortest, of {shortest.ident}, has "
            f"{shortest.tokens}.",
            hint=f"Raise samples.max_tokens ({config.samples.max_tokens}; {base.name} reads {base.context or 'any'}), "
            "or take samples.rows = step.",
            kind=NOTHING,
        )
    if not train:
        raise TrainingError(
            f"validate_share = {config.validate_share} holds back every task that there is a row of.",
            hint="Lower it, or collect more tasks.",
        )
    named = tuple(dict.fromkeys(one.ident for one in long))[:FEW]
    return Prepared(tuple(train), tuple(validate), {why: n for why, n in left_out.items() if n}, named, groups)


def _length(row: Row) -> int:
    return len(row.prompt_ids) + len(row.completion_ids)
