"""Small trajectories and outcomes for the tests of figures."""

from lamarck.core import Failure, Step, Task, ToolCall, Trajectory, Usage
from lamarck.evals.figures.outcomes import outcome_of, samples_of

BROKEN = Failure(boundary="model", kind="timeout", message="no answer")


def episode(
    task="t0",
    *,
    success=True,
    sample=0,
    attempt=0,
    score=None,
    category="a",
    failed=False,
    actions=("look", "take"),
    seen=None,
    validity=None,
    calls=(),
    parent=None,
    started_at=0.0,
    tokens=10,
    seconds=1.0,
    truth=None,
    terminated=False,
):
    """Return a trajectory; `seen` are the observations after each action."""
    seen = seen or [f"after {n}" for n in range(len(actions))]
    before = ["start", *seen]
    steps = tuple(
        Step(
            index=n,
            observation=before[n],
            action=action,
            validity=(validity or {}).get(n, "valid"),
            tool_calls=tuple(calls) if n == 0 else (),
            terminated=terminated and n == len(actions) - 1,
        )
        for n, action in enumerate(actions)
    )
    return Trajectory(
        id=f"{task}/{sample}/{attempt}",
        run_id="run",
        task=Task(id=task, goal=f"goal of {task}", environment="e", category=category, truth=truth),
        sample=sample,
        attempt=attempt,
        parent=parent,
        steps=steps,
        final_observation=before[-1],
        stop="infrastructure" if failed else "terminated",
        success=None if failed else success,
        score=score,
        failure=BROKEN if failed else None,
        usage=Usage(prompt_tokens=tokens, calls=1),
        started_at=started_at,
        seconds=seconds,
    )


def samples(*episodes):
    """Return the samples that these trajectories make."""
    return samples_of([outcome_of(one) for one in episodes])


def called(**fields):
    """Return a tool call."""
    return ToolCall(name="python", **fields)
