"""The budget of a proposer that makes its tasks, and what is left of its work after a kill."""

import asyncio
import itertools
import json
from types import SimpleNamespace

import pytest
from lamarck.agent.evolution.generation import Generation
from lamarck.agent.proposers.ledger import CountedLLM
from lamarck.agent.proposers.making import refused
from lamarck.agent.proposers.proposer import Asked, Proposal
from lamarck.agent.scripted import ScriptedLLM
from lamarck.cli.evolve import check
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving.budget import Allowance
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import attempts
from lamarck.cli.evolving.proposing import ASKED, FILE, TASKS, Proposing
from lamarck.cli.evolving.tried import Tried
from lamarck.cli.evolving.verifying import Verifying
from lamarck.config_evolve import EvolveConfig, PhaseBudget
from lamarck.core import Message, Reply, Usage
from lamarck.errors import ConfigError, ModelError
from lamarck.rundir import RunDirectory
from test_evolve_proposing import PLAIN

PRICE = Usage(prompt_tokens=3, completion_tokens=1, cost_usd=0.25, calls=1)
SETTINGS = {
    "generations": 1, "gated": False, "learn.memory": False, "learn.weights": False, "held_out.split": "valid",
    "propose.by": "sums", "propose.options": {"kinds": ["plus"]}, "propose.tasks": 5, "propose.near": 1.0,
    "propose.model": "scripted:somebody", "run.taskset.name": "questions", "run.collect.concurrency": 1,
    "run.solver.protocol": "text", "run.solver.max_steps": 1,
}  # fmt: skip
SAID = ("1+2", "nonsense", "3+4", "5+6", "7+8", "9+10", "11+12")
NOW = Generation(number=1, parent="a", head="a")


def reply(text):
    return Reply(text=json.dumps({"expression": text}), usage=PRICE)


class Talker:
    """A model that goes on where it was, over processes, takes half an hour for each answer, and may die of one."""

    def __init__(self, said=SAID, dies_at=-1):
        self.said, self.asked, self.dies_at, self.at = [*said], 0, dies_at, 0.0

    def seconds(self):
        return self.at

    def __call__(self, messages):
        if self.asked == self.dies_at:
            self.dies_at = -1
            raise KeyboardInterrupt
        self.asked += 1
        self.at += 1800
        said = self.said[self.asked - 1]
        return said if isinstance(said, Exception) else reply(said)


@pytest.fixture
def proposed(tmp_path, monkeypatch):
    """Let a talker propose in a folder, as a process that knows nothing of those before it."""

    def go(name, talker, **budget):
        monkeypatch.setattr("lamarck.cli.wire_propose.build_llm", lambda config: ScriptedLLM(talker))
        home, config = Home(tmp_path / name), EvolveConfig.load(None, SETTINGS)
        allowed = Allowance(PhaseBudget(**budget), talker.seconds)
        proposing = Proposing(home, config, Verifying(home, config), allowed=allowed)
        figures = asyncio.run(proposing.propose(NOW))
        folder = home.generation(1)
        assert {one.name for one in folder.iterdir()} == {FILE, TASKS, ASKED}
        return figures, [(folder / file).read_text() for file in (FILE, TASKS, ASKED)]

    return go


def test_making_ends_with_its_budget_and_what_was_made_is_played(tmp_path):
    for name, texts in (("proposer", map(reply, SAID)), ("solver", [Reply(text="<action>3</action>")] * 9)):
        (tmp_path / name).write_text("".join(one.model_dump_json() + "\n" for one in texts))
    settings = {"propose.model": f"scripted:{tmp_path}/proposer", "run.model.name": f"scripted:{tmp_path}/solver"}
    config = EvolveConfig.load(None, SETTINGS | settings | {"budget.phases.propose.max_tokens": 10})
    check(config)
    [record] = evolve(config, home := Home(tmp_path / "home"), resume=False, quiet=True)
    told = record.figures["propose"]
    # 4 tokens each: after three attempts, of which one is no sum, it is 12.
    assert (told["tokens"], told["tasks"], told["budget"]) == (12, 2, {"max_tokens": 3})
    played = attempts(RunDirectory(home.generation(1) / "collect"))
    assert sorted(one.task.goal for one in played) == ["What is 1 + 2?", "What is 3 + 4?"]


def test_what_fits_its_budget_is_not_told_of(proposed):
    plain, files = proposed("plain", Talker())
    assert proposed("fits", Talker(), max_tokens=25, max_hours=9.0, max_cost_usd=2.0) == (plain, files)
    assert (plain["tasks"], plain["tokens"], plain["cost_usd"]) == (5, 24, 1.5) and "budget" not in plain


@pytest.mark.parametrize("budget", [{"max_tokens": 13}, {"max_cost_usd": 1.0}, {"max_hours": 2.0}])
@pytest.mark.parametrize("dies_at", range(4))
def test_a_killed_proposer_goes_on_and_the_budget_ends_where_it_would_have(proposed, budget, dies_at):
    """None of what a model made is asked for again, and all of it counts."""
    (limit,) = budget
    whole, files = proposed("whole", Talker(), **budget)
    assert whole["budget"] == {limit: 2} and whole["tokens"] == 16
    talker = Talker(dies_at=dies_at)
    with pytest.raises(KeyboardInterrupt):
        proposed("killed", talker, **budget)
    assert proposed("killed", talker, **budget) == (whole, files) and talker.asked == 4


@pytest.mark.parametrize("budget", [{"max_tokens": 13}, {"max_hours": 2.0}])
def test_a_limit_that_was_reached_before_a_kill_stays_reached(proposed, monkeypatch, budget):
    whole, files = proposed("whole", Talker(), **budget)
    talker = Talker()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("lamarck.cli.evolving.proposing.write_tasks", _dying)
        proposed("killed", talker, **budget)
    talker.at += 9000  # the clock of the phase goes on over kills
    assert proposed("killed", talker, **budget) == (whole, files) and talker.asked == 4


def _dying(*_):
    raise KeyboardInterrupt


@pytest.mark.parametrize("budget", [{"max_tokens": 8}, {"max_hours": 1.0}])
def test_without_one_task_the_limit_is_named_and_who_goes_on_has_all_of_it_again(proposed, budget):
    (limit,) = budget
    talker = Talker(["no", "none", *SAID])
    with pytest.raises(ConfigError, match=f"has nothing to play in generation 1: 2 refused before .*{limit} was"):
        proposed("home", talker, **budget)
    figures, _ = proposed("home", talker, **budget)
    # What nothing came of is none of that, and spent all the same.
    assert (figures["tasks"], figures["tokens"], figures["budget"]) == (1, 16, {limit: 4})


def test_a_model_that_was_down_is_asked_anew(proposed):
    down = [ModelError("nobody there", kind="outage")] * 40
    talker = Talker([*down, *SAID])
    with pytest.raises(ModelError, match="got no answer in 40 questions"):
        proposed("home", talker)
    assert proposed("home", talker) == proposed("whole", Talker())


@pytest.mark.parametrize("answers", [0, 2])
def test_who_stops_while_the_model_is_down_and_goes_on_asks_anew(proposed, answers):
    """What was said before that is not asked for again."""
    down = [ModelError("nobody there", kind="outage")] * (39 - answers)
    talker = Talker([*SAID[:answers], *down, *SAID[answers:]], dies_at=39)
    with pytest.raises(KeyboardInterrupt):
        proposed("home", talker)
    assert proposed("home", talker) == proposed("whole", Talker()) and talker.asked == 39 + 6 - answers


@pytest.mark.parametrize("budget", [{"max_tokens": 9}, {"max_hours": 1.5}])
def test_a_model_that_takes_longer_to_load_than_there_is_time_is_asked_once(proposed, budget):
    talker = Talker()
    talker.at = 7200
    figures, _ = proposed("home", talker, **budget)
    assert figures["tasks"] == (2 if "max_tokens" in budget else 1)


def test_given_tasks_that_stand_in_are_not_left_out_by_a_budget(tmp_path):
    """Looking for something to relabel has ended with its budget."""
    config = EvolveConfig.load(None, PLAIN | {"propose.by": "relabelled"})
    clock = itertools.count(0, 600)
    allowed = Allowance(PhaseBudget(max_hours=1.0), lambda: next(clock))
    figures = asyncio.run(Proposing(Home(tmp_path), config, SimpleNamespace(), allowed=allowed).propose(NOW))
    assert figures["given"] == figures["tasks"] == 6 and figures["refused"] == {"nothing_reached": 1.0}
    assert next(clock) == 3600 + 600 and "budget" not in figures


def test_what_a_proposer_of_a_package_asked_of_a_model_of_its_own_is_told(tmp_path, monkeypatch):
    class Own:
        name = "own"

        def __init__(self, materials):
            self.tasks = materials.tasks

        async def propose(self, n, state):
            asked = Asked(messages=(Message(role="user", content="?"),), reply=reply("1+2"))
            return Proposal(tasks=self.tasks[:n], state={}, asked=(asked, asked))

        async def close(self): ...

    monkeypatch.setattr("lamarck.cli.wire_propose.load_proposer", lambda by, materials, *more: Own(materials))
    settings = {"propose.by": "own", "propose.model": None, "propose.options": {}}
    config = EvolveConfig.load(None, SETTINGS | settings)
    figures = asyncio.run(Proposing(home := Home(tmp_path), config, Verifying(home, config)).propose(NOW))
    assert (figures["tasks"], figures["tokens"], figures["cost_usd"]) == (5, 8, 0.5)


def test_who_chooses_among_given_tasks_takes_no_notice(tmp_path):
    settings = {"propose.by": "uniform", "propose.model": None, "propose.options": {}}
    home, config = Home(tmp_path), EvolveConfig.load(None, SETTINGS | settings)
    allowed = Allowance(PhaseBudget(max_hours=1.0), lambda: 7200.0)
    figures = asyncio.run(Proposing(home, config, Verifying(home, config), allowed=allowed).propose(NOW))
    assert figures["tasks"] == 5 and "budget" not in figures


@pytest.mark.parametrize(("cut", "whole"), [(1, 3), (7, 2)])
def test_a_line_that_a_kill_has_cut_is_made_again(tmp_path, cut, whole):
    """Without its newline alone it is there, and what follows it is a line of its own."""
    tried = Tried(tmp_path, Allowance())
    for number in range(3):
        tried.heard(PRICE)
        tried.add(refused("unsolvable", number))
    [file] = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-cut])

    def details():
        return [one.refusal.detail for one in Tried(tmp_path, Allowance()).tried()]

    for _ in range(2):
        again = Tried(tmp_path, Allowance())
        assert details() == [*"012"][:whole] and again.usage == PRICE + PRICE + PRICE
    for number in range(whole, 5):
        again.add(refused("unsolvable", number))
    assert details() == [*"01234"]


def test_an_answer_whose_attempt_a_kill_has_cut_off_is_paid(tmp_path):
    tried = Tried(tmp_path, Allowance())
    tried.heard(PRICE)
    tried.add(refused("unsolvable", 0))
    tried.heard(PRICE)
    again = Tried(tmp_path, Allowance(PhaseBudget(max_tokens=8)))
    assert len(again.tried()) == 1 and again.usage == PRICE + PRICE and again.enough()


async def test_every_answer_of_a_model_that_proposes_is_counted():
    found = []
    llm = CountedLLM(ScriptedLLM(itertools.repeat(Reply(text="a", usage=PRICE))), found.append)
    question = [Message(role="user", content="?")]
    assert (await llm.chat(question)).text == (await llm.choose(question, ["a", "b"])).text == "a"
    assert found == [PRICE, PRICE] and llm.name == "scripted"
    llm.end_session("s")
    await llm.close()
