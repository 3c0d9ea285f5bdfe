"""The shop: files, goals, pages, clicks, isolation, and the published data where it is here."""

import hashlib
import json
import random
import re
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from lamarck.agent.actions import is_open, match_admissible
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.evals.webshop.goals import make_goals
from lamarck.evals.webshop.pages import State, pieces
from lamarck.evals.webshop.products import Files, make_catalogue, read_catalogue
from lamarck.evals.webshop.session import Session, parse
from lamarck.evals.webshop.taskset import WebShopTaskset, split_ranges
from shops import INSTRUCTIONS, ITEMS, SHARED, TRAJECTORIES, shopper, small_shop, taskset_in, write_shop

real = pytest.mark.skipif(not SHARED.is_dir(), reason="benchmark data is not here")
START = "WebShop [SEP] Instruction: [SEP] "


@pytest.fixture
def shop(tmp_path):
    return small_shop(tmp_path)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return taskset_in(tmp_path_factory.mktemp("shop"))


def walk(session, *actions):
    for action in actions:
        assert session.act(action), action
    return session


# Files


def test_rows_become_products(shop):
    first, second, third = shop.products[:3]
    assert (first.tag, first.price, first.query) == ("$12.5", 12.5, "coffee mugs")
    assert first.options == {"size": ("small", "big | tall")}
    assert first.document == "red mug about red mug. dishwasher safe size: small, big | tall"
    assert second.tag == "$8.0 to $9.5" and second.price == random.Random(0).uniform(8.0, 9.5)
    assert (third.tag, third.price, third.options) == ("$100.0", 100.0, {})
    assert shop.products[3].bullets == ("One line",) and shop.products[3].attributes == ("DUMMY_ATTR",)
    assert shop.product("B000000020").price == 1299.0


def test_unusable_and_repeated_rows_are_left_out(tmp_path):
    files = Files.find(write_shop(tmp_path))
    files.items.write_text(json.dumps([ITEMS[0] | {"asin": "nan"}, ITEMS[0] | {"asin": "B" * 11}, *ITEMS, *ITEMS]))
    assert [product.asin for product in read_catalogue(files).products] == [row["asin"] for row in ITEMS]
    assert len(read_catalogue(files, limit=5).products) == 3


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("items_shuffle_1000.json", None, "there is no items_shuffle_1000.json or items_shuffle.json"),
        ("items_ins_v2_1000.json", None, "no file of instructions"),
        ("items_shuffle_1000.json", json.dumps(ITEMS)[:-40], "in the middle of a product"),
        ("items_shuffle_1000.json", json.dumps(ITEMS).replace("}, {", "} ? {", 1), "stops making sense"),
        ("items_shuffle_1000.json", "{}", "a JSON array was expected"),
        ("items_shuffle_1000.json", "[]", "there is no product in it"),
        ("items_shuffle_1000.json", '[{"asin": "B1"}]', "product 1: not a row of WebShop"),
        ("items_shuffle_1000.json", json.dumps([ITEMS[0] | {"pricing": "$"}]), "product 1: not a row of WebShop"),
        ("items_ins_v2_1000.json", '{"B1": ', "is not JSON"),
        ("items_ins_v2_1000.json", "[]", "holds no instructions"),
    ],
)
def test_missing_and_torn_files_are_named(tmp_path, file, content, says):
    write_shop(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        read_catalogue(Files.find(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_files_by_path_and_what_identifies_a_shop(tmp_path):
    files = Files.find(write_shop(tmp_path))
    full = tmp_path / "items_shuffle.json"
    full.write_bytes(files.items.read_bytes())
    with pytest.raises(ConfigError, match="no file of instructions"):
        Files.find(full)
    elsewhere = Files.find(full, files.instructions)
    assert read_catalogue(elsewhere).products == read_catalogue(files).products
    digests = {read_catalogue(files, seed=seed, limit=limit).digest for seed in (0, 1) for limit in (None, 2)}
    assert len(digests) == 4 and read_catalogue(files).digest in digests


# Goals


def test_goals_of_the_small_shop(shop):
    goals = shop.goals("synthetic")
    assert len(goals) == 2 + 1 + 2
    by_words = {goal.words: goal for goal in goals}
    assert set(by_words) == {
        "Find me dishwasher safe mugs with size: small",
        "Find me dishwasher safe mugs with size: big | tall",
        "Find me long lasting lamps",
        "Find me dear bowls with size: small",
        "Find me dear bowls with size: big | tall",
    }
    draw = random.Random(0)
    draw.uniform(8.0, 9.5)
    cap = max(draw.sample([20.0, 30.0, 40.0, 50.0], 2))
    mug = by_words["Find me dishwasher safe mugs with size: small"]
    assert mug.price_upper == cap and mug.instruction == f"{mug.words}, and price lower than {cap:.2f} dollars"
    assert (mug.options, mug.values, mug.weight) == ((("size", "small"),), ("small",), 0.5)
    dear = by_words["Find me dear bowls with size: small"]
    assert dear.instruction == dear.words and dear.price_upper == 1_000_000
    [human] = shop.goals("human")
    assert human.words == "a mug with a lid" and human.options == ("big",) and human.weight == 1


def test_goals_that_are_not_there(tmp_path):
    write_shop(tmp_path)
    (tmp_path / "items_human_ins.json").unlink()
    with pytest.raises(ConfigError, match="no human goal"):
        WebShopTaskset(str(tmp_path), goals="human").splits()
    for option, value in (("goals", "all"), ("observation", "html")):
        with pytest.raises(ConfigError, match=f"no {option} '{value}'"):
            WebShopTaskset(str(tmp_path), **{option: value})
    wrong = {"B000000001": INSTRUCTIONS["B000000001"] | {"instruction_attributes": []}}
    (tmp_path / "items_ins_v2_1000.json").write_text(json.dumps(wrong))
    with pytest.raises(ConfigError, match="asks for no attribute"):
        WebShopTaskset(str(tmp_path)).splits()


@real
def test_goals_are_those_of_the_original():
    catalogue = read_catalogue(Files.find(SHARED))
    lines = (SHARED / "goals_synthetic_6910.jsonl").read_text(encoding="utf-8").splitlines()
    made = [{"idx": number, **goal.row()} for number, goal in enumerate(make_goals(catalogue, "synthetic"))]
    assert len(made) == 6910 and made == [json.loads(line) for line in lines]
    lines = (SHARED / "goals_human_13.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]  # this list was written before the shuffle
    random.Random(233).shuffle(rows)
    human = [goal.row() for goal in make_goals(catalogue, "human")]
    assert human == [{key: value for key, value in row.items() if key != "idx"} for row in rows]


def test_splits():
    assert {name: len(found) for name, found in split_ranges(12_087).items()} == {
        "test": 500, "eval": 1000, "train": 10_587}  # fmt: skip
    assert {name: (found.start, found.stop) for name, found in split_ranges(6910).items()} == {
        "test": (0, 500), "train": (500, 6910)}  # fmt: skip
    assert {name: len(found) for name, found in split_ranges(13).items()} == {"test": 7, "train": 6}


# Pages


def test_the_way_through_the_shop(shop):
    session = shopper(shop)
    instruction = session.goal.instruction
    assert session.observe() == f"{START}{instruction} [SEP] Search"
    assert session.clickables == ["search"] and session.has_search_bar
    head = f"Instruction: [SEP] {instruction} [SEP] Back to Search [SEP] "
    walk(session, "search[Tea]")
    names = "".join(f" [SEP] B00000001{n} [SEP] Tea Cup {n} [SEP] $12.5" for n in range(8))
    names += "".join(f" [SEP] B00000002{n} [SEP] Tea Bowl {n} [SEP] $1299.0" for n in range(2))
    assert session.observe() == f"{head}Page 1 (Total results: 16) [SEP] Next >{names}"
    assert session.clickables[:3] == ["back to search", "next >", "b000000010"] and not session.has_search_bar
    walk(session, "click[Next >]")
    assert session.observe().startswith(f"{head}Page 2 (Total results: 16) [SEP] < Prev [SEP] Next > [SEP] B000000022 ")
    walk(session, "click[next >]")
    assert session.observe() == f"{head}Page 3 (Total results: 16) [SEP] < Prev [SEP] Next >"
    walk(session, "click[< prev]", "click[B000000022]")
    page = (
        f"{head}< Prev [SEP] size [SEP] small [SEP] big | tall [SEP] Tea Bowl 2 [SEP] Price: $1299.0 [SEP] "
        "Rating: N.A. [SEP] Description [SEP] Features [SEP] Reviews [SEP] Buy Now"
    )
    assert session.observe() == page
    walk(session, "click[big | tall]", "click[description]")
    assert session.observe() == f"{head}< Prev [SEP] About Tea Bowl 2."
    walk(session, "click[< prev]", "click[features]")
    assert session.observe() == f"{head}< Prev [SEP] Dishwasher safe [SEP] "
    walk(session, "click[< prev]", "click[reviews]")
    assert session.observe() == f"{head}< Prev"
    walk(session, "click[< prev]")
    assert session.observe() == page and dict(session.state.options) == {"size": "big | tall"}
    walk(session, "click[small]", "click[< prev]")
    assert session.state.number == 2 and session.state.options == () and session.state.product is None
    walk(session, "click[back to search]")
    assert session.state == State(searches=1)


def test_rich_text_marks_buttons_and_choices(shop):
    session = walk(shopper(shop), "search[mug]", "click[b000000001]", "click[small]")
    assert session.observe("text_rich") == (
        f"You have clicked small.\nInstruction:\n{session.goal.instruction}\n[button] Back to Search [button_]\n"
        "[button] < Prev [button_]\nsize\n  [clicked button] small [clicked button_]\n  [button] big | tall [button_]\n"
        "Red Mug\nPrice: $12.5\nRating: N.A.\n[button] Description [button_]\n[button] Features [button_]\n"
        "[button] Reviews [button_]\n[button] Buy Now [button_]\n"
    )
    walk(session, "click[< prev]")
    assert "\n[clicked button] B000000001 [clicked button_]\nRed Mug\n" in session.observe("text_rich")
    assert "\n[button] B000000002 [button_]\n" in session.observe("text_rich")
    # The original tells choices by the page's address, where a quote is escaped: this one never shows as chosen.
    walk(session, "click[b000000004]", 'click[the "best"]')
    assert "[clicked" not in session.observe("text_rich")


def test_attributes_only_where_they_are_shown(shop):
    session = walk(shopper(shop), "search[red]", "click[b000000001]")
    assert "attributes" not in session.clickables and not session.act("click[attributes]")
    session = walk(shopper(shop, show_attributes=True), "search[red]", "click[b000000001]", "click[attributes]")
    assert session.observe().endswith(
        "< Prev [SEP] dishwasher safe [SEP] easy clean [SEP] garden [SEP] coffee mugs [SEP] Home › Kitchen › Mugs"
    )


def test_options_called_like_buttons(shop):
    session = walk(shopper(shop), "search[odd]", "click[b000000004]")
    assert not session.act("click[search]") and not session.act("click[a[b]")
    assert "a[b" in session.clickables and session.clickables.count("red") == 1
    walk(session, "click[a]b]", "click[red]")
    assert dict(session.state.options) == {"kind": "a]b", "tone": "red"}  # of two the later one is clicked
    walk(session, "click[features]")
    assert session.state.page == "features" and dict(session.state.options)["kind"] == "a]b"


def test_back_doors(shop):
    session = walk(shopper(shop), "search[<q> cups]")
    assert [product.query for product in session.state.hits] == ["cups"] * 8
    walk(session, "search[<c> electronics and more]")
    assert [product.asin for product in session.state.hits] == ["B000000003"]
    walk(session, "search[<a> easy clean]")
    assert [product.asin for product in session.state.hits] == ["B000000001"]
    assert walk(session, "search[<c>]").state.hits == ()
    drawn = [walk(shopper(shop, seed=seed), "search[<r>]").state.hits for seed in (3, 3, 4)]
    assert drawn[0] == drawn[1] != drawn[2] and {p.asin for p in drawn[0]} == {row["asin"] for row in ITEMS}


def test_the_purchase_ends_the_episode(shop):
    number = next(n for n, g in enumerate(shop.goals("synthetic")) if g.words.endswith("mugs with size: small"))
    session = walk(shopper(shop, number), "search[red]", "click[b000000001]", "click[small]", "click[buy now]")
    assert session.over and session.bought.value == 1.0 and session.clickables == []
    assert session.observe() == (
        "Thank you for shopping with us! [SEP] Your code: [SEP] None [SEP] (Paste it in your MTurk interface.) [SEP] "
        'Purchased [SEP] asin [SEP] B000000001 [SEP] options [SEP] {"size": "small"} [SEP] attrs [SEP] None [SEP] '
        "category [SEP] None [SEP] query [SEP] None [SEP] product category [SEP] None [SEP] Target [SEP] asin [SEP] "
        "options [SEP] attrs [SEP] price upper [SEP] instuction text [SEP] category [SEP] product category [SEP] query "
        "[SEP] Goal [SEP] None [SEP] Reward [SEP] Your score (min 0.0, max 1.0) [SEP] 1.0 [SEP] Reward Details "
        "[SEP] None"
    )
    assert not session.act("search[red]") and not session.act("click[buy now]")


@pytest.mark.parametrize(
    ("action", "meant"),
    [
        ("search[red mug]", ("search", "red mug")),
        ("click[Buy Now] please", ("click", "buy now")),
        ("click[a]b]", ("click", "a]b")),
        ("click[a[b]", ("click[a", "b")),
        ("Search[x]", ("Search", "x")),
        ("search[]", ("search[]", "")),
        ("search[a\nb]", ("search[a\nb]", "")),
        ("buy", ("buy", "")),
        ("", ("", "")),
    ],
)
def test_syntax(action, meant):
    assert parse(action) == meant


# The environment


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


def test_truncation(published, tmp_path):
    environment = taskset_in(tmp_path, max_steps=2).environment()
    environment.reset(task=published.tasks("test", limit=1)[0])
    assert [environment.step("look")[2:4] for _ in range(2)] == [(False, False), (False, True)]


def wander(session, draw, steps, seen):
    """Do random things, most of them possible; return nothing, but tell `seen` what came of each."""
    for _ in range(steps):
        before, text = session.state, session.observe()
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
            assert session.state is before and session.observe() == text, action
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


def test_shoppers_in_threads_do_not_meet(published):
    tasks = published.tasks("test", limit=8)

    def play(number):
        environment, draw = published.environment(), random.Random(number)
        text, info = environment.reset(task=tasks[number % len(tasks)])
        texts = [text]
        for _ in range(60):
            text, _, terminated, _, info = environment.step(draw.choice(info["admissible_actions"]))
            texts.append(text)
            if terminated:
                text, info = environment.reset(task=tasks[number % len(tasks)])
        return texts

    alone = [play(number) for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(play, range(16))) == alone


def test_the_same_tasks_again(published, tmp_path):
    again = taskset_in(tmp_path)
    assert again.splits() == published.splits()
    for split in again.splits():
        assert again.tasks(split) == published.tasks(split)
        assert again.tasks(split, seed=5, limit=3) == published.tasks(split)[:3]
    other = taskset_in(tmp_path, seed=1).tasks("test")
    assert {task.id for task in other}.isdisjoint(task.id for task in published.tasks("test"))
    assert set(published.tasks("test")[0].options) == {
        "shop", "goals", "goal", "price_seed", "shuffle_seed", "observation"}  # fmt: skip
    with pytest.raises(ConfigError, match="no split 'valid'"):
        published.tasks("valid")


# Recorded play


@real
def test_recorded_actions_replay(published):
    episodes = [json.loads(line) for line in TRAJECTORIES.read_text(encoding="utf-8").splitlines()]
    verbs = Counter()
    for number, episode in enumerate(episodes):
        session = Session(published.shop, published.goals[number])
        for step in episode["steps"][1:]:
            verb, _ = parse(step["action"])
            verbs[verb if verb.isalpha() else "none"] += 1
            before = session.state
            effective = session.act(step["action"])
            assert effective or session.state is before
            assert effective if verb == "search" and not session.over else True
            assert not (effective and verb == "think")  # a thought is no action of the shop: it changes nothing
    assert len(episodes) == 400
    assert dict(verbs) == {"search": 423, "click": 1446, "think": 873, "exit": 3, "none": 6}


@real
def test_recorded_item_pages_have_our_strings_in_our_order():
    """The recordings are of the old full shop: none of its item pages is of our 1,000 products, so they are rebuilt."""
    recorded: set[str] = set()
    for line in TRAJECTORIES.read_text(encoding="utf-8").splitlines():
        recorded |= {step["observation"] for step in json.loads(line)["steps"]}
    pages = sorted(page for page in recorded if page.endswith("\n[Buy Now] "))
    assert len(pages) == 402
    for page in pages:
        top, bottom = page.split("\nPrice: ")
        *options, name = top.split(" \n[< Prev] \n")[1].split("\n")
        found = [re.fullmatch(r"(.+?) \[(.*)\]", option) for option in options]
        row = ITEMS[0] | {
            "name": name.strip(),
            "pricing": bottom.split(" \n")[0].replace(" to ", " - "),
            "customization_options": {o[1]: [{"value": v} for v in o[2].split("][")] for o in found},
        }
        [product] = make_catalogue([row], {}, {}, digest=hashlib.sha256()).products
        assert as_recorded(product) == page


def as_recorded(product):
    """Write an item page as ReAct's reader did: buttons in brackets, a blank behind strings, options in one line."""
    written = ""
    for text, role, _ in pieces(State("item", product=product), ""):
        if role == "option":
            written += f"[{text}]"
        elif role == "button":
            written += f"\n[{text}] "
        else:
            written += f"\n{text} "
    return written.split("Instruction: \n \n")[1]


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
    (tmp_path / "items_shuffle_1000.json").write_text("[", encoding="utf-8")
    found = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert found.returncode != 0 and "items_shuffle_1000.json" in found.stderr
