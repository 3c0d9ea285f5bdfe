"""Where the tests find games: the shared benchmark data if it lies beside the repository, else games of our own."""

import json
import subprocess
import sys
from pathlib import Path

from lamarck.evals.alfworld import AlfworldTaskset
from lamarck.evals.household import export_games

SHARED = Path(__file__).parents[2] / "shared" / "data" / "alfworld"


def real_or_own(folder, split, games):
    """Return an ALFWorld taskset and its first `games` tasks: real ones where there are any."""
    if (SHARED / "json_2.1.1" / split).is_dir():
        taskset = AlfworldTaskset(str(SHARED))
    else:
        export_games(folder, split=split, size="small", games=games)
        taskset = AlfworldTaskset(str(folder))
    return taskset, taskset.tasks(split, limit=games)


def compare_with_stock(paths, steps):
    """Play games in both engines, in a child process, and return what `alfworld_compare` found."""
    command = [sys.executable, "-m", "lamarck.evals.alfworld_compare", str(steps), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]
