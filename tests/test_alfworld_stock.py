"""The stock engine as oracle: every text, every admissible command and every win must be the same."""

import pytest
from games import SHARED, compare_with_stock, real_or_own
from lamarck.agent.processes import ProcessPool
from lamarck.agent.tasksets import maker, open_pool
from lamarck.evals.alfworld import AlfworldTaskset
from lamarck.evals.household import export_games


def same(found, games):
    assert len(found) == games
    assert [row["differences"] for row in found] == [[]] * games
    assert all(row["won"] for row in found)


def test_twelve_games_of_all_types_are_the_same(tmp_path):
    taskset, tasks = real_or_own(tmp_path, "valid_seen", 12)
    same(compare_with_stock([taskset.path(task) for task in tasks], 14), 12)


def test_household_games_are_won_in_the_stock_engine_too(tmp_path):
    files = export_games(tmp_path, split="test", size="tiny", games=6)
    files += export_games(tmp_path, split="train", size="small", games=6)
    files += export_games(tmp_path, split="valid_unseen", size="full", games=1)
    same(compare_with_stock(files, 12), 13)


async def test_the_stock_engine_is_a_backend(tmp_path):
    export_games(tmp_path, split="train", size="tiny", games=1)
    options = {"data": str(tmp_path), "engine": "stock"}
    taskset = AlfworldTaskset(**options)
    [task] = taskset.tasks("train")
    pool = open_pool(taskset, make=maker("alfworld", options), size=1, timeout_s=120.0)
    assert isinstance(pool, ProcessPool)
    async with pool.lease() as world:
        await world.reset(task, 0)
        for command in taskset.game(task).walkthrough:
            observed = await world.step(command)
    await pool.close()
    assert observed.terminated and observed.success and observed.reward == 1.0


@pytest.mark.full
def test_all_valid_seen_games_are_the_same(tmp_path):
    taskset, tasks = real_or_own(tmp_path, "valid_seen", 140)
    paths = [taskset.path(task) for task in tasks]
    assert len(paths) == (140 if SHARED.is_dir() else len(paths))
    for start in range(0, len(paths), 7):
        same(compare_with_stock(paths[start : start + 7], 60), len(paths[start : start + 7]))
