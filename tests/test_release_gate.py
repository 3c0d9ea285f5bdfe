"""`lamarck release gate`: a test that was begun goes on with more held-out tasks, in one account."""

import asyncio
import sys

import pytest
from lamarck.agent.evolution.generation import Generation
from lamarck.agent.llms import build_llm
from lamarck.agent.prompting import Prompts
from lamarck.cli import app
from lamarck.cli.evolve import run
from lamarck.cli.evolving.again import next_step, weigh_again
from lamarck.cli.evolving.budget import Allowance
from lamarck.cli.evolving.gating import Gating
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.sides import Sides
from lamarck.cli.wire_release import draft_of
from lamarck.config_evolve import EvolveConfig, PhaseBudget
from lamarck.core_evolution import Check, GateReport
from lamarck.errors import ConfigError
from lamarck.evals.gate.spending import share
from lamarck.locks import FileLock
from lamarck.releases import Releases
from lamarck.rundir import RunDirectory

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


def test_a_kill_before_a_generation_has_a_store_keeps_nothing_from_being_asked(home, capsys, monkeypatch):
    head, better = named(home, "random"), named(home, "first")
    home.keep(Generation(number=1, parent=head, head=head))
    begun = RunDirectory(home.generation(1) / "collect")
    begun.create(home.load().run, resume=False)
    for line in (["probe", home.path, "--only", "provenance"], ["release", "gate", home.path, better[:12], "-q"]):
        monkeypatch.setattr(sys, "argv", ["lamarck", *map(str, line)])
        with pytest.raises(SystemExit) as ended:
            app.run()
        assert not ended.value.code, capsys.readouterr().err
    assert [one.decision for one in decided(home)] == ["not_yet"] and not begun.store_path.exists()


def gated(home, candidate):
    """Gate a candidate as a process does that goes on when the time for it is up."""
    up = Allowance(PhaseBudget(max_hours=1.0), lambda: 7200.0)
    head = named(home, "random")
    now = Generation(number=1, parent=head, head=head, candidate=candidate)
    home.keep(now)
    with Releases.open(home.path) as releases:
        ruling = asyncio.run(Gating(home, home.load(), releases, allowed=up, quiet=True).gate(now))
    return ruling, decided(home)[-1]


def test_a_gate_that_was_killed_decides_on_all_that_it_had_begun(tmp_path):
    others = [{"name": "test_release_gate:Corridor", "split": "all", "limit": 5, "options": {"episodes": 5}}]
    home = made(tmp_path, SETTINGS | {"held_out.limit": 7, "held_out.others": others})
    better, config = named(home, "first"), home.load()
    with Releases.open(home.path) as releases:
        # What it had played when it died: all of the other environment, and two chunks.
        early = config.model_copy(update={"held_out": config.held_out.model_copy(update={"limit": 4})})
        asyncio.run(Gating(home, early, releases, quiet=True).weigh(named(home, "random"), better))
    (home.evaluation(better, "held-out-001") / "played").unlink()  # the second one not quite to its end
    ruling, report = gated(home, better)
    assert ruling.decision == "not_yet" and ruling.figures["budget"] == {"max_hours": 3}
    assert sorted(len(tasks) for tasks in report.looked_at.values()) == [4, 5]


def test_what_was_looked_at_beyond_the_limit_is_not_left_out(home):
    better = named(home, "first")
    weigh_again(home, better, 6, quiet=True)
    ruling, report = gated(home, better)
    assert ruling.decision == "not_yet" and len(report.looked_at["held-out"]) == 6
    assert "budget" not in ruling.figures


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


def test_who_is_refused_changes_nothing(home):
    more = EvolveConfig.load(None, SETTINGS | {"held_out.limit": 5})
    with FileLock(home.path / "lock"), pytest.raises(ConfigError, match="in use by another process"):
        run(more, home, resume=True, quiet=True)
    assert home.load().held_out.limit == 3
    with pytest.raises(ConfigError, match="there is no evolution"):
        run(more, Home(home.path / "nowhere"), resume=True, quiet=True)
    assert not (home.path / "nowhere").exists()


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


def still_open(looked_at=99, planned=100, samples=1, waived=(), **further):
    """Return a report on so many tasks, and the checks that are open with the episodes that would settle them."""
    checks = [
        Check(
            name=name,
            outcome="unknown" if name in further else "pass",
            sentence="",
            figures={"planned": planned * samples} | ({"further_episodes": more} if more else {}),
        )
        for name, more in ({"outcomes": 0} | further).items()
    ]
    return GateReport.of(
        candidate="c" * 32, incumbent="i" * 32, decision="not_yet", checks=tuple(checks), alpha=0.03, test_number=1,
        held_out="h" * 32, further_episodes=sum(further.values()) or None,
        looked_at={"held-out": {f"t{n}": {0: 1.0} for n in range(looked_at)}},
        settings={"samples": samples, "waived": list(waived)},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("report", "limit", "tasks"),
    [
        # One game of a hundred was lost: there may be more tasks than those that were asked for.
        (still_open(gain=40), 100, 120),
        (still_open(gain=40), None, 120),
        (still_open(looked_at=100, samples=4, gain=40, categories=16), 100, 105),
        # Held-out tasks say nothing of other environments.
        (still_open(gain=10, environments=300), 100, 105),
        (still_open(environments=300), 100, None),
        (still_open(gain=0, environments=300), 100, None),
        (still_open(categories=40, waived=("categories",), gain=0), 100, None),
        # What was lost is played again; the tasks are the same.
        (still_open(looked_at=80, outcomes=20, gain=0), 100, 100),
    ],
)
def test_what_more_held_out_tasks_can_settle(tmp_path, report, limit, tasks):
    told = next_step(Home(tmp_path), report, limit)
    said = f"Let the gate go on with it: lamarck release gate {tmp_path} cccccccccccc --held-out-limit {tasks}"
    assert told == (said if tasks is not None else None)


def test_where_there_are_no_more_held_out_tasks_that_is_said(tmp_path):
    told = next_step(Home(tmp_path), still_open(gain=40), 101)
    assert told == "There are no more than these 100 held-out tasks, so the gate cannot go on with it."


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
