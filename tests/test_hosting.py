"""Environments are called the way they declare, and whatever they do wrong ends one attempt."""

import functools
import threading

import pytest
from lamarck.agent.hosting import LocalPool, declared_concurrency
from lamarck.agent.observed import observed_at_reset, observed_at_step
from lamarck.agent.processes import ProcessPool
from lamarck.agent.tasksets import load_taskset, open_pool, taskset_names
from lamarck.core import Task
from lamarck.errors import ConfigError, EnvironmentFailure
from worlds import Coroutines, Corridor, OwnProcess, Threaded, Undeclared, Walks

TASK = Task(id="t", goal="g", environment="e", options={"k": 1})


async def walk(pool, actions=("right", "right", "right")):
    async with pool.lease() as world:
        observed = await world.reset(TASK, 5)
        for action in actions:
            observed = await world.step(action)
    return observed


@pytest.mark.parametrize("make", [Corridor, Threaded, Undeclared, Coroutines])
async def test_every_kind_plays_the_same_episode(make):
    pool = open_pool(Walks(make), make=None, size=2, timeout_s=5.0)
    observed = await walk(pool)
    await pool.close()
    assert observed.terminated and observed.success and observed.reward == 1.0
    assert observed.admissible == ("left", "right", "look")


async def test_what_declares_nothing_runs_in_one_dedicated_thread():
    Undeclared.threads.clear()
    pool = LocalPool(Walks(Undeclared), declared_concurrency(Undeclared()), size=4, timeout_s=5.0)
    await walk(pool)
    await walk(pool)
    await pool.close()
    assert len(Undeclared.threads) == 1 and threading.get_ident() not in Undeclared.threads


async def test_processes_are_recycled_and_survive_the_guest():
    make = functools.partial(Walks, OwnProcess)
    pool = ProcessPool(make, recycle_after=2, timeout_s=20.0)
    pids = []
    for _ in range(3):
        async with pool.lease() as world:
            pids.append((await world.reset(TASK, 0)).info["pid"])
    assert pids[0] == pids[1] != pids[2]
    with pytest.raises(EnvironmentFailure, match=r"ValueError: the lamp$"):
        await walk(pool, ["raise"])
    with pytest.raises(EnvironmentFailure, match=r"died during step \(exit code 7\)"):
        await walk(pool, ["die"])
    assert (await walk(pool)).terminated
    await pool.close()


async def test_a_hanging_process_is_given_up():
    pool = ProcessPool(functools.partial(Walks, OwnProcess), recycle_after=9, timeout_s=15.0)
    async with pool.lease() as world:
        await world.reset(TASK, 0)
    pool._timeout_s = 0.2
    pool._idle[0]._timeout_s = 0.2
    with pytest.raises(EnvironmentFailure, match="no answer to step") as caught:
        await walk_on(pool, "hang")
    assert caught.value.kind == "timeout"
    await pool.close()


async def walk_on(pool, action):
    async with pool.lease() as world:
        await world.step(action)


async def test_a_world_that_failed_is_not_handed_out_again():
    class Fragile(Corridor):
        made = 0

        def __init__(self, length):
            super().__init__(length)
            Fragile.made += 1

        def step(self, action):
            raise RuntimeError("cracked")

    pool = LocalPool(Walks(Fragile), "inline", size=1, timeout_s=5.0)
    for _ in range(2):
        with pytest.raises(EnvironmentFailure, match="RuntimeError: cracked"):
            await walk(pool)
    assert Fragile.made == 2
    await pool.close()


async def test_snapshot_and_restore_where_there_are_any():
    pool = LocalPool(Walks(), "inline", size=1, timeout_s=5.0)
    async with pool.lease() as world:
        await world.reset(TASK, 0)
        await world.step("right")
        state = await world.snapshot()
        await world.step("right")
        await world.restore(state)
        assert (await world.step("right")).observation == "You are at 2 of 3."
    await pool.close()


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (("o", 1.0), "returned step as"),
        ((3, 0.0, False, False, {}), "an observation as 3, not text"),
        (("o", "much", False, False, {}), "a reward as 'much', not a number"),
        (("o", float("nan"), False, False, {}), "not a finite number"),
        (("o", 0.0, False, False, None), "info as None"),
    ],
)
def test_broken_contracts_are_named(result, words):
    with pytest.raises(EnvironmentFailure, match=words):
        observed_at_step(result)


def test_old_gym_shapes_are_understood():
    assert observed_at_reset("just text").observation == "just text"
    ended = observed_at_step(("o", 1, True, {"TimeLimit.truncated": True, "won": False, "odd": object()}))
    assert (ended.terminated, ended.truncated, ended.success) == (False, True, False)
    assert "odd" not in ended.info


def test_tasksets_by_name_and_by_module():
    assert {"alfworld", "household"} <= set(taskset_names())
    walks = load_taskset("worlds:Walks", {"n": 2})
    assert [task.id for task in walks.tasks("train")] == ["walks/0", "walks/1"]
    bare = load_taskset("worlds:Corridor", {"episodes": 3, "length": 2})
    assert [task.seed for task in bare.tasks("all")] == [0, 1, 2]
    assert bare.tasks("all")[0].goal == "walk to the end" and bare.environment().length == 2


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("atlantis", {}, "no taskset 'atlantis'; there are: agentgym, alfworld, "),
        ("worlds:Nothing", {}, "worlds has no Nothing"),
        ("no_such_module:X", {}, "cannot import no_such_module"),
        ("worlds:Walks", {"colour": "red"}, "It takes: make, n, length"),
    ],
)
def test_wrong_tasksets_are_named(name, options, words):
    with pytest.raises(ConfigError, match=words):
        load_taskset(name, options)
