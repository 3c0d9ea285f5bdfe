"""What comes from others, made fit to pass our door: names, descriptions, schemas and the arguments sent back."""

from __future__ import annotations

import itertools
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import JsonValue

from ..errors import ConfigError, ToolError
from .tool import NAME

MAX_DESCRIPTION = 1_000
"""Characters of a foreign description that a model is shown."""
MAX_DEPTH = 64
"""How deep schemas and arguments may be nested: JSON parsers give up at about 200, and say so to nobody."""
MAX_PARTS = 20_000
"""Parts of one schema. A few lines of YAML with anchors can unfold to billions."""

INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn"}
"""Unicode categories that a person who reviews a description does not see, but a model reads."""
MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
ONE = (
    *("items", "additionalItems", "additionalProperties", "unevaluatedItems", "unevaluatedProperties"),
    *("contains", "propertyNames", "not", "if", "then", "else"),
)

Schema = dict[str, JsonValue]
Check = Callable[[Mapping[str, Any]], dict[str, Any]]
"""Returns a model's arguments as they can be used, or raises ToolError."""


def safe_name(name: str) -> str:
    """Return a foreign tool's name with what models cannot call replaced by `_`."""
    safe = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    return (safe if NAME.match(safe) else f"_{safe}")[:64]


def plain(text: str, limit: int = MAX_DESCRIPTION) -> str:
    """Return a foreign description without invisible characters, cut to `limit`."""
    seen = "".join(c for c in text[: 4 * limit] if c in "\n\t" or unicodedata.category(c) not in INVISIBLE).strip()
    return seen if len(seen) <= limit else f"{seen[: limit - 3]}..."


def distinct(names: Iterable[str], where: str) -> None:
    """Check that the names of foreign tools still differ after `safe_name`.

    Raises:
        ConfigError: two are the same.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ConfigError(
                f"{where} has two tools that models would call {name!r}.", hint="Name those you want with include."
            )
        seen.add(name)


def rebuilt(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]], where: str) -> Schema:
    """Return a JSON schema made anew, with `change` applied to it and to each schema inside it.

    What is no schema (`enum`, `const`, `default`, ...) stays as it is, in words of JSON: YAML knows dates too.

    Args:
        schema: of an object's keys, read from elsewhere.
        change: gets a shallow copy of a schema; what it returns is looked into.
        where: whose schema it is, for messages.

    Raises:
        ConfigError: it is not a schema, or it is too large or nested too deeply.
    """
    parts = 0

    def count(depth: int) -> int:
        nonlocal parts
        parts += 1
        if parts > MAX_PARTS or depth > MAX_DEPTH:
            raise ConfigError(f"{where}: a schema has more than {MAX_PARTS:,} parts or is nested too deeply.")
        return depth + 1

    def copy(value: Any, depth: int) -> Any:
        depth = count(depth)
        if isinstance(value, Mapping):
            return {str(key): copy(inner, depth) for key, inner in value.items()}
        if isinstance(value, list):
            return [copy(inner, depth) for inner in value]
        return value if value is None or isinstance(value, str | int | float) else str(value)

    def make(node: Any, depth: int) -> Any:
        depth = count(depth)
        if isinstance(node, bool):
            return node
        if not isinstance(node, Mapping):
            raise ConfigError(f"{where}: a schema is a {type(node).__name__}, not an object.")
        node = change(dict(node))
        for key, value in node.items():
            if key in NAMED and isinstance(value, Mapping):
                node[key] = {str(name): make(inner, depth) for name, inner in value.items()}
            elif (key in MANY or key == "items") and isinstance(value, list):
                node[key] = [make(inner, depth) for inner in value]
            elif key in ONE:
                node[key] = make(value, depth)
            else:
                node[key] = copy(value, depth)
        return node

    made = make(schema, 0)
    return made if isinstance(made, dict) else {}


def described(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose description is `plain`; for `rebuilt`."""
    for key in ("description", "title"):
        if isinstance(schema.get(key), str):
            schema[key] = plain(schema[key])
    return schema


def sendable(name: str, arguments: Any) -> dict[str, Any]:
    """Return a model's arguments if they can be sent as JSON.

    Raises:
        ToolError: they are no object, hold what JSON cannot, or are nested too deeply.
    """
    if not isinstance(arguments, Mapping):
        raise ToolError(f"the arguments of {name} are not a JSON object: {str(arguments)[:80]!r}.")
    if _deeper(arguments, MAX_DEPTH):
        raise ToolError(f"the arguments of {name} are nested more than {MAX_DEPTH} deep.")
    try:
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, TypeError) as error:
        raise ToolError(f"the arguments of {name} cannot be sent as JSON: {str(error)[:200]}.") from None
    return dict(arguments)


def verify(schema: Mapping[str, Any], where: str) -> None:
    """Check a schema itself.

    Raises:
        ConfigError: it is no JSON schema.
    """
    from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped]

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise ConfigError(f"{where}: a schema is wrong: {str(error.message)[:200]}.") from error


def checker(name: str, schema: Mapping[str, Any]) -> Check:
    """Return what checks a model's arguments against a JSON schema, which is in order.

    It raises ToolError where they do not fit, and says what is wrong or missing.
    """
    from jsonschema import Draft202012Validator
    from referencing import Registry

    # With a registry of its own it fetches nothing that a schema may refer to.
    validator = Draft202012Validator(schema, registry=Registry())

    def check(arguments: Mapping[str, Any]) -> dict[str, Any]:
        given = sendable(name, arguments)
        try:
            errors = list(itertools.islice(validator.iter_errors(given), 5))
        except RecursionError:
            raise ToolError(f"{name} cannot be called: its schema refers to itself without end.") from None
        lines = [": ".join((*_place(error.absolute_path), str(error.message)[:200])) for error in errors]
        if lines:
            known = ", ".join(schema.get("properties", {})) or "none"
            raise ToolError(f"{name} cannot be called like that: {'; '.join(lines)}. Its arguments: {known}.")
        return given

    return check


def _place(path: Iterable[Any]) -> tuple[str, ...]:
    place = ".".join(str(part) for part in path)
    return (place[:200],) if place else ()


def _deeper(value: Any, depth: int) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return depth == 0 or any(_deeper(part, depth - 1) for part in inner)
