"""Budgets of single phases, and the clock that goes on over kills."""

import asyncio
import signal
from types import SimpleNamespace

import pytest
import signs  # noqa: F401  # the world that the settings name
import tiny_worlds
from lamarck.agent.ending import trajectory_id
from lamarck.agent.evolution.generation import Generation
from lamarck.agent.tasksets import load_taskset
from lamarck.cli.evolve import check, switched_on
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving.begin import begun
from lamarck.cli.evolving.budget import Allowance, Budget, Meter
from lamarck.cli.evolving.clock import PhaseClock
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.learned import Learned
from lamarck.cli.evolving.phases import Evolving
from lamarck.cli.evolving.playing import attempts, played
from lamarck.cli.evolving.training import Training
from lamarck.cli.wire import select
from lamarck.config_evolve import BudgetConfig, EvolveConfig, PhaseBudget, TimeBudget
from lamarck.core import Reply, Usage
from lamarck.errors import ModelError
from lamarck.releases import Releases
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from lamarck.training.output import TrainDirectory
from lamarck.weights import read_manifest
from test_evolve_costs import FEW, script  # noqa: F401  # a fixture
from test_evolve_verify import SETTINGS

EACH = Usage(prompt_tokens=8, completion_tokens=2, calls=1)
"""What one decision takes."""


def evolved(folder, *, resume=False, **settings):
    config = EvolveConfig.load(None, SETTINGS | FEW | {"generations": 1} | settings)
    check(config)
    return evolve(config, Home(folder), resume=resume, quiet=True)


@pytest.fixture
def always_left(tmp_path):
    """A model that always goes left, at ten tokens each; one episode at a time."""
    file = tmp_path / "left.jsonl"
    file.write_text((Reply(text="left", usage=EACH).model_dump_json() + "\n") * 60)
    return {"run.model.name": f"scripted:{file}", "run.collect.concurrency": 1}


def test_collecting_ends_with_its_budget_and_the_generation_goes_on(tmp_path, always_left):
    limit = {"budget.phases.collect.max_tokens": 35}
    [record] = evolved(tmp_path / "home", **always_left, **limit)
    collected = record.figures["collect"]
    assert 35 <= collected["tokens"] < 35 + 2 * EACH.tokens
    assert 0 < collected["attempts"] < 6 and collected["budget"] == {"max_tokens": 6 - collected["attempts"]}
    assert record.ended and record.figures["credit"]["attempts"] == collected["attempts"]
    # The next generation has a budget of its own.
    again = evolved(tmp_path / "home", resume=True, **always_left, **limit, **{"generations": 2})
    assert again[0] == record and again[1].figures["collect"]["tokens"] >= 35


def test_what_fits_its_budget_is_not_told_of(tmp_path, always_left):
    [record] = evolved(tmp_path / "home", **always_left, **{"budget.phases.collect.max_tokens": 1000})
    assert record.figures["collect"]["attempts"] == 6 and "budget" not in record.figures["collect"]


def test_distilling_ends_with_its_budget(tmp_path, script):  # noqa: F811
    # 35 tokens for each attempt: after three of them it is 105.
    [record] = evolved(tmp_path / "home", **script, **{"budget.phases.distil.max_tokens": 100})
    assert record.figures["distil"]["tokens"] == 105 and record.figures["distil"]["budget"] == {"max_tokens": 3}


def test_a_link_that_was_begun_is_gone_on_with_though_there_is_enough(tmp_path, monkeypatch, always_left):
    given = {**always_left, "learn.chain": 2}

    async def dying(config, folder, label, **more):
        if "link 2" not in label:
            return await played(config, folder, label, **more)
        directory = RunDirectory(folder)
        with Store.open(directory.store_url(config)) as store:
            there = {one.task.id for one in store.headers()}
            task = next(one for one in select(load_taskset("signs:Signs", {}), config.taskset) if one.id not in there)
            ident = trajectory_id(directory.run_id, task.id, 0, 0)
            store.begin_attempt(ident, run_id=directory.run_id, task=task, sample=0, attempt=0)
        raise ModelError("as if killed")

    with monkeypatch.context() as patch, pytest.raises(ModelError):
        patch.setattr("lamarck.cli.evolving.collecting.played", dying)
        evolved(tmp_path / "home", **given)
    monkeypatch.setattr(Meter, "enough", lambda self: True)
    [record] = evolved(tmp_path / "home", resume=True, **given)
    assert record.ended and record.figures["collect"]["attempts"] == 3 + 1


def test_distilling_between_links_has_a_clock_of_its_own(tmp_path, monkeypatch):
    """Playing has taken two hours here, and distilling may take one."""
    monkeypatch.setattr(PhaseClock, "seconds", lambda self: 7200.0)
    [record] = evolved(tmp_path / "home", **{"learn.chain": 2, "budget.phases.distil.max_hours": 1.0})
    learned = Learned.read(Home(tmp_path / "home").generation(1))
    assert len(learned.attempts) == 6 and "budget" not in record.figures["distil"] and learned.seconds > 0


def test_a_gate_that_has_spent_its_budget_says_not_yet_and_how_many_games_are_left(tmp_path, always_left):
    given = {"gated": True, "held_out.chunk": 2, **always_left}
    [whole] = evolved(tmp_path / "whole", **given)
    [short] = evolved(tmp_path / "short", **given, **{"budget.phases.gate.max_tokens": 1})
    assert (whole.decision, short.decision) == ("not_yet", "not_yet")
    assert whole.figures["gate"]["candidate"]["games"] == 4 and "budget" not in whole.figures["gate"]
    assert short.figures["gate"]["candidate"]["games"] == 2
    assert short.figures["gate"]["budget"] == {"max_tokens": 2}


def test_games_of_other_environments_count(tmp_path, always_left):
    """All that a gate lets play is in what it took: those of others too, and none of them twice."""
    others = [{"name": "signs:Signs", "split": "train", "ids": ["train/38", "train/39"]}]
    given = {"gated": True, "held_out.chunk": 4, **always_left}
    [alone] = evolved(tmp_path / "alone", **given)
    [record] = evolved(tmp_path / "home", **given, **{"held_out.others": others})
    played = [RunDirectory(file.parent) for file in (tmp_path / "home" / "evaluations").rglob("run.toml")]
    elsewhere = [one for run in played if "other" in run.path.name for one in attempts(run)]
    assert len(elsewhere) == 4
    more = sum(one.usage.tokens for one in elsewhere)
    assert more > 0 and record.figures["gate"]["tokens"] == alone.figures["gate"]["tokens"] + more


def test_training_ends_with_its_budget_and_what_it_has_come_to_is_the_adapter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    settings = tiny_worlds.world(tmp_path) | {
        "generations": 1, "gated": False, "propose.tasks": 8, "learn.least": 1, "train.optimizer.epochs": 8.0,
        "run.taskset.name": "tiny_worlds_signs:Ways", "budget.phases.train.max_hours": 1e-9,
    }  # fmt: skip
    config = EvolveConfig.load(None, settings)
    [record] = evolve(config, home := Home(tmp_path / "home"), resume=False, quiet=True)
    trained = record.figures["train"]
    assert trained["updates"] == 1 and trained["budget"]["max_hours"] >= 1
    assert read_manifest(home.generation(1) / "train" / "best").id == trained["adapter"]
    with Releases.open(home.path) as releases:
        assert releases.get(record.candidate).adapter == trained["adapter"]
        # A process that died before it was told of does not train on.
        phases = Evolving(home, begun(config), releases, quiet=True)
        figures = {name: found for name, found in record.figures.items() if name in ("propose", "collect")}
        again = asyncio.run(phases.train(record.model_copy(update={"figures": figures, "ended": False})))
    assert again == trained


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_stops_training_is_heard_though_its_time_is_up(tmp_path, monkeypatch, number):
    def fitted(config, directory, watch, *, resume):
        signal.raise_signal(number)
        assert watch.stopping()
        return SimpleNamespace(interrupted=True, steps=1, steps_planned=9)

    monkeypatch.setattr("lamarck.cli.evolving.training.fitted", fitted)
    home, config = Home(tmp_path), EvolveConfig.load(None, SETTINGS)
    up = Allowance(TimeBudget(max_hours=1.0), lambda: 7200.0)
    training = Training(home, config, None, None, None, allowed=up, quiet=True)
    now, directory = Generation(number=1, parent="a", head="a"), TrainDirectory(home.generation(1) / "train")
    with pytest.raises(KeyboardInterrupt):
        training._fitted(now, config.train, directory)
    # With the next process it ends where it is, as its time is up.
    assert not (home.generation(1) / "train-stopped.json").exists()


def test_who_stops_training_in_its_last_update_is_heard(tmp_path, monkeypatch):
    """The stage is finished then; the evolution does not go on to its gate, and resumed it finds what was trained."""
    at = iter([signal.SIGINT, None])

    def fitted(config, directory, watch, *, resume):
        if (number := next(at)) is not None:
            signal.raise_signal(number)
        return SimpleNamespace(interrupted=False, steps=9, steps_planned=9)

    monkeypatch.setattr("lamarck.cli.evolving.training.fitted", fitted)
    home, config = Home(tmp_path), EvolveConfig.load(None, SETTINGS)
    training = Training(home, config, None, None, None, quiet=True)
    now, directory = Generation(number=1, parent="a", head="a"), TrainDirectory(home.generation(1) / "train")
    with pytest.raises(KeyboardInterrupt):
        training._fitted(now, config.train, directory)
    summary, planned = training._fitted(now, config.train, directory)
    assert (summary.steps, planned) == (9, 9)


class Hands:
    """A clock that goes when it is told to."""

    def __init__(self):
        self.at = 100.0

    def __call__(self):
        return self.at


def test_a_phase_takes_what_all_processes_took_that_worked_on_it(tmp_path):
    home, hands = Home(tmp_path), Hands()
    now = Generation(number=1, parent="a", head="a")
    home.keep(now)
    with pytest.raises(KeyboardInterrupt), PhaseClock(home, hands)(now, "collect"):
        hands.at += 3000
        raise KeyboardInterrupt
    hands.at += 50_000  # nobody worked on it
    later = PhaseClock(home, hands)
    assert later.unended(now) == 3000
    # So that an evolution that is killed again and again comes to the end of its budget.
    assert Budget(BudgetConfig(max_hours=0.8), home.kept, later.unended).spent()
    assert not Budget(BudgetConfig(max_hours=0.9), home.kept, later.unended).spent()
    with later(now, "collect") as seconds:
        hands.at += 600
        assert seconds() == later.seconds() == 3600
        assert Allowance(TimeBudget(max_hours=1.0), later.seconds).reached() == "max_hours"
    with later(now, "credit") as seconds:
        assert seconds() == 0
    assert later.unended(now.after("credit", {}, 0.0)) == 0.0


def test_a_meter_counts_what_was_there_and_has_never_enough_of_nothing():
    allowed = Allowance(PhaseBudget(max_cost_usd=1.0, max_hours=1.0), lambda: 7200.0)
    assert allowed.reached() == "max_hours" and not Meter(allowed).enough()
    assert not Allowance().limited and Allowance().reached(10**9, 10.0**9) == ""
    assert Allowance(PhaseBudget(max_cost_usd=1.0)).reached(cost_usd=1.0) == "max_cost_usd"


def test_credit_and_distilling_can_be_switched_apart():
    def on(**settings):
        return switched_on(EvolveConfig.load(None, {"learn.weights": False, "gated": False} | settings))

    assert on() == ("credit", "distil")
    assert on(**{"learn.credit": False}) == ("distil",) and on(**{"learn.distil": False}) == ("credit",)
    assert on(**{"learn.memory": False}) == ()
