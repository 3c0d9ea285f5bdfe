"""What is trained on."""

from lamarck.core import Message, Round, Step, ToolCall
from lamarck.training.segments import segments, trained_messages


def test_results_of_tools_are_never_trained_on():
    first = Round(
        completion="let me see", calls=("a",), prompt_token_ids=(1, 2), token_ids=(3, 4), logprobs=(-1.0, -2.0)
    )
    # The second prompt holds the first answer and, as 90 91, what the tool said.
    step = Step(
        index=0,
        observation="o",
        rounds=(first,),
        prompt_token_ids=(1, 2, 3, 4, 90, 91),
        token_ids=(5,),
        logprobs=(-0.5,),
        messages=(
            Message(role="system", content="s"),
            Message(role="assistant", tool_calls=(ToolCall(id="call_0", name="act"),)),
            Message(role="tool", content="earlier", tool_call_id="call_0"),
            Message(role="assistant", content="let me see", tool_calls=(ToolCall(id="a", name="python"),)),
            Message(role="tool", content="90 91", tool_call_id="a"),
        ),
    )
    one, two = segments(step)
    assert one.input_ids == (1, 2, 3, 4) and one.loss_mask == (0, 0, 1, 1)
    assert two.input_ids == (1, 2, 3, 4, 90, 91, 5) and two.loss_mask == (0, 0, 0, 0, 0, 0, 1)
    trained = [t for s in (one, two) for t, m in zip(s.input_ids, s.loss_mask, strict=True) if m]
    assert trained == [3, 4, 5]
    assert trained_messages(step) == (False, False, False, True, False)


def test_an_earlier_action_with_the_id_of_a_call_is_not_trained_on_again():
    def calling(name):
        return Message(role="assistant", tool_calls=(ToolCall(id="call_0", name=name),))

    read = Message(role="tool", tool_call_id="call_0")
    messages = (Message(role="user"), calling("act"), read, calling("python"), read, calling("python"), read)
    step = Step(index=1, observation="o", messages=messages, rounds=(Round(calls=("call_0",)),) * 2)
    assert trained_messages(step) == (False, False, False, True, False, True, False)


def test_a_server_that_gives_no_tokens_gives_no_segments():
    assert segments(Step(index=0, observation="o", completion="x", rounds=(Round(completion="y"),))) == []
