"""Recomputing: every computation in the steps is done again, and its numbers are traced to where they come from."""

from __future__ import annotations

from fractions import Fraction

from ...core import Step, ToolCall, Trajectory, Verdict
from ...tools.toolset import Tools
from .answers import final_answer, step_text
from .arithmetic import Equation, calculator, equations, numbers_in
from .verifier import unjudged


class RecomputeVerifier:
    """Checks arithmetic step by step, without a model.

    A step is at fault where a computation does not come out as it says, or uses a number that stands neither in the
    task nor in an earlier result; the last step also where its answer is not the last result. What it cannot see is
    a right computation that was the wrong one to do: a pass by it is no proof.

    Args:
        trace: look where numbers come from.
        tolerance: largest relative difference of a result that counts as rounding.
        fault: confidence where something is at fault.
        clean: confidence where nothing is.
    """

    name = "recompute"

    def __init__(self, trace: bool = True, tolerance: float = 1e-6, fault: float = 0.95, clean: float = 0.8) -> None:
        self._trace, self._tolerance = trace, Fraction(str(tolerance))
        self._fault, self._clean = fault, clean
        self._tools = Tools([calculator()])

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Judge every step that computes something; 0 is the score of those that do not."""
        first = trajectory.steps[0].observation if trajectory.steps else ""
        known = numbers_in(trajectory.task.goal) | numbers_in(first)
        scores: list[float] = []
        faults: list[str] = []
        evidence: list[ToolCall] = []
        latest: Fraction | None = None
        for step in trajectory.steps:
            found = equations(step_text(step))
            wrong = []
            for one in found:
                call = await self._computed(one, len(evidence))
                evidence.append(call)
                wrong += self._faults(one, call, known)
                known.add(abs(one.right))
                latest = one.right
            scores.append(-1.0 if wrong else 1.0 if found else 0.0)
            faults += [f"Step {step.index}: {fault}" for fault in wrong]
        if latest is None:
            return unjudged(self.name, "no step computes anything")
        faults += self._answer(trajectory, latest, scores)
        return Verdict(
            passed=not faults,
            score=0.0 if faults else 1.0,
            step_scores=tuple(scores),
            confidence=self._fault if faults else self._clean,
            critique="\n".join(faults),
            evidence=tuple(evidence),
            judge=self.name,
        )

    async def _computed(self, one: Equation, number: int) -> ToolCall:
        call = ToolCall(id=f"recompute_{number}", name="calculate", arguments={"expression": one.left})
        return await self._tools.call(call)

    def _faults(self, one: Equation, call: ToolCall, known: set[Fraction]) -> list[str]:
        if call.result is None:
            return [f"{one.left} cannot be computed ({call.error})."]
        right = Fraction(call.result)
        if abs(right - one.right) > self._tolerance * max(Fraction(1), abs(right)):
            return [f"{one.left} is {call.result}, not {_plain(one.right)}."]
        strange = [number for number in one.numbers if self._trace and number not in known]
        return [f"{_plain(strange[0])} in {one.left} comes from nowhere."] if strange else []

    def _answer(self, trajectory: Trajectory, latest: Fraction, scores: list[float]) -> list[str]:
        """Compare the answer with the last result; the step that gave it is at fault where they differ."""
        given = final_answer(trajectory)
        if given is None:
            return ["No answer was given."]
        try:
            value = Fraction(given)
        except (ValueError, ZeroDivisionError):
            return []
        if abs(value - latest) <= self._tolerance * max(Fraction(1), abs(latest)):
            return []
        at = _answering(trajectory.steps)
        scores[at] = -1.0
        return [f"Step {at}: the answer is {given}, and the last result was {_plain(latest)}."]


def _answering(steps: tuple[Step, ...]) -> int:
    return next(n for n in reversed(range(len(steps))) if steps[n].action is not None)


def _plain(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else repr(float(value))
