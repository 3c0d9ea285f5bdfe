"""Rows of kind grpo as today's policy sees them: do the log-probabilities agree, what is stale, what does it weigh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ..config_training import TrainConfig
from ..weights import policy_version
from .agreement import agreement, check
from .base import Base
from .collate import Weighed
from .prepared import Prepared
from .replay_plan import Replayed, plan_replay
from .rows import Row
from .scoring import logprobs
from .watching import Watch

COMPARED = 16
"""Rows on which log-probabilities are compared: enough to see another number format or another template."""


class Weighing(NamedTuple):
    """Rows ready to be trained on, and what is said of them."""

    prepared: Prepared[Weighed]
    figures: dict[str, float]


def current(base: Base) -> str:
    """Return the version of the policy that training begins with."""
    return policy_version(base.weights, base.adapter.id if base.adapter is not None else None)


def weigh(
    config: TrainConfig, prepared: Prepared[Weighed], ages: Mapping[str, int], base: Base, watch: Watch
) -> Weighing:
    """Compare what was sampled with what training computes, and weigh what other policies sampled.

    Rows that the policy in training sampled itself, with the prompt they hold, are left as they are. As soon as there
    are others, every row is scored once, which takes about a third of an epoch.

    Args:
        config: the settings.
        prepared: rows with the advantages of their groups.
        ages: policy version -> how many policies ago it acted.
        base: the model that training begins with.
        watch: is told what is found.

    Raises:
        TrainingError: log-probabilities of the same policy differ by more than `grpo.agreement`, or are not finite.
    """
    now = current(base)

    def score(rows: Sequence[Row]) -> list[tuple[float, ...]]:
        return logprobs(base.model, rows, batch=config.optimizer.batch, pad_id=base.tokenizer.pad_token_id)

    own = [one.row for one in prepared.train if _own(one.row, now) and one.row.on_record]
    figures: dict[str, float] = {}
    if own:
        found = agreement(spread(own), now, score)
        watch.say(found.sentence())
        check(found, config.grpo.agreement)
        figures = {
            f"log-probabilities apart, {name}": v for name, v in (("mean", found.mean), ("most", found.most)) if v
        }
    off = sum(not _own(one.row, now) for one in prepared.train)
    if not off and config.replay.staleness is None:
        return Weighing(prepared, figures)
    if off:
        watch.say(f"{off} of {len(prepared.train)} rows are not of the policy in training: weighing all of them")
    train = plan_replay(config, prepared.train, ages, score if off else None)
    held = plan_replay(config, prepared.validate, ages, score if off else None)
    left_out = Counter(prepared.left_out) + Counter(train.left_out)
    done = replace(prepared, train=tuple(train.rows), validate=tuple(held.rows), left_out=dict(left_out))
    return Weighing(done, figures | _shown(train))


def spread(rows: Sequence[Row]) -> list[Row]:
    """Return `COMPARED` rows at most, from the first to near the last at even distances."""
    count = min(COMPARED, len(rows))
    return [rows[n * len(rows) // count] for n in range(count)]


def _own(row: Row, now: str) -> bool:
    return row.policy_version == now and not row.stripped


def _shown(found: Replayed) -> dict[str, float]:
    """Return the figures but those of what was left out, which are counted elsewhere."""
    return {name: value for name, value in found.figures().items() if not name.startswith("replay/left_out/")}
