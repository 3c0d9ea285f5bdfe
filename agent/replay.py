"""Playing a task again to see whether something new helps: in a fresh world, beside the episode, stored nowhere."""

from __future__ import annotations

import asyncio

from langchain_core.runnables import RunnableConfig

from ..config import RunConfig
from ..core import Sampling, Step, Task, Trajectory, Usage, content_id
from ..seams import LLM
from .context import EpisodeContext
from .episode import build_episode_graph
from .episode_state import Attempt, new_state
from .hooks import Hooks
from .hosting import WorldPool
from .prompting import Prompts

RECURSION = 1_000_000


class Replay:
    """Plays a task once more.

    Args:
        config: of the run; the solver's budgets hold here too.
        llm: the model that decides.
        worlds: has room for one more world than episodes are played, or a replay waits for ever.
        prompts: the run's own.
    """

    def __init__(self, config: RunConfig, llm: LLM, worlds: WorldPool, prompts: Prompts) -> None:
        self._config = config
        self._llm = llm
        self._worlds = worlds
        self._prompts = prompts
        self.usage = Usage()
        """What all replays have used so far; it is in no trajectory."""

    async def solved(self, task: Task, hooks: Hooks, *, name: str) -> bool | None:
        """Play a task with these hooks; say whether it was solved, or None where its world does not say.

        Args:
            task: what to play.
            hooks: what the solver has at hand.
            name: of the replay; with the task it seeds the sampling.

        Raises:
            ModelError, EnvironmentFailure, SandboxError: infrastructure failed.
        """
        model, kept = self._config.model, Kept()
        attempt = Attempt(content_id("replay", name, task.id), 0, None)
        graph = build_episode_graph(hooks)
        async with self._worlds.lease() as world:
            context = EpisodeContext(
                run_id=f"replay/{name}",
                task=task,
                sample=0,
                attempt=attempt,
                seed=self._config.collect.seed,
                llm=self._llm,
                world=world,
                recorder=kept,
                solver=self._config.solver,
                sampling=Sampling(temperature=model.temperature, top_p=model.top_p, max_tokens=model.max_tokens),
                prompts=self._prompts,
                hooks=hooks,
            )
            config: RunnableConfig = {"recursion_limit": RECURSION}
            try:
                await graph.ainvoke(new_state(*attempt), config, context=context)
            finally:
                self.usage = self.usage + kept.usage
                self._llm.end_session(context.session)
                await asyncio.shield(context.close_tools())
        return kept.success


class Kept:
    """A recorder that keeps only how it ended, and what it used."""

    def __init__(self) -> None:
        self.success: bool | None = None
        self.usage = Usage()

    async def begin(self, run_id: str, task: Task, sample: int, attempt: Attempt) -> None:
        """Keep nothing."""

    async def step(self, trajectory_id: str, step: Step) -> None:
        """Keep what it used."""
        self.usage = self.usage + step.usage

    async def finish(self, trajectory: Trajectory) -> None:
        """Keep whether it was solved."""
        self.success = trajectory.success
