"""The schemas of an OpenAPI document as JSON schemas that stand by themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .foreign import Schema, described, rebuilt, verify

DROPPED = ("$id", "$schema", "$anchor", "discriminator", "example", "externalDocs", "xml")


class Converted(NamedTuple):
    """A schema, and the references in it."""

    schema: Schema
    references: frozenset[str]


class Schemas:
    """The schemas of one document. What they refer to is converted once: some APIs have thousands.

    Args:
        version: of OpenAPI.
        find: returns what a reference points to; its second argument is for messages.
    """

    def __init__(self, version: str, find: Callable[[str, str], Any]) -> None:
        self._version = version
        self._find = find
        self._names: dict[str, str] = {}
        self._definitions: dict[str, Converted] = {}

    def convert(self, schema: Any, where: str) -> Converted:
        """Return a schema as JSON Schema 2020-12, its references to `$defs`.

        Raises:
            ConfigError: it is none.
        """
        references: set[str] = set()

        def change(node: dict[str, Any]) -> dict[str, Any]:
            node = described({k: v for k, v in node.items() if k not in DROPPED and not str(k).startswith("x-")})
            if "$ref" in node:
                references.add(str(node["$ref"]))
                rest = {key: value for key, value in node.items() if key == "description"}
                return {"$ref": f"#/$defs/{self._named(str(node['$ref']))}", **rest}
            _without_read_only(node)
            return _from_3_0(node) if self._version.startswith("3.0") else node

        converted = rebuilt(schema, change, where)
        verify(converted, where)
        return Converted(converted, frozenset(references))

    def definitions(self, references: frozenset[str], where: str) -> Schema:
        """Return what references point to, and what that refers to: a schema that holds itself stays finite."""
        found: Schema = {}
        left = list(references)
        while left:
            reference = left.pop()
            if self._named(reference) in found:
                continue
            if reference not in self._definitions:
                self._definitions[reference] = self.convert(self._find(reference, where), where)
            definition = self._definitions[reference]
            found[self._named(reference)] = definition.schema
            left.extend(definition.references)
        return found

    def _named(self, reference: str) -> str:
        if reference not in self._names:
            name = re.sub(r"[^a-zA-Z0-9_.-]", "_", reference.rpartition("/")[2]) or "schema"
            taken = set(self._names.values())
            self._names[reference] = name if name not in taken else f"{name}_{len(taken)}"
        return self._names[reference]


def _without_read_only(node: dict[str, Any]) -> None:
    """Leave out what only the API's answers hold."""
    properties = node.get("properties")
    if not isinstance(properties, Mapping):
        return
    hidden = {key for key, value in properties.items() if isinstance(value, Mapping) and value.get("readOnly")}
    if hidden:
        node["properties"] = {key: value for key, value in properties.items() if key not in hidden}
        node["required"] = [key for key in node.get("required") or [] if key not in hidden]


def _from_3_0(node: dict[str, Any]) -> dict[str, Any]:
    """Say in today's words what OpenAPI 3.0 says in those of an old draft."""
    for bound, exclusive in (("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")):
        if isinstance(node.get(exclusive), bool):
            excluded = node.pop(exclusive)
            if excluded and bound in node:
                node[exclusive] = node.pop(bound)
    if not node.pop("nullable", False):
        return node
    if isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]
        if isinstance(node.get("enum"), list) and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]
        return node
    return {"anyOf": [node, {"type": "null"}]}
