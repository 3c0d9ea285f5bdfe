"""A tree of settings that is reached alike from a TOML file, from flags and from code."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ValidationError

from .errors import ConfigError
from .section import Section


class Tree(Section):
    """Root of a configuration: read from a file, changed by dotted keys, written back."""

    @classmethod
    def load(cls, path: str | Path | None = None, overrides: Mapping[str, Any] | None = None) -> Self:
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
            raise ConfigError(explain(cls, error, source), kind="invalid") from None

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


def toml_value(value: Any) -> str:
    """Return a value as TOML that `parse_assignment` reads back. TOML has no None, so a table leaves it out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        escaped = "".join(c if c >= " " and c not in '"\\\x7f' else f"\\u{ord(c):04x}" for c in value)
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(k)} = {toml_value(v)}" for k, v in value.items() if v is not None) + "}"
    return repr(value)


def explain(tree: type[BaseModel], error: ValidationError, source: str) -> str:
    """Say in one line what pydantic found, with the keys there are."""
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    name = ".".join(path)
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = tree
        for part in path[:-1]:
            field = known.model_fields.get(part)
            if field is not None and isinstance(field.annotation, type):
                known = field.annotation
        return f"unknown key {name} in {source}{more}; there are: {', '.join(known.model_fields)}."
    return f"{name} in {source} is {first['input']!r}: {first['msg'].lower()}{more}."


def _toml_lines(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = [f"{_toml_key(key)} = {toml_value(value)}" for key, value in tree.items() if _is_leaf(value)]
    for key, value in tree.items():
        if isinstance(value, Mapping) and value:
            name = prefix + _toml_key(key)
            lines += ["", f"[{name}]", *_toml_lines(value, f"{name}.")]
    return lines


def _is_leaf(value: Any) -> bool:
    return value is not None and not isinstance(value, Mapping)


def _toml_key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else toml_value(key)
