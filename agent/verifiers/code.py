"""Running an attempt's code again, with what its task shows of what it must do."""

from __future__ import annotations

import re

from ...core import ToolCall, Trajectory, Verdict, content_id
from ...errors import ConfigError
from ..hooks import EpisodeTools, Toolbox
from .code_shown import BESIDE, Trial, assertions, canonical, compared, trial_of
from .verifier import unjudged

FENCED = re.compile(r"```(?:python|py)?\s*\n(.*?)```", re.DOTALL)


class CodeVerifier:
    """Runs code in a sandbox, and compares what comes of it with what stands in the task's own words.

    Where the task shows assertions, the code of the last action is run with each of them. Where it is one of the three
    kinds of self-made code tasks, the shown program is run on the shown input and compared with the answer (deduction),
    or on the answered input and compared with the shown output (abduction), or the answered program is run on the shown
    pairs (induction). Values are compared as plain data: what an answer's own classes say of equality does not count.

    What the task hides is ground truth, and not looked at: a program that knows the shown pairs or assertions by heart
    passes. Where the task shows nothing, code that runs is not judged.

    Args:
        toolbox: has a tool named `tool` that runs Python and keeps its variables.
        tool: its name.
        asserted: confidence of a verdict by what the task shows.
        ran: confidence of a pass of code that only ran; at 0 it is not judged.

    Raises:
        ConfigError: there is no such tool.
    """

    name = "code"

    def __init__(
        self, toolbox: Toolbox | None = None, tool: str = "python", asserted: float = 0.9, ran: float = 0.0
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
        given = given_in(trajectory)
        trial = trial_of(trajectory.task.goal, given) if given is not None else None
        if isinstance(trial, str):
            return self._said([trial], 0.0, [])
        code = trial.program if trial is not None else code_of(trajectory)
        if code is None:
            return unjudged(self.name, "there is no code in the last action")
        # Code that ends the interpreter has not passed: only who comes to the end says this word.
        word = content_id("verified", trajectory.id, code)
        async with self._toolbox.session(trajectory.task, f"verify/{trajectory.id}") as tools:
            if self._tool not in {spec.name for spec in tools.specs()}:
                raise ConfigError(f"verifier code needs a tool {self._tool}.", hint='Set tools.builtin = ["python"].')
            beside = f"v_{word[:16]}"
            ready = await self._run(tools, BESIDE.replace("{name}", beside), word, -1)
            if not _held(ready, word):
                return unjudged(self.name, f"the tool {self._tool} does not run what compares ({_last_line(ready)})")
            done = [await self._run(tools, code, word, 0)]
            if trial is not None:
                return await self._tried(tools, trial, done, word, beside)
            return await self._asserting(tools, assertions(trajectory.task.goal), done, word, beside)

    async def _tried(self, tools: EpisodeTools, trial: Trial, done: list[ToolCall], word: str, beside: str) -> Verdict:
        """Judge a self-made task by calling its program; the wanted outputs are compared on this side."""
        if not _held(done[0], word):
            return self._said([f"The code does not run: {_last_line(done[0])}"], 0.0, done)
        right, wrong = 0, []
        for number, (call, wanted) in enumerate(zip(trial.calls, trial.outputs, strict=True), 1):
            source = f"print({word!r} + {beside}_written(f({call})))"
            done.append(await self._run(tools, source, word, number))
            got = _value_in(done[-1], word)
            if got is not None and canonical(got) is not None and canonical(got) == canonical(wanted):
                right += 1
            elif trial.written:
                wrong.append(f"f({call}) does not return {wanted} ({got or _last_line(done[-1])}).")
            else:
                wrong.append("Run with this answer, the program does not return what it should.")
        return self._said(wrong, right / len(trial.calls), done)

    async def _asserting(
        self, tools: EpisodeTools, asserts: list[str], done: list[ToolCall], word: str, beside: str
    ) -> Verdict:
        """Judge by the assertions of the task."""
        if not _held(done[0], word):
            return self._said([f"The code does not run: {_last_line(done[0])}"], 0.0, done)
        if not asserts and self._ran <= 0.0:
            return unjudged(self.name, "the code runs, and the task shows nothing that it could be tried with", done)
        for number, line in enumerate(asserts, 1):
            done.append(await self._run(tools, compared(line, f"{beside}_equal"), word, number))
        held = [_held(call, word) for call in done[1:]]
        broken = [
            f"{line} does not hold ({_last_line(call)})."
            for line, call, right in zip(asserts, done[1:], held, strict=True)
            if not right
        ]
        found = self._said(broken, sum(held) / len(held) if held else 1.0, done)
        return found if asserts else found.model_copy(update={"confidence": self._ran})

    async def _run(self, tools: EpisodeTools, code: str, word: str, number: int) -> ToolCall:
        source = f"{code}\nprint({word!r})"
        return await tools.call(ToolCall(id=f"code_{number}", name=self._tool, arguments={"code": source}))

    def _said(self, wrong: list[str], score: float, done: list[ToolCall]) -> Verdict:
        return Verdict(
            passed=not wrong,
            score=score,
            confidence=self._asserted,
            critique="\n".join(wrong),
            evidence=tuple(done),
            judge=self.name,
        )


def given_in(trajectory: Trajectory) -> str | None:
    """Return the last action, without the fence around it."""
    given = next((step.action for step in reversed(trajectory.steps) if step.action), None)
    if given is None:
        return None
    fenced = FENCED.findall(given)
    return str(fenced[-1]) if fenced else given


def code_of(trajectory: Trajectory) -> str | None:
    """Return the code of the last action: what stands in its fence, or all of it where it looks like Python."""
    given = given_in(trajectory)
    if given is None or FENCED.search(next(step.action for step in reversed(trajectory.steps) if step.action) or ""):
        return given
    return given if re.search(r"^\s*(def|class|import|from|lambda)\b|=", given, re.MULTILINE) else None


def _held(call: ToolCall, word: str) -> bool:
    return call.error is None and (call.result or "").rstrip().endswith(word)


def _value_in(call: ToolCall, word: str) -> str | None:
    """Return what stands behind the word in the last line but one, where the call came to its end."""
    lines = (call.result or "").rstrip().splitlines()
    if not _held(call, word) or len(lines) < 2 or not lines[-2].startswith(word):
        return None
    return lines[-2].removeprefix(word)


def _last_line(call: ToolCall) -> str:
    lines = (call.error or call.result or "it did not come to its end").strip().splitlines()
    return lines[-1][:200] if lines else "it did not come to its end"
