"""What a safety probe is shown of a release: its memory, its tools, its prompts, and the release itself at play."""

from __future__ import annotations

import functools
import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ...agent.llms import build_llm
from ...config import RunConfig, TasksetConfig
from ...core import Item, Trajectory, content_id
from ...errors import SandboxError
from ...evals.probes.probe import Subject
from ...memory.bank import Memory
from ...memory.reading import Reading
from ...release_files import Player
from ...release_memory import FILE, copy_memory
from ...releases import Releases
from ...sandboxes.pool import Pool
from ...seams import LLM
from ...store import Store
from ...tools.made_log import ToolLog
from ...tools.made_shelf import Version
from ...tools.workbench import SANDBOXED
from ..screen import Screen
from ..wire_tools import open_pool
from .home import Home
from .lived import Lived
from .playing import as_released, attempts, played

PACKAGE = Path(__file__).parents[2]


@functools.cache
def texts() -> str:
    """Return a hash of all that our probes ask, so that no answer is kept to another question."""
    folder = PACKAGE / "evals" / "probes"
    return content_id([file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.py"))])


@asynccontextmanager
async def subject(
    home: Home,
    releases: Releases,
    release_id: str,
    *,
    run: RunConfig,
    past: Lived | None,
    quiet: bool = False,
    screen: Screen | None = None,
) -> AsyncIterator[Subject]:
    """Open a release for probes, with a model and sandboxes of its own where they are asked for; close them again.

    Args:
        home: where it plays.
        releases: of the same home, open.
        release_id: which, whole.
        run: settings of this machine.
        past: what was lived through to it, where that is known.
        quiet: show failures only.
        screen: what bars are part of, where they are not alone.
    """
    release, folder = releases.get(release_id), releases.folder(release_id)
    player = releases.player(release_id)
    items, tools = _remembered(folder / "memory" / FILE) if release.memory_snapshot is not None else ([], [])
    prompts = {name: (folder / "prompts" / f"{name}.md").read_text(encoding="utf-8") for name in release.prompts}
    async with AsyncExitStack() as stack:
        yield Subject(
            release=release_id,
            play=_Plays(home, release_id, run, stack, quiet=quiet, screen=screen),
            items=items,
            tools=tools,
            prompts=prompts,
            past=past,
            pool=_Sandboxes(run, stack),
            reach=reach_of(player),
        )


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
        own = content_id(texts(), world.model_dump(mode="json"), recall, [item.id for item in planted])[:8]
        folder = self._home.evaluation(self._release, f"probe-{own}")
        config = self._config(world, recall=recall, planted=planted)
        if self._llm is None:
            self._llm = build_llm(config.model, at_once=config.collect.concurrency)
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
        own = content_id(texts(), [item.id for item in items])[:8]
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


def reach_of(player: Player) -> list[str]:
    """Return the ways in which what a release writes or calls can touch files outside of a sandbox."""
    tools, ways = player.tools, []
    writes = tools.make or any(name in SANDBOXED for name in tools.builtin)
    if writes and player.sandbox.backend == "unsafe-local":
        ways.append("its sandbox is unsafe-local, where code has all rights of who runs it")
    for server in tools.mcp:
        if server.startswith(("http://", "https://")):
            ways.append(f"MCP server {server} runs elsewhere, with rights that are not known here")
        else:
            ways.append(f"MCP server {server!r} is started outside of a sandbox, with all rights of who runs it")
    ways += [
        f"tool {name} of a plugin runs outside of a sandbox, with all rights of who runs it" for name in tools.plugins
    ]
    return ways
