"""RunConfig: one tree of settings, reached alike from a TOML file, from flags and from code.

Every field has a docstring; an unknown key is an error that names the keys there are.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, JsonValue, ValidationError

from .config_memory import MemoryConfig
from .config_tools import SandboxConfig, ToolsConfig
from .errors import ConfigError
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
    """`embedded`, `random`, `first`, `follower`, `scripted:FILE`, or any litellm model name (`openai/gpt-...`)."""
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


class CollectConfig(Section):
    """How episodes are collected."""

    samples: int = Field(default=1, gt=0)
    """Independent attempts at each task; they form a group."""
    pick: Literal["none", "certainty", "likelihood", "majority"] = "none"
    """How a report picks one sample of each task without looking at the outcome: by how sure the model was of each
    token, by how likely the tokens it drew were, or by the most frequent answer."""
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

    by: Literal["none", "reflexion"] = "none"
    """Leave it, or let the model write down what went wrong and try the same task again (Shinn et al. 2023). Whether
    an attempt failed is said by the environment, so the outcome is seen between trials."""
    trials: int = Field(default=3, ge=1)
    """Trials at one task at most, the first one counted."""
    keep: int = Field(default=3, ge=1)
    """This many latest reflections stand in the prompt."""
    max_tokens: int = Field(default=512, gt=0)
    """Longest reflection in tokens."""


class RunConfig(Section):
    """Everything a run needs to be repeated; saved as `run.toml` beside its results."""

    taskset: TasksetConfig = TasksetConfig()
    model: ModelConfig = ModelConfig()
    solver: SolverConfig = SolverConfig()
    collect: CollectConfig = CollectConfig()
    repair: RepairConfig = RepairConfig()
    memory: MemoryConfig = MemoryConfig()
    tools: ToolsConfig = ToolsConfig()
    sandbox: SandboxConfig = SandboxConfig()
    store: str | None = None
    """URL of the store; None keeps `store.db` in the run directory."""
    baseline: str | None = None
    """Name of the baseline that these settings are (`lamarck baselines`); None where they are one's own."""

    @classmethod
    def load(cls, path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> RunConfig:
        """Read a TOML file (or defaults) and lay dotted overrides such as `solver.max_steps` over it.

        Raises:
            ConfigError: the file is missing or no TOML, or a key or value is not one there is.
        """
        tree: dict[str, Any] = {}
        source = "the flags"
        if path is not None:
            source = str(path)
            try:
                tree = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            except OSError as error:
                raise ConfigError(f"cannot read config {path}: {error.strerror}.") from error
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                raise ConfigError(f"config {path} is not valid TOML: {error}.") from error
        for dotted, value in (overrides or {}).items():
            place(tree, dotted, value)
        try:
            return cls.model_validate(tree)
        except ValidationError as error:
            raise ConfigError(explain(error, source), kind="invalid") from None

    def dump_toml(self) -> str:
        """Return the whole tree as TOML text that `load` reads back unchanged."""
        return "\n".join(_toml_lines(self.model_dump(mode="json"))) + "\n"


def place(tree: dict[str, Any], dotted: str, value: Any) -> None:
    """Set `tree["a"]["b"] = value` for the key `a.b`.

    Raises:
        ConfigError: a part of the key is already a plain value.
    """
    *parents, last = dotted.split(".")
    for part in parents:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"config key {dotted}: {part} is a value, not a section.")
    tree[last] = value


def parse_assignment(text: str) -> tuple[str, Any]:
    """Split `key=value` from the command line; the value is TOML where it parses as such, else text.

    Raises:
        ConfigError: there is no `=`.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{text!r} is not of the form key=value, for example solver.max_steps=30.")
    try:
        return key.strip(), tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


def explain(error: ValidationError, source: str) -> str:
    """Say in one line what pydantic found, with the keys there are."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    name = ".".join(path)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known: type[BaseModel] = RunConfig
        for part in path[:-1]:
            field = known.model_fields.get(part)
            if field is not None and isinstance(field.annotation, type):
                known = field.annotation
        return f"unknown key {name} in {source}{more}; there are: {', '.join(known.model_fields)}."
    return f"{name} in {source} is {first['input']!r}: {first['msg'].lower()}{more}."


def _toml_lines(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = [f"{_toml_key(key)} = {_toml_value(value)}" for key, value in tree.items() if _is_leaf(value)]
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            name = prefix + _toml_key(key)
            lines += ["", f"[{name}]", *_toml_lines(value, f"{name}.")]
    return lines


def _is_leaf(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping)


def _toml_key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _toml_value(key)


def _toml_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = "".join(c if c >= " " and c not in '"\\\x7f' else f"\\u{ord(c):04x}" for c in value)
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(k)} = {_toml_value(v)}" for k, v in value.items()) + "}"
    return repr(value)
