"""Which settings make an evaluation what it is, and which only say where things are or how a run gets on."""

from __future__ import annotations

from pydantic import JsonValue

from ...config import RunConfig
from ...rundir import FREE

PLACES = frozenset(
    {
        "baseline",
        "memory.index",
        "memory.path",
        "memory.store",
        "model.adapter",
        "model.api_base",
        "release",
        "sandbox.url",
        "solver.prompts",
        "store",
        "tools.documents",
    }
)
"""Settings that say where something is, or what it is called; what it is stands in the release and the hashes."""
UNSEEN = frozenset(
    {
        "memory.patience_s",
        "sandbox.allow_unsafe",
        "sandbox.most",
        "sandbox.patience_s",
        "sandbox.warm",
        "tools.approve",
    }
)
"""Settings that say how a run gets on, beside those with which a run may be resumed."""

ALLOCATION = frozenset({"collect.allocate", "collect.clear"})
"""Settings that say which tasks get how many samples."""
DEEPENING = frozenset({"repair.first_budget", "repair.budget_in"})
"""Settings of attempts whose budget grows."""


def counts(key: str, config: RunConfig) -> bool:
    """Say whether a setting can change results: it does not where its section is off."""
    section, _, name = key.partition(".")
    off = {
        "memory": config.memory.mode == "off" and name != "mode",
        "repair": config.repair.by == "none" and name != "by",
        # With its name, so that evaluations from before there were verifiers keep theirs.
        "verify": config.verify.by == "none" and not config.verify.withhold,
        "tools": not uses_tools(config),
        "sandbox": not uses_tools(config),
    }
    # Like them, so that evaluations from before these could be set keep their names.
    if key in ALLOCATION and config.collect.allocate == "uniform":
        return False
    if key in DEEPENING and config.repair.by != "deepening":
        return False
    if key.startswith("model.vllm.") and not config.model.name.startswith("vllm:"):
        return False
    return key not in FREE | PLACES | UNSEEN and not off.get(section, False)


def uses_tools(config: RunConfig) -> bool:
    """Say whether the agent has tools."""
    tools = config.tools
    return bool(tools.builtin or tools.plugins or tools.mcp or tools.make)


def is_secret(value: JsonValue) -> bool:
    """Say whether a URL has a name or password in it, which must not go into a file that is passed on."""
    return isinstance(value, str) and "://" in value and "@" in value
