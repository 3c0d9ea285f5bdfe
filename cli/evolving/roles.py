"""What a model did in a generation beside solving: tasks that it made up, attempts that it judged, each with its worth.

generations/NNN/roles/proposer, roles/verifier    runs of their own, so that nothing of them is taken for an attempt

They are made once, when all of a generation's tasks have been played, and are there whole or not at all.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from pydantic import ValidationError

from ...agent.evolution.generation import Figures, Generation
from ...agent.llms import same_model
from ...agent.proposers.episodes import episodes as proposed
from ...agent.proposers.outcomes import outcomes_of
from ...agent.proposers.proposer import Asked, Proposal
from ...agent.proposers.rewards import REWARDS
from ...agent.verifiers.episodes import episodes as judgements
from ...agent.verifiers.judgements import Judgements
from ...agent.verifiers.table import VERIFIERS, named
from ...config import ModelConfig, RunConfig
from ...config_evolve import EvolveConfig
from ...config_verify import VerifyConfig
from ...core import Trajectory, content_id
from ...errors import ConfigError, StoreError, boundary
from ...evals.probes.spelled import leaks, texts_in
from ...evals.proposed.taskset import read_tasks
from ...releases import Releases
from ...roles import PROPOSER, VERIFIER
from ...rundir import RunDirectory
from ...store import Store
from ..accepted import headers_in
from .collecting import COLLECT
from .exam import check_students
from .home import Home, write
from .progress import with_progress
from .proposing import ASKED, TASKS
from .verifying import Verifying

ROLES, FIGURES = "roles", "roles.json"
WITHHELD, UNKNOWN, GONE = "truth is withheld", "truth is not known", "of attempts that infrastructure ended"
UNPLAYED, TELLS = "not played, or not checked", "tell an answer that is withheld"
UNMEASURED = "of sets whose progress could not be measured"


class _Made(NamedTuple):
    """The attempts of a role, and why others were left out."""

    attempts: Sequence[Trajectory]
    left_out: Counter[str]


class Roles:
    """Stores what models were asked as proposer and as judge, for training.

    A proposal is worth what `propose.reward` makes of how its task was played, by the word that counts. A judgement is
    worth whether it agrees with the outcome; where truth is withheld nobody may compare them, and none is stored.

    Args:
        home: of the evolution.
        config: its settings.
        verifying: says which attempts count, and what they came to.
    """

    def __init__(self, home: Home, config: EvolveConfig, verifying: Verifying) -> None:
        self._home, self._config, self._verifying = home, config, verifying

    def keep(self, now: Generation) -> Figures:
        """Store the attempts of a generation, if there are any and it is not done yet; return how many there are.

        Raises:
            ConfigError, StoreError: what they are made of is gone or damaged, or they cannot be written.
        """
        folder = self._folder(now.number)
        if not folder.is_dir():
            made = {role: found for role in (PROPOSER, VERIFIER) if (found := self._made(role, now.number)) is not None}
            if not made:
                return {}
            beside = folder.with_name(f".{ROLES}-new")
            with boundary(StoreError, f"cannot write {folder}", OSError):
                shutil.rmtree(beside, ignore_errors=True)
                for role, found in made.items():
                    self._store(beside / role, now.number, role, found.attempts)
                told = {role: _figures(found) for role, found in made.items()}
                write(beside / FIGURES, json.dumps(told, indent=2, sort_keys=True) + "\n")
                beside.rename(folder)
        with boundary(StoreError, f"cannot read {folder / FIGURES}", OSError, ValueError):
            return {ROLES: json.loads((folder / FIGURES).read_text(encoding="utf-8"))}

    def runs(self, numbers: Iterable[int]) -> list[Path]:
        """Return the runs of these generations that `train.samples.roles` names, beside those of the solver."""
        wanted = [role for role in (PROPOSER, VERIFIER) if role in self._config.train.samples.roles]
        found = [self._folder(number) / role for number in numbers for role in wanted]
        return [run for run in found if RunDirectory(run).exists()]

    def _made(self, role: str, number: int) -> _Made | None:
        directory = RunDirectory(self._home.generation(number) / COLLECT)
        return self._proposals(number, directory) if role == PROPOSER else self._judgements(directory)

    def _proposals(self, number: int, directory: RunDirectory) -> _Made | None:
        folder = self._home.generation(number)
        asked = _asked(folder / ASKED)
        if not asked:
            return None
        proposal = Proposal(tasks=tuple(read_tasks(folder / TASKS)), state={}, asked=tuple(asked))
        wanted = self._config.propose
        outcomes = with_progress(folder, outcomes_of(self._verifying.counting(number)[0]))
        found = proposed(
            proposal,
            outcomes,
            by=wanted.by,
            run_id=_run_id(directory, PROPOSER),
            reward=wanted.reward,
            at=min((one.started_at for one in headers_in(directory)), default=0.0),
        )
        unmeasured = {one.task_id for one in outcomes if wanted.reward == "progress" and one.progress is None}
        lacking = sum(one.task_id in unmeasured for one in asked)
        left_out = Counter({UNPLAYED: len(asked) - len(found) - lacking, UNMEASURED: lacking})
        if not self._config.run.verify.withhold:
            return _Made(found, left_out)
        answers = self._answers(number)
        quiet = [one for one in found if not _tells(one, answers)]
        left_out[TELLS] = len(found) - len(quiet)
        return _Made(quiet, left_out)

    def _answers(self, number: int) -> dict[str, list[str]]:
        """Return the texts in the truth of every task so far, by its id."""
        files = (self._home.generation(at) / TASKS for at in range(1, number + 1))
        return {task.id: list(texts_in(task.truth)) for file in files for task in read_tasks(file)}

    def _judgements(self, directory: RunDirectory) -> _Made | None:
        heard = Judgements(directory.path).read()
        if not heard:
            return None
        if self._config.run.verify.withhold:
            return _Made((), Counter({WITHHELD: sum(map(len, heard.values()))}))
        made, counted, run_id = list[Trajectory](), Counter[str](), _run_id(directory, VERIFIER)
        attempts = {one.id: one for one in headers_in(directory)}
        left_out = Counter({GONE: sum(len(said) for ident, said in heard.items() if ident not in attempts)})
        for ident, one in attempts.items():
            said = heard.get(ident, ())
            found = judgements(one, said, run_id=run_id, first=counted[one.task.id])
            counted[one.task.id] += len(found)
            left_out[UNKNOWN] += len(said) - len(found)
            made += found
        return _Made(made, left_out)

    def _store(self, folder: Path, number: int, role: str, attempts: Sequence[Trajectory]) -> None:
        played = RunDirectory(self._home.generation(number) / COLLECT)
        config = played.load_config().model_copy(update={"store": None, "verify": VerifyConfig()})
        directory, run_id = RunDirectory(folder), _run_id(played, role)
        write(folder / "run.id", run_id + "\n")
        write(directory.config_path, config.dump_toml())
        with Store.open(directory.store_path) as store:
            store.put_run(run_id, config=config.model_dump(mode="json"))
            for one in attempts:
                store.finish(one)

    def _folder(self, number: int) -> Path:
        return self._home.generation(number) / ROLES


def judged(config: EvolveConfig) -> bool:
    """Say whether a verifier judges what is played."""
    return config.run.verify.by not in ("none", "environment")


def proposing_model(config: EvolveConfig, releases: Releases, now: Generation) -> ModelConfig | None:
    """Return how the model that proposes is run: with the parent's adapter where it is trained as a proposer.

    None where its name says all.
    """
    name = config.propose.model
    if name is None or PROPOSER not in config.train.samples.roles:
        return None
    adapter = releases.get(now.parent).adapter
    folder = str(releases.folder(now.parent) / "adapter") if adapter is not None else None
    return config.run.model.model_copy(update={"name": name, "adapter": folder})


def check_roles(config: EvolveConfig) -> None:
    """Refuse parts that nobody plays, or another model than the one that is trained.

    Raises:
        ConfigError: there is such a part.
    """
    run, wanted, roles = config.run, config.propose, config.train.samples.roles
    if wanted.model is not None and wanted.reward not in REWARDS:
        raise ConfigError(f"propose.reward is {wanted.reward!r}; there are: {', '.join(REWARDS)}.")
    check_students(config)
    if PROPOSER in roles and (wanted.model is None or not same_model(wanted.model, run.model.name)):
        raise ConfigError(
            f"train.samples.roles has the proposer, and propose.model is {wanted.model or 'none'}.",
            hint=f"Set propose.model to the model that is trained, {run.model.name}, and propose.by to who asks it.",
        )
    if VERIFIER not in roles:
        return
    if not _asks(run):
        raise ConfigError(
            f"train.samples.roles has the verifier, and run.verify.by = {run.verify.by} asks no model.",
            hint="Set run.verify.by = judge, or vote with a judge among its members.",
        )
    if run.verify.model is not None and not same_model(run.verify.model, run.model.name):
        raise ConfigError(
            f"train.samples.roles has the verifier, and run.verify.model is {run.verify.model}.",
            hint=f"Leave it out: then the model that is trained, {run.model.name}, judges.",
        )


def _asks(run: RunConfig) -> bool:
    """Say whether a verifier may ask a model to judge: a judge, or one that is not ours."""
    asked = named(run.verify.by, run.verify.options)
    return any(name == "judge" or name not in {*VERIFIERS, "none"} for name in asked)


def _run_id(played: RunDirectory, role: str) -> str:
    return content_id(played.run_id, role)


def _asked(file: Path) -> list[Asked]:
    if not file.is_file():
        return []
    with boundary(ConfigError, f"cannot read what the proposer was asked, {file}", OSError, ValidationError):
        return [Asked.model_validate_json(line) for line in file.read_bytes().split(b"\n") if line]


def _tells(one: Trajectory, answers: Mapping[str, Sequence[str]]) -> bool:
    """Say whether a proposal holds the answer of its task, or any that is too long to be there by chance."""
    step = one.steps[0]
    own = [text for text in answers.get(one.final_observation, ()) if text]
    if any(re.search(rf"(?<!\w){re.escape(text)}(?!\w)", step.completion) for text in own):
        return True
    texts = {"answer": step.completion, "question": "\n".join(message.content for message in step.messages)}
    return any(True for _ in leaks({text for found in answers.values() for text in found}, texts))


def _figures(made: _Made) -> dict[str, Any]:
    rewards = [one.reward or 0.0 for one in made.attempts]
    return {
        "attempts": len(rewards),
        "reward": fmean(rewards) if rewards else None,
        "right": sum(bool(one.success) for one in made.attempts),
        "left_out": {why: count for why, count in made.left_out.items() if count},
    }
