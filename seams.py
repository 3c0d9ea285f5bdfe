"""The seams: Protocols that built-ins and guests implement alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

from .core import Message, Reply, Sampling, Task, ToolSpec

Concurrency = Literal["inline", "thread", "serial", "process", "async"]
"""How a runner may call an environment.

`inline`: so fast that it is called on the event loop; `thread`: one object per thread at once, many threads;
`serial`: one dedicated thread for all objects of the class (the default for guests that declare nothing);
`process`: a recycled child process each; `async`: `reset` and `step` are coroutines.
"""


class Environment(Protocol):
    """A text world, in Gymnasium's words.

    `info` may hold: `admissible_actions` (list of strings; `search[<words>]` stands for all actions of that form,
    and `<code>` is a place that may hold several lines),
    `success` (bool), `score` (0 to 1), `effective` (bool: False when the action changed nothing because it was not
    understood).
    Optional: `close()`, `snapshot() -> object`, `restore(object)`, the class attributes `concurrency`
    (see `Concurrency`), `max_steps` (int) and `recycle_after` (episodes per child process).
    """

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Start the episode that `task` and `seed` name; return the first observation and info."""
        ...

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Return observation, reward, terminated, truncated, info."""
        ...


@runtime_checkable
class Snapshots(Protocol):
    """An environment whose state can be taken and put back."""

    def snapshot(self) -> object: ...

    def restore(self, state: object) -> None: ...


class Taskset(Protocol):
    """Where tasks come from, and the environment of each. Entry-point group `lamarck.tasksets`.

    The entry point (or `module:Class`) is called with the options of the configuration as keyword arguments.
    """

    name: str

    def splits(self) -> Sequence[str]:
        """Names of the splits there are."""
        ...

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> Sequence[Task]:
        """Return the tasks of a split in a stable order.

        Raises:
            ConfigError: for a split that does not exist.
        """
        ...

    def environment(self) -> Environment:
        """Return a new environment able to play every task of this set."""
        ...


class LLM(Protocol):
    """A language model behind one door.

    `session` names an episode, so that a model may keep its prefix cache between calls; `end_session` drops it.
    """

    name: str

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling | None = None,
        tools: Sequence[ToolSpec] = (),
        session: str | None = None,
    ) -> Reply:
        """Sample one completion.

        Raises:
            ModelError: when no usable answer came, after retries.
        """
        ...

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        sampling: Sampling | None = None,
        session: str | None = None,
    ) -> Reply:
        """Choose one of `options`; `reply.choice` says which, `reply.text` is the option."""
        ...

    def end_session(self, session: str) -> None:
        """Forget what was kept for `session`; unknown sessions are fine."""
        ...

    async def close(self) -> None:
        """Release connections and memory."""
        ...


Info = Mapping[str, Any]
