"""The first release of an evolution: the model as it is, with nothing acquired."""

from __future__ import annotations

import asyncio

from ...agent.llms import build_llm
from ...agent.prompting import Prompts
from ...config_evolve import EvolveConfig
from ...releases import Releases
from ..train_watch import TrainWatch
from ..wire_release import draft_of
from .home import Home


def begin(config: EvolveConfig, home: Home, releases: Releases, *, quiet: bool) -> None:
    """Make the first release and put it in force, once; where there is a head, do nothing.

    Raises:
        LamarckError: the model cannot be had.
    """
    if releases.head() is not None:
        return
    watch = TrainWatch("base model", quiet=quiet)  # not opened: only its way of saying things is wanted
    llm = build_llm(config.run.model, watch.say)
    try:
        first = releases.put(draft_of(config.run, llm, Prompts(config.run.solver.prompts)))
    finally:
        asyncio.run(llm.close())
    releases.begin(first.id)
