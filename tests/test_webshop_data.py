"""The shop's files and goals, and the published data where it is here."""

import gzip
import json
import random
import re

import pytest
from lamarck.errors import ConfigError
from lamarck.evals.webshop.files import Files, read_catalogue
from lamarck.evals.webshop.goals import make_goals
from lamarck.evals.webshop.taskset import WebShopTaskset, split_ranges
from shops import INSTRUCTIONS, ITEMS, SHARED, real, small_shop, write_shop


@pytest.fixture
def shop(tmp_path):
    return small_shop(tmp_path)


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
        ("items_shuffle_1000.json", json.dumps([ITEMS[0] | {"name": 3}]), "a text was expected, not 3"),
        ("items_shuffle_1000.json", json.dumps([ITEMS[0] | {"small_description": [None]}]), "a text was expected"),
        ("items_shuffle_1000.json", "[" * 100_000, "stops making sense"),
        ("items_shuffle_1000.json", gzip.compress(b"[]", mtime=0), "is compressed. Unpack it first"),
        ("items_ins_v2_1000.json", '{"B1": ', "is not JSON"),
        ("items_ins_v2_1000.json", "[]", "holds no instructions"),
    ],
)
def test_missing_and_torn_files_are_named(tmp_path, file, content, says):
    write_shop(tmp_path)
    if content is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        read_catalogue(Files.find(tmp_path))
    assert str(tmp_path) in str(caught.value)


def test_a_byte_order_mark_is_no_error(tmp_path):
    files = Files.find(write_shop(tmp_path))
    files.items.write_bytes(b"\xef\xbb\xbf" + files.items.read_bytes())
    assert len(read_catalogue(files).products) == len(ITEMS)


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
