"""Rules by which a curriculum prefers some tasks, or some categories, to others."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import JsonValue

from ...errors import ConfigError
from .drawing import softmax
from .proposer import Outcome, table
from .rewards import informativeness, learnability, mean_abs_advantage

Memory = dict[str, JsonValue]


class Arm(NamedTuple):
    """What a rule chooses among: a task, or a whole category."""

    id: str
    category: str


class Rule(Protocol):
    """A preference among arms that learns from outcomes; it keeps all it knows in the memory it is handed."""

    name: str

    def weights(self, arms: Sequence[Arm], memory: Memory) -> list[float]:
        """Return how much each arm weighs, none below 0."""
        ...

    def learn(self, outcomes: Sequence[Outcome], memory: Memory) -> Memory:
        """Return the memory after these outcomes."""
        ...


class Uniform:
    """All arms alike."""

    name = "uniform"

    def weights(self, arms: Sequence[Arm], memory: Memory) -> list[float]:
        """Return ones."""
        return [1.0] * len(arms)

    def learn(self, outcomes: Sequence[Outcome], memory: Memory) -> Memory:
        """Return the memory as it is."""
        return memory


class Bandit:
    """Categories by learning gain: Q(c) <- alpha r(c) + (1 - alpha) Q(c), drawn with P(c) = softmax(Q / tau).

    r(c) is the mean |advantage| over the attempts of the round at tasks of c (SEC, 2505.14970, its reward and update);
    see `mean_abs_advantage`. What is always or never solved has no advantage, so its Q falls. A category that was
    not played keeps its Q.

    Args:
        alpha: how much a round counts.
        tau: temperature; small ones follow Q closely. The default is ours.
        gain: `advantage`, or `progress`, the gain in the category's success rate since it was last played, or that of
            students (negative ones count as 0); a category of which none is known keeps its Q.
        scaled: divide advantages by their standard deviation, as GRPO does.
        explore: share of the draws that goes to all categories alike, so that none is lost for good; ours.
        start: Q of a category that was never played; 1, the most there is, has every category tried. Ours.
    """

    name = "bandit"

    def __init__(
        self,
        alpha: float = 0.5,
        tau: float = 0.2,
        gain: Literal["advantage", "progress"] = "advantage",
        scaled: bool = True,
        explore: float = 0.05,
        start: float = 1.0,
    ) -> None:
        if not 0 < alpha <= 1 or tau <= 0 or not 0 <= explore <= 1 or gain not in ("advantage", "progress"):
            raise ConfigError(
                "a bandit needs 0 < alpha <= 1, tau > 0, 0 <= explore <= 1 and a gain of advantage or progress, not "
                f"{alpha}, {tau}, {explore} and {gain!r}."
            )
        self._alpha, self._tau, self._gain, self._scaled = alpha, tau, gain, scaled
        self._explore, self._start = explore, start

    def weights(self, arms: Sequence[Arm], memory: Memory) -> list[float]:
        """Return P(category), shared among the category's arms."""
        chances = self.chances(sorted({arm.category for arm in arms}), memory)
        size = Counter(arm.category for arm in arms)
        return [chances[arm.category] / size[arm.category] for arm in arms]

    def chances(self, categories: Sequence[str], memory: Memory) -> dict[str, float]:
        """Return the chance of each category."""
        values = table(memory.get("q"))
        soft = softmax([_number(values.get(one), self._start) for one in categories], self._tau)
        flat = self._explore / max(1, len(categories))
        return {one: (1 - self._explore) * p + flat for one, p in zip(categories, soft, strict=True)}

    def learn(self, outcomes: Sequence[Outcome], memory: Memory) -> Memory:
        """Return the memory with Q of the categories that were played."""
        values = dict(table(memory.get("q")))
        rounds: dict[str, list[tuple[float, int]]] = defaultdict(list)
        for one in outcomes:
            if self._gain == "advantage":
                rounds[one.category].append(
                    (mean_abs_advantage(one.solved, one.attempts, scaled=self._scaled), one.attempts)
                )
            elif one.progress is not None:
                rounds[one.category].append((max(0.0, one.progress), one.attempts))
        for category, found in sorted(rounds.items()):
            gain = sum(value * count for value, count in found) / sum(count for _, count in found)
            values[category] = self._alpha * gain + (1 - self._alpha) * _number(values.get(category), self._start)
        return {**memory, "q": values}


class Regret:
    """Tasks by their last regret, the best reward of an attempt less a baseline (eva, 2411.00062).

    A task that was not played yet is worth the mean regret of its category, or 1 where nothing of it was played.

    Args:
        baseline: `worst` or `mean` of the attempts; which one the paper means by default is not clear to us.
        floor: added to every weight, so that no task is lost for good.
    """

    name = "regret"

    def __init__(self, baseline: Literal["mean", "worst"] = "worst", floor: float = 0.02) -> None:
        if baseline not in ("mean", "worst") or floor < 0:
            raise ConfigError(f"regret needs a baseline of mean or worst and floor >= 0, not {baseline!r} and {floor}.")
        self._baseline, self._floor = baseline, floor

    def weights(self, arms: Sequence[Arm], memory: Memory) -> list[float]:
        """Return regret plus floor."""
        known = table(memory.get("regret"))
        by_category: dict[str, list[float]] = defaultdict(list)
        for value in known.values():
            if isinstance(value, list) and len(value) == 2:
                by_category[str(value[0])].append(_number(value[1], 0.0))
        means = {category: sum(values) / len(values) for category, values in by_category.items()}
        return [self._floor + self._worth(known.get(arm.id), means.get(arm.category, 1.0)) for arm in arms]

    def learn(self, outcomes: Sequence[Outcome], memory: Memory) -> Memory:
        """Return the memory with the regret of the tasks that were played."""
        known = dict(table(memory.get("regret")))
        for one in outcomes:
            known[one.task_id] = [one.category, informativeness(one, self._baseline)]
        return {**memory, "regret": known}

    def _worth(self, value: JsonValue, otherwise: float) -> float:
        return _number(value[1], 0.0) if isinstance(value, list) and len(value) == 2 else otherwise


class Band:
    """Tasks whose success rate lies in a band (Agent0, 2511.16043, keeps 0.3 to 0.7), the others seldom.

    The rate of a task is estimated from its own attempts and its category's, see `Rates`; what was never played
    counts as 1/2, so it is in the band until it has shown otherwise.

    Args:
        low: lower end.
        high: upper end.
        outside: weight of a task outside of the band, where one inside weighs 1.
        keep: how much of what was counted is left after each round.
    """

    name = "band"

    def __init__(self, low: float = 0.2, high: float = 0.8, outside: float = 0.02, keep: float = 0.8) -> None:
        if not 0 <= low < high <= 1 or outside < 0:
            raise ConfigError(f"a band needs 0 <= low < high <= 1 and outside >= 0, not {low}, {high} and {outside}.")
        self._low, self._high, self._outside = low, high, outside
        self._rates = Rates(keep)

    def weights(self, arms: Sequence[Arm], memory: Memory) -> list[float]:
        """Return 1 inside of the band; where nothing is inside, all weigh the same."""
        return [
            1.0 if self._low <= rate <= self._high else self._outside for rate in self._rates.estimates(arms, memory)
        ]

    def learn(self, outcomes: Sequence[Outcome], memory: Memory) -> Memory:
        """Return the memory with these attempts counted."""
        return self._rates.counted(outcomes, memory)


class Learnability:
    """Tasks in proportion to p (1 - p), the variance of their outcome (SFL, Rutherford et al. 2024).

    Args:
        floor: added to every weight, so that no task is lost for good.
        keep: how much of what was counted is left after each round.
    """

    name = "learnability"

    def __init__(self, floor: float = 0.002, keep: float = 0.8) -> None:
        if floor < 0:
            raise ConfigError(f"learnability needs floor >= 0, not {floor}.")
        self._floor, self._rates = floor, Rates(keep)

    def weights(self, arms: Sequence[Arm], memory: Memory) -> list[float]:
        """Return p (1 - p) plus floor."""
        return [self._floor + learnability(rate) for rate in self._rates.estimates(arms, memory)]

    def learn(self, outcomes: Sequence[Outcome], memory: Memory) -> Memory:
        """Return the memory with these attempts counted."""
        return self._rates.counted(outcomes, memory)


class Rates:
    """Success rates that lean on the category where a task was seldom played, and on 1/2 where both were.

    p(category) = (S + 1) / (N + 2) and p(task) = (s + 2 p(category)) / (n + 2), with counts that fade by `keep` in
    each round: a student changes, and what was not looked at for long is unknown again.
    """

    def __init__(self, keep: float) -> None:
        if not 0 < keep <= 1:
            raise ConfigError(f"keep is above 0 and at most 1, not {keep}.")
        self._keep = keep

    def estimates(self, arms: Sequence[Arm], memory: Memory) -> list[float]:
        """Return the rate of each arm, inside (0, 1)."""
        tasks, categories = table(memory.get("tasks")), table(memory.get("categories"))
        found = []
        for arm in arms:
            solved, tried = _pair(categories.get(arm.category))
            whole = (solved + 1) / (tried + 2)
            solved, tried = _pair(tasks.get(arm.id))
            found.append((solved + 2 * whole) / (tried + 2))
        return found

    def counted(self, outcomes: Sequence[Outcome], memory: Memory) -> Memory:
        """Return the memory with these attempts counted."""
        updated: Memory = {}
        for part in ("tasks", "categories"):
            counts = {key: [self._keep * n for n in _pair(value)] for key, value in table(memory.get(part)).items()}
            for one in outcomes:
                pair = counts.setdefault(one.task_id if part == "tasks" else one.category, [0.0, 0.0])
                pair[0] += one.solved
                pair[1] += one.attempts
            # What has faded to nothing is forgotten, or the state would grow with every task there ever was.
            updated[part] = {key: list[JsonValue](pair) for key, pair in counts.items() if pair[1] >= 0.01}
        return {**memory, **updated}


RULES: dict[str, Callable[..., Rule]] = {rule.name: rule for rule in (Uniform, Bandit, Regret, Band, Learnability)}


def rule_of(name: str, options: dict[str, Any] | None = None) -> Rule:
    """Return a rule by its name.

    Raises:
        ConfigError: there is none such, or it does not take these options.
    """
    if name not in RULES:
        raise ConfigError(f"there is no curriculum {name!r}; there are: {', '.join(RULES)}.")
    try:
        return RULES[name](**(options or {}))
    except TypeError as error:
        raise ConfigError(f"curriculum {name}: {error}.") from None


def _number(value: JsonValue, otherwise: float) -> float:
    return float(value) if isinstance(value, int | float) else otherwise


def _pair(value: JsonValue) -> tuple[float, float]:
    if isinstance(value, list) and len(value) == 2:
        return _number(value[0], 0.0), _number(value[1], 0.0)
    return 0.0, 0.0
