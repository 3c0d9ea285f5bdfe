"""The attack suite: on a backend that holds nothing gets through, and on one that does not, it shows."""

import asyncio
import os
import platform
import struct
import subprocess
import sys

import pytest
from lamarck.sandboxes import attacks, bubblewrap, rootfs
from lamarck.sandboxes.attacks import ATTACKS, attack
from lamarck.sandboxes.attacks_calls import CALLS
from lamarck.sandboxes.attacks_target import MARK, Attack, Escape, told
from lamarck.sandboxes.bubblewrap import Bubblewrap
from lamarck.sandboxes.choose import make_backend


async def attacked(backend, **kwargs):
    try:
        report = await attack(backend, **kwargs)
    finally:
        await backend.close()
    return report, {row.name: row for row in report.rows}


def through(report):
    return [f"{row.name}: {row.seen}" for row in report.escapes]


@pytest.mark.parametrize("name", ["bubblewrap", "docker"])
async def test_nothing_gets_through(name):
    report, rows = await attacked(make_backend(name))
    assert through(report) == []
    assert (report.backend, report.guarantee) == (name, "isolated")
    assert all(row.held for row in report.rows)
    assert len(rows) == len(report.rows) == len(ATTACKS) + 2 >= 120
    assert "all held" in report.sentence()


@pytest.mark.full
@pytest.mark.parametrize("mode", ["watchdog", "without user namespaces"])
async def test_nothing_gets_through_in_other_modes(mode):
    backend = Bubblewrap(watchdog=mode == "watchdog")
    if mode != "watchdog":
        assert (await backend.probe()).available
        backend._namespaces = False
    report, _ = await attacked(backend)
    assert through(report) == []
    unpromised = [row.name for row in report.rows if row.held is None]
    assert unpromised == (["memory-unseen", "memfds", "disk-files", "processor"] if mode == "watchdog" else [])


async def test_where_nothing_holds_the_suite_sees_it():
    report, rows = await attacked(make_backend("unsafe-local", allow_unsafe=True))
    open_to_all = {"read-canary", "env-secret", "host-pids", "kill-host", "tcp-host", "udp-host"}
    open_to_all |= {"unix-abstract", "unix-path", "fork-bomb"}
    assert {row.name for row in report.escapes} == open_to_all, through(report)
    assert not any("judged" in row.seen for row in report.rows)
    # What would do harm is not even tried there.
    assert rows["kill-all"].held is None and rows["calls-kernel"].held is None and rows["memory"].held is None
    assert rows["left-behind"].held and rows["host-alive"].held
    assert "9 got through" in report.sentence() and len(report.as_dict()["escapes"]) == 9


async def test_without_the_filter_the_suite_sees_it(monkeypatch):
    backend = Bubblewrap()
    await backend.probe()
    allow_all = struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000)
    monkeypatch.setattr(bubblewrap, "bpf", lambda *args, **kwargs: allow_all)
    open_to_all = {"ptrace-me", "namespaces", "terminal", "families", "socket-pairs", "left-over"}
    open_to_all |= {f"calls-{group}" for group in CALLS} | ({"int80"} if platform.machine() == "x86_64" else set())
    report, _ = await attacked(backend, only=sorted(open_to_all))
    assert {row.name for row in report.escapes} >= open_to_all, through(report)
    assert not any("judged" in row.seen for row in report.rows)


async def test_as_the_hosts_root_the_suite_sees_it(monkeypatch):
    if os.geteuid() != 0:
        return  # a user who is not root has nothing to drop
    backend = Bubblewrap()
    await backend.probe()
    monkeypatch.setenv("LAMARCK_CACHE", str(rootfs.images_folder().parent))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # as if we were not, so that nothing is dropped
    report, rows = await attacked(backend, only=["host-user", "write-host"])
    assert {row.name for row in report.escapes} == {"host-user", "write-host"}
    assert "core_pattern" in rows["write-host"].seen


async def test_a_row_that_is_broken_is_a_row_that_did_not_hold(monkeypatch):
    async def raises(target):
        raise RuntimeError("oops")

    async def asks_nonsense(target):
        async with target.sandbox() as sandbox:
            return str(await told(sandbox, "no_such_payload()"))

    async def waits(target):
        await asyncio.sleep(60)

    async def blocks(target):
        subprocess.run(["sleep", "0.5"], check=True)
        return "fine"

    async def escapes(target):
        raise Escape("the wall has a hole")

    left = []

    async def leaves(target):
        left.append(
            subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, env={MARK: target.host.mark})
        )
        return "fine"

    tried = (raises, asks_nonsense, waits, blocks, escapes, leaves)
    monkeypatch.setattr(attacks, "ATTACKS", tuple(Attack(f.__name__, "", f, limit_s=1.5, alone=True) for f in tried))
    monkeypatch.setattr(attacks, "SETTLE_S", 0.2)
    monkeypatch.setattr(attacks, "LAG_S", 0.3)
    lines = []
    try:
        report, rows = await attacked(Bubblewrap(), progress=lines.append)
    finally:
        for process in left:
            process.communicate(b"\n")
    assert [row.name for row in report.rows if row.held] == ["leaves", "host-alive"]
    assert "could not be judged: RuntimeError('oops')" in rows["raises"].seen
    assert "could not be judged: error NameError" in rows["asks_nonsense"].seen
    assert "the host waited" in rows["waits"].seen
    assert "the host stood still" in rows["blocks"].seen
    assert rows["escapes"].seen == "the wall has a hole"
    assert f"1 processes: [{left[0].pid}]" in rows["left-behind"].seen
    assert len(lines) == 8 and "GOT THROUGH" in lines[0]


async def test_attacks_are_chosen_by_a_part_of_their_names():
    _, rows = await attacked(Bubblewrap(), only=["tcp-", "x32"])
    assert list(rows) == ["x32", "tcp-host", "tcp-host-loopback", "left-behind", "host-alive"]
    backend = Bubblewrap()
    with pytest.raises(ValueError, match="no attack with nonsense"):
        await attack(backend, only=["nonsense"])
    await backend.close()


def test_attacks_have_names_of_their_own_and_need_what_there_is():
    names = [entry.name for entry in ATTACKS]
    assert len(set(names)) == len(names)
    with pytest.raises(ValueError, match="no capability"):
        Attack("wrong", "", lambda target: None, needs="magic")
