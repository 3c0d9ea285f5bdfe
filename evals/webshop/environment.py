"""A shopper's session as an environment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ...core import Task
from ...errors import EnvironmentFailure
from ...seams import Concurrency
from .goals import Goal
from .pages import Observation, State
from .session import Session
from .shop import Shop

MAX_STEPS = 100
"""Steps per episode of the published baselines; the original environment itself has no limit."""
ANY_SEARCH = "search[<words>]"


class ShopEnvironment:
    """Sends a shopper for the goal of whatever task it is reset with.

    Actions are `search[words]`, from every page, and `click[text]`. The reward comes with `click[buy now]`, which ends
    the episode; an action that the page does not take changes nothing. `info` also holds `reward_parts` at the end.

    Args:
        shop: where to shop.
        goal: from a task to its goal.
        observation: how pages are written.
        show_attributes: whether item pages have the button to the product's attributes.
        max_steps: after this many steps the episode is truncated.
        concurrency: how a runner may call this environment.
    """

    max_steps: int = MAX_STEPS
    concurrency: Concurrency = "inline"

    def __init__(
        self,
        shop: Shop,
        goal: Callable[[Task], Goal],
        *,
        observation: Observation = "text",
        show_attributes: bool = False,
        max_steps: int = MAX_STEPS,
        concurrency: Concurrency = "inline",
    ) -> None:
        self._shop = shop
        self._goal = goal
        self._observation = observation
        self._show_attributes = show_attributes
        self.max_steps = max_steps
        self.concurrency = concurrency
        self._session: Session | None = None
        self._steps = 0

    @property
    def session(self) -> Session:
        """The session of the episode.

        Raises:
            EnvironmentFailure: there is none.
        """
        if self._session is None:
            raise EnvironmentFailure("the environment was not reset.", kind="contract")
        return self._session

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Send a new shopper for the goal of `task`; the seed is that of random results, which `search[<r>]` shows.

        Raises:
            EnvironmentFailure: no task was given, or it is not one of this shop.
        """
        if task is None:
            raise EnvironmentFailure("a WebShop environment is reset with a task.", kind="contract")
        draws = task.seed if seed is None else seed
        self._session = Session(self._shop, self._goal(task), show_attributes=self._show_attributes, seed=draws)
        self._steps = 0
        return self._session.observe(self._observation), self._info(self._session, True)

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Do one action; after the purchase nothing is effective any more."""
        session = self.session
        effective = session.act(action)
        self._steps += 1
        over = session.over
        reward = session.bought.value if over and effective and session.bought else 0.0
        truncated = not over and self._steps >= self.max_steps
        return session.observe(self._observation), reward, over, truncated, self._info(session, effective)

    def close(self) -> None:
        """Forget the session."""
        self._session = None

    def snapshot(self) -> tuple[State, int]:
        """Return where the shopper stands and the steps taken."""
        return self.session.state, self._steps

    def restore(self, state: tuple[State, int]) -> None:
        """Go back to a snapshot of the same task."""
        self.session.state = state[0]
        self._steps = state[1]

    def _info(self, session: Session, effective: bool) -> dict[str, Any]:
        score = session.bought.value if session.bought else 0.0
        info: dict[str, Any] = {
            "admissible_actions": admissible(session),
            "success": score == 1.0,
            "score": score,
            "effective": effective,
        }
        if session.bought is not None:
            info["reward_parts"] = asdict(session.bought)
        return info


def admissible(session: Session) -> list[str]:
    """Return the actions that do something: the open search, one search where there is a box, and every click."""
    if session.over:
        return []
    concrete = [f"search[{search_words(session.goal)}]"] if session.has_search_bar else []
    clicks = [f"click[{name}]" for name in session.clickables]
    return [ANY_SEARCH, *concrete, *(action for action in clicks if session.accepts(action))]


def search_words(goal: Goal) -> str:
    """Return words to search for: the instruction without its price clause, fit to stand in brackets."""
    return " ".join(goal.words.lower().replace("[", " ").replace("]", " ").split())
