"""Training the weights on what the generations have lived through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from ...agent.evolution.generation import Figures, Generation
from ...agent.llms import VLLM
from ...config_evolve import EvolveConfig
from ...config_training import TrainConfig
from ...core import Trajectory, Wire
from ...releases import Releases
from ...roles import SOLVER
from ...rundir import RunDirectory
from ...training.output import TrainDirectory
from ...training.summary import Summary
from ..accepted import headers_in
from ..screen import Screen
from ..train_fit import fitted
from ..train_watch import TrainWatch
from .budget import Allowance, left
from .home import Home, write
from .lived import runs_of
from .roles import Roles
from .verifying import Verifying

TRAIN, STOPPED = "train", "train-stopped.json"


class Stopped(Wire):
    """That training has ended before its end, since it had taken all its time."""

    updates: int
    planned: int


class Training:
    """The phase `train`.

    Args:
        home: of the evolution.
        config: its settings.
        releases: of the same home.
        verifying: says by whose word is trained.
        roles: has what the model did beside solving.
        allowed: how long it may train.
        quiet: show nothing.
        screen: what bars are part of, where they are not alone.
    """

    def __init__(
        self,
        home: Home,
        config: EvolveConfig,
        releases: Releases,
        verifying: Verifying,
        roles: Roles,
        *,
        allowed: Allowance | None = None,
        quiet: bool,
        screen: Screen | None = None,
    ) -> None:
        self._allowed = allowed or Allowance()
        self._home, self._config, self._releases, self._verifying = home, config, releases, verifying
        self._roles, self._quiet, self._screen = roles, quiet, screen

    async def train(self, now: Generation) -> Figures:
        """Train where there is enough that no training has seen; else say how much there is.

        Raises:
            LamarckError: it cannot be trained.
            KeyboardInterrupt: it was stopped, with a checkpoint or, in its last update, with what came of it.
        """
        runs = self._runs(now)
        seen = self._trained(now)
        fresh = sum(self._teaching(run, now) for number, run in runs.items() if number > seen)
        least = self._config.learn.least
        if fresh < least:
            return {"evidence": fresh, "needed": least}
        config = self._config_of(now, [*runs.values(), *self._roles.runs(runs)])
        directory = TrainDirectory(self._home.generation(now.number) / TRAIN)
        summary, updates = self._fitted(now, config, directory)
        return {
            "evidence": fresh,
            **left({"max_hours": updates - summary.steps}),
            "adapter": summary.best or summary.adapter,
            "rows": summary.data.rows,
            **({"roles": dict(summary.data.roles)} if self._config.train.samples.roles != (SOLVER,) else {}),
            "tokens": summary.data.tokens,
            "updates": summary.steps,
            "loss_first": summary.loss.first if summary.loss is not None else None,
            "loss_last": summary.loss.last if summary.loss is not None else None,
        }

    def _fitted(self, now: Generation, config: TrainConfig, directory: TrainDirectory) -> tuple[Summary, int]:
        """Train to the end, or as far as is allowed; return what was done, and how many updates were planned."""
        label, file = f"generation {now.number}: training", directory.path.with_name(STOPPED)
        stopped = Stopped.model_validate_json(file.read_text(encoding="utf-8")) if file.exists() else None
        if stopped is None:
            with TrainWatch(label, quiet=self._quiet, screen=self._screen, enough=self._enough) as watch:
                summary = fitted(config, directory, watch, resume=directory.exists())
            # Who stops it is heard also where its time is up, and in the last update, though that finishes it.
            if watch.interrupted() or (summary.interrupted and not self._enough()):
                raise KeyboardInterrupt
            if not summary.interrupted:
                return summary, summary.steps
            # Written down first: a process that dies now is not to train on.
            stopped = Stopped(updates=summary.steps, planned=summary.steps_planned)
            write(file, stopped.model_dump_json() + "\n")
        short = config.model_copy(
            update={"optimizer": config.optimizer.model_copy(update={"max_steps": stopped.updates})}
        )
        with TrainWatch(label, quiet=self._quiet, screen=self._screen) as watch:
            summary = fitted(short, directory, watch, resume=True)
        if summary.interrupted or watch.interrupted():
            raise KeyboardInterrupt
        return summary, stopped.planned

    def _enough(self) -> bool:
        return bool(self._allowed.reached())

    def adapter(self, now: Generation) -> Path | None:
        """Return the folder of the adapter that a generation has trained, or None."""
        folder = TrainDirectory(self._home.generation(now.number) / TRAIN).best
        return folder if "adapter" in now.figures.get("train", {}) else None

    def _config_of(self, now: Generation, runs: Sequence[Path]) -> TrainConfig:
        config, root = self._config.train, self._releases.get(now.parent)
        while not self._config.learn.continued and root.parent is not None:
            root = self._releases.get(root.parent)
        start = str(self._releases.folder(root.id) / "adapter") if root.adapter is not None else None
        return config.model_copy(
            update={
                "stores": tuple(str(run) for run in runs),
                "model": self._config.run.model.name.removeprefix(VLLM),
                "start": start,
                "seed": config.seed + now.number,
                "samples": self._verifying.samples(now.number),
            }
        )

    def _runs(self, now: Generation) -> dict[int, Path]:
        """Return the runs to train on, by generation."""
        first = 1 if self._config.learn.window is None else max(1, now.number - self._config.learn.window + 1)
        return {number: run for number, run in runs_of(self._home).items() if first <= number <= now.number}

    def _trained(self, now: Generation) -> int:
        """Return the last generation whose attempts the parent's weights were trained on; 0 where there is none."""
        made = {one.candidate: one for one in self._home.kept() if one.candidate is not None}
        at: str | None = now.parent
        while at is not None:
            if at in made and "adapter" in made[at].figures.get("train", {}):
                return made[at].number
            at = self._releases.get(at).parent
        return 0

    def _teaching(self, run: Path, now: Generation) -> int:
        """Return how many attempts of a run teach something: the solved ones, or those that differ from a sibling."""
        outcomes = self._verifying.outcomes(now.number, run)
        heard = [outcomes.of(one) for one in headers_in(RunDirectory(run))]
        headers = [one for one, silent in heard if silent is None]
        if self._config.train.kind == "sft":
            return sum(bool(one.success) for one in headers)
        return sum(len(group) for group in _groups(headers) if len({one.reward for one in group}) > 1)


def _groups(headers: Sequence[Trajectory]) -> list[list[Trajectory]]:
    found: defaultdict[str, list[Trajectory]] = defaultdict(list)
    for one in headers:
        found[one.group_id].append(one)
    return list(found.values())
