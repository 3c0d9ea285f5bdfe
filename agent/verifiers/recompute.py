"""Recomputing: every computation in the steps is done again, and its numbers are traced to where they come from."""

from __future__ import annotations

from fractions import Fraction

from ...core import Step, ToolCall, Trajectory, Verdict
from ...tools.toolset import Tools
from .answers import final_answer, number_of, step_text
from .arithmetic import calculator
from .constants import constants_in, told
from .equations import Equation, close, equations, results_in
from .verifier import unjudged

AT_THE_END = 200
"""Characters of a step in which a percent sign says that its last result is a share."""


class RecomputeVerifier:
    """Checks arithmetic step by step, without a model.

    A step is at fault where a computation does not come out as it says, or uses a number that stands neither in the
    task, in figures or words, nor in an earlier result; the last step also where its answer is not the last result.
    What it cannot see is a right computation that was the wrong one to do: a pass by it is no proof. A number from
    nowhere is a fault of less confidence: people count what is not written down. How often it errs on the worked
    solutions of GSM8K is in docs/results.

    Args:
        trace: look where numbers come from.
        tolerance: largest relative difference of a result that counts as rounding, beside that to the places written.
        fault: confidence where a computation or the answer is at fault.
        strange: confidence where nothing but the origin of numbers is.
        clean: confidence where nothing is.
    """

    name = "recompute"

    def __init__(
        self,
        trace: bool = True,
        tolerance: float = 1e-6,
        fault: float = 0.95,
        strange: float = 0.6,
        clean: float = 0.8,
    ) -> None:
        self._trace, self._tolerance = trace, Fraction(str(tolerance))
        self._fault, self._strange, self._clean = fault, strange, clean
        self._tools = Tools([calculator()])

    async def verify(self, trajectory: Trajectory) -> Verdict:
        """Judge every step that computes something; 0 is the score of those that do not."""
        first = trajectory.steps[0].observation if trajectory.steps else ""
        known = told(trajectory.task.goal) | told(first)
        scores: list[float] = []
        faults: list[str] = []
        evidence: list[ToolCall] = []
        latest: set[Fraction] = set()
        sure = False
        for step in trajectory.steps:
            said = step_text(step)
            known |= constants_in(said)
            found, wrong = equations(said), list[str]()
            for one in found:
                call = await self._computed(one, len(evidence))
                evidence.append(call)
                faulty = self._faults(one, call)
                sure |= bool(faulty)
                wrong += faulty or self._origins(one, known)
                known.add(abs(one.right))
            known.update(results_in(said))
            if found:
                latest = {found[-1].right, *results_in(said)[-1:]}
                latest |= {100 * value for value in latest if "%" in said[-AT_THE_END:]}
            scores.append(-1.0 if wrong else 1.0 if found else 0.0)
            faults += [f"Step {step.index}: {fault}" for fault in wrong]
        if not evidence:
            return unjudged(self.name, "no step computes anything")
        other = self._answer(trajectory, latest, scores)
        return Verdict(
            passed=not (faults or other),
            score=0.0 if faults or other else 1.0,
            step_scores=tuple(scores),
            confidence=self._fault if sure or other else self._strange if faults else self._clean,
            critique="\n".join(faults + other),
            evidence=tuple(evidence),
            judge=self.name,
        )

    async def _computed(self, one: Equation, number: int) -> ToolCall:
        call = ToolCall(id=f"recompute_{number}", name="calculate", arguments={"expression": one.left})
        return await self._tools.call(call)

    def _faults(self, one: Equation, call: ToolCall) -> list[str]:
        if call.result is None:
            return [f"{one.left} cannot be computed ({call.error})."]
        if one.holds(Fraction(call.result), self._tolerance):
            return []
        return [f"{one.left} is {call.result}, not {one.sides[1].expression}."]

    def _origins(self, one: Equation, known: set[Fraction]) -> list[str]:
        strange = [number for number in one.numbers if self._trace and number not in known]
        return [f"{_plain(strange[0])} in {one.left} comes from nowhere."] if strange else []

    def _answer(self, trajectory: Trajectory, latest: set[Fraction], scores: list[float]) -> list[str]:
        """Compare the answer with the last result; the step that gave it is at fault where they differ."""
        given = final_answer(trajectory)
        if given is None:
            return ["No answer was given."]
        value, places = number_of(given), len(given.partition(".")[2])
        if value is None or any(close(one, value, places, self._tolerance) for one in latest):
            return []
        at = _answering(trajectory.steps)
        scores[at] = -1.0
        last = " or ".join(map(_plain, sorted(latest)))
        return [f"Step {at}: the answer is {given}, and the last result was {last}."]


def _answering(steps: tuple[Step, ...]) -> int:
    return next(n for n in reversed(range(len(steps))) if steps[n].action is not None)


def _plain(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else repr(float(value))
