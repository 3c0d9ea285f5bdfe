"""What is missing or broken around an episode: named, and never taken for a failure at the task."""

import importlib.util
import sys

import pytest
from fake_server import fake_server
from harness import Bench
from lamarck.agent.llm import LiteLLM
from lamarck.agent.models_cache import DEFAULT_MODEL, pull
from lamarck.agent.scripted import ScriptedLLM
from lamarck.config import CollectConfig, SolverConfig
from lamarck.errors import ConfigError, StoreError
from lamarck.evals.alfworld import AlfworldTaskset
from lamarck.store import Store
from lamarck.store_io import export_trajectories
from worlds import Walks


@pytest.mark.parametrize("trouble", [500, 429, "hangup", "hang", "garbage"])
async def test_a_server_in_trouble_fails_the_episode_not_the_task(tmp_path, trouble):
    async with fake_server(trouble) as server:
        llm = LiteLLM("openai/fake", api_base=server.base, retries=1, backoff_s=0.01, timeout_s=3.0)
        bench = Bench(
            tmp_path,
            llm,
            taskset=Walks(n=1),
            solver=SolverConfig(protocol="text"),
            collect=CollectConfig(attempts=2, concurrency=1),
        )
        result = await bench.run()
        assert (result.finished, result.failed) == (0, 1)
        assert len(server.requests) == 4
        # The server comes back, and the run goes on.
        server.acts = ["<action>right</action>"]
        again = Bench(tmp_path, llm, taskset=Walks(n=1), solver=SolverConfig(protocol="text"))
        result = await again.run()
    assert (result.finished, result.failed) == (1, 0)
    assert [t.failure is not None for t in again.trajectories] == [True, True, False]
    assert all(t.reward is None and t.success is None for t in again.trajectories[:2])
    assert again.trajectories[2].success


async def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path):
    def fill(messages):
        if len(bench.llm.calls) == 8:
            with bench.runner.store._engine.begin() as connection:
                connection.exec_driver_sql("PRAGMA max_page_count = 1")

        return "right"

    bench = Bench(
        tmp_path,
        ScriptedLLM(fill),
        taskset=Walks(n=3, length=200),
        collect=CollectConfig(concurrency=1),
        solver=SolverConfig(max_steps=300),
    )
    with pytest.raises(StoreError, match=r"disk of .* is full") as caught:
        await bench.run()
    assert caught.value.kind == "disk_full"
    with Store.open(tmp_path / "store.db") as store:
        [row] = store.attempts("run")
        steps = store.steps_of(row.trajectory_id)
        assert row.open and [step.index for step in steps] == list(range(len(steps))) and len(steps) >= 7
    rest = Bench(tmp_path, ScriptedLLM(lambda m: "right"), taskset=Walks(n=3, length=200), solver=bench.config.solver)
    assert (await rest.run()).finished == 3


@pytest.mark.parametrize(
    ("module", "use", "words"),
    [
        ("torch", lambda folder: pull(DEFAULT_MODEL, cache=folder), r"lamarck-agents\[embedded\]"),
        ("textworld", lambda folder: AlfworldTaskset(engine="stock"), r"lamarck-agents\[alfworld\]"),
        ("pyarrow", lambda folder: _export(folder), r"lamarck-agents\[parquet\]"),
        ("psycopg", lambda folder: Store.open("postgresql://x@/y"), r"lamarck-agents\[postgres\]"),
    ],
)
def test_a_missing_extra_says_what_to_install(module, use, words, tmp_path, monkeypatch):
    real = importlib.util.find_spec
    hidden = lambda name, *rest: None if name.split(".")[0] == module else real(name, *rest)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", hidden)
    monkeypatch.setattr("lamarck.agent.models_cache.find_spec", hidden)
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises((ConfigError, StoreError), match=words) as caught:
        use(tmp_path)
    assert module in str(caught.value) and "\n" not in str(caught.value)


def _export(folder):
    with Store.open(folder / "store.db") as store:
        export_trajectories(store, folder / "all.parquet")
