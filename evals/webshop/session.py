"""One shopper in a shop: actions in, pages out."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import replace

from .goals import Goal
from .pages import BACK, BUY, NEXT, PREVIOUS, SEARCH, SUB_PAGES, Observation, Page, Piece, State, clickables, render
from .products import Product
from .reward import Reward, reward_of
from .shop import Shop

_FORM = re.compile(r"(?P<verb>.+)\[(?P<words>.+)\]")
_SUB: Mapping[str, Page] = {name.lower(): page for name, page in SUB_PAGES.items()}


def parse(action: str) -> tuple[str, str]:
    """Return the verb and the words, lower-cased, of `verb[words]`; the words are empty where there are none.

    As in the original: the verb is taken as written, and what stands behind the last bracket is not read.
    """
    found = _FORM.match(action)
    return (found["verb"], found["words"].lower()) if found else (action, "")


class Session:
    """A shopper with a goal.

    Sessions of a shop share its products and nothing else. The state is one frozen value, so that to keep or to put
    back a session is to keep or to put back that.

    Args:
        shop: where to shop.
        goal: what for.
        show_attributes: whether item pages have the button to the product's attributes.
        seed: of the random results of `search[<r>]`.
    """

    def __init__(self, shop: Shop, goal: Goal, *, show_attributes: bool = False, seed: int = 0) -> None:
        self._shop = shop
        self._show_attributes = show_attributes
        self._seed = seed
        self.goal = goal
        self.state = State()

    @property
    def state(self) -> State:
        """Where the shopper stands; may be set to a state of before."""
        return self._state

    @state.setter
    def state(self, state: State) -> None:
        self._state = state
        self._clickables = clickables(state, show_attributes=self._show_attributes)

    @property
    def clickables(self) -> list[str]:
        """What the page has to click, in the order of the original's list."""
        return list(self._clickables)

    @property
    def has_search_bar(self) -> bool:
        """Whether the page shows a search box. Searches are accepted without one as well."""
        return self._state.page == "search"

    @property
    def bought(self) -> Reward | None:
        """What the purchase is worth; None before it."""
        return self._state.bought

    @property
    def over(self) -> bool:
        """Whether something was bought."""
        return self._state.bought is not None

    def accepts(self, action: str) -> bool:
        """Say whether an action does anything here."""
        verb, words = parse(action)
        if self.over or not words:
            return False
        return verb == "search" or (verb == "click" and words in self._clickables and words != SEARCH.lower())

    def act(self, action: str) -> bool:
        """Do an action; return False, with nothing changed, where the page does not take it."""
        if not self.accepts(action):
            return False
        verb, words = parse(action)
        self.state = self._search(words) if verb == "search" else self._click(words)
        return True

    def observe(self, mode: Observation = "text") -> str:
        """Return the page as text."""
        return render(self._state, self.goal.instruction, mode, show_attributes=self._show_attributes)

    def _search(self, words: str) -> State:
        state = self._state
        number = state.searches + 1
        draw = random.Random(f"{self._seed}/{number}")
        return State("results", words, self._shop.find(words, draw), 1, visited=state.visited, searches=number)

    def _click(self, words: str) -> State:
        """Follow a click. Which of several meanings a click has goes by the address, in the original's order."""
        state = self._state
        where = place(state.address)
        if words == BUY.lower():
            return self._buy()
        if words == BACK.lower():
            return State(searches=state.searches)
        if where == "search_results" and words in (NEXT.lower(), PREVIOUS.lower()):
            return _results(state, state.number + (1 if words == NEXT.lower() else -1))
        if words == PREVIOUS.lower() and where == "item_page":
            return _results(state, state.number)
        if words == PREVIOUS.lower() and where == "item_sub_page":
            return replace(state, page="item")
        if words in _SUB:
            return replace(state, page=_SUB[words])
        return self._open(self._clickables[words])

    def _open(self, piece: Piece) -> State:
        state = self._state
        if piece.role == "product":
            product = self._shop.product(piece.text)
            return replace(state, page="item", product=product, visited=state.visited | {product.asin})
        options = dict(state.options)
        options[piece.option] = piece.text
        return replace(state, page="item", options=tuple(options.items()))

    def _buy(self) -> State:
        product = self._state.product
        assert product is not None
        return replace(self._state, page="end", bought=self.price_up(product, dict(self._state.options)))

    def price_up(self, product: Product, options: Mapping[str, str]) -> Reward:
        """Return what buying a product with these options would be worth."""
        return reward_of(product, self.goal, list(options.values()), self._shop.nouns)


def place(address: str) -> str:
    """Return which kind of page an address is of: the first of these words in it, even where a shopper typed it."""
    for word in ("search_results", "item_page", "item_sub_page", "done"):
        if word in address:
            return word
    return ""


def _results(state: State, number: int) -> State:
    return replace(state, page="results", number=number, product=None, options=())
