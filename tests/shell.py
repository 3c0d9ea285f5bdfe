"""Running the command line as a stranger does."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
TINY = ["--taskset", "household", "-s", "taskset.options.size=tiny"]


def lamarck(*arguments, code=0, cwd=HERE, **environment):
    env = {**os.environ, "COLUMNS": "200", **environment}
    env.pop("ALFWORLD_DATA", None)
    command = [sys.executable, "-m", "lamarck", *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, stdin=subprocess.DEVNULL, text=True, cwd=cwd, env=env, timeout=300
    )
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    return done


def help_of(*command):
    """Return what a command says of itself, without a process for each."""
    from lamarck.cli.app import app
    from typer.testing import CliRunner

    done = CliRunner().invoke(app, [*command, "--help"], catch_exceptions=False)
    assert done.exit_code == 0, (command, done.output)
    return done.stdout


def complaint(*arguments, code=2, cwd=HERE, **environment):
    """Return the one line that a wrong request is answered with."""
    done = lamarck(*arguments, code=code, cwd=cwd, **environment)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and lines[0].startswith("error: "), done.stderr
    return lines[0]
