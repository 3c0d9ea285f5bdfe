"""What the README shows is run."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from shell import help_of

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)


def run(line, folder):
    program, *arguments = shlex.split(line)
    assert program == "lamarck"
    command = [sys.executable, "-m", "lamarck", *arguments]
    env = {**os.environ, "COLUMNS": "160"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=300)


def test_every_line_and_example(tmp_path):
    remembering, tool, own, scripted = (code for language, code in BLOCKS if language == "python")
    [answers] = (code for language, code in BLOCKS if language == "jsonl")
    (tmp_path / "answers.jsonl").write_text(answers)
    assert len(own.strip().splitlines()) < 20
    (tmp_path / "mine.py").write_text(own)
    (tmp_path / "model.py").write_text(scripted)
    lines = [line for _, code in BLOCKS for line in code.splitlines() if line.startswith("lamarck ")]
    assert len(lines) >= 5
    for line in lines:
        done = run(line, tmp_path)
        assert done.returncode == 0, (line, done.stderr)
    assert "2 episodes" in done.stdout and "2 solved" in done.stdout
    (tmp_path / "notes.py").write_text(remembering)
    (tmp_path / "tool.py").write_text(tool)
    for script in ("model.py", "notes.py", "tool.py"):
        subprocess.run([sys.executable, script], cwd=tmp_path, check=True)


def test_commands_in_the_table_exist():
    named = set(re.findall(r"(?:`|^)lamarck ([a-z]+)", README, re.MULTILINE))
    assert named >= {"run", "demo", "env", "export", "import", "bench", "eval", "show"}
    for command in named:
        assert "Usage" in help_of(command)
    makefile = (Path(__file__).parents[1] / "Makefile").read_text()
    for target in re.findall(r"`make ([a-z]+)`", README):
        assert f"\n{target}:" in makefile


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)]+)\)", README):
        assert (Path(__file__).parents[1] / target).exists(), target
