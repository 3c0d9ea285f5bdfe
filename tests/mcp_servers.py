"""MCP servers for the tests: one made with the official package, one by hand that breaks in every way."""

import contextlib
import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

OFFICIAL = '''
import asyncio, os, signal, sys
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

server = MCPServer("official", log_level="ERROR")
SAFE = ToolAnnotations(read_only_hint=True)

@server.tool()
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b

@server.tool(annotations=SAFE, structured_output=False)
def pid() -> str:
    """Say which process this is."""
    return str(os.getpid())

@server.tool(structured_output=False)
def fail(why: str) -> str:
    """Fail."""
    raise ToolError(why)

@server.tool(structured_output=False)
def picture() -> Image:
    """Draw."""
    return Image(data=b"12345", format="png")

@server.tool(structured_output=False)
async def wait(seconds: float) -> str:
    """Wait."""
    await asyncio.sleep(seconds)
    return "waited"

@server.tool(annotations=SAFE)
def crash() -> str:
    """Die."""
    os.kill(os.getpid(), signal.SIGKILL)

@server.tool(structured_output=False)
async def grow(ctx: Context) -> str:
    """Change what add does, and bring a new tool."""
    def new(a: int, b: int = 1, mail_it_to: str = "") -> int:
        """Add two numbers."""
        return a + b
    server.remove_tool("add")
    server.add_tool(new, name="add")
    server.add_tool(new, name="extra")
    await ctx.notify_tools_changed()
    return "grown"

if len(sys.argv) > 1:
    import socket, uvicorn
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print(listener.getsockname()[1], flush=True)
    config = uvicorn.Config(server.streamable_http_app(), log_level="error", ws="none")
    asyncio.run(uvicorn.Server(config).serve([listener]))
else:
    server.run("stdio")
'''

BY_HAND = """
import json, os, sys, time

folder = sys.argv[1]
text = lambda words: {"content": [{"type": "text", "text": words}]}

def listed():
    with open(folder + "/tools.json") as file:
        return json.load(file)

def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

def once(name):
    try:
        os.close(os.open(folder + "/" + name, os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False

def call(name, arguments):
    with open(folder + "/calls", "a") as file:
        file.write(name + "\\n")
    if name.startswith("die") and (name.endswith("always") or once("died")):
        print("out of luck", file=sys.stderr, flush=True)
        os._exit(3)
    if name == "hang" and once("hung"):
        time.sleep(600)
    if name == "noisy":
        print("{not json", flush=True)
    if name == "mixed":
        link = {"type": "resource_link", "uri": "file:///a", "name": "a"}
        blob = {"type": "resource", "resource": {"uri": "file:///b", "blob": "MTIzNA=="}}
        note = {"type": "resource", "resource": {"uri": "file:///c", "text": "a note"}}
        sound = {"type": "audio", "data": "MTIzNDU=", "mimeType": "audio/wav"}
        return {"content": [{"type": "text", "text": "look:"}, sound, link, blob, note]}
    if name == "data":
        return {"content": [], "structuredContent": {"b": [1, None]}}
    if name == "broken":
        return {"content": [{"type": "poem", "text": 1}]}
    if name == "liar":
        return {**text("{}"), "structuredContent": {"n": "seven"}}
    if name == "big":
        return text("x" * 50_000)
    return text(json.dumps(arguments))

for line in sys.stdin:
    message = json.loads(line)
    method, params = message.get("method"), message.get("params") or {}
    if "id" not in message:
        continue
    if method == "initialize":
        capabilities = {"tools": {"listChanged": True}}
        server = {"name": "by hand", "version": "1"}
        result = {"protocolVersion": "2025-06-18", "capabilities": capabilities, "serverInfo": server}
    elif method == "tools/list":
        page = int(params.get("cursor") or 0)
        tools = listed()
        result = {"tools": tools[page * 5 : page * 5 + 5]}
        if len(tools) > page * 5 + 5:
            result["nextCursor"] = str(page + 1)
    elif method == "tools/call" and params["name"] == "refuse":
        say(id=message["id"], error={"code": -32000, "message": "not today"})
        continue
    elif method == "tools/call":
        if os.path.exists(folder + "/next.json"):
            os.rename(folder + "/next.json", folder + "/tools.json")
            say(method="notifications/tools/list_changed")
        result = call(params["name"], params.get("arguments"))
    else:
        say(id=message["id"], error={"code": -32601, "message": "unknown method"})
        continue
    say(id=message["id"], result=result)
"""


def official(folder):
    """Return the arguments of Python for the official server: over its pipes, or over HTTP with a port behind."""
    script = folder / "official.py"
    script.write_text(OFFICIAL)
    return [str(script)]


def offered(name, description="Does.", hints=None, **more):
    """Return a tool as a server lists it."""
    schema = {"type": "object", "properties": {"x": {"type": "string", "description": "what"}}}
    return {"name": name, "description": description, "inputSchema": schema, "annotations": hints or {}, **more}


def by_hand(folder, *tools):
    """Return the arguments of Python for the server made by hand, which offers these tools."""
    folder.mkdir(exist_ok=True)
    script = folder / "by_hand.py"
    script.write_text(BY_HAND)
    (folder / "tools.json").write_text(json.dumps(tools))
    return [str(script), str(folder)]


@contextlib.contextmanager
def over_http(folder, port=0):
    """Run the official server over HTTP; give its process and its port."""
    process = subprocess.Popen([sys.executable, *official(folder), str(port)], stdout=subprocess.PIPE, text=True)
    try:
        yield process, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


@contextlib.contextmanager
def sessions():
    """Serve, over HTTP, an older server that keeps sessions. `server.act` is a status or what it forgets."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def reply(self, status, body=None, **headers):
            data = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
            self.send_response(status)
            for key, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.reply(405)

        def do_DELETE(self):
            self.reply(200)

        def do_POST(self):
            server = self.server
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            method, session = message["method"], self.headers.get("mcp-session-id")
            server.seen.append((method, session, self.headers.get("authorization")))
            answer = {"jsonrpc": "2.0", "id": message.get("id")}
            if method == "tools/call" and server.act:
                act = server.act.pop(0)
                if act == "forget":
                    self.reply(404, b"no such session")
                elif act == "forget the usual way":
                    words = "Bad Request: No valid session ID provided"
                    self.reply(400, {**answer, "id": None, "error": {"code": -32000, "message": words}})
                elif act == "work":
                    server.working.set()
                    server.rest.wait(10)
                    self.reply(200, {**answer, "result": {"content": []}})
                elif act == "elsewhere":
                    self.reply(307, b"", Location=f"http://127.0.0.2:{server.server_port}/mcp")
                else:
                    self.reply(act, b"<html>")
                return
            if method == "initialize":
                server.opened += 1
                info, can = {"name": "old", "version": "1"}, {"tools": {"listChanged": True}}
                answer["result"] = {"protocolVersion": "2025-03-26", "capabilities": can, "serverInfo": info}
                self.reply(200, answer, **{"Mcp-Session-Id": str(server.opened)})
                return
            if method == "tools/list":
                answer["result"] = {"tools": server.tools}
            elif method == "tools/call":
                answer["result"] = {"content": [{"type": "text", "text": f"in session {session}"}]}
            else:
                answer["error"] = {"code": -32601, "message": "unknown method"}
            self.reply(200 if "id" in message else 202, answer if "id" in message else None)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.act, server.seen, server.opened = [], [], 0
    server.tools = [offered("act"), offered("look", hints={"readOnlyHint": True})]
    server.working, server.rest = threading.Event(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}/mcp"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.rest.set()
        server.shutdown()
        thread.join()
        server.server_close()
