"""The nouns of Lamarck as frozen, versioned data; nothing here acts.

Everything is a pydantic model that is safe to store and to send. Sequences are tuples and times are seconds;
time stamps are Unix time in UTC. Stored trajectories outlive the code that wrote them, so fields are added with
defaults and never change their meaning; a change that breaks this raises `SCHEMA_VERSION`.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

SCHEMA_VERSION = 1

Role = Literal["system", "user", "assistant", "tool"]
Validity = Literal["valid", "unparseable", "not_admissible", "no_effect"]
Stop = Literal[
    "terminated", "truncated", "max_steps", "max_tokens", "max_seconds", "max_cost", "loop", "infrastructure"
]
ItemKind = Literal["episode", "principle", "skill", "tool", "warning"]
ItemStatus = Literal["candidate", "active", "retired"]


def content_id(*parts: Any) -> str:
    """Return a stable id (32 hex digits of SHA-256) of JSON-serialisable parts."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class Wire(BaseModel):
    """Base of all stored and sent data: frozen, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Origin(Wire):
    """Where a task comes from: a given set, a proposer, or relabelled from what an episode reached."""

    kind: Literal["given", "proposed", "relabelled"] = "given"
    by: str = ""
    """Who made it: taskset, proposer or trajectory id."""


class Task(Wire):
    """One problem to solve. `id`, `split` and `seed` name the same episode on every machine."""

    schema_version: Literal[1] = 1
    id: str
    goal: str
    environment: str
    """Name of the taskset that builds the environment for this task."""
    options: dict[str, JsonValue] = Field(default_factory=dict)
    """What the environment needs to set the task up, for example a game file."""
    seed: int = 0
    split: str = ""
    category: str = ""
    origin: Origin = Origin()
    truth: JsonValue = None
    """Ground truth, or None where nothing may read it."""


class ToolSpec(Wire):
    """What a model is told of a tool."""

    name: str
    description: str = ""
    parameters: dict[str, JsonValue] = Field(default_factory=lambda: dict[str, JsonValue](type="object", properties={}))
    """JSON schema of the arguments."""


class ToolCall(Wire):
    """A call a model asked for, with its result once there is one."""

    id: str = ""
    name: str
    arguments: dict[str, JsonValue] | str = ""
    """Parsed arguments, or the raw text where it was not a JSON object."""
    result: str | None = None
    error: str | None = None
    truncated: bool = False
    ran: bool = True
    """False where it was answered without being run: not allowed, over the budget, or called wrongly."""
    seconds: float = 0.0


class Message(Wire):
    """One chat message, in the shape every provider shares."""

    role: Role
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


class Usage(Wire):
    """Tokens and money of one or many model calls."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    """Prompt tokens that were served from a prefix cache."""
    cost_usd: float = 0.0
    calls: int = 0

    @property
    def tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cost_usd=self.cost_usd + other.cost_usd,
            calls=self.calls + other.calls,
        )


class Sampling(Wire):
    """How to draw a completion. `seed` makes it repeatable where the model supports that."""

    temperature: float = Field(default=0.0, ge=0.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(default=256, gt=0)
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: bool = True
    """Ask for sampled token ids and log-probabilities where the server has them."""


class Choice(Wire):
    """The outcome of choosing among given strings."""

    index: int
    scores: tuple[float, ...] = ()
    """Score of each option, higher is better; empty where the server only names the winner."""
    score_kind: Literal["mean_logprob", "sum_logprob", "uniform", "none"] = "none"


class Reply(Wire):
    """What a model answered, as it was sampled."""

    text: str
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str = "stop"
    choice: Choice | None = None
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    """Natural log-probability of each of `token_ids` under the sampling policy (temperature 1)."""
    entropies: tuple[float, ...] = ()
    """Entropy in nats at each of `token_ids`."""
    usage: Usage = Usage()
    model: str = ""
    policy_version: str = ""
    seconds: float = 0.0


class Round(Wire):
    """One answer of a model that asked for tools before it decided."""

    completion: str = ""
    calls: tuple[str, ...] = ()
    """Ids of the tool calls it asked for; they stand on the step, with their results."""
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    """As sampled; the results of the tools are in the prompts of later rounds only, never here."""
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()


class Step(Wire):
    """One decision: what was seen and sent, what came back, what it did to the world."""

    index: int
    observation: str
    """What the agent saw before it acted."""
    admissible: tuple[str, ...] | None = None
    """Admissible actions the environment offered, or None where it offers no list."""
    messages: tuple[Message, ...] = ()
    """The prompt exactly as sent."""
    completion: str = ""
    action: str | None = None
    """What was given to the environment; None where the answer held no action."""
    validity: Validity = "valid"
    act: ToolCall | None = None
    """The call by which the model acted, as it wrote it; None where it acted by words, and in steps of versions that
    did not keep it."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls of other tools, those of the rounds included."""
    rounds: tuple[Round, ...] = ()
    """The answers before the last one, each of which asked for tools."""
    choice: Choice | None = None
    reward: float = 0.0
    terminated: bool = False
    truncated: bool = False
    info: dict[str, JsonValue] = Field(default_factory=dict)
    """What the environment said beside the observation (progress, success, ...)."""
    prompt_token_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    entropies: tuple[float, ...] = ()
    model: str = ""
    policy_version: str = ""
    recalled: tuple[str, ...] = ()
    """Ids of the memory items that stood in the prompt."""
    withheld: tuple[str, ...] = ()
    """Ids of the items that were chosen and, by lot, left out of the prompt to measure what they add."""
    recalled_text: str = ""
    """What memory had added to the prompt, as it stood there, so that training can take it out again; empty where
    nothing was added, and in steps of versions that did not keep it."""
    role: str = "solver"
    segment: int = 0
    """Sub-goal or macro-action this step belongs to."""
    usage: Usage = Usage()
    started_at: float = 0.0
    model_seconds: float = 0.0
    environment_seconds: float = 0.0


class Verdict(Wire):
    """A judgement of one trajectory."""

    schema_version: Literal[1] = 1
    passed: bool
    score: float = Field(ge=0.0, le=1.0)
    step_scores: tuple[float, ...] = ()
    confidence: float = Field(default=1.0, ge=0.0, le=1.0)
    critique: str = ""
    evidence: tuple[ToolCall, ...] = ()
    judge: str = "environment"
    members: tuple[Verdict, ...] = ()
    """What each of those said whose vote this is, in their order, without the evidence, which stands on the whole."""


class Failure(Wire):
    """Why infrastructure ended an attempt. It says nothing about the task."""

    boundary: Literal["model", "environment", "sandbox", "store", "defect"]
    kind: str
    message: str


class Trajectory(Wire):
    """The record of one attempt at one task: the only thing handed on to memory, training and reports."""

    schema_version: Literal[1] = 1
    id: str
    run_id: str
    task: Task
    group_id: str = ""
    """Attempts that share a baseline share this id."""
    sample: int = 0
    """Which of the independent attempts at this task in this run."""
    attempt: int = 0
    """How often infrastructure made this sample start anew."""
    parent: str | None = None
    fork_at: int | None = None
    release_id: str = ""
    steps: tuple[Step, ...] = ()
    final_observation: str = ""
    verdict: Verdict | None = None
    stop: Stop
    reward: float | None = None
    """Sum of step rewards; None when infrastructure failed."""
    success: bool | None = None
    score: float | None = None
    """Partial credit in [0, 1] where the environment gives it."""
    failure: Failure | None = None
    usage: Usage = Usage()
    started_at: float = 0.0
    seconds: float = 0.0
    meta: dict[str, JsonValue] = Field(default_factory=dict)


class Item(Wire):
    """One thing remembered, with what it has proved to be worth."""

    schema_version: Literal[1] = 1
    id: str
    kind: ItemKind
    applies: str
    """When it applies; this text is what recall matches."""
    content: str
    trajectory_ids: tuple[str, ...] = ()
    release_id: str = ""
    model: str = ""
    status: ItemStatus = "candidate"
    q_value: float = 0.0
    uncertainty: float = 1.0
    """Standard deviation of `q_value`."""
    retrieval_count: int = 0
    """Times it was put into a prompt."""
    reward_count: int = 0
    """Rewarded episodes with it in a prompt."""
    success_count: int = 0
    created_at: float = 0.0
    last_used_at: float | None = None
    meta: dict[str, JsonValue] = Field(default_factory=dict)


class Release(Wire):
    """One id for everything an agent inherits. Releases form a tree through `parent`."""

    schema_version: Literal[1] = 1
    id: str
    parent: str | None = None
    base_model: str
    adapter: str | None = None
    memory_snapshot: str | None = None
    skills: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    prompts: dict[str, str] = Field(default_factory=dict)
    """Prompt name to SHA-256 of its text."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """Solver settings that change behaviour (protocol, history, sampling)."""
    gate_report: str | None = None
    created_at: float = 0.0

    @classmethod
    def of(cls, *, created_at: float = 0.0, **fields: Any) -> Release:
        """Make a release whose id is the hash of everything in it but the time it was made and how it was judged.

        A gate judges what is there already, so its report cannot be part of the name of what it judges.
        """
        draft = cls(id="", **fields)
        named = draft.model_copy(update={"gate_report": None}).model_dump(exclude={"id", "created_at"})
        return draft.model_copy(update={"id": content_id(named), "created_at": created_at})
