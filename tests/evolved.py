"""Whole evolutions in processes of their own, which may die on the way.

Each is a fork of one process that has loaded what takes long and has done nothing yet. Not of the process of the tests:
what embeds texts has threads, and a fork of a process that has used it waits for them for ever.
"""

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
import warnings
from functools import cache
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
LIGHT = (
    *("lamarck.cli.evolve", "lamarck.cli.evolving.phases", "lamarck.agent.evolution.graph"),
    *("torch.utils.tensorboard", "chromadb", "tokenizers"),
)
HEAVY = ("transformers", "peft", "trl", "lamarck.training.stage", "lamarck.training.trainers")
"""What a process loads before it is forked; the heavy part only once weights are to be trained. None of it has threads,
as pyarrow has."""


def evolve(folder, *, resume=False, **settings):
    from lamarck.cli.evolve import run
    from lamarck.cli.evolving.home import Home
    from lamarck.config_evolve import EvolveConfig

    return run(EvolveConfig.load(None, SETTINGS | settings), Home(folder), resume=resume, quiet=True)


CHANCE = frozenset(
    {"id", "run_id", "group_id", "parent", "release_id"}
    | {"started_at", "seconds", "model_seconds", "environment_seconds"}
)
"""What of an attempt is the clock's, or named by a run or a memory, whose ids are made by chance. What plays in a
generation is its parent with a memory of its own."""


def trajectories(folder):
    """Return what all attempts of all generations came to, step by step, without clock times and ids made by chance."""
    from lamarck.cli.evolving.home import Home
    from lamarck.cli.evolving.playing import attempts
    from lamarck.rundir import RunDirectory

    runs = {one.number: RunDirectory(Home(folder).generation(one.number) / "collect") for one in Home(folder).kept()}
    return {
        number: sorted((plain(one.model_dump(mode="json")) for one in attempts(run)), key=json.dumps)
        for number, run in runs.items()
    }


def plain(value):
    """Return an attempt as data, without what is the clock's and what is named by chance."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items() if key not in CHANCE}
    return [plain(one) for one in value] if isinstance(value, list) else value


def never_half(folder):
    """What is in force is whole, and it is what was in force before or what was promoted by a stored report."""
    from lamarck.releases import Releases

    if not (Path(folder) / "store.db").exists():
        return  # it died before there was anything
    with Releases.open(folder) as releases:
        head, reports = releases.head(), {one.id for one in releases.log.reports()}
        assert head is None or releases.verify(head.id) is None
        assert all(row.report_id in reports for row in releases.log.rows() if row.action == "promote")


def in_process(folder, at=0, *, phase=None, after_s=None, cwd=None, **settings):
    """Evolve, or go on; return how many points it passed in each phase, or None where it was killed.

    A point is each touch of a file in the folder, each statement, each end of a transaction and each update of weights.

    Args:
        folder: of the evolution.
        at: it is killed at this point; never if 0.
        phase: only points in this phase count; None counts all.
        after_s: or it is killed this long after the phase has begun, wherever it is then.
        cwd: folder to work in.
        settings: others than `SETTINGS`.
    """
    loaded = (*LIGHT, *(HEAVY if settings.get("learn.weights", SETTINGS["learn.weights"]) else ()))
    wish = [str(folder), at, phase, after_s, str(cwd) if cwd else None, settings]
    code, said = nursery()([loaded, wish])
    if code in (-signal.SIGKILL, -signal.SIGALRM):
        return None
    assert code == 0, said
    return said


@cache
def nursery():
    """Return what lets a fork of a fresh process evolve; it gives its exit code, and its points or what went wrong."""
    own = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    mother = subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | own
    )  # fmt: skip

    def bear(wish):
        mother.stdin.write(json.dumps(wish) + "\n")
        mother.stdin.flush()
        return json.loads(mother.stdout.readline())

    def end():
        mother.stdin.close()
        mother.wait(timeout=60)
        mother.stdout.close()

    atexit.register(end)
    return bear


def bear_all():
    """Fork for each wish on stdin, with these modules loaded, and tell on stdout what became of the child."""
    for line in sys.stdin:
        modules, wish = json.loads(line)
        for name in modules:
            importlib.import_module(name)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                said = main(*wish)
                code = 0
            except Exception:
                said = traceback.format_exc()
                raise
            finally:
                os.write(writer, json.dumps(said).encode())
                os._exit(code)
        os.close(writer)
        with os.fdopen(reader) as stream:
            said = stream.read()
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([code, json.loads(said) if said else None]), flush=True)


def stands(folder):
    """Return the phase that an evolution is in, by its records."""
    from lamarck.agent.evolution.generation import PHASES

    files = sorted(Path(folder).glob("generations/*/generation.json"))
    return following(files[-1].read_bytes(), PHASES) if files else None


def following(record, phases):
    """Return the phase that comes after those in a record."""
    found = json.loads(record)
    return next((one for one in phases if one not in found["figures"] and one not in found["skipped"]), None)


class Points:
    """Counts the points that an evolution passes, and dies at one."""

    def __init__(self, folder, at, phase, after_s):
        self.folder, self.at, self.phase, self.after_s = folder, at, phase, after_s
        self.passed = {}
        self.now = None

    def listen(self):
        self.enter(stands(self.folder))
        sys.addaudithook(self.heard)
        for name in ("before_cursor_execute", "commit"):
            sa.event.listen(sa.Engine, name, self.tick)
        if "torch" in sys.modules:
            from torch.optim.optimizer import register_optimizer_step_post_hook

            register_optimizer_step_post_hook(self.tick)

    def enter(self, phase):
        self.now = phase
        if self.after_s is not None and phase is not None and phase == self.phase:
            # As it is by default this signal ends a process where it stands, like SIGKILL, and also inside of C.
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_REAL, self.after_s)

    def tick(self, *_, **__):
        self.passed[self.now] = self.passed.get(self.now, 0) + 1
        count = sum(self.passed.values()) if self.phase is None else self.passed.get(self.phase, 0)
        if self.after_s is None and count == self.at:
            os.kill(os.getpid(), signal.SIGKILL)

    def heard(self, event, arguments):
        if event not in EVENTS or self.folder not in str(arguments[0]):
            return
        self.tick()
        if event == "os.rename" and str(arguments[1]).endswith("generation.json"):
            self.renames(str(arguments[0]))

    def renames(self, new):
        """A record is about to be put in place: what comes now belongs to the next phase."""
        from lamarck.agent.evolution.generation import PHASES

        self.enter(following(Path(new).read_bytes(), PHASES))


def main(folder, at, phase, after_s, cwd, settings):
    """Evolve in a process of its own; return the points that were passed in each phase."""
    warnings.simplefilter("ignore")
    sys.stdout = sys.stderr  # the other one is how the process tells of its children
    if cwd is not None:
        os.chdir(cwd)
        sys.path.insert(0, cwd)
    points = Points(folder, at, phase, after_s)
    points.listen()
    evolve(folder, resume=(Path(folder) / "evolve.toml").exists(), **settings)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return points.passed


if __name__ == "__main__":
    bear_all()
