"""ALFWorld in our own engine: real games, their walkthroughs, states, threads, bad input."""

import gzip
import json
import random
import shutil
import string
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from games import SHARED, real_or_own
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.evals.alfworld import AlfworldTaskset
from lamarck.evals.alfworld_check import check_games
from lamarck.evals.alfworld_engine import NOTHING, Engine
from lamarck.evals.alfworld_game import CATEGORIES, load_game, parse_game
from lamarck.evals.household import HouseholdTaskset, export_games


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    taskset, tasks = real_or_own(tmp_path_factory.mktemp("games"), "valid_seen", 12)
    return [taskset.game(task) for task in tasks]


@pytest.fixture
def own(tmp_path):
    [file] = export_games(tmp_path, split="train", size="tiny", games=1)
    return file


def play(engine, generator, steps):
    seen = []
    for _ in range(steps):
        command = generator.choice(engine.admissible())
        seen.append((command, engine.step(command), engine.admissible(), engine.won, engine.progress))
    return seen


def test_walkthroughs_win(tmp_path):
    taskset, tasks = real_or_own(tmp_path, "valid_seen", 140)
    report = check_games(taskset, "valid_seen")
    assert (report.games, report.won, report.failures) == (len(tasks), len(tasks), [])


def test_a_game_begins_unsolved_and_progress_reaches_one(some):
    for game in some:
        engine = Engine(game)
        assert not engine.won and 0.0 <= engine.progress < 1.0
        for command in game.walkthrough:
            engine.step(command)
        assert engine.won and engine.progress == 1.0


def test_snapshot_and_restore_bring_back_everything(some):
    for number, game in enumerate(some):
        engine = Engine(game)
        play(engine, random.Random(number), 30)
        state = engine.snapshot()
        first = play(engine, random.Random(99), 20)
        engine.restore(state)
        assert engine.snapshot() == state
        assert play(engine, random.Random(99), 20) == first


def test_one_game_in_many_threads(some):
    alone = [play(Engine(game), random.Random(7), 40) for game in some]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            together = pool.map(lambda game: play(Engine(game), random.Random(7), 40), some)
            assert list(together) == alone


def test_garbage_commands_change_nothing(some):
    generator = random.Random(5)
    engine = Engine(some[0])
    before = engine.snapshot()
    letters = string.printable + "äß\u200b"
    for n in range(5000):
        if n % 3:
            command = "".join(generator.choices(letters, k=generator.randrange(40)))
        else:
            words = generator.choice(engine.admissible()).split()
            command = " ".join(generator.sample(words, len(words)))
        if command.strip() in engine.admissible():
            continue
        assert engine.step(command) == NOTHING
    assert engine.snapshot() == before
    assert engine.step("x" * 1_000_000) == NOTHING


def test_both_wordings_of_putting_down_are_understood(own):
    game = load_game(own)
    [*before, last] = game.walkthrough
    for command in (last, last.replace("move ", "put ").replace(" to ", " in/on ")):
        engine = Engine(game)
        for step in before:
            engine.step(step)
        assert engine.step(command) != NOTHING and engine.won


def test_tasks_are_stable_and_balanced(tmp_path):
    taskset, tasks = real_or_own(tmp_path, "valid_seen", 12)
    assert [task.category for task in tasks[:6]] == sorted(CATEGORIES)
    assert tasks == taskset.tasks("valid_seen", limit=12)
    assert all(task.id.startswith("alfworld/valid_seen/") and "/home" not in task.id for task in tasks)
    assert all(task.goal and task.options["grammar"] in ("move", "put") for task in tasks)


def test_environment_rewards_success_and_truncates(tmp_path):
    taskset, [task] = real_or_own(tmp_path, "valid_seen", 1)
    environment = taskset.environment()
    environment.reset(task=task)
    *_, last = (environment.step(command) for command in taskset.game(task).walkthrough)
    assert last[1:4] == (1.0, True, False) and last[4]["success"]
    environment.reset(task=task)
    results = [environment.step("look") for _ in range(50)]
    assert [r[3] for r in results] == [False] * 49 + [True] and results[-1][1] == 0.0
    with pytest.raises(EnvironmentFailure, match="is over"):
        environment.step("look")
    environment.reset(task=task)
    assert environment.step("dance")[4]["effective"] is False


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda data: data.pop("grammar"), "has no grammar"),
        (lambda data: data.update(pddl_problem=data["pddl_problem"][:300]), "cannot be read"),
        (lambda data: data.update(pddl_problem="(define"), "cannot be read"),
        (lambda data: data.update(grammar=data["grammar"].replace("{r.name}", "{__import__('os')}")), "placeholder"),
        (lambda data: data.update(grammar="nothing"), "no task sentence"),
        (lambda data: data.update(pddl_domain=data["pddl_domain"].replace("(pickupable ?o)", "")), "action pickupobj"),
        (lambda data: data.update(pddl_domain=data["pddl_domain"][:-200]), "parenthesis is not closed"),
    ],
)
def test_broken_games_are_refused_in_one_line(own, spoil, words):
    data = json.loads(own.read_text())
    spoil(data)
    with pytest.raises(EnvironmentFailure, match=words) as caught:
        parse_game(data, name="spoilt")
    assert "game spoilt" in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_no_games(tmp_path, own):
    with pytest.raises(EnvironmentFailure, match="cannot read game"):
        load_game(tmp_path / "gone")
    own.write_bytes(b"\x00\xff{{")
    with pytest.raises(EnvironmentFailure, match="is not JSON"):
        load_game(own)
    own.write_text("[1]")
    with pytest.raises(EnvironmentFailure, match="is not a JSON object"):
        load_game(own)


def test_wrong_folders_and_splits_are_named(tmp_path, own, monkeypatch):
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    with pytest.raises(ConfigError, match="Set ALFWORLD_DATA or pass --data"):
        AlfworldTaskset().splits()
    with pytest.raises(ConfigError, match="no ALFWorld data folder"):
        AlfworldTaskset(str(tmp_path / "gone")).splits()
    taskset = AlfworldTaskset(str(tmp_path))
    with pytest.raises(ConfigError, match="no split 'vaild_seen'; there are: train"):
        taskset.tasks("vaild_seen")
    with pytest.raises(ConfigError, match="no task type 'pick'; there are: pick_and_place_simple"):
        AlfworldTaskset(types=["pick"])
    with pytest.raises(ConfigError, match="no engine 'fast'"):
        AlfworldTaskset(engine="fast")
    task = taskset.tasks("train")[0]
    stray = task.model_copy(update={"options": {"game": "../../secret"}})
    with pytest.raises(EnvironmentFailure, match="inside the data folder"):
        taskset.path(stray)
    shutil.rmtree(tmp_path / "json_2.1.1" / "train")
    (tmp_path / "json_2.1.1" / "train").mkdir()
    with pytest.raises(ConfigError, match="holds no game"):
        taskset.tasks("train")


def test_a_split_may_lie_on_another_disk(tmp_path, own):
    split = tmp_path / "json_2.1.1" / "train"
    elsewhere = split.rename(tmp_path / "elsewhere")
    split.symlink_to(elsewhere)
    taskset = AlfworldTaskset(data=str(tmp_path))
    [task] = taskset.tasks("train")
    assert taskset.game(task).walkthrough


def test_old_wording_reads_its_own_way():
    grammar = SHARED / "logic" / "old_0.3" / "alfred.twl2"
    taskset = HouseholdTaskset(size="tiny")
    made = taskset.game(taskset.tasks("train", limit=1)[0])
    if grammar.is_file():
        from lamarck.evals.alfworld_wording import read_wording

        wording, _ = read_wording(grammar.read_text(), "old")
        assert wording.grammar == "put" and wording.commands["PutObject"] == "put {} in/on {}"
        assert "help" not in wording.commands
    assert made.grammar == "move"


def test_recorded_traces_of_the_stock_engine():
    """The same texts, commands and wins as the stock engine showed when the traces were recorded."""
    traces = json.loads(gzip.decompress((Path(__file__).parent / "fixtures" / "stock_traces.json.gz").read_bytes()))
    assert len(traces) == 7
    for trace in traces:
        engine = Engine(parse_game(trace["data"], name=trace["name"]))
        shown = [[engine.reset(), engine.admissible(), engine.won]]
        for command in trace["commands"]:
            shown.append([engine.step(command), engine.admissible(), engine.won])
        assert shown == trace["shown"], trace["name"]
        assert any(won for _, _, won in shown)
