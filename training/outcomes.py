"""By whose word attempts are trained on: the environment's, or a verifier's."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from ..config import RunConfig
from ..config_training import SamplesConfig, TrainConfig
from ..core import Trajectory, Verdict
from ..errors import ConfigError, StoreError, boundary
from ..judged import ENVIRONMENT, Word, as_judged, silent
from ..roles import SOLVER, role_of
from ..whole import read_records

VERDICTS = "verdicts"
"""Folder in a run where verdicts lie that were given afterwards."""
WITHOUT_TRUTH = ("environment", "outcome", "par", "progress")
"""Rewards that are nothing where the truth is withheld."""


class Outcomes:
    """Attempts as they are to be trained on.

    Args:
        samples: says whose word counts, and what it is worth.

    Raises:
        ConfigError: what a verifier's word is worth cannot be read.
    """

    def __init__(self, samples: SamplesConfig) -> None:
        self._samples = samples
        self.by_verdict = samples.outcome == "verdict"
        self._words = _words(samples) if self.by_verdict else {}
        self._given: Mapping[str, Verdict] | None = None
        self._lacking: str | None = None

    def at(self, run: Path | None) -> Outcomes:
        """Return the same for attempts of a run, with the verdicts that `samples.judge` gave beside it.

        Where it gave none, `of` says so: what a model was asked as proposer or judge needs none.

        Raises:
            StoreError: they cannot be read.
        """
        judge = self._samples.judge
        if not self.by_verdict or judge is None:
            return self
        own = Outcomes.__new__(Outcomes)
        own.__dict__.update(self.__dict__)
        own._given = given(run, judge) if run is not None else None
        if own._given is None:
            own._lacking = str(run or "")
        return own

    def of(self, one: Trajectory) -> tuple[Trajectory, str | None]:
        """Return an attempt with its outcome, and why there is none that could be trained on; None where there is.

        Raises:
            ConfigError: the verifier that counts gave no verdicts here, or it is not known what the word of its judge
                is worth, though that of others is.
        """
        if not self.by_verdict or role_of(one) != SOLVER:
            return one, None  # a judgement and a proposal have rewards of their own, and no verdict
        if self._lacking is not None:
            raise self._none_given(self._lacking)
        if self._given is not None:
            meta = {key: value for key, value in one.meta.items() if key != "unjudged"}
            one = one.model_copy(update={"verdict": self._given.get(one.id), "meta": meta})
        word = self._word(one.verdict)
        return as_judged(one, word), silent(one, word)

    def _none_given(self, run: str) -> ConfigError:
        judge, where = self._samples.judge, f"beside {run}" if run else "where there is no run"
        return ConfigError(
            f"samples.judge is {judge}, and there are no verdicts of that name {where}.",
            hint=f"`lamarck verify {run or 'RUN'} --name {judge}` gives some; without it those of the run count.",
        )

    def _word(self, verdict: Verdict | None) -> Word:
        if verdict is None or verdict.judge == ENVIRONMENT or "" in self._words:
            return self._words.get("", Word(least=self._samples.least_confidence))
        # What was given afterwards goes by the name that it was given under, in an agreement as well.
        judge = verdict.judge if self._given is None or self._samples.judge is None else self._samples.judge
        same = (word for name, word in self._words.items() if name.partition(":")[0] == judge)
        found = self._words.get(judge) or next(same, None)
        if found is None:
            raise ConfigError(
                f"samples.agreement {self._samples.agreement} knows no verifier {judge}; it knows: "
                f"{', '.join(self._words) or 'none'}.",
                hint="`lamarck verify agreement RUN --json > FILE` writes one.",
            )
        return found


def check_truth(config: TrainConfig, run: RunConfig, place: str) -> None:
    """Make sure that a run has what is to be trained on.

    Raises:
        ConfigError: its truth is withheld, and it is to be trained on.
    """
    if not run.verify.withhold or config.samples.outcome == "verdict":
        return
    if config.kind == "grpo" and not any(name in WITHOUT_TRUTH for name in config.grpo.rewards):
        return
    raise ConfigError(f"truth is withheld in {place}.", hint="Train on its verdicts: --set samples.outcome=verdict")


def given(run: Path, judge: str) -> Mapping[str, Verdict] | None:
    """Return the verdicts that were given afterwards under a name, by attempt; None where there are none.

    A line that a killed process left unfinished is passed over, as `lamarck verify` does.

    Raises:
        StoreError: they cannot be read.
    """
    for path in sorted((run / VERDICTS).glob("*.jsonl")):
        with boundary(StoreError, f"reading verdicts {path}", OSError):
            head, *lines = read_records(path, torn=True) or [""]
        if _plain(head).get("by") != judge:
            continue
        found: dict[str, Verdict] = {}
        for line in lines:
            entry = _plain(line)
            try:
                found[str(entry["trajectory_id"])] = Verdict.model_validate(entry["verdict"])
            except (KeyError, ValueError):
                continue
        return found
    return None


def _words(samples: SamplesConfig) -> Mapping[str, Word]:
    """Return what the word of each verifier is worth; under "" what holds for all."""
    least, known = samples.least_confidence, samples.agreement
    if known is None:
        return {"": Word(least=least)}
    if not isinstance(known, str):
        if math.fsum(known) >= 1.0:
            raise ConfigError(
                f"samples.agreement is {list(known)}: a verifier that errs that much is no better than chance.",
                hint="Do not train on it.",
            )
        return {"": Word(*known, least=least)}
    try:
        entries = json.loads(Path(known).read_text(encoding="utf-8"))["verifiers"]
        return {str(entry["judge"]): Word.of(entry, least) for entry in entries}
    except (OSError, ValueError, KeyError, TypeError, ConfigError) as error:
        raise ConfigError(
            f"samples.agreement {known} cannot be read: {error}.",
            hint="`lamarck verify agreement RUN --json > FILE` writes one.",
        ) from error


def _plain(line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
