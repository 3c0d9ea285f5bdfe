"""A player that has been told what to do: demonstrations as ordinary episodes, with the prompts an agent would see."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..core import Choice, Message, Reply, Sampling, ToolSpec
from ..errors import ModelError
from .prompting import steps_shown


class ExpertLLM:
    """Gives the commands of a plan one after the other.

    It finds its place in the plan by counting the decisions in its prompt, so an episode that is resumed goes on
    where it was.

    Args:
        plan: from a session's name to the commands of its episode.
    """

    name = "expert"

    def __init__(self, plan: Callable[[str], Sequence[str]]) -> None:
        self._plan = plan

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling | None = None,
        tools: Sequence[ToolSpec] = (),
        session: str | None = None,
    ) -> Reply:
        """Return the next command of the plan as an action.

        Raises:
            ModelError: the protocol asks for tools, or the plan has come to its end.
        """
        if tools:
            raise ModelError("expert does not call tools.", hint="Set solver.protocol to choice or text.", kind="tools")
        return Reply(text=f"<action>{self._next(messages, session)}</action>", model=self.name)

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        sampling: Sampling | None = None,
        session: str | None = None,
    ) -> Reply:
        """Choose the next command of the plan.

        Raises:
            ModelError: it is not among the options, or the plan has come to its end.
        """
        command = self._next(messages, session)
        if command not in options:
            raise ModelError(f"expert wants {command!r} in {session}, which is not offered.", kind="no_choice")
        return Reply(text=command, choice=Choice(index=list(options).index(command)), model=self.name)

    def end_session(self, session: str) -> None:
        """There is nothing to forget."""

    async def close(self) -> None:
        """There is nothing to close."""

    def _next(self, messages: Sequence[Message], session: str | None) -> str:
        plan, taken = self._plan(session or ""), steps_shown(messages)
        if taken >= len(plan):
            raise ModelError(f"the plan of {session} has only {len(plan)} commands.", kind="no_answer")
        return plan[taken]
