"""Verdicts that can be given only once all attempts at a task are there: those of verifiers that go by siblings.

While a generation plays, such a verifier knows only the siblings that have ended, so what it says hangs on which of
several episodes ends first. What counts is therefore what it says afterwards. That lies beside the run, where
`lamarck verify` leaves its verdicts; what it had said before stays in the store, for whoever wants to compare.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path

from ...agent.evolution.generation import Figures
from ...agent.verifiers.records import Verdicts
from ...agent.verifiers.table import by_siblings, called
from ...agent.verifiers.verifier import says_something
from ...config_evolve import EvolveConfig, PhaseBudget
from ...core import Trajectory
from ...judged import abstained
from ...rundir import RunDirectory
from ..accepted import headers_in
from ..verify_judge import judge
from ..wire_verify import judging_tools
from .verdict_meter import VerdictMeter


class Afterwards:
    """Judges the attempts of a run when all of them have ended, where the verifier needs that.

    Args:
        config: of the evolution.
        may: what judging may use up in a generation.
        clock: the time in seconds, for tests.
    """

    def __init__(
        self, config: EvolveConfig, may: PhaseBudget | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config, self._may, self._clock = config, may, clock

    @cached_property
    def needed(self) -> bool:
        """Whether the verifier goes by siblings.

        Raises:
            ConfigError: there is no such verifier.
        """
        return by_siblings(self._config.run.verify.by, self._config.run.verify.options)

    @cached_property
    def name(self) -> str:
        """Under which name its verdicts are kept: its own, so that what is known of its noise holds for them."""
        return called(self._config.run.verify.by)

    async def judge(self, run: Path) -> Figures:
        """Judge what is not judged, or was without one of its siblings, as far as the budget goes.

        Done again, also after it was killed, it changes nothing. Where the budget ended the one before, nothing more is
        judged: so where several are judged at once, a kill after the limit may cost up to all but one of those, which
        undisturbed would have had their verdicts.

        Returns:
            What judging the run took, and how many attempts the budget has left without a verdict.

        Raises:
            LamarckError: the verifier, or what it needs, cannot be had.
        """
        directory, verdicts = RunDirectory(run), Verdicts(run)
        verdicts.begin(self.name)
        config = directory.load_config()
        config = config.model_copy(update={"tools": judging_tools(config)})
        meter = VerdictMeter(run, verdicts, self.name, self._may, self._clock)
        if not meter.enough():
            await judge(config, directory, verdicts, self.name, None, pace=meter)
            meter.note()
        known = verdicts.read(self.name).records
        return meter.figures(sum(one.id not in known for one in headers_in(directory)))

    def heard(self, run: Path, attempts: Iterable[Trajectory]) -> list[Trajectory]:
        """Return attempts of a run with the verdicts that were given afterwards, as if they had been given in the loop.

        Raises:
            StoreError: they cannot be read.
        """
        records = Verdicts(run).read(self.name).records
        found = []
        for one in attempts:
            verdict = records[one.id].verdict if one.id in records else None
            meta = {key: value for key, value in one.meta.items() if key != "unjudged"}
            if verdict is not None and not says_something(verdict):
                meta["unjudged"] = abstained(verdict.model_copy(update={"judge": self.name}))
                verdict = None
            elif verdict is not None:
                verdict = verdict.model_copy(update={"judge": self.name})
            found.append(one.model_copy(update={"verdict": verdict, "meta": meta}))
        return found
