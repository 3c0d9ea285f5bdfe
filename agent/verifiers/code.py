"""Running an attempt's code again, with the assertions that its task shows."""

from __future__ import annotations

import re

from ...core import ToolCall, Trajectory, Verdict, content_id
from ...errors import ConfigError
from ..hooks import EpisodeTools, Toolbox
from .verifier import unjudged

FENCED = re.compile(r"```(?:python|py)?\s*\n(.*?)```", re.DOTALL)
ASSERT = re.compile(r"^\s*(assert\b.*)$", re.MULTILINE)


class CodeVerifier:
    """Runs the code of the last action in a sandbox, then every assertion that stands in the task's own words.

    An assertion that the task hides is ground truth, and not looked at. Code that only runs, because the task shows
    no assertion, is passed with little confidence.

    Args:
        toolbox: has a tool named `tool` that runs Python and keeps its variables.
        tool: its name.
        asserted: confidence of a verdict by assertions.
        ran: confidence of a pass of code that only ran.

    Raises:
        ConfigError: there is no such tool.
    """

    name = "code"

    def __init__(
        self, toolbox: Toolbox | None = None, tool: str = "python", asserted: float = 0.9, ran: float = 0.2
    ) -> None:
        if toolbox is None:
            raise ConfigError("verifier code has no tool to run code with.", hint='Set tools.builtin = ["python"].')
        self._toolbox, self._tool = toolbox, tool
        self._asserted, self._ran = asserted, ran

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Judge by running.

        Raises:
            SandboxError: the sandbox failed.
        """
        code = code_of(trajectory)
        if code is None:
            return unjudged(self.name, "there is no code in the last action")
        asserts = [line.strip() for line in ASSERT.findall(trajectory.task.goal)]
        # Code that ends the interpreter has not passed: only who comes to the end says this word.
        word = content_id("verified", trajectory.id, code)
        async with self._toolbox.session(trajectory.task, f"verify/{trajectory.id}") as tools:
            if self._tool not in {spec.name for spec in tools.specs()}:
                raise ConfigError(f"verifier code needs a tool {self._tool}.", hint='Set tools.builtin = ["python"].')
            done = [await self._run(tools, code, word, 0)]
            if done[0].error is None:
                done += [await self._run(tools, line, word, n) for n, line in enumerate(asserts, 1)]
        return self._verdict(done, asserts, word)

    async def _run(self, tools: EpisodeTools, code: str, word: str, number: int) -> ToolCall:
        source = f"{code}\nprint({word!r})"
        return await tools.call(ToolCall(id=f"code_{number}", name=self._tool, arguments={"code": source}))

    def _verdict(self, done: list[ToolCall], asserts: list[str], word: str) -> Verdict:
        held = [call.error is None and (call.result or "").rstrip().endswith(word) for call in done]
        tests = held[1:]
        passed = all(held)
        score = sum(tests) / len(tests) if tests else float(held[0])
        broken = [] if held[0] else [f"The code does not run: {_last_line(done[0])}"]
        broken += [
            f"{line} does not hold ({_last_line(call)})."
            for line, call, right in zip(asserts, done[1:], tests, strict=False)
            if not right
        ]
        return Verdict(
            passed=passed,
            score=score if held[0] else 0.0,
            confidence=self._ran if passed and not asserts else self._asserted,
            critique="\n".join(broken),
            evidence=tuple(done),
            judge=self.name,
        )


def code_of(trajectory: Trajectory) -> str | None:
    """Return the code of the last action: what stands in its fence, or all of it where it looks like Python."""
    given = next((step.action for step in reversed(trajectory.steps) if step.action), None)
    if given is None:
        return None
    fenced = FENCED.findall(given)
    if fenced:
        return str(fenced[-1])
    return given if re.search(r"^\s*(def|class|import|from|lambda)\b|=", given, re.MULTILINE) else None


def _last_line(call: ToolCall) -> str:
    lines = (call.error or call.result or "it did not come to its end").strip().splitlines()
    return lines[-1][:200] if lines else "it did not come to its end"
