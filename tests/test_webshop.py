"""The shop as an environment: rewards, any action, snapshots, isolation, the taskset and its check."""

import json
import random
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from lamarck.agent.actions import is_open, match_admissible, parse_action
from lamarck.cli.env import app as env
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.evals.webshop.environment import admissible
from lamarck.evals.webshop.pages import State
from lamarck.evals.webshop.session import Session
from lamarck.evals.webshop.taskset import WebShopTaskset
from shops import ITEMS, START, shopper, small_shop, taskset_in, walk, write_shop
from typer.testing import CliRunner


@pytest.fixture
def shop(tmp_path):
    return small_shop(tmp_path)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return taskset_in(tmp_path_factory.mktemp("shop"))


def test_rewards_and_info(published):
    environment, task = published.environment(), published.tasks("test", limit=1)[0]
    text, info = environment.reset(task=task)
    assert text == f"{START}{task.goal} [SEP] Search" and task.truth is None
    words = published.goals[0].words.lower()
    assert info["admissible_actions"] == ["search[<words>]", f"search[{words}]"]
    assert match_admissible("search[a red mug]", info["admissible_actions"]) == "search[a red mug]"
    text, reward, terminated, truncated, info = environment.step(info["admissible_actions"][1])
    assert (reward, terminated, truncated, info["effective"], info["success"]) == (0.0, False, False, True, False)
    assert info["admissible_actions"][:3] == ["search[<words>]", "click[back to search]", "click[next >]"]
    for nothing in ("think[what now]", "click[buy now]", "Search[x]", "look", ""):
        assert environment.step(nothing)[0] == text and environment.step(nothing)[4]["effective"] is False
    environment.step(info["admissible_actions"][3])
    _, reward, terminated, truncated, info = environment.step("click[Buy Now]")
    assert terminated and not truncated and reward == info["score"] == info["reward_parts"]["value"]
    assert info["success"] is (reward == 1.0) and info["admissible_actions"] == []
    assert environment.step("search[x]")[1:4] == (0.0, True, False)
    with pytest.raises(EnvironmentFailure, match="reset with a task"):
        environment.reset(seed=1)
    with pytest.raises(EnvironmentFailure, match="another shop"):
        environment.reset(task=task.model_copy(update={"options": {**task.options, "shop": "?"}}))
    with pytest.raises(EnvironmentFailure, match="names no goal"):
        environment.reset(task=task.model_copy(update={"options": {**task.options, "goal": -1}}))


def test_truncation():
    taskset = WebShopTaskset(products=12, max_steps=2)
    environment = taskset.environment()
    environment.reset(task=taskset.tasks("test", limit=1)[0])
    assert [environment.step("look")[2:4] for _ in range(2)] == [(False, False), (False, True)]


def wander(session, draw, steps, seen):
    """Do random things, most of them possible; return nothing, but tell `seen` what came of each."""
    for _ in range(steps):
        before = session.state
        text = session.observe() if draw.random() < 0.2 else ""
        names = session.clickables or ["search"]
        action = draw.choice(
            [
                f"click[{draw.choice(names)}]",
                f"click[{draw.choice(names)}]",
                f"click[{draw.choice(names).upper()}] now",
                f"search[{draw.choice(('red', 'size', 'tea cup', '<q> cups', '<c>', '<r>', '', ' ', '<a> x'))}]",
                "".join(draw.choices("searchclik[]<> é\n\0", k=draw.randrange(12))),
            ]
        )
        effective = session.act(action)
        session.observe("text_rich")
        if not effective:
            assert session.state is before and text in ("", session.observe()), action
        seen[effective, session.state.page] += 1
        if session.over:
            session.state = State()


def test_ten_thousand_random_actions(published):
    seen = Counter()
    for number in range(100):
        goal = published.goals[number % len(published.goals)]
        wander(Session(published.shop, goal, show_attributes=number % 2 == 0), random.Random(number), 100, seen)
    assert seen.total() == 10_000 and min(seen[True, page] for page in ("item", "results", "search", "end")) > 50
    assert sum(count for (effective, _), count in seen.items() if not effective) > 1000


def test_admissible_actions_are_those_that_do_something(published):
    environment, draw = published.environment(), random.Random(1)
    tasks = published.tasks("test", limit=20)
    for task in tasks:
        _, info = environment.reset(task=task)
        for _ in range(12):
            action = draw.choice([a for a in info["admissible_actions"] if not is_open(a)])
            _, _, terminated, _, info = environment.step(action)
            assert info["effective"], action
            if terminated:
                break


def test_snapshots_bring_back_everything(published):
    environment, draw = published.environment(), random.Random(2)
    task = published.tasks("test", limit=1)[0]
    environment.reset(task=task)
    environment.step(f"search[{task.goal}]")
    for _ in range(20):
        kept, text = environment.snapshot(), environment.session.observe()
        actions = [draw.choice(environment.session.clickables) for _ in range(3)]
        first = [environment.step(f"click[{name}]") for name in actions]
        environment.restore(kept)
        assert environment.session.observe() == text and environment.session.bought is None
        assert [environment.step(f"click[{name}]") for name in actions] == first
        environment.restore(kept)
        environment.step(f"click[{draw.choice([c for c in environment.session.clickables if c != 'buy now'])}]")
        if environment.session.has_search_bar:
            environment.step(f"search[{task.goal}]")


def test_a_snapshot_holds_its_own_purchase(shop):
    number = next(n for n, goal in enumerate(shop.goals("synthetic")) if goal.words.endswith("mugs with size: small"))
    session = walk(shopper(shop, number), "search[mug]", "click[b000000001]")
    before = session.state
    mug, first = walk(session, "click[buy now]").state, session.bought
    session.state = before
    walk(session, "click[small]", "click[buy now]")
    assert session.bought != first
    session.state = mug
    assert session.bought == first and shopper(shop).bought is None


def test_every_listed_action_is_read_as_it_is_written(published):
    """What a model copies from the list is what the shop gets, quotes and brackets in values included."""
    session = Session(published.shop, published.goals[0])
    for product in published.shop.products[::5]:
        session.state = State("item", product=product)
        listed = admissible(session)
        for action in listed[1:]:
            assert parse_action(f"<action>{action}</action>", listed).action == action and session.accepts(action)


def test_shoppers_in_threads_do_not_meet(published):
    tasks = published.tasks("test", limit=8)

    def play(number):
        environment, draw = published.environment(), random.Random(number)
        text, info = environment.reset(task=tasks[number % len(tasks)])
        texts = [text]
        for _ in range(15):
            text, _, terminated, _, info = environment.step(draw.choice(info["admissible_actions"]))
            texts.append(text)
            if terminated:
                text, info = environment.reset(task=tasks[number % len(tasks)])
        return texts

    alone = [play(number) for number in range(32)]
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(play, range(32))) == alone


def test_the_same_tasks_again(published, tmp_path):
    again = taskset_in(tmp_path)
    assert again.splits() == published.splits()
    for split in again.splits():
        some = published.tasks(split, limit=200)
        assert again.tasks(split, limit=200) == some
        assert again.tasks(split, seed=5, limit=3) == some[:3]
    other = taskset_in(tmp_path, seed=1).tasks("test")
    assert {task.id for task in other}.isdisjoint(task.id for task in published.tasks("test"))
    assert set(published.tasks("test")[0].options) == {
        "shop", "goals", "goal", "price_seed", "shuffle_seed", "observation"}  # fmt: skip
    with pytest.raises(ConfigError, match="no split 'valid'"):
        published.tasks("valid")


def test_the_check_buys_every_goal(published):
    seen = []
    report = published.check(limit=60, progress=lambda done, total: seen.append((done, total)))
    assert (report["failures"], report["games"]) == ([], min(60, len(published.goals)))
    assert report["mean_reward"] > 0.9 and seen[-1] == (report["games"], report["games"])
    assert len(report["below_one"]) == report["games"] - report["perfect"]


def test_the_check_tells_what_is_wrong(tmp_path):
    class Nothing:
        def search(self, query, k=50):
            return []

    lost = WebShopTaskset(str(write_shop(tmp_path)), engine=Nothing())
    assert lost.check()["failures"] == []  # its back door by query still finds everything
    rows = [row | {"customization_options": {"Size": [{"value": "a[b"}]}} for row in ITEMS]
    (tmp_path / "items_shuffle_1000.json").write_text(json.dumps(rows), encoding="utf-8")
    report = WebShopTaskset(str(tmp_path), engine=Nothing()).check()
    assert (report["games"], report["perfect"], len(report["failures"])) == (3, 0, 3)
    assert "does not take its option 'a[b'" in report["failures"][0]


def test_a_generated_shop_needs_no_data():
    taskset = WebShopTaskset(products=60)
    assert taskset.splits() == ["test", "train"] and len({task.id for task in taskset.tasks("test")}) > 20
    assert taskset.check(limit=30)["mean_reward"] == 1.0
    assert WebShopTaskset(products=60, goals="human").check(limit=10)["failures"] == []
    assert WebShopTaskset(products=60, seed=1).tasks("test")[0].id != taskset.tasks("test")[0].id
    with pytest.raises(ConfigError, match="at least one product"):
        WebShopTaskset(products=0)


def test_the_command(tmp_path):
    command = [sys.executable, "-m", "lamarck", "env", "check", "webshop", "--data", str(write_shop(tmp_path))]
    found = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=120, check=False)
    report = json.loads(found.stdout)
    # The lamp's second wish is in none of its texts: (1 attribute + price) of (2 attributes + price).
    assert (report["taskset"], report["split"], report["games"], report["failures"]) == ("webshop", None, 5, [])
    [row] = [row for row in report["below_one"] if row["asin"] == "B000000003"]
    assert row["reward"] == 2 / 3 and report["mean_reward"] == pytest.approx((4 + 2 / 3) / 5)
    result = CliRunner().invoke(env, ["check", "webshop", "--data", str(tmp_path / "none")])
    assert result.exit_code == 1 and "there is no such file or folder" in str(result.exception)
