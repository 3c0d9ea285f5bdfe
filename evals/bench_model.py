"""The embedded model choosing among admissible actions: packed scoring beside the plain ways, in one run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..agent.embedded import EmbeddedLLM
from ..agent.models_cache import DEFAULT_MODEL, pull
from ..agent.packed import PackedScorer, build_trie
from ..agent.prompting import Prompts, Turn, build_messages, new_history, push
from ..core import Message
from .alfworld_engine import Engine
from .household import HouseholdTaskset

Question = tuple[Sequence[Message], Sequence[str]]
"""A prompt and the actions to choose among."""
Decision = tuple[list[int], list[list[int]]]
"""Prompt tokens and the tokens of each option."""


def bench_model(decisions: int = 12, *, folder: str | None = None) -> dict[str, Any]:
    """Time the same decisions of one household episode in four ways.

    `packed_cached`: the prompt's cache is kept between steps, all options in one packed pass. `packed`: the same
    without the cache. `batch`: the prompt is read once and its cache repeated for each option. `alone`: prompt and
    option together, each option by itself (timed on a few options and scaled, since it is that slow). `lanes` are as
    many such episodes as torch has threads beside each other, with one thread each, and `queue` the same episodes in
    turns with all threads for each call.
    """
    source = folder or pull(DEFAULT_MODEL)
    llm = EmbeddedLLM(source)
    scorer = llm.load()
    questions = _episode(decisions)
    asked = [(llm.encode(messages), llm.encode_options(options)) for messages, options in questions]
    ways: dict[str, Callable[[Decision], None]] = {
        "packed_cached": lambda d: _packed(scorer, d, "bench"),
        "packed": lambda d: _packed(scorer, d, None),
        "batch": lambda d: _batch(scorer, d),
        "alone": lambda d: _alone(scorer, d),
    }
    _packed(scorer, asked[0], None)
    scorer.forget("bench")
    seconds = dict.fromkeys(ways, 0.0)
    for decision in asked:
        for name, way in ways.items():  # by turns, so that a busy neighbour slows all of them
            clock = time.perf_counter()
            way(decision)
            lap = time.perf_counter() - clock
            seconds[name] += lap * len(decision[1]) / ALONE if name == "alone" else lap
    count = len(asked)
    figures: dict[str, Any] = {
        "decisions": count,
        "dtype": llm.dtype,
        "prompt_tokens_mean": round(sum(len(prompt) for prompt, _ in asked) / count, 1),
        "options_mean": round(sum(len(rows) for _, rows in asked) / count, 1),
        "option_tokens_mean": round(sum(sum(map(len, rows)) for _, rows in asked) / count, 1),
        "trie_nodes_mean": round(sum(len(build_trie(rows).tokens) for _, rows in asked) / count, 1),
    }
    figures |= {f"{name}_per_s": round(count / seconds[name], 3) for name in ways}
    figures |= {
        f"packed_cached_vs_{name}": round(seconds[name] / seconds["packed_cached"], 2) for name in list(ways)[1:]
    }
    return figures | asyncio.run(_beside(EmbeddedLLM(source, at_once=EPISODES), llm, questions))


async def _beside(lanes: EmbeddedLLM, queue: EmbeddedLLM, questions: Sequence[Question]) -> dict[str, Any]:
    """Time the same episodes beside each other, in lanes and in one queue; by turns, as above."""
    import torch

    count = min(EPISODES, torch.get_num_threads())
    ways, seconds = {"lanes": lanes, "queue": queue}, {"lanes": 0.0, "queue": 0.0}
    for llm in ways.values():
        await asyncio.gather(*(llm.choose(*questions[0], session=f"{n}") for n in range(count)))
    for question in questions:
        for name, llm in ways.items():
            clock = time.perf_counter()
            await asyncio.gather(*(llm.choose(*question, session=f"{n}") for n in range(count)))
            seconds[name] += time.perf_counter() - clock
    await lanes.close()
    await queue.close()
    done = count * len(questions)
    return {
        "beside_each_other": count,
        **{f"{name}_per_s": round(done / spent, 3) for name, spent in seconds.items()},
        "lanes_vs_queue": round(seconds["queue"] / seconds["lanes"], 2),
    }


ALONE = 3
"""Options that are really scored alone per decision."""
EPISODES = 8
"""Episodes beside each other at most."""


def _episode(decisions: int) -> list[Question]:
    """Return the questions of an episode that follows the walkthrough of a full-sized game and looks about."""
    taskset = HouseholdTaskset(size="full")
    task = taskset.tasks("train", limit=6)[5]
    game = taskset.game(task)
    engine = Engine(game)
    prompts, history = Prompts(), new_history(engine.reset())
    commands = [c for step in game.walkthrough for c in (step, "inventory", "look")]
    asked: list[Question] = []
    for command in (commands * decisions)[:decisions]:
        messages = build_messages(prompts, task, history, protocol="choice")
        asked.append((messages, engine.admissible()))
        turn = Turn(action=command, observation=engine.step(command))
        history = push(history, turn, keep=10, summary=20)
    return asked


def _packed(scorer: PackedScorer, decision: Decision, session: str | None) -> None:
    prompt, rows = decision
    scorer.score(prompt, rows, session)


def _batch(scorer: PackedScorer, decision: Decision) -> None:
    import copy

    import torch

    prompt, rows = decision
    prefix, _ = scorer.read(prompt, None)
    width = max(map(len, rows))
    cache = copy.deepcopy(prefix.cache)
    cache.batch_repeat_interleave(len(rows))
    padded = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    with torch.inference_mode():
        scorer.model(input_ids=padded, past_key_values=cache).logits.float().log_softmax(-1)


def _alone(scorer: PackedScorer, decision: Decision) -> None:
    import torch

    prompt, rows = decision
    for row in _spread(rows):
        with torch.inference_mode():
            out = scorer.model(input_ids=torch.tensor([prompt + row]), logits_to_keep=len(row) + 1)
            out.logits.float().log_softmax(-1)


def _spread(rows: Sequence[list[int]]) -> list[list[int]]:
    return [rows[n * len(rows) // ALONE] for n in range(ALONE)]
