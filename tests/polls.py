"""Questions whose answers are drawn from known distributions, so that the true mode of each is known."""

import random
from collections import Counter

from lamarck.agent.allocation import allocate

EASY, MIDDLE, HARD = (0.92, 0.04, 0.03, 0.01), (0.65, 0.2, 0.1, 0.05), (0.42, 0.28, 0.2, 0.1)
"""Shares of the answers; the first one is the mode."""


def questions(number, seed):
    """Return that many streams of answers, of which a tenth are hard and a fifth between: answer 0 is always right."""
    draw = random.Random(f"questions {seed}")
    kinds = [(EASY, MIDDLE, HARD)[draw.choices((0, 1, 2), (7, 2, 1))[0]] for _ in range(number)]
    return [answers(shares, draw.random()) for shares in kinds]


def answers(shares, seed):
    draw = random.Random(seed)
    found = []

    def answer(number):
        while len(found) <= number:
            found.append(str(draw.choices(range(len(shares)), shares)[0]))
        return found[number]

    return answer


def poll(streams, budget, **how):
    """Ask until nothing is left to be asked; return the votes of each question."""
    votes = {str(n): Counter() for n in range(len(streams))}
    while chosen := allocate(votes, budget, **how):
        for name in chosen:
            votes[name][streams[int(name)](votes[name].total())] += 1
    return votes


def right(votes):
    """Return the share of questions whose first answer is the true one; a tie of first ones is broken by lot."""
    total = 0.0
    for one in votes.values():
        most = max(one.values(), default=0)
        firsts = [answer for answer, count in one.items() if count == most]
        total += ("0" in firsts) / max(1, len(firsts))
    return total / len(votes)
