"""Curricula and the making of tasks: pure, kill-safe, and of use to a simulated student."""

import asyncio
import copy
import json
import random

import pytest
from lamarck.agent.proposers.admission import Admission, HeldOut
from lamarck.agent.proposers.episodes import episodes
from lamarck.agent.proposers.finding import load_proposer, proposer_names
from lamarck.agent.proposers.likeness import Said
from lamarck.agent.proposers.making import Attempt, Made, Making, refused
from lamarck.agent.proposers.proposer import Asked, Materials, Outcome, Proposal, Refusal
from lamarck.agent.proposers.rewards import informativeness
from lamarck.agent.proposers.writing import Writer, strictly
from lamarck.agent.scripted import ScriptedLLM
from lamarck.core import Message, Reply, Task
from lamarck.errors import ConfigError, ModelError
from lamarck.training.rows import step_rows
from pydantic import BaseModel, ConfigDict, Field
from student import DIFFICULTY, LEARNABLE, Student, episodes_to, pool, rounds

CURRICULA = ("uniform", "bandit", "regret", "band", "learnability")
SEEDS = 20


def proposed(proposer, n=4, state=None):
    return asyncio.run(proposer.propose(n, state or {}))


# --- curricula ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CURRICULA)
def test_the_same_state_gives_the_same_answer_and_is_left_as_it_was(name):
    proposer = load_proposer(name, Materials(tasks=pool(), seed=3))
    (_, state), *_ = list(rounds(proposer, Student(0), 3))[-1:]
    before = copy.deepcopy(state)
    one = proposed(proposer, 8, state)
    again = proposed(load_proposer(name, Materials(tasks=pool(), seed=3)), 8, json.loads(json.dumps(state)))
    assert one == again and state == before
    told = [Outcome(task_id=task.id, category=task.category, attempts=2, solved=1) for task in one.tasks]
    assert proposer.feedback(told, one.state) == proposer.feedback(told, one.state) and one == again
    assert proposed(proposer, 8, one.state).tasks != one.tasks
    other = proposed(load_proposer(name, Materials(tasks=pool(), seed=4)), 8, state)
    assert other.tasks != one.tasks


def test_held_out_tasks_are_never_drawn_whatever_their_name():
    tasks = pool({"near": 0.0}, each=6)
    renamed = tuple(task.model_copy(update={"id": f"other-{task.id}", "split": "test"}) for task in tasks[:4])
    proposal = proposed(load_proposer("uniform", Materials(tasks=tasks, held_out=renamed)), 6)
    assert {task.id for task in proposal.tasks} == {"near/4", "near/5"}
    assert [(one.reason, one.detail) for one in proposal.refused] == [("held_out", f"near/{n}") for n in range(4)]
    with pytest.raises(ConfigError, match="no tasks to draw from: all 6 are held out"):
        load_proposer("uniform", Materials(tasks=tasks, held_out=tasks))
    with pytest.raises(ConfigError, match="no tasks to draw from: none were given"):
        load_proposer("bandit", Materials())


def test_the_state_of_another_proposer_is_refused():
    state = proposed(load_proposer("uniform", Materials(tasks=pool()))).state
    with pytest.raises(ConfigError, match="is of the proposer 'uniform', not of 'bandit'"):
        proposed(load_proposer("bandit", Materials(tasks=pool())), 4, state)


@pytest.mark.parametrize("name", ["bandit", "band"])
def test_a_curriculum_reaches_the_target_with_fewer_episodes_than_uniform(name):
    tasks = pool()

    def needed(by):
        return [
            episodes_to(0.9, load_proposer(by, Materials(tasks=tasks, seed=seed)), Student(seed))
            for seed in range(SEEDS)
        ]

    plain, chosen = needed("uniform"), needed(name)
    # By chance alone, 16 of 20 or more would be better once in 170 times.
    assert sum(one > other for one, other in zip(plain, chosen, strict=True)) >= 16
    assert sum(chosen) < 0.75 * sum(plain)


def test_the_bandit_finds_what_can_be_learnt_and_leaves_it_when_it_is_learnt():
    student = Student(0, {"easy": -8.0, "far": 2.0, "impossible": 30.0}, rate=0.02)
    proposer = load_proposer("bandit", Materials(tasks=pool(student.difficulty)))
    shares, chances = [], []
    for outcomes, _ in rounds(proposer, student, 60):
        shares.append(sum(one.category == "far" for one in outcomes) / len(outcomes))
        chances.append(student.chance("far"))
    learning = [share for share, p in zip(shares[8:], chances[8:], strict=True) if p < 0.9]
    learnt = [share for share, p in zip(shares, chances, strict=True) if p > 0.98]
    assert sum(learning) / len(learning) > 0.6 and sum(learnt) / len(learnt) < 0.5


def test_regret_finds_tasks_that_say_more_than_uniform_ones_do():
    said = {}
    for name in ("uniform", "regret"):
        student, found = Student(0, rate=0.0), []
        for outcomes, _ in rounds(load_proposer(name, Materials(tasks=pool())), student, 30):
            found += [informativeness(one) for one in outcomes]
        said[name] = sum(found) / len(found)
    assert said["regret"] >= 1.5 * said["uniform"]
    assert set(LEARNABLE) < set(DIFFICULTY)


# --- who may pass -------------------------------------------------------------------------------------------------

ROOM = " ".join(f"thing {n} on table {n % 3}" for n in range(20))


def test_duplicates_near_duplicates_and_held_out_tasks_are_told_apart():
    held_out = HeldOut([Said("find the key", ROOM)], near=0.8)
    door = Admission(held_out, 0.8, {})
    near = ROOM.replace("thing 7", "cup 7")
    told = [
        door.admit(Said("find the key", ROOM.upper())),
        door.admit(Said("find the key", near)),
        door.admit(Said("find the lamp", ROOM)),
        door.admit(Said("find the  LAMP", ROOM)),
        door.admit(Said("find the lamp", near)),
        door.admit(Said("find the cup", near)),
    ]
    assert [one and one.reason for one in told] == [
        "held_out",
        "near_held_out",
        None,
        "duplicate",
        "near_duplicate",
        None,
    ]
    kept = json.loads(json.dumps(door.kept()))
    later = Admission(held_out, 0.8, kept)
    assert later.admit(Said("find the lamp", ROOM)).reason == "duplicate"
    assert later.admit(Said("find the lamp", near)).reason == "near_duplicate"
    figures = door.diversity(["a", "b"], [one for one in told if one is not None])
    assert figures["admitted"] == 2 and figures["categories"] == 2 and figures["distance"] == 1.0
    assert figures["refused"] == dict.fromkeys(("duplicate", "held_out", "near_duplicate", "near_held_out"), 0.1667)


# --- making -------------------------------------------------------------------------------------------------------


class Counting:
    """Makes numbers; the small ones are refused."""

    name = "counting"
    categories = ("odd", "even")

    def __init__(self):
        self.shown = []

    async def make(self, category, generator, examples):
        self.shown.append(len(examples))
        number = 2 * generator.randrange(50) + (category == "odd")
        if number < 20:
            return refused("unsolvable", number)
        task = Task(id=f"n/{number}", goal=f"count to {number}", environment="toy", category=category)
        return Attempt(Made(task, Said(task.goal), number))

    async def close(self):
        pass


def test_making_goes_on_until_there_are_enough_and_never_makes_one_twice():
    proposer = Making(Counting(), Materials(seed=1))
    first = proposed(proposer, 12)
    second = proposed(proposer, 12, first.state)
    assert proposed(Making(Counting(), Materials(seed=1)), 12, json.loads(json.dumps(first.state))) == second
    assert len(first.tasks) == len(second.tasks) == 12
    assert len({task.id for task in first.tasks + second.tasks}) == 24
    assert {one.reason for one in first.refused + second.refused} == {"unsolvable", "duplicate"}
    assert all(int(task.id[2:]) >= 20 for task in first.tasks + second.tasks)
    assert sorted(first.state["buffer"]) == ["even", "odd"]
    everything = proposed(proposer, 200, second.state)
    assert len(everything.tasks) < 200 and len(everything.tasks) + 24 <= 80


def test_making_never_passes_what_is_held_out_and_counts_it():
    held_out = tuple(Task(id=f"h{n}", goal=f"Count to {n}", environment="toy", truth="x") for n in range(20, 60))
    proposal = proposed(Making(Counting(), Materials(held_out=held_out, said=lambda task: Said(task.goal))), 10)
    assert len(proposal.tasks) == 10 and min(int(task.id[2:]) for task in proposal.tasks) >= 60
    assert proposal.figures["refused"]["held_out"] > 0.1


def test_making_prefers_categories_by_its_rule():
    proposer = Making(Counting(), Materials(), rule="bandit", rule_options={"tau": 0.05, "explore": 0.0})
    first = proposed(proposer, 4)
    told = [Outcome(task_id="a", category="odd", attempts=4, solved=2)] * 3
    told += [Outcome(task_id="b", category="even", attempts=4, solved=0)] * 3
    state = first.state
    for _ in range(3):
        state = proposer.feedback(told, state)
    assert {task.category for task in proposed(proposer, 8, state).tasks} == {"odd"}
    with pytest.raises(ConfigError, match="tries is at least 1"):
        Making(Counting(), Materials(tries=0))


# --- a model as the proposer --------------------------------------------------------------------------------------


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    count: int = Field(gt=0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"name": "a", "count": 2}', None),
        ('```json\n{"name": "a", "count": 2}\n```', None),
        ('<think>well {"name": "b", "count": 1}</think>\n{"name": "a", "count": 2}', None),
        ('Here it is: {"name": "a", "count": 2}', "format"),
        ('{"name": "a", "count": 2} {"name": "b", "count": 2}', "format"),
        ('[{"name": "a", "count": 2}]', "fields"),
        ('{"name": "a", "count": "2"}', "fields"),
        ('{"name": "a", "count": 2.5}', "fields"),
        ('{"name": "a", "count": 0}', "fields"),
        ('{"name": "a"}', "fields"),
        ('{"name": "a", "count": 2, "more": 1}', "fields"),
        ("", "format"),
        ("null", "fields"),
        ('{"name": "\ud800", "count": 2}', "format"),
        ("[" * 5000, "format"),
        ("x" * 30_000, "too_long"),
    ],
)
def test_an_answer_is_read_strictly(text, reason):
    found = strictly(text, Form)
    assert found == Form(name="a", count=2) if reason is None else found.reason == reason


def garbage(seed):
    """Return an answer as models give them that have come apart."""
    draw = random.Random(seed)
    good = '{"type": "pick_and_place_simple", "room": "bedroom", "receptacles": {"Desk": 1}, "objects": {"Pen": 1}, '
    good += '"target": "Pen"}'
    ways = (
        lambda: "".join(chr(draw.randrange(1, 0x2FFF)) for _ in range(draw.randrange(200))),
        lambda: good[: draw.randrange(len(good))],
        lambda: good.replace('"', "'"),
        lambda: good.replace("1", draw.choice(['"1"', "-1", "1e999", "NaN", "null", "[1]", "10000000"])),
        lambda: good.replace("Pen", draw.choice(["Dragon", "", "pen", "DeskLamp", "../../etc"])),
        lambda: json.dumps(draw.choice([None, 1, [], {}, "text", [[[]]], {"type": {}}])),
        lambda: "{" * draw.randrange(1, 4000),
        lambda: '{"a":' * draw.randrange(1, 4000) + "1",
        lambda: good + good,
        lambda: "I am sorry, but " + good,
        lambda: "\ud83d" + good + "\x00",
        lambda: good.replace("bedroom", draw.choice(["garage", "kitchen "])),
        lambda: "<think>" + good,
        lambda: "ha" * 15_000,
    )
    return draw.choice(ways)()


def test_two_hundred_garbage_answers_are_typed_refusals_and_nothing_else():
    from lamarck.evals.proposed.described import household

    asked = [garbage(seed) for seed in range(200)]
    llm = ScriptedLLM(asked)
    proposal = proposed(household(Materials(llm=llm, tries=8)), 25)
    assert proposal.tasks == () and len(proposal.refused) == len(llm.calls) == len(proposal.asked) == 200
    assert {one.reason for one in proposal.refused} >= {"format", "fields", "too_long", "unknown"}
    assert all(isinstance(one, Refusal) for one in proposal.refused)
    assert sum(proposal.figures["refused"].values()) == pytest.approx(1.0, abs=0.001)
    assert all(one.refusal is not None and one.task_id is None for one in proposal.asked)
    json.dumps(proposal.state)


async def test_a_model_that_answers_sometimes_is_counted_and_one_that_never_does_is_an_error():
    class Named:
        name, categories = "named", ("c",)

        def __init__(self, llm):
            self.writer = Writer(llm, "propose_code", Form)

        async def make(self, category, generator, examples):
            written = await self.writer.write(generator, missing="x")
            if not isinstance(written.form, Form):
                return Attempt(refusal=written.refusal, asked=written.asked)
            task = Task(id=written.form.name, goal=written.form.name, environment="toy", category=category)
            return Attempt(Made(task, Said(task.goal)), asked=written.asked)

        async def close(self):
            pass

    down = ModelError("no answer came.", kind="outage")
    some = Making(
        Named(ScriptedLLM([down, '{"name": "a", "count": 1}', "?", '{"name": "b", "count": 1}'])), Materials()
    )
    proposal = await some.propose(2, {})
    assert [task.id for task in proposal.tasks] == ["a", "b"]
    assert [one.reason for one in proposal.refused] == ["model", "format"]
    assert [one.task_id for one in proposal.asked] == ["a", None, "b"]
    assert proposal.asked[0].messages[0].content.startswith("You make up exercises")
    none = Making(Named(ScriptedLLM(lambda messages: down)), Materials())
    with pytest.raises(ModelError, match="proposer named got no answer in 16 questions: no answer came"):
        await none.propose(2, {})


def test_what_a_model_was_asked_can_be_trained_on():
    def asked(text, task_id=None, reason=None):
        refusal = Refusal(reason=reason, category="c") if reason else None
        reply = Reply(text=text, prompt_token_ids=(1, 2), token_ids=(3, 4), logprobs=(-0.5, -0.25), model="m")
        messages = (Message(role="user", content=f"ask {text}"),)
        return Asked(messages=messages, reply=reply, task_id=task_id, refusal=refusal)

    tasks = tuple(Task(id=name, goal=name, environment="toy", category="c") for name in ("hard", "easy", "unplayed"))
    proposal = Proposal(
        tasks=tasks,
        state={},
        asked=(
            *(asked("1", "hard"), asked("2", "easy"), asked("3", "unplayed")),
            *(asked("4", reason="unsolvable"), asked("5", reason="format"), asked("6", reason="unchecked")),
        ),
    )
    outcomes = [Outcome(task_id=name, attempts=4, solved=solved) for name, solved in (("hard", 1), ("easy", 4))]
    found = episodes(proposal, outcomes, by="code", run_id="r")
    assert [(one.steps[0].completion, one.reward) for one in found] == [
        ("1", 0.75),
        ("2", 0.0),
        ("4", -0.5),
        ("5", -1.0),
    ]
    assert len({one.id for one in found}) == 4 and {one.group_id for one in found} == {"r/proposer/code/c"}
    assert episodes(proposal, outcomes, by="code", run_id="r") == found
    assert episodes(proposal, outcomes, by="code", run_id="r", reward="uncertainty")[0].reward == 0.5
    rows = [row for one in found for row in step_rows(one)]
    assert len(rows) == 4 and rows[0].completion_ids == (3, 4)


# --- finding ------------------------------------------------------------------------------------------------------


def test_proposers_are_found_by_name_by_entry_point_and_by_module(tmp_path, monkeypatch):
    (tmp_path / "shop_of_mine.py").write_text(
        "class Mine:\n"
        "    name = 'mine'\n"
        "    def __init__(self, materials, *, size=1): self.size = size\n"
        "    async def propose(self, n, state): ...\n"
        "    def feedback(self, outcomes, state): return state\n"
        "    async def close(self): ...\n"
        "class Half:\n"
        "    def __init__(self, materials): ...\n"
    )
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lamarck.proposers]\nmine = shop_of_mine:Mine\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert {"mine", *CURRICULA} <= set(proposer_names())
    assert load_proposer("mine", Materials(), {"size": 3}).size == 3
    assert load_proposer("shop_of_mine:Mine", Materials()).size == 1
    for name, options, words in (
        ("nobody", {}, "no proposer 'nobody'; there are: band, bandit, learnability"),
        ("mine", {"colour": 1}, "proposer mine: .*colour.* It takes: size"),
        ("shop_of_mine:Half", {}, "proposer shop_of_mine:Half has no name and no propose"),
        ("shop_of_mine:None_", {}, "shop_of_mine has no None_"),
        ("no_such_module:X", {}, "cannot import no_such_module"),
    ):
        with pytest.raises(ConfigError, match=words):
            load_proposer(name, Materials(), options)
