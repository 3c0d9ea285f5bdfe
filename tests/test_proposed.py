"""Self-made tasks: nothing passes that was not shown to hold, and what passes can be played."""

import json
import random
from dataclasses import replace
from itertools import combinations

import pytest
from lamarck.agent.proposers.likeness import likeness, print_of
from lamarck.agent.proposers.proposer import Materials
from lamarck.agent.scripted import ScriptedLLM
from lamarck.agent.tasksets import load_taskset
from lamarck.cli.app import app
from lamarck.config import TasksetConfig
from lamarck.core import Origin, Step, Task, Trajectory
from lamarck.errors import ConfigError, EnvironmentFailure, ModelError
from lamarck.evals import household_generate
from lamarck.evals.alfworld_engine import Engine
from lamarck.evals.household import HouseholdTaskset, task_key
from lamarck.evals.household_generate import make_game
from lamarck.evals.household_world import THINGS
from lamarck.evals.proposed.code_tasks import KINDS, Triple, code_task
from lamarck.evals.proposed.code_triples import CodeMaker, Draft, code
from lamarck.evals.proposed.described import Description, HouseholdMaker, household
from lamarck.evals.proposed.document_questions import ModelAnswerer, QuestionMaker, documents
from lamarck.evals.proposed.known import plot_of_task, said
from lamarck.evals.proposed.passages import Passage, Question, passages_of
from lamarck.evals.proposed.plots import game_of, plot_json, plot_of, said_of, signature, split_of, unseen_room
from lamarck.evals.proposed.programs import arguments_of, normal_form, same, unfit, value_of, written, written_arguments
from lamarck.evals.proposed.relabelled import actions_of, relabelled, replayed
from lamarck.evals.proposed.taskset import ProposedTaskset, config_for, read_tasks, write_tasks
from lamarck.evals.worlds.mbpp import Sandboxes
from typer.testing import CliRunner

TINY = HouseholdTaskset(size="tiny", games=6)


def plots(split="train", limit=6):
    return [plot_of_task(task) for task in TINY.tasks(split, limit=limit)]


# --- household by description -------------------------------------------------------------------------------------


def test_a_plot_as_json_is_the_same_game():
    for task in TINY.tasks("test"):
        seed, size, split, kind, index = task_key(task)
        made = make_game(seed=seed, size=size, split=split, kind=kind, index=index)
        back = plot_of(json.loads(json.dumps(plot_json(made.plot))))
        assert back == made.plot and signature(back) == made.signature and split_of(back) == "test"
        assert game_of(back).walkthrough == made.game.walkthrough and unseen_room(back)
    assert not any(unseen_room(plot) for split in ("train", "valid_seen") for plot in plots(split))


def test_what_a_game_says_is_told_without_proving_it_again(monkeypatch):
    tasks = [task for split in TINY.splits() for task in TINY.tasks(split)]
    keys = [dict(zip(("seed", "size", "split", "kind", "index"), task_key(task), strict=True)) for task in tasks]
    made = [make_game(**key) for key in keys]

    # A task that bears another name, as a generator of another time may have given it, is the game that is made now.
    for name in ("", "0" * 16):
        told = [task.model_copy(update={"options": task.options | {"game": name}}) for task in tasks]
        assert [plot_of_task(task) for task in told] == [game.plot for game in made]
    monkeypatch.setattr(household_generate, "_finish", lambda *about: pytest.fail("a game was proven again"))
    assert [plot_of_task(task) for task in tasks] == [game.plot for game in made]
    assert [said(task) for task in tasks] == [said_of(game.plot) for game in made]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "rob_the_bank"}, "no task type"),
        ({"room": "garage"}, "no task type"),
        ({"target": "Dragon"}, "no target"),
        ({"goal": "Dragon"}, "no goal"),
        ({"lying": [["Mug", 99]]}, "an object"),
        ({"places": [["Fridge", 1, False]]}, "a door"),
        ({"places": []}, "0 receptacles"),
        ({"places": "x"}, "cannot be read"),
        ({"lying": [["Mug"]]}, "cannot be read"),
    ],
)
def test_a_plot_that_is_none_is_said(change, words):
    with pytest.raises(EnvironmentFailure, match=words):
        plot_of(plot_json(plots(limit=2)[1]) | change)


async def test_proposed_games_are_won_by_their_walkthrough_and_are_training_games():
    proposal = await household(Materials(seed=5), size="tiny").propose(8, {})
    assert len(proposal.tasks) == 8 and len({task.id for task in proposal.tasks}) == 8
    for task in proposal.tasks:
        assert task.origin == Origin(kind="proposed", by="household") and task.split == "train"
        plot = plot_of_task(task)
        game = game_of(plot)
        assert split_of(plot) == "train" and not unseen_room(plot) and not Engine(game).won and game.walkthrough
        assert replayed(game, game.walkthrough).won and task.goal == game.goal
    assert {one.reason for one in proposal.refused} <= {"unsolvable", "no_place", "other_split"}
    assert 0.5 < proposal.figures["distance"] <= 1.0
    assert (await household(Materials(seed=5), size="tiny").propose(8, {})) == proposal
    later = await household(Materials(seed=5), size="tiny").propose(8, json.loads(json.dumps(proposal.state)))
    assert {task.id for task in later.tasks}.isdisjoint(task.id for task in proposal.tasks)


async def test_games_that_are_held_out_are_refused_by_what_is_in_them():
    free = await household(Materials(seed=5), size="tiny").propose(6, {})
    renamed = tuple(task.model_copy(update={"id": f"x{n}", "split": "test"}) for n, task in enumerate(free.tasks))
    held = await household(Materials(seed=5, held_out=renamed), size="tiny").propose(6, {})
    assert [one.reason for one in held.refused].count("held_out") == 6
    assert {task.id for task in held.tasks}.isdisjoint(task.id for task in free.tasks)


KITCHEN = {
    "type": "pick_heat_then_place_in_recep",
    "room": "kitchen",
    "receptacles": {"Microwave": 1, "CounterTop": 2, "DiningTable": 1},
    "objects": {"Egg": 1, "Cup": 2, "Plate": 1},
    "target": "Egg",
    "goal": "DiningTable",
}


def test_a_game_in_which_one_thing_was_moved_is_a_near_duplicate_and_no_other_is():
    room = [plot_of_task(task) for task in HouseholdTaskset(size="tiny", games=24).tasks("train")]
    moved = []
    for plot in room:
        thing, number = plot.lying[0]
        fits = [n for n, at in enumerate(plot.layout.places) if n != number and thing in contained(at.kind)]
        if fits:
            moved.append((plot, replace(plot, lying=tuple(sorted([(thing, fits[0]), *plot.lying[1:]])))))
    likely = [likeness(print_of(said_of(one)), print_of(said_of(other))) for one, other in moved]
    assert len(moved) > 12 and min(likely) >= 0.8
    others = [likeness(print_of(said_of(one)), print_of(said_of(other))) for one, other in combinations(room, 2)]
    assert max(others) < 0.8


def contained(kind):
    return {name for name, thing in THINGS.items() if kind in thing.holders}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"receptacles": {"CounterTop": 2, "DiningTable": 1}}, "unsolvable"),
        (
            {"target": "Plate", "goal": "CounterTop", "objects": {"Plate": 1}, "receptacles": {"CounterTop": 1}},
            "no_place",
        ),
        ({"target": "Towel", "objects": {"Towel": 1}}, "no_place"),
        ({"target": "Teapot", "objects": {"Teapot": 1, "Cup": 2, "Plate": 1}}, "unsolvable"),
        ({"objects": {"Egg": 1}, "receptacles": {"Microwave": 1, "CounterTop": 1, "DiningTable": 1}}, "other_split"),
        ({"target": "Dragon"}, "unknown"),
        ({"goal": "Fridge"}, "unknown"),
        ({"lamp": "DeskLamp"}, "unknown"),
        ({"room": "bedroom"}, "unknown"),
        ({"room": "moon"}, "unknown"),
        ({"type": "fly"}, "unknown"),
        ({"objects": {"Egg": 1, "Unicorn": 1}}, "unknown"),
        ({"objects": {"Egg": 1, "Cup": -1}}, "fields"),
        ({"objects": {"Egg": 1, "Cup": 30}}, "too_long"),
        ({"type": "look_at_obj_in_light", "goal": ""}, "unknown"),
    ],
)
def test_descriptions_are_checked_one_by_one(change, reason):
    attempt = HouseholdMaker("tiny").built(Description(**KITCHEN | change), random.Random(1))
    if reason is None:
        assert attempt.refusal is None and attempt.made.task.goal == "heat a egg and bring it to the diningtable"
    else:
        assert attempt.made is None and attempt.refusal.reason == reason


async def test_a_model_may_describe_the_games(tmp_path):
    def answer(messages):
        text = messages[0].content
        assert (
            "Write one new task of the type pick_heat_then_place_in_recep" in text
            and "Microwave" in text
            and "$" not in text
        )
        return json.dumps(KITCHEN) if "(none yet)" in text else json.dumps(KITCHEN | {"target": "Cup"})

    proposer = household(Materials(llm=ScriptedLLM(answer)), types=["pick_heat_then_place_in_recep"])
    proposal = await proposer.propose(2, {})
    assert [task.goal.split()[2] for task in proposal.tasks] == ["egg", "cup"]
    assert [one.task_id for one in proposal.asked if one.task_id] == [task.id for task in proposal.tasks]
    again = await proposer.propose(1, proposal.state)
    assert '"target": "Egg"' in again.asked[0].messages[0].content  # shown as what the next is to be unlike
    other = household(
        Materials(llm=ScriptedLLM(lambda messages: json.dumps(KITCHEN))), types=["pick_two_obj_and_place"]
    )
    assert {one.reason for one in (await other.propose(1, {})).refused} == {"unknown"}
    own = tmp_path / "propose_household.md"
    own.write_text("Mine: $type")
    mine = household(Materials(llm=ScriptedLLM(lambda messages: "no"), prompts=tmp_path))
    assert (await mine.propose(1, {})).asked[0].messages[0].content.startswith("Mine: ")


# --- relabelled ---------------------------------------------------------------------------------------------------


def played(task, actions, ident="t", split="train"):
    steps = tuple(Step(index=n, observation="", action=action) for n, action in enumerate(actions))
    return Trajectory(
        id=ident,
        run_id="r",
        task=task.model_copy(update={"split": split}),
        steps=steps,
        stop="max_steps",
        success=False,
    )


def wandering(task, seed, steps=40):
    """Return what a blind player does."""
    draw, engine, given = random.Random(seed), Engine(TINY.game(task)), []
    engine.reset()
    for _ in range(steps):
        given.append(draw.choice(engine.admissible()))
        engine.step(given[-1])
    return given


async def test_what_failed_episodes_reached_becomes_tasks_that_the_same_actions_solve():
    tasks = TINY.tasks("train")
    runs = [played(task, wandering(task, seed), f"{task.id}/{seed}") for task in tasks for seed in range(2)]
    proposal = await relabelled(Materials(trajectories=tuple(runs), said=said)).propose(8, {})
    assert len(proposal.tasks) >= 4
    sources = {run.id: run for run in runs}
    for task in proposal.tasks:
        source = sources[task.origin.by]
        assert task.origin.kind == "relabelled" and task.goal != source.task.goal
        game = game_of(plot_of_task(task))
        assert not Engine(game).won and replayed(game, actions_of(source)).won
        assert game.receptacles == TINY.game(source.task).receptacles
    assert set(proposal.figures["refused"]) <= {"nothing_reached", "duplicate", "near_duplicate"}


async def test_a_heated_thing_is_relabelled_as_brought_and_as_heated():
    heat = next(task for task in TINY.tasks("train") if task.category == "pick_heat_then_place_in_recep")
    walk = TINY.game(heat).walkthrough
    goal = relabelled(Materials(trajectories=(played(heat, walk),), tries=30))
    found = await goal.propose(4, {})
    assert {task.category for task in found.tasks} == {"pick_and_place_simple"}  # its own goal is none that is new
    nothing = relabelled(Materials(trajectories=(played(heat, walk[:1]),)))
    assert {one.reason for one in (await nothing.propose(2, {})).refused} == {"nothing_reached"}


async def test_attempts_at_held_out_tasks_are_not_relabelled():
    task = TINY.tasks("train", limit=1)[0]
    walk = TINY.game(task).walkthrough
    other_split = relabelled(Materials(trajectories=(played(task, walk, split="valid_seen"),)))
    same_content = task.model_copy(update={"id": "known by another name"})
    held_out = relabelled(Materials(trajectories=(played(task, walk),), held_out=(same_content,)))
    for proposer in (other_split, held_out):
        proposal = await proposer.propose(1, {})
        assert proposal.tasks == () and {one.reason for one in proposal.refused} == {"not_for_training"}
    odd = Task(id="q", goal="?", environment="questions", split="train")
    proposal = await relabelled(Materials(trajectories=(played(odd, ["a"]),))).propose(1, {})
    assert {one.reason for one in proposal.refused} == {"unchecked"}
    assert {one.reason for one in (await relabelled(Materials()).propose(1, {})).refused} == {"nothing_reached"}


# --- code ---------------------------------------------------------------------------------------------------------

F = "def f(x):\n    "
BAD = [
    ("def f(x:", ["1", "2"], "format"),
    ("x = 1", ["1", "2"], "fields"),
    ("def f():\n    return 1", ["1", "2"], "fields"),
    ("def f(*x):\n    return x", ["1", "2"], "fields"),
    ("class f:\n    pass", ["1", "2"], "fields"),
    ("import os\n" + F + "return os.getpid()", ["1", "2"], "banned"),
    ("import random\n" + F + "return random.random()", ["1", "2"], "banned"),
    ("from time import time\n" + F + "return time()", ["1", "2"], "banned"),
    (F + "import subprocess\n    return x", ["1", "2"], "banned"),
    (F + "return eval(x)", ["'1'", "'2'"], "banned"),
    (F + "return open(x).read()", ["'a'", "'b'"], "banned"),
    (F + "return x.__class__", ["1", "2"], "banned"),
    (F + "return id(x)", ["1", "2"], "banned"),
    (F + "return x" + " + 1" * 700, ["1", "2"], "too_long"),
    (F + "return x", ["1", "y"], "no_literal"),
    (F + "return x", ["1", "1"], "fields"),
    (F + "return 1 // x", ["1", "0"], "crashed"),
    (F + "while True:\n        pass", ["1", "2"], "timeout"),
    (F + "return list({str(n) for n in range(x)})", ["9", "8"], "not_deterministic"),
    (F + "return lambda: x", ["1", "2"], "no_literal"),
    (F + "return float('nan')", ["1", "2"], "no_literal"),
    (F + "return 7", ["1", "2"], "constant"),
    (F + "return 'a' * 1000 * x", ["1", "2"], "crashed"),
]


async def test_every_bad_program_is_refused_for_what_is_wrong_with_it():
    maker = CodeMaker(Sandboxes("bubblewrap", False, 10.0), timeout_s=3.0)
    try:
        for program, inputs, reason in BAD:
            attempt = await maker.checked("deduction", Draft(program=program, inputs=inputs))
            assert attempt.made is None and attempt.refusal.reason == reason, (program, attempt)
        good = Draft(program="import math\n" + F + "return math.gcd(x, 12), {x, 1}", inputs=["8", "9"])
        attempt = await maker.checked("deduction", good)
        assert attempt.made.task.truth["outputs"] == ["(4, {1, 8})"]
    finally:
        await maker.close()


async def test_made_triples_hold_and_their_answers_are_judged(tmp_path):
    proposer = code(Materials(seed=2, said=said), backend="bubblewrap")
    try:
        proposal = await proposer.propose(2, {})
    finally:
        await proposer.close()
    assert len(proposal.tasks) == 2 and {task.category for task in proposal.tasks} <= set(KINDS)
    file = tmp_path / "tasks.jsonl"
    double = "def f(x):\n    return [2 * v for v in x]"
    inputs = ("[1]", "[2, 3]", "[0]", "[4]")
    outputs = ("[2]", "[4, 6]", "[0]", "[8]")
    made = {
        kind: code_task(Triple(kind=kind, program=double, inputs=inputs, outputs=outputs, shown=2), "test")
        for kind in KINDS
    }
    write_tasks(file, [*made.values(), *proposal.tasks])
    taskset = ProposedTaskset(str(file), backend="bubblewrap")
    world = taskset.environment()

    async def score(task, answer):
        observation, _ = await world.reset(task=task)
        assert observation == task.goal and "[8]" not in observation
        _, reward, terminated, _, info = await world.step(answer)
        assert terminated and info["success"] is (reward == 1.0)
        return info["score"]

    hard_coded = "def f(x):\n    return {1: [2], 2: [4, 6]}[x[0]] if x else []"
    try:
        told = [
            await score(made["deduction"], "[2]"),
            await score(made["deduction"], "[2.0]"),
            await score(made["deduction"], "[1 + 1]"),
            await score(made["abduction"], "[1]"),
            await score(made["abduction"], "[1.0]"),
            await score(made["abduction"], "__import__('os')"),
            await score(made["induction"], f"```python\n{double}\n```"),
            await score(made["induction"], hard_coded),
            await score(made["induction"], "print('[8]')"),
        ]
        assert told == [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0]
        for task in proposal.tasks:
            truth = task.truth
            answer = {"deduction": truth["outputs"][0], "abduction": truth["inputs"][0]}.get(task.category)
            assert await score(task, answer or truth["program"]) == 1.0
    finally:
        await world.close()


async def test_a_model_writes_triples_and_is_shown_earlier_ones():
    answers = iter(
        [
            json.dumps({"program": F + "return sorted(x)", "inputs": ["[2, 1]", "[3, 0]"]}),
            json.dumps({"program": "def f(y):  # renamed\n    return sorted(y)", "inputs": ["[2, 1]", "[3, 0]"]}),
            json.dumps({"program": F + "return x[::-1]", "inputs": ["[2, 1]", "[3, 0]"]}),
        ]
    )
    llm = ScriptedLLM(lambda messages: next(answers))
    proposer = code(Materials(llm=llm), kinds=["deduction"], backend="bubblewrap")
    try:
        proposal = await proposer.propose(2, {})
    finally:
        await proposer.close()
    assert [task.truth["outputs"] for task in proposal.tasks] == [["[1, 2]"], ["[1, 2]"]]
    assert [one.reason for one in proposal.refused] == ["duplicate"]
    assert not any("$" in messages[0].content for messages in llm.calls)
    assert "the output is missing" in llm.calls[0][0].content and "return sorted(x)" in llm.calls[1][0].content


def test_programs_and_values_as_text():
    assert normal_form("def f(a):\n    'doc'\n    b = a  # why\n    return b") == normal_form(
        "def f(x):\n  y = x\n  return y"
    )
    assert normal_form("def f(a):\n    return a + 1") != normal_form("def f(a):\n    return a - 1")
    assert unfit("import re\ndef f(x):\n    return re.sub('\\d', '', x)") is None and value_of("'\\d'") == ("\\d",)
    assert unfit("from . import x\n" + F + "return x") == ("banned", "from None")
    assert arguments_of("1, [2]") == (1, [2]) and arguments_of("") is None and arguments_of("1)(2") is None
    assert value_of("(1,)") == ((1,),) and value_of("1e999") is None and value_of("[" * 300) is None
    value = {"a": ({3, 1, 2}, (1,), [None, True], set()), 2: -1.5}
    assert written(value) == "{'a': ({1, 2, 3}, (1,), [None, True], set()), 2: -1.5}"
    assert same(value_of(written(value))[0], value) and written_arguments((1, "a")) == "1, 'a'"
    for one, other in ((1, True), (1, 1.0), ([1], (1,)), ({1: 2}, {1: 2.0}), ({1}, {True}), ([1], [1, 1])):
        assert not same(one, other)


# --- questions over documents -------------------------------------------------------------------------------------

WIKI = {
    f"town{n}.md": (
        f"The harbour of {name} was opened in {1800 + 7 * n} by the engineer {who}. "
        f"Its lighthouse stands {30 + n} metres high above the northern pier."
    )
    for n, (name, who) in enumerate(
        zip(
            ("Varnholm", "Kestrel", "Orlin", "Sefton", "Padua", "Lisse", "Brack", "Tarn", "Moyle", "Quend"),
            ("Brandt", "Reyes", "Okoro", "Silva", "Novak", "Haas", "Ito", "Marsh", "Cole", "Vidal"),
            strict=True,
        )
    )
}


@pytest.fixture
def wiki(tmp_path):
    folder = tmp_path / "wiki"
    folder.mkdir()
    for name, text in WIKI.items():
        (folder / name).write_text(text)
    return folder


class Reader:
    """Finds who opened a harbour, if a text says so; knows by heart what water is, and breaks on one question."""

    async def answer(self, question, texts, generator):
        if "breaks" in question:
            raise RuntimeError("the answerer fell over")
        if "capital of France" in question:
            return "Paris"
        for text in texts:
            words = text.replace(".", "").split()
            if "opened" in question and words[3] in question:
                return words[-12] if "engineer" in question else words[7]
        return None


async def test_ill_posed_questions_are_refused_and_valid_ones_pass(wiki):
    maker = QuestionMaker(str(wiki), Reader())
    where = {passage.document: passage for passage in passages_of(wiki)}
    valid, ill = [], []
    for n, (name, text) in enumerate(WIKI.items()):
        town, year = text.split()[3], str(1800 + 7 * n)
        valid.append((Question(f"In which year was the harbour of {town} opened for ships?", year), where[name]))
    first = where["town0.md"]
    ill = [
        (Question("In which year, if not 1800, was the harbour of Varnholm opened?", "1800"), "answer_in_question"),
        (Question("In which year was the harbour of Varnholm opened for ships?", "1799"), "answer_not_in_document"),
        (Question("Which year saw the harbours of Quend, of Moyle and of Padua?", "1800"), "not_found_by_search"),
        (Question("How high does the lighthouse of Varnholm stand in metres?", "30"), "not_answered"),
        (Question("In which year breaks the harbour of Varnholm and its lighthouse?", "1800"), "unchecked"),
        (Question("When?", "1800"), "too_short"),
        (Question("In which year was the harbour of Varnholm opened?", "1800"), "too_short"),  # nine words
        (Question(f"In which year was the harbour of Varnholm opened{' up' * 400}?", "1800"), "too_long"),
        (Question("Which sign stands after the name of the harbour of Varnholm?", "..."), "fields"),
    ]
    paris = Passage("town0.md", first.text + " Paris")
    ill.append(
        (Question("What is the capital of France, as the harbour of Varnholm knows?", "Paris"), "answered_without")
    )
    try:
        for draft, passage in valid:
            attempt = await maker._closed(draft, passage, random.Random(0), None)
            assert attempt.made is not None, attempt
            assert attempt.made.task.truth == draft.answer and passage.text not in attempt.made.task.model_dump_json()
        for draft, reason in ill:
            passage = paris if draft.answer == "Paris" else first
            attempt = await maker._closed(draft, passage, random.Random(0), None)
            assert attempt.made is None and attempt.refusal.reason == reason, (draft, attempt)
    finally:
        await maker.close()


async def test_an_answerer_that_is_down_is_no_word_about_the_question(wiki):
    class Down:
        async def answer(self, question, texts, generator):
            raise ModelError("nobody there", kind="outage")

    maker = QuestionMaker(str(wiki), Down())
    attempts = [await maker.make("documents", random.Random(seed), []) for seed in range(6)]
    await maker.close()
    assert {one.refusal.reason for one in attempts if one.refusal.reason != "not_found_by_search"} == {"model"}


async def test_questions_are_made_without_a_model_and_played(wiki, tmp_path):
    proposer = documents(Materials(said=said), str(wiki))
    proposal = await proposer.propose(5, {})
    assert await proposer.propose(5, {}) == proposal
    await proposer.close()
    assert len(proposal.tasks) == 5
    write_tasks(tmp_path / "t.jsonl", list(proposal.tasks))
    taskset = ProposedTaskset(str(tmp_path / "t.jsonl"))
    world = taskset.environment()
    for task in taskset.tasks("train"):
        assert task.truth not in task.goal and task.truth in WIKI[task.options["document"]]
        await world.reset(task=task)
        assert (await world.step(task.truth))[1] == 1.0
        await world.reset(task=task)
        assert (await world.step("something else"))[1] == 0.0
    await world.close()


async def test_a_model_writes_questions_and_answers_them(wiki):
    def answer(messages):
        text = messages[0].content
        assert "$" not in text
        if text.startswith("You make up questions"):
            town = text.split("harbour of ")[1].split()[0]
            year = text.split("opened in ")[1].split()[0]
            return json.dumps(
                {"question": f"In which year was the harbour of {town} opened for ships?", "answer": year}
            )
        town = text.rsplit("harbour of ", 1)[1].split()[0]
        _, found, after = text.partition(f"harbour of {town} was opened in ")
        return f"<think>hm</think> {after.split()[0]}." if found else "Unknown."

    proposer = documents(Materials(llm=ScriptedLLM(answer)), str(wiki))
    proposal = await proposer.propose(4, {})
    await proposer.close()
    assert len(proposal.tasks) == 4 and set(proposal.figures["refused"]) <= {"duplicate"}
    llm = ScriptedLLM(["no idea", "unknown", " UNKNOWN. ", ""])
    said_by = ModelAnswerer(llm)
    assert [await said_by.answer("q", ["t"], random.Random(0)) for _ in range(4)] == ["no idea", None, None, None]


def test_one_document_is_not_enough(tmp_path):
    (tmp_path / "a.md").write_text("The harbour of Varnholm was opened in 1874 by Ilse Brandt.")
    with pytest.raises(ConfigError, match="need two documents or more"):
        documents(Materials(), str(tmp_path))
    (tmp_path / "a.md").unlink()
    with pytest.raises(ConfigError, match="there are no documents in"):
        documents(Materials(), str(tmp_path))


# --- the taskset and the command ----------------------------------------------------------------------------------


async def test_tasks_of_other_tasksets_are_played_in_their_own_world(tmp_path):
    given = TINY.tasks("train", limit=1)
    file = tmp_path / "t.jsonl"
    write_tasks(file, [*given, *given])
    config = config_for(file, TasksetConfig(name="household", options={"size": "tiny"}))
    taskset = load_taskset(config.name, config.options)
    assert taskset.tasks("train") == given and taskset.splits() == ["train"]
    world = taskset.environment()
    await world.reset(task=given[0])
    for action in TINY.game(given[0]).walkthrough:
        *_, terminated, _, info = await world.step(action)
    assert terminated and info["success"]
    await world.close()
    with pytest.raises(EnvironmentFailure, match="was not reset"):
        await world.step("look")
    with pytest.raises(EnvironmentFailure, match="names no world: 'moon'"):
        await world.reset(task=Task(id="m", goal="", environment="proposed", options={"world": "moon"}))


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "cannot read proposed tasks"), ("{}\n", "line 1: no task"), ("", "no split 'train'")],
)
def test_files_that_hold_no_tasks_are_said(tmp_path, text, words):
    file = tmp_path / "t.jsonl"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        ProposedTaskset(str(file)).tasks("train")


def in_here(*words):
    """Run the command in this process, and return what it printed."""
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_command_proposes_writes_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    size = ["-s", "taskset.options.size=tiny", "-s", "taskset.options.games=3"]
    made = ["propose", *size, "--by", "household", "-n", 3, "--out", "t.jsonl", "--state", "s.json"]
    first = json.loads(in_here(*made, "--json"))
    assert len(first["tasks"]) == 3 and first["figures"]["admitted"] == 3
    assert "3 tasks by household" in in_here(*made)
    second = [task.id for task in read_tasks(tmp_path / "t.jsonl")]
    assert set(second).isdisjoint(task["id"] for task in first["tasks"])
    assert json.loads((tmp_path / "s.json").read_text())["round"] == 2
    world = "lamarck.evals.proposed.taskset:ProposedTaskset"
    play = ["--taskset", world, "--data", "t.jsonl", "--model", "random", "--max-steps", 15, "--samples", 2]
    in_here("run", *play, "--out", "run", "-q")
    told = json.loads(in_here("propose", *size, "--by", "bandit", "-n", 2, "--history", "run", "--json"))
    assert set(told["earned"]) == set(second)
    assert sum(told["figures"]["chances"].values()) == pytest.approx(1.0, abs=0.001)
    assert "relabelled" in in_here("propose", "--by", "list")
    for words, said_so in (
        (["--by", "nobody"], "no proposer 'nobody'; there are: band, bandit, code, documents, household"),
        (["--by", "bandit", "--state", "s.json"], "of the proposer 'household', not of 'bandit'"),
        (["--by", "bandit", "-s", "near=2"], "near in the flags is 2"),
        (["--by", "household", "-s", "reward=luck", "--history", "run"], "no reward 'luck'"),
    ):
        with pytest.raises(ConfigError, match=said_so):
            in_here("propose", *size, *words)
