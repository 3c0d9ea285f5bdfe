"""A simulated world with planted notes: good ones, and look-alikes that mislead. Does recall learn which is which?

Topics each have good and harmful notes whose texts are all but equally similar to the topic's tasks; the harmful ones
even a little more so. An episode succeeds with the probability of the notes it was shown. Credit comes from episodes
alone: nobody tells the memory which notes are planted.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..config_memory import CreditConfig, MemoryConfig, RecallConfig
from ..core import Step, Task, Trajectory
from ..memory.bank import Memory
from ..memory.items import make_item

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOPICS = 6
GOOD, HARMFUL = 3, 3
DIMENSION = 64
BASE, HELP, HARM = 0.35, 0.2, 0.15
"""Chance of success without notes, what each good note adds, and what each harmful one takes."""
FROZEN = 100
"""Episodes after learning, with a frozen memory, over which success is measured."""

VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "similarity": ({"rank": "similarity", "explore": "none"}, {}),
    "two_phase": ({"explore": "none"}, {}),
    "two_phase epsilon": ({"explore": "epsilon", "epsilon": 0.1}, {}),
    "two_phase ucb": ({"explore": "ucb"}, {}),
    "two_phase thompson": ({"explore": "thompson"}, {}),
    "epsilon + baseline": ({"explore": "epsilon"}, {"baseline": True}),
    "epsilon + effect": ({"explore": "epsilon"}, {"leave_out": 0.3, "rank_by_effect": True}),
}
"""What is compared: settings of recall and of credit."""


class TopicEmbedder:
    """Vectors for the planted texts: `topic note kind`, where harmful ones lie a little nearer to their topic."""

    name = "topics"
    dimension = DIMENSION

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors: (len(texts), 64), float32."""
        import numpy as np

        rows = []
        for text in texts:
            topic, note, kind = text.split()
            center = np.random.default_rng(int(topic)).standard_normal(DIMENSION)
            own = np.random.default_rng(10_000 + 100 * int(topic) + int(note)).standard_normal(DIMENSION)
            near = {"task": 0.99, "harmful": 0.83, "good": 0.80}[kind]
            both = near * center / np.linalg.norm(center) + (1 - near**2) ** 0.5 * own / np.linalg.norm(own)
            rows.append(both / np.linalg.norm(both))
        return np.asarray(rows, dtype=np.float32)


def simulate(variant: str, seed: int, *, episodes: int = 300) -> dict[str, float]:
    """Run one variant once.

    Returns:
        success after learning, mean value of good and of harmful notes that were used, and how well values
        tell them apart (area under the ROC curve over notes used at least three times).
    """
    recall, credit = VARIANTS[variant]
    config = MemoryConfig(recall=RecallConfig(**recall), credit=CreditConfig(**credit))
    generator = random.Random(seed)
    wins: list[bool] = []
    with tempfile.TemporaryDirectory() as folder, Memory.open(config, folder, embedder=TopicEmbedder()) as memory:
        planted = {}
        for topic in range(TOPICS):
            for note in range(GOOD + HARMFUL):
                kind = "good" if note < GOOD else "harmful"
                item = make_item("principle", f"{topic} {note + 1} {kind}", f"note {topic} {note}")
                planted[item.id] = kind
                memory.remember([item], merge=False)
        for episode in range(episodes + FROZEN):
            topic = generator.randrange(TOPICS)
            learning = episode < episodes
            found = memory.recall([f"{topic} {100 + episode % 7} task"], learning=learning, seed=f"{seed}/{episode}")
            shown = [item.id for item in found.items]
            chance = BASE + sum(HELP if planted[ident] == "good" else -HARM for ident in shown)
            won = generator.random() < min(0.95, max(0.02, chance))
            if not learning:
                wins.append(won)
                continue
            memory.learn(_trajectory(f"{seed}-{episode}", shown, [item.id for item in found.withheld], won, topic))
        states = {light.id: light.state for light in memory.reading.lights(memory.lineage)}
        from ..memory.state import worth

        values = {ident: worth(state, config.credit) for ident, state in states.items()}
    used = [ident for ident in planted if states[ident].rewards >= 3]
    good = [values[ident] for ident in used if planted[ident] == "good"]
    harmful = [values[ident] for ident in used if planted[ident] == "harmful"]
    return {
        "success": fmean(wins),
        "q_good": fmean(good) if good else float("nan"),
        "q_harmful": fmean(harmful) if harmful else float("nan"),
        "auc": area(good, harmful),
        "harmful_sunk": fmean(value < 0 for value in harmful) if harmful else float("nan"),
    }


def simulation(
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    *,
    episodes: int = 300,
    variants: Sequence[str] = tuple(VARIANTS),
    progress: Callable[[str, int, int], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return each variant's figures: means over the seeds, and success per seed."""
    table: dict[str, dict[str, Any]] = {}
    for variant in variants:
        runs = []
        for number, seed in enumerate(seeds, 1):
            runs.append(simulate(variant, seed, episodes=episodes))
            if progress is not None:
                progress(f"simulating {variant}", number, len(seeds))
        table[variant] = {name: round(_mean([run[name] for run in runs]), 3) for name in runs[0]}
        table[variant]["per_seed"] = [round(run["success"], 2) for run in runs]
    return table


def area(good: Sequence[float], harmful: Sequence[float]) -> float:
    """Return how often a good value is above a harmful one, ties counting half; NaN where one side is empty."""
    if not good or not harmful:
        return float("nan")
    return fmean((a > b) + 0.5 * (a == b) for a in good for b in harmful)


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if value == value]
    return fmean(known) if known else float("nan")


def _trajectory(name: str, shown: list[str], withheld: list[str], won: bool, topic: int) -> Trajectory:
    step = Step(index=0, observation="", recalled=tuple(shown), withheld=tuple(withheld))
    task = Task(id=name, goal="", environment="simulation", category=str(topic))
    return Trajectory(id=name, run_id="simulation", task=task, steps=(step,), stop="terminated", success=won)
