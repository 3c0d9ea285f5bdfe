"""What the verifier made of a generation's attempts, what its word is worth, and attempts by the word that counts."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ...agent.evolution.generation import Figures, Generation
from ...agent.verifiers.agreement import Agreement
from ...agent.verifiers.tally import Tally
from ...config_evolve import EvolveConfig, PhaseBudget
from ...config_training import SamplesConfig
from ...core import Trajectory, Usage
from ...judged import abstention, as_ended, silent
from ...rundir import RunDirectory
from ...training.outcomes import Outcomes
from ..accepted import Accepted, headers_in, last_of
from .afterwards import Afterwards
from .collecting import COLLECT, said_of
from .home import Home, write
from .measured import AGREEMENT
from .playing import attempts

UNMEASURED = "truth is withheld, so how often it errs cannot be measured here"


class Verifying:
    """The phase `verify`. What it finds follows from the attempts, so it can be done again.

    A verifier that goes by siblings is asked here, when all of them are there; any other has judged while they played.

    Args:
        home: of the evolution.
        config: its settings.
        may: what judging when all attempts are there may use up.
        clock: the time in seconds, for tests.
    """

    def __init__(
        self,
        home: Home,
        config: EvolveConfig,
        may: PhaseBudget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._home, self._config = home, config
        self._afterwards = Afterwards(config, may, clock)

    @property
    def by_verdict(self) -> bool:
        """Whether the verdict's word counts, not the environment's."""
        return self._config.learn.by == "verdict"

    async def verify(self, now: Generation) -> Figures:
        """Count the verdicts; where the truth is known, measure over all generations so far how they agree with it.

        Raises:
            LamarckError: the attempts cannot be read, or the agreement cannot be written.
        """
        later: Figures = {}
        if self._afterwards.needed:
            later = await self._afterwards.judge(self._run(now.number).path)
        headers = self.headers(now.number)
        told = Accepted.of(headers)
        figures: Figures = {
            "judge": told.judge,
            "verdicts": told.verdicts,
            "abstained": told.abstained,
            "accepted": told.passed,
            "share": told.passed / told.verdicts if told.verdicts else None,
            "reward": told.score,
            "confidence": told.confidence,
            "siblings": told.siblings,
            **_spent(headers),
            **later,
        }
        if self._afterwards.needed:
            figures["played"] = self._played(headers)
        if self._config.run.verify.withhold:
            return {**figures, "weight": None, "why": UNMEASURED}
        found = self._agreements(now.number)
        plain = {"generations": now.number, "verifiers": [one.as_dict() for one in found]}
        write(self._file(now.number), json.dumps(plain, indent=2, sort_keys=True) + "\n")
        mine = next((one for one in found if one.judge == told.judge), None)
        return {**figures, **(_measured(mine) if mine is not None else {})}

    def samples(self, number: int) -> SamplesConfig:
        """Return by whose word is trained after `number` generations, and what that word is worth by then."""
        samples = self._config.train.samples
        if not self.by_verdict:
            return samples
        # While a generation plays, what was measured after the one before it counts.
        files = (self._file(at) for at in range(number, 0, -1))
        measured = next((str(file) for file in files if file.is_file()), None)
        known = measured or samples.agreement or self._config.run.verify.trust.agreement
        judge = self._afterwards.name if self._afterwards.needed else None
        return samples.model_copy(update={"outcome": "verdict", "agreement": known, "judge": judge})

    def outcomes(self, number: int, run: Path) -> Outcomes:
        """Return what gives attempts of a run the outcome that counts after `number` generations.

        Raises:
            ConfigError: what the verifier's word is worth cannot be read, or it has not judged this run.
        """
        return Outcomes(self.samples(number)).at(run)

    def headers(self, number: int) -> list[Trajectory]:
        """Return the attempts of a generation without their steps, with the verdicts that count.

        Raises:
            ConfigError, StoreError: they are gone or damaged.
        """
        run = self._run(number)
        found = headers_in(run)
        return self._afterwards.heard(run.path, found) if self._afterwards.needed else found

    def counting(self, number: int) -> tuple[list[Trajectory], Figures]:
        """Return the attempts of a generation with the outcome that counts, and how many were left out for what.

        Raises:
            ConfigError, StoreError: they are gone or damaged.
        """
        found = attempts(self._run(number))
        if not self.by_verdict:
            return [as_ended(one) for one in found], {}
        outcomes, left_out, counted = self.outcomes(number, self._run(number).path), Counter[str](), []
        for one in found:
            heard, why = outcomes.of(one)
            if why is None:
                counted.append(heard)
            else:
                left_out[why] += 1
        return counted, {"left_out": dict(left_out)} if left_out else {}

    def _agreements(self, upto: int) -> list[Agreement]:
        """Return how each verifier agrees with the truth, ordered by name."""
        trust = self._config.run.verify.trust
        tally = Tally(bins=trust.bins, recent=trust.recent, least=trust.least)
        # In the order of generations and tasks: that of episodes at once is not the same each time.
        for at, one in enumerate(one for number in range(1, upto + 1) for one in self.headers(number)):
            verdict = abstention(one) or (one.verdict if silent(one) is None else None)
            if verdict is not None:
                tally.hear(verdict.judge, verdict, one, float(at))
        return tally.agreements()

    def _played(self, headers: list[Trajectory]) -> Figures:
        """Return what playing came to by these verdicts; see `Generation.played`."""
        figures: Figures = {"reward": Accepted.of(headers).score} if self.by_verdict else {}
        return {**figures, **said_of(last_of(headers))} if self._config.run.verify.withhold else figures

    def _run(self, number: int) -> RunDirectory:
        return RunDirectory(self._home.generation(number) / COLLECT)

    def _file(self, number: int) -> Path:
        return self._home.generation(number) / AGREEMENT


def _measured(found: Agreement) -> Figures:
    drift = found.drift
    return {
        "known": found.n,
        "accuracy": found.accuracy.value,
        "accepts_wrong": found.accepts_wrong.value,
        "rejects_right": found.rejects_right.value,
        "youden": found.youden,
        "brier": found.brier,
        "ece": found.ece,
        "drift": drift.difference if drift is not None else None,
        "drifts": drift is not None and drift.worse,
        "weight": found.weight,
        "why": found.why,
    }


def _spent(headers: list[Trajectory]) -> Figures:
    """Return what judging and repairing took; it is in the tokens of `collect` as well."""
    judging = Usage()
    for one in headers:
        if "judging" in one.meta:
            judging = judging + Usage.model_validate(one.meta["judging"])
    repaired = [one for one in headers if one.parent is not None]
    return {
        "judging_tokens": judging.tokens,
        "repairs": len(repaired),
        "repair_tokens": sum(one.usage.tokens for one in repaired),
    }
