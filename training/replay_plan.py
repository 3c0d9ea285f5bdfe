"""What is replayed, what it weighs, and why the rest is left out."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..config_training import ReplayConfig, TrainConfig
from ..errors import TrainingError
from .collate import Weighed
from .replay import Distance, distance, effective_sample_size, recent, token_weights, truncated_weight
from .rows import Row

STALE, UNKNOWN, FAR = "sampled too many policies ago", "no log-probabilities on record", "out of the trust region"


@dataclass(frozen=True)
class Replayed:
    """Rows ready to be trained on, and the figures that belong in the log."""

    rows: list[Weighed]
    """With the weights in their advantages and, where weights were made, the policy in training as the old one."""
    weights: tuple[float, ...] = ()
    """Truncated importance weight of each row, the mean over its tokens where there is one per token; empty where
    the policy in training was not asked."""
    ess: float = 0.0
    """Effective sample size of `weights`, in rows; the number of rows where there are none."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Why -> how many rows."""
    ages: dict[int, int] = field(default_factory=dict)
    """How many policies ago -> how many of the rows that are left."""
    log_ratio: float = 0.0
    """Mean of the absolute log-ratio per token over the rows that are left, in nats."""

    def figures(self) -> dict[str, float]:
        """Return what a log of numbers takes."""
        found: dict[str, float] = {"replay/rows": len(self.rows), "replay/ess": self.ess}
        if self.rows:
            found["replay/ess_share"] = self.ess / len(self.rows)
            found["replay/log_ratio"] = self.log_ratio
        if self.weights:
            found["replay/weight_mean"] = math.fsum(self.weights) / len(self.weights)
            found["replay/weight_max"] = max(self.weights)
        if self.ages:
            found["replay/age_max"] = max(self.ages)
        return found | {f"replay/left_out/{why}": n for why, n in self.left_out.items()}


def plan_replay(
    config: TrainConfig,
    rows: Sequence[Weighed],
    ages: Mapping[str, int],
    logprobs_now: Callable[[Sequence[Row]], Sequence[tuple[float, ...]]] | None = None,
) -> Replayed:
    """Leave out stale and far-off rows, and weigh the others by how likely today's policy makes them.

    There are two places for the ratio of today's policy to the one that sampled. As TRL's old policy, the stored
    log-probabilities put the clipping around a policy that may be long gone: a token whose ratio has left
    [1 - low, 1 + high] before the first update has no gradient at all, however much it could teach. So the two jobs
    of the ratio are kept apart, as in decoupled PPO (Hilton et al. 2022): the old policy that clipping is
    about is the one at the beginning of the stage, whose log-probabilities take the place of the stored ones; and the
    step from the sampling policy to it is a constant factor min(pi_now / mu, C) on the advantages (truncated
    importance sampling, as for DART; TRL's own correction for vLLM multiplies the loss the same way). The factor is
    positive, and TRL's losses are linear in the advantage where its sign stays, so it is exactly a factor on the loss.
    Objectives that are not (`nft`, and what `mixed` imitates) are weighed by it in their own way.

    One weight per row is the geometric mean over its tokens; TRL's `sequence_truncate` takes the product, whose
    variance grows with length. `replay.weights = "token"` is TRL's `token_truncate`.

    Rows that were stripped of what was recalled are weighed the same way: mu is what sampled them, with the longer
    prompt, and pi is asked with the prompt they have now, so that the ratio is that of the two distributions at work.

    The anchor stays for all epochs of the stage, also when it is resumed. Call this again with the new policy to move
    it.

    Args:
        config: `replay` says how stale, how far, and where to cut.
        rows: rows with the advantages of their own groups.
        ages: policy version -> how many versions ago it was current (`replay.ages`).
        logprobs_now: log-probabilities of the completion tokens under the policy in training, (N,) for each row.
            None leaves the rows as they are: the stored ones are then TRL's old policy, and no distance is known.

    Raises:
        TrainingError: the policy in training gives log-probabilities that are not finite.
    """
    settings = config.replay
    kept, left_out = _usable(rows, ages, settings.staleness)
    if logprobs_now is None:
        return Replayed(kept, ess=float(len(kept)), left_out=dict(left_out), ages=_ages(kept, ages))
    found, weights, gaps = [], [], []
    for one, now in zip(kept, logprobs_now([one.row for one in kept]), strict=True):
        far = _distance(one.row, now)
        if settings.trust is not None and abs(far.mean) > settings.trust:
            left_out[FAR] += 1
            continue
        row, weight = _anchored(one, now, far, settings)
        found.append(row)
        weights.append(weight)
        gaps.append(abs(far.mean))
    return Replayed(
        rows=found,
        weights=tuple(weights),
        ess=effective_sample_size(weights),
        left_out=dict(left_out),
        ages=_ages(found, ages),
        log_ratio=math.fsum(gaps) / len(gaps) if gaps else 0.0,
    )


def _anchored(one: Weighed, now: tuple[float, ...], far: Distance, settings: ReplayConfig) -> tuple[Weighed, float]:
    """Return a row with today's policy as its old one and its weight in its advantages; and that weight."""
    row_weight = truncated_weight(far, settings.truncate)
    if settings.weights == "row":
        each: tuple[float, ...] = (row_weight,) * len(now)
    else:
        each = token_weights(one.row, now, settings.truncate)
        row_weight = math.fsum(w for w, known in zip(each, one.row.loss_mask, strict=True) if known) / far.tokens
    advantages = tuple(a * w for a, w in zip(one.advantages, each, strict=True))
    old = tuple(value * known for value, known in zip(now, one.row.loss_mask, strict=True))
    return Weighed(replace(one.row, logprobs=old), advantages), row_weight


def _usable(
    rows: Sequence[Weighed], ages: Mapping[str, int], staleness: int | None
) -> tuple[list[Weighed], Counter[str]]:
    kept, left_out = [], Counter[str]()
    for one in rows:
        if not recent(one.row, ages, staleness):
            left_out[STALE] += 1
        elif not one.row.on_record:
            left_out[UNKNOWN] += 1
        else:
            kept.append(one)
    return kept, left_out


def mix(new: Sequence[Weighed], older: Sequence[Weighed], share: float, seed: int) -> list[Weighed]:
    """Return all new rows and as many older ones, drawn by `seed`, as make the new ones `share` of all.

    No row comes twice: neither one of the new rows again, nor an older one that two stores have.

    Args:
        new: rows of this round.
        older: rows to draw from.
        share: in (0, 1]; 1 draws none. Where there are too few older rows, all are taken.
        seed: the same seed draws the same rows.
    """
    seen: set[Hashable] = set()
    once, others = _once(new, seen), _once(older, seen)
    wanted = round(len(once) * (1 - share) / share)
    drawn = random.Random(seed).sample(range(len(others)), min(wanted, len(others)))
    return [*once, *(others[place] for place in sorted(drawn))]


def _once(rows: Sequence[Weighed], seen: set[Hashable]) -> list[Weighed]:
    found = []
    for one in rows:
        key = (one.row.trajectory_id, one.row.steps, one.row.completion_ids, len(one.row.prompt_ids))
        if key not in seen:
            seen.add(key)
            found.append(one)
    return found


def _distance(row: Row, now: tuple[float, ...]) -> Distance:
    far = distance(row, now)
    if not math.isfinite(far.log_ratio):
        raise TrainingError(
            f"the policy in training gives a row of trajectory {row.trajectory_id} log-probabilities that are not "
            "finite.",
            hint="Its weights are damaged: start from another adapter, or with a lower learning rate.",
        )
    return far


def _ages(rows: Sequence[Weighed], ages: Mapping[str, int]) -> dict[int, int]:
    counted = Counter(ages[one.row.policy_version] for one in rows if one.row.policy_version in ages)
    return dict(sorted(counted.items()))
