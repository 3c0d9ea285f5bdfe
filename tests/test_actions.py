"""Whatever a model answers is read or classified; nothing crashes."""

import random
import string

import pytest
from lamarck.agent.actions import clean, match_admissible, parse_action

CAN = ["go to shelf 1", "go to shelf 10", "take mug 1 from shelf 1", "move mug 1 to desk 2", "look"]


@pytest.mark.parametrize(
    "text",
    [
        "<think>hm</think><action>take mug 1 from shelf 1</action>",
        "<ACTION> Take the mug 1 from the shelf 1. </ACTION>",
        "<action>look</action> no: <action>take mug 1 from shelf 1</action>",
        "<think><action>look</action></think><action>take mug 1 from shelf 1</action>",
        "<action>take mug 1 from shelf 1",
        "<action>\n```\ntake mug 1 from shelf 1\n```\n</action>",
        "<action>&quot;take mug 1 from shelf 1&quot;</action>",
        "Thought: the mug.\nAction: take mug 1 from shelf 1",
        "**Action:** take mug 1 from shelf 1",
        "> take mug 1 from shelf 1.",
        "\u200btake\u00a0mug 1 from shelf 1",
    ],
)
def test_many_ways_to_say_one_thing(text):
    parsed = parse_action(text, CAN)
    assert (parsed.action, parsed.validity) == ("take mug 1 from shelf 1", "valid")


def test_the_two_wordings_of_putting_down_meet():
    assert match_admissible("put mug 1 in/on desk 2", CAN) == "move mug 1 to desk 2"
    assert match_admissible("put the mug 1 on desk 2", CAN) == "move mug 1 to desk 2"
    assert match_admissible("move mug 1 to desk 2", ["put mug 1 in/on desk 2"]) == "put mug 1 in/on desk 2"


def test_numbers_are_not_confused_and_ties_are_no_match():
    assert match_admissible("go to shelf 1", CAN) == "go to shelf 1"
    assert match_admissible("go to shelf", CAN) is None
    assert match_admissible("LOOK", ["Look", "look "]) is None


def test_taxonomy():
    assert parse_action("I would rather not.", CAN).validity == "unparseable"
    assert parse_action("", CAN).validity == "unparseable"
    assert parse_action("<action></action>", CAN).validity == "unparseable"
    dance = parse_action("<think>fun</think><action>dance</action>", CAN)
    assert (dance.action, dance.validity, dance.thought) == ("dance", "not_admissible", "fun")
    assert parse_action("<action>dance</action>", None).validity == "valid"
    assert parse_action(f"<action>{'x' * 400}</action>", None).validity == "unparseable"


SHOP = ["search[<words>]", "search[red mug]", "click[back to search]"]


def test_an_open_action_stands_for_all_of_its_form():
    assert match_admissible("search[a blue kettle]", SHOP) == "search[a blue kettle]"
    assert match_admissible("Search[Red kettle]", SHOP) == "search[Red kettle]"
    assert match_admissible("SEARCH[red mug]", SHOP) == "search[red mug]"
    assert match_admissible("search[]", SHOP) is None
    assert match_admissible("search[  ]", SHOP) is None
    assert match_admissible("search[<words>]", SHOP) is None
    assert match_admissible("click[buy now]", SHOP) is None
    assert match_admissible("please search[kettle]", SHOP) is None
    assert match_admissible("Put 3 AND 4", ["put <number> and <number>"]) == "put 3 and 4"
    assert match_admissible("put 3 and ", ["put <number> and <number>"]) is None


CODE = "def f(x):\n    return x < 1 and '&lt;b>' in y"


@pytest.mark.parametrize(
    "text",
    [
        f"<think>easy</think><action>\n{CODE}\n</action>",
        f"<action>```python\n{CODE}\n```</action>",
        f"<action>\n```\n{CODE}\n```\n</action>",
        f"<action>```python\n{CODE}",
        f"Here it is:\n```python\n{CODE}\n```\nUse it so:\n```python\nf(1)\n```",
        f"<think>```not this, though it is very long and comes first, {'x' * 90}```</think>\n```\n{CODE}\n```",
        f"Thought: easy\nAction:\n```py\n{CODE}\n```",
    ],
)
def test_code_keeps_its_lines_where_code_may_be_given(text):
    parsed = parse_action(text, ["<code>", "look"])
    assert (parsed.action, parsed.validity) == (CODE, "valid")


def test_code_and_what_is_none():
    assert parse_action("<action>```python\npass\n```</action>", ["<code>"]).action == "pass"
    assert parse_action("<action>x = 1\ny = 2</action>", ["look"]).action == "x = 1"
    assert parse_action("<action>x = 1\ny = 2</action>", ["<words>"]).action == "x = 1"
    assert parse_action("<action>look</action>", ["<code>", "look"]).action == "look"
    assert parse_action("<action>run x = 1\ny = 2</action>", ["run <code>"]).validity == "valid"
    assert parse_action("<action>x = 1\ny = 2</action>", ["run <code>"]).validity == "not_admissible"
    assert parse_action("<action><code></action>", ["<code>"]).validity == "not_admissible"
    assert parse_action("I would rather not.", ["<code>"]).validity == "unparseable"
    assert parse_action("<action>```python\n```</action>", ["<code>"]).validity == "unparseable"
    assert parse_action(f"<action>{'x' * 20_001}</action>", ["<code>"]).validity == "unparseable"
    assert parse_action(f"<action>{'x' * 20_000}</action>", ["<code>"]).validity == "valid"


def test_cleaning():
    assert clean(" > 'go to shelf 1'. ") == "go to shelf 1"
    assert clean("```\nlook\n```") == "look"
    assert clean("") == ""


def test_five_thousand_malformed_answers():
    generator = random.Random(11)
    parts = ["<action>", "</action>", "<think>", "</think>", "Action:", "look", "go to shelf 1", "\n", "```", "<", ">"]
    parts += ["{", "}", '"', "\x00", "\u200b", "💥", "&lt;", "< / action >", "<<action>>", "a" * 50, "take mug 1"]
    seen = set()
    for _ in range(5000):
        text = "".join(generator.choices(parts, k=generator.randrange(12)))
        text += "".join(generator.choices(string.printable, k=generator.randrange(20)))
        parsed = parse_action(text, generator.choice([CAN, [], None]))
        assert parsed.validity in ("valid", "unparseable", "not_admissible")
        assert (parsed.action is None) == (parsed.validity == "unparseable")
        seen.add(parsed.validity)
    assert seen == {"valid", "unparseable", "not_admissible"}


@pytest.mark.parametrize("piece", ["<action>", "<think>", "Action: ", "<", " ", "> ", "\n", "put a in b ", "&"])
def test_a_megabyte_is_read_in_no_time(piece):
    parsed = parse_action(piece * (1_000_000 // len(piece)), CAN)
    assert parsed.validity in ("unparseable", "not_admissible")
