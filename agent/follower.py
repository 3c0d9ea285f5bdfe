"""A scripted player with a little luck, whose skill depends on what is recalled.

It needs no weights, so memory can be measured on thousands of games in minutes. Alone it favours actions that name
things of the goal. Given notes in its prompt, it follows the first one, with the things of the note's task exchanged
for those of its own. It knows no game's rules and sees nothing but its prompt.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

from ..core import Message
from .scripted import PickingLLM

GOAL = re.compile(r"[Yy]our task(?: is to)?: (.+)")
NOTE = re.compile(r"^For: (?P<applies>.+)\n(?P<content>(?:(?!^For: |^What failed).*\n?)*)", re.MULTILINE)
LINE = re.compile(r"^\d+\. (.+)$", re.MULTILINE)
WORD = re.compile(r"[^\W\d_]+")
SUMMARY = re.compile(r"^- (.+?): ", re.MULTILINE)
BEWARE = "What failed before"
SLIP = 0.1
"""Share of decisions that are drawn by lot, whatever the notes say."""
PULL = 6.0
"""How much more likely an action becomes with each word of the goal in it."""
NO_THINGS = frozenset(
    re.findall(
        r"\w+",
        "a an the some and then it them in on into to at of with under from two both one same is your put place bring "
        "find take get look examine see hold use heat hot cool cold clean cook light",
    )
)
"""Words of a goal that are not things to look for; what is left is told apart by its order alone."""
SEEKS = ("go ", "open ")
"""How actions begin that look for something."""


Script = tuple[tuple[str, ...], ...]
"""The lines of a recalled note as words, told for the present goal."""


def follower_llm() -> PickingLLM:
    """Return the player that follows its notes."""
    return PickingLLM("follower", follow, score_kind="none")


def follow(messages: Sequence[Message], options: Sequence[str], generator: random.Random) -> int:
    """Choose what the first note does next, else by the words of the goal."""
    first = next((message.content for message in messages if message.role == "user"), "")
    done = SUMMARY.findall(first) + [m.content for m in messages if m.role == "assistant"]
    goal = goal_of(first)
    index = None
    if generator.random() >= SLIP:
        index = next_of_note(notes(first, goal), done, options, generator)
    return index if index is not None else by_words(goal, done, options, generator)


def goal_of(prompt: str) -> str:
    """Return the goal that a prompt names, or nothing."""
    found = GOAL.search(prompt)
    return found[1].strip(" .") if found else ""


def notes(prompt: str, goal: str) -> list[Script]:
    """Return the helpful notes of a prompt that have steps, told for another goal."""
    helpful = prompt.split(BEWARE)[0]
    found = []
    for match in NOTE.finditer(helpful):
        head = match["content"].partition("\n")[0]
        general = head.endswith(":") and not head.startswith("This") and LINE.match(head) is None
        old = re.findall(r"\b[A-H]\b", head) if general else things(match["applies"])
        exchange = dict(zip(dict.fromkeys(word.lower() for word in old), things(goal), strict=False))
        lines = [tuple(exchange.get(word, word) for word in words(line)) for line in LINE.findall(match["content"])]
        if lines:
            found.append(tuple(line for line in lines if line))
    return found


def things(goal: str) -> list[str]:
    """Return the things a goal names, in their order."""
    return [word for word in dict.fromkeys(words(goal)) if word not in NO_THINGS]


def next_of_note(
    known: Sequence[Script], done: Sequence[str], options: Sequence[str], generator: random.Random
) -> int | None:
    """Return the option that continues the first note, or that looks for what its next act needs.

    None where there is no note, or all of it is done.
    """
    if not known:
        return None
    lines = known[0]
    at = 0
    for action in done:
        if at < len(lines) and (ahead := _reached(lines, at, words(action))) is not None:
            at = ahead + 1
    act = next((number for number in range(at, len(lines)) if lines[number][0] != "go"), None)
    if act is None:
        return None
    fitting = [number for number, option in enumerate(options) if _fits(lines[act], words(option))]
    if fitting:
        return generator.choice(fitting)
    wanted = {word for line in lines[at : act + 1] for word in line[1:]}
    weights = [_seeking(option, wanted, done) for option in options]
    return generator.choices(range(len(options)), weights)[0] if any(weights) else None


def _reached(lines: Sequence[Sequence[str]], at: int, action: Sequence[str]) -> int | None:
    """Return which line an action does: the next act, or a move before it."""
    for number in range(at, len(lines)):
        if _fits(lines[number], action):
            return number
        if lines[number][0] != "go":
            return None
    return None


def _seeking(option: str, wanted: set[str], done: Sequence[str]) -> float:
    """Return how likely an option is when something is looked for: new places, best those the note names."""
    if not option.startswith(SEEKS):
        return 0.0
    named = 10.0 if wanted & set(words(option)[1:]) - {"to"} else 1.0
    return named / (1.0 + 4.0 * sum(option == action for action in done)) ** 2


def by_words(goal: str, done: Sequence[str], options: Sequence[str], generator: random.Random) -> int:
    """Draw an option: the more it has of the goal and the less it was tried, the likelier."""
    wanted = {word for word in words(goal) if len(word) > 2}
    weights = []
    for option in options:
        shared = len(wanted & set(words(option)))
        tried = sum(option == action for action in done)
        weights.append((1.0 + PULL * shared) / (1.0 + 2.0 * tried))
    return generator.choices(range(len(options)), weights)[0]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case, without numbers."""
    return [word.lower() for word in WORD.findall(text)]


def _fits(line: Sequence[str], action: Sequence[str]) -> bool:
    """Say whether an action is a line of a note: the same verb and thing; where it is found may differ."""
    if not line or not action or line[0] != action[0]:
        return False
    if line[0] == "take":
        return list(line[:2]) == list(action[:2])
    return list(line) == list(action)
