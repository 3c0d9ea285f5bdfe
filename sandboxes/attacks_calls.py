"""Attacks by system calls: those that a sandbox has no use for, and the ways around a filter."""

from __future__ import annotations

import functools
import platform
from collections.abc import Mapping, Sequence

from . import seccomp
from .attacks_target import Attack, Escape, Target, Unjudged, refused, told, truthful

BAD = 1
"""A pointer to nothing."""
NONE = -1
"""No descriptor, no process, no flag: whatever the call takes, it is not that."""

CALLS: Mapping[str, Mapping[str, Sequence[int]]] = {
    "mounts": {
        "mount": (BAD, BAD, BAD, 0, 0),
        "umount2": (BAD, NONE),
        "pivot_root": (BAD, BAD),
        "chroot": (BAD,),
        "fsopen": (BAD, NONE),
        "fsconfig": (NONE, NONE, BAD, BAD, NONE),
        "fsmount": (NONE, NONE, NONE),
        "fspick": (NONE, BAD, NONE),
        "move_mount": (NONE, BAD, NONE, BAD, NONE),
        "open_tree": (NONE, BAD, NONE),
        "mount_setattr": (NONE, BAD, NONE, BAD, 0),
        "quotactl": (NONE, BAD, 0, BAD),
        "quotactl_fd": (NONE, NONE, 0, BAD),
        "swapon": (BAD, NONE),
        "swapoff": (BAD,),
        "name_to_handle_at": (NONE, BAD, BAD, BAD, NONE),
        "open_by_handle_at": (NONE, BAD, 0),
    },
    "kernel": {
        "reboot": (0, 0, 0, BAD),
        "kexec_load": (0, 1, BAD, NONE),
        "kexec_file_load": (NONE, NONE, 0, BAD, NONE),
        "init_module": (BAD, 1, BAD),
        "finit_module": (NONE, BAD, NONE),
        "delete_module": (BAD, 0),
        "acct": (BAD,),
        "bpf": (NONE, BAD, 0),
        "perf_event_open": (BAD, NONE, NONE, NONE, NONE),
        "syslog": (NONE, BAD, 0),
        "iopl": (255,),
        "ioperm": (NONE, 1, 1),
        "modify_ldt": (0, BAD, 0),
        "personality": (0xFFFFFFFF,),
        "lookup_dcookie": (0, BAD, 0),
        "fanotify_init": (NONE, NONE),
    },
    "clock-and-names": {
        "settimeofday": (BAD, BAD),
        "clock_settime": (0, BAD),
        "clock_adjtime": (0, BAD),
        "adjtimex": (BAD,),
        "sethostname": (BAD, NONE),
        "setdomainname": (BAD, NONE),
    },
    "other-processes": {
        "ptrace": (NONE, NONE, 0, 0),
        "process_vm_readv": (1, BAD, 1, BAD, 1, NONE),
        "process_vm_writev": (1, BAD, 1, BAD, 1, NONE),
        "process_madvise": (NONE, BAD, 1, 0, NONE),
        "pidfd_getfd": (NONE, NONE, NONE),
        "kcmp": (1, 1, NONE, 0, 0),
        "move_pages": (1, 1, BAD, BAD, BAD, NONE),
        "migrate_pages": (1, NONE, BAD, BAD),
        "userfaultfd": (NONE,),
    },
    "keys-and-rings": {
        "add_key": (BAD, BAD, BAD, 1, 0),
        "request_key": (BAD, BAD, BAD, 0),
        "keyctl": (NONE,),
        "io_uring_setup": (0, BAD),
        "io_uring_enter": (NONE, 0, 0, 0, BAD, 0),
        "io_uring_register": (NONE, NONE, BAD, 0),
        "memfd_secret": (NONE,),
        "setns": (NONE, 0),
    },
}
"""Calls for which a sandbox has no use, each with arguments that do nothing if it does get through."""

REFUSED = frozenset({"EPERM", "EACCES", "ENOSYS", "SIGSYS"})
"""How a filter or a missing right says no; any other error means that the kernel has looked at the arguments."""
FLAGS = dict(zip(("mount", "cgroup", "uts", "ipc", "user", "pid", "net"), seccomp.NAMESPACES, strict=True))
INT80 = bytes.fromhex("b814000000cd80c3")
"""`mov eax, 20; int 0x80; ret`: getpid by the table of 32-bit programs."""


async def _calls(group: str, target: Target) -> str:
    column = seccomp.ARCHITECTURES[seccomp.machine()][2]
    calls = {
        name: [seccomp.DENIED[name][column], *words]
        for name, words in CALLS[group].items()
        if seccomp.DENIED[name][column] >= 0
    }
    return await refused(f"make_calls({calls})", target, by=REFUSED)


async def _trace_me(target: Target) -> str:
    number = seccomp.DENIED["ptrace"][seccomp.ARCHITECTURES[seccomp.machine()][2]]
    return await refused(f"{{'PTRACE_TRACEME': in_child(lambda: syscall({number}, 0, 0, 0, 0))}}", target, by=REFUSED)


async def _namespaces(target: Target) -> str:
    column = seccomp.ARCHITECTURES[seccomp.machine()][2]
    unshare, clone = seccomp.DENIED["unshare"][column], seccomp.CLONE[column]
    code = f"namespaces({FLAGS}, {unshare}, {clone})"
    clone3 = f"{{'clone3 user': clone3({seccomp.CLONE3[column]}, {FLAGS['user']})}}"
    return await refused(f"{code} | {clone3}", target, by=REFUSED)


async def _typing(target: Target) -> str:
    """Type into a terminal; also with bits that the kernel ignores and a filter might not."""
    number, calls = seccomp.IOCTL[seccomp.ARCHITECTURES[seccomp.machine()][2]], {}
    for request in seccomp.TERMINAL:
        for high in (0, 1 << 32, 0xFFFFFFFF << 32):
            calls[f"{request:#x} {high:#x}"] = [number, NONE, request | high, BAD]
    return await refused(f"make_calls({calls})", target, by=REFUSED)


async def _int80(target: Target) -> str:
    if platform.machine() != "x86_64":
        return "this machine has no such calls"
    async with target.sandbox("escape") as sandbox:
        said = await told(sandbox, f"machine_code({INT80!r})")
        if said.isdigit():
            raise Escape(f"the call was made: it returned {said}")
        if not said.startswith("SIG"):
            raise Unjudged(said)
        return f"{said}; {await truthful(sandbox)}"


async def _x32(target: Target) -> str:
    if platform.machine() != "x86_64":
        return "this machine has no such calls"
    return await refused("{'getpid': in_child(lambda: syscall(0x40000000 + 39))}", target, by=REFUSED)


ATTACKS = (
    *(
        Attack(f"calls-{g}", f"make system calls: {', '.join(list(CALLS[g])[:4])} ...", functools.partial(_calls, g))
        for g in CALLS
    ),
    Attack("ptrace-me", "ask to be traced", _trace_me),
    Attack("namespaces", "make namespaces by unshare, clone and clone3", _namespaces),
    Attack("terminal", "type into the terminal of the host", _typing),
    Attack("int80", "make a system call of 32-bit programs", _int80),
    Attack("x32", "make a system call of the x32 table", _x32),
)
