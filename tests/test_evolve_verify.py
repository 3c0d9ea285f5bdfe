"""The verifier in an evolution: what its word is worth where the truth is known, and learning where it is withheld."""

import asyncio
import json
import shutil
import sys
from types import SimpleNamespace

import pytest
import signs
from canaries import MARKS
from lamarck.agent.evolution.graph import EvolutionContext
from lamarck.agent.evolution.graph import evolve as go_through
from lamarck.agent.verifiers.sealed import FILE as OUTCOMES
from lamarck.agent.verifiers.sealed import Outcomes
from lamarck.cli.app import app
from lamarck.cli.evolve import check, switched_on
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving.begin import begin
from lamarck.cli.evolving.collecting import Collecting
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.measured import gated
from lamarck.cli.evolving.phases import Evolving
from lamarck.cli.evolving.verifying import Verifying
from lamarck.cli.evolving.words import came_to, said
from lamarck.config_evolve import EvolveConfig
from lamarck.config_training import TrainConfig
from lamarck.core import Item
from lamarck.errors import ConfigError, TrainingError
from lamarck.releases import Releases
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from lamarck.training.sources import load_sources
from tiny_folder import base
from typer.testing import CliRunner

SETTINGS = {
    "generations": 2,
    "grow": "latest",
    "propose.tasks": 20,
    "learn.by": "verdict",
    "learn.weights": False,
    "held_out.split": "test",
    "held_out.limit": 4,
    "held_out.chunk": 4,
    "probes": ("texts", "leakage"),
    "run.taskset.name": "signs:Signs",
    "run.model.name": "random",
    "run.solver.max_steps": 3,
    "run.verify.by": "signs:Reader",
    "run.verify.trust.least": 15,
    "run.verify.trust.recent": 20,
}
CHECKS = 'verify.options.checks=[{answer = "-?[0-9]+"}]'


def configured(**settings):
    config = EvolveConfig.load(None, SETTINGS | settings)
    check(config)
    return config


def evolved(folder, **settings):
    signs.RUNS.clear()
    config = configured(**settings)
    records = evolve(config, Home(folder), resume=False, quiet=True)
    return SimpleNamespace(home=Home(folder), config=config, records=records, figures=[one.figures for one in records])


def attempts_of(found, number):
    directory = RunDirectory(found.home.generation(number) / "collect")
    with Store.open(directory.store_path, create=False) as store:
        return {one.id: one for one in store.trajectories(run_id=directory.run_id)}


def attempts_in(folder):
    found = []
    for file in folder.rglob("run.toml"):
        directory = RunDirectory(file.parent)
        with Store.open(directory.store_path, create=False) as store:
            found += store.trajectories(run_id=directory.run_id)
    return found


def sources(found, number, kind="grpo"):
    samples = Verifying(found.home, found.config).samples(number)
    return load_sources(
        TrainConfig(kind=kind, stores=(str(found.home.generation(number) / "collect"),), samples=samples)
    )


@pytest.fixture(scope="module")
def erring(tmp_path_factory):
    """An evolution with a verifier that is wrong about every fifth task."""
    settings = {"gated": False, "run.verify.options": {"wrong": "fifth"}}
    return evolved(tmp_path_factory.mktemp("erring") / "home", **settings)


def test_the_noise_is_measured_over_all_generations(erring):
    known = [one for number in (1, 2) for one in attempts_of(erring, number).values()]
    wrong = [one for one in known if not one.success]
    right = [one for one in known if one.success]
    figures = erring.figures[1]["verify"]
    assert erring.figures[0]["verify"]["known"] == 20 and figures["known"] == 40
    assert figures["accepts_wrong"] == sum(one.verdict.passed for one in wrong) / len(wrong)
    assert figures["rejects_right"] == sum(not one.verdict.passed for one in right) / len(right)
    assert figures["judge"] == "reader" and 0.0 < figures["weight"] < 1.0
    file = json.loads((erring.home.generation(2) / "agreement.json").read_text())
    assert file["generations"] == 2 and file["verifiers"][0]["weight"] == figures["weight"]


def test_members_of_a_vote_are_measured_and_the_vote_alone_counts(tmp_path):
    """One reads the signs and one lies; the vote follows the first, and what the second is worth is nobody's weight."""
    members = [{"by": "signs:Reader"}, {"by": "signs:Reader", "options": {"wrong": "upside down"}, "weight": 0.2}]
    settings = {"generations": 1, "gated": False, "run.verify.by": "vote", "run.verify.options": {"members": members}}
    found = evolved(tmp_path / "home", **settings)
    [entry] = json.loads((found.home.generation(1) / "agreement.json").read_text())["verifiers"]
    assert (entry["judge"], entry["n"], entry["weight"]) == ("vote", 20, 1.0)
    first, second = entry["members"]
    assert (first["judge"], first["accuracy"]["value"]) == ("reader", 1.0)
    assert (second["judge"], second["accuracy"]["value"]) == ("reader (2)", 0.0)
    assert found.figures[0]["verify"]["weight"] == 1.0
    assert gated(found.home, found.config, 2).gate.weight == 1.0
    assert len(sources(found, 1).trajectories) == 20


def test_what_was_measured_corrects_what_is_learned_from(erring):
    counted, left_out = Verifying(erring.home, erring.config).counting(2)
    stored, figures = attempts_of(erring, 2), erring.figures[1]["verify"]
    low, high = figures["accepts_wrong"], 1 - figures["rejects_right"]
    assert len(counted) == 20 and not left_out
    for one in counted:
        expected = (stored[one.id].verdict.score - low) / (high - low)
        assert one.reward == pytest.approx(expected) and one.success == stored[one.id].verdict.passed
    trained = {one.id: one.reward for one in sources(erring, 2).trajectories}
    assert trained == {one.id: one.reward for one in counted}
    assert any(one.success != stored[one.id].success for one in counted)


def test_memory_learns_by_the_verdict(erring):
    """The rewards in its log are those of verdicts: 1 where one passed, and what a failure is worth where not."""
    memory = erring.config.run.memory
    with Store.open(erring.home.generation(1) / "memory" / "store.db", create=False) as store:
        rows = store.select("SELECT trajectory_id, reward FROM item_log WHERE subject LIKE 'trajectory:%'")
    stored = attempts_of(erring, 1)
    won = {one.id: one.verdict.passed for one in stored.values()}
    assert dict(rows) == {ident: 1.0 if passed else memory.credit.failure for ident, passed in won.items()}
    assert won != {one.id: one.success for one in stored.values()} and len(rows) == 20


def test_the_phase_says_the_same_when_it_is_done_again(erring):
    again = asyncio.run(Verifying(erring.home, erring.config).verify(erring.records[1]))
    assert again == erring.figures[1]["verify"]


def test_what_is_watched_for_a_collapse_is_the_verdict_s_reward(erring):
    for number, figures in enumerate(erring.figures, 1):
        passed = [one.verdict.passed for one in attempts_of(erring, number).values()]
        assert figures["collect"]["reward"] == pytest.approx(sum(passed) / len(passed))
        assert figures["verify"]["accepted"] == sum(passed)


def test_a_verifier_that_drifts_teaches_nothing(tmp_path):
    found = evolved(tmp_path / "home", **{"run.verify.options": {"wrong": "later"}, "gated": False})
    first, second = (one["verify"] for one in found.figures)
    assert (first["weight"], second["weight"], second["drifts"]) == (1.0, 0.0, True)
    assert "it drifts" in second["why"]
    assert found.figures[0]["credit"]["attempts"] == 20
    assert found.figures[1]["credit"] == {"attempts": 0, "items": 0, "left_out": {"verdict does not count": 20}}
    assert found.figures[1]["distil"]["new"] == 0
    with pytest.raises(TrainingError, match="20 verdict does not count"):
        sources(found, 2)


def test_the_environment_s_word_counts_where_nothing_else_is_said(tmp_path):
    """A verifier is asked and measured, and what is learned is the same as without it."""
    settings = {"generations": 1, "gated": False, "learn.by": "environment"}
    found = evolved(tmp_path / "home", **settings, **{"run.verify.options": {"wrong": "fifth"}})
    counted, _ = Verifying(found.home, found.config).counting(1)
    stored = attempts_of(found, 1)
    assert any(stored[one.id].verdict.passed != one.success for one in counted)
    assert all(one.success == stored[one.id].success and one.verdict is None for one in counted)
    assert found.figures[0]["verify"]["known"] == 20


def test_weights_are_trained_on_what_was_accepted(tmp_path):
    """With as much evidence as the verifier has accepted, and none where its word does not count."""
    settings = {
        "gated": False,
        "learn.memory": False,
        "learn.weights": True,
        "learn.least": 2,
        "learn.temperature": 1.0,
        "run.model.name": f"embedded:{base(tmp_path / 'tiny')}",
        "run.solver.history": 1,
        "run.solver.summary": 0,
        "run.verify.withhold": True,
        "run.verify.options": {"wrong": "hacked"},
        "generations": 1,
        "propose.tasks": 6,
        "train.optimizer.threads": 1,
        "train.report_to": [],
    }
    found = evolved(tmp_path / "home", **settings)
    assert found.figures[0]["verify"]["accepted"] == 6 == found.figures[0]["train"]["evidence"]
    assert found.figures[0]["train"]["adapter"] is not None
    config = TrainConfig.load(found.home.generation(1) / "train" / "train.toml")
    assert config.samples.outcome == "verdict"


# With the truth withheld.


@pytest.fixture(scope="module")
def withheld(tmp_path_factory):
    """An evolution whose verifier is silent about every second task, with the outcomes taken away once they are there.

    They are kept elsewhere, to compare with. Which files with outcomes are opened, and in which phase, is written down.
    """
    folder = tmp_path_factory.mktemp("withheld")
    config = configured(
        **{"run.verify.withhold": True, "run.verify.options": {"wrong": "silent"}, "run.repair.by": "verifier"},
    )
    home, taken, opened, phase = Home(folder / "home"), [], [], []
    signs.RUNS.clear()
    home.create(config, resume=False)

    def heard(event, arguments):
        if phase and event in ("open", "sqlite3.connect") and OUTCOMES in str(arguments[0]):
            opened.append((phase[-1], event, str(arguments[0])))

    def watch(now, begins):
        phase.append(f"{now.number} {begins}")
        if begins == "verify":
            file = home.generation(now.number) / "collect" / OUTCOMES
            taken.append(folder / f"outcomes-{now.number}.db")
            file.rename(taken[-1])
            for more in file.parent.glob(f"{OUTCOMES}-*"):
                more.unlink()

    with Releases.open(home.path, create=True) as releases:
        begin(config, home, releases, quiet=True)
        phases = Evolving(home, config, releases, quiet=True)
        context = EvolutionContext(phases, config.generations, switched_on(config), watch)
        sys.addaudithook(heard)
        records = asyncio.run(go_through(context))
    phase.clear()
    figures = [one.figures for one in records]
    return SimpleNamespace(home=home, config=config, records=records, figures=figures, taken=taken, opened=opened)


def places(home, mark):
    """Return the files under a folder in which a text stands, also as it is stored: in stores steps are compressed.

    Not in what Chroma keeps of its graph: it writes the room for vectors to come as it got it, with whatever this
    process had there before, such as games of other tests. Nothing reads that, and no release is exported with it.
    """
    found = []
    for file in home.path.rglob("*"):
        if file.is_file() and file.suffix != ".bin" and mark.encode() in file.read_bytes():
            found.append(str(file.relative_to(home.path)))
    for file in home.path.rglob("collect/store.db"):
        with Store.open(file, create=False) as store:
            if any(mark in one.model_dump_json() for one in store.trajectories()):
                found.append(str(file.relative_to(home.path)))
    return found


def test_nothing_of_the_truth_is_in_the_home(withheld):
    assert len(withheld.taken) == 2
    for mark in (*MARKS, str(signs.REWARD)):
        found = [name for name in places(withheld.home, mark) if not name.startswith("evaluations/")]
        assert found == [], mark
    with Outcomes.open(withheld.taken[0], create=False) as outcomes:
        ids = list(attempts_of(withheld, 1))
        kept = [row for ident in ids for row in outcomes.of(ident)]
    assert any(row.success for row in kept) and any(row.reward == signs.REWARD for row in kept)


def test_outcomes_are_opened_once_by_the_world_that_writes_them(withheld):
    files = [str((withheld.home.generation(number) / "collect" / OUTCOMES).absolute()) for number in (1, 2)]
    assert withheld.opened == [(f"{number} collect", "sqlite3.connect", file) for number, file in enumerate(files, 1)]


def test_nothing_of_what_is_held_out_is_learned_from(withheld):
    lived = {ident for number in (1, 2) for ident in attempts_of(withheld, number)}
    with Store.open(withheld.home.generation(2) / "memory" / "store.db", create=False) as store:
        items = [Item.model_validate_json(body) for (body,) in store.select("SELECT body FROM items")]
        credited = {ident for (ident,) in store.select("SELECT DISTINCT trajectory_id FROM item_log") if ident}
    learned = {ident for item in items for ident in item.trajectory_ids} | credited
    assert items and learned and learned <= lived
    assert {one.task.split for one in sources(withheld, 2).trajectories} == {"train"}


def test_the_same_is_full_of_it_where_nothing_is_withheld(erring):
    for mark in MARKS:
        assert any(not name.startswith("evaluations/") for name in places(erring.home, mark)), mark


def test_the_loop_learns_by_what_the_verifier_accepted(withheld):
    for number, figures in enumerate(withheld.figures, 1):
        stored = attempts_of(withheld, number)
        assert all(one.success is None and one.reward is None for one in stored.values())
        judged = [one for one in stored.values() if one.verdict is not None]
        assert 0 < len(judged) < len(stored)
        assert figures["verify"]["verdicts"] == len(judged) == figures["credit"]["attempts"]
        assert figures["credit"]["left_out"] == {"verifier abstained": len(stored) - len(judged)}
        told = figures["verify"]
        assert told["share"] == sum(one.verdict.passed for one in judged) / len(judged)
        assert told["confidence"] == pytest.approx(0.9) and told["weight"] is None and "withheld" in told["why"]
        assert "accuracy" not in told and not (withheld.home.generation(number) / "agreement.json").exists()
    assert withheld.figures[0]["distil"]["new"] > 0
    assert withheld.records[0].candidate != withheld.records[0].parent


def test_who_is_no_better_than_chance_sends_nobody_back_in_the_next_generation(tmp_path):
    settings = {"gated": False, "run.verify.options": {"wrong": "upside down"}, "run.repair.by": "verifier"}
    found = evolved(tmp_path / "home", **settings)
    first, second = (one["verify"] for one in found.figures)
    assert first["youden"] < 0 and first["weight"] == 0.0 and first["repairs"] > 0 == second["repairs"]
    gates = [
        RunDirectory(found.home.generation(number) / "collect").load_config().verify.gate.weight for number in (1, 2)
    ]
    assert gates == [1.0, 0.0]
    # What it says is stored as it said it, so that it goes on being measured.
    assert second["known"] > first["known"] and second["confidence"] == pytest.approx(0.9)


def test_a_generation_goes_on_by_the_weight_it_was_begun_with(erring, tmp_path):
    home = Home(shutil.copytree(erring.home.path, tmp_path / "home"))
    directory = RunDirectory(home.generation(2) / "collect")

    def weight():
        with Releases.open(home.path) as releases:
            collecting = Collecting(home, erring.config, releases, quiet=True)
            return collecting.config_of(erring.records[1], erring.config.run.taskset).verify.gate.weight

    measured, config = weight(), directory.load_config()
    assert measured == config.verify.gate.weight != 0.125
    gate = config.verify.gate.model_copy(update={"weight": 0.125})
    begun = config.model_copy(update={"verify": config.verify.model_copy(update={"gate": gate})})
    directory.config_path.write_text(begun.dump_toml())
    assert weight() == 0.125
    directory.config_path.unlink()
    assert weight() == measured


def all_gated(found):
    return [one["gate"] for one in found.figures]


def test_held_out_games_are_played_with_the_truth(withheld):
    gated, _ = all_gated(withheld)
    assert gated["incumbent"]["games"] == 4
    # Attempts that were sent back are no games of their own, nor for who is asked what it would have said of them.
    candidate = attempts_in(withheld.home.evaluation(withheld.records[0].candidate, ""))
    assert any(one.parent is not None for one in candidate)
    assert all(0 < side["games"] <= 4 for side in gated["audit"].values())
    # What judging them took is spent by the gate, and but once for a release.
    sides = [[one["audit"][name]["tokens"] for name in ("incumbent", "candidate")] for one in all_gated(withheld)]
    assert sides[0][1] == 3 * len(candidate) and sides[0][0] > 0 == sides[1][0]
    assert gated["tokens"] >= sum(sides[0])
    runs = [RunDirectory(file.parent) for file in (withheld.home.path / "evaluations").rglob("run.toml")]
    assert runs and not any(run.load_config().verify.withhold for run in runs)
    assert not list((withheld.home.path / "evaluations").rglob(OUTCOMES))


def test_repaired_attempts_are_siblings_that_both_teach(withheld):
    stored = attempts_of(withheld, 1)
    repaired = [one for one in stored.values() if one.parent is not None]
    assert repaired and withheld.figures[0]["verify"]["repairs"] == len(repaired)
    assert withheld.figures[0]["collect"]["attempts"] == 20 == len(stored) - len(repaired)
    groups = {frozenset(one.id for one in group) for group in sources(withheld, 1).groups()}
    for one in repaired:
        if one.verdict is not None and stored[one.parent].verdict is not None:
            assert any({one.id, one.parent} <= group for group in groups)


def test_curricula_are_told_what_was_accepted(withheld):
    counted, _ = Verifying(withheld.home, withheld.config).counting(1)
    assert {one.success for one in counted} == {True, False}
    state = json.loads((withheld.home.generation(2) / "propose.json").read_text())["state"]
    assert state


def test_what_is_said_of_a_generation_is_what_was_accepted(withheld):
    collected = withheld.figures[0]["collect"]
    assert "solved" not in collected and "success" not in collected
    assert came_to(collected) == f"{collected['accepted']}/20 accepted"
    assert f"{collected['accepted']} of 20 accepted in training" in said(withheld.records[0])


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"run.verify.withhold": True, "learn.by": "environment"}, "learn.by = environment goes by it"),
        ({"run.verify.by": "none"}, "learn.by = verdict needs a verifier, and run.verify.by is none"),
        ({"run.verify.by": "environment"}, "learn.by = verdict needs a verifier, and run.verify.by is environment"),
        ({"learn.by": "environment", "train.samples.outcome": "verdict"}, "train.samples.outcome is verdict"),
        ({"train.samples.outcome": "verdict", "train.samples.judge": "x"}, "train.samples.judge is x"),
        ({"run.verify.withhold": True, "run.repair.by": "reflexion"}, "goes by it"),
    ],
)
def test_settings_that_cannot_go_together(settings, line):
    with pytest.raises(ConfigError, match=line):
        configured(**settings)


def lamarck(*arguments):
    """Run a command in this process; return what it prints."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_run_whose_truth_is_withheld_says_what_was_accepted(tmp_path):
    script = tmp_path / "script.jsonl"
    texts = ["<action>many</action>", "<action>5</action>", "<action>5</action>"]
    script.write_text("".join(json.dumps(texts[n % 3]) + "\n" for n in range(40)))
    run = ["run", "--taskset", "questions", "-s", "solver.protocol=text", "-s", "solver.max_steps=1", "--limit", 6]
    run += [
        "-j",
        1,
        "-q",
        "-m",
        f"scripted:{script}",
        "-s",
        "verify.by=rule",
        "-s",
        CHECKS,
        "-s",
        "verify.withhold=true",
    ]
    text = lamarck(*run, "-o", tmp_path / "run")
    assert "Truth withheld: 4 accepted by rule." in text and "solved" not in text
    told = json.loads(lamarck(*run, "-o", tmp_path / "again", "--json"))
    assert told["truth"] == "withheld" and (told["accepted"]["passed"], told["accepted"]["attempts"]) == (4, 6)
    report = lamarck("eval", tmp_path / "run")
    assert "truth withheld: 4 accepted by rule, of 6" in report
    assert json.loads(lamarck("eval", tmp_path / "run", "--json"))["accepted"]["judge"] == "rule"
