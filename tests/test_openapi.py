"""The operations of a web API as tools, against a small server on loopback."""

import asyncio
import contextlib
import datetime
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest
from lamarck.core import ToolCall
from lamarck.errors import ConfigError, SandboxError
from lamarck.tools.openapi import openapi_tools
from lamarck.tools.toolset import Tools

PET = {
    "type": "object",
    "required": ["id", "name"],
    "properties": {
        "id": {"type": "integer", "readOnly": True},
        "name": {"type": "string", "maxLength": 20},
        "tag": {"type": "string", "nullable": True, "enum": ["cat", "dog"]},
        "weight": {"type": "number", "minimum": 0, "exclusiveMinimum": True},
        "children": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}},
        "mother": {"$ref": "#/components/schemas/Pet"},
    },
}


def parameter(name, place="query", schema=None, **more):
    return {"name": name, "in": place, "schema": schema or {"type": "string"}, **more}


def document(base="http://127.0.0.1:1", version="3.0.3", **paths):
    """Return a document with some operations that answer what they were asked."""
    thing = parameter("thing", "path", required=True)
    tags = parameter("tags", schema={"type": "array", "items": {"type": "string"}})
    joined = parameter("joined", schema={"type": "array", "items": {"type": "integer"}}, explode=False)
    where = parameter("where", schema={"type": "object"}, style="deepObject")
    as_json = {"name": "filter[x]", "in": "query", "content": {"application/json": {"schema": {"type": "object"}}}}
    body = {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}}
    everything = {
        "/things/{thing}": {
            "parameters": [thing, parameter("key")],
            "get": {
                "operationId": "get thing",
                "summary": "Get it.",
                "description": "All of\x00 it.",
                "parameters": [
                    {"$ref": "#/components/parameters/Trace"},
                    parameter("thing", description="which", schema={"type": "boolean"}),
                    parameter("Accept", "header"),
                    *(tags, joined, where, as_json),
                ],
            },
            "delete": {},
        },
        "/pets": {"post": {"operationId": "addPet", "requestBody": body}},
        **paths,
    }
    return {
        "openapi": version,
        "info": {"title": "t", "version": "1"},
        "servers": [{"url": base + "/{version}", "variables": {"version": {"default": "v1"}}}],
        "paths": everything,
        "components": {
            "schemas": {"Pet": PET},
            "parameters": {"Trace": parameter("X-Trace", "header", description="for the log")},
        },
    }


class Handler(BaseHTTPRequestHandler):
    """Answers with the request; or with what the path asks for."""

    def log_message(self, *_):
        pass

    def send(self, status, data, kind="application/json", **headers):
        self.send_response(status)
        for key, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.server.seen.append(self.path)
        parts = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = parts.path.rsplit("/", 1)[-1]
        if name == "missing":
            self.send(404, b'{"message": "no such thing"}')
        elif name == "big":
            self.send(500, b"x" * 3_000_000, "text/plain")
        elif name == "picture":
            self.send(200, b"\x89PNG123", "image/png")
        elif name == "old":
            self.send(200, "né".encode("latin-1"), "text/plain; charset=latin-1")
        elif name == "nothing":
            self.send(204, b"")
        elif name == "moved":
            self.send(307, b"", Location="/v1/things/new?y=1")
        elif name == "away":
            self.send(302, b"", Location=f"http://127.0.0.2:{self.server.server_port}/v1/things/new?secret=1")
        elif name == "round":
            self.send(307, b"", Location=self.path)
        elif name == "cut":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        elif name == "endless":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")
            with contextlib.suppress(ConnectionError):
                while not self.server.gate.is_set():
                    self.wfile.write(b"x" * 10_000)
        elif name == "slow":
            self.server.gate.wait(5)
            self.send(200, b"late")
        else:
            headers = {key.lower(): value for key, value in self.headers.items()}
            query = parse_qsl(parts.query)
            seen = {"method": self.command, "path": parts.path, "query": query, "headers": headers}
            self.send(200, json.dumps({**seen, "body": json.loads(body) if body else None}).encode())

    do_POST = do_DELETE = do_GET


@pytest.fixture
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen, server.gate = [], threading.Event()
    server.base = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.gate.set()
    server.shutdown()
    thread.join()
    server.server_close()


async def ask(tools, name, arguments=None, **more):
    return await Tools(tools).call(ToolCall(id="1", name=name, arguments={**(arguments or {}), **more}))


async def seen(tools, name, arguments=None, **more):
    done = await ask(tools, name, arguments, **more)
    assert done.error is None, done.error
    return json.loads(done.result)


def test_what_a_model_is_told():
    tools = {made.name: made for made in openapi_tools(document())}
    assert list(tools) == ["get_thing", "delete_things__thing_", "addPet"]
    got = tools["get_thing"]
    assert got.permissions == {"network"} and got.description == "Get it.\nAll of it."
    assert tools["delete_things__thing_"].description == "DELETE /things/{thing}"
    schema = got.spec.parameters
    # A parameter called like another one bears its place; a header that is the client's to set is not asked for.
    keys = ["thing", "key", "X-Trace", "thing_query", "tags", "joined", "where", "filter_x_"]
    assert list(schema["properties"]) == keys and schema["required"] == ["thing"]
    assert schema["additionalProperties"] is False and "$defs" not in schema
    assert schema["properties"]["thing_query"] == {"type": "boolean", "description": "which"}
    assert schema["properties"]["X-Trace"]["description"] == "for the log"
    added = tools["addPet"].spec.parameters
    assert added["properties"] == {"body": {"$ref": "#/$defs/Pet"}} and added["required"] == ["body"]
    # A pet has pets: the schema refers to itself and stays finite. What only answers hold is not asked for.
    pet = added["$defs"]["Pet"]
    assert pet["properties"]["children"]["items"] == pet["properties"]["mother"] == {"$ref": "#/$defs/Pet"}
    assert "id" not in pet["properties"] and pet["required"] == ["name"]
    assert pet["properties"]["tag"] == {"type": ["string", "null"], "enum": ["cat", "dog", None]}
    assert pet["properties"]["weight"] == {"type": "number", "exclusiveMinimum": 0}


async def test_requests_as_the_document_wants_them(server):
    tools = openapi_tools(document(server.base))
    got = await seen(
        tools,
        "get_thing",
        {"X-Trace": "abc", "filter_x_": {"a": [1]}, "where": {"from": "é&b", "n": 2}},
        thing="a b/c?d#e%2F{key}",
        thing_query=True,
        tags=["x", "y"],
        joined=[1, 2],
    )
    assert got["path"] == "/v1/things/a%20b%2Fc%3Fd%23e%252F%7Bkey%7D" and got["headers"]["x-trace"] == "abc"
    assert sorted(got["query"]) == [
        ["filter[x]", '{"a": [1]}'],
        ["joined", "1,2"],
        ["tags", "x"],
        ["tags", "y"],
        ["thing", "true"],
        ["where[from]", "é&b"],
        ["where[n]", "2"],
    ]
    assert (await seen(tools, "delete_things__thing_", thing="7"))["method"] == "DELETE"
    pet = {"name": "Tom", "tag": None, "children": [{"name": "Kit", "children": []}]}
    got = await seen(tools, "addPet", body=pet)
    assert (got["method"], got["path"], got["body"]) == ("POST", "/v1/pets", pet)
    assert got["headers"]["content-type"] == "application/json"


async def test_keys_are_not_the_models_matter(server):
    tools = openapi_tools(
        document(),
        base_url=f"{server.base}/api/?key=k1",
        headers={"X-Trace": "fixed", "Authorization": "Bearer t", "Accept": "text/x"},
    )
    assert not {"key", "X-Trace"} & set(tools[0].parameters["properties"])
    got = await seen(tools, "get_thing", thing="1", tags=["a"])
    assert got["path"] == "/api/things/1" and got["query"] == [["key", "k1"], ["tags", "a"]]
    assert (got["headers"]["x-trace"], got["headers"]["authorization"]) == ("fixed", "Bearer t")
    assert got["headers"]["accept"] == "text/x"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "'thing' is a required property. Its arguments: thing, key, X-Trace"),
        ({"thing": 1}, "thing: 1 is not of type 'string'"),
        ({"thing": "a", "tags": ["b", 2]}, "tags.1: 2 is not of type 'string'"),
        ({"thing": "a", "url": "http://evil"}, "Additional properties are not allowed ('url' was unexpected)"),
        ({"thing": ".."}, "thing cannot be '..' in a path"),
        ({"thing": "x/../../admin"}, "in a path"),
        ({"thing": "..\\x"}, "in a path"),
        ({"thing": ""}, "thing cannot be '' in a path"),
        ({"thing": "a", "X-Trace": "b\r\nHost: evil"}, "X-Trace cannot be sent as a header"),
        ({"thing": "a", "X-Trace": "é"}, "X-Trace cannot be sent as a header"),
        ({"thing": "x" * 9000}, "the URL would have"),
        ({"thing": "\ud800"}, "cannot be sent as JSON"),
    ],
)
async def test_arguments_that_make_no_request(server, arguments, words):
    done = await ask(openapi_tools(document(server.base)), "get_thing", arguments)
    assert done.result is None and words in done.error and "\n" not in done.error and not server.seen


async def test_bodies_are_checked_by_their_schema(server):
    tools = openapi_tools(document(server.base))
    for body, words in {
        "{}": "body: 'name' is a required property",
        '{"name": "Tom", "weight": 0}': "body.weight: 0 is less than or equal to the minimum of 0",
        '{"name": "Tom", "children": [{"name": 1}]}': "body.children.0.name: 1 is not of type 'string'",
        '{"name": "Tom", "tag": "cow"}': "body.tag: 'cow' is not one of",
    }.items():
        assert words in (await ask(tools, "addPet", body=json.loads(body))).error
    assert not server.seen


async def test_answers_of_every_kind(server):
    tools = openapi_tools(document(server.base), max_chars=300)
    done = await ask(tools, "get_thing", thing="missing")
    assert (done.result, done.error) == (None, 'get_thing: HTTP 404 {"message": "no such thing"}')
    done = await ask(tools, "get_thing", thing="big")
    assert done.error.startswith("get_thing: HTTP 500 xxx") and done.truncated and len(done.error) < 400
    done = await ask(tools, "get_thing", thing="endless")
    assert done.truncated and done.result.endswith("xxx\n[more than 1,000,000 bytes; the rest was not read]")
    assert (await ask(tools, "get_thing", thing="picture")).result == "[image/png, 7 bytes]"
    assert (await ask(tools, "get_thing", thing="old")).result == "né"
    assert (await ask(tools, "get_thing", thing="nothing")).result == "[HTTP 204, no content]"


async def test_redirects_stay_at_the_same_host(server):
    tools = openapi_tools(document(server.base), headers={"Authorization": "Bearer t"})
    got = await seen(tools, "get_thing", thing="moved")
    assert (got["path"], got["query"]) == ("/v1/things/new", [["y", "1"]])
    assert got["headers"]["authorization"] == "Bearer t"
    away = f"http://127.0.0.2:{server.server_port}/v1/things/new"
    assert (await ask(tools, "get_thing", thing="away")).error == (
        f"get_thing: HTTP 302 it redirects to {away}, where requests are not sent."
    )
    server.seen.clear()
    assert "HTTP 307" in (await ask(tools, "get_thing", thing="round")).error and len(server.seen) == 5


async def test_an_api_that_is_away_is_no_answer(server):
    tools = openapi_tools(document(server.base), timeout_s=0.3)
    for name, words in {"slow": "ReadTimeout", "cut": "peer closed connection"}.items():
        with pytest.raises(
            SandboxError, match=f"get_thing: the API at 127.0.0.1:[0-9]+ cannot be reached: {words}"
        ) as e:
            await ask(tools, "get_thing", thing=name)
        assert e.value.kind == "http"
    with pytest.raises(SandboxError, match="cannot be reached: All connection attempts failed"):
        await ask(openapi_tools(document()), "get_thing", thing="1")


async def test_many_calls_at_once(server):
    tools = openapi_tools(document(server.base))
    found = await asyncio.gather(*(seen(tools, "get_thing", thing=str(n)) for n in range(30)))
    assert [one["path"] for one in found] == [f"/v1/things/{n}" for n in range(30)]


def test_documents_in_files(tmp_path):
    path = tmp_path / "api.json"
    path.write_text(json.dumps(document()))
    assert [made.spec for made in openapi_tools(path)] == [made.spec for made in openapi_tools(document())]
    path = tmp_path / "api.yaml"
    path.write_text(
        "openapi: 3.1.0\nservers: [{url: http://localhost}]\npaths:\n  /day:\n    get:\n      parameters:\n"
        "      - {in: query, name: day, schema: {type: string, default: 2020-01-02}}\n"
        "      responses: {200: {description: ok}}\n"
    )
    [made] = openapi_tools(str(path))
    assert made.spec.parameters["properties"]["day"]["default"] == str(datetime.date(2020, 1, 2))
    for text, words in {
        "a: [": "is neither JSON nor YAML",
        '{"a": ': "is neither JSON nor YAML",
        "- 1": "is no object",
        '{"swagger": "2.0"}': "this is no OpenAPI 3 document: version 2.0",
        '{"openapi": "3.0.0", "paths": []}': "has no paths",
        '{"openapi": "3.0.0", "servers": {}}': "'' is no address of an API. Give base_url",
        '{"openapi": "3.0.0", "servers": [7]}': "the servers of this OpenAPI document are malformed",
        '{"openapi": "3.0.0", "servers": [{"url": "/v1"}]}': "'/v1' is no address of an API",
    }.items():
        path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            openapi_tools(path)
    with pytest.raises(ConfigError, match=r"nowhere.json cannot be read: No such file"):
        openapi_tools(tmp_path / "nowhere.json")
    with pytest.raises(ConfigError, match="Download the OpenAPI document first"):
        openapi_tools("https://example.org/api.json")
    with pytest.raises(ConfigError, match="header 'a' cannot be sent"):
        openapi_tools(document(), headers={"a": "b\nc"})


def operation(**parts):
    return {"/x": {"post": {"operationId": "x", **parts}}}


def body(schema, kind="application/json"):
    return operation(requestBody={"required": True, "content": {kind: {"schema": schema}}})


def circle():
    round_and_round = {"type": "object", "properties": {}}
    round_and_round["properties"]["again"] = round_and_round
    return round_and_round


def bomb():
    part = {"type": "string"}
    for _ in range(40):
        part = {"type": "object", "properties": {"a": part, "b": part}}
    return part


@pytest.mark.parametrize(
    ("paths", "words"),
    [
        (body({"$ref": "#/components/schemas/None"}), "points to nothing"),
        (body({"$ref": "http://evil/schema.json"}), "is not local. Bundle the document"),
        (body({"$ref": "other.json#/Pet"}), "is not local"),
        (body({"type": "no type"}), "operation x: a schema is wrong"),
        (body("string"), "a schema is a str, not an object"),
        (body({}, "multipart/form-data"), "its body is not JSON"),
        (body(circle()), "or is nested too deeply"),
        (body(bomb()), "more than 20,000 parts"),
        (body({"enum": [bomb()]}), "more than 20,000 parts"),
        (operation(parameters=[{"$ref": "#/paths/~1x/post/parameters/0"}]), "go round in a circle"),
        (operation(parameters=[parameter("a", "body")]), "parameter 'a' is in 'body'"),
        (operation(parameters=[parameter("a", "path", style="matrix")]), "has style matrix"),
        (operation(parameters=7), "operation x is malformed"),
        (operation(requestBody={"content": [1]}), "operation x is malformed"),
        ({"/x/{a}": {"get": {"operationId": "x"}}}, "its path has 'a', which is no parameter"),
        ({"@evil.org/": {"get": {"operationId": "x"}}}, "'@evil.org/' is no path"),
    ],
)
def test_operations_that_cannot_be_called(caplog, paths, words):
    with pytest.raises(ConfigError, match=words):
        openapi_tools(document(**paths), include=["x"])
    # Where nobody asks for it by name, the others are there.
    assert [made.name for made in openapi_tools(document(**paths))] == ["get_thing", "delete_things__thing_", "addPet"]
    assert "left out: " in caplog.text and words in caplog.text


async def test_a_schema_that_refers_only_to_itself_answers():
    given = document(**body({"$ref": "#/components/schemas/A"}))
    given["components"]["schemas"] |= {
        "A": {"$ref": "#/components/schemas/B"},
        "B": {"$ref": "#/components/schemas/A"},
    }
    done = await ask(openapi_tools(given, include=["x"]), "x", body=1)
    assert done.error == "x cannot be called: its schema refers to itself without end."


def test_names_and_wishes():
    given = document(**{"/a": {"get": {"operationId": "add Pet"}}, "/b": {"get": {"operationId": "add/Pet"}}})
    with pytest.raises(ConfigError, match="the OpenAPI document has two tools that models would call 'add_Pet'"):
        openapi_tools(given)
    assert [made.name for made in openapi_tools(given, include=["addPet"])] == ["addPet"]
    with pytest.raises(ConfigError, match="the OpenAPI document has no operation 'removePet'"):
        openapi_tools(given, include=["addPet", "removePet"])
