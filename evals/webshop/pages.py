"""The pages of the shop: what stands on each, what can be clicked, and both published renderings as text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from .products import Product
from .reward import Reward

Page = Literal["search", "results", "item", "description", "features", "reviews", "attributes", "end"]
Observation = Literal["text", "text_rich"]
Role = Literal["text", "button", "product", "option", "code"]

BUY = "Buy Now"
BACK = "Back to Search"
NEXT = "Next >"
PREVIOUS = "< Prev"
SEARCH = "Search"
SUB_PAGES: Mapping[str, Page] = {
    "Description": "description",
    "Features": "features",
    "Reviews": "reviews",
    "Attributes": "attributes",
}
PER_PAGE = 10
SEPARATOR = " [SEP] "
BLANK = " \n\t\f\r"


@dataclass(frozen=True, slots=True)
class State:
    """Where a shopper stands. Everything an episode changes is in here."""

    page: Page = "search"
    keywords: str = ""
    """The last search."""
    hits: tuple[Product, ...] = ()
    """What it found."""
    number: int = 1
    """Which page of results."""
    product: Product | None = None
    options: tuple[tuple[str, str], ...] = ()
    """Option name and value, in the order of the first choice."""
    visited: frozenset[str] = frozenset()
    """Products looked at since the last search page."""
    searches: int = 0
    bought: Reward | None = None
    """What the purchase is worth; it ends the episode."""

    @property
    def address(self) -> str:
        """The part of the page's address that the original reads its place from, quirks included."""
        words = self.keywords.replace(" ", "+")
        if self.page == "search":
            return ""
        if self.page == "results" or self.product is None:
            return f"search_results/{words}/{self.number}"
        if self.page == "item":
            return f"item_page/{self.product.asin}/{words}/{self.number}/{json.dumps(dict(self.options))}"
        kind = "done" if self.page == "end" else "item_sub_page"
        return f"{kind}/{self.product.asin}/{words}/{self.number}/{self.page.title()}/{dict(self.options)}"


class Piece(NamedTuple):
    """One string of a page."""

    text: str
    role: Role = "text"
    option: str = ""
    """For the value of an option: the option's name."""


def pieces(state: State, instruction: str, *, show_attributes: bool = False) -> Iterator[Piece]:
    """Yield the strings of a page from top to bottom, as a browser's document holds them."""
    if state.page == "end":
        yield from _end(state)
        return
    if state.page == "search":
        yield from (Piece("WebShop"), Piece("Instruction: "), Piece(instruction), Piece(SEARCH, "button"))
        return
    yield from (Piece("Instruction:"), Piece(instruction), Piece(BACK, "button"))
    if state.page == "results":
        yield from _results(state)
        return
    yield Piece(PREVIOUS, "button")
    product = state.product
    if product is None:
        return
    if state.page == "item":
        yield from _item(product, show_attributes)
    elif state.page == "description":
        yield Piece(product.description)
    elif state.page == "features":
        # The leading blank is the original's, and shows where a bullet is empty.
        yield from (Piece(f" {bullet}") for bullet in product.bullets)
    elif state.page == "attributes":
        yield from (Piece(f" {attribute}") for attribute in product.attributes)
        yield from (Piece(product.category), Piece(product.query), Piece(product.product_category))


def _results(state: State) -> Iterator[Piece]:
    yield Piece(f"Page {state.number} (Total results: {len(state.hits)})")
    if state.number > 1:
        yield Piece(PREVIOUS, "button")
    yield Piece(NEXT, "button")
    for product in shown(state):
        yield from (Piece(product.asin, "product"), Piece(product.name), Piece(product.tag))


def shown(state: State) -> tuple[Product, ...]:
    """Return the products on a page of results; a page past the end is empty."""
    return state.hits[(state.number - 1) * PER_PAGE : state.number * PER_PAGE]


def _item(product: Product, show_attributes: bool) -> Iterator[Piece]:
    for name, values in product.options.items():
        yield Piece(name)
        yield from (Piece(value, "option", name) for value in values)
    yield from (Piece(product.name), Piece(f"Price: {product.tag}"), Piece("Rating: N.A."))
    for name in SUB_PAGES:
        if name != "Attributes" or show_attributes:
            yield Piece(name, "button")
    yield Piece(BUY, "button")


def _end(state: State) -> Iterator[Piece]:
    """Yield the last page. Its labels without a value are the original's: it fills in the reward alone."""
    asin = state.product.asin if state.product else ""
    value = state.bought.value if state.bought else None
    chosen = json.dumps(dict(state.options), sort_keys=True, separators=(", ", ": "))
    for sign in "<>&'":
        chosen = chosen.replace(sign, f"\\u{ord(sign):04x}")
    yield from (Piece("Thank you for shopping with us!"), Piece("Your code: "), Piece("None", "code"))
    yield from (Piece(" (Paste it in your MTurk interface.)"), Piece("Purchased"))
    bought = {"asin": asin, "options": chosen, "attrs": "None", "category": "None", "query": "None"}
    yield from _labelled({**bought, "product category": "None"})
    yield Piece("Target")
    labels = ("asin", "options", "attrs", "price upper", "instuction text", "category", "product category", "query")
    yield from _labelled(dict.fromkeys(labels, ""))
    yield from (Piece("Goal "), Piece("None", "code"), Piece("Reward"), Piece("Your score (min 0.0, max 1.0)"))
    yield from (Piece(str(value), "code"), Piece("Reward Details "), Piece("None", "code"))


def _labelled(values: Mapping[str, str]) -> Iterator[Piece]:
    for label, value in values.items():
        yield from (Piece(label), Piece(value, "code"))


def clickables(state: State, *, show_attributes: bool = False) -> dict[str, Piece]:
    """Return what can be clicked, by the words of the click: buttons and products lower-cased, options as they are.

    Where two read the same, the later one answers to the click, and the options of a page come last.
    """
    found = [piece for piece in pieces(state, "", show_attributes=show_attributes) if piece.role != "text"]
    plain = {piece.text.lower(): piece for piece in found if piece.role in ("button", "product")}
    return plain | {piece.text: piece for piece in found if piece.role == "option"}


def render(state: State, instruction: str, mode: Observation, *, show_attributes: bool = False) -> str:
    """Return a page as `text` (strings joined by ` [SEP] `) or `text_rich` (one string a line, buttons marked)."""
    strings = _visible(pieces(state, instruction, show_attributes=show_attributes))
    if mode == "text":
        return SEPARATOR.join(piece.text.strip() for piece in strings)
    return _rich(strings, state)


def _visible(strings: Iterable[Piece]) -> Iterator[Piece]:
    """Leave out what an HTML parser drops: nothing at all, and blanks with a line break; other blanks become one."""
    for piece in strings:
        if piece.role != "code" and not piece.text.strip(BLANK):
            if piece.text and "\n" not in piece.text:
                yield piece._replace(text=" ")
        elif piece.text and piece.text != "\n":
            yield piece


def _rich(strings: Iterable[Piece], state: State) -> str:
    address = state.address
    top, lines = "", []
    for text, role, _ in strings:
        if role == "button":
            lines.append(f"[button] {text} [button_]")
        elif role == "option" and f'"{text}"' in address:
            lines.append(f"  [clicked button] {text} [clicked button_]")
            top = f"You have clicked {text}.\n{top}"
        elif role == "option":
            lines.append(f"  [button] {text} [button_]")
        elif role == "product":
            mark = "clicked button" if text in state.visited else "button"
            lines.append(f"\n[{mark}] {text} [{mark}_]")
        else:
            lines.append(text)
    return top + "".join(f"{line}\n" for line in lines)
