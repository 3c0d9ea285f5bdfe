"""Where the tests shop: the published 1,000 products if they lie beside the repository, and a small shop of our own."""

import heapq
import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from lamarck.evals.webshop.files import Files, read_catalogue
from lamarck.evals.webshop.session import Session
from lamarck.evals.webshop.shop import Shop
from lamarck.evals.webshop.taskset import WebShopTaskset

SHARED = Path(__file__).parents[2] / "shared" / "data" / "webshop"
TRAJECTORIES = SHARED.parent / "trajectories" / "react_webshop_400.jsonl"
START = "WebShop [SEP] Instruction: [SEP] "
real = pytest.mark.skipif(not SHARED.is_dir(), reason="benchmark data is not here")


class Overlap:
    """Ranks by words in common; enough to test pages with, at no cost."""

    def __init__(self, products):
        self.having = defaultdict(list)
        for product in products:
            for word in set(product.document.replace(",", " ").split()):
                self.having[word].append(product.asin)

    def search(self, query, k=50):
        common = Counter()
        for word in set(query.lower().split()):
            common.update(self.having.get(word, ()))
        return heapq.nsmallest(k, common, key=lambda asin: (-common[asin], asin))


def item(asin, name, **fields):
    row = {
        "asin": asin,
        "name": name,
        "full_description": f"About {name}.",
        "small_description": ["Dishwasher safe", ""],
        "pricing": "$12.5",
        "customization_options": {"Size": [{"value": "Small"}, {"value": "Big/Tall "}], "color": None},
        "product_category": "Home › Kitchen › Mugs",
        "category": "garden",
        "query": " Coffee Mugs",
        "nouns": ["Mug"],
    }
    return row | fields


ITEMS = [
    item("B000000001", "Red Mug"),
    item("B000000002", "Blue Mug with Lid", pricing="$8.00 - $9.50", nouns=["Mug", "Lid"]),
    item("B000000003", "Plain Lamp", category="electronics", query="lamps", product_category="Office › Lamps",
         pricing="", customization_options="", nouns=["lamp"]),
    item("B000000004", "Odd Mug", small_description="One line", customization_options={
        "Kind": [{"value": v} for v in ("features", "search", "a[b", "a]b", 'the "best"', "red")],
        "Tone": [{"value": "red"}]}),
    *(item(f"B00000001{n}", f"Tea Cup {n}", query="cups", nouns=["Tea", "Cup"]) for n in range(8)),
    *(item(f"B00000002{n}", f"Tea Bowl {n}", query="bowls", pricing="$1,299", nouns=["Tea", "Bowl"]) for n in range(8)),
]  # fmt: skip
INSTRUCTIONS = {
    "B000000001": {
        "attributes": ["dishwasher safe", "easy clean"],
        "instruction": "Find me dishwasher safe mugs",
        "instruction_attributes": ["dishwasher safe"],
    },
    "B000000002": {"attributes": ["leak proof"]},
    "B000000003": {
        "attributes": ["long lasting"],
        "instruction": "Find me long lasting lamps",
        "instruction_attributes": ["long lasting", "bright"],
    },
    "B000000020": {
        "attributes": ["dear"],
        "instruction": "Find me dear bowls",
        "instruction_attributes": ["dear"],
    },
}
HUMAN = {
    "B000000002": [
        {"instruction": "a mug with a lid.", "instruction_attributes": ["leak proof"], "instruction_options": ["big"]},
        {"instruction": "anything", "instruction_attributes": [], "instruction_options": []},
    ]
}


def write_shop(folder):
    """Write the small shop in the published form; return the folder."""
    (folder / "items_shuffle_1000.json").write_text(json.dumps(ITEMS), encoding="utf-8")
    (folder / "items_ins_v2_1000.json").write_text(json.dumps(INSTRUCTIONS), encoding="utf-8")
    (folder / "items_human_ins.json").write_text(json.dumps(HUMAN), encoding="utf-8")
    return folder


def small_shop(folder):
    catalogue = read_catalogue(Files.find(write_shop(folder)))
    return Shop(catalogue, Overlap(catalogue.products))


def shopper(shop, number=0, kind="synthetic", **options):
    return Session(shop, shop.goals(kind)[number], **options)


def walk(session, *actions):
    """Do actions, each of which must do something."""
    for action in actions:
        assert session.act(action), action
    return session


def taskset_in(folder, **options):
    """Return a taskset of the published products, or of the small shop written to `folder`."""
    data = SHARED if SHARED.is_dir() else write_shop(folder)
    products = read_catalogue(Files.find(data)).products
    return WebShopTaskset(str(data), engine=Overlap(products), **options)
