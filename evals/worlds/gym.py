"""Gymnasium: any of its environments that speaks text, or draws itself in text."""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

from ...core import Origin, Task, content_id
from ...errors import ConfigError, EnvironmentFailure, boundary
from ...seams import Concurrency, Environment
from .ansi import plain
from .seeds import SPLITS, seeds_of

Seeing = Literal["auto", "text", "ansi"]
OPEN = "<words>"
SUCCESS = ("success", "is_success", "won")
"""Words by which environments say in `info` that the goal is reached."""


class GymnasiumTaskset:
    """Episodes of one Gymnasium environment, one seed each.

    Args:
        id: as `gymnasium.make` takes it: `FrozenLake-v1`, or `module:Env-v0` for what a module registers.
        kwargs: keywords of the environment.
        actions: what the actions of a discrete space are called, in their order; numbers if not given.
        episodes: tasks per split.
        observation: `text` takes what the environment observes, `ansi` what it renders, `auto` the first that is text.
        success_reward: an episode whose rewards sum up to this has succeeded, where `info` does not say; the
            threshold that the environment registered if not given.
        goal: what the agent is told; the first paragraph of the environment's own description if not given.
        max_steps: steps after which an episode is truncated; what the environment registered if not given.
        concurrency: how objects of it may be called, see `seams.Concurrency`.

    Raises:
        ConfigError: Gymnasium is not installed, or an option is none that there is.
    """

    name = "gymnasium"

    def __init__(
        self,
        id: str = "FrozenLake-v1",
        kwargs: Mapping[str, Any] | None = None,
        actions: Sequence[str] | None = None,
        episodes: int = 100,
        observation: str = "auto",
        success_reward: float | None = None,
        goal: str | None = None,
        max_steps: int | None = None,
        concurrency: str = "serial",
    ) -> None:
        if find_spec("gymnasium") is None:
            raise ConfigError("gymnasium is not installed.", hint="Run: pip install 'lamarck-agents[gymnasium]'.")
        if observation not in ("auto", "text", "ansi"):
            raise ConfigError(f"gymnasium has no observation {observation!r}; there are: auto, text, ansi.")
        if concurrency not in ("inline", "thread", "serial", "process"):
            raise ConfigError(f"gymnasium cannot be run {concurrency!r}: inline, thread, serial or process.")
        if max_steps is not None and max_steps < 1:
            raise ConfigError(f"gymnasium needs max_steps >= 1, not {max_steps}.")
        self._id, self._kwargs = id, dict(kwargs or {})
        self._actions = tuple(actions) if actions is not None else None
        self._episodes = episodes
        self._observation = cast(Seeing, observation)
        self._success_reward, self._goal, self._max_steps = success_reward, goal, max_steps
        self._concurrency = cast(Concurrency, concurrency)

    def splits(self) -> list[str]:
        """Return the splits; their seeds are disjoint."""
        return list(SPLITS)

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return one task per seed.

        Raises:
            ConfigError: there is no such split or no such environment.
        """
        goal = self._goal if self._goal is not None else _described(self._spec)
        return [
            Task(
                id=f"{self.name}/{self._id}{self._variant}/{split}/{number}",
                goal=goal,
                environment=self.name,
                options={"id": self._id},
                seed=number,
                split=split,
                category=self._id,
                origin=Origin(by=self.name),
            )
            for number in seeds_of(self.name, split, seed=seed, count=self._episodes, limit=limit)
        ]

    def environment(self) -> Environment:
        """Return a new environment.

        Raises:
            ConfigError: there is none of that id, it does not take the keywords, or it does not speak text.
        """
        import gymnasium

        limits = {} if self._max_steps is None else {"max_episode_steps": self._max_steps}
        keywords, seeing = dict(self._kwargs), self._observation
        with boundary(ConfigError, f"gymnasium environment {self._id}"):
            renders = "ansi" in _modes(self._spec)
            if seeing == "ansi" or (seeing == "auto" and renders):
                keywords["render_mode"] = "ansi"
            made = gymnasium.make(self._id, disable_env_checker=True, **limits, **keywords)
        if seeing == "auto":
            seeing = "text" if isinstance(made.observation_space, gymnasium.spaces.Text) else "ansi"
        if seeing == "ansi" and not renders:
            made.close()
            raise ConfigError(
                f"gymnasium environment {self._id} has no text: it observes {made.observation_space} and does not "
                "render ansi.",
                hint="Set observation = text if its observations are strings all the same.",
            )
        threshold = self._success_reward if self._success_reward is not None else self._spec.reward_threshold
        limit = made.spec.max_episode_steps if made.spec is not None else None
        names = _names(made.action_space, self._actions, self._id)
        return GymnasiumEnvironment(made, names, seeing, threshold, limit, self._concurrency)

    @property
    def _variant(self) -> str:
        """What tells tasks of the same environment with other keywords apart; nothing where there are none."""
        if not self._kwargs:
            return ""
        # Objects have no stable text; their kind has.
        text = json.dumps(self._kwargs, sort_keys=True, default=lambda value: type(value).__qualname__)
        return f"-{content_id(text)[:8]}"

    @functools.cached_property
    def _spec(self) -> Any:
        import gymnasium

        module, colon, _ = self._id.partition(":")
        here = str(Path.cwd())
        if colon and here not in sys.path:
            # A console script does not look in the working folder, where a user's module usually is.
            sys.path.insert(0, here)
        with boundary(ConfigError, f"gymnasium environment {self._id}"):
            if colon:
                importlib.import_module(module)
            return gymnasium.spec(self._id.rpartition(":")[2])


class GymnasiumEnvironment:
    """One Gymnasium environment in text.

    Args:
        made: the environment, with its time limit around it.
        names: of the actions of a discrete space, by the number each stands for; None where actions are words.
        seeing: where the text comes from.
        threshold: sum of rewards from which an ended episode has succeeded; None where only `info` can say.
        max_steps: after how many steps the environment truncates.
        concurrency: how it may be called.
    """

    def __init__(
        self,
        made: Any,
        names: Mapping[str, int] | None,
        seeing: Seeing,
        threshold: float | None,
        max_steps: int | None,
        concurrency: Concurrency,
    ) -> None:
        self._made, self._names, self._seeing, self._threshold = made, names, seeing, threshold
        self.concurrency = concurrency
        if max_steps is not None:
            self.max_steps = max_steps
        self._seen, self._known = "", dict[str, Any]()
        self._return = 0.0
        self._playing = False

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Start the episode that the seed names."""
        observed, info = self._made.reset(seed=seed)
        self._return, self._playing = 0.0, True
        self._seen = self._text(observed)
        self._known = {"admissible_actions": self._offered(info)}
        return self._seen, {**self._known, **self._judged(info, ended=False)}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give one action. What is none, or is masked now, never reaches the environment.

        Raises:
            EnvironmentFailure: there is no episode to step in.
        """
        if not self._playing:
            raise EnvironmentFailure("step without an episode under way: reset first.", kind="order")
        given = self._read(action)
        if given is None:
            return (
                f"{action!r} is not possible.\n\n{self._seen}",
                0.0,
                False,
                False,
                {**self._known, "effective": False},
            )
        observed, reward, terminated, truncated, info = self._made.step(given)
        self._return += float(reward)
        self._playing = not (terminated or truncated)
        self._seen = self._text(observed)
        self._known = {"admissible_actions": self._offered(info)}
        told = {**self._known, **self._judged(info, ended=not self._playing)}
        return self._seen, float(reward), bool(terminated), bool(truncated), told

    def close(self) -> None:
        """Close the environment."""
        self._made.close()

    def _read(self, action: str) -> Any:
        if self._names is None:
            return action if self._made.action_space.contains(action) else None
        word = action.strip().casefold()
        name = next((name for name in self._known["admissible_actions"] if name.casefold() == word), None)
        return None if name is None else self._names[name]

    def _offered(self, info: Mapping[str, Any]) -> list[str]:
        if self._names is None:
            return [OPEN]
        mask = info.get("action_mask")
        if mask is None:
            return list(self._names)
        # A mask counts from the first action, whatever number that one has.
        return [name for name, allowed in zip(self._names, mask, strict=True) if allowed]

    def _judged(self, info: Mapping[str, Any], *, ended: bool) -> dict[str, Any]:
        """Return success and score as far as they are known; a sum of rewards is judged when no more can come."""
        said = next((bool(info[word]) for word in SUCCESS if word in info), None)
        if said is None and self._threshold is None:
            return {}
        success = said if said is not None else ended and self._return >= cast(float, self._threshold)
        return {"success": success, "score": float(success)}

    def _text(self, observed: Any) -> str:
        seen = self._made.render() if self._seeing == "ansi" else observed
        seen = seen.getvalue() if hasattr(seen, "getvalue") else seen
        if not isinstance(seen, str):
            raise EnvironmentFailure(f"{self._made.spec} observes {type(seen).__name__}, not text.", kind="contract")
        return plain(seen) if self._seeing == "ansi" else seen


def _names(space: Any, given: Sequence[str] | None, ident: str) -> dict[str, int] | None:
    """Return the actions' names with the numbers that they stand for, or None for a space of words.

    Raises:
        ConfigError: the names do not fit, or actions of this space cannot be said in words.
    """
    from gymnasium import spaces

    if isinstance(space, spaces.Text):
        return None
    if not isinstance(space, spaces.Discrete):
        raise ConfigError(
            f"gymnasium environment {ident} acts by {space}; only Discrete and Text can be said in words."
        )
    numbers = range(int(space.start), int(space.start) + int(space.n))
    names = tuple(given) if given is not None else tuple(map(str, numbers))
    if len({name.casefold() for name in names}) != len(numbers) or len(names) != len(numbers):
        raise ConfigError(
            f"gymnasium environment {ident} has {len(numbers)} actions and needs as many different names."
        )
    return dict(zip(names, numbers, strict=True))


def _creator(spec: Any) -> Any:
    from gymnasium.envs.registration import load_env_creator

    return load_env_creator(spec.entry_point) if isinstance(spec.entry_point, str) else spec.entry_point


def _modes(spec: Any) -> Sequence[str]:
    return list(getattr(_creator(spec), "metadata", {}).get("render_modes", ()))


def _described(spec: Any) -> str:
    """Return the first paragraph of the environment's description."""
    with boundary(ConfigError, f"gymnasium environment {spec.id}"):
        text = inspect.getdoc(_creator(spec)) or ""
    return " ".join(text.split("\n\n", 1)[0].split())
