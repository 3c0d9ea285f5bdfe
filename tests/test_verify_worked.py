"""Recomputing on worked solutions: how often it calls a right one wrong, and how often it finds a slip."""

import random

import pytest
from lamarck.agent.verifiers.recompute import RecomputeVerifier
from lamarck.agent.verifiers.verifier import says_something
from worked import GSM8K, attempt_at, slipped, solutions

SURE = 0.9


async def measured(limit, seed=0):
    """Return counts: solutions, judged ones, those called wrong surely or for the origin of a number; slips found."""
    verifier, draw = RecomputeVerifier(), random.Random(f"slips/{seed}")
    counts = dict.fromkeys(("all", "judged", "wrong", "strange", "slips", "found", "found or strange"), 0)
    for one in solutions(limit, seed):
        counts["all"] += 1
        said = await verifier.verify(attempt_at(one))
        if not says_something(said):
            continue
        counts["judged"] += 1
        counts["wrong"] += not said.passed and said.confidence > SURE
        counts["strange"] += not said.passed and said.confidence <= SURE
        if not said.passed:
            continue
        # Of what was passed as it is, so that whatever is flagged now is flagged for the slip.
        told = await verifier.verify(attempt_at(slipped(one, draw)))
        counts["slips"] += 1
        counts["found"] += not told.passed and told.confidence > SURE
        counts["found or strange"] += not told.passed
    return counts


async def test_right_solutions_are_passed_and_slips_are_found():
    counts = await measured(300)
    assert counts["judged"] >= 0.9 * counts["all"]
    assert counts["wrong"] <= 0.03 * counts["judged"] and counts["strange"] <= 0.2 * counts["judged"]
    assert counts["found"] >= 0.6 * counts["slips"]


@pytest.mark.full
@pytest.mark.skipif(not GSM8K.is_file(), reason="benchmark data is not here")
async def test_all_of_gsm8k():
    counts = await measured(None)
    print(counts)
    assert counts["all"] == 7473 and counts["wrong"] <= 0.015 * counts["judged"]
