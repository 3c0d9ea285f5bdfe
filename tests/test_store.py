"""The store, on SQLite and on a real PostgreSQL: idempotent, whole or not at all, clear about trouble."""

import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lamarck.core import Failure, Message, Release, Step, Task, ToolCall, Trajectory, Usage, content_id
from lamarck.errors import StoreError
from lamarck.store import Store
from lamarck.store_tables import METADATA, STORE_SCHEMA
from postgres_server import postgres

TEXT = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40)
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
STEPS = st.builds(
    Step,
    index=st.just(0),
    observation=TEXT,
    admissible=st.none() | st.lists(TEXT, max_size=3).map(tuple),
    messages=st.lists(st.builds(Message, role=st.just("user"), content=TEXT), max_size=2).map(tuple),
    completion=TEXT,
    action=st.none() | TEXT,
    tool_calls=st.lists(st.builds(ToolCall, name=TEXT, arguments=TEXT), max_size=1).map(tuple),
    reward=NUMBER,
    token_ids=st.lists(st.integers(0, 50000), max_size=5).map(tuple),
    logprobs=st.lists(NUMBER, max_size=5).map(tuple),
    info=st.dictionaries(TEXT, TEXT | st.integers(-(2**53), 2**53) | st.booleans(), max_size=2),
)


def number(steps):
    return tuple(step.model_copy(update={"index": n}) for n, step in enumerate(steps))


TRAJECTORIES = st.builds(
    Trajectory,
    id=st.uuids().map(str),
    run_id=st.sampled_from(["r1", "r2"]),
    task=st.builds(Task, id=TEXT, goal=TEXT, environment=TEXT, split=TEXT, category=TEXT),
    sample=st.integers(0, 3),
    steps=st.lists(STEPS, max_size=4).map(number),
    stop=st.sampled_from(["terminated", "loop"]),
    reward=st.none() | NUMBER,
    success=st.none() | st.booleans(),
    usage=st.builds(Usage, prompt_tokens=st.integers(0, 9)),
)


@pytest.fixture(scope="module")
def server():
    with postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    url = request.getfixturevalue("server")
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    METADATA.drop_all(engine)
    engine.dispose()
    return url


@pytest.fixture
def seen_ids():
    return set()


def trajectory(n=0, steps=3, **fields):
    task = Task(id=f"t{n}", goal="g", environment="e", split="train")
    made = tuple(Step(index=i, observation=f"o{i}", action="a") for i in range(steps))
    fields = {"stop": "terminated", "success": True, **fields}
    return Trajectory(id=f"x{n}", run_id="r", task=task, steps=made, started_at=float(n), **fields)


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(found=st.lists(TRAJECTORIES, max_size=4, unique_by=lambda t: t.id))
def test_round_trip_and_idempotence(url, seen_ids, found):
    # One id is one content: the store outlives each example.
    found = [one.model_copy(update={"id": content_id(one.model_dump_json())}) for one in found]
    found = list({one.id: one for one in found if one.id not in seen_ids}.values())
    seen_ids.update(one.id for one in found)
    with Store.open(url) as store:
        before = store.counts()
        for one in found:
            assert store.finish(one)
        middle = store.counts()
        for one in found:
            assert not store.finish(one)
            for step in one.steps:
                store.append_step(one.id, step)
            assert store.trajectory(one.id) == one
        assert store.counts() == middle
        assert middle["trajectories"] == before["trajectories"] + len(found)
        assert middle["steps"] == before["steps"] + sum(len(one.steps) for one in found)


def test_an_attempt_from_begin_to_end(url):
    whole = trajectory()
    with Store.open(url) as store:
        for _ in range(2):
            store.begin_attempt("x0", run_id="r", task=whole.task, sample=0, attempt=0)
            store.append_step("x0", whole.steps[0])
        assert [row.open for row in store.attempts("r")] == [True]
        assert store.finished("r") == set() and list(store.headers()) == []
        assert store.steps_of("x0") == whole.steps[:1]
        store.finish(whole)
        assert store.finished("r") == {("t0", 0)}
        assert [row.open for row in store.attempts("r")] == [False]
        store.drop_attempt("x0")
        assert store.trajectory("x0") == whole


def test_other_content_under_the_same_key_is_refused(url):
    with Store.open(url) as store:
        store.finish(trajectory())
        with pytest.raises(StoreError, match="stored with other content") as caught:
            store.append_step("x0", Step(index=0, observation="other"))
        assert caught.value.kind == "conflict"
        with pytest.raises(StoreError, match="trajectory x0 is stored with other content"):
            store.finish(trajectory(success=False))
        with pytest.raises(StoreError, match="no finished trajectory nowhere"):
            store.trajectory("nowhere")


def test_unfinished_attempts_can_be_dropped(url):
    with Store.open(url) as store:
        store.begin_attempt("x0", run_id="r", task=trajectory().task, sample=0, attempt=0)
        store.append_step("x0", trajectory().steps[0])
        store.drop_attempt("x0")
        assert store.attempts("r") == [] and store.steps_of("x0") == ()


def test_filters_and_order(url):
    lost = Failure(boundary="model", kind="timeout", message="m")
    with Store.open(url) as store:
        store.finish(trajectory(1, success=False))
        store.finish(trajectory(0))
        store.finish(trajectory(2, success=None, stop="infrastructure", failure=lost))
        assert [t.id for t in store.headers()] == ["x0", "x1", "x2"]
        assert [t.id for t in store.headers(success=False)] == ["x1"]
        assert [t.id for t in store.headers(failed=True)] == ["x2"]
        assert [t.id for t in store.headers(task_id="t0", split="train", run_id="r")] == ["x0"]
        assert [t.id for t in store.headers(limit=2)] == ["x0", "x1"]
        assert store.finished("r") == {("t0", 0), ("t1", 0)}
        assert next(store.trajectories(limit=1)).steps == trajectory(0).steps


def test_runs_releases_and_tasks(url):
    release = Release.of(base_model="m")
    tasks = [Task(id="b", goal="g", environment="e", split="dev"), Task(id="a", goal="g", environment="e")]
    with Store.open(url) as store:
        for _ in range(2):
            store.put_run("r", config={"a": 1})
            store.put_release(release)
            store.put_tasks(tasks)
        assert store.get_release(release.id) == release and store.get_release("none") is None
        assert [task.id for task in store.tasks()] == ["a", "b"]
        assert store.tasks(split="dev") == tasks[:1]
        assert store.counts() == {"runs": 1, "releases": 1, "tasks": 2, "trajectories": 0, "steps": 0}


def test_a_megabyte_of_unicode(url):
    step = Step(index=0, observation="ß💥" * 300_000)
    with Store.open(url) as store:
        store.append_step("big", step)
        assert store.steps_of("big") == (step,)


def test_many_threads_write_at_once(url):
    whole = trajectory(steps=40)
    with Store.open(url) as store, ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda step: store.append_step("x0", step), whole.steps * 2))
        assert store.steps_of("x0") == whole.steps


WRITER = """
import sys
from lamarck.core import Step, Task, Trajectory
from lamarck.store import Store
url, first = sys.argv[1], int(sys.argv[2])
with Store.open(url) as store:
    for n in range(first, first + int(sys.argv[3])):
        steps = tuple(Step(index=i, observation="o" * 200) for i in range(5))
        task = Task(id=f"t{n}", goal="g", environment="e")
        for step in steps:
            store.append_step(f"x{n}", step)
        store.finish(Trajectory(id=f"x{n}", run_id="r", task=task, steps=steps, stop="loop"))
        print(n, flush=True)
"""


def test_several_processes_write_at_once(url):
    Store.open(url).close()
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, url, str(n * 100), "40"]) for n in range(3)]
    assert [writer.wait(120) for writer in writers] == [0, 0, 0]
    with Store.open(url) as store:
        assert store.counts()["trajectories"] == 120 and store.counts()["steps"] == 600


def test_killed_writers_lose_nothing_that_was_said_to_be_stored(tmp_path):
    url = str(tmp_path / "store.db")
    said = set()
    for round_ in range(6):
        command = [sys.executable, "-c", WRITER, url, str(round_ * 10_000), "9999"]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said.add(int(writer.stdout.readline()))
        time.sleep(0.02 * round_)
        writer.send_signal(signal.SIGKILL)
        said |= {int(line) for line in writer.stdout.read().split("\n")[:-1]}
        writer.wait()
        writer.stdout.close()
    with Store.open(url) as store:
        stored = {int(t.id[1:]): t for t in store.trajectories()}
        assert said <= set(stored) and len(stored) <= len(said) + 6
        assert all(len(t.steps) == 5 for t in stored.values())


def test_stores_that_cannot_be_opened(tmp_path):
    with pytest.raises(StoreError, match="there is no store"):
        Store.open(tmp_path / "gone.db", create=False)
    (tmp_path / "text.db").write_text("this is not a database at all, really not" * 50)
    with pytest.raises(StoreError, match="damaged or no store"):
        Store.open(tmp_path / "text.db")
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("create table x (y)")
    other.close()
    with pytest.raises(StoreError, match="no Lamarck store"):
        Store.open(tmp_path / "other.db")
    with pytest.raises(StoreError, match="neither a path nor a database URL"):
        Store.open("nonsense://x")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the folder"):
        Store.open(tmp_path / "file" / "store.db")
    with pytest.raises(StoreError, match="opening store") as caught:
        Store.open("postgresql://nobody:secret@127.0.0.1:9/none")
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


def test_a_newer_schema_is_refused(url):
    with Store.open(url) as store, store._engine.begin() as connection:
        connection.execute(sa.text("update meta set value = '99' where key = 'schema'"))
    with pytest.raises(StoreError, match=rf"newer Lamarck \(schema 99, this one reads {STORE_SCHEMA}\).*Upgrade"):
        Store.open(url)


@pytest.mark.parametrize(
    ("schema", "missing"),
    [
        (1, ("items", "item_log", "vectors", "memory", "memory_snapshots", "tool_log", "promotions", "gate_reports")),
        (2, ("tool_log", "promotions", "gate_reports")),
        (3, ("promotions", "gate_reports")),
    ],
)
def test_an_older_store_is_brought_up_to_date(url, schema, missing):
    with Store.open(url) as store:
        store.finish(trajectory(0))
        before = store.counts()
        with store._engine.begin() as connection:
            for table in missing:
                connection.execute(sa.text(f"drop table {table}"))
            connection.execute(sa.text(f"update meta set value = '{schema}' where key = 'schema'"))
    with Store.open(url) as store:
        assert store.counts() == before
        assert store.select("SELECT value FROM meta WHERE key = ?", ["schema"]) == [(str(STORE_SCHEMA),)]
        assert store.select("SELECT count(*) FROM items") == store.select("SELECT count(*) FROM tool_log") == [(0,)]
        assert store.select("SELECT count(*) FROM promotions, gate_reports") == [(0,)]
        with pytest.raises(StoreError, match=r"reading: .*nowhere"):
            store.select("SELECT 1 FROM nowhere")


def test_a_full_disk_is_named_and_loses_nothing(tmp_path):
    store = Store.open(tmp_path / "store.db")
    store.finish(trajectory(0))

    with store._engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
    with pytest.raises(StoreError, match=r"disk of .* is full.*--resume") as caught:
        for n in range(1, 50):
            noise = "".join(chr(33 + (n * i * i + i) % 90) for i in range(20_000))
            store.append_step("y", Step(index=n, observation=noise))
    assert caught.value.kind == "disk_full"
    store.close()
    with Store.open(tmp_path / "store.db") as again:
        assert again.trajectory("x0") == trajectory(0)


def test_numbers_json_cannot_hold_are_refused():
    with pytest.raises(ValueError, match=r"inf|nan"):
        Trajectory.model_validate_json(trajectory(reward=float("nan")).model_dump_json().replace("null", "nan"))
