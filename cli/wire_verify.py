"""Putting the verifier of a run together, and keeping outcomes from a loop that must not see them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from ..agent.hooks import Hooks, Toolbox
from ..agent.hosting import WorldPool
from ..agent.llms import build_llm
from ..agent.verifiers.blinded import blind_task
from ..agent.verifiers.code import CodeVerifier
from ..agent.verifiers.deepening import Deepening
from ..agent.verifiers.judgements import Judgements
from ..agent.verifiers.judging import Judging, siblings_in
from ..agent.verifiers.repairing import Repairing
from ..agent.verifiers.rewinding import RewindingPool
from ..agent.verifiers.sealed import FILE, Outcomes, SealedPool
from ..agent.verifiers.table import Parts, check_options, load_verifier, named
from ..agent.verifiers.trusted import TrustedVerifier, read_weight
from ..agent.verifiers.verifier import Verifier
from ..config import BY_VERDICT, RunConfig
from ..config_tools import ToolsConfig
from ..core import Task
from ..errors import ConfigError
from ..seams import LLM
from ..store import Store
from .wire_tools import open_tools

JUDGING = ToolsConfig(builtin=("python",))
"""Tools of a verifier that runs code."""


async def verifying(
    config: RunConfig,
    store: Store,
    llm: LLM,
    toolbox: Toolbox | None,
    hooks: Hooks,
    stack: AsyncExitStack,
    folder: Path,
) -> Hooks:
    """Return hooks with those of the verifier that the configuration names, if it names one.

    Args:
        config: of the run.
        store: of the run.
        llm: the model that acts.
        toolbox: the tools of the run.
        hooks: those that are there already.
        stack: closes what is opened.
        folder: of the run, where what models were asked as judges is kept.

    Raises:
        ConfigError: there is no such verifier, or it contradicts other settings.
        ModelError: its model cannot be had.
    """
    check(config)
    if config.verify.by == "none":
        return hooks
    if config.tools.make:
        # Who judges makes no tools, and leaves no trace in the log of those that were made.
        toolbox = await open_tools(config, stack)
    elif (own := judging_tools(config)) != config.tools:
        spoken = config.solver.model_copy(update={"protocol": "text"})
        toolbox = await open_tools(config.model_copy(update={"tools": own, "solver": spoken}), stack)
    judging = await judge_model(config, llm, stack)
    verifier = build_verifier(config, store, judging, toolbox)
    gate, repair = config.verify.gate, config.repair
    prompts = config.solver.prompts
    repairing = Repairing(store, gate, repair.trials, prompts) if repair.by == "verifier" else None
    if repair.by == "deepening":
        repairing = deepening = Deepening(store, gate, repair, prompts, max_steps=config.solver.max_steps)
        hooks = replace(hooks, grows=deepening.limit)
    heard = Judgements(folder) if config.verify.record else None
    return Judging(verifier, repairing, hide_end=config.verify.hide_end, heard=heard).hooks(hooks)


def check(config: RunConfig) -> None:
    """Make sure that there is the verifier, that it takes its options, and that what concerns it does not contradict
    itself.

    Raises:
        ConfigError: it does, or there is none.
    """
    verify, repair = config.verify, config.repair
    if verify.by != "none":
        check_options(verify.by, verify.options)
    if repair.by in BY_VERDICT and verify.by in ("none", "environment"):
        raise ConfigError(
            f"repair.by = {repair.by} needs a verifier, and verify.by is {verify.by}.",
            hint="Set verify.by, or repair.by = reflexion, which goes by the environment's word.",
        )
    if not verify.withhold:
        return
    if verify.by == "environment":
        raise ConfigError("verify.withhold keeps the outcome from the verifier, and verify.by = environment needs it.")
    if repair.by == "reflexion":
        raise ConfigError(
            "verify.withhold keeps the outcome from the loop, and repair.by = reflexion goes by it.",
            hint="Set repair.by = verifier.",
        )


def judging_tools(config: RunConfig) -> ToolsConfig:
    """Return the tools of who judges: those of the run, or Python where it runs code and the solver has no tools, as
    when it chooses among actions."""
    runs_code = CodeVerifier.name in named(config.verify.by, config.verify.options)
    return JUDGING if runs_code and config.tools == ToolsConfig() else config.tools


async def judge_model(config: RunConfig, llm: LLM, stack: AsyncExitStack) -> LLM:
    """Return the model that judges: the one that acts, or one of its own, which is closed with `stack`."""
    name = config.verify.model
    if name is None or (name == config.model.name and not name.startswith("scripted:")):
        return llm
    other = {"name": name} | ({"adapter": None} if name != config.model.name else {})
    model = build_llm(config.model.model_copy(update=other))
    stack.push_async_callback(model.close)
    return model


def build_verifier(config: RunConfig, store: Store, llm: LLM | None, toolbox: Toolbox | None) -> Verifier:
    """Return the verifier that the configuration names, its word weighed where its agreement is on record.

    Raises:
        ConfigError: there is no such verifier, or its agreement cannot be read.
    """
    verify = config.verify
    beside = siblings_in(store)
    parts = Parts(llm, config.solver.prompts, toolbox, siblings=beside, record=verify.record)
    verifier = load_verifier(verify.by, verify.options, parts)
    if verify.trust.agreement is None:
        return verifier
    return TrustedVerifier(verifier, *read_weight(verify.trust.agreement, verifier.name))


def worlds(
    config: RunConfig, folder: Path, pool: WorldPool, tasks: Sequence[Task], stack: AsyncExitStack
) -> tuple[WorldPool, Sequence[Task]]:
    """Return worlds and tasks as the loop is to see them: able to go back, and without outcome and ground truth.

    Raises:
        StoreError: the outcomes cannot be written.
    """
    if config.repair.by in BY_VERDICT and config.verify.gate.fork:
        pool = RewindingPool(pool)
    if not config.verify.withhold:
        return pool, tasks
    outcomes = stack.enter_context(Outcomes.open(folder / FILE))
    sealed = SealedPool(pool, tasks, outcomes, hide_end=config.verify.hide_end)
    return sealed, [blind_task(task) for task in tasks]
