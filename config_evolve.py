"""EvolveConfig: what an evolution is made of; saved as `evolve.toml` in its folder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .config import RunConfig, TasksetConfig
from .config_gate import CollapseConfig, GateConfig
from .config_propose import ProposeConfig
from .config_training import TrainConfig
from .config_tree import Tree
from .section import Section


class LearnConfig(Section):
    """What a generation may acquire. Both off, nothing is learned: the arm that others are compared with."""

    memory: bool = True
    """Credit what was recalled, distil what was lived through."""
    credit: bool = True
    """Off, memory learns nothing about the worth of what was recalled."""
    distil: bool = True
    """Off, memory takes in no new items, and retires none."""
    by: Literal["environment", "verdict"] = "environment"
    """Whose word counts for memory, training and the choice of tasks: the environment's, or that of the verifier
    `run.verify.by`. Where the truth is known, rewards are corrected for how it errs; memory and imitation read passed
    or not, and nothing where its word has no weight. `run.verify.withhold` needs `verdict`."""
    chain: int = Field(default=1, gt=0)
    """Play a generation's tasks in chains of so many similar ones, link by link: what memory learned from one link is
    recalled in the next (SAGE). 1 plays all at once and learns at the end."""
    weights: bool = True
    """Train an adapter where there is enough new evidence."""
    temperature: float | None = Field(default=None, ge=0.0)
    """Of the model while it plays to learn; None plays as a release does, by `run.model.temperature`. The weights learn
    from what differs, so give them some."""
    least: int = Field(default=16, gt=0)
    """Attempts that were solved (with kind sft), or that differ from a sibling (with the others), and that no training
    has seen, before the weights are trained again."""
    window: int | None = Field(default=None, gt=0)
    """Train on the attempts of this many latest generations; None takes all of them."""
    continued: bool = False
    """Train the parent's adapter further; off, each training begins anew from the first release, on all evidence."""


class HeldOutConfig(Section):
    """What a candidate is judged on. It is never trained on, and looked at by the gate alone."""

    split: str = "valid_unseen"
    """Split of the taskset that is played."""
    limit: int | None = Field(default=100, gt=0)
    """Use the first so many tasks of it; None takes all."""
    chunk: int = Field(default=20, gt=0)
    """Tasks that are played before the gate is asked; it stops asking once it has decided."""
    audit: bool = True
    """With `learn.by = "verdict"`: ask the verifier about these games as well, to see whether it pays for the wrong
    thing. That costs the judging of every game, once for each release. Off, nothing is judged here, and the alarm for a
    verifier that accepts what is wrong cannot ring."""
    others: tuple[TasksetConfig, ...] = ()
    """Other environments that must not be forgotten. Each is called as its taskset, and with its split where several
    are of one taskset (`household/test`). All of its tasks are played; at the default margin and level, of those that
    stay as they were it takes 49 for a first test, and 85 for a fifth."""
    seen: tuple[str, ...] = ()
    """Runs and stores that the adapter or the release it begins with has learned from, where that itself does not tell:
    without, no task is known to be held out, and the gate stays shut. A memory keeps no tasks: name the runs it learned
    from. That clears nothing that was imported later: for a release that was, say RELEASE=RUN, with 8 or more of the
    digits that its id begins with."""


class TimeBudget(Section):
    """How long a phase may take in each generation."""

    max_hours: float | None = Field(default=None, gt=0.0)
    """Hours, of all processes that work on it."""


class PhaseBudget(TimeBudget):
    """What a phase may use up in each generation."""

    max_tokens: int | None = Field(default=None, gt=0)
    """Tokens of all models that are asked in it."""
    max_cost_usd: float | None = Field(default=None, gt=0.0)
    """Money, in US dollars."""


class PhaseBudgets(Section):
    """Budgets of single phases, looked at while they run. What has begun comes to its end, so a little more may go.

    The others have none: `credit` and `build` ask no model and go through what was collected, which `collect` limits;
    `settle` writes down what was decided. Nor have students; `propose.students` says what bounds those.
    """

    propose: PhaseBudget = PhaseBudget()
    """No further task is made, and those there are are played; one at least has to be, unless given tasks stand in for
    them (`relabelled`). Proposers that choose among given tasks take no notice. After a kill none is made again; with
    `max_hours` it hangs on the clock how many there are."""
    collect: PhaseBudget = PhaseBudget()
    """No further episode is begun, and the generation goes on with those there are. What is judged and repaired while
    they are played belongs to it; what memory learns between links of chains does not."""
    verify: PhaseBudget = PhaseBudget()
    """No further attempt is judged, task by task, by a verifier that goes by siblings and so judges when all have been
    played; nothing is learned from those that are left. Any other has judged in `collect`. Of several judgings at once
    (`run.collect.concurrency`) all but the one that reaches the limit come to their end past it; in a process that is
    killed there they do not, and are left."""
    distil: PhaseBudget = PhaseBudget()
    """The attempts that are left are not distilled."""
    train: TimeBudget = TimeBudget()
    """Training ends with the update it is in, and what it has come to is the adapter."""
    gate: PhaseBudget = PhaseBudget()
    """No further chunk of held-out games is begun: what is not known by then is not yet. The audit of what was played
    (`held_out.audit`) comes to its end: releases are compared on the same games."""


class BudgetConfig(Section):
    """When an evolution ends before its generations do; it is looked at between generations."""

    max_hours: float | None = Field(default=None, gt=0.0)
    """Hours over all generations."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Tokens of all models, prompts and completions together."""
    max_cost_usd: float | None = Field(default=None, gt=0.0)
    """Money, in US dollars."""
    phases: PhaseBudgets = PhaseBudgets()


class StageConfig(TrainConfig):
    """How weights are trained, as for `lamarck train`; by imitation of what was solved if not said otherwise."""

    kind: Literal["sft", "dpo", "kto", "grpo"] = "sft"
    """As in `TrainConfig`."""


READING = ("provenance", "texts", "leakage", "reach", "code")
"""Probes that play nothing."""


class EvolveConfig(Tree):
    """Everything an evolution needs to be repeated."""

    generations: int = Field(default=5, gt=0)
    """How many there are to be."""
    grow: Literal["head", "latest", "clade"] = "head"
    """What a generation is grown from: the release in force; the last candidate, unless it was refused or another
    release came into force, so that gains too small to be shown add up until they can be; or any release that was made
    or weighed here, drawn by what its descendants achieved (S057), but none whose safety or contents were refused."""
    gate: GateConfig = GateConfig()
    """When a candidate is promoted."""
    claim: Literal["better", "cheaper"] = "better"
    """What a candidate must show: that it is better, or that it is no worse by more than `gate.margin` and saves
    `gate.least_saving` of `gate.saving`, for an evolution that is after cost alone."""
    collapse: CollapseConfig = CollapseConfig()
    """When the alarms for a collapse ring."""
    on_alarm: Literal["tell", "stop"] = "tell"
    """What an alarm does: it is told and stands in the record, or the evolution ends with that generation."""
    gated: bool = True
    """Off, nothing is ever promoted."""
    probes: tuple[str, ...] = READING
    """Safety probes asked of a candidate and of the release in force (`lamarck probe ls`); empty asks all. One that
    cannot be asked, for example without a sandbox, keeps the gate shut. Those of the default read what a release holds;
    where tools are made, `made-tools` is asked beside them, which also tries them out in a sandbox.
    The others play scenes with it: with a model that decides at chance they rise and fall by chance, so give them room
    by `gate.probe_margin`, 0.25 for a model that small."""
    propose: ProposeConfig = ProposeConfig()
    """Where a generation's tasks come from; what is held out here is never proposed."""
    learn: LearnConfig = LearnConfig()
    held_out: HeldOutConfig = HeldOutConfig()
    budget: BudgetConfig = BudgetConfig()
    run: RunConfig = RunConfig()
    """How tasks are played, as for `lamarck run`."""
    train: StageConfig = StageConfig()
    """How weights are trained, as for `lamarck train`."""

    @property
    def asked_probes(self) -> tuple[str, ...]:
        """The probes that are asked: `probes`, and by default one more where tools are made."""
        return (*READING, "made-tools") if self.probes == READING and self.run.tools.make else self.probes
