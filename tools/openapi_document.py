"""Reading an OpenAPI document: its operations, and their parameters as JSON schemas."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

from ..errors import ConfigError, boundary
from .foreign import Check, Schema, checker, plain, safe_name
from .openapi_schemas import Schemas

log = logging.getLogger("lamarck.tools")

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
NO_PARAMETERS = {"accept", "content-type", "authorization", "host", "content-length", "transfer-encoding", "connection"}
"""Headers that are the client's to set, whatever a document says."""
MALFORMED = (AttributeError, KeyError, TypeError, ValueError)
STYLES = {"path": "simple", "query": "form", "header": "simple"}
KNOWN_STYLES = {"simple", "form", "spaceDelimited", "pipeDelimited", "deepObject"}

Place = Literal["path", "query", "header"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operation.

    Args:
        key: as the model gives it.
        name: as the API calls it.
        place: where it goes.
        style: how lists and objects are written.
        explode: whether each element is written by itself.
        as_json: whether its value is written as JSON.
    """

    key: str
    name: str
    place: Place
    style: str
    explode: bool
    as_json: bool


@dataclass(frozen=True)
class Operation:
    """One operation: what a model is told of it, and how to make a request of what the model gives."""

    name: str
    method: str
    path: str
    description: str
    schema: Schema
    check: Check
    parameters: tuple[Parameter, ...]
    media_type: str
    """Of the body, or empty where there is none."""


class Document:
    """An OpenAPI 3 document.

    Args:
        document: the parsed document, or the path of a JSON or YAML file.

    Raises:
        ConfigError: it is no OpenAPI 3 document.
    """

    def __init__(self, document: Mapping[str, Any] | str | Path) -> None:
        self._root = document if isinstance(document, Mapping) else _load(Path(document))
        self.version = str(self._root.get("openapi", ""))
        if not self.version.startswith("3."):
            found = f"version {self.version or self._root.get('swagger') or 'unknown'}"
            raise ConfigError(f"this is no OpenAPI 3 document: {found}.", hint="Convert it to OpenAPI 3.0 or 3.1.")
        if not isinstance(self._root.get("paths", {}), Mapping):
            raise ConfigError("this OpenAPI document has no paths.")
        self._schemas = Schemas(self.version, self._at)

    @property
    def server(self) -> str:
        """URL of its first server, or empty."""
        with boundary(ConfigError, "the servers of this OpenAPI document are malformed", *MALFORMED):
            first = (self._root.get("servers") or [{}])[0]
            url = str(first.get("url", ""))
            for name, variable in (first.get("variables") or {}).items():
                url = url.replace(f"{{{name}}}", str(variable.get("default", "")))
            return url

    def operations(self, fixed: frozenset[tuple[str, str]], wanted: frozenset[str] | None) -> Iterator[Operation]:
        """Yield the operations; those that cannot be called are left out with a line in the log.

        Args:
            fixed: place and name (lower case) of parameters that are given already.
            wanted: names of the operations that are wanted; all if None.

        Raises:
            ConfigError: one that is wanted by name cannot be called.
        """
        for path, entry in self._root.get("paths", {}).items():
            item = self._resolve(entry, f"path {path}")
            for method in METHODS:
                if not isinstance(item.get(method), Mapping):
                    continue
                name = safe_name(str(item[method].get("operationId") or f"{method}_{path.strip('/')}"))
                if wanted is not None and name not in wanted:
                    continue
                try:
                    with boundary(ConfigError, f"operation {name} is malformed", *MALFORMED):
                        operation = self._operation(name, method, path, item, fixed)
                except ConfigError as error:
                    if wanted is not None:
                        raise
                    log.warning("left out: %s", error)
                else:
                    yield operation

    def _operation(
        self, name: str, method: str, path: str, item: Mapping[str, Any], fixed: frozenset[tuple[str, str]]
    ) -> Operation:
        where, found = f"operation {name}", item[method]
        if not path.startswith("/") or "?" in path or "#" in path:
            raise ConfigError(f"{where}: {path!r} is no path.")
        given: dict[tuple[str, str], Mapping[str, Any]] = {}
        for entry in [*(item.get("parameters") or []), *(found.get("parameters") or [])]:
            one = self._resolve(entry, where)
            given[str(one.get("in")), str(one.get("name"))] = one
        properties: dict[str, Any] = {}
        required: list[str] = []
        parameters = []
        for (place, title), one in given.items():
            if place == "cookie" or (place, title.lower()) in fixed:
                continue
            if place == "header" and title.lower() in NO_PARAMETERS:
                continue
            parameter, raw = _parameter(one, properties, where)
            parameters.append(parameter)
            properties[parameter.key] = raw
            if one.get("required") or place == "path":
                required.append(parameter.key)
        media_type = self._body(found, properties, required, where)
        if missing := set(re.findall(r"{([^{}]*)}", path)) - {one.name for one in parameters if one.place == "path"}:
            raise ConfigError(f"{where}: its path has {sorted(missing)[0]!r}, which is no parameter.")
        whole = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
        schema, references = self._schemas.convert(whole, where)
        if references:
            schema["$defs"] = self._schemas.definitions(references, where)
        text = "\n".join(str(found[key]) for key in ("summary", "description") if found.get(key))
        return Operation(
            name=name,
            method=method.upper(),
            path=path,
            description=plain(text) or f"{method.upper()} {path}",
            schema=schema,
            check=checker(name, schema),
            parameters=tuple(parameters),
            media_type=media_type,
        )

    def _body(self, found: Mapping[str, Any], properties: dict[str, Any], required: list[str], where: str) -> str:
        """Add the body to the properties; return its media type, or nothing where there is none."""
        if not found.get("requestBody"):
            return ""
        body = self._resolve(found["requestBody"], where)
        for media_type, content in (body.get("content") or {}).items():
            bare = media_type.partition(";")[0].strip().lower()
            if bare in ("application/json", "*/*") or bare.endswith("+json"):
                properties["body"] = content.get("schema", {})
                if body.get("required"):
                    required.append("body")
                return "application/json" if bare == "*/*" else bare
        if body.get("required"):
            raise ConfigError(f"{where}: its body is not JSON, which is not supported.")
        return ""

    def _resolve(self, node: Any, where: str) -> Mapping[str, Any]:
        """Follow references until there is none."""
        for _ in range(20):
            if not isinstance(node, Mapping):
                raise ConfigError(f"{where}: {str(node)[:80]!r} is not an object.")
            if "$ref" not in node:
                return node
            node = self._at(str(node["$ref"]), where)
        raise ConfigError(f"{where}: references go round in a circle.")

    def _at(self, reference: str, where: str) -> Any:
        """Return what a local reference points to."""
        if not reference.startswith("#/"):
            raise ConfigError(f"{where}: reference {reference!r} is not local.", hint="Bundle the document.")
        node: Any = self._root
        for part in reference[2:].split("/"):
            part = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
                node = node[int(part)]
            elif isinstance(node, Mapping) and part in node:
                node = node[part]
            else:
                raise ConfigError(f"{where}: reference {reference!r} points to nothing.")
        return node


def _parameter(one: Mapping[str, Any], taken: Mapping[str, Any], where: str) -> tuple[Parameter, Any]:
    """Return a parameter and its schema as it stands in the document."""
    place, name = one.get("in"), str(one.get("name", ""))
    if place not in ("path", "query", "header") or not name:
        raise ConfigError(f"{where}: parameter {name!r} is in {place!r}.")
    style = str(one.get("style") or STYLES[place])
    if style not in KNOWN_STYLES:
        raise ConfigError(f"{where}: parameter {name} has style {style}, which is not supported.")
    content = one.get("content") or {}
    holder = next(iter(content.values())) if content else one
    schema = holder.get("schema", {})
    if one.get("description"):
        schema = {**schema, "description": str(one["description"])}
    key = re.sub(r"[^a-zA-Z0-9_.-]", "_", name)[:56]
    key = f"{key}_{place}" if key in taken or key == "body" else key
    return Parameter(key, name, place, style, bool(one.get("explode", style == "form")), bool(content)), schema


def _load(path: Path) -> Mapping[str, Any]:
    if str(path).startswith(("http:", "https:")):
        raise ConfigError(f"{path} is not a file.", hint="Download the OpenAPI document first.")
    try:
        text = path.read_text(encoding="utf-8")
        if text.lstrip().startswith("{"):
            found = json.loads(text)
        else:
            found = _yaml(text)
    except OSError as error:
        raise ConfigError(f"the OpenAPI document {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the OpenAPI document {path} is neither JSON nor YAML: {str(error)[:200]}.") from error
    if not isinstance(found, Mapping):
        raise ConfigError(f"the OpenAPI document {path} is no object.")
    return found


def _yaml(text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError("an OpenAPI document in YAML needs PyYAML.", hint="Run: pip install pyyaml") from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error).replace("\n", " ")) from error
