"""Asking releases the safety probes: each release once, its answers kept with what else is known of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from pydantic import ValidationError

from ...config import RunConfig
from ...config_evolve import EvolveConfig
from ...core import Task, Wire, content_id
from ...errors import ConfigError
from ...evals.gate.evidence import Probed, ProbeFigures
from ...evals.probes.probe import Probe, ProbeResult, Subject
from ...evals.probes.seal import Code, Seal
from ...evals.probes.spelled import texts_in
from ...evals.probes.table import load_probes, probe_names
from ...releases import Releases
from ..screen import Screen
from .home import Home, write
from .lived import Lived, runs_of
from .registered import Named, file_of, files_of, registered
from .subject import PACKAGE, subject, texts

RESULTS, SEAL = "probes.json", "seal.json"
GUEST = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""How something of the user's own is named."""


class Answers(Wire):
    """What a release answered."""

    release: str
    asked: dict[str, str]
    """Probe to content id of what it asks."""
    results: dict[str, ProbeResult | None]
    """By probe; None where it could not be told."""

    def of(self, asked: Mapping[str, str]) -> dict[str, ProbeResult | None]:
        """Return the answers to exactly these questions."""
        return {name: self.results[name] for name, own in asked.items() if self.asked.get(name) == own}


class Probing:
    """Asks releases of one home.

    Args:
        home: of the evolution, or of releases that came from elsewhere.
        releases: of the same home, open.
        run: settings of this machine: threads, patience, episodes at once.
        held_out: gives the tasks that nothing was to be learned from, where they are asked for.
        names: of the probes; all if none.
        guests: the user's own that judge, each named as `module:Class` or as a package has
            registered it; their files are sealed as well.
        sealed: seal what judges now, if it is not sealed yet; off, a seal is only compared with.
        judges: folder of the package, where what judges lies.
        quiet: show failures only.
        screen: what bars are part of, where they are not alone.

    Raises:
        ConfigError: there is no probe of a name, the package of a guest does not import, or the seal is damaged.
        StoreError: the seal cannot be written.
    """

    def __init__(
        self,
        home: Home,
        releases: Releases,
        *,
        run: RunConfig | None = None,
        held_out: Callable[[], Sequence[Task]] = tuple,
        names: Sequence[str] = (),
        guests: Sequence[Named] = (),
        sealed: bool = True,
        judges: Path = PACKAGE,
        quiet: bool = False,
        screen: Screen | None = None,
    ) -> None:
        self._home, self._releases, self._quiet, self._screen = home, releases, quiet, screen
        self._run = run or RunConfig()
        self._held_out, self._judges, self._guests = held_out, judges, _files(guests)
        self._probes = load_probes([name for name in names if name != Code.name] if names else None)
        self._asked = {one.name: content_id(texts(), _named(one)) for one in self._probes}
        self._code = self._sealed(write_it=sealed) if not names or Code.name in names else None

    @property
    def probes(self) -> list[Probe]:
        """All that are asked."""
        return [*self._probes, *([self._code] if self._code is not None else [])]

    async def run(self, release_id: str) -> dict[str, ProbeResult]:
        """Return what each probe found of a release; one that cannot be told is left out.

        Raises:
            LamarckError: the release is damaged, or infrastructure failed.
        """
        release_id = self._releases.get(release_id).id
        file = self._home.evaluation(release_id, RESULTS)
        known = _read(file) or Answers(release=release_id, asked={}, results={})
        results = known.of(self._asked)
        if left := [one for one in self._probes if one.name not in results]:
            async with self._subject(release_id) as subject:
                results |= {one.name: await one.run(subject) for one in left}
            whole = Answers(release=release_id, asked=known.asked | self._asked, results={**known.results, **results})
            write(file, whole.model_dump_json(indent=2) + "\n")
        found = {one.name: result for one in self._probes if (result := results[one.name]) is not None}
        if self._code is not None:
            # Not kept: it says nothing of the release, but of what is about to judge it.
            found[self._code.name] = await self._code.run()
        return found

    async def probed(self, incumbent: str, candidate: str) -> list[Probed]:
        """Return what the gate is to know: each probe before and after.

        A probe that cannot be told stands there without figures, and keeps the gate shut.

        Raises:
            LamarckError: as `run`.
        """
        before, after = await self.run(incumbent), await self.run(candidate)
        return [
            Probed(one.name, _figures(before.get(one.name)), _figures(after.get(one.name)), one.critical, one.most)
            for one in self.probes
        ]

    def _subject(self, release_id: str) -> AbstractAsyncContextManager[Subject]:
        self._releases.check(release_id)
        return subject(
            self._home,
            self._releases,
            release_id,
            run=self._run,
            past=self._past(),
            quiet=self._quiet,
            screen=self._screen,
        )

    def _past(self) -> Lived | None:
        return Lived(list(runs_of(self._home).values()), self._held_out) if self._home.exists() else None

    def _sealed(self, *, write_it: bool) -> Code | None:
        file, more = self._home.path / SEAL, self._guests
        if not file.exists():
            if not write_it:
                return None
            write(file, Seal.of(self._judges, more).model_dump_json(indent=2) + "\n")
        return Code(Seal.read(file), self._judges, more)


def guests(config: EvolveConfig) -> list[Named]:
    """Return the names of the user's own, and of what packages have registered, that decide what an attempt is worth
    or whether a release is let through: tasksets and who proposes tasks, verifiers, whom they ask and what tools they
    may use, rewards and what is made of them, and probes."""
    run, grpo = config.run, config.train.grpo
    asked = [text for value in run.verify.options.values() for text in texts_in(value)]
    used: dict[str, Iterable[str]] = {
        "tasksets": [run.taskset.name, *(one.name for one in config.held_out.others)],
        "proposers": [config.propose.by],
        "verifiers": [run.verify.by, *asked],
        "rewards": grpo.rewards,
        "credits": [grpo.credit],
        "objectives": [grpo.objective] if grpo.objective is not None else [],
        "tools": run.tools.plugins,
        "probes": config.asked_probes or probe_names(),
    }
    known, found = registered(), [Named(kind, name) for kind, names in used.items() for name in names]
    own = [one for one in dict.fromkeys(found) if not one.name.startswith("lamarck.")]
    return [one for one in own if GUEST.fullmatch(one.name) or one in known]


def _files(named: Sequence[Named]) -> list[Path]:
    """Return the files that these are defined in; what cannot be found cannot be named either.

    What a package has registered comes with all of its distribution, be it upgraded or written to.
    """
    if named and (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)  # as where they are loaded
    found, known = [], registered()
    for one in named:
        if ":" in one.name and (own := file_of(one.name.partition(":")[0])) is not None:
            found.append(own)
        found += [file for point in known.get(one, ()) for file in files_of(point)]
    return [file for file in dict.fromkeys(found) if file.is_file()]


def _named(probe: Probe) -> list[str]:
    return [probe.name, *(f"{key}={value}" for key, value in sorted(vars(probe).items()))]


def _figures(result: ProbeResult | None) -> ProbeFigures | None:
    return ProbeFigures(result.unsafe, result.cases) if result is not None else None


def _read(file: Path) -> Answers | None:
    """Return what was kept.

    Raises:
        ConfigError: it is damaged.
    """
    if not file.exists():
        return None
    try:
        return Answers.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError) as error:
        raise ConfigError(f"the answers {file} are damaged.", hint="Remove that file; they are asked anew.") from error
