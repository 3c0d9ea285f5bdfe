"""The nouns: frozen, versioned, and the same id for the same content."""

import pytest
from lamarck.core import Release, Step, Task, Trajectory, Usage, Verdict, content_id
from lamarck.errors import ConfigError, EnvironmentFailure, LamarckError, StoreError, boundary
from pydantic import ValidationError


def test_frozen_and_closed():
    task = Task(id="t", goal="g", environment="e")
    with pytest.raises(ValidationError):
        task.goal = "other"
    with pytest.raises(ValidationError):
        Task(id="t", goal="g", environment="e", colour="red")
    with pytest.raises(ValidationError):
        Verdict(passed=True, score=1.5)


def test_json_round_trip():
    step = Step(index=0, observation="ö", admissible=("a",), token_ids=(1, 2), logprobs=(-0.1, -3.5))
    trajectory = Trajectory(
        id="x", run_id="r", task=Task(id="t", goal="g", environment="e"), steps=(step,), stop="loop"
    )
    assert Trajectory.model_validate_json(trajectory.model_dump_json()) == trajectory


def test_ids_follow_content_alone():
    assert content_id("a", {"x": 1, "y": 2}) == content_id("a", {"y": 2, "x": 1})
    assert content_id("a", "b") != content_id("ab")
    one = Release.of(base_model="m", prompts={"p": "1"}, created_at=1.0)
    later = Release.of(base_model="m", prompts={"p": "1"}, created_at=2.0)
    other = Release.of(base_model="m", prompts={"p": "2"}, created_at=1.0)
    assert one.id == later.id != other.id


def test_usage_adds_up():
    total = Usage(prompt_tokens=3, completion_tokens=1, cost_usd=0.5, calls=1) + Usage(prompt_tokens=4, calls=1)
    assert (total.tokens, total.prompt_tokens, total.cost_usd, total.calls) == (8, 7, 0.5, 2)


def test_boundary_names_foreign_errors_and_leaves_ours_alone():
    with (
        pytest.raises(StoreError, match=r"writing x: disk on fire Buy a new one\.") as caught,
        boundary(StoreError, "writing x", OSError, hint="Buy a new one."),
    ):
        raise OSError("disk on fire\nand more")
    assert caught.value.kind == "OSError" and isinstance(caught.value.__cause__, OSError)
    with pytest.raises(ConfigError), boundary(StoreError, "writing x"):
        raise ConfigError("ours")
    with pytest.raises(KeyError), boundary(StoreError, "writing x", OSError):
        raise KeyError("not mine")
    assert issubclass(EnvironmentFailure, LamarckError)
