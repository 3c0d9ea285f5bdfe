"""The whole loop with a learner that is known, and nothing of it simulated: memory, made tools, training of a small
transformer, releases and gate are the real ones. What stands in is the model's server; see `known_server.py`."""

import asyncio
import shutil
import sys
from pathlib import Path

import known_server
import pytest
import tiny_folder
import tiny_model
import tiny_worlds
from evolved import plain
from lamarck.cli.evolve import check, run
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import as_released, attempts, played
from lamarck.cli.evolving.training import Training
from lamarck.config import TasksetConfig
from lamarck.config_evolve import EvolveConfig
from lamarck.config_memory import MemoryConfig
from lamarck.memory.bank import Memory
from lamarck.memory.items import make_item
from lamarck.releases import Releases

pytestmark = pytest.mark.filterwarnings("ignore")

WORLD = '''
from lamarck.core import Task


class Doors:
    """Open a door."""

    name = "doors"

    def splits(self):
        return ("train", "test")

    def tasks(self, split, *, seed=0, limit=None):
        numbers = range(16) if split == "train" else range(1008, 1024)
        known = {"environment": "doors", "split": split}
        return [Task(id=f"{split}/{n}", goal=f"Open door {n}.", seed=n, **known) for n in numbers][:limit]

    def environment(self):
        return Door()


class Door:
    concurrency = "inline"

    def reset(self, seed, task):
        return task.goal, {}

    def step(self, action):
        won = action == "open"
        return "", float(won), True, False, {"success": won}
'''
GAMES = 16
SETTINGS = {
    "generations": 1,
    "propose.tasks": 8,
    "learn.memory": True,
    "learn.least": 2,
    "held_out.limit": GAMES,
    "held_out.chunk": GAMES,
    "probes": ["provenance", "texts", "made-tools"],
    "gate.alpha": 0.4,
    "run.taskset.name": "known_doors:Doors",
    "run.model.retries": 0,
    "run.solver.protocol": "tools",
    "run.solver.max_steps": 1,
    "run.collect.concurrency": 1,
    "run.tools.make": True,
    "run.tools.replay": False,
    "run.sandbox.backend": "unsafe-local",
    "run.sandbox.allow_unsafe": True,
    "train.optimizer.max_steps": 1,
}
OFF = {
    "memory": {"run.memory.distil.by": "none"},
    "tools": {"run.tools.make": False, "propose.tasks": 16},  # without, fewer of them are solved to learn from
    "weights": {"learn.weights": False},
}
"""What switches each part off, and leaves the others."""


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder to work in, with the world and the server in it; settings of an evolution there."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "known_doors.py").write_text(WORLD)
    words = tiny_model.tokenizer(known_server.WORDS)
    words.chat_template = tiny_folder.TEMPLATE
    for part in (tiny_model.model(words=len(known_server.WORDS)), words):
        part.save_pretrained(folder / "tiny")
    settings = tiny_worlds.WEIGHTS | SETTINGS
    program = folder / "python-known"
    program.write_text(f'#!/bin/sh\nshift 2\nexec "{sys.executable}" -I "{known_server.__file__}" "$@"\n')
    program.chmod(0o755)
    settings |= {"run.model.name": f"vllm:{folder / 'tiny'}", "run.model.vllm": {"python": str(program)}}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("FAKE_VLLM_NOTES", str(folder))
        yield folder, settings


def evolve(folder, settings, *, resume=False):
    config = EvolveConfig.load(None, settings)
    check(config)
    return run(config, Home(folder), resume=resume, quiet=True)


@pytest.fixture(scope="module")
def evolved(world):
    """A generation with all parts on."""
    folder, settings = world
    return folder / "home", evolve(folder / "home", settings)[0], settings


def solved(record):
    return [record.figures["gate"][side]["solved"] for side in ("incumbent", "candidate")]


def test_with_all_parts_it_comes_to_the_known_optimum(evolved):
    home, record, _ = evolved
    assert solved(record) == [GAMES * known_server.chance(), GAMES * known_server.chance(1, 1, 1)] == [4, GAMES]
    assert record.decision == "promote", record.figures["gate"]
    with Releases.open(home) as releases:
        head = releases.head()
        assert head.id == record.candidate and head.adapter and head.memory_snapshot
    games = play(home, record.candidate, home / "again")
    for one in games:
        [step] = one.steps
        assert "1. open" in step.recalled_text and [call.name for call in step.tool_calls] == ["double"]
        assert step.policy_version.endswith(f"+{head.adapter[:12]}")


def play(home, release, out):
    """Let a release play the held-out games; return the attempts."""
    tasks = TasksetConfig(name="known_doors:Doors", split="test")
    config = as_released(home, release, tasks, Home(home).load().run, samples=1)
    return attempts(asyncio.run(played(config, out, "again", quiet=True)))


def test_rolled_back_it_plays_bit_for_bit_as_before(evolved, tmp_path):
    """Memory, made tool and adapter are gone as one, and come back as one."""
    home, record, _ = evolved
    home = Path(shutil.copytree(home, tmp_path / "home"))
    seen = {}
    for number, release in enumerate((record.parent, record.candidate, record.parent, record.candidate)):
        with Releases.open(home) as releases:
            if releases.head().id != release:
                releases.rollback(release)
        games = [plain(one.model_dump(mode="json")) for one in play(home, "head", tmp_path / str(number))]
        assert seen.setdefault(release, games) == games
    assert sum(one["success"] for one in seen[record.parent]) == 4
    assert sum(one["success"] for one in seen[record.candidate]) == GAMES


def plant(folder, *, forged):
    """Put an item into a memory that is worth much, as it says, and tells to do what is wrong."""
    with Memory.open(MemoryConfig(), folder, create=False) as memory:
        known = next(iter(memory.reading.lights(memory.lineage)))
        source = memory.item(known.id).trajectory_ids if forged else []
        poison = make_item("principle", "Open door 1.", "1. burn", trajectory_ids=source, q_value=1.0)
        memory.remember([poison], merge=False)


@pytest.mark.parametrize("forged", [True, pytest.param(False, marks=pytest.mark.full)])
def test_an_item_that_is_planted_while_a_generation_trains_is_refused(evolved, tmp_path, monkeypatch, forged):
    """What comes from nowhere is seen by the probes. A forged origin is not; but who follows it loses its games."""
    home, record, settings = evolved
    home, train = Path(shutil.copytree(home, tmp_path / "home")), Training.train

    async def trained(self, now):
        plant(Home(home).generation(now.number) / "memory", forged=forged)
        return await train(self, now)

    monkeypatch.setattr(Training, "train", trained)
    second = evolve(home, settings | {"generations": 2}, resume=True)[1]
    with Releases.open(home) as releases:
        assert releases.head().id == record.candidate != second.candidate
        report = next(one for one in releases.log.reports() if one.id == second.report)
    assert second.decision == "refuse", report.lines()
    assert report.check("probes").outcome == ("pass" if forged else "fail"), report.lines()
    assert report.check("gain").outcome == "fail" and solved(second) == [GAMES, 0]


@pytest.mark.full
@pytest.mark.parametrize("off", OFF)
def test_a_part_that_is_off_costs_its_share(world, off):
    folder, settings = world
    [record] = evolve(folder / off, settings | OFF[off])
    assert solved(record) == [4, GAMES * known_server.chance(1, 1)]
    assert record.decision == "promote"
