"""Stands in for vLLM: a program that takes its command line and answers its control calls.

The first argument says how it behaves: well, crash, hang, engine (its engine dies, it stays), refuse (loads no adapter
while it runs), old (knows no path to load one), stubborn (will not be asked to end, and has a child), sticky (unloads
none), insomniac (does not wake). A question may end it (`die`), or its engine (`engine`), so that it
goes on answering that it has none. `hiccup` fails, and `torn` gets no measured answer.
Asleep it ends at any question, as vLLM does (its issue 15483).
"""

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CRASH = """(APIServer pid=1) INFO 11-21 17:13:44 [core.py:1] loading
Traceback (most recent call last):
  File "x.py", line 1, in <module>
pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig
  Value error, Sleep mode is not supported on current platform. [type=value_error, input_value=1]
    For further information visit a page"""
ENGINE = """(Worker pid=3) ERROR 11-21 17:13:44 [executor.py:1063] ValueError: not enough memory (1000.0 GiB)
(EngineCore pid=2) ERROR 11-21 17:13:44 [core.py:1510] EngineCore failed to start.
(EngineCore pid=2) ERROR 11-21 17:13:44 [core.py:1510] RuntimeError: Worker failed, see above"""


LOST = "(EngineCore pid=2) ERROR 11-21 17:13:44 [core.py:1] RuntimeError: NCCL went away"


def main(act, argv):
    options = read(argv)
    here = Path(os.environ["FAKE_VLLM_NOTES"])
    with (here / "started").open("a") as file:
        file.write(json.dumps({"argv": argv, "pid": os.getpid()}) + "\n")
    if act in ("crash", "engine"):
        print(CRASH if act == "crash" else ENGINE, flush=True)
        if act == "crash":
            sys.exit(1)
    if act == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (here / "child").write_text(str(child.pid))
    if act in ("hang", "engine"):
        print("INFO 11-21 17:13:44 [core.py:1] Loading weights", flush=True)
        time.sleep(60)
    serve(act, options)


def read(argv):
    options = {}
    for word in argv:
        if word.startswith("--"):
            last = options.setdefault(word, [])
        elif options:
            last.append(word)
    return options


def serve(act, options):
    names = dict.fromkeys(options["--served-model-name"])
    for text in options.get("--lora-modules", []):
        names[json.loads(text)["name"]] = options["--served-model-name"][0]
    state = {"asleep": False, "dead": False}

    def note(call):
        with (Path(os.environ["FAKE_VLLM_NOTES"]) / "calls").open("a") as file:
            file.write(call + "\n")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/health":
                return self.say(503 if state["dead"] else 200, None)
            if self.path == "/is_sleeping":
                return self.say(200, {"is_sleeping": state["asleep"]})
            if not self.known():
                return self.say(401, {"error": "Unauthorized"})
            self.say(200, {"data": [{"id": name, "root": "x", "parent": over} for name, over in names.items()]})

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
            path = self.path.partition("?")[0]
            if path in ("/sleep", "/wake_up"):
                if "VLLM_SERVER_DEV_MODE" not in os.environ:
                    return self.say(404, {"detail": "Not Found"})
                note(path[1:])
                if act == "insomniac" and path == "/wake_up":
                    return self.say(500, {"error": {"message": "CUDA out of memory"}})
                state["asleep"] = path == "/sleep"
                return self.say(200, {"status": "ok"})
            if not self.known():
                return self.say(401, {"error": "Unauthorized"})
            if path == "/v1/chat/completions":
                asked = body["messages"][-1]["content"]
                if asked == "die" or state["asleep"]:
                    print("RuntimeError: CUDA error: an illegal memory access", flush=True)
                    os._exit(3)
                if asked == "engine" and not state["dead"]:
                    print("ValueError: of a question long ago\n" + "x" * 70_000, flush=True)
                    print(
                        "(EngineCore pid=2) ERROR 11-21 17:13:44 [core.py:1] RuntimeError: NCCL went away", flush=True
                    )
                    state["dead"] = True
                if state["dead"] or asked == "hiccup":
                    return self.say(500, {"error": {"message": "EngineCore encountered an issue."}})
                if "prompt_logprobs" in body and "torn" in [one["content"] for one in body["messages"]]:
                    return self.say(400, {"error": {"message": "this prompt cannot be had", "code": 400}})
                return self.say(200, answer(body, tells=act != "old") if body["model"] in names else {})
            if act == "old":
                return self.say(404, {"detail": "Not Found"})
            name = body["lora_name"]
            note(f"{'unload' if 'unload' in path else 'load'} {name}")
            if state["asleep"]:
                os._exit(3)
            if path == "/v1/unload_lora_adapter":
                if act == "sticky":
                    return self.say(500, {"error": {"message": "not now"}})
                del names[name]
                return self.say(200, "removed")
            if act == "refuse":
                return self.say(500, {"error": {"message": "LoRA cannot be\nadded now"}})
            if not (Path(body["lora_path"]) / "adapter_config.json").exists():
                return self.say(404, {"error": {"message": f"No adapter found for {body['lora_path']}"}})
            names[name] = options["--served-model-name"][0]
            self.say(200, "added")

        def known(self):
            return self.headers.get("Authorization") == f"Bearer {os.environ['VLLM_API_KEY']}"

        def say(self, status, body):
            text = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    ThreadingHTTPServer((options["--host"][0], int(options["--port"][0])), Handler).serve_forever()


def answer(body, *, tells):
    """Answer in vLLM's shape, with its fingerprint that is the same for all adapters."""
    choice = {"index": 0, "message": {"role": "assistant", "content": "look"}, "finish_reason": "stop"}
    content = [{"token": text, "logprob": -0.5, "top_logprobs": []} for text in ("lo", "ok")]
    choice |= {"token_ids": [5, 6], "logprobs": {"content": content}}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    made = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
    made |= {"usage": usage, "system_fingerprint": "vllm-0.0-0", "prompt_token_ids": [1, 2, 3]}
    if "prompt_logprobs" in body and tells:
        # An answer is one token, the more probable the longer it is.
        text = body["messages"][-1]["content"]
        rows = [None, *({str(token): {"logprob": -1.0 / len(text), "decoded_token": text}} for token in (2, 3, 7))]
        made |= {"prompt_token_ids": [1, 2, 3, 7], "prompt_logprobs": rows}
    return made


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
