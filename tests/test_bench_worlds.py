"""`lamarck bench worlds`: figures of each world in a process of its own, and a line for what is absent."""

import json
import subprocess
import sys

import pytest
from lamarck.errors import ConfigError
from lamarck.evals.bench_worlds import bench_worlds, measure, memory_of_tree
from lamarck.evals.worlds.conformance_report import Failed
from shell import lamarck

HOLD = "import os, sys; kept = os.urandom(60_000_000); print(len(kept), flush=True); sys.stdin.read()"


def test_figures_and_what_is_absent(monkeypatch):
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    told = []
    found = bench_worlds(only=["questions", "alfworld"], seconds=0.05, progress=lambda *now: told.append(now))
    assert list(found) == ["alfworld", "questions"] and told == [("alfworld", 0, 2), ("questions", 1, 2)]
    assert "no ALFWorld data folder" in found["alfworld"]["absent"] and "--data" in found["alfworld"]["absent"]
    figures = found["questions"]
    assert figures["starts_per_s"] > 0 and figures["steps_per_s"] > 0 and figures["episodes"] >= figures["tasks"] == 12
    assert 10 < figures["memory_mib"] < 500 and figures["split"] == "train"


def test_the_memory_of_children_counts():
    before = memory_of_tree()
    child = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b"60000000\n"
        assert memory_of_tree() - before > 50_000_000
    finally:
        child.communicate()


def test_a_world_that_breaks_and_a_row_that_is_none():
    with pytest.raises(Failed, match="reset: "):
        measure("broken_worlds:never", {}, 0.01)
    with pytest.raises(ConfigError, match="no world 'moon' to measure; there are: household, "):
        bench_worlds(only=["moon"])


def test_the_command():
    done = json.loads(lamarck("bench", "worlds", "--only", "questions", "--seconds", 0.05, "--json").stdout)
    assert done["bench"] == "worlds" and done["worlds"]["questions"]["steps_per_s"] > 0
