"""Semi-online replay of expert attempts: where it stops, what it keeps, what it is worth."""

import asyncio
import math
import random

import pytest
from lamarck.core import Message, Reply, Step, Task, Trajectory
from lamarck.errors import TrainingError
from lamarck.training.credit.episode import Episode, episode_of
from lamarck.training.rows import step_rows
from lamarck.training.semi_online import Acted, SemiOnline, matched_returns, prompt_with, reach, replay

WAY = ("open door", "take key", "go left", "look")


def expert(way=WAY):
    steps, messages = [], [Message(role="system", content="act"), Message(role="user", content="seen 0")]
    for n, action in enumerate(way):
        steps.append(
            Step(
                index=n, observation=f"seen {n}", messages=tuple(messages), completion=f"expert: {action}",
                action=action, admissible=(*way, "wait"),
            )
        )  # fmt: skip
        messages += [
            Message(role="assistant", content=f"expert: {action}"), Message(role="user", content=f"seen {n + 1}"),
        ]  # fmt: skip
    task = Task(id="x", goal="", environment="e")
    return Trajectory(id="e", run_id="r", task=task, steps=tuple(steps), stop="terminated", reward=1.0, success=True)


def scripted(actions):
    """Return a policy that answers so and notes what it was sent."""
    sent, left = [], list(actions)

    async def act(messages, admissible):
        sent.append([message.content for message in messages])
        action = left.pop(0)
        ids = (7, len(sent))
        reply = Reply(text=f"I {action}", prompt_token_ids=(1, 2), token_ids=ids, logprobs=(-1.0, -2.0), model="m")
        return Acted(action, reply)

    act.sent = sent
    return act


def walk(actions, **options):
    policy = scripted(actions)
    return asyncio.run(replay(expert(), policy, **options)), policy.sent


def test_without_patches_the_first_mismatch_ends_it():
    found, sent = walk(["OPEN  door", "wait"])
    assert [one.action for one in found.steps] == ["OPEN  door", "wait"] and found.reward == 1.0
    assert found.stop == "truncated" and found.steps[-1].truncated and not found.steps[-1].terminated
    assert found.verdict.step_scores == (1.0, -1.0) and found.score == 0.25 and not found.success
    # What the model said stays in the history in the place of what the expert said.
    assert sent[1] == ["act", "seen 0", "I OPEN  door", "seen 1"]


def test_patches_put_the_experts_answer_in_the_history():
    found, sent = walk(["open door", "wait", "go left", "wait"], patches=1)
    assert [one.info["matched"] for one in found.steps] == [True, False, True, False]
    assert sent[3] == ["act", "seen 0", "I open door", "seen 1", "expert: take key", "seen 2", "I go left", "seen 3"]
    assert found.stop == "terminated" and found.reward == 2.0
    ended, _ = walk(["wait", "wait"], patches=1)
    assert len(ended.steps) == 2 and ended.stop == "truncated"


def test_without_a_limit_every_step_is_visited():
    found, sent = walk(["wait"] * 4, patches=-1)
    assert len(found.steps) == 4 == len(sent) and found.reward == 0.0
    assert sent[3][2::2] == ["expert: open door", "expert: take key", "expert: go left"]


def test_what_was_sampled_can_be_trained_on():
    found, _ = walk(["open door", "wait", "go left", "look"], patches=1)
    rows = step_rows(found)
    assert [one.completion_ids for one in rows] == [(7, 1), (7, 2), (7, 3), (7, 4)] and rows[1].on_record
    episode = episode_of(found)
    assert episode.labels == (1.0, -1.0, 1.0, 1.0) and episode.rewards == (1.0, 0.0, 1.0, 1.0)
    other, _ = walk(["open door", "wait"], sample=1)
    assert other.id != found.id and other.group_id == found.group_id


def test_only_the_latest_turns_are_in_the_prompt():
    shown = (Message(role="user", content="before: - open door"), Message(role="assistant", content="e"))
    assert [one.content for one in prompt_with(shown, ["first", "second"])][1] == "second"
    assert prompt_with(shown, []) == shown


def test_returns_by_hand():
    # R_3 = 1, R_2 = 1 + .5; the mismatch counts for itself, and R_0 does not reach over it.
    assert matched_returns((1.0, 0.2, 1.0, 1.0), (True, False, True, True), 0.5) == (1.0, 0.2, 1.5, 1.0)
    assert matched_returns((1.0, 1.0, 1.0), (True,) * 3, 0.5) == (1.75, 1.5, 1.0)


def test_advantages_by_hand():
    one = Episode("a", (1.0, 1.0), labels=(1.0, 1.0))
    two = Episode("b", (1.0, 0.0), labels=(1.0, -1.0))
    three = Episode("c", (0.0,), labels=(-1.0,))
    # R at step 0: 1.5, 1, 0; at step 1: 1, 0. Totals 2, 1, 0 with mean 1 and deviation 1.
    mean, std = 2.5 / 3, math.sqrt(((1.5 - 2.5 / 3) ** 2 + (1 - 2.5 / 3) ** 2 + (2.5 / 3) ** 2) / 2)
    [found] = SemiOnline(weight=0.5, eps=0.0).advantages([[one, two, three]])
    assert found[0] == pytest.approx(((1.5 - mean) / std + 0.5, 0.5 / math.sqrt(0.5) + 0.5))
    assert found[1] == pytest.approx(((1 - mean) / std, -0.5 / math.sqrt(0.5)))
    assert found[2] == pytest.approx((-mean / std - 0.5,))
    # One attempt reached the last step alone.
    [alone] = SemiOnline(weight=0.0).advantages([[one, three]])
    assert alone[0][1] == 0.0
    with pytest.raises(TrainingError, match="episode a does not say"):
        SemiOnline().advantages([[Episode("a", (1.0,))]])


def test_reach_by_hand():
    attempts = [walk(["open door", "wait"])[0], walk(list(WAY))[0], walk(["wait"] * 4, patches=-1)[0]]
    assert reach(attempts) == pytest.approx((1.25 / 3, 1 / 3))
    assert reach(attempts).score == pytest.approx((1.25 / 3 + 1 / 3) / 2)
    with pytest.raises(TrainingError, match="no semi-online replay"):
        reach([expert()])
    with pytest.raises(TrainingError, match="no semi-online attempt"):
        reach([])


def test_what_cannot_be_replayed_is_told():
    bare = expert().model_copy(update={"steps": (Step(index=0, observation="o"),)})
    with pytest.raises(TrainingError, match="expert attempt e has no steps with prompts"):
        asyncio.run(replay(bare, scripted([])))


def test_reach_tells_success_in_the_world_better_than_accuracy_of_steps():
    """Policies that differ in how well they hold on after their own words are judged alike with the expert's words."""
    reached, accuracy, success = [], [], []
    for drift, right in ((0.0, 0.75), (0.1, 0.8), (0.35, 0.85), (0.5, 0.9), (0.6, 0.95)):
        draw = random.Random(4)

        def policy(right=right, drift=drift, draw=draw):
            async def act(messages, admissible):
                # The further its own words stand in the prompt, the likelier it loses the thread.
                own = sum(message.content.startswith("I ") for message in messages)
                step = sum(message.role == "assistant" for message in messages)
                good = draw.random() < right * (1 - drift) ** own
                action = WAY[step] if good else "wait"
                return Acted(action, Reply(text=f"I {action}"))

            return act

        attempts = [asyncio.run(replay(expert(), policy(), sample=n)) for n in range(150)]
        reached.append(reach(attempts).score)
        accuracy.append(right)
        # In the world a wrong action ends it, and its own words are all that stands in the prompt.
        success.append(sum(world(right, drift, draw) for _ in range(1000)) / 1000)
    assert correlation(reached, success) >= 0.9 > correlation(accuracy, success)


def world(right, drift, draw):
    return all(draw.random() < right * (1 - drift) ** step for step in range(len(WAY)))


def correlation(xs, ys):
    mx, my = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - mx) * (y - my) for x, y in zip(xs, ys, strict=True))
    return above / math.sqrt(sum((x - mx) ** 2 for x in xs) * sum((y - my) ** 2 for y in ys))
