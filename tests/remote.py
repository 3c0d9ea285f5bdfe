"""Remote worlds for the tests: the real OpenEnv package in its own Python, and servers of ours."""

import asyncio
import json
import subprocess
import sys
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from lamarck.agent.tasksets import open_pool
from lamarck.evals.worlds.openenv import OpenEnvTaskset
from lamarck.evals.worlds.openenv_serve import Serving, serve_taskset

PYTHON = Path(sys.prefix) / "openenv" / "bin" / "python"
EXAMPLE = Path(__file__).with_name("openenv_server_example.py")

CLIENT = """
import json, sys
from openenv.core.generic_client import GenericEnvClient

players = {}
for line in sys.stdin:
    who, what, given = json.loads(line)
    try:
        if what == "open":
            players[who] = GenericEnvClient(**given)
            said = players[who].connect() and None
        elif what == "reset":
            said = dict(vars(players[who].reset(**given)))
        elif what == "step":
            said = dict(vars(players[who].step(given)))
        elif what == "state":
            said = players[who].state()
        else:
            said = players.pop(who).close()
    except Exception as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(said), flush=True)
"""


def real_python():
    """Return the Python that has the real openenv package."""
    if not PYTHON.exists():
        pytest.fail(f"there is no real openenv package at {PYTHON}; run: .ci/openenv {sys.executable}", pytrace=False)
    return str(PYTHON)


@contextmanager
def example_server(sessions=8):
    """Serve the example world with the real package; give its process and, as soon as it listens, its URL."""
    process = subprocess.Popen([real_python(), str(EXAMPLE), str(sessions)], stdout=subprocess.PIPE, text=True)
    try:
        yield Served(process)
    finally:
        process.kill()
        process.wait(10)
        process.stdout.close()


class Served:
    """The example server. It takes seconds to start, which other tests may use."""

    def __init__(self, process):
        self.process = process
        self._url = None

    @property
    def url(self):
        if self._url is None:
            port = self.process.stdout.readline()
            assert port, "the example server died"
            self._url = f"http://127.0.0.1:{port.strip()}"
        return self._url


@contextmanager
def real_client():
    """Give the real package's own client, which runs beside us."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([real_python(), "-c", CLIENT], **pipes)
    try:
        yield RealClient(process)
    finally:
        process.stdin.close()
        process.kill()
        process.wait(10)
        process.stdout.close()


class RealClient:
    """Any number of players, each a GenericEnvClient."""

    def __init__(self, process):
        self.process = process

    async def ask(self, who, what, given=None):
        """Call a method of a player and return what it returned; the event loop goes on meanwhile."""
        return await asyncio.to_thread(self._ask, [who, what, given])

    def _ask(self, message):
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the real client died"
        return json.loads(line)


@asynccontextmanager
async def serving(taskset, world_s=5.0, **how):
    """Serve a taskset of ours in this event loop; give the URL."""
    how = Serving(**how)
    pool = open_pool(taskset, make=None, size=how.max_sessions, timeout_s=world_s)
    try:
        async with serve_taskset(taskset, pool, how) as url:
            yield url
    finally:
        await pool.close()


async def player(url, **options):
    """Return a taskset of a server and a new environment of it; asking happens beside the event loop."""
    taskset = OpenEnvTaskset(url, **options)
    await asyncio.to_thread(taskset.splits)
    return taskset, taskset.environment()
