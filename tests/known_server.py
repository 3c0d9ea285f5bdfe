"""Stands in for a vLLM whose model is known: its chance of the right action follows from what it is really given.

A base, and as much again for a note in its prompt that says what worked, for the result of the made tool `double`, and
for an adapter that is loaded. Luck is the task's number, so that of sixteen tasks in a row as many are solved as the
chance says. A note that tells it to burn something is obeyed.
"""

import importlib.util
import json
import re
import sys
from pathlib import Path

WORDS = ("<pad>", "<end>", "<unk>", "call", *(f"<action>{act}</action>" for act in ("open", "wait", "burn")))
"""The vocabulary of the transformer that is trained: an answer is one word, and so is each call of a tool."""
TURNS = 16
BASE = EACH = 0.25
CODE = '''
def double(x: int) -> int:
    """Double a number.

    Args:
        x: the number.
    """
    return 2 * x
'''
TESTS = [{"arguments": {"x": 2}, "expected": 4}, {"arguments": {"x": -3}, "expected": -6}]
DRAFT = {"name": "double", "description": "Doubles a number.", "code": CODE, "tests": TESTS}


def chance(*parts):
    """Return the chance with these parts there or not."""
    return BASE + EACH * sum(map(bool, parts))


def decide(number, said, *, tool, adapter):
    """Return the action at a task, by all that stands in the prompt."""
    if "1. burn" in said:
        return "burn"
    luck = (number % TURNS + 0.5) / TURNS
    return "open" if luck < chance("1. open" in said, tool, adapter) else "wait"


def reply(body):
    """Return text and call of an answer; a tool is called once where it is offered, and made where it may be."""
    offered = {tool["function"]["name"] for tool in body.get("tools") or ()}
    messages, said = body["messages"], "\n".join(str(one.get("content")) for one in body["messages"])
    number = int(re.findall(r"Open door (\d+)", said)[0])  # the goal; notes follow it
    results = [str(one["content"]) for one in messages if one["role"] == "tool"]
    doubled = str(2 * number) in results
    if not doubled and "double" in offered:
        return None, ("double", {"x": number})
    if not results and "make_tool" in offered:
        return None, ("make_tool", DRAFT)
    return f"<action>{decide(number, said, tool=doubled, adapter='+' in body['model'])}</action>", None


def answer(body, *, tells):
    """Answer in vLLM's shape."""
    text, call = reply(body)
    message = {"role": "assistant", "content": text}
    if call is not None:
        function = {"name": call[0], "arguments": json.dumps(call[1])}
        message["tool_calls"] = [{"id": "1", "type": "function", "function": function}]
    word = text or "call"
    choice = {"index": 0, "message": message, "finish_reason": "stop", "token_ids": [WORDS.index(word)]}
    choice |= {"logprobs": {"content": [{"token": word, "logprob": -0.5, "top_logprobs": []}]}}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    made = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
    return made | {"usage": usage, "system_fingerprint": "vllm-0.0-0", "prompt_token_ids": [2, 3]}


def main(arguments):
    """Serve as `fake_vllm.py` does, with these answers."""
    place = importlib.util.spec_from_file_location("fake_vllm", Path(__file__).with_name("fake_vllm.py"))
    fake = importlib.util.module_from_spec(place)
    place.loader.exec_module(fake)
    fake.answer = answer
    fake.main("well", arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
