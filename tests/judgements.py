"""Small attempts to judge, and verifiers that say what they are told to."""

from lamarck.core import Step, Task, Trajectory, Verdict


def attempt(*actions, goal="g", said=(), ident="t", success=None, **fields):
    """Return an attempt with these actions, and what was said in each step."""
    known = {
        "task": Task(id="task", goal=goal, environment="e"), "run_id": "run", "stop": "terminated",
        "final_observation": "the end", "success": success,
    }  # fmt: skip
    words = said or tuple("" for _ in actions)
    steps = tuple(
        Step(index=n, observation=f"seen {n}", action=action, completion=text)
        for n, (action, text) in enumerate(zip(actions, words, strict=True))
    )
    return Trajectory(**{**known, "id": ident, "steps": steps, **fields})


def verdict(passed=True, score=None, confidence=1.0, **fields):
    return Verdict(passed=passed, score=float(passed) if score is None else score, confidence=confidence, **fields)


class Says:
    """A verifier that says one thing, or what a function makes of the attempt; it remembers what it was shown."""

    def __init__(self, answer, name="says"):
        self.name, self.answer, self.shown = name, answer, []

    async def verify(self, trajectory):
        self.shown.append(trajectory)
        return self.answer(trajectory) if callable(self.answer) else self.answer


class Guest:
    """A verifier of somebody else's, with one option."""

    name = "guest"

    def __init__(self, generous=False, siblings=None):
        self.generous, self.siblings = generous, siblings

    async def verify(self, trajectory):
        return verdict(self.generous, judge=self.name)


class Silent:
    """No verifier at all."""


def short(trajectory):
    """A rule of somebody else's."""
    return (len(trajectory.steps) < 3, "It is too long.")


def broken(trajectory):
    raise KeyError("steps")
