"""How often a verifier is right: every figure by hand, and what its word is worth for it."""

import json
import math

import pytest
from judgements import Says, attempt, verdict
from lamarck.agent.verifiers.agreement import (
    Case,
    Share,
    agreement,
    case_of,
    difference,
    reward_settings,
    wilson,
)
from lamarck.agent.verifiers.table import Parts, load_verifier
from lamarck.agent.verifiers.tally import Tally
from lamarck.agent.verifiers.trusted import TrustedVerifier, read_weight
from lamarck.agent.verifiers.verifier import says_something, unjudged
from lamarck.agent.verifiers.vote import VoteVerifier
from lamarck.errors import ConfigError
from lamarck.evals import metrics
from lamarck.judged import abstained, abstention
from lamarck.training.rewards.named import parts, summed


def cases(*groups):
    """Return cases of (count, passed, truth, confidence), in this order of time."""
    found = []
    for count, passed, truth, confidence in groups:
        found += [Case(passed, truth, confidence, at=len(found) + n) for n in range(count)]
    return found


def test_the_rates_by_hand():
    # 40 right: 36 passed; 60 wrong: 15 passed.
    known = agreement(
        "v",
        cases((36, True, True, 0.9), (4, False, True, 0.9), (15, True, False, 0.9), (45, False, False, 0.9)),
        unjudged=3,
    )
    assert (known.n, known.unjudged, known.accuracy.value) == (100, 3, 0.81)
    assert (known.accepts_wrong.value, known.accepts_wrong.n, known.rejects_right.value) == (0.25, 60, 0.1)
    assert known.youden == pytest.approx(0.65) and known.weight == known.youden
    assert (known.accuracy.low, known.accuracy.high) == wilson(81, 100)
    assert known.youden_low < 0.65 < known.youden_high
    # All say 0.9, 81 of 100 are right: one bin. (81 * 0.01 + 19 * 0.81) / 100.
    assert known.ece == pytest.approx(0.09) and known.brier == pytest.approx(0.1620)
    assert len(known.bins) == 1 and (known.bins[0].n, known.bins[0].right) == (100, 0.81)


@pytest.mark.parametrize(("count", "n"), [(0, 0), (0, 10), (3, 10), (10, 10), (81, 100)])
def test_wilson_as_in_evaluation(count, n):
    assert wilson(count, n) == pytest.approx(metrics.wilson(count, n))


def test_the_interval_of_a_difference():
    # Newcombe 1998, table II, case (a): 56/70 - 48/80 = 0.2, (0.0524, 0.3339).
    found = difference(Share.of(56, 70), Share.of(48, 80))
    assert found == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_calibration_by_hand():
    known = agreement("v", cases((2, True, True, 1.0), (2, True, False, 0.6), (2, True, True, 0.6)))
    # Bins: [0.6, 0.7) holds four, half of them right; [0.9, 1] two, both right: 4/6 * 0.1.
    assert [(one.low, one.n, one.confidence, one.right) for one in known.bins] == [
        (pytest.approx(0.6), 4, pytest.approx(0.6), 0.5),
        (pytest.approx(0.9), 2, 1.0, 1.0),
    ]
    assert known.ece == pytest.approx(4 / 6 * 0.1)
    assert known.brier == pytest.approx((2 * 0.36 + 2 * 0.16) / 6)


def test_chance_and_worse_have_no_say():
    chance = agreement(
        "v", cases((25, True, True, 1.0), (25, False, True, 1.0), (25, True, False, 1.0), (25, False, False, 1.0))
    )
    assert chance.youden == 0.0 and chance.weight == 0.0 and "no better than chance" in chance.why
    lies = agreement("v", cases((30, False, True, 1.0), (30, True, False, 1.0)))
    assert lies.youden == -1.0 and lies.weight == 0.0
    for how in ("backward", "forward"):
        assert reward_settings(chance, how) is None and reward_settings(lies, how) is None


def test_little_evidence_concludes_nothing():
    few = agreement("v", cases((5, False, True, 1.0), (5, True, False, 1.0)))
    assert few.weight == 1.0 and "too little is known" in few.why
    alike = agreement("v", cases((50, True, True, 1.0)))
    assert (alike.youden, alike.weight) == (None, 1.0) and reward_settings(alike) is None
    # Of 40 wrong ones it passed 30: whatever it would say of right ones, its J is 1/4 at most.
    lenient = agreement("v", cases((30, True, False, 1.0), (10, False, False, 1.0)))
    assert (lenient.youden, lenient.weight) == (None, 0.25) and "0.25 at most" in lenient.why
    assert agreement("v", cases((40, True, False, 1.0))).weight == 0.0
    nothing = agreement("v", [])
    assert (nothing.n, nothing.accuracy.value, nothing.brier, nothing.ece, nothing.bins) == (0, None, None, None, ())
    json.dumps(nothing.as_dict(), allow_nan=False)


def test_drift():
    good = [(1, True, True, 0.9), (1, False, False, 0.9)] * 50
    worse = [(1, True, True, 0.9), (1, True, False, 0.9), (1, False, False, 0.9), (1, True, False, 0.9)] * 12
    steady = agreement("v", cases(*good))
    assert not steady.drift.worse and steady.weight == 1.0
    drifted = agreement("v", cases(*good, *worse))
    # Of the latest 50 two are of the good time: 26 right of 50; J: 13 of 13 right ones passed, 24 of 37 wrong ones.
    assert drifted.drift.worse and drifted.drift.past.value == 1.0 and drifted.drift.recent.value == 26 / 50
    assert drifted.drift.youden == pytest.approx(1 - 24 / 37) and drifted.weight == pytest.approx(1 - 24 / 37)
    assert "it drifts" in drifted.why
    lost = agreement("v", cases(*good, *[(1, True, True, 0.9), (1, True, False, 0.9)] * 25))
    assert lost.weight == 0.0 and "does not count" in lost.why
    # The order is that of time, not that in which they are handed in.
    assert agreement("v", reversed(cases(*good, *worse))) == drifted


def test_what_can_be_compared():
    known = attempt("a", success=True)
    assert case_of(verdict(False, confidence=0.5), known) == Case(False, True, 0.5, 0.0)
    assert case_of(None, known) is None and case_of(verdict(), attempt("a")) is None
    assert case_of(unjudged("v", "x"), known) is None


def test_the_noise_corrects_the_reward():
    known = agreement("v", cases((36, True, True, 1), (4, False, True, 1), (15, True, False, 1), (45, False, False, 1)))
    backward, forward = reward_settings(known), reward_settings(known, "forward")
    assert backward["reward_options"] == {"verifier_backward": {"accepts_wrong": 0.25, "rejects_right": 0.1}}

    def mean(settings, truth):
        """Of the corrected reward over attempts that were right, or wrong, as often as the verifier errs."""
        passed = 0.9 if truth else 0.25
        yes, no = attempt("a", verdict=verdict(True)), attempt("a", verdict=verdict(False))
        known = parts(settings["rewards"], settings["reward_options"])
        return passed * summed(known, yes)[0] + (1 - passed) * summed(known, no)[0]

    # Backward: the mean is the true reward. Forward: 0 for right ones, minus J for wrong ones.
    assert mean(backward, True) == pytest.approx(1.0) and mean(backward, False) == pytest.approx(0.0)
    assert mean(forward, True) == pytest.approx(0.0) and mean(forward, False) == pytest.approx(-0.65)


async def test_a_weight_scales_confidence():
    one = attempt("a")
    half = await TrustedVerifier(Says(verdict(confidence=0.8)), 0.5).verify(one)
    assert half.confidence == pytest.approx(0.4) and half.passed
    none = await TrustedVerifier(Says(verdict(confidence=0.8)), 0.0, "it drifts").verify(one)
    assert not says_something(none) and none.critique.startswith("it drifts (it said")
    assert await TrustedVerifier(Says(verdict(confidence=0.8)), 1.0).verify(one) == verdict(confidence=0.8)


def test_weights_are_read_from_what_the_command_printed(tmp_path):
    file = tmp_path / "agreement.json"
    known = agreement("judge:m", cases((30, True, True, 1.0), (10, True, False, 1.0), (20, False, False, 1.0)))
    file.write_text(json.dumps({"verifiers": [known.as_dict()]}))
    weight, why = read_weight(file, "judge")
    assert weight == pytest.approx(2 / 3) and "J is 0.67" in why
    assert read_weight(file, "judge:m") == (weight, why)
    with pytest.raises(ConfigError, match="knows no verifier rule; it knows: judge:m"):
        read_weight(file, "rule")
    for text in ("", "[]", '{"verifiers": [{"judge": "judge"}]}', '{"verifiers": 3}'):
        file.write_text(text)
        with pytest.raises(ConfigError, match="cannot be read"):
            read_weight(file, "judge")
    file.write_text(json.dumps({"verifiers": [{"judge": "judge", "weight": math.nan, "why": ""}]}))
    with pytest.raises(ConfigError, match="not within 0 and 1"):
        read_weight(file, "judge")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_weight(tmp_path / "none.json", "judge")


async def test_members_of_a_vote_are_measured_beside_it(tmp_path):
    """One passes all, one nothing, one is mute, and one has no say; the vote follows the first, who weighs most."""
    generous = {"by": "judgements:Guest", "options": {"generous": True}}
    members = [
        {**generous, "weight": 0.5},
        {"by": "judgements:Guest", "options": {"generous": False}, "weight": 0.25},
        {"by": "recompute"},
        {"by": "vote", "options": {"members": [generous]}, "weight": 0},
    ]
    vote, tally = load_verifier("vote", {"members": members}, Parts()), Tally(least=4)
    for number in range(10):
        one = attempt("5", ident=str(number), success=number < 3)
        said = await vote.verify(one)
        assert said.passed and said.members[2].critique.startswith("could not judge") and not said.members[0].evidence
        tally.hear("mine", said, one, float(number))
    [found] = tally.agreements()
    # The generous one outvotes the strict one: whatever is wrong passes, and what is right is never rejected.
    assert (found.judge, found.n, found.accuracy.value, found.weight) == ("mine", 10, 0.3, 0.0)
    yes, no, mute, within = found.members
    assert [one.judge for one in found.members] == ["guest", "guest (2)", "recompute", "vote"]
    assert (yes.accuracy.value, yes.accepts_wrong.value, yes.rejects_right.value) == (0.3, 1.0, 0.0)
    assert (no.accuracy.value, no.accepts_wrong.value, no.rejects_right.value) == (0.7, 0.0, 1.0)
    assert (mute.n, mute.unjudged) == (0, 10) and within.n == 10 and within.members[0].accuracy.value == 0.3
    # A member's own figures are no verifier's: nobody is weighed by them.
    plain = found.as_dict()
    assert plain["members"][1]["judge"] == "guest (2)"
    file = tmp_path / "agreement.json"
    file.write_text(json.dumps({"verifiers": [plain]}))
    assert read_weight(file, "mine")[0] == 0.0
    for name in ("guest", "guest (2)", "recompute"):
        with pytest.raises(ConfigError, match="knows no verifier"):
            read_weight(file, name)
    json.dumps(plain, allow_nan=False)


def named(judge, passed=True):
    return verdict(passed, judge=judge)


def test_a_member_that_breaks_at_times_is_not_taken_for_another():
    """Two judges of one model: one is right, the other one wrong; each breaks in its turn, and has no model then."""
    broke = unjudged("judge", "it broke: KeyError: 'steps'")
    right, wrong, tally = named("judge:small"), named("judge:small", passed=False), Tally()
    said = [(right, wrong), (broke, wrong), (right, broke), (broke, wrong), (right, wrong)]
    for number, members in enumerate(said):
        one = attempt("5", ident=str(number), success=True)
        tally.hear("vote", named("vote").model_copy(update={"members": members}), one)
    first, second = tally.agreements()[0].members
    assert [one.judge for one in (first, second)] == ["judge:small", "judge:small (2)"]
    assert (first.n, first.unjudged, first.accuracy.value) == (3, 2, 1.0)
    assert (second.n, second.unjudged, second.accuracy.value) == (4, 1, 0.0)


def test_members_of_votes_that_are_set_otherwise_stay_apart():
    tally, one = Tally(), attempt("5", success=True)
    for members in (("rule", "judge:a"), ("judge:a", "rule"), ("rule", "judge:b"), ("rule", "judge:b")):
        tally.hear("vote", named("vote").model_copy(update={"members": tuple(map(named, members))}), one)
    found = tally.agreements()[0].members
    # One was asked as two models: it goes by neither.
    assert [(member.judge, member.n) for member in found] == [
        ("judge:a", 1),
        ("rule", 3),
        ("judge", 3),
        ("rule (2)", 1),
    ]


async def test_a_member_that_does_not_say_who_judged_has_its_own_name():
    guest = Says(verdict(True, critique="Fine."), name="guest")
    vote = VoteVerifier([{"by": "guest"}], lambda by, options: guest)
    said = await vote.verify(attempt("5"))
    assert said.judge == "vote" and [one.judge for one in said.members] == ["guest"]
    assert said.critique == "guest: Fine."


async def test_members_who_contradict_each_other_are_measured_all_the_same():
    members = [{"by": "judgements:Guest", "options": {"generous": on}} for on in (True, False)]
    vote, tally = load_verifier("vote", {"members": members}, Parts()), Tally()
    one = attempt("5", success=True)
    said = await vote.verify(one)
    assert not says_something(said)
    # As a run stores it.
    kept = one.model_copy(update={"verdict": None, "meta": {"unjudged": abstained(said)}})
    assert abstention(kept) == said.model_copy(update={"evidence": ()})
    tally.hear("vote", abstention(kept), kept)
    [found] = tally.agreements()
    assert (found.n, found.unjudged) == (0, 1) and [member.accuracy.value for member in found.members] == [1.0, 0.0]
    assert abstained(unjudged("rule", "x")) == {"judge": "rule", "why": "could not judge: x"}
    assert abstention(one) is None
