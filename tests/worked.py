"""Worked solutions of word problems: those of GSM8K where they are at hand, else made ones, and with a slip."""

import json
import random
import re
from pathlib import Path
from typing import NamedTuple

from judgements import attempt

GSM8K = Path(__file__).parents[2] / "shared/data/qa_code/gsm8k/train.jsonl"
THINGS = ("apples", "stickers", "marbles", "cupcakes")


class Worked(NamedTuple):
    """A problem with a right solution."""

    question: str
    working: str
    answer: str


def solutions(limit=None, seed=0):
    """Return worked solutions, drawn by lot where there is a limit."""
    if not GSM8K.is_file():
        return [made(random.Random(f"{seed}/{n}")) for n in range(limit or 400)]
    rows = [json.loads(line) for line in GSM8K.read_text(encoding="utf-8").splitlines()]
    found = [of_gsm8k(row) for row in rows]
    return random.Random(seed).sample(found, limit) if limit is not None else found


def of_gsm8k(row):
    """Return a row without the calculator's annotations: `48/2 = <<48/2=24>>24` is `48/2 = 24`."""
    working, _, answer = row["answer"].partition("####")
    return Worked(row["question"], re.sub(r"<<[^<>]*>>", "", working).strip(), answer.strip())


def made(draw):
    """Return a problem of ours, written in the ways in which people write them."""
    thing, boxes, inside, price = draw.choice(THINGS), draw.randint(3, 40), draw.randint(2, 24), draw.randint(2, 9)
    every, share = boxes * inside, draw.choice((10, 20, 25, 50))
    whole = every * price
    left = whole - whole * share / 100
    goal = f"Ann has {boxes} boxes of {inside} {thing} at ${price} each. With {share}% off, what do they cost?"
    lines = [
        draw.choice(
            (
                f"There are {boxes} x {inside} = {every} {thing}.",
                f"She has {boxes} boxes * {inside} {thing}/box = {every} {thing}",
            )
        ),
        f"They cost {every}*${price} = {every} * {price}.00 = ${whole:,}.",
        f"That's {share}/100 = {share}%, so {draw.choice((f'{share}% of {whole}', f'{whole} * {share}%'))}"
        f" = ${whole * share / 100:g} less.",
        f"A third is {whole}/3 = {whole / 3:.2f}; she pays ${whole} - ${whole * share / 100:g} = ${left:g}.",
    ]
    return Worked(goal, "\n".join(lines), f"{left:g}")


def slipped(one, draw):
    """Return a solution with one digit of one number of its working changed."""
    digits = [match.start() for match in re.finditer(r"[0-9]", one.working)]
    at = draw.choice(digits)
    other = draw.choice([digit for digit in "123456789" if digit != one.working[at]])
    return one._replace(working=one.working[:at] + other + one.working[at + 1 :])


def attempt_at(one):
    """Return a solution as an attempt: the working, and then the answer."""
    return attempt(None, one.answer, goal=one.question, said=(one.working, ""))
