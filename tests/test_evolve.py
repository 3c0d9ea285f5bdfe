"""A whole evolution on household games, with a player that can be told by its memory, and without a model's weights."""

import json
import random
import shutil

import pytest
from evolved import SETTINGS, evolve, in_process, never_half, trajectories
from lamarck.cli.evolve import check, show
from lamarck.cli.evolving.home import Home
from lamarck.config_evolve import EvolveConfig
from lamarck.errors import ConfigError
from lamarck.release_memory import entries
from lamarck.releases import Releases
from lamarck.store import Store


def told(folder):
    """Return everything that an evolution has come to, without times and ids of runs."""
    records = []
    for one in Home(folder).kept():
        assert one.ended
        records.append(one.model_dump(mode="json", exclude={"seconds"}))
    with Releases.open(folder) as releases:
        rows = [(row.release_id, row.action, row.report_id) for row in releases.log.rows()]
        known = sorted(node.release.id for node in releases.tree())
        broken = [ident for ident in known if releases.verify(ident) is not None]
    memories = {}
    for one in Home(folder).kept():
        with Store.open(Home(folder).generation(one.number) / "memory" / "store.db", create=False) as store:
            memories[one.number] = [e for e in entries(store) if not e.subject.startswith("trajectory:")]
    return {
        "records": records,
        "promotions": rows,
        "releases": known,
        "broken": broken,
        "memories": memories,
        "trajectories": trajectories(folder),
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An evolution that nothing disturbs, and how many points it passes."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, sum(in_process(folder).values())


def test_generations_play_learn_and_are_weighed(whole):
    found = told(whole[0])
    first, second = found["records"]
    assert (first["figures"]["propose"]["tasks"], first["figures"]["collect"]["attempts"]) == (3, 3)
    assert first["figures"]["credit"]["attempts"] == 3
    assert first["figures"]["distil"]["new"] > 0 and {"newly_retired", "retired"} <= first["figures"]["distil"].keys()
    assert first["skipped"] == {"verify": "switched off", "train": "switched off"}
    assert first["candidate"] != first["parent"] == first["head"]
    assert first["figures"]["gate"]["incumbent"]["games"] in (2, 3)
    assert second["head"] == first["head"]
    assert not found["broken"]


def test_what_is_played_in_training_is_never_held_out(whole):
    played = json.loads((whole[0] / "generations" / "001" / "propose.json").read_text())["ids"]
    with Releases.open(whole[0]) as releases:
        reports = releases.log.reports()
    assert all(report.check("held-out").outcome == "pass" for report in reports)
    assert played and not any("valid_unseen" in ident for ident in played)


def disturbed(folder, points, kills, seed):
    """Evolve, killed again and again, each time somewhere in what is left; return how often it died.

    How much is left is only guessed: where it came to its end, it goes back, and now that is known.
    """
    draw, died, left, before = random.Random(seed), 0, points, folder.with_name(f"{folder.name}-before")
    for _ in range(kills):
        shutil.rmtree(before, ignore_errors=True)
        if folder.exists():
            shutil.copytree(folder, before)
        for _ in range(3):
            at = draw.randrange(1, max(2, left))
            passed = in_process(folder, at=at)
            if passed is None:
                died, left = died + 1, left - at
                never_half(folder)
                break
            left = sum(passed.values())
            shutil.rmtree(folder)
            if before.exists():
                shutil.copytree(before, folder)
    in_process(folder)
    never_half(folder)
    return died


def test_a_kill_changes_nothing(whole, tmp_path):
    assert disturbed(tmp_path / "killed", whole[1], kills=2, seed=1) == 2
    assert told(tmp_path / "killed") == told(whole[0])


@pytest.mark.full
@pytest.mark.parametrize("seed", range(10))
def test_thirty_kills_change_nothing(whole, tmp_path, seed):
    assert disturbed(tmp_path / "killed", whole[1], kills=3, seed=f"full/{seed}") == 3
    assert told(tmp_path / "killed") == told(whole[0])


def test_going_on_with_other_settings_is_refused(whole):
    with pytest.raises(ConfigError, match=r"propose.tasks was 3 and is 4 now"):
        evolve(whole[0], resume=True, **{"propose.tasks": 4})


def test_an_evolution_is_not_begun_over_another(whole):
    with pytest.raises(ConfigError, match="already holds an evolution"):
        evolve(whole[0])


def test_nothing_to_go_on_with(tmp_path):
    with pytest.raises(ConfigError, match="there is no evolution"):
        evolve(tmp_path, resume=True)


def test_a_damaged_record_is_one_line(whole, tmp_path):
    home = Home(tmp_path)
    folder = home.generation(1)
    folder.mkdir(parents=True)
    (folder / "generation.json").write_text("{")
    with pytest.raises(ConfigError, match=r"record .* of a generation is damaged"):
        home.kept()


def test_a_damaged_report_of_the_gate_is_one_line(whole, tmp_path):
    home = Home(shutil.copytree(whole[0], tmp_path / "home"))
    last = home.kept()[-1]
    figures = {name: found for name, found in last.figures.items() if name not in ("gate", "settle")}
    home.keep(last.model_copy(update={"figures": figures, "decision": None, "report": None, "ended": False}))
    (home.generation(last.number) / "gate.json").write_text("{")
    with pytest.raises(ConfigError, match=r"report .*gate.json is damaged"):
        evolve(home.path, resume=True)


def test_json_says_what_came_of_it(whole, capsys):
    show(Home(whole[0]), Home(whole[0]).kept(), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["head"] == found["generations"][0]["head"]
    assert found["surest"] in {found["head"], *(one["candidate"] for one in found["generations"])}
    assert [one["number"] for one in found["generations"]] == [1, 2]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"run.taskset.name": "nope"}, "there is no taskset 'nope'"),
        ({"held_out.split": "vallid"}, "has no split 'vallid'"),
        ({"held_out.split": "train"}, "both learned from and held out"),
        ({"learn.weights": True}, "the weights of follower cannot be trained"),
        ({"run.memory.path": "m"}, "each generation brings its own"),
        ({"run.verify.by": "rule", "run.verify.options.stop": "loop"}, "verifier rule has no option stop"),
    ],
)
def test_what_cannot_be_is_said_first(settings, line):
    with pytest.raises(ConfigError, match=line):
        check(EvolveConfig.load(None, SETTINGS | settings))
