"""RunConfig: one tree of settings, reached alike from a TOML file, from flags and from code.

Every field has a docstring; an unknown key is an error that names the keys there are.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, JsonValue

from .config_memory import MemoryConfig
from .config_tools import SandboxConfig, ToolsConfig
from .config_tree import Tree
from .config_verify import VerifyConfig
from .config_vllm import VllmConfig
from .section import Section


class TasksetConfig(Section):
    """Which tasks to play."""

    name: str = "household"
    """Name of a registered taskset (`household`, `alfworld`) or `module:Class`."""
    split: str = "train"
    """Split of the taskset, for example train, valid_seen, valid_unseen."""
    limit: int | None = Field(default=None, gt=0)
    """Play at most this many tasks, in the taskset's own order."""
    seed: int = 0
    """Seed that selects and orders tasks where the taskset draws them."""
    ids: tuple[str, ...] = ()
    """Play exactly these task ids instead of the whole split."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the taskset (for alfworld: data, engine; for household: size, types)."""


class ModelConfig(Section):
    """Which model decides, and how it is asked."""

    name: str = "embedded"
    """`embedded`, `embedded:FOLDER`, `vllm:FOLDER` (or a hub's name), `random`, `first`, `follower`, `expert`,
    `scripted:FILE`, or any litellm model name (`openai/gpt-...`)."""
    adapter: str | None = None
    """Folder of an adapter that `lamarck train` made, on this model."""
    api_base: str | None = None
    """URL of an OpenAI-compatible server, for local servers and vLLM."""
    api_key_env: str | None = None
    """Environment variable that holds the key, where litellm's usual one is not meant."""
    temperature: float = Field(default=0.0, ge=0.0)
    """0 takes the most probable; above 0 samples, repeatably where the model supports a seed."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Nucleus sampling mass."""
    max_tokens: int = Field(default=256, gt=0)
    """Longest completion in tokens."""
    timeout_s: float = Field(default=60.0, gt=0.0)
    """Longest wait for one call, in seconds."""
    retries: int = Field(default=4, ge=0)
    """How often a call is repeated after an outage, a 429 or a 5xx, with back-off and jitter."""
    max_concurrency: int = Field(default=8, gt=0)
    """Most calls at once."""
    choice_mode: Literal["auto", "structured", "json", "score", "text"] = "auto"
    """How a server is made to choose among given strings."""
    threads: int | None = Field(default=None, gt=0)
    """CPU threads of the embedded model; None leaves it to torch."""
    vllm: VllmConfig = VllmConfig()
    """How the server of `vllm:` is started."""


class SolverConfig(Section):
    """How the solver thinks and when it stops."""

    protocol: Literal["choice", "text", "tools", "react"] = "choice"
    """Choose among admissible actions, answer `<think>..</think><action>..</action>`, call a tool, or write `Thought:`
    and `Action:` in turn, with earlier thoughts kept in the prompt."""
    prompts: str | None = None
    """Folder with prompt files of your own; names as in `lamarck/agent/prompts`."""
    history: int = Field(default=10, ge=1)
    """At least this many latest steps stand in the prompt in full, at most twice as many."""
    summary: int = Field(default=20, ge=0)
    """This many steps before those are kept as one short line each."""
    on_loop: Literal["avoid", "nudge", "ignore"] = "avoid"
    """When an action keeps giving the same result: take it off the list, say so, or let it be."""
    loop_limit: int = Field(default=2, ge=1)
    """Repeats of one action with one result within the window that count as a loop."""
    loop_stop: int = Field(default=0, ge=0)
    """Stop the episode after this many repeats of one action with one result; 0 never stops."""
    max_steps: int = Field(default=50, gt=0)
    """Steps per episode."""
    max_tokens: int | None = Field(default=None, gt=0)
    """Tokens per episode, prompt and completion together."""
    max_seconds: float | None = Field(default=None, gt=0.0)
    """Seconds per episode."""
    max_cost_usd: float | None = Field(default=None, gt=0.0)
    """Money per episode in US dollars."""


Allocate = Literal["uniform", "blend"]


class CollectConfig(Section):
    """How episodes are collected."""

    samples: int = Field(default=1, gt=0)
    """Independent attempts at each task; they form a group."""
    allocate: Allocate = "uniform"
    """Every task gets as many samples; or `blend` (Blend-ASC): of samples x tasks in all, the next ones go to the
    questions whose most frequent answer is least certain."""
    clear: float = Field(default=0.95, gt=0.5, le=1.0)
    """With `blend`, a question gets no more samples once its most frequent answer is this certain; 1 spends all."""
    pick: Literal["none", "certainty", "likelihood", "majority", "borda"] = "none"
    """How a report picks one sample of each task without looking at the outcome: by how sure the model was of each
    token, by how likely the tokens it drew were, by the most frequent answer, or by Borda votes for answers, in which
    samples the model was surer of count more."""
    concurrency: int = Field(default=4, gt=0)
    """Episodes at once."""
    seed: int = 0
    """Seed of all sampling; the episode's own seed follows from it, the task and the sample."""
    attempts: int = Field(default=2, gt=0)
    """How often an episode that infrastructure killed is started before it counts as failed."""
    max_failures: int = Field(default=10, gt=0)
    """Infrastructure failures in a row after which the run stops, since the rest would fail as well."""
    environment_timeout_s: float = Field(default=120.0, gt=0.0)
    """Longest wait for one call of an environment, in seconds."""


class RepairConfig(Section):
    """What happens after a failed attempt."""

    by: Literal["none", "reflexion", "verifier", "deepening"] = "none"
    """Leave it; or let the model write down what went wrong and try the same task again (Shinn et al. 2023), where
    whether an attempt failed is said by the environment, so the outcome is seen between trials; or try again with the
    critique of the verifier (`verify.by`) where its verdict asks for it (`verify.gate`); or let each trial take twice
    as much as the one before (`deepening`), told to check again, until the verifier accepts (Chen et al. 2025)."""
    trials: int = Field(default=3, ge=1)
    """Trials at one task at most, the first one counted."""
    keep: int = Field(default=3, ge=1)
    """This many latest reflections stand in the prompt."""
    max_tokens: int = Field(default=512, gt=0)
    """Longest reflection in tokens."""
    first_budget: int = Field(default=8, gt=0)
    """B0 of `deepening`: trial k may take B0 * 2^k, k from 0 on."""
    budget_in: Literal["steps", "tokens"] = "steps"
    """What these budgets count: steps, or tokens that the model writes."""


BY_VERDICT = frozenset({"verifier", "deepening"})
"""Ways to repair that go by a verifier's word."""


class RunConfig(Tree):
    """Everything a run needs to be repeated; saved as `run.toml` beside its results."""

    taskset: TasksetConfig = TasksetConfig()
    model: ModelConfig = ModelConfig()
    solver: SolverConfig = SolverConfig()
    collect: CollectConfig = CollectConfig()
    repair: RepairConfig = RepairConfig()
    verify: VerifyConfig = VerifyConfig()
    memory: MemoryConfig = MemoryConfig()
    tools: ToolsConfig = ToolsConfig()
    sandbox: SandboxConfig = SandboxConfig()
    store: str | None = None
    """URL of the store; None keeps `store.db` in the run directory."""
    release: str | None = None
    """Play exactly this release: `HOME`, whose head it is, or `HOME@ID`. It brings model, adapter, memory, tools and
    prompts of its own."""
    baseline: str | None = None
    """Name of the baseline that these settings are (`lamarck baselines`); None where they are one's own."""
