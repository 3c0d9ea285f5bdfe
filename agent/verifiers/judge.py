"""A model as judge, with a rubric, and with tools to check what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from ...core import Message, Sampling, Step, ToolCall, Trajectory, Usage, Verdict, content_id
from ...errors import ConfigError
from ...seams import LLM
from ...tools.toolset import Joined, Tools
from ..hooks import EpisodeTools, Judged, Judgement, Said, Shared, Toolbox
from ..react import is_thought
from ..tool_calls import at_once
from .answers import step_text
from .arithmetic import calculator
from .judge_answer import NoVerdictError, verdict_of
from .prompt_files import fill
from .verifier import unjudged

RUBRIC = "Every step follows from what was seen before, what it computes is right, and at the end the task is solved."
WITH_TOOLS = " with the tools you have"
SHOWN_STEPS = 40
SHOWN_CHARS = 1200
WIDTH = 4
"""Tool calls of one answer that run at once."""


class JudgeVerifier:
    """Asks a model for a score, a confidence and a critique of each step and of the whole.

    Args:
        llm: the model that judges.
        toolbox: tools it may call, those of the run; none where the run has none.
        rubric: what it judges by.
        calculate: give it a calculator as well.
        rounds: answers that ask for tools, at most.
        calls: tool calls, at most.
        again: how often it is asked again where its answer is no verdict.
        max_tokens: longest answer.
        temperature: 0 takes the most probable.
        seed: of the sampling.
        prompts: folder with prompt files of the user's own.
        record: ask for the tokens of the answers and their log-probabilities, to train on.
    """

    name = "judge"

    def __init__(
        self,
        llm: LLM | None = None,
        toolbox: Toolbox | None = None,
        rubric: str = RUBRIC,
        calculate: bool = True,
        rounds: int = 4,
        calls: int = 32,
        again: int = 1,
        max_tokens: int = 1024,
        temperature: float = 0.0,
        seed: int = 0,
        prompts: str | None = None,
        record: bool = False,
    ) -> None:
        if llm is None:
            raise ConfigError("verifier judge has no model.", hint="Set verify.model.")
        self._llm, self._toolbox = llm, toolbox
        self._rubric, self._calculate = rubric, calculate
        self._rounds, self._calls, self._again = rounds, calls, again
        self._sampling = Sampling(temperature=temperature, max_tokens=max_tokens, logprobs=record)
        self._seed, self._folder = seed, prompts

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Ask; an answer that is no verdict, after asking again, is one that could not judge."""
        return (await self.judge(trajectory)).verdict

    async def judge(self, trajectory: Trajectory) -> Judged:
        """Ask; return what that took as well.

        Raises:
            ModelError: the model does not answer.
            SandboxError: a sandbox failed.
        """
        if not trajectory.steps:
            return Judged(unjudged(self.name, "there is no step"))
        async with AsyncExitStack() as stack:
            return await self._judge(trajectory, await self._tools(trajectory, stack))

    async def _judge(self, trajectory: Trajectory, tools: EpisodeTools | None) -> Judged:
        shown = shown_steps(trajectory.steps)
        messages = [Message(role="user", content=self._prompt(trajectory, shown, tools is not None))]
        evidence: list[ToolCall] = []
        said: list[Said] = []
        spent, rounds, tries, why = Usage(), 0, 0, ""
        while True:
            open_ = tools is not None and rounds < self._rounds and len(evidence) < self._calls
            specs = list(tools.specs()) if tools is not None and open_ else []
            drawn = content_id("verify", self._seed, trajectory.task.id, trajectory.sample, trajectory.attempt)
            sampling = self._sampling.model_copy(update={"seed": (int(drawn[:15], 16) + len(messages)) & (2**63 - 1)})
            reply = await self._llm.chat(messages, sampling=sampling, tools=specs)
            spent = spent + reply.usage
            if reply.tool_calls and specs and tools is not None:
                done = await at_once(tools, reply.tool_calls[: self._calls - len(evidence)], WIDTH)
                left = reply.tool_calls[len(done) :]
                done += [call.model_copy(update={"error": "no tool calls are left.", "ran": False}) for call in left]
                evidence += done
                said.append(Said(messages=tuple(messages), reply=reply, calls=tuple(done)))
                rounds += 1
                messages += _exchange(reply.text, done)
                continue
            name = f"{self.name}:{reply.model or self._llm.name}"
            try:
                found = verdict_of(reply.text, shown, len(trajectory.steps), evidence, name)
                why = ""
            except NoVerdictError as error:
                found, why = unjudged(name, str(error), evidence), str(error)
            said.append(Said(messages=tuple(messages), reply=reply, wrong=why))
            if not why or tries >= self._again:
                return Judged(found, spent, (Judgement(verdict=found, said=tuple(said)),))
            tries += 1
            messages.append(Message(role="assistant", content=reply.text))
            messages.append(Message(role="user", content=fill("verify_again", self._folder, why=why)))

    async def _tools(self, trajectory: Trajectory, stack: AsyncExitStack) -> EpisodeTools | None:
        """Open the tools of one judgement: the judged never meets the sandbox of its judge."""
        own = Tools([calculator()]) if self._calculate else None
        if self._toolbox is None:
            return Shared(own) if own is not None else None
        opened = await stack.enter_async_context(self._toolbox.session(trajectory.task, f"verify/{trajectory.id}"))
        if own is None or any(spec.name == "calculate" for spec in opened.specs()):
            return opened
        return Shared(Joined(own, opened))

    def _prompt(self, trajectory: Trajectory, shown: Sequence[int], tools: bool) -> str:
        return fill(
            "verify_judge",
            self._folder,
            goal=trajectory.task.goal or trajectory.steps[0].observation,
            rubric=self._rubric,
            with_tools=WITH_TOOLS if tools else "",
            record=record_text(trajectory, shown),
            numbers=_ranges(shown),
        )


def shown_steps(steps: Sequence[Step]) -> list[int]:
    """Return the numbers of the steps that a judge reads: all, or the first and last halves of as many as it can."""
    if len(steps) <= SHOWN_STEPS:
        return list(range(len(steps)))
    half = SHOWN_STEPS // 2
    return [*range(half), *range(len(steps) - half, len(steps))]


def record_text(trajectory: Trajectory, shown: Sequence[int]) -> str:
    """Return an attempt as its judge reads it: what was seen, said and done in each step, and what was seen last."""
    lines, before = [], -1
    for number in shown:
        if number > before + 1:
            lines.append(f"({number - before - 1} steps left out)")
        step, before = trajectory.steps[number], number
        did = "" if is_thought(step) else f"\nDid: {_short(step.action or '(nothing)')}"
        lines.append(f"Step {number}\nSeen: {_short(step.observation)}\nSaid: {_short(step_text(step))}{did}")
    return "\n".join([*lines, f"Seen at the end: {_short(trajectory.final_observation)}"])


def _exchange(text: str, done: Sequence[ToolCall]) -> list[Message]:
    asked = tuple(ToolCall(id=call.id, name=call.name, arguments=call.arguments) for call in done)
    answers = [
        Message(role="tool", content=_short(call.error or call.result or ""), tool_call_id=call.id) for call in done
    ]
    return [Message(role="assistant", content=text, tool_calls=asked), *answers]


def _ranges(shown: Sequence[int]) -> str:
    gap = next((n for n in range(1, len(shown)) if shown[n] > shown[n - 1] + 1), None)
    if gap is None:
        return f"{shown[0]} to {shown[-1]}"
    return f"{shown[0]} to {shown[gap - 1]} and {shown[gap]} to {shown[-1]}"


def _short(text: str) -> str:
    flat = " ".join(text.split()).replace("</record>", "")
    return flat if len(flat) <= SHOWN_CHARS else flat[: SHOWN_CHARS - 3] + "..."
