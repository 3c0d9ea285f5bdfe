"""OpenEnv both ways: we play what the real package serves, and its own client plays what we serve."""

import asyncio
import gc
import json
import signal
import subprocess
import sys
import threading
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from harness import Bench
from lamarck.agent.scripted import ScriptedLLM
from lamarck.agent.tasksets import open_pool
from lamarck.config import CollectConfig, SolverConfig
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.evals.household import HouseholdTaskset
from lamarck.evals.questions import QuestionsTaskset
from lamarck.evals.worlds.openenv import OpenEnvTaskset
from lamarck.evals.worlds.openenv_catalogue import Catalogue, ResetRequest
from lamarck.evals.worlds.openenv_fields import find_fields
from lamarck.evals.worlds.openenv_sessions import Sessions
from remote import example_server, player, real_client, serving
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from worlds import Corridor, Walks

TEXT, FLAG = {"type": "string"}, {"type": "boolean"}


@pytest.fixture(scope="module", autouse=True)
def real_server():
    # First of all, and for every test: it starts while the tests without it run.
    with example_server(sessions=2) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def real():
    with real_client() as client:
        yield client


@asynccontextmanager
async def talk(url, query=""):
    """Give a function that sends a message and returns kind and data of its answer, and the connection itself."""
    async with connect(url.replace("http", "ws") + "/ws" + query, proxy=None) as socket:

        async def ask(kind, data=None):
            await socket.send(json.dumps({"type": kind, "data": data or {}}))
            said = json.loads(await socket.recv())
            return said["type"], said["data"]

        yield ask, socket


async def post(url, path, **body):
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        answer = await client.post(f"{url}/{path}", json=body)
    return answer.status_code, answer.json()


async def get(url, path, **headers):
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        answer = await client.get(f"{url}/{path}", headers=headers)
    return answer.status_code, answer


def move(text, number=None):
    return {"text": text, **({"metadata": {"step": number}} if number is not None else {})}


async def until(met):
    """Wait until a condition holds, which should be at once."""
    async with asyncio.timeout(5):
        while not await met():
            await asyncio.sleep(0.01)


# ------------------------------------------------------------------------------------------- fields of a server


@pytest.mark.parametrize(
    ("properties", "required", "found"),
    [
        ({"guess": TEXT, "metadata": {"type": "object"}}, [], "guess"),
        ({"loud": FLAG, "message": TEXT, "note": TEXT}, ["message"], "message"),
        ({"words": {"anyOf": [TEXT, {"type": "null"}]}, "loud": FLAG}, [], "words"),
        ({"move": {"$ref": "#/$defs/Move"}}, ["move"], "move"),
    ],
)
def test_the_field_of_the_text_is_found(properties, required, found):
    moves = {"Move": {"enum": ["left", "right"], "type": "string"}}
    fields = find_fields({"action": {"properties": properties, "required": required, "$defs": moves}}, None, None)
    assert fields.action == found and fields.written("x") == {found: "x"}
    assert fields.actions == (("left", "right") if found == "move" else None)


def test_where_the_field_is_not_clear_the_user_names_it():
    schema = {"action": {"properties": {"a": TEXT, "b": TEXT}}, "observation": {"properties": {"x": TEXT, "y": TEXT}}}
    with pytest.raises(ConfigError, match=r"fields a, b, .*Name it as action_field"):
        find_fields(schema, None, None)
    with pytest.raises(ConfigError, match="no field 'c'; it has: a, b"):
        find_fields(schema, "c", None)
    with pytest.raises(ConfigError, match="no field 'z': x, y"):
        find_fields(schema, "a", "z")
    seen = {"x": "here", "y": ["there"], "metadata": {"not": "shown"}}
    assert find_fields(schema, "a", None).shown(seen) == '{"x": "here", "y": ["there"]}'
    assert find_fields(schema, "a", "x").shown(seen) == "here"
    assert find_fields(schema, "a", "y").shown(seen) == '["there"]'
    whole = find_fields(schema, "*", None)
    assert whole.written('{"a": "1", "b": "2"}') == {"a": "1", "b": "2"}
    assert whole.written("jump") is None and whole.written("[1]") is None


# ------------------------------------------------------------------------------------------- our server, our client


async def test_a_remote_episode_is_the_local_one():
    taskset = HouseholdTaskset(size="tiny", games=6)
    async with serving(taskset) as url:
        remote, far = await player(url)
        near = taskset.environment()
        assert remote.splits() == list(taskset.splits())
        tasks = await asyncio.to_thread(remote.tasks, "valid_seen", limit=3)
        for here, there in zip(taskset.tasks("valid_seen", limit=3), tasks, strict=True):
            assert (there.goal, there.category) == (here.goal, here.category) and here.id in there.id
            seen, info = near.reset(task=here)
            text, more = await far.reset(seed=there.seed, task=there)
            assert (text, more["admissible_actions"]) == (seen, info["admissible_actions"])
            for command in ("jump", *taskset.game(here).walkthrough):
                local, distant = near.step(command), await far.step(command)
                assert distant[:4] == local[:4]
                for key in ("admissible_actions", "success", "score", "effective"):
                    assert distant[4][key] == local[4][key]
            assert distant[2] and distant[4]["success"]
        await far.close()


async def test_a_step_limit_is_no_end():
    async with serving(HouseholdTaskset(size="tiny", games=1, max_steps=2)) as url:
        _, environment = await player(url)
        await environment.reset(seed=1)
        await environment.step("look")
        *_, terminated, truncated, info = await environment.step("look")
        assert (terminated, truncated, info["success"]) == (False, True, False)
        with pytest.raises(EnvironmentFailure, match="step before reset"):
            await environment.step("look")
        await environment.close()


async def test_sessions_do_not_see_each_other():
    async with serving(Walks(n=1)) as url, talk(url) as (one, _), talk(url) as (other, _):
        await one("reset")
        await other("reset")
        await one("step", move("right"))
        assert (await other("step", move("look")))[1]["observation"]["text"] == "You are at 0 of 3."[
            :0
        ] + "Nothing happens."
        assert (await one("state"))[1]["step_count"] == 1
        _, data = await one("step", move("right"))
        assert data["observation"]["text"] == "You are at 2 of 3."
        assert (await other("step", move("right")))[1]["observation"]["text"] == "You are at 1 of 3."


async def test_an_answer_that_was_lost_can_be_asked_for_again():
    async with serving(Walks(n=1)) as url:
        async with talk(url) as (ask, socket):
            _, start = await ask("reset")
            session = start["metadata"]["session_id"]
            _, first = await ask("step", move("right", 1))
            socket.transport.abort()
        async with talk(url, f"?session_id={session}") as (ask, _):
            assert await ask("step", move("right", 1)) == ("observation", first)
            assert (await ask("state"))[1]["step_count"] == 1
            for wrong in (move("left", 1), move("right", 3), move("right", 0)):
                kind, data = await ask("step", wrong)
                assert (kind, data["code"]) == ("error", "EXECUTION_ERROR")
            _, second = await ask("step", move("right", 2))
            assert second["observation"]["text"] == "You are at 2 of 3."
            await ask_close(ask)
        async with talk(url, f"?session_id={session}") as (_, socket):
            said = json.loads(await socket.recv())
            assert said["data"]["code"] == "SESSION_ERROR"


async def ask_close(ask):
    with pytest.raises(ConnectionClosed):
        await ask("close")


async def test_our_client_goes_on_where_the_connection_broke():
    async with serving(Walks(n=1)) as url:
        _, environment = await player(url)
        await environment.reset(seed=0)
        await environment.step("right")
        environment._wire._socket.transport.abort()
        text, *_ = await environment.step("right")
        assert text == "You are at 2 of 3."
        # Between episodes nothing needs to be resumed.
        environment._wire._socket.transport.abort()
        assert (await environment.reset(seed=0))[0] == "You are at 0 of 3."
        await environment.close()


async def test_a_full_server_says_so_and_a_lost_player_makes_room():
    async with serving(Walks(n=1), max_sessions=1) as url:
        _, first = await player(url)
        _, second = await player(url)
        await first.reset(seed=0)
        with pytest.raises(EnvironmentFailure, match="all 1 sessions of this server are taken") as caught:
            await second.reset(seed=0)
        assert caught.value.kind == "CAPACITY_REACHED"
        await first.close()
        await second.reset(seed=0)
        await second.step("right")
        second._wire.drop()
        await until(lambda: lingering(first))
        await first.step("right")
        await first.close()


async def lingering(environment):
    """Try to get in; a session whose connection the server still believes in is not given up."""
    try:
        await environment.reset(seed=0)
    except EnvironmentFailure as error:
        assert error.kind == "CAPACITY_REACHED"
        return False
    return True


async def test_a_forgotten_environment_frees_its_session():
    async with serving(Walks(n=1), max_sessions=3) as url:
        _, environment = await player(url)
        await environment.reset(seed=0)
        assert (await get(url, "health"))[1].json() == {"status": "healthy", "sessions": 1, "max_sessions": 3}
        del environment
        gc.collect()

        async def empty():
            return (await get(url, "health"))[1].json()["sessions"] == 0

        await until(empty)


async def test_an_idle_session_is_closed_with_a_word():
    async with serving(Walks(n=1), idle_s=0.2) as url, talk(url) as (ask, socket):
        await ask("reset")
        said = json.loads(await socket.recv())
        assert said["type"] == "error" and "idle for more than 0.2 s" in said["data"]["message"]
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        _, environment = await player(url)
        await environment.reset(seed=0)
        await environment._wire._socket.wait_closed()
        await environment.reset(seed=0)
        await environment.close()


async def test_only_idle_sessions_expire():
    taskset = Walks(n=1)
    pool = open_pool(taskset, make=None, size=2, timeout_s=5.0)
    sessions = Sessions(Catalogue(taskset), pool, most=2, idle_s=0.0, linger_s=0.0)
    session = await sessions.open()
    await session.reset(ResetRequest())
    async with session._lock:
        assert await sessions.expire() == 0
    assert await sessions.expire() == 1 and len(sessions) == 0
    with pytest.raises(EnvironmentFailure, match="no such session"):
        sessions.get(session.id)
    await pool.close()


class Fragile(Corridor):
    """Breaks where it is told to, and counts how often it was made."""

    made = 0
    concurrency = "async"

    def __init__(self, length):
        super().__init__(length)
        Fragile.made += 1

    async def reset(self, *, seed=None, task=None):
        return super().reset(seed=seed, task=task)

    async def step(self, action):
        if action == "break":
            raise ValueError("the lamp fell over")
        if action == "hang":
            await asyncio.Event().wait()
        return super().step(action)


async def test_a_broken_world_is_said_and_not_played_in_again():
    async with serving(Walks(Fragile, n=1)) as url, talk(url) as (ask, _):
        made = Fragile.made
        assert (await ask("step", move("right")))[1]["code"] == "EXECUTION_ERROR"
        await ask("reset")
        kind, data = await ask("step", move("break"))
        assert kind == "error" and "the lamp fell over" in data["message"]
        assert "step before reset" in (await ask("step", move("right")))[1]["message"]
        # Not as a wrong request: our client would take that for an action that is refused, and play on.
        assert (await ask("step", move("right", 2)))[1]["code"] == "EXECUTION_ERROR"
        await ask("reset")
        assert Fragile.made == made + 2
        for _ in range(3):
            _, data = await ask("step", move("right"))
        assert data["done"] and data["reward"] == 1.0 and data["metadata"]["success"]
        assert "has ended after 3 steps" in (await ask("step", move("right")))[1]["message"]


async def test_a_world_that_does_not_answer_fails_the_attempt():
    async with serving(Walks(Fragile, n=1), world_s=0.3) as url:
        _, environment = await player(url, timeout_s=0.1)
        await environment.reset(seed=0)
        with pytest.raises(EnvironmentFailure, match=r"no answer to step within 0.1 s") as caught:
            await environment.step("hang")
        assert caught.value.kind == "timeout"
        # Its late answer belongs to nobody: the next episode has a connection of its own.
        assert (await environment.reset(seed=0))[0] == "You are at 0 of 3."
        await environment.close()


class Silent(Corridor):
    """Says nothing of success, and offers nothing."""

    def reset(self, *, seed=None, task=None):
        return super().reset()[0], {}

    def step(self, action):
        return *super().step(action)[:4], {}


async def test_success_is_what_the_user_says_where_the_server_does_not():
    async with serving(Walks(Silent, n=1)) as url:
        for wanted, success in ((None, None), (1.0, True), (2.0, False)):
            _, environment = await player(url, success_reward=wanted)
            text, info = await environment.reset(seed=0)
            assert text == "You are at 0 of 3." and "admissible_actions" not in info
            for _ in range(3):
                *_, terminated, _, info = await environment.step("right")
            assert terminated and info.get("success") is success
            await environment.close()


async def test_a_whole_action_is_written_as_json():
    async with serving(Walks(n=1)) as url:
        _, environment = await player(url, action_field="*", reset={"index": 0})
        await environment.reset(seed=0)
        text, reward, _, _, info = await environment.step("right")
        assert (text, reward, info["effective"]) == ("An action is a JSON object.", 0.0, False)
        assert info["admissible_actions"] == ["left", "right", "look"]
        text, *_, info = await environment.step('{"words": "right"}')
        assert text.startswith("The action was refused: ") and not info["effective"]
        assert (await environment.step('{"text": "right"}'))[0] == "You are at 1 of 3."
        await environment.close()


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("jump", "INVALID_JSON"),
        ("[1]", "INVALID_JSON"),
        ('{"type": "dance"}', "UNKNOWN_TYPE"),
        ('{"type": "step", "data": {}}', "VALIDATION_ERROR"),
        ('{"type": "step", "data": {"text": "look", "louder": true}}', "VALIDATION_ERROR"),
        ('{"type": "step", "data": [1]}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"task_id": "nothing"}}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"split": "dev"}}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"index": 99}}', "VALIDATION_ERROR"),
        ('{"type": "reset", "data": {"seed": -1}}', "VALIDATION_ERROR"),
    ],
)
async def test_wrong_messages_are_answered_and_change_nothing(message, code):
    async with serving(Walks(n=2)) as url, talk(url) as (ask, socket):
        await ask("reset")
        await ask("step", move("right"))
        await socket.send(message)
        said = json.loads(await socket.recv())
        assert (said["type"], said["data"]["code"]) == ("error", code)
        assert (await ask("step", move("right")))[1]["observation"]["text"] == "You are at 2 of 3."


async def test_a_reset_names_its_task():
    taskset = HouseholdTaskset(size="tiny", games=8)
    wanted = taskset.tasks("test")[5]
    async with serving(taskset, split="valid_seen") as url, talk(url) as (ask, _):

        async def started(**data):
            return (await ask("reset", data))[1]["metadata"]

        assert (await started(task_id=wanted.id))["task_id"] == wanted.id
        assert (await started(split="test", index=5))["task_id"] == wanted.id
        drawn = [(await started(seed=seed))["task_id"] for seed in (*range(12), *range(12))]
        assert drawn[:12] == drawn[12:] and len(set(drawn)) > 3
        assert all("/valid_seen/" in ident for ident in drawn)
        in_turn = {(await started())["task_id"] for _ in range(8)}
        assert in_turn == {task.id for task in taskset.tasks("valid_seen")}
        assert (await started(episode_id="mine"))["episode_id"] == "mine"


async def test_task_lists_show_no_answers():
    async with serving(QuestionsTaskset(count=5)) as url:
        _, listed = await post(url, "questions/tasks", split="test")
        assert [row["index"] for row in listed["tasks"]] == [0, 1, 2, 3, 4] and listed["env_name"] == "questions"
        assert {"truth", "options"}.isdisjoint(listed["tasks"][0])
        assert await post(url, "questions/num_tasks", split="test") == (200, {"num_tasks": 5})
        assert (await post(url, "questions/task", split="test", index=3))[1]["task"] == listed["tasks"][3]
        ranged = await post(url, "questions/task_range", split="test", start=1, stop=3)
        assert ranged[1]["tasks"] == listed["tasks"][1:3]
        assert (await post(url, "questions/tasks", split="dev"))[0] == 422
        assert (await get(url, "tasks?split=test"))[1].json() == listed["tasks"]
        assert (await get(url, "list_environments"))[1].json() == ["questions"]
        assert (await get(url, "questions/splits"))[1].json()[1] == {"name": "valid", "type": "validation"}
        assert (await get(url, "metadata"))[1].json()["name"] == "questions"


async def test_an_episode_over_plain_http():
    async with serving(Walks(n=1), max_sessions=1) as url:
        status, start = await post(url, "reset")
        session = start["metadata"]["session_id"]
        assert status == 200 and start["observation"]["text"] == "You are at 0 of 3."
        assert (await post(url, "reset"))[0] == 503
        assert (await post(url, "step", action=move("right")))[0] == 422
        for _ in range(3):
            _, data = await post(url, "step", session_id=session, action=move("right"))
        assert data["done"] and data["reward"] == 1.0
        assert (await get(url, f"state?session_id={session}"))[1].json()["total_reward"] == 1.0
        assert await post(url, "close", session_id=session) == (200, {"closed": True})
        assert (await post(url, "step", session_id=session, action=move("right")))[0] == 404
        assert (await post(url, "reset", task_id="nothing"))[0] == 422
        # The reset that failed has kept no session.
        assert (await get(url, "health"))[1].json()["sessions"] == 0


async def test_who_may_play():
    async with serving(Walks(n=1)) as url:
        assert (await get(url, "health", origin="http://elsewhere"))[0] == 401
        with pytest.raises(InvalidStatus):
            await connect(url.replace("http", "ws") + "/ws", origin="http://elsewhere", proxy=None)
    async with serving(Walks(n=1), token="secret") as url:
        with pytest.raises(ConfigError, match="401"):
            await player(url)
        _, environment = await player(url, headers={"Authorization": "Bearer secret"})
        await environment.reset(seed=0)
        await environment.close()
    with pytest.raises(ConfigError, match=r"0.0.0.0 could be played by anyone"):
        async with serving(Walks(n=1), host="0.0.0.0"):
            pass
    with pytest.raises(ConfigError, match="no split 'dev'; there are: train"):
        async with serving(Walks(n=1), split="dev"):
            pass


async def test_the_command_serves_until_it_is_told_to_stop():
    command = [
        sys.executable,
        "-m",
        "lamarck",
        "env",
        "serve",
        "questions",
        "--set",
        "count=3",
        "--port",
        "0",
        "--json",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        said = ""
        while not said.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, process.stderr.read()
            said += line
        taskset, environment = await player(json.loads(said)["url"])
        tasks = await asyncio.to_thread(taskset.tasks, "valid")
        assert len(tasks) == 3
        assert (await environment.reset(task=tasks[2]))[0] == tasks[2].goal
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0 and process.stderr.read() == ""
    # A server that went away is an attempt that failed, not a wrong answer.
    with pytest.raises(EnvironmentFailure) as caught:
        await environment.step("42")
    assert caught.value.kind == "connection"
    with pytest.raises(EnvironmentFailure, match="no OpenEnv server can be reached"):
        await environment.reset(task=tasks[2])


# ------------------------------------------------------------------------------------------- what is no server


@pytest.mark.parametrize(
    "options",
    [
        {"url": "here"},
        {"url": "ftp://a"},
        {"url": "http://a:99999"},
        {"url": "http://[a"},
        {"url": "http://a", "episodes": 0},
    ],
)
def test_wrong_options_are_named(options):
    with pytest.raises(ConfigError, match=r"no URL of a server|above 0"):
        OpenEnvTaskset(**options)


async def test_no_server_at_all(unused_tcp_port):
    taskset = OpenEnvTaskset(f"http://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(ConfigError, match="no OpenEnv server answers at http"):
        taskset.splits()
    with pytest.raises(EnvironmentFailure, match="no OpenEnv server answers at http"):
        await taskset.environment().reset(seed=0)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"/x/num_tasks": [3]}, r"answered '\[3\]', without num_tasks"),
        ({"/x/num_tasks": {"num_tasks": 3}, "/x/task_range": {"tasks": None}}, "without tasks"),
        ({"/x/num_tasks": {"num_tasks": 3}, "/x/task_range": {"tasks": [{}]}}, "lists 1 of the 3 tasks of split train"),
    ],
)
def test_a_server_that_lists_nonsense_is_named(answers, words):
    answers = {"/list_environments": ["x"], "/x/splits": [{"name": "train"}], **answers}

    class Nonsense(BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(answers[self.path]).encode())

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Nonsense) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            with pytest.raises(ConfigError, match=words):
                OpenEnvTaskset(f"http://127.0.0.1:{server.server_port}").tasks("train")
        finally:
            server.shutdown()
            thread.join()


# ------------------------------------------------------------------------------------------- the real package


async def bisected(world, task):
    """Find the number of the example's door, and return what was seen on the way."""
    seen = await world.reset(task, 7)
    assert seen.observation.startswith("Which number opens the door?") and len(seen.admissible) == 5
    told, low, high = [], 0, 999
    while not (seen.terminated or seen.truncated):
        middle = (low + high) // 2
        seen = await world.step(str(middle))
        told.append((middle, seen.observation))
        low, high = (middle + 1, high) if seen.observation == "higher" else (low, middle - 1)
    assert seen.terminated and seen.success and seen.reward == 1.0
    return told


async def test_we_play_what_the_real_package_serves(real_server):
    taskset, _ = await player(real_server.url)
    assert taskset.splits() == ["train", "test"]
    tasks = await asyncio.to_thread(taskset.tasks, "test")
    assert [(task.id, task.goal) for task in tasks] == [
        ("openenv/door/test/test-0", "open the door"),
        ("openenv/door/test/test-1", "open the door"),
    ]
    pool = open_pool(taskset, make=None, size=1, timeout_s=10.0)
    async with pool.lease() as world:
        games = [await bisected(world, task) for task in (tasks[0], tasks[1], tasks[0])]
        assert games[0] == games[2] != games[1]
        await world.reset(tasks[0], 7)
        refused = await world.step("banana")
        assert (
            not refused.effective
            and "The action was refused: Invalid message (String should match" in refused.observation
        )
        for _ in range(12):
            seen = await world.step("1")
        assert (seen.terminated, seen.truncated, seen.success) == (False, True, False)
    await pool.close()


async def test_a_real_server_that_fails_costs_an_attempt_not_a_reward(real_server, tmp_path):
    taskset, _ = await player(real_server.url, reset={"fragile": True})
    tasks = await asyncio.to_thread(taskset.tasks, "train", limit=1)
    answers = iter(["1", "13", *["1"] * 12])
    bench = Bench(
        tmp_path,
        ScriptedLLM(lambda _: f"<action>{next(answers)}</action>"),
        taskset=taskset,
        solver=SolverConfig(protocol="text"),
        collect=CollectConfig(concurrency=1, attempts=2),
    )
    result = await bench.run(tasks)
    assert (result.finished, result.failed) == (1, 0)
    failed, played = sorted(bench.trajectories, key=lambda one: one.attempt)
    assert failed.failure.boundary == "environment" and "the door fell on the keeper" in failed.failure.message
    assert failed.reward is None and failed.success is None
    assert (played.stop, played.success, played.reward, len(played.steps)) == ("truncated", False, 0.0, 12)


async def test_a_real_server_has_two_sessions_and_frees_them(real_server):
    environments = [(await player(real_server.url))[1] for _ in range(3)]
    for environment in environments[:2]:
        await environment.reset(seed=0)
    with pytest.raises(EnvironmentFailure) as caught:
        await environments[2].reset(seed=0)
    assert caught.value.kind == "CAPACITY_REACHED"
    await environments[0].close()
    await environments[2].reset(seed=0)
    for environment in environments:
        await environment.close()


async def test_the_real_client_wins_a_game_of_ours(real):
    taskset = HouseholdTaskset(size="tiny", games=6)
    task = taskset.tasks("test")[3]
    async with serving(taskset, max_sessions=2) as url:
        assert await real.ask("ada", "open", {"base_url": url}) is None
        await real.ask("ben", "open", {"base_url": url})
        refused = await real.ask("cleo", "open", {"base_url": url})
        assert refused is None or "error" in refused
        assert "CAPACITY_REACHED" in (await real.ask("cleo", "reset", {}))["error"]
        start = await real.ask("ada", "reset", {"task_id": task.id, "seed": 3})
        assert task.goal in start["observation"]["text"] and start["metadata"]["goal"] == task.goal
        other = await real.ask("ben", "reset", {"split": "train", "index": 0})
        assert other["metadata"]["split"] == "train"
        rewards = []
        for command in taskset.game(task).walkthrough:
            assert command in start["observation"]["admissible_actions"]
            start = await real.ask("ada", "step", {"text": command})
            rewards.append((start["reward"], start["done"]))
        assert rewards[-1] == (1.0, True) and set(rewards[:-1]) == {(0.0, False)}
        assert start["metadata"]["success"] is True and start["observation"]["metadata"] == start["metadata"]
        assert (await real.ask("ada", "state"))["total_reward"] == 1.0
        assert "has ended" in (await real.ask("ada", "step", {"text": "look"}))["error"]
        assert (await real.ask("ben", "state"))["step_count"] == 0
        assert "VALIDATION_ERROR" in (await real.ask("ben", "step", {"words": "look"}))["error"]
        await real.ask("ada", "close")
        await real.ask("dan", "open", {"base_url": url})
        assert "observation" in await real.ask("dan", "reset", {})
        for who in ("ben", "dan"):
            await real.ask(who, "close")
