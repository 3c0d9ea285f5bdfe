"""Rows: the ids as sampled, nothing twice, nothing that was read is trained on."""

import random

import pytest
from lamarck.core import Message, Round, Step, Task, Trajectory
from lamarck.errors import TrainingError
from lamarck.training.rows import episode_rows, step_rows, text_rows


def trajectory(*steps):
    return Trajectory(
        id="t", run_id="r", group_id="g", task=Task(id="x", goal="", environment="e"), steps=steps, stop="terminated"
    )


def step(index, prompt, tokens, **fields):
    known = {"logprobs": tuple(-0.5 for _ in tokens), "model": "m", "policy_version": "1"}
    return Step(index=index, observation="o", prompt_token_ids=prompt, token_ids=tokens, **{**known, **fields})


GOES_ON = (step(0, (1, 2), (3, 4)), step(1, (1, 2, 3, 4, 9), (5,)))


def test_one_row_per_step():
    first, second = step_rows(trajectory(*GOES_ON))
    assert (first.prompt_ids, first.completion_ids, first.steps) == ((1, 2), (3, 4), (0, 0))
    assert (second.prompt_ids, second.completion_ids, second.steps) == ((1, 2, 3, 4, 9), (5,), (1,))
    assert second.logprobs == (-0.5,) and second.loss_mask == (1,) and second.on_record
    assert (second.trajectory_id, second.group_id, second.model, second.policy_version) == ("t", "g", "m", "1")


def test_one_row_per_episode():
    [row] = episode_rows(trajectory(*GOES_ON))
    assert row.prompt_ids == (1, 2)
    assert row.completion_ids == (3, 4, 9, 5)
    assert row.loss_mask == (1, 1, 0, 1)
    assert row.logprobs == (-0.5, -0.5, 0.0, -0.5)
    assert row.steps == (0, 0, 1, 1)
    assert row.advantages((2.0, -1.0)) == (2.0, 2.0, 0.0, -1.0)


@pytest.mark.parametrize(
    "second",
    [
        step(1, (1, 7, 3, 4, 9), (5,)),  # the prompt was rebuilt
        step(1, (1, 2, 3), (5,)),  # and shortened
        step(1, (1, 2, 3, 4, 9), (5,), policy_version="2"),
        step(1, (1, 2, 3, 4, 9), (5,), logprobs=()),
    ],
)
def test_what_does_not_go_on_begins_a_row(second):
    rows = episode_rows(trajectory(GOES_ON[0], second))
    assert [row.completion_ids for row in rows] == [(3, 4), (5,)]


def test_rounds_of_tools_are_masked_like_observations():
    asked = Round(prompt_token_ids=(1,), token_ids=(2,), logprobs=(-1.0,))
    acted = step(0, (1, 2, 8, 8), (3,), rounds=(asked,))
    assert [row.completion_ids for row in step_rows(trajectory(acted))] == [(2,), (3,)]
    [row] = episode_rows(trajectory(acted))
    assert (row.completion_ids, row.loss_mask) == ((2, 8, 8, 3), (1, 0, 0, 1))


def test_random_episodes_lose_and_double_nothing():
    draw = random.Random(4)
    for _ in range(200):
        seen, steps = tuple(draw.choices(range(9), k=3)), []
        for index in range(draw.randrange(1, 8)):
            if draw.random() < 0.3:
                seen = seen[draw.randrange(3) :] or (1,)
            answer = tuple(draw.choices(range(9), k=draw.randrange(1, 4)))
            steps.append(step(index, seen, answer))
            seen = (*seen, *answer, *draw.choices(range(9), k=draw.randrange(3)))
        rows = episode_rows(trajectory(*steps))
        trained = [
            (at, token)
            for row in rows
            for at, token, known in zip(row.steps, row.completion_ids, row.loss_mask, strict=True)
            if known
        ]
        assert trained == [(s.index, token) for s in steps for token in s.token_ids]
        for row in rows:
            assert len(row.completion_ids) == len(row.loss_mask) == len(row.logprobs) == len(row.steps)
            last = max(row.steps)
            assert row.prompt_ids + row.completion_ids == steps[last].prompt_token_ids + steps[last].token_ids


def test_a_step_without_ids_gives_no_row_and_wrong_lengths_are_said():
    assert step_rows(trajectory(step(0, (), (), completion="look"))) == []
    with pytest.raises(TrainingError, match="step 0 of trajectory t has 1 log-probabilities for 2 tokens"):
        step_rows(trajectory(step(0, (1,), (2, 3), logprobs=(-1.0,))))


class Letters:
    """A tokenizer whose ids are letters."""

    eos_token_id = 0

    def apply_chat_template(self, conversation, **keywords):
        assert keywords == {"add_generation_prompt": True, "tokenize": True, "return_dict": False}
        return [ord(letter) for message in conversation for letter in f"{message['role'][0]}:{message['content']};"]

    def encode(self, text, add_special_tokens=True):
        return [ord(letter) for letter in text]


def test_text_is_tokenised_once_and_has_no_log_probabilities():
    said = step(0, (), (), messages=(Message(role="user", content="hi"),), completion="go", logprobs=())
    acted = step(1, (), (), messages=(Message(role="user", content="on"),), action="up", logprobs=())
    silent = step(2, (), (), logprobs=())
    first, second = text_rows(trajectory(said, acted, silent), Letters())
    assert "".join(map(chr, first.prompt_ids)) == "u:hi;" and first.completion_ids == (ord("g"), ord("o"), 0)
    assert not first.on_record and first.loss_mask == (1, 1, 1)
    assert second.completion_ids[:2] == (ord("u"), ord("p")) and second.steps == (1, 1, 1)
    with pytest.raises(TrainingError, match="never tokenised again"):
        text_rows(trajectory(*GOES_ON), Letters())
