"""WebShop as a taskset: the published data files, or a generated shop that needs none."""

from __future__ import annotations

import functools
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from typing import Any, get_args

from ...core import Origin, Task
from ...errors import ConfigError, EnvironmentFailure
from .check import check_shop
from .environment import MAX_STEPS, ShopEnvironment
from .files import Files, read_catalogue
from .goals import SHUFFLE_SEED, Goal, Kind
from .pages import Observation
from .products import make_catalogue
from .shop import Engine, Shop

INLINE_UP_TO = 20_000
"""Products up to which a search is short enough to be called on the event loop."""


class WebShopTaskset:
    """Goals of a shop.

    Args:
        data: folder of the published files, or the product file; a generated shop if not given.
        instructions: file of attributes and instructions, where it is not the published one beside the products.
        goals: `synthetic` (made from attributes and options) or `human` (written by people).
        observation: `text` (strings joined by ` [SEP] `) or `text_rich` (one a line, buttons marked).
        seed: of prices given as a range and of the price caps; the shared lists of goals were made with 0.
        products: read this many products only; of a generated shop, make this many.
        show_attributes: whether item pages have the button to a product's attributes, which leaks part of the answer.
        max_steps: steps after which an episode is truncated; 100 in the published baselines, 15 in some later work.
        engine: another search engine than WebShop's.

    Raises:
        ConfigError: there is no such kind of goal or observation.
    """

    name = "webshop"

    def __init__(
        self,
        data: str | None = None,
        instructions: str | None = None,
        goals: Kind = "synthetic",
        observation: Observation = "text",
        *,
        seed: int = 0,
        products: int | None = None,
        show_attributes: bool = False,
        max_steps: int = MAX_STEPS,
        engine: Engine | None = None,
    ) -> None:
        _known("goals", goals, get_args(Kind))
        _known("observation", observation, get_args(Observation))
        if products is not None and products < 1:
            raise ConfigError(f"webshop needs at least one product, not {products}.")
        self._data = data
        self._instructions = instructions
        self._kind = goals
        self._observation = observation
        self._seed = seed
        self._products = products
        self._show_attributes = show_attributes
        self._max_steps = max_steps
        self._engine = engine
        self._shop: Shop | None = None
        self._lock = threading.Lock()

    @property
    def shop(self) -> Shop:
        """The shop; opened when it is first asked for, and one for all environments of this set.

        Raises:
            ConfigError: its files are not there or not readable.
        """
        with self._lock:
            if self._shop is None:
                self._shop = self._open()
            return self._shop

    @functools.cached_property
    def goals(self) -> tuple[Goal, ...]:
        """The goals, by their published number."""
        return self.shop.goals(self._kind)

    def splits(self) -> list[str]:
        """Return the splits."""
        return list(split_ranges(len(self.goals)))

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the goals of a split in their published order; `seed` changes nothing, the taskset's own does.

        Raises:
            ConfigError: there is no such split.
        """
        ranges = split_ranges(len(self.goals))
        if split not in ranges:
            raise ConfigError(f"webshop has no split {split!r}; there are: {', '.join(ranges)}.")
        return [self.task(number, split) for number in ranges[split][:limit]]

    def task(self, number: int, split: str = "") -> Task:
        """Return the task of a goal."""
        goal, digest = self.goals[number], self.shop.catalogue.digest[:12]
        return Task(
            id=f"{self.name}/{digest}/{self._kind}/{number:05d}",
            goal=goal.instruction,
            environment=self.name,
            options={
                "shop": digest,
                "goals": self._kind,
                "goal": number,
                "price_seed": self._seed,
                "shuffle_seed": SHUFFLE_SEED,
                "observation": self._observation,
            },
            seed=self._seed,
            split=split,
            category=goal.product.category,
            origin=Origin(by=self.name),
        )

    def fingerprint(self) -> str:
        """Return a hash of the files that were read, or of what was made."""
        return self.shop.catalogue.digest

    def environment(self) -> ShopEnvironment:
        """Return an environment for every goal of this set."""
        shop = self.shop
        return ShopEnvironment(
            shop,
            self.goal,
            observation=self._observation,
            show_attributes=self._show_attributes,
            max_steps=self._max_steps,
            concurrency="inline" if len(shop.products) <= INLINE_UP_TO else "thread",
        )

    def goal(self, task: Task) -> Goal:
        """Return the goal of a task.

        Raises:
            EnvironmentFailure: the task is of another shop, or names no goal.
        """
        digest, kind, number = (task.options.get(key) for key in ("shop", "goals", "goal"))
        if digest != self.shop.catalogue.digest[:12] or kind != self._kind:
            raise EnvironmentFailure(
                f"task {task.id} is of another shop: {kind} goals of {digest}.",
                hint="Give the data files, seed and kind of goals it was made with.",
                kind="contract",
            )
        if not isinstance(number, int) or not 0 <= number < len(self.goals):
            raise EnvironmentFailure(f"task {task.id} names no goal of this shop.", kind="contract")
        return self.goals[number]

    def check(
        self, split: str | None = None, limit: int | None = None, progress: Callable[[int, int], None] | None = None
    ) -> dict[str, Any]:
        """Buy each goal's own product with the goal's options, through the pages; see `check_shop`."""
        numbers = range(len(self.goals)) if split is None else [task.options["goal"] for task in self.tasks(split)]
        tasks = [self.task(int(str(number))) for number in numbers[:limit]]
        return check_shop(self.environment(), tasks, self.goal, progress)

    def _open(self) -> Shop:
        if self._data is not None:
            files = Files.find(self._data, self._instructions)
            return Shop(read_catalogue(files, seed=self._seed, limit=self._products), self._engine)
        from .generate import PRODUCTS, make_shop

        made = make_shop(self._seed, PRODUCTS if self._products is None else self._products)
        digest = hashlib.sha256(json.dumps([made.items, made.instructions, made.human], sort_keys=True).encode())
        catalogue = make_catalogue(made.items, made.instructions, made.human, digest=digest, seed=self._seed)
        return Shop(catalogue, self._engine)


def split_ranges(count: int) -> dict[str, range]:
    """Return which goals are in which split.

    From 10,000 goals on as published (0-499 test, 500-1499 eval, the rest train); below, the first 500 are the test set
    and the rest is for training, as verl-agent has it; of fewer than 1,000 the first half is the test set.
    """
    if count >= 10_000:
        return {"test": range(500), "eval": range(500, 1500), "train": range(1500, count)}
    border = 500 if count >= 1000 else (count + 1) // 2
    return {"test": range(border), "train": range(border, count)}


def _known(what: str, given: str, there: Sequence[str]) -> None:
    if given not in there:
        raise ConfigError(f"webshop has no {what} {given!r}; there are: {', '.join(there)}.")
