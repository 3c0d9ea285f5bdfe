"""Steps read without what was sent and sampled."""

import zlib

import pytest
import sqlalchemy as sa
from lamarck.core import Message, Step, Task, ToolCall, Trajectory
from lamarck.errors import StoreError
from lamarck.store import Store
from lamarck.store_rows import LARGE
from lamarck.store_tables import STEPS


def test_brief_steps_are_steps_without_what_was_sent(tmp_path):
    sent = {"messages": (Message(role="user"),), "admissible": ("a", "b"), "token_ids": (1,), "logprobs": (-0.1,)}
    call = ToolCall(name="t", ran=False)
    step = Step(index=0, observation="o", action="a", reward=0.5, info={"answer": "x"}, tool_calls=(call,), **sent)
    whole = Trajectory(id="x", run_id="r", task=Task(id="t", goal="g", environment="e"), steps=(step,), stop="loop")
    with Store.open(tmp_path / "s.db") as store:
        store.finish(whole)
        assert store.steps_of("x") == (step,) and set(sent) < LARGE
        [brief] = store.steps_of("x", brief=True)
        assert brief == step.model_copy(update={"messages": (), "admissible": None, "token_ids": (), "logprobs": ()})
        assert brief.tool_calls == (call,) and brief.info == {"answer": "x"}
        # What is read is checked as ever.
        bad = zlib.compress(b'{"index": "none", "observation": 3}')
        store.write("damage", lambda c: c.execute(sa.update(STEPS).values(body=bad)))
        with pytest.raises(StoreError, match="damaged"):
            store.steps_of("x", brief=True)
