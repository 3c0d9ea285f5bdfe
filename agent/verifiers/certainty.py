"""Self-certainty: how far the model's own distributions were from knowing nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...core import Step, Trajectory, Verdict
from ...errors import ConfigError
from .verifier import unjudged

NOT_A_LOGPROB = -1e8
"""Below this, a log-probability stands for one that the server did not give."""


class CertaintyVerifier:
    """Passes an attempt whose tokens were sampled from sharp enough distributions.

    Kang et al. 2025 (arXiv 2502.18581) measure KL(uniform || p) at each token, which needs whole distributions. Stored
    are the entropies H of those distributions, so the score is 1 - H / log V, which is KL(p || uniform) / log V: the
    same distance with its arguments exchanged, as a share of the largest there is.
    Where V is not given it is exp(-H), and where there are no entropies exp(mean log-probability of the tokens
    drawn), which is a noisy stand-in for the same. Being sure is not being right: measure the agreement first.

    Args:
        threshold: least score of a pass.
        vocabulary: V, the size of the model's vocabulary.
    """

    name = "certainty"

    def __init__(self, threshold: float = 0.8, vocabulary: int | None = None) -> None:
        if not 0.0 < threshold < 1.0:
            raise ConfigError(f"verifier certainty takes a threshold within 0 and 1, not {threshold}.")
        if vocabulary is not None and vocabulary < 2:
            raise ConfigError(f"verifier certainty takes a vocabulary of at least 2, not {vocabulary}.")
        self._threshold, self._vocabulary = threshold, vocabulary

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Judge by the mean over all sampled tokens; the confidence is how far from the threshold that is."""
        whole = self._score([part for step in trajectory.steps for part in sampled(step)])
        if whole is None:
            return unjudged(self.name, "no step has log-probabilities or entropies")
        room = (1.0 - self._threshold) if whole >= self._threshold else self._threshold
        each = [self._score(sampled(step)) for step in trajectory.steps]
        return Verdict(
            passed=whole >= self._threshold,
            score=whole,
            step_scores=tuple(0.0 if one is None else 2.0 * one - 1.0 for one in each),
            # On the threshold itself next to nothing is said, but something is: a pass.
            confidence=max(abs(whole - self._threshold) / room, 1e-6),
            critique="" if whole >= self._threshold else "The model was unsure of what it wrote.",
            judge=self.name,
        )

    def _score(self, parts: Sequence[tuple[tuple[float, ...], tuple[float, ...]]]) -> float | None:
        logprobs = [value for part, _ in parts for value in part]
        entropies = [value for _, part in parts for value in part]
        if entropies and all(len(one) == len(other) for one, other in parts):
            mean = math.fsum(entropies) / len(entropies)
            if self._vocabulary is not None:
                return min(1.0, max(0.0, 1.0 - mean / math.log(self._vocabulary)))
            return math.exp(-max(0.0, mean))
        if not logprobs or min(logprobs) < NOT_A_LOGPROB:
            return None
        return math.exp(min(0.0, math.fsum(logprobs) / len(logprobs)))


def sampled(step: Step) -> list[tuple[tuple[float, ...], tuple[float, ...]]]:
    """Return log-probabilities and entropies of every answer of a step that has any, tool rounds too."""
    parts = [(entry.logprobs, entry.entropies) for entry in step.rounds] + [(step.logprobs, step.entropies)]
    return [part for part in parts if part[0] or part[1]]
