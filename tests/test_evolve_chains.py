"""Chains of similar tasks: how they are made, what a later link knows of an earlier one, and kills in between."""

import asyncio
import random
import shutil
from contextlib import asynccontextmanager

import pytest
from evolved import SETTINGS, in_process, never_half
from lamarck.cli.evolve import check
from lamarck.cli.evolving.chains import likeness, links
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.learned import Learned, Made
from lamarck.cli.evolving.playing import attempts
from lamarck.cli.evolving.remembering import Learning
from lamarck.cli.evolving.verifying import Verifying
from lamarck.config_evolve import EvolveConfig, PhaseBudget
from lamarck.config_memory import MemoryConfig
from lamarck.core import Task
from lamarck.errors import ConfigError
from lamarck.memory.bank import Memory
from lamarck.memory.items import make_item
from lamarck.rundir import RunDirectory
from test_evolve import told

CHAINED = {"generations": 1, "propose.tasks": 4, "learn.chain": 2, "gated": False}


def task(ident, goal, category="c"):
    return Task(id=ident, goal=goal, environment="e", category=category)


def test_each_task_is_followed_by_the_one_most_like_it():
    tasks = [
        task("egg", "heat an egg"),
        task("lamp", "look at a book under a lamp", "look"),
        task("pan", "wash the pan"),
        task("cup", "heat a cup"),
        task("pot", "wash the pot"),
        task("soap", "wash the soap"),
    ]
    # Of 3 and 3 words two are shared, of 4 in all; then only the category tells who is next.
    assert likeness("heat an egg", "heat a cup") == 1 / 5
    assert likeness("wash the pan", "wash the pot") == 2 / 4
    assert links(tasks, 2) == [("egg", "pan", "soap", "lamp"), ("cup", "pot")]
    assert links(tasks, 3) == [("egg", "pot", "lamp"), ("cup", "soap"), ("pan",)]
    assert links(tasks, 1) == [("egg", "pan", "cup", "pot", "soap", "lamp")]


def test_nothing_is_lost_and_nothing_twice():
    draw = random.Random(0)
    for length in range(1, 6):
        tasks = [task(str(n), " ".join(draw.choices("abcdef", k=3)), draw.choice("xyz")) for n in range(17)]
        found = links(tasks, length)
        assert len(found) <= length and found == sorted(found, key=len, reverse=True)
        assert sorted(ident for link in found for ident in link) == sorted(one.id for one in tasks)
        assert links(tasks, length) == found
    assert links([], 3) == []
    assert likeness("", "") == 0.0


def chained(folder, at=0, **more):
    return in_process(folder, at, **CHAINED, **more)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An evolution in chains that nothing disturbs, and the points it passes while it plays."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, chained(folder)["collect"]


def played(folder):
    return attempts(RunDirectory(Home(folder).generation(1) / "collect"))


def test_the_next_link_recalls_what_the_one_before_has_taught(whole):
    by_task = {one.task.id: one for one in played(whole[0])}
    record = Home(whole[0]).kept()[0]
    first, second = record.figures["collect"]["links"]
    assert (first["attempts"], second["attempts"], len(by_task)) == (2, 2, 4)
    tasks = [one.task for one in sorted(by_task.values(), key=lambda one: one.started_at)]
    recalled = [any(step.recalled for step in by_task[task.id].steps) for task in tasks]
    assert recalled == [False, False, True, True]
    taught = Learned.read(Home(whole[0]).generation(1))
    assert taught.links == 1
    assert [set(taught.attempts[at : at + 2]) for at in (0, 2)] == [
        {by_task[task.id].id for task in link} for link in (tasks[:2], tasks[2:])
    ]
    # What distilling counts is all of it, and not that of the last link.
    counted = record.figures["distil"]
    assert counted["new"] == counted["candidate"] + counted["active"] + counted["retired"]
    assert record.figures["credit"]["attempts"] == 4 and record.figures["credit"]["items"] > 0


def test_kills_in_a_chain_change_nothing(whole, tmp_path):
    """Killed while a link is played or learned from, and again where it goes on: nothing is played or learned twice."""
    folder, draw = tmp_path / "killed", random.Random(3)
    assert chained(folder, at=draw.randrange(whole[1] // 2, whole[1]), phase="collect") is None
    never_half(folder)
    chained(folder, **{"run.collect.concurrency": 1})
    assert told(folder) == told(whole[0])
    ids = [(one.task.id, one.sample, one.attempt) for one in played(folder)]
    assert len(ids) == len(set(ids)) == 4


class Talker:
    """Distils like a model, which never says the same twice, and dies at one of the attempts."""

    def __init__(self, dies_at):
        self.asked, self.dies_at = [], dies_at

    async def distil(self, trajectories):
        if len(self.asked) == self.dies_at:
            raise KeyboardInterrupt
        self.asked.append(trajectories[-1].id)
        said = f"{id(self)} says {len(self.asked)}"
        return [make_item("principle", said, said, trajectory_ids=[trajectories[-1].id])]


class Distilled(Learning):
    talker = None

    @asynccontextmanager
    async def _distiller(self, memory):
        yield self.talker


def test_what_a_model_has_distilled_is_not_asked_for_again_after_a_crash(whole, tmp_path):
    home = Home(shutil.copytree(whole[0], tmp_path / "home"))
    (home.generation(1) / "learned.json").unlink()
    config = home.load()
    learning, [record] = Distilled(home, config, Verifying(home, config)), home.kept()
    first, second = Talker(2), Talker(-1)
    learning.talker = first
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(learning.distil(record))
    learning.talker = second
    assert asyncio.run(learning.distil(record))["new"] == 4
    assert sorted(first.asked + second.asked) == sorted(one.id for one in played(home.path))
    assert asyncio.run(learning.distil(record))["new"] == 4


class Slow(Talker):
    """Takes half an hour for each attempt."""

    at = 0.0

    async def distil(self, trajectories):
        found = await super().distil(trajectories)
        Slow.at += 1800
        return found


def test_the_time_for_distilling_is_kept_over_links_and_kills(whole, tmp_path):
    home = Home(shutil.copytree(whole[0], tmp_path / "home"))
    (home.generation(1) / "learned.json").unlink()
    config, [record] = home.load(), home.kept()

    def distilled(talker):
        may = PhaseBudget(max_hours=1.0)
        learning = Distilled(home, config, Verifying(home, config), may, lambda: Slow.at)
        learning.talker = talker
        return asyncio.run(learning.distil(record))

    first, second, third = Slow(1), Slow(-1), Slow(-1)
    with pytest.raises(KeyboardInterrupt):
        distilled(first)
    assert Learned.read(home.generation(1)).seconds == 1800
    Slow.at += 50_000  # meanwhile others play
    assert distilled(second)["budget"] == {"max_hours": 2}
    assert (len(first.asked), len(second.asked)) == (1, 1)
    assert Learned.read(home.generation(1)).seconds == 3600
    assert distilled(third)["budget"] == {"max_hours": 2} and third.asked == []


def test_what_was_written_down_before_there_were_seconds_is_read(tmp_path):
    (tmp_path / "learned.json").write_text('{"since": 3, "links": 1, "attempts": ["a"]}')
    found = Learned.read(tmp_path)
    assert (found.since, found.attempts, found.seconds) == (3, ("a",), 0.0)


class Dying(Learned):
    """Does not come to write that what was made is in the memory, as a process that is killed then."""

    def taken(self, folder, usage, seconds):
        raise KeyboardInterrupt


def test_a_kill_between_remembering_and_writing_that_down_doubles_nothing(whole, tmp_path, monkeypatch):
    home = Home(shutil.copytree(whole[0], tmp_path / "home"))
    (home.generation(1) / "learned.json").unlink()
    config = home.load()
    learning, [record] = Distilled(home, config, Verifying(home, config)), home.kept()
    first, second = Talker(-1), Talker(-1)
    learning.talker = first
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("lamarck.cli.evolving.remembering.Learned", Dying)
        asyncio.run(learning.distil(record))
    there = Learned.read(home.generation(1))
    assert there.attempts == () and there.made.attempt == first.asked[0]
    learning.talker = second
    assert asyncio.run(learning.distil(record))["new"] == 4
    assert not set(first.asked) & set(second.asked) and len(first.asked) == 1
    assert Learned.read(home.generation(1)).made is None


def test_what_a_model_had_merged_before_a_crash_is_not_compared_again(whole, tmp_path):
    """Whoever says whether two items say the same may say so today and not tomorrow."""
    folder = shutil.copytree(whole[0], tmp_path / "home")
    old, new = (make_item("principle", "at a red sign", text, trajectory_ids=[text]) for text in ("Left.", "Go left."))
    with Memory.open(MemoryConfig(), Home(folder).generation(1) / "memory", create=False) as memory:
        memory.remember([old])
        made = Made(attempt="Go left.", items=(new,), since=memory.head.seq)
        memory.same = lambda one, other: True
        assert made.left(memory) == [new] and memory.remember([new]).merged == (old.id,)
        memory.same = lambda one, other: False
        assert made.left(memory) == []


@pytest.mark.full
@pytest.mark.parametrize("seed", range(8))
def test_many_kills_in_a_chain_change_nothing(whole, tmp_path, seed):
    draw = random.Random(f"chain/{seed}")
    first = draw.randrange(1, whole[1])
    for at in (first, draw.randrange(1, max(2, whole[1] - first))):
        assert chained(tmp_path / "killed", at=at, phase="collect") is None
        never_half(tmp_path / "killed")
    chained(tmp_path / "killed")
    assert told(tmp_path / "killed") == told(whole[0])


def test_a_chain_without_memory_is_refused():
    with pytest.raises(ConfigError, match="without memory a chain passes nothing on"):
        check(EvolveConfig.load(None, SETTINGS | CHAINED | {"learn.memory": False}))


def test_a_damaged_chain_is_one_line(tmp_path):
    (tmp_path / "learned.json").write_text("{")
    with pytest.raises(ConfigError, match="not known what was learned from"):
        Learned.read(tmp_path)
