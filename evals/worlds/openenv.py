"""Worlds behind any OpenEnv server, played over its WebSocket messages.

OpenEnv says `done` where Gymnasium says `terminated` or `truncated`. Where an observation or its metadata says
`truncated`, that is believed; else an end is an end. Success is what the metadata calls `success`, or a reward that
reaches `success_reward`; without either nothing is known of it.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping
from typing import Any, TypeVar

from ...core import Origin, Task
from ...errors import ConfigError
from ...seams import Environment
from .openenv_fields import Fields, find_fields
from .openenv_play import OpenEnvEnvironment
from .openenv_wire import Wire, base_url, is_here

T = TypeVar("T")
ALL = "all"
"""The one split of a server that lists no tasks."""
GOALS = ("goal", "instruction", "question", "prompt", "description")


class OpenEnvTaskset:
    """Episodes of an OpenEnv server: the tasks it lists, else one for each seed.

    Args:
        url: of the server, for example http://127.0.0.1:8000.
        action_field: field of the action that holds our text; found from the server's schema if not given. `*`: the
            agent writes the whole action as a JSON object.
        observation_field: field of the observation that is shown; found likewise, else all of it is shown as JSON.
        episodes: how many seeds, where the server lists no tasks.
        goal: what every task is about, where the server does not say.
        reset: what is sent with every reset beside seed and task.
        success_reward: an episode whose rewards add up to this has succeeded, where the server does not say.
        timeout_s: longest wait for one answer, in seconds.
        connect_s: longest wait for a connection, in seconds.
        headers: sent with every connection, for example `Authorization`.

    Raises:
        ConfigError: the URL is none, or a number is out of range.
    """

    name = "openenv"

    def __init__(
        self,
        url: str,
        action_field: str | None = None,
        observation_field: str | None = None,
        episodes: int = 10,
        goal: str = "",
        reset: Mapping[str, Any] | None = None,
        success_reward: float | None = None,
        timeout_s: float = 60.0,
        connect_s: float = 10.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        if episodes < 1 or timeout_s <= 0 or connect_s <= 0:
            raise ConfigError("openenv needs episodes, timeout_s and connect_s above 0.")
        self.url = base_url(url)
        self._fields = (action_field, observation_field)
        self._episodes = episodes
        self._goal = goal
        self._reset = dict(reset or {})
        self._success_reward = success_reward
        self._timeout_s = timeout_s
        self._connect_s = connect_s
        self._headers = dict(headers or {})
        self._lock = threading.Lock()

    def splits(self) -> list[str]:
        """Return the splits the server lists, or `all`.

        Raises:
            ConfigError: there is no OpenEnv server.
        """
        return list(self._splits)

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the server's tasks of a split, or one task for each seed from `seed` on.

        Raises:
            ConfigError: there is no such split, or no OpenEnv server.
        """
        if split not in self._splits:
            raise ConfigError(f"the server at {self.url} has no split {split!r}; it has: {', '.join(self._splits)}.")
        if not self._lists:
            count = self._episodes if limit is None else min(limit, self._episodes)
            return [self._task(split, str(n), n, {}, self._goal) for n in range(seed, seed + count)]
        number = self._told(f"{self._world}/num_tasks", {"split": split}, "num_tasks", int)
        number = number if limit is None else min(limit, number)
        asked = {"split": split, "start": 0, "stop": number}
        rows = self._told(f"{self._world}/task_range", asked, "tasks", list)
        if len(rows) < number:
            raise ConfigError(f"the server at {self.url} lists {len(rows)} of the {number} tasks of split {split}.")
        return [self._listed(split, index, row, seed) for index, row in enumerate(rows[:number])]

    def environment(self) -> Environment:
        """Return a session of the server; it connects with its first reset."""
        wire = Wire(self.url, timeout_s=self._timeout_s, connect_s=self._connect_s, headers=self._headers)
        # The seam is written for plain functions; `concurrency` says that these are coroutines.
        return OpenEnvEnvironment(wire, self.fields, self._reset, self._success_reward)  # type: ignore[return-value]

    def fields(self) -> Fields:
        """Return how the server's messages are read; asks it once.

        Raises:
            ConfigError: there is no OpenEnv server, or no telling which field holds the text.
        """
        with self._lock:
            return self._found

    @functools.cached_property
    def _found(self) -> Fields:
        schema = self._ask("schema")
        if not isinstance(schema, Mapping) or "action" not in schema:
            raise ConfigError(f"what answers at {self.url} is no OpenEnv server: /schema names no action.")
        return find_fields(schema, *self._fields)

    @functools.cached_property
    def _world(self) -> str:
        names = self._ask("list_environments", missing=[])
        return str(names[0]) if isinstance(names, list) and names else ""

    @functools.cached_property
    def _listed_splits(self) -> list[str]:
        rows = self._ask(f"{self._world}/splits", missing=[]) if self._world else []
        return [str(row["name"]) for row in rows if isinstance(row, Mapping) and "name" in row]

    @property
    def _lists(self) -> bool:
        return bool(self._listed_splits)

    @property
    def _splits(self) -> list[str]:
        return self._listed_splits or [ALL]

    def _listed(self, split: str, index: int, row: object, seed: int) -> Task:
        row = row if isinstance(row, Mapping) else {"goal": row} if isinstance(row, str) else {}
        ident = str(row["id"]) if "id" in row else str(index)
        options = {"split": split, "index": index, **({"task_id": ident} if "id" in row else {})}
        goal = next((row[key] for key in GOALS if isinstance(row.get(key), str)), self._goal)
        own = row.get("seed")
        seed = own if isinstance(own, int) else seed
        return self._task(split, ident, seed, options, goal, str(row.get("category", "")))

    def _task(self, split: str, ident: str, seed: int, options: dict[str, Any], goal: str, category: str = "") -> Task:
        world = self._world or "world"
        return Task(
            id=f"{self.name}/{world}/{split}/{ident}",
            goal=goal,
            environment=self.name,
            options=options,
            seed=seed,
            split=split,
            category=category or world,
            origin=Origin(by=self.name),
        )

    def _told(self, path: str, body: Mapping[str, Any], name: str, kind: type[T]) -> T:
        """Ask over HTTP for one thing of a kind."""
        answer = self._ask(path, body)
        found = answer.get(name) if isinstance(answer, Mapping) else None
        if not isinstance(found, kind):
            raise ConfigError(f"the OpenEnv server at {self.url}/{path} answered {str(answer)[:80]!r}, without {name}.")
        return found

    def _ask(self, path: str, body: Mapping[str, Any] | None = None, *, missing: Any = None) -> Any:
        """Ask over HTTP; `missing` is the answer where the server knows no such address."""
        import httpx

        try:
            with httpx.Client(
                timeout=self._connect_s, headers=self._headers, trust_env=not is_here(self.url)
            ) as client:
                address = f"{self.url}/{path}"
                answer = client.get(address) if body is None else client.post(address, json=body)
            if missing is not None and answer.status_code in (404, 405, 501):
                return missing
            answer.raise_for_status()
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(
                f"no OpenEnv server answers at {self.url}/{path}: {reason}.", hint="Start it, or mend the option url."
            ) from error
