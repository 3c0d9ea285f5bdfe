"""What a run's configuration amounts to: the release that its episodes are of."""

from __future__ import annotations

import time
from pathlib import Path

from pydantic import JsonValue

from ..agent.embedded import EmbeddedLLM
from ..agent.prompting import Prompts
from ..agent.vllm import VllmLLM
from ..config import BY_VERDICT, RunConfig
from ..config_memory import MemoryConfig
from ..core import Release
from ..evals.figures.contents import folder_name
from ..evals.figures.evaluation import FILE, NEW_MEMORY, Evaluation
from ..memory.bank import Memory
from ..release_files import Draft, Player, memory_settings
from ..seams import LLM
from ..weights import read_manifest


def release_of(config: RunConfig, llm: LLM, prompts: Prompts, memory: Memory | None, folder: Path) -> Release:
    """Return the release that this configuration amounts to.

    A memory is named with the number at which it stands; one that learns, with that at which it stood when the run in
    `folder` was begun.
    """
    return Release.of(
        base_model=llm.name,
        adapter=read_manifest(config.model.adapter).id if config.model.adapter is not None else None,
        memory_snapshot=_snapshot(memory, config.memory, folder) if memory is not None else None,
        tools=tools_of(config),
        prompts=prompts.hashes(),
        settings=settings_of(config, llm, remembers=memory is not None),
        created_at=round(time.time(), 3),
    )


def draft_of(
    config: RunConfig, llm: LLM, prompts: Prompts, *, memory: Path | None = None, parent: str | None = None
) -> Draft:
    """Return what a release is made of that plays as a run with this configuration does.

    Args:
        config: of such a run; its adapter is the release's.
        llm: that plays, ready, so that it knows its weights.
        prompts: that it is asked with.
        memory: folder of the memory, which is frozen in the release; None leaves it without.
        parent: id of the release that this one is grown from.

    Raises:
        ConfigError: it plays by documents that cannot be read.
    """
    player = Player.of(config, remembers=memory is not None)
    frozen = config.model_copy(update={"memory": player.memory})
    return Draft(
        player=player,
        base_model=llm.name,
        prompts=prompts.texts,
        settings=settings_of(frozen, llm, remembers=memory is not None),
        tools=tools_of(config),
        parent=parent,
        adapter=Path(config.model.adapter) if config.model.adapter is not None else None,
        memory=memory,
    )


def settings_of(config: RunConfig, llm: LLM, *, remembers: bool) -> dict[str, JsonValue]:
    """Return what a release says of how it plays. Documents are named by what is in them."""
    settings = config.solver.model_dump(mode="json", exclude={"prompts"})
    if config.tools.builtin or config.tools.plugins or config.tools.mcp or config.tools.make:
        settings["tools"] = config.tools.model_dump(mode="json", exclude={"approve", "documents"})
        if config.tools.documents is not None:
            settings["tools"]["documents"] = folder_name(Path(config.tools.documents))[:16]
        unseen = {"allow_unsafe", "url", "warm", "most", "patience_s"}
        settings["sandbox"] = config.sandbox.model_dump(mode="json", exclude=unseen)
    settings |= {"temperature": config.model.temperature, "top_p": config.model.top_p}
    if config.repair.by != "none":
        # What only one way to repair has is named with that one alone, so that releases by others keep their ids.
        unused = {"first_budget", "budget_in"} if config.repair.by != "deepening" else set()
        settings["repair"] = config.repair.model_dump(mode="json", exclude=unused)
    if config.repair.by in BY_VERDICT:
        settings["verify"] = config.verify.model_dump(mode="json", exclude={"withhold": True, "trust": {"agreement"}})
    if remembers:
        settings["memory"] = memory_settings(config.memory)
    if isinstance(llm, EmbeddedLLM) and config.model.name != "embedded":
        # A folder's name says little; the model of the package index is pinned by its hash.
        settings["base_weights"] = llm.policy_version.partition("+")[0]
    if isinstance(llm, VllmLLM):
        settings |= {"base_weights": llm.server.served.weights, "served_by": "vllm"}
    return settings


def _snapshot(memory: Memory, config: MemoryConfig, folder: Path) -> str | None:
    head = memory.head
    if config.mode != "learn":
        return f"{head.name}@{head.seq}"
    if (folder / FILE).exists():
        return Evaluation.read(folder).release.memory_snapshot
    return f"{head.name}@{head.seq}, learning" if head.seq else NEW_MEMORY


def tools_of(config: RunConfig) -> tuple[str, ...]:
    """Return the names of the tools and where they come from; what bounds them is among the settings."""
    tools = config.tools
    names = [*tools.builtin, *(f"plugin:{name}" for name in tools.plugins), *(f"mcp:{name}" for name in tools.mcp)]
    return tuple(names + (["made"] if tools.make else []))
