"""Splicing a bad attempt and a good one, and what training makes of it."""

import re

import chats
import pytest
from lamarck.agent.hosting import LocalPool
from lamarck.agent.prompting import Prompts
from lamarck.agent.verifiers.splicing import REVISION, shared, splice
from lamarck.config import SolverConfig
from lamarck.core import Step, Task, Trajectory
from lamarck.training.rows import text_rows
from worlds import Corridor, Walks

TASK = Task(id="walks/0", goal="walk to the end", environment="walks")
OFFERED = ("left", "right", "look")


async def walked(*actions, ident, length=3, thoughts=None):
    """Return an attempt at the corridor as it would be stored."""
    world = Corridor(length)
    text, _ = world.reset()
    steps, won = [], False
    for n, action in enumerate(actions):
        thought = (thoughts or {}).get(n)
        said = f"<think>{thought}</think>\n<action>{action}</action>" if thought else f"<action>{action}</action>"
        steps.append(
            Step(
                index=n, observation=text, admissible=OFFERED, completion=said, action=action,
                token_ids=(1, 2), logprobs=(-1.0, -1.0),
            )
        )  # fmt: skip
        text, _, won, _, _ = world.step(action)
    return Trajectory(
        id=ident, run_id="run", task=TASK, steps=tuple(steps), final_observation=text, success=won,
        stop="terminated" if won else "max_steps",
    )  # fmt: skip


async def pair():
    bad = await walked("right", "right", "left", "left", "left", ident="bad")
    good = await walked("right", "right", "right", ident="good", thoughts={2: "Go on."})
    return bad, good


async def test_a_splice_by_hand():
    bad, good = await pair()
    assert shared(bad, good) == 2
    found = await splice(bad, good, 2, prompts=Prompts(), solver=SolverConfig(protocol="text"))
    assert found.holds is None
    [step] = found.trajectory.steps
    # After the error one stands at 1, not at 2: the good way no longer ends the walk, and nobody has looked.
    assert step.observation == "You are at 1 of 3." and step.action == "right"
    assert step.completion == f"<think>{REVISION}</think>\n<action>right</action>"
    said = [message.content for message in step.messages]
    assert sum("You are at" in text for text in said) == 4 and "left" in said[-2] and "right" in said[2]
    assert not step.token_ids and not step.logprobs
    assert found.trajectory.meta["spliced"] == {
        **{"bad": "bad", "good": "good", "error_at": 2, "common": 2, "replayed": False}
    }
    assert (found.trajectory.parent, found.trajectory.task) == ("bad", TASK)


async def test_carried_out_it_shows_whether_it_holds():
    bad, good = await pair()
    known = {"prompts": Prompts(), "solver": SolverConfig(protocol="text")}
    pool = LocalPool(Walks(length=3), "inline", size=1, timeout_s=5.0)
    async with pool.lease() as world:
        fails = await splice(bad, good, 2, world=world, **known)
        assert fails.holds is False and fails.trajectory.success is False
        longer = await walked("right", "right", "look", "right", "right", "right", ident="longer")
        worse = await walked("right", "right", "left", "left", ident="worse")
        holds = await splice(worse, longer, 2, world=world, **known)
        assert holds.holds is True and holds.trajectory.final_observation == "You are at 3 of 3."
        assert [step.observation for step in holds.trajectory.steps] == [
            *("You are at 1 of 3.", "Nothing happens.", "You are at 2 of 3.")
        ]
        assert holds.trajectory.steps[-1].terminated and holds.trajectory.reward == 1.0
        # Where the world shows something else than the bad attempt saw, there is nothing to splice.
        other = bad.model_copy(update={"steps": (bad.steps[0].model_copy(update={"observation": "x"}), *bad.steps[1:])})
        changed = good.model_copy(update={"steps": (other.steps[0], *good.steps[1:])})
        assert await splice(other, changed, 2, world=world, **known) is None
    await pool.close()


async def test_a_thought_is_a_step_of_its_own_where_there_are_thoughts():
    bad, good = await pair()
    found = await splice(bad, good, 2, prompts=Prompts(), solver=SolverConfig(protocol="react"), thought="Back.")
    first, second = found.trajectory.steps
    assert (first.completion, first.action, second.action) == ("Thought: Back.", None, "right")
    assert second.messages[-2].content == "Thought: Back." and second.messages[-1].content.startswith("OK.")
    assert first.observation == second.observation == "You are at 1 of 3."


async def test_what_cannot_be_spliced():
    bad, good = await pair()
    known = {"prompts": Prompts(), "solver": SolverConfig(protocol="text")}
    assert await splice(bad, good, 1, **known) is None  # the error is on the way that both went
    assert await splice(bad, good, 5, **known) is None  # there is no such step
    assert await splice(bad, await walked("right", "right", ident="short"), 2, **known) is None
    other = good.model_copy(update={"task": TASK.model_copy(update={"id": "other"})})
    assert await splice(bad, other, 2, **known) is None


@pytest.mark.parametrize("protocol", ["text", "react", "choice"])
async def test_training_teaches_the_way_back_and_never_the_error(protocol):
    bad = await walked("right", "left", "left", ident="bad")
    good = await walked("right", "right", "right", ident="good")
    found = await splice(bad, good, 1, prompts=Prompts(), solver=SolverConfig(protocol=protocol))
    tokenizer = chats.tokenizer()
    rows = text_rows(found.trajectory, tokenizer)
    taught = [
        tokenizer.decode([t for t, known in zip(row.completion_ids, row.loss_mask, strict=True) if known])
        for row in rows
    ]
    assert len(rows) == len(found.trajectory.steps) and not any("left" in text for text in taught)
    assert sum("right" in text for text in taught) == 2 and not any(row.on_record for row in rows)
    assert re.search("left", tokenizer.decode(rows[0].prompt_ids))
