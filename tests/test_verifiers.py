"""The kinds of verifiers, by hand: what each says, and when it says that it cannot."""

import math
from fractions import Fraction

import pytest
from judgements import Guest, Says, attempt, verdict
from lamarck.agent.hooks import Shared
from lamarck.agent.verifiers.answers import final_answer, normal, number_of
from lamarck.agent.verifiers.arithmetic import calculator, shown, value_of
from lamarck.agent.verifiers.blinded import ENDED, blinded
from lamarck.agent.verifiers.certainty import CertaintyVerifier
from lamarck.agent.verifiers.code import CodeVerifier, code_of
from lamarck.agent.verifiers.consistency import ConsistencyVerifier
from lamarck.agent.verifiers.constants import told
from lamarck.agent.verifiers.environment import EnvironmentVerifier
from lamarck.agent.verifiers.equations import equations
from lamarck.agent.verifiers.recompute import RecomputeVerifier
from lamarck.agent.verifiers.rule import RuleVerifier
from lamarck.agent.verifiers.table import Parts, load_verifier, verifier_names
from lamarck.agent.verifiers.verifier import ask, says_something
from lamarck.agent.verifiers.vote import weighed
from lamarck.core import ToolCall
from lamarck.errors import ConfigError, ModelError, ToolError
from lamarck.tools.tool import tool
from lamarck.tools.toolset import Tools


def test_what_is_blinded():
    one = attempt("a", "b", success=True, score=1.0, reward=1.0, verdict=verdict(), meta={"progress": [1.0]})
    steps = (one.steps[0], one.steps[1].model_copy(update={"reward": 1.0, "info": {"success": True, "answer": "b"}}))
    task = one.task.model_copy(update={"truth": "b"})
    blind = blinded(one.model_copy(update={"steps": steps, "task": task}))
    assert (blind.task.truth, blind.success, blind.score, blind.reward, blind.verdict, blind.meta) == (*[None] * 5, {})
    assert all(step.reward == 0.0 and step.info == {} for step in blind.steps) and blind.final_observation == ENDED
    assert [step.action for step in blind.steps] == ["a", "b"]
    assert blinded(one, hide_end=False).final_observation == "the end"
    # Who won, who was stopped by the world, and who was stopped by anything else look the same.
    last = steps[1].model_copy(update={"terminated": True})
    lost = one.model_copy(update={"success": False, "reward": 0.0, "task": task, "final_observation": "You see a cup."})
    for stop in ("truncated", "max_steps", "max_tokens", "max_seconds", "max_cost", "loop"):
        assert blinded(lost.model_copy(update={"stop": stop, "steps": (steps[0], steps[1])})) == blind
    assert blinded(one.model_copy(update={"steps": (steps[0], last), "task": task})) == blind
    assert blind.stop == "truncated" and not any(step.terminated or step.truncated for step in blind.steps)
    assert blinded(lost.model_copy(update={"stop": "infrastructure"})).stop == "infrastructure"


async def test_the_environment_repeats_the_outcome():
    said = await EnvironmentVerifier().verify(attempt("a", success=False, score=0.25))
    assert (said.passed, said.score, said.judge, said.confidence) == (False, 0.25, "environment", 1.0)
    assert not says_something(await EnvironmentVerifier().verify(attempt("a")))


async def test_rules_by_hand():
    rules = RuleVerifier(
        checks=[{"answer": "-?[0-9]+"}, {"never": "drop", "weight": 2.0}, {"max_steps": 1}], share=0.5, confidence=0.8
    )
    good = await rules.verify(attempt("answer[42]"))
    assert (good.passed, good.score, good.confidence, good.critique, good.step_scores) == (True, 1.0, 0.8, "", ())
    bad = await rules.verify(attempt("drop it", "42"))
    # One of four parts is kept.
    assert (bad.passed, bad.score, bad.step_scores) == (False, 0.25, (-1.0, 1.0))
    assert "step 0" in bad.critique and "2 steps, more than 1" in bad.critique
    each = await RuleVerifier(checks=[{"each": "="}]).verify(attempt("a", "b", said=("1 = 1", "so")))
    assert (each.score, each.step_scores) == (0.5, (1.0, -1.0))
    assert not says_something(await RuleVerifier(checks=[{"each": "="}]).verify(attempt()))
    own = RuleVerifier(checks=[{"call": "judgements:short"}])
    assert (await own.verify(attempt("a"))).passed
    assert (await own.verify(attempt("a", "b", "c"))).critique == "It is too long."
    some = await RuleVerifier(checks=[{"max_steps": 1}, {"final": "end"}, {"did": "b"}]).verify(attempt("a"))
    assert some.score == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("checks", "message"),
    [
        ([], "no checks"),
        ([{"answr": "x"}], r"checks\[0\] names no one rule"),
        ([{"answer": "x", "final": "y"}], "names no one rule"),
        ([{"answer": "("}], "no regular expression"),
        ([{"max_steps": "3"}], "is no number"),
        ([{"stop": "terminated"}], r"checks\[0\]\.stop: how an attempt ended is not shown to verifiers"),
        ([{"stop": "loop", "weight": 2.0}], "is not shown to verifiers"),
        ([{"answer": "x", "weight": 0}], "no positive number"),
        ([{"call": "judgements:nothing"}], "has no nothing"),
        ([{"call": "no_such_module:x"}], "cannot import"),
    ],
)
def test_rules_that_are_none_are_refused_in_one_line(checks, message):
    with pytest.raises(ConfigError, match=message):
        RuleVerifier(checks=checks)


async def test_a_rule_that_breaks_is_no_verdict():
    with pytest.raises(ConfigError, match="judgements:broken failed at trajectory t"):
        await RuleVerifier(checks=[{"call": "judgements:broken"}]).verify(attempt("a"))


def test_an_answer_that_goes_round_in_circles_is_read_once():
    """Were there several ways to read a unit, 60 terms would take longer than anyone can wait."""
    for term in ("1 egg + ", "2 big brown eggs ) + ", "3 % of it * "):
        assert equations("Total = " + term * 60) == []
    assert equations("=" + " " * 20_000 + "x") == [] and equations(" " * 20_000 + "<") == []


def test_a_unit_behind_a_result_excuses_no_slip():
    def holds(text):
        [one] = equations(text)
        return one.holds(value_of(one.left), Fraction(1, 10**6))

    assert not any(map(holds, ("3 * 4 = 24 apples", "6 * 7 = $84", "5 * 4 = 2000 eggs", "10 + 2 = 120 minutes")))
    assert holds("3 * 4 = 12 apples") and holds("2 * 120 minutes = 4 hours")


def test_computing_again():
    [one, other] = equations("First 388 - 120 = 258, then (2 + 3) x 1,000 = 5,000.")
    assert (one.left, one.right, one.numbers) == ("388 - 120", 258, (388, 120))
    assert (value_of(one.left), value_of(other.left), other.right) == (268, 5000, 5000)
    assert shown(value_of("0.1 + 0.2")) == "0.3" and shown(value_of("1 / 3")) == "1/3"
    for wrong in ("__import__('os')", "a + 1", "1 / 0", "9 ** 9 ** 9", "1 +", "2 ** 0.5", "[1]", "1" * 300):
        with pytest.raises(ToolError):
            value_of(wrong)


async def test_the_calculator_is_a_tool():
    call = await calculator().call(ToolCall(name="calculate", arguments={"expression": "7 * 6"}))
    assert (call.result, call.error) == ("42", None)
    call = await calculator().call(ToolCall(name="calculate", arguments={"expression": "7 * x"}))
    assert call.result is None and "is no arithmetic" in call.error


async def test_recomputing_by_hand():
    goal = "Ada has 388 apples, gives 120 and buys 2 bags of 10."
    said = ("388 - 120 = 258", "2 * 10 = 20", "258 + 20 = 278", "")
    bad = await RecomputeVerifier().verify(attempt(None, None, None, "278", goal=goal, said=said))
    # What follows from the wrong result is computed rightly: only the first step is at fault.
    assert bad.step_scores == (-1.0, 1.0, 1.0, 0.0) and bad.critique == "Step 0: 388 - 120 is 268, not 258."
    assert (bad.passed, bad.confidence, len(bad.evidence)) == (False, 0.95, 3) and bad.evidence[0].result == "268"
    strange = await RecomputeVerifier().verify(attempt(None, "398", goal=goal, said=("388 + 10 = 398", "")))
    assert strange.passed
    strange = await RecomputeVerifier().verify(attempt(None, "395", goal=goal, said=("388 + 7 = 395", "")))
    assert "7 in 388 + 7 comes from nowhere" in strange.critique
    other = await RecomputeVerifier().verify(attempt(None, "41", goal=goal, said=("2 * 10 = 20", "")))
    assert other.step_scores == (1.0, -1.0) and "the answer is 41, and the last result was 20" in other.critique
    assert not says_something(await RecomputeVerifier().verify(attempt("41", goal=goal)))
    # Where nothing but the origin of a number is in doubt, it is less sure.
    assert (
        await RecomputeVerifier().verify(attempt(None, "395", goal=goal, said=("388 + 7 = 395", "")))
    ).confidence == 0.6


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("2 * 3 + 4 = 6 + 4 = 10", []),
        ("(2+3)*4 = 5*4 = 20", []),
        ("2 * 3 + 4 = 6 + 5 = 11", ["6 + 5"]),
        ("2 * 3 + 4 = 6 + 4 = 11", ["11"]),
        ("5 + 3 = 8 * 2 = 16", []),
        ("3/4 = 75%, and 20% of 50 = 10", []),
        ("20% of 50 = 1000", ["1000"]),
        ("10 / 3 = 3.33 and 2 / 3 = 0.66", []),
        ("10 / 3 = 3.43", ["3.43"]),
        ("10 / 4 = 2.6", ["2.6"]),
        ("7 / 2 = 5", ["5"]),
        ("3 hours + 2 * 5 hours = 13 hours", []),
        ("He gets 60 minutes/hour * 4 hours = 240 minutes = 4 hours", []),
        ("50*.2*3 = 30", []),
        ("48/2 = <<48/2=24>>24 clips, 48/2 = <<48/2=24>>25 clips", ["25"]),
        ("2x + 3 = 7 and 5 = 4 + x", []),
        ("- 3 * 2 = 6\n1) 3 * 2 = 6\n* 3 * 2 = 7", ["7"]),
        ("2 / 1/5 = 10 and 5(2 + 1) = 15", []),
        ("75 cents * 4 = $3.00", []),
        ("At 6:00+18 = 24", []),
    ],
)
def test_computations_as_people_write_them(text, faults):
    wrong = [
        one.sides[1].expression for one in equations(text) if not one.holds(value_of(one.left), Fraction(1, 10**6))
    ]
    assert wrong == faults


def test_words_give_numbers():
    assert {Fraction(2), Fraction(60), Fraction(100), Fraction(25)} <= told("twice 25% of some minutes")
    assert {Fraction(25), Fraction(1, 3), Fraction(3, 4)} <= told("twenty-five, a third, 3/4")
    assert Fraction(2) not in told("nothing of that kind")


@tool(name="python")
async def python(code: str) -> str:
    """Run code here; for tests with code of our own only.

    Args:
        code: the source.
    """
    import contextlib
    import io

    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(code, SPACE)
    except AssertionError as error:
        raise ToolError("AssertionError") from error
    return out.getvalue()


SPACE: dict = {}


async def test_code_is_run_again_with_the_assertions_that_are_shown():
    goal = "Double a number.\n\nThe code is tried with asserts such as:\nassert double(2) == 4\nassert double(0) == 0"
    verifier = CodeVerifier(toolbox=Shared(Tools([python])))
    good = await verifier.verify(attempt("def double(x):\n    return 2 * x", goal=goal))
    assert (good.passed, good.score, good.confidence, len(good.evidence)) == (True, 1.0, 0.9, 3)
    bad = await verifier.verify(attempt("def double(x):\n    return x * x + x", goal=goal))
    assert (bad.passed, bad.score) == (False, 0.5) and "assert double(2) == 4 does not hold" in bad.critique
    assert not says_something(await verifier.verify(attempt("x = 1", goal="Set x.")))
    only = await CodeVerifier(toolbox=Shared(Tools([python])), ran=0.2).verify(attempt("x = 1", goal="Set x."))
    assert (only.passed, only.confidence) == (True, 0.2)
    assert not says_something(await verifier.verify(attempt("forty-two", goal=goal)))
    assert code_of(attempt("Here:\n```python\nx = 1\n```")) == "x = 1\n"
    with pytest.raises(ConfigError, match="no tool to run code with"):
        CodeVerifier()


LIAR = """
class Liar:
    def __eq__(self, other): return True
    def __repr__(self): return "4"
    def __hash__(self): return 1
def double(x): return {value}
f = double
"""


@pytest.mark.parametrize("value", ["Liar()", "[Liar()]", "{1: Liar()}", "(4, Liar())"])
async def test_what_says_of_itself_that_it_is_right_is_not(value):
    verifier = CodeVerifier(toolbox=Shared(Tools([python])))
    wanted = value.replace("Liar()", "4")
    goal = f"Double a number.\nassert double(2) == {wanted}\nassert {wanted} == double(2)"
    said = await verifier.verify(attempt(LIAR.replace("{value}", value), goal=goal))
    assert (said.passed, said.score) == (False, 0.0)
    induction = f"Write a Python function f such that\nf(2) returns {wanted}\n\nIt is tried. Answer with the code."
    said = await verifier.verify(attempt(LIAR.replace("{value}", value), goal=induction))
    assert (said.passed, said.score) == (False, 0.0)
    right = await verifier.verify(attempt(LIAR.replace("{value}", wanted), goal=goal))
    assert (right.passed, right.score) == (True, 1.0)


async def test_assertions_over_several_lines_and_sentences_that_are_none():
    goal = """Sum what you are given. Code that is wrong will assert
assert that nothing else is printed.
assert total([
    1,
    2,
]) == 3, "three"
    assert total([]) == 0 and total(
        [5]) == 5"""
    verifier = CodeVerifier(toolbox=Shared(Tools([python])))
    good = await verifier.verify(attempt("def total(x):\n    return sum(x)", goal=goal))
    assert (good.passed, len(good.evidence)) == (True, 3), good.critique
    bad = await verifier.verify(attempt("def total(x):\n    return len(x)", goal=goal))
    assert (bad.passed, bad.score) == (False, 0.0)


async def test_votes_by_hand():
    yes, no, mute = verdict(True, confidence=0.9), verdict(False, confidence=0.5), verdict(False, 0.5, 0.0)
    said = weighed([yes, no, mute], [1.0, 1.0, 5.0], 0, "vote")
    # (0.9 - 0.5) / 2; the mute one has no part in it. Score: 0.9 / 1.4.
    assert said.passed and said.confidence == pytest.approx(0.2) and said.score == pytest.approx(0.9 / 1.4)
    assert not weighed([yes, no], [1.0, 3.0], 0, "vote").passed
    assert not says_something(weighed([yes, verdict(False, confidence=0.9)], [1.0, 1.0], 0, "vote"))
    assert not says_something(weighed([mute], [1.0], 0, "vote"))
    assert not says_something(weighed([yes], [0.0], 0, "vote"))
    stepped = [verdict(confidence=0.5, step_scores=(1.0, -1.0)), verdict(confidence=1.0, step_scores=(1.0, 0.5)), yes]
    assert weighed(stepped, [1.0, 1.0, 1.0], 2, "vote").step_scores == pytest.approx((1.0, 0.0))


async def test_a_vote_is_put_together_from_its_members():
    members = [{"by": "recompute"}, {"by": "judgements:Guest", "options": {"generous": True}, "weight": 0.5}]
    vote = load_verifier("vote", {"members": members}, Parts())
    said = await vote.verify(attempt(None, "5", goal="2 and 3", said=("2 + 3 = 6", "")))
    # Against: 0.95; for: 0.5 of 1.
    assert not said.passed and said.confidence == pytest.approx(0.45 / 1.5)
    for wrong, message in (([], "no members"), ([{"by": "vot"}], "no verifier 'vot'"), ([{"x": 1}], "does not say")):
        with pytest.raises(ConfigError, match=message):
            load_verifier("vote", {"members": wrong}, Parts())


async def test_consistency_by_hand():
    others = [attempt(answer, ident=f"s{n}", sample=n) for n, answer in enumerate(["7", "7.0", "answer[7]", "8"], 1)]
    others += [attempt("9", ident="old", sample=1, attempt=0), attempt(None, ident="mute", sample=6)]
    others[0] = others[0].model_copy(update={"attempt": 1})

    async def siblings(trajectory):
        return others

    verifier = ConsistencyVerifier(siblings)
    said = await verifier.verify(attempt("7", sample=0))
    # Four of five say 7, one says 8; the repaired sample votes once.
    assert (said.passed, said.score, said.confidence) == (True, 0.8, pytest.approx(0.6))
    said = await verifier.verify(attempt("8", sample=0))
    assert (said.passed, said.score, said.confidence) == (False, 0.4, pytest.approx(0.2))
    assert not says_something(await ConsistencyVerifier(siblings, least=9).verify(attempt("7")))
    assert not says_something(await verifier.verify(attempt(None)))


def test_answers_are_compared_as_numbers():
    assert [final_answer(attempt(given)) for given in ("1,000", "answer[1000.0]", " Finish[Paris] ", "-3.5")] == [
        *("1000", "1000", "paris", "-3.5")
    ]
    assert final_answer(attempt("7", None)) == "7" and final_answer(attempt(None)) is None
    assert [normal(given) for given in ("**42**", "$1,234.50", "42%.", "-0", "007", "42.")] == [
        *("42", "1234.5", "42", "0", "7", "42")
    ]
    # What is no number is text, however much it looks like one; nothing is rounded and nothing is infinite.
    for text in ("42-", "...42", "5 -", "42 (-)", ". 5", "1,00", "1e999999999", "--5"):
        assert normal(text) == text and number_of(text) is None
    assert normal("9" * 400) == "9" * 400 and number_of("9" * 400) is None
    assert (
        normal(str(10**17 + 1)) == str(10**17 + 1) and number_of("3/4") == Fraction(3, 4) and number_of("3/0") is None
    )


class Breaking(Says):
    """A verifier that does not foresee something."""

    async def verify(self, trajectory):
        raise self.answer


async def test_who_breaks_could_not_judge(caplog):
    judged = await ask(Breaking(KeyError("steps"), name="guest"), attempt("a"))
    assert not says_something(judged.verdict) and judged.verdict.judge == "guest"
    assert "it broke: KeyError: 'steps'" in judged.verdict.critique and "guest broke at attempt t" in caplog.text
    assert not says_something((await ask(Says(None), attempt("a"))).verdict)
    # Who cannot be reached judges later, and who is set up wrongly is to be told so.
    for error in (ModelError("no answer"), ConfigError("no such option")):
        with pytest.raises(type(error)):
            await ask(Breaking(error), attempt("a"))


async def test_certainty_by_hand():
    step = attempt("a").steps[0]
    sure = step.model_copy(update={"logprobs": (-0.1, -0.3), "entropies": (0.0, math.log(2))})
    one = attempt("a").model_copy(update={"steps": (sure,)})
    said = await CertaintyVerifier(threshold=0.5, vocabulary=4).verify(one)
    # Mean entropy is log 2 / 2; log 4 is the most there is: 1 - 1/4.
    assert said.passed and said.score == pytest.approx(0.75) and said.confidence == pytest.approx(0.5)
    assert (await CertaintyVerifier(threshold=0.5).verify(one)).score == pytest.approx(math.exp(-math.log(2) / 2))
    bare = one.model_copy(update={"steps": (sure.model_copy(update={"entropies": ()}),)})
    assert (await CertaintyVerifier(threshold=0.9).verify(bare)).score == pytest.approx(math.exp(-0.2))
    assert not says_something(await CertaintyVerifier().verify(attempt("a")))


def test_verifiers_by_name():
    assert set(verifier_names()) >= {"environment", "rule", "code", "recompute", "judge", "vote", "consistency"}
    assert isinstance(load_verifier("judgements:Guest", {"generous": True}, Parts()), Guest)
    for name, options, message in (
        ("jugde", {}, "there is no verifier 'jugde'; there are: certainty, code"),
        ("judgements:Nobody", {}, "has no Nobody"),
        ("judgements:Silent", {}, "has no verify and name"),
        ("recompute", {"trce": True}, "has no option trce; it takes: trace, tolerance"),
        ("recompute", {"tolerance": "much"}, "does not take these options"),
        ("judge", {}, "no model"),
        ("judge", {"llm": "x"}, "is not for the configuration to set"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_verifier(name, options, Parts())


def test_a_verdict_that_says_nothing():
    assert says_something(verdict(confidence=0.01)) and not says_something(verdict(confidence=0.0))
    assert Says(verdict()).name == "says"
