"""Worlds behind an AgentGym server: tasks by number, play over HTTP.

Xi et al., "AgentGym: Evolving Large Language Model-based Agents across Diverse Environments" (2024). Their protocol
says `done` and nothing of time limits, so an end is an end; it counts an episode as solved whose last reward is 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ...core import Origin, Task
from ...errors import ConfigError, EnvironmentFailure
from ...seams import Environment
from .agentgym_dialect import Dialect, Told, created, find_dialect, offered, told
from .openenv_wire import base_url, is_here

if TYPE_CHECKING:
    import httpx


@dataclass(frozen=True)
class Play:
    """What every environment of a taskset shares; see `AgentGymTaskset`."""

    url: str
    index: str | None
    reset: Mapping[str, Any]
    create: Mapping[str, Any]
    success_reward: float
    full_score: float
    timeout_s: float


class AgentGymTaskset:
    """Tasks of an AgentGym server, which names them by number only.

    Args:
        url: of the server, with the path in front of the calls if there is one (`.../maze`).
        indices: numbers of the tasks; `episodes` of them from 0 if not given.
        episodes: how many tasks, where no numbers are given.
        index_field: field of a reset that holds the number; found from the server's description if not given.
        reset: what else is sent with every reset.
        create: what is sent when an environment is made.
        goal: what every task is about, since the server does not say it apart from the observation.
        success_reward: an episode whose last reward is at least this has succeeded, where the server sends no score.
        full_score: what the server's `score` is for the whole task (100 for ScienceWorld).
        timeout_s: longest wait for one answer, in seconds.

    Raises:
        ConfigError: the URL is none, or a number is out of range.
    """

    name = "agentgym"

    def __init__(
        self,
        url: str,
        indices: Sequence[int] | None = None,
        episodes: int = 10,
        index_field: str | None = None,
        reset: Mapping[str, Any] | None = None,
        create: Mapping[str, Any] | None = None,
        goal: str = "",
        success_reward: float = 1.0,
        full_score: float = 1.0,
        timeout_s: float = 60.0,
    ) -> None:
        if episodes < 1 or timeout_s <= 0 or full_score <= 0:
            raise ConfigError("agentgym needs episodes, timeout_s and full_score above 0.")
        self._indices = list(indices) if indices is not None else list(range(episodes))
        self._goal = goal
        self._play = Play(
            base_url(url), index_field, dict(reset or {}), dict(create or {}), success_reward, full_score, timeout_s
        )

    def splits(self) -> list[str]:
        """Return the one split: which numbers are for training is not for the server to say."""
        return ["all"]

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return one task for each number; the seed changes nothing.

        Raises:
            ConfigError: there is no such split.
        """
        if split != "all":
            raise ConfigError(f"agentgym has no split {split!r}; there is only 'all'.", hint="Choose by indices.")
        return [
            Task(
                id=f"{self.name}/{index}",
                goal=self._goal,
                environment=self.name,
                options={"index": index},
                split=split,
                category=self.name,
                origin=Origin(by=self.name),
            )
            for index in self._indices[:limit]
        ]

    def environment(self) -> Environment:
        """Return an environment of the server; it is made there with its first reset."""
        # The seam is written for plain functions; `concurrency` says that these are coroutines.
        return AgentGymEnvironment(self._play)  # type: ignore[return-value]


class AgentGymEnvironment:
    """One environment of an AgentGym server, kept for one episode after the other: most servers never free one."""

    concurrency = "async"

    def __init__(self, play: Play) -> None:
        self._play = play
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dialect = Dialect()
        self._id: int | None = None
        self._playing = False
        self._offered: tuple[str, ...] | None = None

    async def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Start the task; the seed changes nothing, since the protocol has none.

        Raises:
            EnvironmentFailure: the server failed, or the task is none of this set.
        """
        index = task.options.get("index") if task is not None else None
        if not isinstance(index, int):
            raise EnvironmentFailure("an AgentGym environment is reset with a task that has an index.", kind="task")
        self._playing = False
        if self._id is None or self._loop is not asyncio.get_running_loop():
            await self._make()
        assert self._id is not None
        try:
            seen = told(await self._ask("POST", "reset", self._dialect.reset(self._id, index)))
            if seen.text is None and self._dialect.observes:
                seen = told(await self._ask("GET", "observation", self._dialect.named(self._id)))
            if seen.text is None:
                raise EnvironmentFailure("the AgentGym server sent no observation.", kind="contract")
            info = await self._info(seen)
        except BaseException:
            # What the failed call left there is not for another episode.
            await self._leave()
            raise
        self._playing = True
        return seen.text, info

    async def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Take one action.

        Raises:
            EnvironmentFailure: the server failed; the episode cannot go on.
        """
        if not self._playing or self._id is None:
            raise EnvironmentFailure("step before reset.", kind="order")
        try:
            answer = await self._ask("POST", "step", {**self._dialect.named(self._id), "action": action})
            seen = told(answer)
            if seen.text is None or seen.reward is None:
                raise EnvironmentFailure(
                    f"the AgentGym server answered a step with {str(answer)[:80]}.", kind="contract"
                )
            info = await self._info(seen)
        except BaseException:
            self._playing = False
            await self._leave()
            raise
        self._playing = not seen.ended
        if seen.ended:
            # Where there is a score, the reward of a step is only what the score has grown by.
            info["success"] = info["score"] >= 1 if "score" in info else seen.reward >= self._play.success_reward
        return seen.text, seen.reward, seen.ended, False, info

    async def close(self) -> None:
        """Free the environment, where the server can, and the connection."""
        self._playing = False
        await self._leave()

    async def _make(self) -> None:
        import httpx

        await self._leave()
        url = self._play.url
        self._client = httpx.AsyncClient(
            timeout=self._play.timeout_s,
            trust_env=not is_here(url),
            verify=url.startswith("https:"),  # certificates take long to load and are of no use without TLS
        )
        self._loop = asyncio.get_running_loop()
        try:
            self._dialect = await self._find()
            self._id = created(await self._ask("POST", "create", dict(self._play.create)))
        except BaseException:
            # Who fails is dropped without being closed.
            await self._leave()
            raise

    async def _find(self) -> Dialect:
        """Return the server's dialect; the calls may stand under a path, the description stands at the root."""
        import httpx

        root = httpx.URL(self._play.url)
        prefix = root.path.rstrip("/")
        document: Any = {}
        for place in dict.fromkeys((self._play.url, str(root.copy_with(path="")).rstrip("/"))):
            with suppress(EnvironmentFailure):
                document = await self._ask("GET", f"{place}/openapi.json", {})
                break
        paths = document.get("paths", {}) if isinstance(document, dict) else {}
        within = prefix if f"{prefix}/reset" in paths else ""
        return find_dialect(document if paths else {}, self._play.reset, self._play.index, within)

    async def _info(self, seen: Told) -> dict[str, Any]:
        assert self._id is not None
        actions = seen.offered
        if actions is None and self._dialect.offers and not seen.ended:
            actions = offered(await self._ask("GET", "available_actions", self._dialect.named(self._id)))
        info: dict[str, Any] = {}
        if actions is not None:
            info["admissible_actions"] = list(actions)
        if seen.score is not None:
            info["score"] = max(0.0, min(1.0, seen.score / self._play.full_score))
        return info

    async def _leave(self) -> None:
        """Free what is at the server, as far as it lets us, and the connection."""
        client, ident, self._client, self._id = self._client, self._id, None, None
        if client is None or self._loop is not asyncio.get_running_loop():
            return
        self._client = client
        try:
            if ident is not None and self._dialect.closes:
                with suppress(EnvironmentFailure):
                    await self._ask("POST", "close", self._dialect.named(ident))
        finally:
            self._client = None
            await client.aclose()

    async def _ask(self, method: str, call: str, fields: dict[str, Any]) -> Any:
        import httpx

        assert self._client is not None
        url = call if "://" in call else f"{self._play.url}/{call}"
        where = {"params": fields} if method == "GET" else {"json": fields}
        try:
            answer = await self._client.request(method, url, **where)  # type: ignore[arg-type]
            answer.raise_for_status()
            return answer.json()
        except (httpx.HTTPError, ValueError) as error:
            lines = str(error).splitlines()
            raise EnvironmentFailure(
                f"the AgentGym server at {self._play.url} failed at {call}: {lines[0] if lines else 'no answer'}.",
                kind="timeout" if isinstance(error, httpx.TimeoutException) else "server",
            ) from error
