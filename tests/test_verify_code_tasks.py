"""The three kinds of self-made code tasks, judged by running what they show, and nothing of what they hide."""

import random
from contextlib import asynccontextmanager

from judgements import attempt
from lamarck.agent.verifiers.blinded import blind_task
from lamarck.agent.verifiers.code import CodeVerifier
from lamarck.agent.verifiers.code_shown import canonical, trial_of
from lamarck.agent.verifiers.verifier import says_something
from lamarck.evals.proposed.code_tasks import KINDS, Triple, code_task
from lamarck.evals.proposed.programs_made import made_inputs, made_program
from lamarck.sandboxes.choose import open_backend
from lamarck.sandboxes.limits import Limits
from lamarck.sandboxes.pool import Pool, PoolLimits
from lamarck.tools.workbench import Workbench

DOUBLE = "def f(x, y='a'):\n    return {v: (2 * v, y) for v in x}"
"""Dictionaries and tuples, so that values have more than one way of being written."""


def task(kind):
    return code_task(
        Triple(
            kind=kind,
            program=DOUBLE.replace(", y='a'", "").replace("y)", "'a')"),
            inputs=("[1, 2]", "[3]", "[0]", "[4]"),
            outputs=("{1: (2, 'a'), 2: (4, 'a')}", "{3: (6, 'a')}", "{0: (0, 'a')}", "{4: (8, 'a')}"),
            shown=2 if kind == "induction" else 0,
            message="It is about (pairs). f(9) returns nothing of that." if kind == "induction" else "",
        ),
        "test",
    )


CASES = (
    ("deduction", "{2: (4, 'a'), 1: (2, 'a')}", 1.0),
    ("deduction", "```python\n{1: (2, 'a'), 2: (4, 'a')}\n```", 1.0),
    ("deduction", "{1: (2, 'a'), 2: (4.0, 'a')}", 0.0),
    ("deduction", "f([1, 2])", 0.0),
    ("abduction", "[2, 1]", 1.0),
    ("abduction", "[1, 2, 2]", 1.0),
    ("abduction", "[1]", 0.0),
    ("abduction", "7", 0.0),
    ("abduction", "[1, 2], [1, 2]", 0.0),
    ("abduction", "*[[1, 2]]", 0.0),
    ("abduction", "__import__('os').getpid()", 0.0),
    ("induction", DOUBLE, 1.0),
    ("induction", f"```python\n{DOUBLE}\n```", 1.0),
    ("induction", "def f(x):\n    return {1: (2, 'a'), 2: (4, 'a')}", 0.5),
    ("induction", "f = 7", 0.0),
    ("induction", "def f(x):\n    while True: pass", 0.0),
    ("induction", "import sys\nprint('f([3]) returns'); sys.exit(0)", 0.0),
)


@asynccontextmanager
async def running():
    """Give the verifier with a sandbox behind it."""
    backend = await open_backend("bubblewrap")
    try:
        async with Pool(backend, limits=Limits(wall_s=3.0), size=PoolLimits(warm=1, most=2)) as pool:
            yield CodeVerifier(toolbox=Workbench(pool=pool, builtin=("python",)))
    finally:
        await backend.close()


async def test_right_answers_pass_and_wrong_ones_fail():
    async with running() as verifier:
        for kind, answer, score in CASES:
            blind = blind_task(task(kind))
            assert blind.truth is None
            said = await verifier.verify(attempt(answer).model_copy(update={"task": blind}))
            told = (said.passed, said.score, said.confidence)
            assert told == (score == 1.0, score, 0.9), (kind, answer, said.critique)
            assert bool(said.critique) is (score < 1.0)
        assert not says_something(await verifier.verify(attempt(None).model_copy(update={"task": task("deduction")})))


async def test_it_agrees_with_what_is_hidden_on_made_tasks():
    """What the task's text says is what its truth says, however values are written."""
    async with running() as verifier:
        for kind in KINDS:
            draw = random.Random(kind)
            program, inputs = made_program(draw), made_inputs(draw, 4)
            space = {}
            exec(program, space)
            outputs = tuple(repr(space["f"](eval(one))) for one in inputs)
            shown = 2 if kind == "induction" else 0
            one = code_task(Triple(kind=kind, program=program, inputs=inputs, outputs=outputs, shown=shown), "t")
            right = {"deduction": outputs[0], "abduction": inputs[0], "induction": program}[kind]
            wrong = {"deduction": "[[]]", "abduction": "[[]]", "induction": "def f(x):\n    return None"}[kind]
            for answer, passed in ((right, True), (wrong, False)):
                said = await verifier.verify(attempt(answer).model_copy(update={"task": blind_task(one)}))
                assert said.passed is passed and said.confidence == 0.9, (one.goal, answer, said.critique)


def test_other_tasks_are_none_of_the_three():
    for goal in ("Double a number.", "```python\nx\n```\n\nWhat is x?", "Write a Python function f such that\nnothing"):
        assert trial_of(goal, "7") is None
    assert (
        canonical("{'b': 1, 'a': {2, 1}}") == canonical("{'a': {1, 2}, 'b': 1}") != canonical("{'a': {1, 2}, 'b': 1.0}")
    )
    assert canonical("[1, 2]") != canonical("(1, 2)") and canonical("f(1)") is None and canonical("[" * 600) is None
