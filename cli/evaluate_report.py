"""The report that `lamarck eval` prints: figures, and under them what is needed to believe and repeat them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ..config import RunConfig
from ..errors import ConfigError
from ..evals.figures.compare import MAX_INFRASTRUCTURE
from ..evals.figures.contamination import Contamination, contamination
from ..evals.figures.curves import WINDOW, Curve, in_order, learning_curve
from ..evals.figures.differences import differences
from ..evals.figures.evaluation import Evaluation
from ..evals.figures.outcomes import values
from ..evals.figures.pick import PickedFigures
from ..evals.figures.played import Played
from ..evals.figures.summary import Figures
from ..evals.metrics import Tally, split_hash
from ..rundir import RunDirectory
from ..store import Store
from ..tools.made_convergence import Convergence, convergence
from ..tools.made_log import ToolLog
from . import evaluate_tables as tables
from .accepted import Accepted, accepted_in
from .tables import console, totals
from .wire_made import tools_store


@dataclass(frozen=True)
class Asked:
    """What a report is to hold."""

    k: Sequence[int] = ()
    window: int = WINDOW
    seen: tuple[Path, ...] = ()
    max_infrastructure: float = MAX_INFRASTRUCTURE


class Report:
    """The figures of one run, with what is needed to believe and repeat them."""

    def __init__(self, played: Played, asked: Asked) -> None:
        self.played, self.asked = played, asked
        self.config, self.release = played.config, played.release
        most = max((len(group) for group in _per_task(played).values()), default=0)
        if asked.k and max(asked.k) > max(most, played.config.collect.samples):
            raise ConfigError(f"--k {max(asked.k)} needs as many samples per task; run {played.path} has {most}.")
        self.figures: Figures = played.figures(ks=tuple(asked.k))
        self.parts: dict[str, Figures] = played.by_category(ks=tuple(asked.k))
        self.curve: Curve = learning_curve(values(in_order(played.samples)), window=asked.window)
        self.contamination: Contamination = _contamination(played, asked)
        self.picked: PickedFigures | None = None
        self.not_picked = ""
        try:
            self.picked = played.picked()
        except ConfigError as error:
            # The other figures stand without it.
            self.not_picked = str(error)
        self.made: Convergence | None = None
        self.again: dict[str, object] | None = None

    @classmethod
    def of(cls, config: RunConfig, directory: RunDirectory, asked: Asked | None = None) -> Report:
        """Read the run's trajectories and add them up."""
        report = cls(Played.read(directory, config), asked or Asked())
        if config.tools.make:
            with Store.open(tools_store(config, directory), create=False) as tools:
                report.made = convergence(ToolLog(tools).entries())
        return report

    @property
    def total(self) -> Tally:
        """Sums over all episodes."""
        return self.played.total

    @property
    def categories(self) -> dict[str, Tally]:
        """Sums over the episodes of each category."""
        return self.played.categories

    @property
    def verdict(self) -> str:
        """Why the figures are no verdict on the agent, or nothing where they are."""
        lost = self.figures.infrastructure
        if lost.share <= self.asked.max_infrastructure:
            return ""
        return (
            f"No verdict: {lost.lost + lost.unfinished} of {lost.planned} samples have no outcome "
            f"({lost.lost} lost to infrastructure, {lost.unfinished} not finished), "
            f"more than {100 * self.asked.max_infrastructure:g} %."
        )

    def repeats(self, old: Evaluation) -> None:
        """Note that this run repeats an evaluation, and in what it differs from it."""
        new = self.played.evaluation
        lines = differences(old, new) if new is not None else ["the run has no evaluation.json"]
        self.again = {"of": old.id, "same": not lines, "differences": lines}

    @property
    def accepted(self) -> Accepted | None:
        """What its verifier made of a run whose truth was withheld, None of any other."""
        return accepted_in(RunDirectory(self.played.path)) if self.config.verify.withhold else None

    def facts(self) -> dict[str, object]:
        """Return where the figures come from."""
        task, model, solver = self.config.taskset, self.config.model, self.config.solver
        evaluation = self.played.evaluation
        return {
            "run": str(self.played.path),
            "run_id": self.played.run_id,
            "evaluation": evaluation.id if evaluation else None,
            "version": evaluation.version if evaluation else None,
            "taskset": task.name,
            "split": task.split,
            "tasks": len(self.played.tasks),
            "split_hash": split_hash(sorted(self.played.tasks)),
            "seed": self.config.collect.seed,
            "samples": self.config.collect.samples,
            "model": self.release.base_model if self.release else model.name,
            "adapter": self.release.adapter if self.release else None,
            "release": self.release.id if self.release else None,
            "baseline": self.config.baseline,
            "protocol": solver.protocol,
            "temperature": model.temperature,
            "max_steps": solver.max_steps,
            "max_tokens": solver.max_tokens,
            "max_cost_usd": solver.max_cost_usd,
            "max_seconds": solver.max_seconds,
            "on_loop": solver.on_loop,
            "grammar": "+".join(sorted(self.total.grammars)) or None,
        }

    def as_dict(self) -> dict[str, object]:
        """Return facts and figures as JSON-serialisable values."""
        categories = {name: _both(part, self.parts.get(name)) for name, part in self.categories.items()}
        made = {"made_tools": {**asdict(self.made), "new_per_call": self.made.total}} if self.made else {}
        picked = {"picked": self.picked.as_dict()} if self.picked else {}
        picked = {"picked": {"error": self.not_picked}} if self.not_picked else picked
        spread = {"allocation": self.played.allocated.as_dict()} if self.played.allocated else {}
        again = {"again": self.again} if self.again else {}
        accepted = self.accepted
        told = {"truth": "withheld", "accepted": asdict(accepted)} if accepted is not None else {}
        return {
            **self.facts(),
            "all": _both(self.total, self.figures),
            "categories": categories,
            "learning_curve": self.curve.as_dict(),
            "contamination": self.contamination.as_dict(),
            "verdict": {
                "allowed": not self.verdict,
                "reason": self.verdict,
                "max_infrastructure": self.asked.max_infrastructure,
            },
            **picked,
            **spread,
            **made,
            **again,
            **told,
        }

    def print(self) -> None:
        """Print the table and, under it, where the figures come from."""
        out = console()
        rows = {**self.parts, "all": self.figures}
        out.print(tables.success_table(f"{self.config.taskset.name} {self.config.taskset.split}", rows))
        told = self.accepted
        if told is not None:
            # What stands in the table is the truth, which evaluation alone may look up.
            out.print(f"{told.sentence()}, of {told.attempts}", markup=False)
        if self.verdict:
            out.print(self.verdict, style="bold red", markup=False)
        if len(self.figures.at_k) > 1 or (self.figures.at_k and self.figures.at_k[0].k > 1):
            out.print(tables.at_k_table(self.figures.at_k))
        lines = [*tables.effort(self.figures), *totals(self.total)]
        if any(sum(_kinds(part)) for part in self.parts.values()):
            out.print(tables.invalid_table(rows))
        for line in [*lines, *tables.attempts(self.figures), *tables.picked(self.picked)]:
            out.print(line, markup=False)
        if self.played.allocated is not None:
            out.print(self.played.allocated.line(), markup=False)
        if self.not_picked:
            out.print(self.not_picked, style="yellow", markup=False)
        if len(self.curve.points) >= self.asked.window:
            out.print(tables.curve_line(self.curve), markup=False)
        if self.made is not None:
            rate = "-" if self.made.total is None else f"{self.made.total:.3f}"
            line = f"{self.made.tools} tools made and {self.made.calls} calls of them so far: {rate} new tools per call"
            out.print(line, markup=False)
        for line in self.contamination.lines():
            out.print(line, style="dim", markup=False)
        facts = {key: value for key, value in self.facts().items() if value is not None}
        out.print("   ".join(f"{key} {value}" for key, value in facts.items()), style="dim", markup=False)


def _both(tally: Tally, figures: Figures | None) -> dict[str, object]:
    """Return sums and figures together; rate and interval are those of the figures, which know what is one sample."""
    plain = tally.as_dict()
    if figures is None:
        return plain
    return {
        **plain,
        "success_rate": figures.success.value,
        "success_low": figures.success.low,
        "success_high": figures.success.high,
        "figures": figures.as_dict(),
    }


def _kinds(figures: Figures) -> tuple[int, ...]:
    found = figures.invalid
    return found.unparseable, found.not_admissible, found.no_effect, found.repeated, found.tool_errors


def _per_task(played: Played) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for sample in played.samples:
        found.setdefault(sample.task_id, []).append(sample.sample)
    return found


def _contamination(played: Played, asked: Asked) -> Contamination:
    task, memory = played.config.taskset, played.config.memory
    folder = None if memory.mode == "off" else Path(memory.path) if memory.path is not None else played.path
    return contamination(
        task.name,
        task.options,
        played.tasks,
        memory_mode=memory.mode,
        # A memory that lives in the run's own folder has seen the run itself, which is no news.
        memory=folder if folder != played.path else None,
        seen=asked.seen,
        samples=played.config.collect.samples,
    )
