"""Sandboxes from outside: the pool, dead owners, engines that restart, hostile lines, and the parts on their own."""

import asyncio
import ctypes
import ctypes.util
import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import docker
import pytest
from harness import Bench
from hypothesis import given, settings
from hypothesis import strategies as st
from lamarck.agent.hooks import Hooks
from lamarck.agent.scripted import ScriptedLLM
from lamarck.config import CollectConfig, SolverConfig
from lamarck.core import Reply, ToolCall
from lamarck.errors import SandboxError, ToolError
from lamarck.evals.questions import QuestionsTaskset
from lamarck.sandboxes import cgroups, rootfs, seccomp
from lamarck.sandboxes.attached import Attached
from lamarck.sandboxes.bubblewrap import Bubblewrap
from lamarck.sandboxes.channel import parse
from lamarck.sandboxes.choose import make_backend, open_backend
from lamarck.sandboxes.docker_engine import DockerEngine
from lamarck.sandboxes.limits import MIB, Limits, Policy
from lamarck.sandboxes.pool import Pool, PoolLimits
from lamarck.sandboxes.processes import descendants
from lamarck.sandboxes.session import Session
from lamarck.tools.workbench import Workbench

SHARED = Path(__file__).parents[2] / "shared/data/qa_code/mbpp/sanitized-mbpp.json"
BACKENDS = ("bubblewrap", "docker")


def leftovers(owner=None):
    """Return control groups and containers of a process, this one if not given, that are there now."""
    owner = f"{owner or os.getpid()}-"
    bases = [Path("/sys/fs/cgroup", name) for name in ("memory", "pids", "cpu", ".")]
    groups = {path.name for base in bases for path in base.glob(f"lamarck-{owner}*")}
    client = docker.from_env()
    try:
        found = client.api.containers(all=True, filters={"label": "lamarck.owner"})
    finally:
        client.close()
    return groups | {one["Id"] for one in found if one["Labels"]["lamarck.owner"].startswith(owner)}


# --- the pool -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BACKENDS)
async def test_32_sandboxes_at_once_and_none_knows_the_other(name):
    backend = await open_backend(name)
    before = leftovers()
    # Few processes each: they must not be counted together.
    async with Pool(backend, limits=Limits(pids=16), size=PoolLimits(warm=2, most=32)) as pool:

        async def one(n):
            async with pool.lease() as box:
                await box.run(f"import os; mine = {n}; open('/work/mine', 'w').write('{n}')")
                await asyncio.sleep(0.1)
                return (await box.run("mine, open('/work/mine').read(), len(os.listdir('/work'))")).value

        found = await asyncio.gather(*(one(n) for n in range(64)))
        assert found == [f"({n}, '{n}', 1)" for n in range(64)]
        counts = pool.counts()
        assert counts["leased"] == 64 and counts["in_use"] == 0 and counts["started"] <= 66
    await backend.close()
    assert not leftovers() - before


async def test_what_was_used_is_reset_and_what_went_wrong_is_thrown_away():
    backend = Bubblewrap()
    async with Pool(backend, limits=Limits(wall_s=0.2, grace_s=0.1), size=PoolLimits(warm=1, most=1)) as pool:
        async with pool.lease() as box:
            first = box.sandbox
            await box.run(
                "import os; x = 1; open('/tmp/left', 'w').close()\nif os.fork() == 0:\n  import time; time.sleep(60)"
            )
        async with pool.lease() as box:
            assert box.sandbox is first
            seen = await box.run(
                "import os; 'x' in globals(), os.listdir('/tmp'), [p for p in os.listdir('/proc') if p.isdigit()]"
            )
            assert seen.value.startswith("(False, [], [") and seen.value.count("'") == 4
            assert (await box.run("while True: pass")).status == "timeout"
        async with pool.lease() as box:
            assert box.sandbox is not first and not first.alive
        assert pool.counts()["thrown_away"] == 1 and pool.counts()["reused"] == 1
    await backend.close()


SCAN = """
import re
found, size = 0, 0
with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
    for line in maps:
        first, last = (int(end, 16) for end in line.split()[0].split("-"))
        if line.split()[1].startswith("rw"):
            memory.seek(first)
            data = memory.read(last - first)
            found, size = found + len(re.findall(rb"planted[-][0-9a-f]{16}", data)), size + len(data)
found, size > 1_000_000
"""


@pytest.mark.parametrize("name", BACKENDS)
async def test_a_reset_leaves_nothing_in_memory(name):
    """A kernel is a fork of the supervisor, through whose hands code and files went."""
    backend = await open_backend(name)
    async with await backend.create() as box:
        secret = "planted" + "-0123456789abcdef"
        for _ in range(20):
            await box.run(f"kept = '{secret}' * 100")
            await box.exec(["cat"], stdin=secret.encode() * 1000)
            await box.write_file("a", secret.encode() * 1000)
            await box.read_file("a")
        assert (await box.run(SCAN)).value != "(0, True)"  # the scan finds what is there
        await box.reset()
        assert (await box.run(SCAN)).value == "(0, True)"
    await backend.close()


async def test_who_asks_for_more_waits_and_then_is_told():
    backend = Bubblewrap()
    async with Pool(backend, size=PoolLimits(warm=0, most=1, patience_s=0.2)) as pool:
        async with pool.lease():
            with pytest.raises(SandboxError, match=r"no sandbox came free within 0.2 s; 1 are in use") as caught:
                async with pool.lease():
                    raise AssertionError
            assert caught.value.kind == "busy"
        assert (await pool.run("1 + 1")).value == "2"
    with pytest.raises(SandboxError, match="closed"):
        await pool.run("1")
    await backend.close()


def murder(pid: int) -> None:
    # The whole tree: with its launcher gone, a worker may still answer one call before the kernel gets round to it.
    for one in (*descendants(pid), pid):
        os.kill(one, signal.SIGKILL)


async def test_a_dead_sandbox_is_replaced_unless_it_held_something():
    backend = Bubblewrap()
    async with Pool(backend, size=PoolLimits(warm=1, most=2)) as pool:
        while not pool._idle:
            await asyncio.sleep(0.05)
        murder(pool._idle[0].sandbox._channel.pid)
        assert (await pool.run("2 + 2")).value == "4"
        async with pool.lease() as box:
            murder(box.sandbox._channel.pid)
            assert (await box.run("3 + 3")).value == "6"
            murder(box.sandbox._channel.pid)
            with pytest.raises(SandboxError, match="ended by itself"):
                await box.run("1")
    await backend.close()


async def test_cancelling_a_call_kills_its_sandbox():
    backend = Bubblewrap()
    sandbox = await backend.create()
    task = asyncio.create_task(sandbox.run("import time; time.sleep(30)"))
    await asyncio.sleep(0.2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not sandbox.alive
    with pytest.raises(SandboxError, match=r"takes no calls: its call was cancelled") as caught:
        await sandbox.run("1")
    assert caught.value.kind == "closed"
    await backend.close()


async def test_ten_thousand_calls_grow_nothing():
    backend = Bubblewrap()
    async with await backend.create() as box:
        for _ in range(500):
            await box.run("x = [0] * 1000; len(x)")
        start = (await box.run("1")).peak_memory, _resident()
        for _ in range(10_000):
            await box.run("x = [0] * 1000; len(x)")
        await box.run("import time; time.sleep(0.01)")
        end = (await box.run("import time; time.sleep(0.01)")).peak_memory, _resident()
        assert end[0] - start[0] < 4 * MIB and end[1] - start[1] < 8 * MIB
    await backend.close()


def _resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- dead owners and engines --------------------------------------------------------------------------------------

OWNER = """
import asyncio, sys
from lamarck.sandboxes.choose import open_backend
async def main():
    backend = await open_backend(sys.argv[1])
    boxes = [await backend.create() for _ in range(3)]
    for box in boxes:
        await box.run("import subprocess; subprocess.Popen(['sleep', '987'], start_new_session=True)")
    print("ready", flush=True)
    await boxes[0].run("import time; time.sleep(60)", timeout_s=9)
asyncio.run(main())
"""


@pytest.mark.parametrize("name", BACKENDS)
async def test_kill_9_of_the_owner_leaves_nothing(name):
    child = subprocess.Popen([sys.executable, "-c", OWNER, name], stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    assert len(leftovers(child.pid)) >= 3 and _sleepers() == 3
    child.kill()
    child.wait()
    child.stdout.close()
    deadline = time.monotonic() + 20
    while (_sleepers() or (name == "docker" and leftovers(child.pid))) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert _sleepers() == 0
    # Empty control groups stay until the next who comes removes them.
    backend = await open_backend(name)
    assert not leftovers(child.pid)
    await backend.close()


def _sleepers():
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes() == b"sleep\0987\0"
        except OSError:
            continue
    return found


async def test_containers_of_dead_owners_are_found_by_their_label(monkeypatch):
    backend = make_backend("docker")
    assert (await backend.probe()).available
    monkeypatch.setattr(cgroups, "owner_tag", lambda: f"999999-1-{cgroups._namespace()}")
    lost = await backend.create()
    monkeypatch.undo()
    kept = await backend.create()
    assert await backend.sweep() == 1
    with pytest.raises(SandboxError):
        await lost.run("1")
    assert (await kept.run("1")).ok
    await backend.close()


async def test_an_engine_that_restarts_in_the_middle(tmp_path):
    """Calls under way fail as infrastructure; the next ones run in new containers of the engine that came back."""
    engine = Path(__file__).parents[1] / ".ci/engine"
    folder = Path(tempfile.mkdtemp(prefix="lm-engine-"))
    url = subprocess.run([engine, folder / "e"], capture_output=True, text=True, check=True).stdout.strip()
    try:
        backend = DockerEngine(url=url)
        async with Pool(backend, size=PoolLimits(warm=1, most=4)) as pool:
            assert (await pool.run("40 + 2")).value == "42"
            async with pool.lease() as box:
                await box.run("x = 1")
                running = asyncio.create_task(box.run("import time; time.sleep(8)"))
                await asyncio.sleep(0.3)
                subprocess.run([engine, "stop", folder / "e"], check=True)
                with pytest.raises(SandboxError, match="ended by itself"):
                    await running
            with pytest.raises(SandboxError, match=r"no Docker engine answers at .*DOCKER_HOST"):
                await pool.run("1")
            subprocess.run([engine, folder / "e"], capture_output=True, check=True)
            assert (await pool.run("40 + 2")).value == "42"
        await backend.close()
    finally:
        subprocess.run([engine, "stop", folder / "e"], check=True)
        subprocess.run(["rm", "-rf", folder], check=False)


async def test_a_run_goes_on_when_its_engine_restarts(tmp_path):
    """The attempt that held variables has failed by infrastructure; the next one starts anew and nothing is lost."""
    engine = Path(__file__).parents[1] / ".ci/engine"
    folder = Path(tempfile.mkdtemp(prefix="lm-engine-"))
    start = [engine, folder / "e"]
    url = subprocess.run(start, capture_output=True, text=True, check=True).stdout.strip()
    restarted = []

    def answer(messages):
        said = [m.content for m in messages if m.role == "tool"]
        if len(said) == 1 and not restarted:
            restarted.append(1)
            subprocess.run([engine, "kill", folder / "e"], check=True)
            subprocess.run(start, capture_output=True, check=True)
        code = "left = 1" if not said else "left + 1"
        name, given = ("submit", {"answer": said[-1]}) if len(said) == 2 else ("python", {"code": code})
        return Reply(text="", tool_calls=(ToolCall(id="c", name=name, arguments=given),))

    try:
        backend = DockerEngine(url=url)
        async with Pool(backend, size=PoolLimits(warm=1, most=4)) as pool:
            hooks = Hooks(tools=Workbench(pool=pool, builtin=["python"]), submit=True)
            solver, collect = SolverConfig(protocol="tools"), CollectConfig(concurrency=1, attempts=2)
            tasks = QuestionsTaskset(count=2)
            bench = Bench(tmp_path, ScriptedLLM(answer), taskset=tasks, solver=solver, collect=collect, hooks=hooks)
            result = await bench.run()
        await backend.close()
    finally:
        subprocess.run([engine, "stop", folder / "e"], check=True)
        subprocess.run(["rm", "-rf", folder], check=False)
    assert (result.finished, result.failed) == (2, 0)
    failed, *finished = sorted(bench.trajectories, key=lambda t: t.failure is None)
    assert failed.failure.boundary == "sandbox" and failed.reward is None and failed.success is None
    assert [t.steps[0].tool_calls[1].result for t in finished] == ["2", "2"] and len(finished) == 2
    assert finished[0].parent == failed.id or finished[1].parent == failed.id


# --- choosing -----------------------------------------------------------------------------------------------------


async def test_nothing_that_works_is_an_error_with_the_ways_out(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    monkeypatch.setattr("lamarck.sandboxes.bubblewrap._path", lambda: "/nowhere")
    with pytest.raises(
        SandboxError, match=r"no sandbox works here \(docker: no Docker engine answers at .*unsafe-local"
    ) as e:
        await open_backend("auto")
    assert e.value.kind == "unavailable" and "there is no bwrap" in str(e.value)


async def test_unsafe_local_needs_to_be_asked_for_twice_and_promises_nothing():
    with pytest.raises(SandboxError, match="all your rights"):
        await open_backend("unsafe-local")
    backend = await open_backend("unsafe-local", allow_unsafe=True)
    async with await backend.create() as box:
        result = await box.run("x = 3\nx")
        assert (result.value, result.guarantee, result.backend) == ("3", "none", "unsafe-local")
        await box.write_file("/work/a", b"1")
        assert await box.read_file("a") == b"1"
        folder = box._channel._folder
        assert folder.is_dir()
    assert not folder.exists()
    await backend.close()


async def test_the_watchdog_kills_where_no_control_group_does():
    backend = Bubblewrap(watchdog=True)
    probe = await backend.probe()
    assert (probe.available, probe.guarantee) == (True, "restricted") and "cpu_share" in probe.capabilities.missing()
    code = """
import os, time
for _ in range(8):
    if os.fork() == 0:
        kept = b"x" * (60 << 20); time.sleep(20)
time.sleep(20)
"""
    async with await backend.create(Limits(memory=200 * MIB)) as box:
        result = await box.run(code)
        assert (result.status, result.state_lost) == ("memory", True)
        assert (await box.run("1")).ok
    await backend.close()


async def test_without_user_namespaces_it_holds_as_well():
    backend = Bubblewrap()
    await backend.probe()
    backend._namespaces = False
    async with await backend.create() as box:
        assert (
            await box.run(
                "import os; os.getuid(), open('/proc/self/status').read().count('CapEff:\\t0000000000000000')"
            )
        ).ok
        assert (await box.run("import os; os.setuid(0)")).error.type == "PermissionError"
    assert _sleepers() == 0
    await backend.close()


# --- the parts ----------------------------------------------------------------------------------------------------


def test_the_table_has_the_kernels_numbers():
    path = ctypes.util.find_library("seccomp") or "libseccomp.so.2"
    resolve = ctypes.CDLL(path).seccomp_syscall_resolve_name_arch
    tokens = {0: 0xC000003E, 1: 0xC00000B7}
    for column, token in tokens.items():
        for name, numbers in {
            **seccomp.DENIED,
            "clone": seccomp.CLONE,
            "socket": seccomp.SOCKET,
            "ioctl": seccomp.IOCTL,
            "socketpair": seccomp.SOCKETPAIR,
        }.items():
            known = resolve(token, name.encode())
            if known >= 0 or numbers[column] >= 0:
                assert known == numbers[column], (name, column)


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
@pytest.mark.parametrize("network", ["none", "loopback"])
def test_the_filter_decides_as_the_table_says(architecture, network):
    audit, _, column = seccomp.ARCHITECTURES[architecture]
    program = list(struct.iter_unpack("<HBBI", seccomp.bpf(network, architecture)))

    def decide(number, *arguments, arch=audit):
        data = struct.pack("<iIQ6Q", number, arch, 0, *(list(arguments) + [0] * 6)[:6])
        at, value = 0, 0
        while True:
            code, yes, no, k = program[at]
            at += 1
            if code == 0x20:
                value = struct.unpack_from("<I", data, k)[0]
            elif code == 0x06:
                return k
            else:
                test = {0x15: value == k, 0x35: value >= k, 0x45: value & k != 0}[code]
                at += yes if test else no

    allow, kill, eperm, enosys = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026
    assert all(decide(n[column]) == eperm for n in seccomp.DENIED.values() if n[column] >= 0)
    assert decide(0 if column == 0 else 63) == allow and decide(seccomp.CLONE3[column]) == enosys
    assert decide(20, arch=0x40000003) == kill and (column == 1 or decide(0x40000000 + 1) == kill)
    assert all(decide(seccomp.CLONE[column], flag | 17) == eperm for flag in seccomp.NAMESPACES)
    assert decide(seccomp.CLONE[column], 17) == allow and decide(seccomp.IOCTL[column], 1, 0x5412) == eperm
    assert decide(seccomp.IOCTL[column], 1, 0x5413) == allow
    limit = seccomp.OWN["prlimit64"][0][column]
    assert decide(limit, 0, 7) == allow and decide(limit, 1, 7) == eperm
    pairs = [family for family in range(46) if decide(seccomp.SOCKETPAIR[column], family) == allow]
    assert pairs == [1]
    families = [family for family in range(46) if decide(seccomp.SOCKET[column], family) == allow]
    assert families == ([1] if network == "none" else [1, 2, 10, 16])
    rules = json.loads(seccomp.docker_profile(network, architecture))["syscalls"]
    refused = {f for f in range(46) for r in rules if r["names"] == ["socket"] and _meets(r["args"][0], f)}
    assert set(range(46)) - refused == set(families)


def _meets(argument, value):
    return value == argument["value"] if argument["op"] == "SCMP_CMP_EQ" else value > argument["value"]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_line_of_a_sandbox_is_an_object_or_an_error(line):
    try:
        assert isinstance(parse(line), dict)
    except SandboxError as error:
        assert error.kind == "protocol"


class Said:
    """A channel that says what it is given."""

    def __init__(self, *lines):
        self.lines, self.killed = list(lines), False

    async def send(self, data):
        self.sent = json.loads(data)

    async def line(self):
        return self.lines.pop(0) if self.lines else b""

    async def kill(self):
        self.killed = True

    async def oom_kills(self):
        return 0

    async def last_words(self):
        return ""


SIZES = {"stdout_bytes": 0, "stderr_bytes": 0, "wall_s": 0, "cpu_s": 0, "peak_memory": 0}
GOOD = {"status": "ok", "stdout": "", "stderr": "", "state_lost": False, **SIZES}


@pytest.mark.parametrize(
    "answer",
    [
        {"id": 2, "ok": GOOD},
        {"id": 1, "ok": {**GOOD, "status": "fine"}},
        {"id": 1, "ok": {**GOOD, "stdout": "no base64"}},
        {"id": 1, "ok": {**GOOD, "stdout": "QUFB" * 50_000}},
        {"id": 1, "ok": {**GOOD, "wall_s": "soon"}},
        {"id": 1, "ok": {**GOOD, "value": 5}},
        {"id": 1, "ok": {**GOOD, "stdout_bytes": float("inf")}},
        {"id": 1, "ok": {**GOOD, "wall_s": float("nan")}},
        {"id": 1, "ok": {**GOOD, "peak_memory": -1}},
        {"id": 1, "ok": {**GOOD, "status": "killed", "ooms": 1e400}},
        {"id": 1, "ok": {**GOOD, "error": {"type": 1, "message": "", "traceback": ""}}},
        {"id": 1, "ok": {}},
        {"id": 1, "ok": [1]},
        {"id": 1, "more": 1, "ok": GOOD},
        {"id": 1},
        [1],
    ],
)
async def test_a_false_answer_ends_the_sandbox_and_is_no_result(answer):
    channel = Said(json.dumps(answer).encode() + b"\n")
    session = Session(channel, backend="b", guarantee="isolated", limits=Limits())
    with pytest.raises(SandboxError) as caught:
        await session.run("1")
    assert caught.value.kind == "protocol" and channel.killed and not session.alive


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=9),
        lambda x: st.lists(x) | st.dictionaries(st.text(max_size=9), x),
    )
)
def test_no_answer_crashes_the_host(value):
    async def go():
        told = {**GOOD, **value} if isinstance(value, dict) else value
        for answer in ({"id": 1, "ok": told}, {"id": 1, "fail": value}):
            session = Session(Said(json.dumps(answer).encode() + b"\n"), backend="b", guarantee="none", limits=Limits())
            try:
                await session.run("1")
            except SandboxError as error:
                assert error.kind == "protocol"

    asyncio.run(go())


async def test_frames_of_an_engine_come_in_any_pieces():
    whole = b"".join(struct.pack(">BxxxI", s, len(d)) + d for s, d in ((1, b'{"a"'), (2, b"oops\n"), (1, b":1}\n{}\n")))
    for size in (1, 3, 7, len(whole)):
        reader = asyncio.StreamReader()
        attached = Attached("x", None)
        attached._streams = type("S", (), {"reader": reader})()
        for at in range(0, len(whole), size):
            reader.feed_data(whole[at : at + size])
        reader.feed_eof()
        assert [await attached.line() for _ in range(3)] == [b'{"a":1}\n', b"{}\n", b""]
        assert await attached.last_words() == "oops"


def test_control_groups_of_version_2_on_a_made_up_tree(tmp_path):
    root = tmp_path / "cgroup"
    base = root / "user.slice/app"
    mine = base / "me.scope"
    mine.mkdir(parents=True)
    for folder in (root, root / "user.slice", base, mine):
        (folder / "cgroup.controllers").write_text("cpu memory pids")
        (folder / "cgroup.subtree_control").write_text("cpu memory pids" if folder == base else "")
    own = tmp_path / "own"
    own.write_text("0::/user.slice/app/me.scope\n")
    hierarchy = cgroups.find(root, own)
    assert hierarchy.version == 2 and set(hierarchy.bases.values()) == {base}
    group = cgroups.Group(hierarchy, "lamarck-1-2-3.1").make(Limits(memory=64 * MIB, cpu=0.5, pids=20))
    assert (base / "lamarck-1-2-3.1/memory.max").read_text() == str(64 * MIB)
    assert (base / "lamarck-1-2-3.1/cpu.max").read_text() == "50000 100000"
    assert (base / "lamarck-1-2-3.1/pids.max").read_text() == "24"
    (base / "lamarck-1-2-3.1/memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    assert group.oom_kills() == 2
    (base / "cgroup.subtree_control").write_text("cpu")
    (base / "cgroup.controllers").write_text("cpu")
    (mine / "cgroup.controllers").write_text("cpu")
    assert cgroups.find(root, own) is None


def test_owners_are_told_from_who_has_their_number_now():
    tag = cgroups.owner_tag()
    pid, started, namespace = tag.split("-")
    assert cgroups.owner_lives(tag) and not cgroups.owner_lives(f"{pid}-{int(started) + 1}-{namespace}")
    assert not any(map(cgroups.owner_lives, ("", "x", "1-x", "1-2", f"{2**22 + 5}-1-{namespace}")))
    # Whoever lives in another container cannot be seen from here, and is left alone.
    assert cgroups.owner_lives(f"{2**22 + 5}-1-{int(namespace) + 1}")


@pytest.mark.parametrize(
    "wrong", [{"memory": 1}, {"wall_s": float("nan")}, {"pids": True}, {"cpu": "1"}, {"disk": -5}, {"output": 1e300}]
)
def test_limits_that_are_none(wrong):
    with pytest.raises(SandboxError, match=f"sandbox limit {next(iter(wrong))}"):
        Limits(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"network": "host"},
        {"env": {"A=B": "x"}},
        {"env": {"A": "\0"}},
        {"mounts_ro": {"/etc": "/tmp"}},
        {"mounts_ro": {"/mnt/../etc": "/tmp"}},
        {"mounts_ro": {"/mnt/x": "/nowhere"}},
    ],
)
def test_policies_that_are_none(wrong):
    with pytest.raises(SandboxError):
        Policy(**wrong)


def test_the_image_is_built_once_and_known_by_what_is_in_it(tmp_path):
    said = []
    tree = rootfs.build(folder=tmp_path, say=said.append)
    assert rootfs.build(folder=tmp_path, say=said.append) == tree and len(said) == 1
    assert tree.name == rootfs.content_address() != rootfs.content_address(["numpy"])
    assert rootfs.size_of(tree) < 150e6 and (tree / "usr/bin/sh").exists()
    assert not [path for path in tree.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o6000]
    with pytest.raises(SandboxError, match=r"package nothing-like-it .*not installed.*pip install"):
        rootfs.build(["nothing-like-it"], folder=tmp_path)


async def test_packages_can_be_put_in():
    backend = Bubblewrap(packages=["numpy"])
    async with await backend.create(Limits(memory=1024 * MIB)) as box:
        assert (await box.run("import numpy; int(numpy.arange(4).sum())")).value == "6"
    await backend.close()


async def test_files_that_are_refused():
    backend = Bubblewrap()
    async with await backend.create(Limits(transfer=4096)) as box:
        for path in ("/etc/passwd", "../etc/passwd", "", "x\0y", "/work/../usr/x"):
            with pytest.raises(ToolError):
                await box.write_file(path, b"x")
        with pytest.raises(ToolError, match="larger than 4,096 bytes"):
            await box.write_file("big", b"x" * 5000)
        assert (await box.run("x" * 5000)).error.type == "OverflowError"
        assert (await box.exec(["echo", "x" * 5000])).error.type == "OverflowError"
    await backend.close()


def problems():
    """Return MBPP where it is, else a few problems of the same form."""
    if SHARED.is_file():
        return json.loads(SHARED.read_text())
    text = "def times(x, n={n}):\n    return [i * x for i in range(n)]"
    return [
        {"code": text.format(n=n), "test_imports": [], "test_list": [f"assert times(2)[-1] == {2 * (n - 1)}"]}
        for n in range(1, 41)
    ]


async def test_mbpp_in_one_run_right_passes_and_wrong_fails():
    from lamarck.evals.code_check import judge

    rows = problems()
    assert len(rows) == (427 if SHARED.is_file() else 40)
    backend = Bubblewrap()
    async with Pool(backend, limits=Limits(wall_s=20, memory=512 * MIB), size=PoolLimits(warm=2, most=2)) as pool:

        async def passes(code, row):
            async with pool.lease() as box:
                return (await judge(box, code, [*row["test_imports"], *row["test_list"]])).passed

        right = await asyncio.gather(*(passes(row["code"], row) for row in rows))
        wrong = await asyncio.gather(*(passes(row["code"] + _planted(row, n), row) for n, row in enumerate(rows)))
    await backend.close()
    assert sum(right) == len(rows) and sum(wrong) == 0


def _planted(row, number):
    """Return what makes a solution wrong: another answer, an exit before the end, or an error."""
    name = row["test_list"][0].split("(")[0].split()[-1].strip("!")
    names = set(re.findall(r"def (\w+)", row["code"]))
    ways = (
        "class Wrong:\n    __eq__ = lambda s, o: False\n    __hash__ = object.__hash__\n    __bool__ = lambda s: 1 / 0",
        "import sys\ndef Wrong(): sys.exit(0)",
        "import os\ndef Wrong(): os._exit(0)",
        "def Wrong(): raise ValueError",
    )
    return f"\n{ways[number % 4]}\n" + "\n".join(
        f"def {n}(*a, **k): return Wrong()" for n in names | {name} if n.isidentifier()
    )
