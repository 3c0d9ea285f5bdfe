"""Attempts of live training without a world: the model is walked along those of experts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import RunConfig
from ..config_training import TrainConfig
from ..core import Message, Sampling, Trajectory, content_id
from ..errors import ConfigError
from ..seams import LLM
from ..store import Store
from ..training.live_parts import Draw
from ..training.semi_online import Acted, Policy, replay
from .live_draws import PLAYED, draw_folder, played, put_to_sleep, slice_of, use_adapter, with_adapter

if TYPE_CHECKING:
    from ..agent.vllm import VllmLLM

STORE = "store.db"


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
        if played(folder):
            return self.load(draw)
        await use_adapter(self._llm, adapter)
        llm: LLM = self._llm or build_llm(with_adapter(self._run.model, adapter))
        chosen = slice_of(list(self._experts), draw.number, self._config.live.tasks)
        # Of the same settings come the same attempts, in whatever folder; of others, others.
        asked = self._run.solver.model_dump(mode="json"), self._run.model.temperature, self._run.collect.seed
        run_id = content_id("semi-online", asked, draw.round, draw.number)
        folder.mkdir(parents=True, exist_ok=True)
        with Store.open(folder / STORE) as store:
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
        await put_to_sleep(self._llm)

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
