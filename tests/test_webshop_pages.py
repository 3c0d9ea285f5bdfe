"""The shop's pages: what stands on them, what a click does, and pages that others recorded."""

import hashlib
import json
import re
from collections import Counter

import pytest
from lamarck.evals.webshop.pages import State, pieces
from lamarck.evals.webshop.products import make_catalogue
from lamarck.evals.webshop.session import Session, parse
from shops import ITEMS, START, TRAJECTORIES, real, shopper, small_shop, taskset_in, walk


@pytest.fixture
def shop(tmp_path):
    return small_shop(tmp_path)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return taskset_in(tmp_path_factory.mktemp("shop"))


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
