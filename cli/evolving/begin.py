"""The first release of an evolution: the model as it is, or with the adapter that it begins with."""

from __future__ import annotations

import asyncio
import shutil

from ...agent.llms import build_llm
from ...agent.prompting import Prompts
from ...config_evolve import EvolveConfig
from ...memory.bank import Memory
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
    memory = home.path / ".first-memory"
    try:
        if config.run.tools.make:
            # Made tools live in a memory, so there is one from the beginning, with nothing in it.
            shutil.rmtree(memory, ignore_errors=True)
            Memory.open(config.run.memory, memory, notify=watch.say).close()
        prompts = Prompts(config.run.solver.prompts)
        first = releases.put(draft_of(config.run, llm, prompts, memory=memory if config.run.tools.make else None))
    finally:
        asyncio.run(llm.close())
    releases.begin(first.id)
    shutil.rmtree(memory, ignore_errors=True)


def begun(config: EvolveConfig) -> EvolveConfig:
    """Return the settings of an evolution that has begun: the adapter it began with is its first release's, and each
    generation plays with its parent's."""
    run = config.run
    return config.model_copy(
        update={"run": run.model_copy(update={"model": run.model.model_copy(update={"adapter": None})})}
    )
