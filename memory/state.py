"""The state of an item, and what each event makes of it. Pure: the ledger stores what comes out."""

from __future__ import annotations

from typing import NamedTuple

from ..config_memory import CreditConfig
from ..core import ItemStatus
from .values import effect, laplace, moved, spread, uncertainty


class State(NamedTuple):
    """What an item has proved to be worth; the latest visible row of its log."""

    kind: str = ""
    """Kind of the item; never changes."""
    status: ItemStatus = "candidate"
    q_value: float = 0.0
    variance: float = 1.0
    retrievals: int = 0
    """Times recall put it into a prompt."""
    rewards: int = 0
    """Episodes that were rewarded with it in a prompt."""
    successes: int = 0
    kept: int = 0
    """Rewarded episodes in which all that was chosen was shown: what an episode without an item is compared with."""
    kept_sum: float = 0.0
    """Sum of their rewards."""
    left_out: int = 0
    """Episodes in which it was chosen and, by lot, not shown."""
    left_out_sum: float = 0.0
    used_at: float | None = None

    def uncertainty(self, alpha: float) -> float:
        """Standard deviation of `q_value`, in units of reward."""
        return uncertainty(self.variance, self.rewards, alpha)

    @property
    def laplace(self) -> float:
        """Share of successes, from (successes + 1) / (uses + 2)."""
        return laplace(self.successes, self.rewards)

    def effect(self, prior: float) -> float:
        """Reward with the item minus reward without it."""
        return effect(self.kept_sum, self.kept, self.left_out_sum, self.left_out, prior=prior)


class Outcome(NamedTuple):
    """How an episode ended, as credit sees it."""

    reward: float
    """In [-1, 1]."""
    success: bool
    baseline: float
    """Mean reward of the task's category before this episode."""
    at: float
    """Unix time."""
    whole: bool = True
    """Whether the item stood by lot beside all that was chosen with it: what its absence is compared with."""


def rewarded(state: State, outcome: Outcome, retrievals: int, credit: CreditConfig) -> State:
    """Return the state of an item after an episode in which it stood in a prompt.

    Args:
        state: the state before.
        outcome: how the episode ended.
        retrievals: how often recall put the item into a prompt of this episode.
        credit: step size and what the reward is compared with.
    """
    target = outcome.reward - outcome.baseline if credit.baseline else outcome.reward
    delta = target - state.q_value
    after = state._replace(
        q_value=moved(state.q_value, target, credit.alpha),
        variance=spread(state.variance, delta, credit.alpha),
        retrievals=state.retrievals + retrievals,
        rewards=state.rewards + 1,
        successes=state.successes + outcome.success,
        kept=state.kept + outcome.whole,
        kept_sum=state.kept_sum + (outcome.reward if outcome.whole else 0.0),
        used_at=outcome.at,
    )
    return _judged(after, credit)


def left_out(state: State, outcome: Outcome, credit: CreditConfig) -> State:
    """Return the state of an item after an episode that had to go without it."""
    after = state._replace(left_out=state.left_out + 1, left_out_sum=state.left_out_sum + outcome.reward)
    return _judged(after, credit)


def merged(state: State, other: State) -> State:
    """Return the state of an item that takes in an equal one: counts add up, the value is their mean by evidence."""
    total = state.rewards + other.rewards
    share = other.rewards / total if total else 0.0
    return state._replace(
        q_value=state.q_value + share * (other.q_value - state.q_value),
        variance=state.variance + share * (other.variance - state.variance),
        retrievals=state.retrievals + other.retrievals,
        rewards=total,
        successes=state.successes + other.successes,
        kept=state.kept + other.kept,
        kept_sum=state.kept_sum + other.kept_sum,
        left_out=state.left_out + other.left_out,
        left_out_sum=state.left_out_sum + other.left_out_sum,
        used_at=max((t for t in (state.used_at, other.used_at) if t is not None), default=None),
    )


def worth(state: State, credit: CreditConfig) -> float:
    """Return the value by which recall ranks: Q, or the measured effect where episodes are held out for that."""
    return state.effect(credit.effect_prior) if credit.leave_out > 0 and credit.rank_by_effect else state.q_value


def _judged(state: State, credit: CreditConfig) -> State:
    """Make a candidate active once it has proved itself often enough."""
    proven = state.rewards >= credit.prove_uses and state.laplace >= credit.prove_score
    return state._replace(status="active") if state.status == "candidate" and proven else state
