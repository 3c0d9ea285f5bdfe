"""What every sandbox does the same, wherever it runs."""

import asyncio
import itertools
import time

import pytest
import pytest_asyncio
from lamarck.errors import SandboxError, ToolError
from lamarck.sandboxes.choose import make_backend
from lamarck.sandboxes.limits import MIB, Limits, Policy

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMITS = Limits(wall_s=5.0, grace_s=0.3, memory=256 * MIB, disk=32 * MIB, output=4096, value=4096, flood=4 * MIB)
PYTHON = ["python3", "-I", "-S", "-c"]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["bubblewrap", "docker"])
async def backend(request):
    backend = make_backend(request.param)
    yield backend
    await backend.close()


@pytest_asyncio.fixture(loop_scope="module")
async def box(backend):
    async with await backend.create(LIMITS) as box:
        yield box


async def value(box, code, **kwargs):
    done = await box.run(code, **kwargs)
    assert done.ok, done
    return done.value


# --- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"text\n", b"", "żółw 🐢".encode(), bytes(range(256)), b"\r\n\0\n"])
async def test_files_come_back_as_they_were(box, data):
    await box.write_file("/work/file", data)
    assert await box.read_file("/work/file") == data


async def test_a_file_of_the_largest_size_and_one_that_is_larger(box):
    data = b"0123456789abcdef" * (LIMITS.transfer // 16)
    await box.write_file("/work/large", data)
    assert await box.read_file("/work/large") == data
    with pytest.raises(ToolError, match="larger than"):
        await box.write_file("/work/larger", data + b"x")
    await value(box, "open('/work/large', 'ab').write(b'x')")
    with pytest.raises(ToolError, match="larger than"):
        await box.read_file("/work/large")


async def test_files_lie_where_code_sees_them(box):
    await box.write_file("notes/today.txt", b"from outside")
    assert await value(box, "open('/work/notes/today.txt').read()") == "'from outside'"
    await value(box, "open('inside.txt', 'w').write('from inside')")
    assert await box.read_file("inside.txt") == b"from inside"
    await box.write_file("/tmp/other", b"x")
    assert await value(box, "open('/tmp/other').read()") == "'x'"


async def test_a_file_is_written_over_and_gets_shorter(box):
    await box.write_file("/work/file", b"long content")
    await box.write_file("/work/file", b"short")
    assert await box.read_file("/work/file") == b"short"


@pytest.mark.parametrize("path", ["/work/none", "/work", "/etc/passwd", "../etc/passwd", "", "/work/a\0b"])
async def test_what_is_no_file_of_ours_is_refused(box, path):
    with pytest.raises(ToolError):
        await box.read_file(path)
    assert box.alive


async def test_a_file_without_rights_and_one_in_the_place_of_a_folder(box):
    await value(box, "import os; open('/work/secret', 'w').close(); os.chmod('/work/secret', 0)")
    with pytest.raises(ToolError, match=r"secret.*ermission"):
        await box.read_file("/work/secret")
    with pytest.raises(ToolError):
        await box.write_file("/work/secret/below", b"x")
    with pytest.raises(ToolError):
        await box.write_file("/usr/lib/new", b"x")


async def test_files_are_listed_sorted_and_relative(box):
    assert await box.list_files() == []
    for name in ("b", "a/2", "a/1", "a/c/3"):
        await box.write_file(name, b"")
    assert await box.list_files() == ["a/1", "a/2", "a/c/3", "b"]
    assert await box.list_files("/work/a") == ["1", "2", "c/3"]
    assert await box.list_files("/tmp") == []
    for path in ("/work/none", "/work/b", "/etc"):
        with pytest.raises(ToolError):
            await box.list_files(path)


# --- programs -------------------------------------------------------------------------------------------------------


async def test_a_program_says_what_it_says_where_it_says_it(box):
    done = await box.exec(["sh", "-c", "echo out; echo err >&2"])
    assert (done.status, done.exit_code, done.stdout, done.stderr) == ("ok", 0, "out\n", "err\n")
    assert (done.stdout_bytes, done.stderr_bytes, done.truncated, done.value) == (4, 4, False, None)
    assert (done.backend, done.guarantee) == (box.backend, "isolated")


async def test_characters_that_are_some_and_that_are_none(box):
    done = await box.exec(["printf", "żółw 🐢 \\377\\376"])
    assert done.stdout == "żółw 🐢 \ufffd\ufffd"
    assert done.stdout_bytes == len("żółw 🐢 ".encode()) + 2


@pytest.mark.parametrize("code", [1, 2, 255])
async def test_another_exit_code_than_0_is_an_error(box, code):
    done = await box.exec(["sh", "-c", f"exit {code}"])
    assert (done.status, done.exit_code) == ("error", code)


async def test_the_environment_is_ours_and_what_is_given(box):
    done = await box.exec(["env"], env={"EXTRA": "a b=c"})
    lines = dict(line.split("=", 1) for line in done.stdout.splitlines())
    assert lines["EXTRA"] == "a b=c" and lines["HOME"] == "/work" and lines["PATH"] == "/usr/bin:/bin"
    assert set(lines) <= {"EXTRA", "HOME", "PATH", "TMPDIR", "LANG", "PYTHONUNBUFFERED", "HOSTNAME", "PWD", "LC_CTYPE"}


async def test_stdin_small_large_and_unread(box):
    done = await box.exec(["cat"], stdin=b"hello")
    assert done.stdout == "hello"
    done = await box.exec([*PYTHON, "import sys; print(len(sys.stdin.buffer.read()))"], stdin=b"x" * (4 * MIB))
    assert done.stdout == f"{4 * MIB}\n"
    done = await box.exec(["true"], stdin=b"x" * (4 * MIB))
    assert done.ok
    done = await box.exec(["cat"])
    assert done.ok and done.stdout == ""


async def test_a_program_starts_in_the_folder_that_is_asked_for(box):
    assert (await box.exec(["pwd"])).stdout == "/work\n"
    assert (await box.exec(["pwd"], cwd="/tmp")).stdout == "/tmp\n"
    done = await box.exec(["pwd"], cwd="/work/none")
    assert done.status == "error" and done.exit_code != 0


@pytest.mark.parametrize("argv", [["no-such-program"], [], ["a\0b"], ["/etc/passwd"], ["/work"]])
async def test_what_is_no_program_is_an_error_and_harms_nothing(box, argv):
    done = await box.exec(argv)
    assert done.status == "error" and (done.error is not None or done.exit_code in (126, 127))
    assert (await box.exec(["true"])).ok


async def test_a_time_out_ends_a_program_and_its_children(box):
    began = time.monotonic()
    done = await box.exec(["sh", "-c", "sleep 60 & (sleep 60; true) & echo started; wait"], timeout_s=0.4)
    assert done.status == "timeout" and done.stdout == "started\n"
    assert time.monotonic() - began < 3
    assert int(await value(box, "len([n for n in __import__('os').listdir('/proc') if n.isdigit()])")) <= 3


async def test_a_program_that_does_not_close_its_output_does_not_hold_us_up(box):
    began = time.monotonic()
    done = await box.exec(["sh", "-c", "sleep 60 & echo here"])
    assert done.ok and done.stdout == "here\n" and time.monotonic() - began < 3


@pytest.mark.parametrize(("name", "status"), [("TERM", "error"), ("SEGV", "error"), ("KILL", "killed")])
async def test_a_death_by_signal_is_no_time_out(box, name, status):
    done = await box.exec([*PYTHON, f"import os, signal; os.kill(os.getpid(), signal.SIG{name})"])
    assert done.status == status and done.exit_code is not None and done.exit_code < 0


async def test_programs_and_code_do_not_share_variables_but_files(box):
    await value(box, "x = 1\nopen('shared', 'w').write('seen')")
    assert (await box.exec(["cat", "shared"])).stdout == "seen"
    assert await value(box, "x") == "1"


# --- code -----------------------------------------------------------------------------------------------------------


async def test_state_stays_from_call_to_call(box):
    await value(box, "import math\ndef double(n):\n    return 2 * n\nx = 20")
    assert await value(box, "double(x) + math.floor(2.5)") == "42"


async def test_the_value_is_of_the_last_expression(box):
    assert await value(box, "1\n2") == "2"
    assert await value(box, "x = 3") is None
    assert await value(box, "None") is None
    assert await value(box, "") is None
    assert await value(box, "'a' 'b'") == "'ab'"
    done = await box.run("print('said'); 'valued'")
    assert (done.stdout, done.value, done.exit_code) == ("said\n", "'valued'", None)


async def test_an_error_has_its_type_message_and_lines(box):
    await value(box, "def divide(a, b):\n    return a / b  # here")
    done = await box.run("x = 1\ndivide(x, 0)")
    assert done.status == "error" and not done.state_lost
    assert (done.error.type, done.error.message) == ("ZeroDivisionError", "division by zero")
    assert "return a / b  # here" in done.error.traceback and "divide(x, 0)" in done.error.traceback
    assert "kernel.py" not in done.error.traceback
    assert await value(box, "x") == "1"


async def test_code_that_is_none(box):
    done = await box.run("def broken(:\n  pass")
    assert done.status == "error" and done.error.type == "SyntaxError" and "broken(:" in done.error.traceback
    assert (await box.run("\ud800")).error.type == "SyntaxError"
    assert (await box.run("x" * (LIMITS.transfer + 1))).error.type == "OverflowError"
    assert (await box.run("\0")).status == "error"
    assert box.alive


async def test_an_exit_is_no_end(box):
    assert (await box.run("import sys; kept = 7; sys.exit()")).ok
    done = await box.run("sys.exit('why')")
    assert done.status == "error" and done.error.type == "SystemExit" and done.error.message == "why"
    assert await value(box, "kept") == "7"


async def test_a_kernel_that_dies_is_replaced_and_says_so(box):
    await value(box, "x = 1")
    done = await box.run("import os; print('last words', flush=True); os._exit(3)")
    assert (done.status, done.state_lost, done.stdout) == ("killed", True, "last words\n")
    assert done.error is not None and "3" in done.error.message
    done = await box.run("x")
    assert done.status == "error" and done.error.type == "NameError"


async def test_there_is_nothing_to_read(box):
    done = await box.run("input()")
    assert done.status == "error" and done.error.type == "EOFError"


async def test_a_time_out_that_is_heard_keeps_the_state(box):
    await value(box, "x = [1]")
    done = await box.run("x.append(2)\nwhile True:\n    pass", timeout_s=0.3)
    assert (done.status, done.state_lost) == ("timeout", False) and 0.25 < done.wall_s < 2
    assert await value(box, "x") == "[1, 2]"


async def test_a_time_out_that_is_not_heard_loses_it(box):
    await value(box, "x = 1")
    done = await box.run(
        "import time\nprint('before', flush=True)\nwhile True:\n"
        "    try:\n        time.sleep(60)\n    except BaseException:\n        pass",
        timeout_s=0.3,
    )
    assert (done.status, done.state_lost, done.stdout) == ("timeout", True, "before\n")
    assert (await box.run("x")).error.type == "NameError"


async def test_a_time_out_is_never_above_the_limit(backend):
    async with await backend.create(LIMITS.with_(wall_s=0.3)) as box:
        done = await box.run("while True: pass", timeout_s=60)
        assert done.status == "timeout" and done.wall_s < 2
        for wrong in (0, -1, float("nan"), float("inf")):
            with pytest.raises(SandboxError, match="time-out") as caught:
                await box.run("1", timeout_s=wrong)
            assert caught.value.kind == "limits"
        assert box.alive


# --- what comes out -------------------------------------------------------------------------------------------------


async def test_output_is_kept_up_to_the_limit_and_counted_beyond_it(box):
    done = await box.run("import sys\nprint('x' * 100_000)\nsys.stderr.write('y' * 50_000)")
    assert done.status in ("ok", "error") and done.truncated
    assert done.stdout == "x" * LIMITS.output and done.stdout_bytes == 100_001
    assert done.stderr == "y" * LIMITS.output and done.stderr_bytes == 50_000


async def test_output_of_programs_that_code_starts_is_its_output(box):
    done = await box.run("import subprocess\nsubprocess.run(['echo', 'from below'])\nprint('from above')")
    assert sorted(done.stdout.splitlines()) == ["from above", "from below"]


async def test_too_much_output_ends_the_call(box):
    done = await box.run("while True:\n    print('x' * 1000)")
    assert done.status == "output_limit" and done.stdout_bytes > LIMITS.flood and len(done.stdout) == LIMITS.output
    done = await box.exec([*PYTHON, "while True: print('x' * 1000)"])
    assert done.status == "output_limit" and done.truncated


async def test_a_value_and_a_traceback_are_cut(box):
    done = await box.run("'x' * 100_000")
    assert done.ok and done.truncated and len(done.value) == LIMITS.value
    done = await box.run("raise ValueError('y' * 100_000)")
    assert len(done.error.message) <= LIMITS.value and len(done.error.traceback) <= LIMITS.value


async def test_half_characters_are_replaced(box):
    done = await box.run("print('a\\udc80b'.encode('utf-8', 'replace'))\n'\\udc80'")
    assert done.ok and done.value == "'\\udc80'"
    done = await box.run("raise ValueError('half \\ud800')")
    assert done.error.message == "half ?"
    done.error.traceback.encode()


# --- limits ---------------------------------------------------------------------------------------------------------


async def test_too_much_memory_is_said_to_be_that(box):
    done = await box.run("x = b'x' * (1 << 30)")
    assert done.status == "memory", done
    assert (await box.run("1")).ok
    done = await box.run("y = []\nwhile True:\n    y.append(b'x' * (1 << 20))")
    assert done.status == "memory" and done.error is not None
    assert (await box.run("2")).ok


async def test_what_was_used_is_told(box):
    done = await box.run("import time\nended = time.process_time() + 0.3\nwhile time.process_time() < ended: pass")
    assert 0.25 < done.cpu_s < 1 and done.wall_s >= 0.25
    before = done.peak_memory
    done = await box.run("z = b'z' * (60 << 20)")
    assert done.peak_memory - before > 50 * MIB
    done = await box.exec([*PYTHON, "x = b'x' * (60 << 20)"])
    assert done.peak_memory > 60 * MIB and done.cpu_s > 0


async def test_who_one_is_and_where(box):
    assert await value(box, "import os, socket; os.getuid() > 0, os.getcwd(), socket.gethostname()") == (
        "(True, '/work', 'sandbox')"
    )
    assert await value(box, "open('/work/a', 'w').close(), open('/tmp/a', 'w').close(), os.listdir('/tmp')") == (
        "(None, None, ['a'])"
    )


@pytest.mark.parametrize("wrong", [{"memory": 1}, {"wall_s": 0}, {"pids": "64"}, {"cpu": float("nan")}, {"disk": True}])
async def test_limits_that_are_none_are_refused(wrong):
    with pytest.raises(SandboxError, match="limit") as caught:
        LIMITS.with_(**wrong)
    assert caught.value.kind == "limits"


# --- processes and threads ------------------------------------------------------------------------------------------


async def test_many_processes_share_the_work(box):
    code = """
import multiprocessing
def square(n):
    return n * n
with multiprocessing.get_context('fork').Pool(3) as pool:
    found = pool.map(square, range(10))
found
"""
    assert await value(box, code) == str([n * n for n in range(10)])


async def test_threads_go_on_between_calls(box):
    await value(
        box,
        "import threading, time\nticks = []\n"
        "def tick():\n    while True:\n        ticks.append(1)\n        time.sleep(0.01)\n"
        "threading.Thread(target=tick, daemon=True).start()",
    )
    first = int(await value(box, "len(ticks)"))
    await asyncio.sleep(0.3)
    assert int(await value(box, "len(ticks)")) > first + 3


async def test_a_process_in_the_background_goes_on_between_calls_until_a_reset(box):
    code = "import subprocess\nbehind = subprocess.Popen(['sleep', '60'])\nbehind.pid"
    pid = await value(box, code)
    assert await value(box, "behind.poll()") is None
    await box.reset()
    assert await value(box, f"import os; os.path.exists('/proc/{pid}/root')") == "False"


async def test_a_child_that_code_forks_answers_for_nobody(box):
    assert await value(box, "import os\npid = os.fork()\npid > 0") == "True"
    assert await value(box, "pid > 0") == "True"


# --- the end, and what comes at once --------------------------------------------------------------------------------


async def test_a_reset_forgets_everything(box):
    for round_ in range(3):
        await value(box, f"import os, math\nx = {round_}\nos.chdir('/tmp')\nopen('/tmp/t', 'w').write('x')")
        await box.write_file("/work/deep/file", b"x")
        await value(box, "open('/dev/shm/s', 'w').write('x'); os.environ['LEFT'] = '1'; math.pi = 3")
        await box.reset()
        done = await box.run("x")
        assert done.error is not None and done.error.type == "NameError"
        seen = "import os, math; os.getcwd(), os.listdir('/work'), os.listdir('/tmp'), os.listdir('/dev/shm')"
        assert await value(box, seen) == "('/work', [], [], [])"
        assert await value(box, "os.environ.get('LEFT'), math.pi > 3.1") == "(None, True)"


async def test_after_the_end_it_takes_no_calls(backend):
    async with await backend.create(LIMITS) as box:
        assert box.alive
        await box.kill()
        assert not box.alive
        calls = (box.run("1"), box.exec(["true"]), box.write_file("/work/a", b""), box.list_files(), box.reset())
        for call in (*calls, box.read_file("/work/a")):
            with pytest.raises(SandboxError) as caught:
                await call
            assert caught.value.kind == "closed"
        await box.kill()


async def test_the_end_does_not_wait_for_what_runs(backend):
    async with await backend.create(LIMITS) as box:
        call = asyncio.create_task(box.run("import time; time.sleep(60)"))
        await asyncio.sleep(0.2)
        began = time.monotonic()
        await box.kill()
        with pytest.raises(SandboxError):
            await call
        assert time.monotonic() - began < 3


async def test_who_leaves_during_a_call_ends_the_sandbox(backend):
    async with await backend.create(LIMITS) as box:
        call = asyncio.create_task(box.run("import time; time.sleep(60)"))
        await asyncio.sleep(0.2)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not box.alive
        with pytest.raises(SandboxError) as caught:
            await box.run("1")
        assert caught.value.kind == "closed"


async def test_calls_at_once_wait_for_each_other(box):
    code = "import time\nbegan = time.monotonic()\ntime.sleep(0.05)\n(began, time.monotonic(), {})"
    found = [eval(done.value) for done in await asyncio.gather(*(box.run(code.format(n)) for n in range(5)))]
    assert [entry[2] for entry in found] == list(range(5))
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(found))


async def test_sandboxes_at_once_know_nothing_of_each_other(backend):
    async with await backend.create(LIMITS) as one, await backend.create(LIMITS) as two:
        await asyncio.gather(value(one, "x = 'one'"), value(two, "x = 'two'"))
        await one.write_file("/work/mine", b"one")
        assert (await value(one, "x"), await value(two, "x")) == ("'one'", "'two'")
        assert await two.list_files() == []
        await one.kill()
        assert await value(two, "x") == "'two'"


# --- what it may reach ----------------------------------------------------------------------------------------------


async def test_the_environment_is_what_the_policy_says(backend, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "1")
    async with await backend.create(LIMITS, Policy(env={"TOKEN": "a=b c\nd", "HOME": "/tmp"})) as box:
        assert await value(box, "import os; os.environ['TOKEN'], os.environ['HOME']") == "('a=b c\\nd', '/tmp')"
        assert await value(box, "'SECRET_OF_THE_HOST' in os.environ") == "False"
        assert (await box.exec(["printenv", "TOKEN"])).exit_code in (0, 127)


async def test_a_folder_of_the_host_is_there_to_read(backend, tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for path in (*tmp_path.parents[:3], tmp_path, folder):
        path.chmod(path.stat().st_mode | 0o755)
    (folder / "file").write_text("from the host")
    async with await backend.create(LIMITS, Policy(mounts_ro={"/mnt/data": folder})) as box:
        assert await value(box, "open('/mnt/data/file').read()") == "'from the host'"
        for code in ("open('/mnt/data/file', 'w')", "open('/mnt/data/new', 'w')", "open('/mnt/new', 'w')"):
            done = await box.run(code)
            assert done.status == "error" and done.error.type in ("OSError", "PermissionError"), code
        with pytest.raises(ToolError):
            await box.write_file("/mnt/data/new", b"")
    assert [path.name for path in folder.iterdir()] == ["file"]


async def test_without_a_network_there_are_no_sockets(box):
    done = await box.run("import socket; socket.create_connection(('127.0.0.1', 80), 1)")
    assert done.status == "error" and done.error.type == "PermissionError"
    assert await value(box, "one, two = socket.socketpair(); one.send(b'x'), two.recv(1)") == "(1, b'x')"


async def test_with_loopback_programs_talk_to_each_other_and_nobody_else(backend):
    async with await backend.create(LIMITS, Policy(network="loopback")) as box:
        code = """
import socket, threading
server = socket.create_server(("127.0.0.1", 8000))
def serve():
    client, _ = server.accept()
    client.sendall(b"hello")
    client.close()
threading.Thread(target=serve, daemon=True).start()
"""
        await value(box, code)
        program = "import socket; print(socket.create_connection(('localhost', 8000), 2).recv(5))"
        done = await box.exec([*PYTHON, program])
        assert done.stdout == "b'hello'\n", done
        done = await box.run("socket.create_connection(('192.0.2.1', 80), 2)")
        assert done.status == "error" and done.error.type == "OSError"
