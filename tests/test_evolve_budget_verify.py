"""The budget of judging when all attempts are there, and what chains take from the time for playing."""

import asyncio
import shutil
from types import SimpleNamespace

import pytest
import typer
from crowd import Crowd
from judgements import attempt
from lamarck.agent.verifiers.records import Verdicts
from lamarck.cli.evolve import check
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving.clock import PhaseClock
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.learned import Learned
from lamarck.cli.evolving.phases import Evolving
from lamarck.cli.evolving.playing import attempts
from lamarck.cli.evolving.verdict_meter import VerdictMeter
from lamarck.cli.evolving.verifying import Verifying
from lamarck.config_evolve import EvolveConfig, PhaseBudget
from lamarck.core import Task
from lamarck.rundir import RunDirectory
from test_evolve_verify import SETTINGS

FOUR = {
    "generations": 1, "gated": False, "propose.tasks": 4, "run.collect.samples": 4, "run.collect.concurrency": 1,
    "run.verify.by": "crowd:Crowd",
}  # fmt: skip


def evolved(folder, *, resume=False, **settings):
    config = EvolveConfig.load(None, SETTINGS | FOUR | settings)
    check(config)
    [record] = evolve(config, home := Home(folder), resume=resume, quiet=True)
    return SimpleNamespace(home=home, config=config, record=record)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A generation whose budget nothing ends."""
    return evolved(tmp_path_factory.mktemp("whole") / "home")


@pytest.fixture
def judged(whole, tmp_path):
    """Judge a copy of what was played there, as a process that knows nothing of those before it."""

    def go(name, **budget):
        folder = tmp_path / name
        if not folder.exists():
            shutil.copytree(whole.home.path, folder)
            shutil.rmtree(Home(folder).generation(1) / "collect" / "verdicts")
            Crowd.asked, Crowd.at = [], 0.0
        verifying = Verifying(home := Home(folder), whole.config, PhaseBudget(**budget), lambda: Crowd.at)
        figures = asyncio.run(verifying.verify(whole.record))
        records = Verdicts(home.generation(1) / "collect").read("crowd").records
        return figures, {ident: one.verdict for ident, one in records.items()}

    return go


def tasks_of(found):
    return {one.id: one.task.id for one in attempts(RunDirectory(found.home.generation(1) / "collect"))}


def test_what_is_left_when_the_budget_ends_is_not_learned_from(tmp_path, whole):
    found = evolved(tmp_path / "home", **{"budget.phases.verify.max_tokens": 40})
    told = found.record.figures
    # 7 tokens each: after six attempts it is 42.
    assert (told["verify"]["tokens"], told["verify"]["verdicts"], told["verify"]["abstained"]) == (42, 6, 0)
    assert told["verify"]["budget"] == {"max_tokens": 10} and "budget" not in whole.record.figures["verify"]
    assert told["credit"]["attempts"] == 6 and told["credit"]["left_out"] == {"without a verdict": 10}
    assert told["collect"]["attempts"] == told["collect"]["tokens"] / 7 == 16 and found.record.ended
    # Those are no wrong ones: neither for memory and proposers nor for what the verifier's word is worth.
    counted, _ = Verifying(found.home, found.config).counting(1)
    assert len(counted) == 6 and sum(one.success for one in counted) == told["verify"]["accepted"]
    assert told["verify"]["known"] == 6 and told["verify"]["accuracy"] == 1.0


@pytest.mark.parametrize("budget", [{"max_tokens": 30}, {"max_cost_usd": 1.25}, {"max_hours": 2.5}])
@pytest.mark.parametrize("dies_at", [0, 2, 4])
def test_a_kill_changes_nothing_of_what_is_judged(whole, judged, budget, dies_at):
    (limit,) = budget
    once, verdicts = judged("once", **budget)
    assert once["budget"] == {limit: 11} and len(verdicts) == 5
    # Task by task: as few as can be are judged in part.
    assert len({tasks_of(whole)[ident] for ident in verdicts}) == 2
    asked, Crowd.dies_at = list(Crowd.asked), dies_at
    with pytest.raises(KeyboardInterrupt):
        judged("killed", **budget)
    Crowd.at += 50_000  # nobody worked on it
    assert judged("killed", **budget) == (once, verdicts) and Crowd.asked == asked
    # Nor once the limit is reached.
    assert judged("killed", **budget) == (once, verdicts) and Crowd.asked == asked


def test_whole_tasks_come_one_after_the_other_and_others_first_in_each_generation(tmp_path):
    found = [
        attempt("go", sample=sample, task=Task(id=f"t{n}", goal="g", environment="e"))
        for sample in range(3)
        for n in range(5)
    ]

    def order(number):
        run = tmp_path / f"{number:03d}" / "collect"
        put = VerdictMeter(run, Verdicts(run), "crowd").sorted(found)
        assert [one.sample for one in put] == [0, 1, 2] * 5
        return [one.task.id for one in put[::3]]

    assert all(sorted(order(number)) == [f"t{n}" for n in range(5)] for number in range(1, 9))
    assert order(1) == order(1) and len({order(number)[0] for number in range(1, 9)}) > 1


def test_learning_between_links_takes_no_time_from_playing(tmp_path, monkeypatch):
    """Judging and distilling take two hours after each link, and playing may take one."""
    hands = SimpleNamespace(at=0.0)
    monkeypatch.setattr(PhaseClock, "seconds", lambda self: hands.at)
    learn = Evolving._learn

    async def slow(self, now):
        await learn(self, now)
        hands.at += 7200

    monkeypatch.setattr(Evolving, "_learn", slow)
    chained = {"learn.chain": 2, "budget.phases.collect.max_hours": 1.0}
    found = evolved(tmp_path / "home", **chained)
    collected = found.record.figures["collect"]
    assert collected["attempts"] == 16 and "budget" not in collected
    assert Learned.read(found.home.generation(1)).between == hands.at == 7200


@pytest.mark.parametrize("before", [True, False])
def test_learning_that_was_killed_takes_no_time_from_playing(tmp_path, monkeypatch, before):
    """The clock of the phase goes on over kills: what learning had taken by then is none of playing either."""
    hands, kills = SimpleNamespace(at=0.0), [True, True]
    monkeypatch.setattr(PhaseClock, "seconds", lambda self: hands.at)
    learn = Evolving._learn

    async def dying(self, now):
        if not before:
            await learn(self, now)
        hands.at += 7200
        if kills:
            kills.pop()
            raise KeyboardInterrupt
        await learn(self, now)

    monkeypatch.setattr(Evolving, "_learn", dying)
    chained = {"learn.chain": 2, "budget.phases.collect.max_hours": 1.0}
    for resume in (False, True):
        with pytest.raises(typer.Exit):
            evolved(tmp_path / "home", resume=resume, **chained)
    found = evolved(tmp_path / "home", resume=True, **chained)
    collected = found.record.figures["collect"]
    assert collected["attempts"] == 16 and "budget" not in collected
    learned = Learned.read(found.home.generation(1))
    assert (learned.between, learned.began, learned.links) == (21_600, None, 1)
