"""The operations of a web API, described by an OpenAPI document, as tools."""

from __future__ import annotations

import codecs
import functools
import json
import re
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from ..errors import ConfigError, SandboxError, ToolError
from .foreign import distinct
from .openapi_document import Document, Operation, Parameter
from .tool import MAX_CHARS, TIMEOUT_S, Tool, capped

if TYPE_CHECKING:
    import httpx

CONNECT_S = 10.0
MAX_BYTES = 1_000_000
"""Bytes of an answer that are read."""
MAX_URL = 8_000
MAX_REDIRECTS = 5
BINARY = ("image/", "audio/", "video/", "font/", "application/octet-stream", "application/pdf", "application/zip")


def openapi_tools(
    document: Mapping[str, Any] | str | Path,
    *,
    base_url: str = "",
    headers: Mapping[str, str] | None = None,
    include: Collection[str] | None = None,
    timeout_s: float = TIMEOUT_S,
    max_chars: int = MAX_CHARS,
) -> list[Tool]:
    """Return a tool for each operation of an API, named by its `operationId`, or by its method and path.

    Parameters of path, query and header are the arguments; a JSON body is the argument `body`. What `headers` and
    the query of `base_url` give (a key, for example) is sent with each request, and the model is not asked for it.
    An answer that is no success is an error the model reads. Requests go to `base_url` and nowhere else.

    Args:
        document: an OpenAPI 3.0 or 3.1 document, parsed, or the path of a JSON or YAML file.
        base_url: where the API is; the document's first server if not given.
        headers: sent with each request.
        include: names of the tools that are wanted; all if not given.
        timeout_s: longest silence of the API, in seconds.
        max_chars: longest result in characters.

    Raises:
        ConfigError: the document cannot be read, an operation that is wanted is not there or cannot be called, or two
            have the same name.
    """
    read = Document(document)
    api = _Api.of(base_url or read.server, dict(headers or {}), timeout_s)
    wanted = None if include is None else frozenset(include)
    operations = list(read.operations(api.fixed, wanted))
    distinct((one.name for one in operations), "the OpenAPI document")
    if missing := sorted((wanted or frozenset()).difference(one.name for one in operations)):
        raise ConfigError(f"the OpenAPI document has no operation {missing[0]!r}.", hint="See its operationId.")
    return [
        Tool(
            name=one.name,
            description=one.description,
            parameters=one.schema,
            function=functools.partial(api.call, one, max_chars),
            check=functools.partial(_as_one, one),
            permissions=frozenset({"network"}),
            timeout_s=timeout_s + CONNECT_S,
            max_chars=max_chars,
        )
        for one in operations
    ]


def _as_one(operation: Operation, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Check the arguments and pass them on as one: a parameter of an API may have any name."""
    return {"given": operation.check(arguments)}


@dataclass(frozen=True)
class _Api:
    """An API at one address.

    Args:
        base: its URL up to the paths of the operations.
        query: name and value of what is sent with each request.
        headers: sent with each request.
        timeout_s: longest silence, in seconds.
    """

    base: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    timeout_s: float

    @classmethod
    def of(cls, url: str, headers: dict[str, str], timeout_s: float) -> _Api:
        """Take an address apart.

        Raises:
            ConfigError: it is no address, or a header cannot be sent.
        """
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and not parts.fragment
        except ValueError:
            usable = False
        if not usable:
            raise ConfigError(f"{url!r} is no address of an API.", hint="Give base_url, like https://api.example/v1.")
        for name, value in headers.items():
            if not _fits_header(f"{name}{value}"):
                raise ConfigError(f"header {name!r} cannot be sent: it holds a line break or the like.")
        base = parts._replace(query="").geturl().rstrip("/")
        return cls(base, tuple(parse_qsl(parts.query, keep_blank_values=True)), headers, timeout_s)

    @property
    def fixed(self) -> frozenset[tuple[str, str]]:
        """Place and name of what the model is not asked for."""
        names = {("header", name.lower()) for name in self.headers} | {
            ("query", name.lower()) for name, _ in self.query
        }
        return frozenset(names)

    async def call(self, operation: Operation, max_chars: int, given: Mapping[str, Any]) -> str:
        """Send a request and return the answer.

        Raises:
            ToolError: the arguments make no request, or the answer is no success.
            SandboxError: the API cannot be reached.
        """
        import httpx

        url = self.base + _path(operation, given)
        query = list(self.query)
        headers = httpx.Headers({"accept": "application/json, */*;q=0.5"})
        for one in operation.parameters:
            if one.key not in given or given[one.key] is None:
                continue
            if one.place == "query":
                query.extend(_query(one, given[one.key]))
            elif one.place == "header":
                headers[one.name] = _header(operation, one, given[one.key])
        body = None
        if operation.media_type and "body" in given:
            headers["content-type"] = operation.media_type
            body = json.dumps(given["body"], ensure_ascii=False, allow_nan=False).encode()
        headers.update(self.headers)
        try:
            url = str(httpx.URL(url, params=query)) if query else url
            if len(url) > MAX_URL:
                raise ToolError(f"{operation.name}: the URL would have {len(url):,} characters; {MAX_URL:,} is most.")
            return await self._send(operation, url, headers, body, max_chars)
        except httpx.InvalidURL as error:
            raise ToolError(f"{operation.name}: no URL can be made of this: {error}.") from error
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            host = urlsplit(self.base).netloc.rpartition("@")[2]
            raise SandboxError(
                f"{operation.name}: the API at {host} cannot be reached: {reason}.",
                hint="Check base_url and the network.",
                kind="http",
            ) from error

    async def _send(
        self, operation: Operation, url: str, headers: httpx.Headers, body: bytes | None, max_chars: int
    ) -> str:
        import httpx

        timeout = httpx.Timeout(self.timeout_s, connect=min(CONNECT_S, self.timeout_s))
        async with httpx.AsyncClient(timeout=timeout, verify=self._trust) as client:
            request = client.build_request(operation.method, url, headers=headers, content=body)
            for left in reversed(range(MAX_REDIRECTS)):
                response = await client.send(request, stream=True)
                further = response.next_request
                if further is None or not left or not _same_place(request, further):
                    break
                await response.aclose()
                request = further
            try:
                text = await _text(response)
            finally:
                await response.aclose()
        if response.is_success:
            return text or f"[HTTP {response.status_code}, no content]"
        if response.next_request is not None:
            target = response.next_request.url.copy_with(query=None, userinfo=b"")
            text = f"it redirects to {target}, where requests are not sent."
        raise ToolError(f"{operation.name}: HTTP {response.status_code} {capped(text, max_chars)[0]}".rstrip())

    @functools.cached_property
    def _trust(self) -> ssl.SSLContext:
        """Certificates; to read them takes longer than a call."""
        import httpx

        return httpx.create_ssl_context()


def _path(operation: Operation, given: Mapping[str, Any]) -> str:
    path = operation.path
    for one in operation.parameters:
        if one.place != "path":
            continue
        text = _simple(one, given[one.key])
        if not text or any(part in (".", "..") for part in re.split(r"[/\\]", text)):
            raise ToolError(f"{operation.name}: {one.key} cannot be {text[:80]!r} in a path.")
        path = path.replace(f"{{{one.name}}}", quote(text, safe=""))
    if any(part in (".", "..") for part in path.split("/")):
        raise ToolError(f"{operation.name}: {path[:200]!r} leads out of the API.")
    return path


def _query(one: Parameter, value: Any) -> list[tuple[str, str]]:
    if one.as_json:
        return [(one.name, json.dumps(value, ensure_ascii=False))]
    if isinstance(value, list):
        parts = [_scalar(entry) for entry in value]
        if one.explode:
            return [(one.name, part) for part in parts]
        return [(one.name, {"spaceDelimited": " ", "pipeDelimited": "|"}.get(one.style, ",").join(parts))]
    if isinstance(value, dict):
        if one.style == "deepObject":
            return [(f"{one.name}[{key}]", _scalar(entry)) for key, entry in value.items()]
        if one.explode:
            return [(key, _scalar(entry)) for key, entry in value.items()]
    return [(one.name, _simple(one, value))]


def _header(operation: Operation, one: Parameter, value: Any) -> str:
    text = _simple(one, value)
    if not _fits_header(text) or len(text) > MAX_URL:
        raise ToolError(f"{operation.name}: {one.key} cannot be sent as a header: it has a line break or the like.")
    return text


def _simple(one: Parameter, value: Any) -> str:
    """Return a value in the style `simple`: elements with commas between."""
    if one.as_json:
        return json.dumps(value)
    if isinstance(value, list):
        return ",".join(_scalar(entry) for entry in value)
    if isinstance(value, dict):
        between = "=" if one.explode else ","
        return ",".join(f"{key}{between}{_scalar(entry)}" for key, entry in value.items())
    return _scalar(value)


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fits_header(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _same_place(request: httpx.Request, further: httpx.Request) -> bool:
    """Whether a redirect stays at the same host and asks for the same thing."""
    here, there = request.url, further.url
    return (here.scheme, here.host, here.port, request.method) == (there.scheme, there.host, there.port, further.method)


async def _text(response: httpx.Response) -> str:
    """Return what a response holds, as far as it is text and not endless."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body.extend(chunk)
        if len(body) > MAX_BYTES:
            break
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    more = "more than " if len(body) > MAX_BYTES else ""
    if kind.startswith(BINARY) or b"\0" in body[:1_000]:
        return f"[{kind or 'data'}, {more}{min(len(body), MAX_BYTES)} bytes]"
    try:
        charset = codecs.lookup(response.charset_encoding or "utf-8").name
    except LookupError:
        charset = "utf-8"
    text = bytes(body[:MAX_BYTES]).decode(charset, errors="replace")
    return f"{text}\n[more than {MAX_BYTES:,} bytes; the rest was not read]" if more else text
