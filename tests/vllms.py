"""Models, adapters and interpreters for a vLLM that is none, and what it has noted down."""

import json
import sys
import time
from pathlib import Path

from lamarck.weights import Manifest, adapter_id, weights_id

FAKE = Path(__file__).with_name("fake_vllm.py")


def model_in(folder):
    """Return a folder that looks like a model's."""
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def interpreter(folder, act="well"):
    """Return a program that stands in for a Python with vllm; see `fake_vllm.py` for how it can behave."""
    program = folder / f"python-{act}"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I "{FAKE}" {act} "$@"\n')
    program.chmod(0o755)
    return str(program)


def adapter(folder, base, *, weights=b"adapter", rank=8):
    """Return an adapter on a model, of any bytes."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
    (folder / "adapter_model.safetensors").write_bytes(weights)
    manifest = Manifest(id=adapter_id(folder), kind="sft", base_model=base.name, base_weights=weights_id(base))
    (folder / "lamarck.json").write_text(manifest.model_dump_json())
    return folder


def started(folder):
    """Return argv and pid of each server that was started."""
    notes = folder / "started"
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


def calls(folder):
    """Return what the servers were asked for beside completions, in order."""
    notes = folder / "calls"
    return notes.read_text().splitlines() if notes.exists() else []


def gone(pid):
    """Say whether a process has ended; what nobody has waited for yet has ended too."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until(truth, seconds=15.0):
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.02)
