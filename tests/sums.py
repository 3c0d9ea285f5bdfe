"""A solver that makes planted mistakes at word problems, and a judge that can recompute, or only look twice.

The problems are those of the taskset `questions`: start - given, times * bought, and the sum of both.
"""

import json
import random
import re

from lamarck.agent.verifiers.equations import equations, numbers_in
from lamarck.core import Reply, ToolCall, Usage

SHARE = 0.4
KINDS = (*("slip",) * 14, *("misread",) * 5, "wrong")
"""What a mistake is: mostly a wrong result, sometimes a number that is not there, one in twenty the wrong operation.
Computing again cannot find the last kind, so the share of mistakes found depends on how many there are of it."""
STEP = re.compile(r"Step (\d+)\nSeen: .*\nSaid: (.*)")
FLAGGED = re.compile(r"Step (\d+):")


def planted(goal):
    """Return the kind of mistake at each of the three steps of a problem, or None, the same every time."""
    draw = random.Random(f"mistakes/{goal}")
    return [draw.choice(KINDS) if draw.random() < SHARE else None for _ in range(3)]


def lines(goal, mistakes):
    """Return the three computations as they are written down, and the answer."""
    start, given, times, bought = (int(number) for number in re.findall(r"\d+", goal))
    draw, said, values = random.Random(f"results/{goal}"), [], []
    for number, mistake in enumerate(mistakes):
        slip, other = draw.choice((-11, -10, -2, -1, 1, 2, 9, 10)), draw.randint(1000, 1999)
        left, sign, right = [(start, "-", given), (times, "*", bought), (*values, "+", None)][number][:3]
        if number == 2:
            left, sign, right = values[0], "+", values[1]
        if mistake == "misread":
            right = other
        if mistake == "wrong":
            sign = {"-": "+", "*": "+", "+": "-"}[sign]
        value = {"-": left - right, "*": left * right, "+": left + right}[sign] + (slip if mistake == "slip" else 0)
        said.append(f"{left} {sign} {right} = {value}" if left >= 0 else f"({left}) {sign} {right} = {value}")
        values.append(value)
    return said, values[-1]


class Pupil:
    """Thinks in three steps and answers; a critique makes it do over the steps that are named, and no others."""

    name = "pupil"

    def __init__(self):
        self.read = []

    async def chat(self, messages, *, sampling=None, tools=(), session=None):
        self.read.append(messages)
        told = messages[1].content
        goal = re.search(r"^(\w+ has .* now\?)", told, re.MULTILINE)[1]
        mistakes = planted(goal)
        for flagged in map(int, FLAGGED.findall(told)):
            if flagged < 3:
                mistakes[flagged] = None
        said, answer = lines(goal, mistakes)
        step = sum(message.role == "assistant" for message in messages)
        text = f"Thought: {said[step]}" if step < 3 else f"Action: {answer}"
        return Reply(text=text, model=self.name, usage=Usage(prompt_tokens=50, completion_tokens=10, calls=1))

    async def choose(self, messages, options, **more):
        raise AssertionError("a pupil writes")

    def end_session(self, session):
        pass

    async def close(self):
        pass


class Examiner(Pupil):
    """Reads each computation; with a calculator it does it again, without one it judges by the size of the result."""

    name = "examiner"

    async def chat(self, messages, *, sampling=None, tools=(), session=None):
        self.read.append(messages)
        spent = Usage(prompt_tokens=400, completion_tokens=60, calls=1)
        found = [(int(number), equations(said)) for number, said in STEP.findall(messages[0].content)]
        if tools and len(messages) == 1:
            calls = [
                ToolCall(id=f"c{number}", name="calculate", arguments={"expression": one.left})
                for number, several in found
                for one in several
            ]
            return Reply(text="", tool_calls=tuple(calls), usage=spent)
        results = {m.tool_call_id: m.content for m in messages if m.role == "tool"}
        goal = re.search(r"^Task: (.*)$", messages[0].content, re.MULTILINE)[1]
        known, entries, faults = numbers_in(goal), [], []
        for number, several in found:
            wrong = ""
            for one in several:
                if any(part not in known for part in one.numbers):
                    wrong = "a number comes from nowhere"
                elif f"c{number}" in results:
                    exact = float(results[f"c{number}"])
                    wrong = "" if exact == one.right else f"{one.left} is {exact:g}"
                elif not any(part > one.right for part in one.numbers) and "-" in one.left:
                    wrong = ""
                elif "+" in one.left and one.right < max(one.numbers):
                    wrong = "a sum is larger than its parts"
                known.add(abs(one.right))
            faults += [f"Step {number}: {wrong}."] if wrong else []
            entries.append({"step": number, "score": -1 if wrong else 1, "confidence": 0.9, "critique": wrong})
        verdict = {
            "steps": entries, "passed": not faults, "score": 0 if faults else 1, "confidence": 0.9,
            "critique": " ".join(faults),
        }  # fmt: skip
        return Reply(text=json.dumps(verdict), usage=spent, model=self.name)
