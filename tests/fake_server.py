"""A small OpenAI-compatible server on loopback that fails in every way servers fail."""

import asyncio
import json
from contextlib import asynccontextmanager

REASONS = {200: "OK", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests", 500: "Server Error"}


class FakeServer:
    """Answers requests one after the other with the given acts; the last act is repeated.

    An act is a status, a text to answer, or one of: hang, hangup, garbage, huge, empty, logprobs, tools,
    embed, embed_wrong.
    """

    def __init__(self, *acts):
        self.acts = list(acts)
        self.requests = []
        self.running = self.most_at_once = 0
        self.base = ""

    async def handle(self, reader, writer):
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            self.requests.append(json.loads(await reader.readexactly(length) or b"{}"))
            act = self.acts.pop(0) if len(self.acts) > 1 else self.acts[0]
            await asyncio.sleep(0.02)
            await self.play(act, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.running -= 1
            writer.close()

    async def play(self, act, writer):
        if act == "hang":
            await asyncio.sleep(30)
        elif act == "hangup":
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"id": ')
            await writer.drain()
        elif act == "garbage":
            self.send(writer, 200, b"<html>not json")
        elif act in ("embed", "embed_wrong"):
            texts = self.requests[-1]["input"]
            rows = [[float(1 + (len(text) * (n + 3)) % 7) for n in range(8)] for text in texts]
            rows = rows if act == "embed" else rows[:-1]
            data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
            body = {"object": "list", "data": data, "model": "fake", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
            self.send(writer, 200, json.dumps(body).encode())
        elif isinstance(act, int):
            self.send(writer, act, json.dumps({"error": {"message": f"status {act}", "type": "x"}}).encode())
        else:
            self.send(writer, 200, json.dumps(self.answer(act)).encode())
        await writer.drain()

    def answer(self, act):
        text = {"huge": "x" * 2_000_000, "empty": "", "logprobs": "hi there", "tools": None}.get(act, act)
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        if act == "logprobs":
            tokens = [("token_id:11", -0.5), ("token_id:22", -1.5)]
            choice["logprobs"] = {"content": [{"token": t, "logprob": p, "top_logprobs": []} for t, p in tokens]}
        if act == "tools":
            calls = [('{"action": "look"}', "1"), ("not json", "2"), ("[1]", "3")]
            message["tool_calls"] = [
                {"id": i, "type": "function", "function": {"name": "act", "arguments": a}} for a, i in calls
            ]
        return {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "fake",
            "choices": [choice],
            "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
        }

    def send(self, writer, status, body):
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\nConnection: close\r\n"
        head += "Retry-After: 0.05\r\n" if status == 429 else ""
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


@asynccontextmanager
async def fake_server(*acts):
    """Serve on a free port of the loopback interface."""
    fake = FakeServer(*acts)
    server = await asyncio.start_server(fake.handle, "127.0.0.1", 0)
    fake.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield fake
    finally:
        server.close()
