"""A whole evolution on household games in a process of its own, which may die on the way.

Not by fork: what embeds texts has threads, and a fork of a process that has used it waits for them for ever.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

import sqlalchemy as sa

SETTINGS = {
    "generations": 2,
    "grow": "latest",
    "propose.tasks": 3,
    "learn.weights": False,
    "held_out.limit": 3,
    "held_out.chunk": 2,
    "run.taskset.options": {"size": "tiny", "games": 8, "types": ["look_at_obj_in_light"]},
    "run.model.name": "follower",
    "run.solver.max_steps": 12,
}
EVENTS = {"open", "os.rename", "os.mkdir", "os.link", "os.remove", "os.rmdir", "sqlite3.connect"}


def evolve(folder, *, resume=False, **settings):
    from lamarck.cli.evolve import run
    from lamarck.cli.evolving.home import Home
    from lamarck.config_evolve import EvolveConfig

    return run(EvolveConfig.load(None, SETTINGS | settings), Home(folder), resume=resume, quiet=True)


def in_process(folder, at=0):
    """Evolve, or go on; return how many points it passed, or None where it was killed at point `at`.

    A point is each touch of a file in the folder, each statement, and each end of a transaction.
    """
    command = [sys.executable, __file__, str(folder), str(at)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    if done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


def main(folder, at):
    passed = 0

    def tick(*_):
        nonlocal passed
        passed += 1
        if passed == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(event, arguments):
        if event in EVENTS and folder in str(arguments[0]):
            tick()

    sys.addaudithook(heard)
    for name in ("before_cursor_execute", "commit"):
        sa.event.listen(sa.Engine, name, tick)
    evolve(folder, resume=(Path(folder) / "evolve.toml").exists())
    print(passed)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
