"""Which system calls a sandbox may not make: one table, as BPF for bubblewrap and as JSON for Docker.

A list of what is denied, not of what is allowed: ordinary programs must run, and the namespaces, capabilities and
limits around it are the first wall. What is on it either reaches the host past those (vsock, keyrings, io_uring, bpf,
mounts) or stops the supervisor from being one (ptrace). Another architecture's calls end the process.
"""

from __future__ import annotations

import errno
import json
import platform
import struct
from typing import Any

from ..errors import SandboxError
from .limits import Network

ARCHITECTURES = {"x86_64": (0xC000003E, "SCMP_ARCH_X86_64", 0), "aarch64": (0xC00000B7, "SCMP_ARCH_AARCH64", 1)}
"""AUDIT_ARCH number, Docker's name, and column in `DENIED`."""

DENIED: dict[str, tuple[int, int]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "inotify_init": (253, -1),
    "inotify_init1": (294, 26),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "ioperm": (173, -1),
    "iopl": (172, -1),
    "kcmp": (312, 272),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mbind": (237, 235),
    "memfd_secret": (447, 447),
    "migrate_pages": (256, 238),
    "modify_ldt": (154, -1),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "move_pages": (279, 239),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "semget": (64, 190),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "shmget": (29, 194),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "sysfs": (139, -1),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "uselib": (134, -1),
    "userfaultfd": (323, 282),
    "ustat": (136, -1),
    "vhangup": (153, 58),
}
"""Number of each denied call on x86_64 and aarch64; -1 where it does not exist.

Memory, semaphores and queues of System V and queues of POSIX are among them since they outlive every process of a
sandbox, and so a reset; watching files, since a user has few watchers, whatever sandbox they are in.
"""

OWN: dict[str, tuple[tuple[int, int], tuple[tuple[int, int], ...]]] = {
    "prlimit64": ((302, 261), ((0, 0),)),
}
"""Calls that change another process's limits; only their form for the caller itself is allowed: argument number and the
value it must have. What libraries set of their own threads by number (priority, cores) a reset compares instead."""

CLONE, CLONE3, SOCKET, IOCTL, SOCKETPAIR = (56, 220), (435, 435), (41, 198), (16, 29), (53, 199)
NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
TERMINAL = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX type into the terminal of whoever holds it."""
UNIX = 1
FAMILIES: dict[Network, tuple[int, ...]] = {"none": (UNIX,), "loopback": (UNIX, 2, 10, 16)}
"""AF_UNIX; and AF_INET, AF_INET6, AF_NETLINK, which Python's socket module asks for its interfaces."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_NR, _ARCH, _ARG = 0, 4, 16
"""Offsets in `struct seccomp_data`; arguments are 8 bytes each, and both machines are little-endian."""


def machine() -> str:
    """Return this machine's architecture.

    Raises:
        SandboxError: kind `unavailable`, there is no table for it.
    """
    found = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine().lower(), platform.machine().lower())
    if found not in ARCHITECTURES:
        raise SandboxError(f"there is no seccomp table for {found}, only for x86_64 and aarch64.", kind="unavailable")
    return found


def families(network: Network, mounts: bool) -> tuple[int, ...]:
    """Return the families of sockets that may be made.

    Where a folder of the host is mounted, sockets with a path are none of them: a server of the host may listen in it,
    and reading is all it takes to connect. Pairs of sockets are made all the same.
    """
    return tuple(family for family in FAMILIES[network] if not (mounts and family == UNIX))


def bpf(network: Network = "none", architecture: str | None = None, *, mounts: bool = False) -> bytes:
    """Return the filter as the kernel takes it: an array of `struct sock_filter`."""
    audit, _, column = ARCHITECTURES[architecture or machine()]
    code: list[tuple[int, int, int, int]] = []

    def emit(op: int, value: int, yes: int = 0, no: int = 0) -> None:
        code.append((op, yes, no, value))

    def fail(number: int) -> None:
        emit(_RETURN, 0x00050000 | number)

    emit(_LOAD, _ARCH)
    emit(_EQUAL, audit, 1, 0)
    emit(_RETURN, _KILL)
    emit(_LOAD, _NR)
    if column == 0:  # the x32 variant of x86_64 shares its architecture number, with this bit in each call's number
        emit(_AT_LEAST, 0x40000000, 0, 1)
        emit(_RETURN, _KILL)
    for numbers in DENIED.values():
        if numbers[column] >= 0:
            emit(_EQUAL, numbers[column], 0, 1)
            fail(errno.EPERM)
    emit(_EQUAL, CLONE3[column], 0, 1)
    fail(errno.ENOSYS)  # its flags are behind a pointer, which a filter cannot read; the C library falls back to clone
    emit(_EQUAL, CLONE[column], 0, 4)
    emit(_LOAD, _ARG)
    emit(_ANY_BIT, sum(NAMESPACES), 0, 1)
    fail(errno.EPERM)
    emit(_RETURN, _ALLOW)
    emit(_EQUAL, IOCTL[column], 0, 2 + 2 * len(TERMINAL))
    emit(_LOAD, _ARG + 8)
    for request in TERMINAL:
        emit(_EQUAL, request, 0, 1)
        fail(errno.EPERM)
    emit(_RETURN, _ALLOW)
    for call, allowed in ((SOCKET, families(network, mounts)), (SOCKETPAIR, (UNIX,))):
        emit(_EQUAL, call[column], 0, 2 + 2 * len(allowed))
        emit(_LOAD, _ARG)
        for family in allowed:
            emit(_EQUAL, family, 0, 1)
            emit(_RETURN, _ALLOW)
        fail(errno.EPERM)
    for numbers, wanted in OWN.values():
        emit(_EQUAL, numbers[column], 0, 3 * len(wanted) + 1)
        for argument, value in wanted:
            emit(_LOAD, _ARG + 8 * argument)
            emit(_EQUAL, value, 1, 0)
            fail(errno.EPERM)
        emit(_RETURN, _ALLOW)
    emit(_RETURN, _ALLOW)
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def docker_profile(network: Network = "none", architecture: str | None = None, *, mounts: bool = False) -> str:
    """Return the same table as Docker's JSON."""
    _, name, column = ARCHITECTURES[architecture or machine()]
    rules: list[dict[str, Any]] = [
        _rule(sorted(call for call, numbers in DENIED.items() if numbers[column] >= 0)),
        _rule(["clone3"], number=errno.ENOSYS),
    ]
    rules += [_rule(["clone"], 0, "SCMP_CMP_MASKED_EQ", flag, flag) for flag in NAMESPACES]
    # libseccomp compares 64 bits and the kernel looks at 32: without the mask, a bit above them would hide a request.
    rules += [_rule(["ioctl"], 1, "SCMP_CMP_MASKED_EQ", 0xFFFFFFFF, request) for request in TERMINAL]
    # libseccomp compares an argument once per rule, so what is between the allowed families gets a rule each.
    for call, allowed in (("socket", families(network, mounts)), ("socketpair", (UNIX,))):
        most = max(allowed, default=-1)
        rules += [_rule([call], 0, "SCMP_CMP_EQ", f) for f in range(max(most, 0)) if f not in allowed]
        rules.append(_rule([call], 0, "SCMP_CMP_GT", most) if allowed else _rule([call]))
    for call, (_, wanted) in OWN.items():
        rules += [_rule([call], argument, "SCMP_CMP_NE", value) for argument, value in wanted]
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [name], "syscalls": rules})


def _rule(
    names: list[str],
    index: int | None = None,
    op: str = "",
    value: int = 0,
    second: int = 0,
    *,
    number: int = errno.EPERM,
) -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": number}
    if index is not None:
        rule["args"] = [{"index": index, "value": value, "valueTwo": second, "op": op}]
    return rule
