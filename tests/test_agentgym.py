"""AgentGym's servers, in the dialects its packages speak; the servers are ours, the shapes are theirs."""

import asyncio
import contextlib
import socket

import pytest
import uvicorn
from harness import Bench
from lamarck.agent.scripted import ScriptedLLM
from lamarck.agent.tasksets import open_pool
from lamarck.config import CollectConfig, SolverConfig
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.evals.worlds.agentgym import AgentGymTaskset
from lamarck.evals.worlds.agentgym_dialect import created, find_dialect, offered, told
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


class Counter:
    """Count down from the number of the task with `less`; a server that remembers what it was asked.

    `ident`, `index`, `wants`: names in the bodies. `bare`: ids and observations without an object around them.
    """

    def __init__(self, ident="id", index="data_idx", wants=(), bare=False, closes=False, offers=False, prefix=""):
        self.ident, self.index, self.wants, self.bare = ident, index, wants, bare
        self.closes, self.offers, self.prefix = closes, offers, prefix
        self.left, self.asked, self.trouble = {}, [], None

    def app(self):
        calls = [("create", self.create), ("reset", self.reset), ("step", self.step)]
        routes = [Route(f"{self.prefix}/{name}", call, methods=["POST"]) for name, call in calls]
        routes += [Route(f"{self.prefix}/observation", self.observation), Route("/openapi.json", self.document)]
        routes += [Route(f"{self.prefix}/available_actions", self.actions)] if self.offers else []
        routes += [Route(f"{self.prefix}/close", self.close, methods=["POST"])] if self.closes else []
        return Starlette(routes=routes)

    async def body(self, request):
        body = await request.json()
        self.asked.append((request.url.path.removeprefix(self.prefix).strip("/"), body))
        return body

    async def create(self, request):
        await self.body(request)
        ident = len(self.left)
        self.left[ident] = None
        return JSONResponse(ident if self.bare else {"id": ident})

    async def reset(self, request):
        body = await self.body(request)
        if any(name not in body for name in (self.ident, self.index, *self.wants)):
            return JSONResponse({"detail": "Unprocessable"}, 422)
        self.left[body[self.ident]] = body[self.index]
        text = f"{body[self.index]} left"
        return JSONResponse([text, None] if self.bare else {"observation": text, "reward": 0, "done": False})

    async def step(self, request):
        body = await self.body(request)
        ident = body[self.ident]
        if self.trouble is not None and body["action"] == "break":
            return self.trouble
        self.left[ident] -= body["action"] == "less"
        ended = self.left[ident] == 0
        text = f"{self.left[ident]} left"
        done = {"reward": float(ended), "done": ended}
        return JSONResponse({"state": text, "info": None, **done} if self.bare else {"observation": text, **done})

    async def observation(self, request):
        return JSONResponse(f"{self.left[int(request.query_params[self.ident])]} left")

    async def actions(self, request):
        self.asked.append(("available_actions", dict(request.query_params)))
        return JSONResponse({"has_search_bar": True, "clickables": ["less"]} if self.bare else ["less", "wait"])

    async def close(self, request):
        del self.left[(await self.body(request))[self.ident]]
        return JSONResponse(True)

    async def document(self, request):
        def takes(name, *fields):
            reference = {"schema": {"$ref": f"#/components/schemas/{name}"}}
            schemas[name] = {"properties": {field: {} for field in fields}}
            return {"post": {"requestBody": {"content": {"application/json": reference}}}}

        schemas = {}
        paths = {
            f"{self.prefix}/reset": takes("Reset", self.ident, self.index, *self.wants),
            f"{self.prefix}/step": takes("Step", self.ident, "action"),
            f"{self.prefix}/observation": {},
            **({f"{self.prefix}/close": {}} if self.closes else {}),
            **({f"{self.prefix}/available_actions": {}} if self.offers else {}),
        }
        return JSONResponse({"paths": paths, "components": {"schemas": schemas}})


@contextlib.asynccontextmanager
async def served(counter):
    """Serve in this event loop; give the URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(counter.app(), log_config=None, ws="none", lifespan="off"))
        server.capture_signals = contextlib.nullcontext
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}{counter.prefix}"
        finally:
            server.should_exit = True
            await task


DIALECTS = {
    "babyai": Counter(closes=True),
    "alfworld": Counter(index="game", wants=("world_type",), offers=True),
    "webshop": Counter(ident="env_idx", index="session_id", bare=True, offers=True),
    "sqlgym": Counter(ident="env_idx", index="item_id", bare=True),
    "searchqa": Counter(ident="env_idx", index="id", bare=True, closes=True),
    "maze": Counter(index="game", prefix="/maze"),
}


@pytest.mark.parametrize("name", DIALECTS)
async def test_every_dialect_is_played_to_its_end(name):
    counter = DIALECTS[name]
    async with served(counter) as url:
        taskset = AgentGymTaskset(url, indices=[2, 1], goal="count down")
        tasks = taskset.tasks("all")
        assert [(task.id, task.goal) for task in tasks] == [("agentgym/2", "count down"), ("agentgym/1", "count down")]
        pool = open_pool(taskset, make=None, size=1, timeout_s=5.0)
        for task, steps in zip(tasks, (2, 1), strict=True):
            async with pool.lease() as world:
                seen = await world.reset(task, 0)
                assert seen.observation == f"{steps} left" and not seen.terminated
                for left in reversed(range(steps)):
                    seen = await world.step("less")
                    assert (seen.observation, seen.terminated, seen.truncated) == (f"{left} left", left == 0, False)
                assert seen.success and seen.reward == 1.0
        await pool.close()
    # One environment for both episodes, freed where the server can.
    assert [call for call, _ in counter.asked].count("create") == 1
    assert len(counter.left) == (0 if counter.closes else 1)
    if name == "alfworld":
        assert ("reset", {"id": 0, "game": 2, "world_type": "Text"}) in counter.asked


async def test_admissible_actions_are_asked_for_where_they_are_offered():
    for bare, wanted in ((False, ["less", "wait"]), (True, ["search[<words>]", "click[less]"])):
        counter = Counter(bare=bare, offers=True)
        async with served(counter) as url:
            taskset = AgentGymTaskset(url, indices=[2])
            environment = taskset.environment()
            _, info = await environment.reset(task=taskset.tasks("all")[0])
            assert info["admissible_actions"] == wanted
            await environment.close()
        assert ("available_actions", {"id": "0"}) in counter.asked


@pytest.mark.parametrize(
    ("trouble", "words"),
    [
        (JSONResponse({"error": "The task with environment 0 has finished."}), "server failed: The task with"),
        (JSONResponse({"detail": "no"}, 500), "failed at step: Server error '500"),
        (JSONResponse({"observation": "hm"}), "answered a step with {'observation': 'hm'}"),
        (JSONResponse({"observation": "hm", "reward": "much", "done": False}), "the reward 'much', not a number"),
        (JSONResponse({"observation": "hm", "reward": 1, "done": "yes"}), "the end 'yes', not true or false"),
    ],
)
async def test_a_server_that_fails_costs_an_attempt_not_a_reward(tmp_path, trouble, words):
    counter = Counter()
    counter.trouble = trouble
    answers = iter(["break", "less"])
    async with served(counter) as url:
        taskset = AgentGymTaskset(url, indices=[1])
        llm = ScriptedLLM(lambda _: f"<action>{next(answers)}</action>")
        solver, collect = SolverConfig(protocol="text"), CollectConfig(concurrency=1, attempts=2)
        bench = Bench(tmp_path, llm, taskset=taskset, solver=solver, collect=collect)
        result = await bench.run(taskset.tasks("all"))
    failed, played = sorted(bench.trajectories, key=lambda one: one.attempt)
    assert (result.finished, result.failed) == (1, 0)
    assert failed.failure.boundary == "environment" and words in failed.failure.message
    assert failed.reward is None and failed.success is None
    assert played.success and played.reward == 1.0
    # What the failed attempt left at the server was not played in again.
    assert [call for call, _ in counter.asked].count("create") == 2


async def test_no_server_and_no_index(unused_tcp_port):
    taskset = AgentGymTaskset(f"http://127.0.0.1:{unused_tcp_port}", episodes=3)
    task = taskset.tasks("all", limit=1)[0]
    environment = taskset.environment()
    with pytest.raises(EnvironmentFailure, match="failed at create"):
        await environment.reset(task=task)
    with pytest.raises(EnvironmentFailure, match="step before reset"):
        await environment.step("less")
    with pytest.raises(EnvironmentFailure, match="with a task that has an index"):
        await environment.reset(task=task.model_copy(update={"options": {}}))
    with pytest.raises(ConfigError, match="no split 'train'"):
        taskset.tasks("train")
    await environment.close()


def test_scores_are_shares_of_the_whole():
    seen = told({"observation": "hot", "reward": 3, "score": 50, "done": True, "task_description": "boil it"})
    assert (seen.text, seen.reward, seen.score, seen.ended) == ("boil it\nhot", 3.0, 50.0, True)


async def test_a_score_decides_over_a_reward():
    counter = Counter()
    counter.trouble = JSONResponse({"observation": "cold", "reward": 3, "score": 50, "done": True})
    async with served(counter) as url:
        taskset = AgentGymTaskset(url, indices=[1], full_score=100.0)
        environment = taskset.environment()
        await environment.reset(task=taskset.tasks("all")[0])
        _, reward, terminated, _, info = await environment.step("break")
        await environment.close()
    assert (reward, terminated, info["score"], info["success"]) == (3.0, True, 0.5, False)


def test_shapes_of_answers():
    assert created(7) == created({"id": 7, "observation": "x"}) == 7
    for wrong in ({"error": "no room"}, None, "7", True):
        with pytest.raises(EnvironmentFailure, match="made no environment"):
            created(wrong)
    assert told(["a", None]).text == told("a").text == told({"state": "a"}).text == "a"
    assert told([]).text is None and told(True).text is None
    assert offered({"error": "?"}) is None and offered([1]) is None and offered([]) == ()
    assert find_dialect({}, {"x": 1}, None, "").reset(3, 4) == {"x": 1, "data_idx": 4, "id": 3}
    assert find_dialect({}, {}, "level", "").reset(3, 4) == {"level": 4, "id": 3}
