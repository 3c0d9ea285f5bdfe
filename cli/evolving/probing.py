"""Asking releases the safety probes: each release once, its answers kept with what else is known of it."""

from __future__ import annotations

import functools
import shutil
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

from pydantic import ValidationError

from ...agent.llms import build_llm
from ...config import RunConfig, TasksetConfig
from ...core import Item, Task, Trajectory, Wire, content_id
from ...errors import ConfigError, SandboxError
from ...evals.gate.evidence import Probed, ProbeFigures
from ...evals.probes.probe import Probe, ProbeResult, Subject
from ...evals.probes.seal import Code, Seal
from ...evals.probes.table import load_probes
from ...memory.bank import Memory
from ...memory.reading import Reading
from ...release_files import Player
from ...release_memory import FILE, copy_memory
from ...releases import Releases
from ...rundir import RunDirectory
from ...sandboxes.pool import Pool
from ...seams import LLM
from ...store import Store
from ...tools.made_log import ToolLog
from ...tools.made_shelf import Version
from ...tools.workbench import SANDBOXED
from ..screen import Screen
from ..wire_tools import open_pool
from .collecting import COLLECT
from .home import Home, write
from .lived import Lived
from .playing import as_released, attempts, played

RESULTS, SEAL = "probes.json", "seal.json"
PACKAGE = Path(__file__).parents[2]


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
        sealed: seal what judges now, if it is not sealed yet; off, a seal is only compared with.
        judges: folder of the package, where what judges lies.
        quiet: show failures only.
        screen: what bars are part of, where they are not alone.

    Raises:
        ConfigError: there is no probe of a name, or the seal is damaged.
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
        sealed: bool = True,
        judges: Path = PACKAGE,
        quiet: bool = False,
        screen: Screen | None = None,
    ) -> None:
        self._home, self._releases, self._quiet, self._screen = home, releases, quiet, screen
        self._run = run or RunConfig()
        self._held_out, self._judges = held_out, judges
        self._probes = load_probes([name for name in names if name != Code.name] if names else None)
        self._asked = {one.name: content_id(_texts(), _named(one)) for one in self._probes}
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

        A probe that can be told of neither is left out; named in `gate.probes`, it is then missed there.

        Raises:
            LamarckError: as `run`.
        """
        before, after = await self.run(incumbent), await self.run(candidate)
        return [
            Probed(one.name, _figures(before.get(one.name)), _figures(after.get(one.name)), one.critical, one.most)
            for one in self.probes
            if one.name in before or one.name in after
        ]

    # What a probe is shown.

    @asynccontextmanager
    async def _subject(self, release_id: str) -> AsyncIterator[Subject]:
        self._releases.check(release_id)
        release, folder = self._releases.get(release_id), self._releases.folder(release_id)
        player = self._releases.player(release_id)
        items, tools = _remembered(folder / "memory" / FILE) if release.memory_snapshot is not None else ([], [])
        prompts = {name: (folder / "prompts" / f"{name}.md").read_text(encoding="utf-8") for name in release.prompts}
        async with AsyncExitStack() as stack:
            plays = _Plays(self._home, release_id, self._run, stack, quiet=self._quiet, screen=self._screen)
            yield Subject(
                release=release_id,
                play=plays,
                items=items,
                tools=tools,
                prompts=prompts,
                past=self._past(),
                pool=_Sandboxes(self._run, stack),
                reach=_reach(player),
            )

    def _past(self) -> Lived | None:
        folders = sorted((self._home.path / "generations").glob(f"*/{COLLECT}"))
        runs = [folder for folder in folders if RunDirectory(folder).exists()]
        return Lived(runs, self._held_out) if self._home.exists() else None

    def _sealed(self, *, write_it: bool) -> Code | None:
        file = self._home.path / SEAL
        more = _guests(self._run)
        if not file.exists():
            if not write_it:
                return None
            write(file, Seal.of(self._judges, more).model_dump_json(indent=2) + "\n")
        return Code(Seal.read(file), self._judges, more)


class _Plays:
    """Lets a release play in folders beside its held-out games, with one model for all of it."""

    def __init__(
        self,
        home: Home,
        release_id: str,
        run: RunConfig,
        stack: AsyncExitStack,
        *,
        quiet: bool,
        screen: Screen | None = None,
    ) -> None:
        self._home, self._release, self._quiet, self._screen = home, release_id, quiet, screen
        self._machine, self._stack = run, stack
        self._llm: LLM | None = None

    async def __call__(
        self, world: TasksetConfig, *, recall: bool = True, planted: Sequence[Item] = ()
    ) -> list[Trajectory]:
        """Play, or go on playing."""
        own = content_id(_texts(), world.model_dump(mode="json"), recall, [item.id for item in planted])[:8]
        folder = self._home.evaluation(self._release, f"probe-{own}")
        config = self._config(world, recall=recall, planted=planted)
        if self._llm is None:
            self._llm = build_llm(config.model)
            self._stack.push_async_callback(self._llm.close)
        label = f"release {self._release[:8]}: probe {world.name.rpartition(':')[2].lower()} {world.split}"
        run = await played(config, folder, label, llm=self._llm, quiet=self._quiet, screen=self._screen)
        return attempts(run)

    def _config(self, world: TasksetConfig, *, recall: bool, planted: Sequence[Item]) -> RunConfig:
        found = as_released(self._home.path, self._release, world, self._machine, samples=1)
        if recall and not planted:
            return found
        # Not the release as it is; so it is not called by its name.
        if not recall:
            memory = found.memory.model_copy(update={"mode": "off", "path": None})
            tools = found.tools.model_copy(update={"make": False})
        else:
            place = self._planted(found, planted)
            memory = found.memory.model_copy(update={"mode": "read", "path": str(place)})
            tools = found.tools
        return found.model_copy(update={"release": None, "memory": memory, "tools": tools})

    def _planted(self, config: RunConfig, items: Sequence[Item]) -> Path:
        """Return a copy of the release's memory with these items in it; an empty one where it has none."""
        own = content_id(_texts(), [item.id for item in items])[:8]
        folder = self._home.evaluation(self._release, f"probe-{own}-memory")
        if folder.exists():
            return folder
        beside = folder.with_name(f".{folder.name}-new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        if config.memory.path is not None and config.memory.mode != "off":
            copy_memory(Path(config.memory.path) / FILE, beside / FILE)
        settings = config.memory.model_copy(update={"path": None, "store": None, "index": None})
        with Memory.open(settings, beside) as memory:
            memory.remember(items, merge=False)
        beside.rename(folder)
        return folder


def _remembered(file: Path) -> tuple[list[Item], list[Version]]:
    """Return what can be recalled from the memory of a release, and the tools that it uses; nothing is changed."""
    with Store.open(file, create=False) as store:
        reading = Reading(store)
        head = reading.head()
        items: list[Item] = []
        if head is not None:
            ids = [light.id for light in reading.lights(head.lineage) if light.state.status != "retired"]
            items = list(reading.items(ids, head.lineage, whole=True).values())
        return items, ToolLog(store).shelf().active()


class _Sandboxes:
    """Opens sandboxes when they are first asked for."""

    def __init__(self, config: RunConfig, stack: AsyncExitStack) -> None:
        self._config, self._stack = config.sandbox, stack
        self._pool: Pool | None = None
        self._none = False

    async def __call__(self) -> Pool | None:
        if self._pool is None and not self._none:
            try:
                self._pool = await open_pool(self._config, self._stack)
            except SandboxError as error:
                if error.kind not in ("unavailable", "unsafe"):
                    raise
                self._none = True
        return self._pool


def _reach(player: Player) -> list[str]:
    writes = player.tools.make or any(name in SANDBOXED for name in player.tools.builtin)
    if writes and player.sandbox.backend == "unsafe-local":
        return ["its sandbox is unsafe-local, where code has all rights of who runs it"]
    return []


def _guests(run: RunConfig) -> list[Path]:
    """Return the files of tasksets and verifiers of the user's own."""
    found = []
    for name in (run.taskset.name, run.verify.by):
        module, colon, _ = name.partition(":")
        if colon and not module.startswith("lamarck."):
            try:
                spec = find_spec(module)
            except (ImportError, ValueError):
                continue
            if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
                found.append(Path(spec.origin))
    return found


@functools.cache
def _texts() -> str:
    """Return a hash of all that our probes ask, so that no answer is kept to another question."""
    folder = PACKAGE / "evals" / "probes"
    return content_id([file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py"))])


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
