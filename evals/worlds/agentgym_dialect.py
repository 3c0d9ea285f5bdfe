"""The dialect of an AgentGym server: each environment's package names the same things a little differently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import EnvironmentFailure

IDS = ("id", "env_idx")
INDICES = ("data_idx", "game", "session_id", "item_id", "id", "seed", "idx")
TEXTS = ("observation", "state")
USUAL = {"world_type": "Text"}
"""What a reset of AgentGym's ALFWorld wants beside the game."""


@dataclass(frozen=True)
class Dialect:
    """How a server is spoken to.

    Args:
        ident: name of the field with the environment's id.
        index: name of the field of a reset with the number of the task.
        extras: what else is sent with a reset.
        observes: whether there is `GET /observation`.
        offers: whether there is `GET /available_actions`, and whether it takes the id.
        closes: whether there is `POST /close`.
    """

    ident: str = "id"
    index: str = "data_idx"
    extras: Mapping[str, Any] = field(default_factory=dict)
    observes: bool = True
    offers: bool = False
    closes: bool = False

    def named(self, ident: int) -> dict[str, Any]:
        """Return the fields that name an environment."""
        return {self.ident: ident}

    def reset(self, ident: int, index: int) -> dict[str, Any]:
        """Return the body of a reset to a task."""
        return {**self.extras, self.index: index, self.ident: ident}


@dataclass(frozen=True)
class Told:
    """What a server said of the world; None where it did not say."""

    text: str | None = None
    reward: float | None = None
    ended: bool = False
    score: float | None = None
    offered: tuple[str, ...] | None = None


def find_dialect(document: Mapping[str, Any], extras: Mapping[str, Any], index: str | None, prefix: str) -> Dialect:
    """Return the dialect that a server's OpenAPI document describes; FastAPI publishes one at /openapi.json.

    Args:
        document: the document; empty where there is none, and the usual names are taken then.
        extras: what the user wants sent with every reset.
        index: name of the task's number in a reset, where the user knows better.
        prefix: path in front of the calls, such as `/maze`.
    """
    paths = document.get("paths")
    if not isinstance(paths, Mapping) or f"{prefix}/reset" not in paths:
        return Dialect(index=index or "data_idx", extras=dict(extras))
    step, reset = (_fields(document, f"{prefix}/{call}") for call in ("step", "reset"))
    ident = next((name for name in IDS if name in step), "id")
    others = [name for name in reset if name != ident]
    usual = {name: value for name, value in USUAL.items() if name in others}
    found = next((name for name in INDICES if name in others), others[0] if others else "data_idx")
    return Dialect(
        ident=ident,
        index=index or found,
        extras={**usual, **extras},
        observes=f"{prefix}/observation" in paths,
        offers=f"{prefix}/available_actions" in paths,
        closes=f"{prefix}/close" in paths,
    )


def created(answer: object) -> int:
    """Return the id of a new environment: the answer itself, or its `id`.

    Raises:
        EnvironmentFailure: there is none.
    """
    ident = answer.get("id") if isinstance(answer, Mapping) else answer
    if isinstance(ident, int) and not isinstance(ident, bool):
        return ident
    raise EnvironmentFailure(f"the AgentGym server made no environment: {str(answer)[:80]}.", kind="contract")


def told(answer: object) -> Told:
    """Return what the answer to a reset, step or observation says: an object, a text, or a list led by one.

    Raises:
        EnvironmentFailure: the server says that it failed, or a reward is no number or an end no truth value.
    """
    if isinstance(answer, list):
        return told(answer[0]) if answer else Told()
    if not isinstance(answer, Mapping):
        return Told(text=answer) if isinstance(answer, str) else Told()
    if "error" in answer:
        raise EnvironmentFailure(f"the AgentGym server failed: {answer['error']}", kind="server")
    ended = answer.get("done")
    if ended is not None and not isinstance(ended, bool):
        raise EnvironmentFailure(f"the AgentGym server sent the end {ended!r}, not true or false.", kind="contract")
    text = next((answer[name] for name in TEXTS if isinstance(answer.get(name), str)), None)
    task = answer.get("task_description")
    if text is not None and isinstance(task, str) and task not in text:
        text = f"{task}\n{text}"
    return Told(
        text=text,
        reward=_number(answer.get("reward"), "reward"),
        ended=ended is True,
        score=_number(answer.get("score"), "score"),
        offered=offered(answer.get("available_actions")),
    )


def offered(answer: object) -> tuple[str, ...] | None:
    """Return the actions a server offers: a list of them, or WebShop's search bar and clickables."""
    if isinstance(answer, Mapping):
        clicks = answer.get("clickables")
        if not isinstance(clicks, list):
            return None
        bar = ("search[<words>]",) if answer.get("has_search_bar") else ()
        return (*bar, *(f"click[{one}]" for one in clicks))
    if isinstance(answer, list) and all(isinstance(one, str) for one in answer):
        return tuple(answer)
    return None


def _number(value: object, what: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool | int | float):
        return float(value)
    raise EnvironmentFailure(f"the AgentGym server sent the {what} {value!r}, not a number.", kind="contract")


def _fields(document: Mapping[str, Any], path: str) -> tuple[str, ...]:
    """Return the names of the fields of a POST's body, following one reference."""
    schema: Any = document["paths"].get(path, {})
    for part in ("post", "requestBody", "content", "application/json", "schema"):
        schema = schema.get(part, {}) if isinstance(schema, Mapping) else {}
    reference = str(schema.get("$ref", "")) if isinstance(schema, Mapping) else ""
    if reference.startswith("#/"):
        schema = document
        for part in reference.removeprefix("#/").split("/"):
            schema = schema.get(part, {}) if isinstance(schema, Mapping) else {}
    properties = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
    return tuple(properties) if isinstance(properties, Mapping) else ()
