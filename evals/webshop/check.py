"""Buying each goal's own product, through the pages: what the best that can be expected of a shop is worth."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from ...core import Task
from .environment import ShopEnvironment, search_words
from .goals import Goal
from .pages import NEXT, PER_PAGE
from .session import Session

ROWS = 1000
"""At most this many imperfect purchases are listed."""


def check_shop(
    environment: ShopEnvironment,
    tasks: Sequence[Task],
    goal_of: Callable[[Task], Goal],
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Buy each task's own product with the wanted options and report what that was worth.

    The published reward is not always 1 for it: a wanted option may not match itself, two options may exclude each
    other on the page, and so on. `failures` names what must not happen: a product that no search of ours finds, an
    option that its page does not take, a reward that differs from that of the goal itself.

    Returns:
        `games`, `mean_reward`, `perfect` (count), `perfect_share`, `seconds`, `below_one` (rows of task, product,
        reward and its parts) and `failures` (sentences).
    """
    clock = time.perf_counter()
    rewards: list[float] = []
    below: list[dict[str, Any]] = []
    failures: list[str] = []
    for number, task in enumerate(tasks, 1):
        goal = goal_of(task)
        reward, parts = _buy(environment, task, goal, failures)
        rewards.append(reward)
        if reward < 1.0 and len(below) < ROWS:
            below.append({"task": task.id, "asin": goal.product.asin, "reward": reward, **parts})
        if progress is not None:
            progress(number, len(tasks))
    perfect = sum(reward == 1.0 for reward in rewards)
    return {
        "games": len(rewards),
        "mean_reward": sum(rewards) / len(rewards) if rewards else 0.0,
        "perfect": perfect,
        "perfect_share": perfect / len(rewards) if rewards else 0.0,
        "seconds": round(time.perf_counter() - clock, 3),
        "below_one": below,
        "failures": failures,
    }


def _buy(
    environment: ShopEnvironment, task: Task, goal: Goal, failures: list[str]
) -> tuple[float, dict[str, int | float | bool]]:
    environment.reset(task=task)
    session = environment.session
    if not _reach(session, goal):
        failures.append(f"{task.id}: no search finds its product {goal.product.asin}")
        return 0.0, {}
    for value in goal.values:
        # A person may have asked in words that the page does not use; the published reward goes by likeness.
        if not session.act(f"click[{value}]") and goal.kind == "synthetic":
            failures.append(f"{task.id}: the page of {goal.product.asin} does not take its option {value!r}")
    _, reward, _, _, info = environment.step("click[buy now]")
    expected = session.price_up(goal.product, dict(session.state.options)).value
    if reward != expected or reward != info["score"]:
        failures.append(f"{task.id}: the purchase is worth {reward}, its page says {info['score']}, not {expected}")
    parts = info.get("reward_parts", {})
    return reward, {key: value for key, value in parts.items() if key != "value"}


def _reach(session: Session, goal: Goal) -> bool:
    """Open the product's page by searching for its name, then for what the goal says, then by its query."""
    wanted = goal.product.asin
    name = goal.product.name.replace("[", " ").replace("]", " ")
    for words in (name, search_words(goal), f"<q> {goal.product.query}"):
        session.act(f"search[{words}]")
        hits = [product.asin for product in session.state.hits]
        if wanted in hits:
            for _ in range(hits.index(wanted) // PER_PAGE):
                session.act(f"click[{NEXT}]")
            return session.act(f"click[{wanted}]")
    return False
