"""Where the text is in the messages of a foreign OpenEnv server, told from its schemas or by the user."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import ConfigError

WHOLE = "*"
"""As `action_field`: the agent writes the whole action as a JSON object."""
OFFERS = ("admissible_actions", "admissible_commands", "available_actions", "legal_actions", "valid_actions")
SUCCESS = ("success", "won", "is_success")
CUT = ("truncated", "TimeLimit.truncated")


@dataclass(frozen=True)
class Fields:
    """How a server's actions are written and its observations read.

    Args:
        action: the field of an action that holds our text, or `*`.
        observation: the field of an observation that is shown; None shows the whole of it as JSON.
        actions: all there are, where the schema lists them.
    """

    action: str
    observation: str | None
    actions: tuple[str, ...] | None = None

    def written(self, text: str) -> dict[str, Any] | None:
        """Return the action that a text stands for; None where it stands for none."""
        if self.action != WHOLE:
            return {self.action: text}
        try:
            action = json.loads(text)
        except ValueError:
            return None
        return action if isinstance(action, dict) else None

    def shown(self, observation: object) -> str:
        """Return the text of an observation."""
        if isinstance(observation, Mapping):
            if self.observation is not None and self.observation in observation:
                value = observation[self.observation]
                return value if isinstance(value, str) else _json(value)
            return _json({key: value for key, value in observation.items() if key != "metadata"})
        return observation if isinstance(observation, str) else _json(observation)


def find_fields(schema: Mapping[str, Any], action: str | None, observation: str | None) -> Fields:
    """Return the fields of a server from what its `/schema` says.

    Args:
        schema: its answer, with a JSON schema each for `action` and `observation`.
        action: the field the user names, or None to find it: the one field that takes text, of the required ones
            if there are several.
        observation: likewise; None where several hold text, and all is shown then.

    Raises:
        ConfigError: there is no such field, or no telling which it is.
    """
    actions, seen = _properties(schema.get("action")), _properties(schema.get("observation"))
    if action is None:
        action = _only_text(schema.get("action"), actions)
        if action is None:
            raise ConfigError(
                f"an action of this OpenEnv server has the fields {', '.join(actions) or '(none)'}, and it is not "
                "clear which holds the text.",
                hint=f"Name it as action_field, or {WHOLE!r} to have the agent write the whole action as JSON.",
            )
    elif action != WHOLE and actions and action not in actions:
        raise ConfigError(f"an action of this OpenEnv server has no field {action!r}; it has: {', '.join(actions)}.")
    if observation is None:
        observation = _only_text(schema.get("observation"), seen)
    elif seen and observation not in seen:
        raise ConfigError(f"an observation of this OpenEnv server has no field {observation!r}: {', '.join(seen)}.")
    choices = actions.get(action, {}).get("enum") if action != WHOLE else None
    return Fields(action, observation, tuple(_texts(choices)) or None)


def offers(observation: object, metadata: Mapping[str, Any]) -> list[str] | None:
    """Return the actions that an observation or its metadata offers, or None."""
    for place in (observation, metadata):
        if isinstance(place, dict):
            for name in OFFERS:
                if found := _texts(place.get(name)):
                    return found
    return None


def first_of(names: Sequence[str], *places: object) -> Any:
    """Return the first value that one of the names has in one of the places, or None."""
    for place in places:
        if isinstance(place, dict):
            for name in names:
                if place.get(name) is not None:
                    return place[name]
    return None


def _properties(schema: object) -> dict[str, dict[str, Any]]:
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(properties, Mapping):
        return {}
    return {name: _resolved(value, schema) for name, value in properties.items() if name != "metadata"}


def _resolved(value: Any, schema: Any) -> dict[str, Any]:
    """Follow the reference that pydantic writes for an enumeration."""
    if not isinstance(value, Mapping):
        return {}
    reference = str(value.get("$ref", ""))
    if reference.startswith("#/$defs/"):
        return dict(schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"), {}))
    return dict(value)


def _only_text(schema: Any, properties: Mapping[str, Mapping[str, Any]]) -> str | None:
    texts = [name for name, value in properties.items() if _takes_text(value)]
    if len(texts) > 1:
        required = schema.get("required") or ()
        texts = [name for name in texts if name in required]
    return texts[0] if len(texts) == 1 else None


def _takes_text(value: Mapping[str, Any]) -> bool:
    kinds = [value, *(one for one in value.get("anyOf", ()) if isinstance(one, Mapping))]
    return any(one.get("type") == "string" for one in kinds)


def _texts(value: object) -> list[str]:
    """Return a list of texts, empty where the value is none."""
    return list(value) if isinstance(value, list) and all(isinstance(one, str) for one in value) else []


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
