"""Credit: what an episode's end says about the items that stood in its prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..config_memory import CreditConfig
from ..core import Trajectory
from .ledger import Entry, Ledger, Transaction
from .state import Outcome, State, left_out, rewarded
from .values import Running


class Credited(NamedTuple):
    """What one episode changed."""

    trajectory_id: str
    reward: float
    baseline: float
    rewarded: tuple[str, ...]
    left_out: tuple[str, ...]


def reward_of(trajectory: Trajectory, config: CreditConfig) -> float | None:
    """Return the reward of an episode in [-1, 1], or None where nothing can be learned from it.

    An attempt that infrastructure ended has none, nor has one that neither environment nor verifier judged.
    """
    if trajectory.failure is not None or trajectory.stop == "infrastructure":
        return None
    verdict = trajectory.verdict
    if config.reward == "score":
        score = verdict.score if verdict is not None else trajectory.score
        if score is not None:
            return 2.0 * min(1.0, max(0.0, score)) - 1.0
    passed = verdict.passed if verdict is not None else trajectory.success
    if passed is None:
        return None
    return 1.0 if passed else config.failure


def judged(trajectories: Sequence[Trajectory]) -> list[Trajectory]:
    """Return the attempts that say something about their task, if the last one, which is new, is among them."""
    found = [t for t in trajectories if reward_of(t, CreditConfig()) is not None]
    return found if found and found[-1].id == trajectories[-1].id else []


def succeeded(trajectory: Trajectory) -> bool:
    """Say whether an episode was judged a success."""
    return bool(trajectory.verdict.passed if trajectory.verdict is not None else trajectory.success)


def recalls(trajectory: Trajectory) -> dict[str, int]:
    """Return how often each item was newly put into a prompt of an episode."""
    counts: dict[str, int] = {}
    before: frozenset[str] = frozenset()
    for step in trajectory.steps:
        for ident in step.recalled:
            if ident not in before:
                counts[ident] = counts.get(ident, 0) + 1
        before = frozenset(step.recalled)
    return counts


def credit(
    ledger: Ledger, trajectory: Trajectory, config: CreditConfig, similarity: Running | None = None
) -> Credited | None:
    """Write the events of one finished episode, all of them or none; None where there are none to write.

    Doing it again, here or in another process, changes nothing.

    Args:
        ledger: the memory's tables.
        trajectory: a finished episode with its steps.
        config: reward, step size, baseline.
        similarity: similarities seen by recall since the last credit, kept in the same transaction.
    """
    reward = reward_of(trajectory, config)
    if reward is None:
        return None
    done: Credited | None = None

    def write(transaction: Transaction) -> None:
        nonlocal done
        done = None
        if transaction.happened(trajectory.id, "learned"):
            return
        category = f"category:{trajectory.task.category}"
        mean = _running(transaction, category)
        outcome = Outcome(reward, succeeded(trajectory), mean.mean, transaction.now)
        entries = _of_items(transaction, trajectory, outcome, config)
        shown, held = (tuple(e.subject for e in entries if e.event == kind) for kind in ("rewarded", "left_out"))
        done = Credited(trajectory.id, reward, mean.mean, shown, held)
        entries.append(Entry(category, "mean", _kept(mean.add([reward])), reward=reward))
        if similarity is not None and similarity.size:
            entries.append(Entry("similarity", "mean", _kept(_running(transaction, "similarity").merge(similarity))))
        entries.append(Entry(f"trajectory:{trajectory.id}", "learned", State(), trajectory.id, reward))
        transaction.write(entries)

    ledger.do(f"credit of trajectory {trajectory.id}", write)
    return done


def _of_items(transaction: Transaction, trajectory: Trajectory, outcome: Outcome, config: CreditConfig) -> list[Entry]:
    """Return the events of the items that stood in the prompts, or were left out of them."""
    counts = recalls(trajectory)
    withheld = dict.fromkeys(ident for step in trajectory.steps for ident in step.withheld if ident not in counts)
    # Lots are drawn at the first recall only; what came later was never at risk of being left out.
    at_risk = frozenset(trajectory.steps[0].recalled) if trajectory.steps and not withheld else frozenset[str]()
    entries = []
    for ident, state in transaction.states([*counts, *withheld]).items():
        if ident in counts:
            whole = outcome._replace(whole=ident in at_risk)
            event, after = "rewarded", rewarded(state, whole, counts[ident], config)
        else:
            event, after = "left_out", left_out(state, outcome, config)
        entries.append(Entry(ident, event, after, trajectory.id, outcome.reward))
    return entries


def _running(transaction: Transaction, subject: str) -> Running:
    state = transaction.latest(subject)
    return Running(state.rewards, state.q_value, state.variance) if state is not None else Running()


def _kept(running: Running) -> State:
    """Return a running statistic in the columns of the log."""
    return State(rewards=running.size, q_value=running.mean, variance=running.variance)
