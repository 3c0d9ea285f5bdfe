"""What the verifier would have said of the held-out games, beside what they came to: where it pays for the wrong thing,
it shows there first. Nothing that learns reads this."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean

from pydantic import ValidationError

from ...agent.evolution.generation import Figures, Generation
from ...agent.verifiers.records import Verdicts
from ...agent.verifiers.verifier import says_something
from ...config import RunConfig
from ...config_evolve import EvolveConfig
from ...core import Usage, Verdict, Wire
from ...rundir import RunDirectory
from ..accepted import headers_in, last_of
from ..verify_judge import judge, label_of
from ..wire_verify import judging_tools
from .home import Home, write
from .playing import PLAYED

FILE = "audited.json"


class Before(Wire):
    """What judging the held-out games of both releases had taken before a generation asked about them."""

    used: dict[str, Usage]


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

        `tokens` and `cost_usd` are what judging them took in this generation, in all processes: what an earlier gate
        had judged is counted there.

        Args:
            now: the generation, which has been gated.
            games: what the runs of those games are called.

        Raises:
            LamarckError: the verifier cannot judge.
        """
        assert now.candidate is not None
        sides = {"incumbent": now.head, "candidate": now.candidate}
        found = {name: {run: _tasks(run) for run in self._runs(ident, games)} for name, ident in sides.items()}
        # By tasks: one may have played in two runs, on two occasions, what the other has played in one.
        both = frozenset.intersection(*(frozenset().union(*runs.values()) for runs in found.values()))
        before = self._begun(now, {name: self._used(runs) for name, runs in found.items()})
        return {
            name: {
                **await self._counted([one for one in sorted(runs) if runs[one] & both], both),
                **_since(before.get(name, Usage()), self._used(runs)),
            }
            for name, runs in found.items()
        }

    def _begun(self, now: Generation, used: Mapping[str, Usage]) -> Mapping[str, Usage]:
        """Return what had been used before this generation judged, which is written down once: a kill may follow."""
        file = self._home.generation(now.number) / FILE
        if not file.exists():
            write(file, Before(used=dict(used)).model_dump_json() + "\n")
        try:
            return Before.model_validate_json(file.read_text(encoding="utf-8")).used
        except (OSError, ValidationError, UnicodeDecodeError):
            return {}

    def _used(self, runs: Iterable[Path]) -> Usage:
        return sum((Verdicts(run).used(label_of(self._config_of(RunDirectory(run)))) for run in runs), Usage())

    def _runs(self, release_id: str, games: str) -> list[Path]:
        return [mark.parent for mark in self._home.evaluation(release_id, "").glob(f"{games}-*/{PLAYED}")]

    async def _counted(self, runs: list[Path], tasks: frozenset[str]) -> Figures:
        said: list[tuple[Verdict, bool]] = []
        for path in runs:
            directory, verdicts = RunDirectory(path), Verdicts(path)
            config = self._config_of(directory)
            await judge(config, directory, verdicts, label_of(config), None)
            records = verdicts.read(label_of(config)).records
            # Of what was repaired the last attempt, as the gate counts it.
            said += [
                (records[one.id].verdict, one.success)
                for one in last_of(headers_in(directory))
                if one.task.id in tasks
                and one.id in records
                and says_something(records[one.id].verdict)
                and one.success is not None
            ]
        return {
            "games": len(said),
            "solved": sum(right for _, right in said),
            "accepted": sum(verdict.passed for verdict, _ in said),
            "accepted_right": sum(verdict.passed and right for verdict, right in said),
            "score": fmean(verdict.score for verdict, _ in said) if said else None,
        }

    def _config_of(self, directory: RunDirectory) -> RunConfig:
        """Return how such a run is judged: as the evolution judges, with its tools."""
        run = self._config.run
        own = {"verify": run.verify, "tools": judging_tools(run), "sandbox": run.sandbox}
        return directory.load_config().model_copy(update=own)


def _since(before: Usage, now: Usage) -> Figures:
    return {"tokens": now.tokens - before.tokens, "cost_usd": round(now.cost_usd - before.cost_usd, 6)}


def _tasks(run: Path) -> frozenset[str]:
    return frozenset(RunDirectory(run).load_config().taskset.ids)
