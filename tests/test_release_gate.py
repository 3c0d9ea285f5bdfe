"""`lamarck release gate`: a test that was begun goes on with more held-out tasks, in one account."""

import asyncio
import sys

import pytest
from lamarck.agent.llms import build_llm
from lamarck.agent.prompting import Prompts
from lamarck.cli import app
from lamarck.cli.evolving.again import weigh_again
from lamarck.cli.evolving.gating import Gating
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.sides import Sides
from lamarck.cli.wire_release import draft_of
from lamarck.config_evolve import EvolveConfig
from lamarck.errors import ConfigError
from lamarck.evals.gate.spending import share
from lamarck.locks import FileLock
from lamarck.releases import Releases

TASKS = 10
SETTINGS = {
    "learn.weights": False,
    "held_out.split": "all",
    "held_out.limit": 3,
    "held_out.chunk": 2,
    "probes": ["provenance"],
    "run.taskset.name": "test_release_gate:Corridor",
    "run.taskset.options": {"episodes": TASKS},
}


class Corridor:
    """Behind the first of many doors it goes on; who opens any of them is mostly lost."""

    goal = "get through"
    concurrency = "inline"

    def reset(self, seed, task):
        return f"Corridor {seed}.", {"admissible_actions": [f"open {n}" for n in range(1, 61)]}

    def step(self, action):
        won = action == "open 1"
        return "On.", float(won), True, False, {"admissible_actions": [], "success": won}


@pytest.fixture
def home(tmp_path):
    return made(tmp_path, SETTINGS)


def made(folder, settings):
    """Return a home with who opens any door in force, and who opens the first ones beside it."""
    found = Home(folder / "home")
    config = EvolveConfig.load(None, settings)
    found.create(config, resume=False)
    with Releases.open(found.path, create=True) as releases:
        for name in ("random", "first"):
            run = config.run.model_copy(update={"model": config.run.model.model_copy(update={"name": name})})
            made = releases.put(draft_of(run, build_llm(run.model), Prompts(run.solver.prompts)))
            if name == "random":
                releases.begin(made.id)
    return found


def named(home, name):
    with Releases.open(home.path) as releases:
        return next(one.release.id for one in releases.tree() if one.release.base_model == name)


def decided(home):
    with Releases.open(home.path) as releases:
        return releases.log.reports()


def test_a_test_goes_on_with_more_tasks_and_spends_nothing_more(home):
    better = named(home, "first")
    short = weigh_again(home, better, quiet=True)
    assert (short.decision, len(short.looked_at["held-out"]), short.test_number) == ("not_yet", 3, 1)
    played = {file: file.stat().st_mtime_ns for file in home.path.glob("evaluations/*/held-out-*/run.toml")}
    long = weigh_again(home, better, TASKS, quiet=True)
    # Eight won of eight are the first to reach 1 / alpha; the look after six was not there yet.
    assert (long.decision, len(long.looked_at["held-out"])) == ("promote", 8)
    assert (long.test_number, long.alpha) == (1, short.alpha)
    assert short.looked_at["held-out"].items() <= long.looked_at["held-out"].items()
    assert all(file.stat().st_mtime_ns == at for file, at in played.items())
    # What was begun with fewer tasks stays, and the rest of that chunk lies beside it.
    names = sorted(file.parent.name for file in home.path.glob(f"evaluations/{better[:12]}/held-out-*/run.toml"))
    assert names == ["held-out-000", "held-out-001", "held-out-001-1", "held-out-002", "held-out-003"]
    with Releases.open(home.path) as releases:
        assert releases.promote(better).report_id == long.id


def test_no_look_sees_less_than_the_one_before(home):
    better = named(home, "first")
    first = weigh_again(home, better, 6, quiet=True)
    assert first.decision == "not_yet"
    for limit in (2, 5, 6, None):
        assert weigh_again(home, better, limit, quiet=True).id == first.id
    assert len(decided(home)) == 1


def test_against_another_head_it_is_one_test_more(home):
    better, before = named(home, "first"), named(home, "random")
    weigh_again(home, better, quiet=True)
    with Releases.open(home.path) as releases:
        releases.promote(better, force="to see")
    turned = weigh_again(home, before, 6, quiet=True)
    assert (turned.incumbent, turned.test_number) == (better, 2)
    assert turned.alpha == pytest.approx(0.05 * share(2))


def test_the_rest_of_a_chunk_is_not_looked_at_where_it_is_not_asked_for(home):
    better, before = named(home, "first"), named(home, "random")
    weigh_again(home, better, 4, quiet=True)
    config = home.load()
    with Releases.open(home.path) as releases:
        held = config.run.taskset.model_copy(update={"split": "all", "limit": 3})
        gating = Gating(home, config, releases, quiet=True)
        tasks = gating._looks((before, "of no test"), [])[-1]
        side = asyncio.run(Sides(home, config, quiet=True).side(better, "candidate", "held-out", held, tasks))
    assert len(tasks) == len(side.samples) == side.infrastructure.planned == 3


def test_other_tasks_under_the_same_names_are_refused(home):
    better = named(home, "first")
    weigh_again(home, better, quiet=True)
    settings = SETTINGS | {"run.taskset.seed": 5}
    home.config_path.write_text(EvolveConfig.load(None, settings).dump_toml())
    with pytest.raises(ConfigError, match="has played other tasks than those that held-out has now"):
        weigh_again(home, better, quiet=True)


def test_what_cannot_be_weighed_is_said(home):
    with pytest.raises(ConfigError, match=r"is in force, so there is nothing to weigh it against"):
        weigh_again(home, "head", quiet=True)
    with pytest.raises(ConfigError, match="has no one release 'zz'"):
        weigh_again(home, "zz", quiet=True)
    lock = FileLock(home.path / "lock")
    try:
        assert lock.acquire(wait=False)
        with pytest.raises(ConfigError, match="in use by another process"):
            weigh_again(home, named(home, "first"), quiet=True)
    finally:
        lock.close()
    with pytest.raises(ConfigError, match="there is no evolution"):
        weigh_again(Home(home.path / "nowhere"), "head", quiet=True)


def test_what_is_held_out_may_grow_and_not_shrink(home):
    with pytest.raises(ConfigError, match=r"held_out.limit was 3 and is 2 now\."):
        home.create(EvolveConfig.load(None, SETTINGS | {"held_out.limit": 2}), resume=True)
    home.create(EvolveConfig.load(None, SETTINGS | {"held_out.limit": 5}), resume=True)
    assert home.load().held_out.limit == 5


def test_each_line_of_the_command_says_what_to_do_next(home, capsys, monkeypatch):
    def said(*arguments):
        monkeypatch.setattr(sys, "argv", ["lamarck", "release", *map(str, arguments)])
        with pytest.raises(SystemExit):
            app.run()
        return capsys.readouterr().out

    better = named(home, "first")[:12]
    told = said("gate", home.path, better, "-q")
    assert f"lamarck release gate {home.path} {better} --held-out-limit " in told.replace("\n", " ")
    told = said("gate", home.path, better, "-q", "--held-out-limit", TASKS)
    assert f"lamarck release promote {home.path} {better}" in told
    assert "by promote" in said("promote", home.path, better)


class LongCorridor(Corridor):
    """Every door is got through in the end; who opens the right one first is there in one step."""

    def step(self, action):
        won = action == "open 1"
        doors = [f"open {n}" for n in range(1, 9)]
        return "On.", float(won), won, False, {"admissible_actions": [] if won else doors, "success": won}


def test_an_evolution_that_is_after_cost_alone_promotes_what_is_no_worse_and_saves(tmp_path):
    settings = {
        **SETTINGS,
        "claim": "cheaper",
        "gate.saving": "steps",
        "gate.margin": 0.3,
        "held_out.limit": 30,
        "held_out.chunk": 30,
        "run.solver.max_steps": 200,
        "run.taskset.name": "test_release_gate:LongCorridor",
        "run.taskset.options": {"episodes": 30},
    }
    home = made(tmp_path, settings)
    report = weigh_again(home, named(home, "first"), quiet=True)
    assert (report.decision, report.claim) == ("promote", "cheaper")
    assert {"not worse", "saving"} <= {check.name for check in report.checks}
    # As a claim of being better, the same games show nothing.
    home = made(tmp_path / "again", settings | {"claim": "better"})
    assert weigh_again(home, named(home, "first"), quiet=True).decision != "promote"
