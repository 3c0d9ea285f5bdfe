"""Models without a model: scripted answers, and players that choose blindly. Shipped, since plug-ins need tests too."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ..core import Choice, Message, Reply, Sampling, ToolSpec, Usage
from ..errors import ConfigError, ModelError
from ..whole import read_records

Answer = Reply | str | Exception
Script = Iterable[Answer] | Callable[[Sequence[Message]], Answer | Awaitable[Answer]]


class ScriptedLLM:
    """Answers from a list or a function, and remembers what it was asked.

    Args:
        script: answers in order, or a function from the messages to an answer. An exception is raised, a text
            becomes a reply, and in `choose` the text must be one of the options.
        seconds: how long each answer takes.
        name: what the model calls itself.
    """

    def __init__(self, script: Script, *, seconds: float = 0.0, name: str = "scripted") -> None:
        self.name = name
        self.calls: list[tuple[Message, ...]] = []
        self._function = script if callable(script) else None
        self._answers = iter(()) if callable(script) else iter(script)
        self._seconds = seconds

    @classmethod
    def from_file(cls, path: str | Path) -> ScriptedLLM:
        """Read answers from JSON lines, each a text or an object with the fields of `Reply`.

        Raises:
            ConfigError: the file is missing, or a line is neither.
        """
        try:
            lines = read_records(Path(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read script {path}: {error}.") from error
        answers: list[Answer] = []
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
                answers.append(value if isinstance(value, str) else Reply.model_validate(value))
            except (json.JSONDecodeError, ValidationError) as error:
                raise ConfigError(
                    f"script {path}, line {number}: neither a JSON string nor a reply ({str(error).splitlines()[0]})."
                ) from None
        return cls(answers, name=f"scripted:{Path(path).name}")

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling | None = None,
        tools: Sequence[ToolSpec] = (),
        session: str | None = None,
    ) -> Reply:
        """Return the next answer.

        Raises:
            ModelError: the script has no answer left.
        """
        return await self._next(messages)

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        sampling: Sampling | None = None,
        session: str | None = None,
    ) -> Reply:
        """Return the next answer, which must be one of the options.

        Raises:
            ModelError: it is not, or there is none left.
        """
        reply = await self._next(messages)
        if reply.choice is not None:
            return reply
        if reply.text not in options:
            raise ModelError(f"the script chose {reply.text!r}, which is not among the options.", kind="no_choice")
        return reply.model_copy(update={"choice": Choice(index=list(options).index(reply.text))})

    def end_session(self, session: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is open."""

    async def _next(self, messages: Sequence[Message]) -> Reply:
        self.calls.append(tuple(messages))
        answer: Any
        if self._function is not None:
            answer = self._function(messages)
            if isinstance(answer, Awaitable):
                answer = await answer
        else:
            answer = next(self._answers, None)
            if answer is None:
                raise ModelError(f"the script of {self.name} has no answer left.", kind="script_end")
        if self._seconds:
            await asyncio.sleep(self._seconds)
        if isinstance(answer, Exception):
            raise answer
        reply = Reply(text=answer, usage=Usage(calls=1)) if isinstance(answer, str) else answer
        return reply.model_copy(update={"model": reply.model or self.name})


Pick = Callable[[Sequence[Message], Sequence[str], random.Random], int]
"""From prompt, options and a seeded generator to the index of an option."""


class PickingLLM:
    """Chooses among the options by a rule, the same for equal prompts and seeds.

    Args:
        name: what the player is called.
        pick: the rule.
        score_kind: what the choice is called; `uniform` where all options are equally likely.
    """

    def __init__(self, name: str, pick: Pick, score_kind: Literal["uniform", "none"] = "uniform") -> None:
        self.name = name
        self._pick = pick
        self._score_kind: Literal["uniform", "none"] = score_kind

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling | None = None,
        tools: Sequence[ToolSpec] = (),
        session: str | None = None,
    ) -> Reply:
        """Raise: there is nothing to choose among.

        Raises:
            ModelError: always.
        """
        raise ModelError(f"model {self.name} can only choose.", hint="Set solver.protocol to choice.", kind="choice")

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        sampling: Sampling | None = None,
        session: str | None = None,
    ) -> Reply:
        """Choose by the rule, the same for the same `sampling.seed`.

        Raises:
            ModelError: there are no options.
        """
        if not options:
            raise ModelError(f"model {self.name} was given nothing to choose among.", kind="no_options")
        seed = sampling.seed if sampling is not None and sampling.seed is not None else 0
        index = self._pick(messages, options, random.Random(seed))
        choice = Choice(index=index, score_kind=self._score_kind)
        return Reply(text=options[index], choice=choice, model=self.name, usage=Usage(calls=1))

    def end_session(self, session: str) -> None:
        """Nothing is kept."""

    async def close(self) -> None:
        """Nothing is open."""


def random_llm() -> PickingLLM:
    """Return the baseline that chooses uniformly."""
    return PickingLLM("random", lambda messages, options, generator: generator.randrange(len(options)))


def first_llm() -> PickingLLM:
    """Return the baseline that always takes the first option."""
    return PickingLLM("first", lambda messages, options, generator: 0)
