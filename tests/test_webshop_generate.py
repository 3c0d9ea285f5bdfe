"""The shop of our own: the same for a seed, in the published form, solvable, and not by taking the first hit."""

import itertools
import json
import subprocess
import sys

import pytest
from lamarck.errors import ConfigError
from lamarck.evals.bench_webshop import bench_webshop
from lamarck.evals.webshop.environment import search_words
from lamarck.evals.webshop.generate import KNOWN, PRODUCTS, TWINS, make_shop
from lamarck.evals.webshop.pages import State
from lamarck.evals.webshop.reward import alike
from lamarck.evals.webshop.session import Session
from lamarck.evals.webshop.taskset import WebShopTaskset
from shops import SHARED


@pytest.fixture(scope="module")
def taskset():
    return WebShopTaskset()


def test_a_seed_is_a_shop():
    assert make_shop(3, 50) == make_shop(3, 50) != make_shop(4, 50)
    assert len(make_shop().items) == PRODUCTS
    small, large = make_shop(3, 50), make_shop(3, 80)
    assert large.items[:50] == small.items
    assert {asin: large.instructions[asin] for asin in small.instructions} == small.instructions


def test_another_process_makes_the_same_shop():
    code = "import json, lamarck.evals.webshop.generate as g; print(json.dumps(g.make_shop(5, 30).items))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert json.loads(said) == make_shop(5, 30).items


def test_no_product_is_no_shop():
    with pytest.raises(ConfigError, match="at least one product, not 0"):
        make_shop(0, 0)
    assert len(make_shop(0, 1).items) == 1 and len(WebShopTaskset(products=1).goals) >= 1


def test_ids_are_ten_signs_and_different_in_lower_case_too():
    for seed in (0, 1, 987_654_321_987):
        ids = [row["asin"] for row in make_shop(seed, 600).items]
        assert len({one.lower() for one in ids}) == 600
        assert all(len(one) == 10 and one.isalnum() and one.isupper() for one in ids)


def test_rows_have_the_published_form():
    made = make_shop(0, 60)
    keys = {
        "asin", "name", "full_description", "small_description", "pricing", "images", "category", "query",
        "product_category", "customization_options", "average_rating", "page",
    }  # fmt: skip
    if SHARED.is_dir():
        rows = json.loads((SHARED / "items_shuffle_1000.json").read_text(encoding="utf-8"))
        assert keys == set.intersection(*(set(row) for row in rows))
        for row in made.items:
            assert {key: type(row[key]) for key in keys if key not in ("average_rating", "customization_options")} == {
                key: type(rows[0][key]) for key in keys if key not in ("average_rating", "customization_options")
            }
    for row in made.items:
        assert set(row) == keys | {"nouns"} and row["nouns"]
        assert all(noun in row["name"].lower() for noun in row["nouns"])
        assert len(made.instructions[row["asin"]]["attributes"]) == KNOWN
    assert any(row["pricing"].count("$") == 2 for row in made.items)
    assert any(row["pricing"].count("$") == 1 for row in made.items)


def test_each_goal_is_met_by_its_own_product(taskset):
    report = taskset.check()
    assert report["games"] == len(taskset.goals) > 400
    assert (report["perfect"], report["failures"], report["below_one"]) == (report["games"], [], [])


def test_wishes_of_persons_are_met_too(taskset):
    made = make_shop()
    products = {product.asin: product for product in taskset.shop.products}
    for [wish] in made.human.values():
        options = products[wish["asin"]].options
        pairs = dict(option.split(": ", 1) for option in wish["options"])
        assert list(pairs.values()) == wish["instruction_options"]
        assert all(value in options[name] for name, value in pairs.items())
        assert set(wish["instruction_attributes"]) < set(wish["attributes"])
        assert all(word in wish["instruction"] for word in (*wish["instruction_attributes"], *pairs.values()))


def test_the_first_hit_is_seldom_the_right_one(taskset):
    goals = taskset.goals[::3]
    hit = right = alone = 0
    for goal in goals:
        session = Session(taskset.shop, goal)
        session.act(f"search[{search_words(goal)}]")
        first = session.state.hits[0]
        hit += first == goal.product
        chosen = {name: value for name, value in goal.options if value in first.options.get(name, ())}
        right += session.price_up(first, chosen).value == 1.0
        assert session.price_up(goal.product, {}).value < 1.0
        rivals = [product for product in taskset.shop.products if product.query == goal.product.query]
        assert len(rivals) >= TWINS[0]
        perfect = [
            rival
            for rival in rivals
            if session.price_up(
                rival, {name: value for name, value in goal.options if value in rival.options.get(name, ())}
            ).value
            == 1.0
        ]
        assert goal.product in perfect
        alone += len(perfect) == 1
    assert right < 0.5 * len(goals) and hit < 0.5 * len(goals)
    assert alone > 0.5 * len(goals)


def test_what_decides_is_on_the_pages_and_not_in_the_results(taskset):
    goal = taskset.goals[0]
    session = Session(taskset.shop, goal)
    session.state = State("features", product=goal.product)
    features = session.observe()
    assert all(attribute in features for attribute in goal.attributes)
    bullets = goal.product.bullets
    assert not any(attribute in bullets[0] for attribute in goal.attributes)


def test_no_attribute_of_a_kind_passes_for_another():
    kinds = {}
    made = make_shop(1, 1500)
    for row in made.items:
        kinds.setdefault(row["query"], set()).update(made.instructions[row["asin"]]["attributes"])
    assert len(kinds) == 16
    for attributes in kinds.values():
        for one, other in itertools.combinations(sorted(attributes), 2):
            assert not alike(one, other) and one not in other and other not in one, (one, other)


def test_the_benchmark_measures_what_it_says():
    figures = bench_webshop(products=40, queries=12, episodes=8, seconds=0.05, tantivy=False)
    assert (figures["products"], figures["episodes"]) == (40, 8)
    assert all(figures[key] > 0 for key in ("open_s", "search_ms_p50", "starts_per_s", "steps_per_s", "session_kb"))
    assert figures["growth_kb"] < 200 and not any("tantivy" in key for key in figures)
