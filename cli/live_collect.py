"""Where live training gets its attempts: a run per draw, or a model walked along expert attempts."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import ModelConfig, RunConfig
from ..config_training import TrainConfig
from ..core import Message, Sampling, Trajectory, content_id
from ..errors import ConfigError, TrainingError
from ..rundir import RunDirectory
from ..seams import LLM
from ..store import Store
from ..training.live import Draw, round_folder
from ..training.live_state import check_place
from ..training.semi_online import Acted, Policy, replay
from .watch import Watch

if TYPE_CHECKING:
    from ..agent.vllm import VllmLLM

PLAYED = "played"
"""File in the folder of a draw that says it is complete."""
STORE = "store.db"


class Runs:
    """Plays each draw as a run of its own, in `rounds/NNN/play-NN`, which is resumed where it was interrupted.

    Args:
        run: how to play; the tasks of its split are taken slice by slice, from the beginning again at the end.
        config: says how many tasks and samples.
        out: folder of the live run.
        llm: what plays in all rounds, opened and closed by who hands it in; None opens the model anew for each draw.
        quiet: show failures only.
    """

    def __init__(
        self, run: RunConfig, config: TrainConfig, out: Path, llm: VllmLLM | None = None, *, quiet: bool = False
    ) -> None:
        self._run, self._config, self._out, self._llm, self._quiet = run, config, out, llm, quiet
        self._ids: list[str] = []

    async def collect(self, draw: Draw, adapter: Path | None) -> Sequence[Trajectory]:
        """Play what is left of a draw.

        Raises:
            LamarckError: it cannot be played, or the live run was moved since playing began.
            KeyboardInterrupt: it was stopped; what was played is kept.
        """
        # Imported here: wiring pulls in LangGraph, which `lamarck --help` can do without.
        from .wire import collect

        folder = draw_folder(self._out, draw)
        if _played(folder):
            return self.load(draw)
        config, directory = self._of(draw, adapter), RunDirectory(folder)
        if going_on := directory.exists():
            check_place(directory.load_config().model.adapter, config.model.adapter)
        directory.create(config, resume=going_on)
        await _load(self._llm, adapter)
        label = f"round {draw.round}, play {draw.ask + 1}"
        with (
            directory.lock(),
            directory.logging(),
            Store.open(directory.store_url(config)) as store,
            Watch(label, quiet=self._quiet) as watch,
        ):
            try:
                notify = None if self._quiet else watch.say
                result = await collect(config, directory, store, watch, notify, llm=self._llm)
            finally:
                _own_signals_no_more()
        if result.interrupted:
            raise KeyboardInterrupt
        if result.stopped_by:
            raise TrainingError(
                f"playing for round {draw.round} stopped after {result.stopped_by}.",
                hint=f"See {directory.log_path}, and go on with --resume.",
            )
        if not result.failed:
            # What infrastructure ended is played again where the round is taken up before it was trained on.
            (folder / PLAYED).touch()
        return self.load(draw)

    def load(self, draw: Draw) -> Sequence[Trajectory]:
        """Return the attempts of a draw that was played.

        Raises:
            ConfigError, StoreError: its run is gone or damaged.
        """
        directory = RunDirectory(draw_folder(self._out, draw))
        with Store.open(directory.store_url(directory.load_config()), create=False) as store:
            return list(store.trajectories(run_id=directory.run_id))

    async def rest(self) -> None:
        """Put a server of ours to sleep, where it was started so that it can.

        Raises:
            ModelError: it refuses.
        """
        await _rest(self._llm)

    def _of(self, draw: Draw, adapter: Path | None) -> RunConfig:
        """Return the configuration of a draw: its slice of the tasks, its own seed, the adapter of the last round."""
        run = self._run
        return run.model_copy(
            update={
                "taskset": run.taskset.model_copy(update={"ids": tuple(self._slice(draw.number)), "limit": None}),
                "model": _with(run.model, adapter),
                "collect": run.collect.model_copy(
                    update={"samples": self._config.live.samples, "seed": run.collect.seed + draw.number}
                ),
            }
        )

    def _slice(self, number: int) -> list[str]:
        from ..agent.tasksets import load_taskset
        from .wire import select

        if not self._ids:
            taskset = load_taskset(self._run.taskset.name, self._run.taskset.options)
            self._ids = [task.id for task in select(taskset, self._run.taskset)]
        return slice_of(self._ids, number, self._config.live.tasks)


class Experts:
    """Walks the model along expert attempts: semi-online, so that no world is needed.

    Args:
        experts: solved attempts with their prompts.
        run: how the model is asked; of the protocols `choice` and `text`.
        config: says how many experts and samples, and how many patches.
        out: folder of the live run.
        llm: as for `Runs`.

    Raises:
        ConfigError: there is no solved attempt, or the protocol is another.
    """

    def __init__(
        self,
        experts: Sequence[Trajectory],
        run: RunConfig,
        config: TrainConfig,
        out: Path,
        llm: VllmLLM | None = None,
    ) -> None:
        self._llm = llm
        self._experts = {one.id: one for one in experts if one.success}
        self._run, self._config, self._out = run, config, out
        if not self._experts:
            raise ConfigError(f"none of the {len(experts)} attempts to follow was solved.", hint="Name other experts.")
        if run.solver.protocol not in ("choice", "text"):
            raise ConfigError(
                f"expert attempts cannot be followed with protocol {run.solver.protocol}.",
                hint="Set run.solver.protocol to choice or text, as the expert was asked.",
            )

    async def collect(self, draw: Draw, adapter: Path | None) -> Sequence[Trajectory]:
        """Follow what is left of a draw.

        Raises:
            LamarckError: the model cannot be asked, or an expert's prompts are not on record.
        """
        from ..agent.llms import build_llm

        folder = draw_folder(self._out, draw)
        if _played(folder):
            return self.load(draw)
        await _load(self._llm, adapter)
        llm: LLM = self._llm or build_llm(_with(self._run.model, adapter))
        chosen = slice_of(list(self._experts), draw.number, self._config.live.tasks)
        # Of the same settings come the same attempts, in whatever folder; of others, others.
        asked = self._run.solver.model_dump(mode="json"), self._run.model.temperature, self._run.collect.seed
        run_id = content_id("semi-online", asked, draw.round, draw.number)
        with Store.open(_made(folder) / STORE) as store:
            known = {(one.parent, one.sample) for one in store.headers()}
            try:
                for ident in chosen:
                    for sample in range(self._config.live.samples):
                        if (ident, sample) not in known:
                            session = f"{ident}-{sample}"
                            found = await replay(
                                self._experts[ident],
                                self._policy(llm, draw.number, session),
                                patches=self._config.replay.patches,
                                sample=sample,
                                run_id=run_id,
                            )
                            store.finish(found)
                            llm.end_session(session)
            finally:
                if llm is not self._llm:
                    await llm.close()
        (folder / PLAYED).touch()
        return self.load(draw)

    def load(self, draw: Draw) -> Sequence[Trajectory]:
        """Return the attempts of a draw.

        Raises:
            StoreError: its store is gone or damaged.
        """
        with Store.open(draw_folder(self._out, draw) / STORE, create=False) as store:
            return list(store.trajectories())

    async def rest(self) -> None:
        """Put a server of ours to sleep; see `Runs.rest`.

        Raises:
            ModelError: it refuses.
        """
        await _rest(self._llm)

    def _policy(self, model: LLM, number: int, session: str) -> Policy:
        from ..agent.actions import parse_action

        asked = 0

        async def act(messages: Sequence[Message], admissible: Sequence[str] | None) -> Acted:
            nonlocal asked
            asked += 1
            seed = int(content_id(self._run.collect.seed, number, session, asked)[:8], 16)
            wanted = self._run.model
            sampling = Sampling(
                temperature=wanted.temperature, top_p=wanted.top_p, max_tokens=wanted.max_tokens, seed=seed
            )
            if self._run.solver.protocol == "choice" and admissible:
                reply = await model.choose(messages, admissible, sampling=sampling, session=session)
                return Acted(reply.text, reply)
            reply = await model.chat(messages, sampling=sampling, session=session)
            return Acted(parse_action(reply.text, admissible).action, reply)

        return act


def draw_folder(out: Path, draw: Draw) -> Path:
    """Return where a draw is kept."""
    return round_folder(out, draw.round) / f"play-{draw.ask + 1:02d}"


def slice_of(ids: Sequence[str], number: int, size: int) -> list[str]:
    """Return the `number`-th slice of `size` ids, beginning again at the end; no id twice."""
    first = number * size
    return list(dict.fromkeys(ids[place % len(ids)] for place in range(first, first + size)))


def _with(model: ModelConfig, adapter: Path | None) -> ModelConfig:
    return model.model_copy(update={"adapter": str(adapter.resolve()) if adapter is not None else None})


async def _load(llm: VllmLLM | None, adapter: Path | None) -> None:
    """Let a model that is kept over the rounds answer with this round's adapter."""
    if llm is not None:
        await llm.load(adapter)


async def _rest(llm: VllmLLM | None) -> None:
    if llm is not None and llm.server.config.sleep:
        await llm.sleep()


def _played(folder: Path) -> bool:
    return (folder / PLAYED).exists()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _own_signals_no_more() -> None:
    """Take back the handlers that collecting put on the loop, which would swallow Ctrl-C while training."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows loops take none
            loop.remove_signal_handler(number)
