"""What the verifier would have said of the held-out games, beside what they came to: where it pays for the wrong thing,
it shows there first. Nothing that learns reads this."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from ...agent.evolution.generation import Figures, Generation
from ...agent.verifiers.records import Verdicts
from ...agent.verifiers.verifier import says_something
from ...config import RunConfig
from ...config_evolve import EvolveConfig
from ...core import Trajectory, Verdict
from ...rundir import RunDirectory
from ...store import Store
from ..verify import judge, label_of
from ..wire_verify import judging_tools
from .home import Home
from .playing import PLAYED


class Auditing:
    """Asks the verifier about what both releases played for the gate, blinded as always, and counts.

    Args:
        home: of the evolution.
        config: its settings.
    """

    def __init__(self, home: Home, config: EvolveConfig) -> None:
        self._home, self._config = home, config

    async def audit(self, now: Generation, games: str) -> Figures:
        """Return what verifier and truth say of the incumbent and of the candidate, on the same games.

        Args:
            now: the generation, which has been gated.
            games: what the runs of those games are called.

        Raises:
            LamarckError: the verifier cannot judge.
        """
        assert now.candidate is not None
        sides = {"incumbent": now.head, "candidate": now.candidate}
        found = {name: {one.name: one for one in self._runs(ident, games)} for name, ident in sides.items()}
        both = sorted(set.intersection(*(set(runs) for runs in found.values())))
        return {name: await self._counted([runs[one] for one in both]) for name, runs in found.items()}

    def _runs(self, release_id: str, games: str) -> list[Path]:
        return [mark.parent for mark in self._home.evaluation(release_id, "").glob(f"{games}-*/{PLAYED}")]

    async def _counted(self, runs: list[Path]) -> Figures:
        told: list[tuple[Verdict, bool]] = []
        for path in runs:
            directory, verdicts = RunDirectory(path), Verdicts(path)
            config = self._config_of(directory)
            await judge(config, directory, verdicts, label_of(config), None)
            records = verdicts.read(label_of(config)).records
            told += [
                (records[one.id].verdict, one.success)
                for one in _headers(directory, config)
                if one.id in records and says_something(records[one.id].verdict) and one.success is not None
            ]
        return {
            "games": len(told),
            "solved": sum(right for _, right in told),
            "accepted": sum(verdict.passed for verdict, _ in told),
            "accepted_right": sum(verdict.passed and right for verdict, right in told),
            "score": fmean(verdict.score for verdict, _ in told) if told else None,
        }

    def _config_of(self, directory: RunDirectory) -> RunConfig:
        """Return how such a run is judged: as the evolution judges, with its tools."""
        run = self._config.run
        own = {"verify": run.verify, "tools": judging_tools(run), "sandbox": run.sandbox}
        return directory.load_config().model_copy(update=own)


def _headers(directory: RunDirectory, config: RunConfig) -> list[Trajectory]:
    with Store.open(directory.store_url(config), create=False) as store:
        return list(store.headers(run_id=directory.run_id, failed=False))
