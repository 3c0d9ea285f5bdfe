"""Attacks by sockets: the host's servers, its network, and other sandboxes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
from pathlib import Path

from . import seccomp
from .attacks_calls import REFUSED
from .attacks_target import Attack, Escape, Target, Unjudged, arm, told, truthful
from .limits import MIB, Network, Policy

ROOM = 1024 * MIB
SOCKETPAIR = (53, 199)
"""Its number on x86_64 and aarch64."""


async def _reach(name: str, code: str, network: Network, target: Target) -> str:
    """Connect to a bait; what counts is whether the bait has heard of it."""
    before = len(target.host.reached)
    async with target.sandbox("network", policy=Policy(network=network)) as sandbox:
        said = str(await told(sandbox, code.format(host=target.host)))
        if len(target.host.reached) > before or target.host.secret in said:
            raise Escape(f"the host's {name} was reached")
        return said[:100]


async def _routes(target: Target) -> str:
    async with target.sandbox("network", policy=Policy(network="loopback")) as sandbox:
        found = await told(sandbox, "routes()")
        if "ok" in found.values() or len(found) < 4:
            raise Escape(f"there is a way to {found}")
        return ", ".join(sorted(set(found.values())))


async def _names(target: Target) -> str:
    """Ask the host's own name servers, for a name that does not exist."""
    servers = _resolvers()
    async with target.sandbox("network", policy=Policy(network="loopback")) as sandbox:
        found = await told(sandbox, f"ask_resolvers({servers})")
        if any(said.startswith("reached") for said in found.values()):
            raise Escape(f"a name server answered: {found}")
        return ", ".join(sorted(set(found.values())))


def _resolvers() -> list[str]:
    servers = ["127.0.0.11", "127.0.0.53", "192.0.2.1"]
    with contextlib.suppress(OSError):
        lines = Path("/etc/resolv.conf").read_text().splitlines()
        servers += [line.split()[1] for line in lines if line.startswith("nameserver ") and ":" not in line]
    return list(dict.fromkeys(servers))


async def _families(network: Network, target: Target) -> str:
    async with target.sandbox("network", policy=Policy(network=network)) as sandbox:
        found = await told(sandbox, "families()")
        if 1 not in found:
            raise Unjudged(f"not even AF_UNIX: {found}")
        if wrong := set(found) - set(seccomp.FAMILIES[network]):
            raise Escape(f"sockets of families {sorted(wrong)}")
        return f"only families {sorted(found)}"


async def _pairs(target: Target) -> str:
    number = SOCKETPAIR[seccomp.ARCHITECTURES[seccomp.machine()][2]]
    async with target.sandbox("network") as sandbox:
        found = await told(sandbox, f"pairs({number})")
        if found.pop(1) != "ok":
            raise Unjudged("not even AF_UNIX")
        if through := {family: said for family, said in found.items() if said not in REFUSED}:
            raise Escape(f"{len(through)} families get through to the kernel: {through!s:.100}")
        return "only family 1"


async def _neighbour(target: Target) -> str:
    secret = secrets.token_hex(8)
    policy = Policy(network="loopback")
    async with (
        target.sandbox("neighbours", policy=policy) as one,
        target.sandbox("neighbours", policy=policy) as two,
    ):
        planted = await told(one, f"plant({secret!r})")
        # In the same sandbox it must be found, or the search proves nothing.
        if secret not in str(await told(one, "seek()")):
            raise Unjudged(f"nothing was planted: {planted}")
        if found := [entry for entry in await told(two, "seek()") if secret in entry or entry.startswith("a ")]:
            raise Escape(f"the neighbour finds {found!s:.120}")
        took = sum(outcome == "ok" for outcome in planted.values())
        return f"none of {took} is found; {await truthful(one)}"


async def _neighbour_killed(target: Target) -> str:
    async with target.sandbox("neighbours") as one, target.sandbox("neighbours") as two:
        await told(one, "kept = 12345")
        killed = await told(two, "kill_everybody(32768)")
        await asyncio.sleep(0.05)
        if await told(one, "kept") != 12345 or killed:
            raise Escape(f"{killed} processes of a neighbour were killed")
        return "none was reached"


async def _neighbour_starved(target: Target) -> str:
    """Use up what the kernel counts per user: neighbours must not be the same user."""
    async with target.sandbox("neighbours") as one, target.sandbox("neighbours") as two:
        first = await told(one, "watchers()")
        second = await told(two, "watchers()")
        if first and not second:
            raise Escape(f"after {first} inotify instances in one sandbox there is none for another")
        return f"{first} inotify instances, {second} for the neighbour"


async def _neighbour_crowded(target: Target) -> str:
    # Room for a watchdog that counts what processes share once for each.
    async with target.sandbox("resources", memory=ROOM) as one, target.sandbox("resources", memory=ROOM) as two:
        first = await told(one, "hog(1500)")
        second = await told(two, "fork_bomb(40)")
        if second < 40:
            raise Escape(f"with {first} processes in one sandbox, another can have only {second}")
        return f"{first} processes, {second} for the neighbour"


async def _left_over(target: Target) -> str:
    secret = secrets.token_hex(8)
    async with target.sandbox("neighbours", policy=Policy(network="loopback")) as sandbox:
        planted = await told(sandbox, f"plant({secret!r})")
        await sandbox.reset()
        await arm(sandbox, "neighbours")
        if found := await told(sandbox, "seek()"):
            raise Escape(f"after a reset there is still {found!s:.120}")
        took = sum(outcome == "ok" for outcome in planted.values())
        return f"none of {took} is left after a reset"


def _bait(name: str, what: str, bait: str, code: str, network: Network = "none") -> Attack:
    return Attack(name, what, functools.partial(_reach, bait, code, network), unconfined=network == "none")


TCP = "connect(socket.AF_INET, ('127.0.0.1', {host.ports[tcp]}))"
UDP = "throw(('127.0.0.1', {host.ports[udp]}), b'hello')"
ABSTRACT = "connect(socket.AF_UNIX, chr(0) + '{host.abstract}')"
PATH = "[connect(socket.AF_UNIX, way + '{host.socket}') for way in ('', '/proc/1/root', '/proc/self/root')]"

ATTACKS = (
    _bait("tcp-host", "connect to a server of the host", "TCP server", TCP),
    _bait("tcp-host-loopback", "the same where loopback is allowed", "TCP server", TCP, "loopback"),
    _bait("udp-host", "send a datagram to a server of the host", "UDP server", UDP),
    _bait("udp-host-loopback", "the same where loopback is allowed", "UDP server", UDP, "loopback"),
    _bait("unix-abstract", "connect to an abstract socket of the host", "abstract socket", ABSTRACT),
    _bait("unix-path", "connect to a socket in a folder of the host", "path socket", PATH),
    Attack("routes", "find a way to another network, where loopback is allowed", _routes),
    Attack("names", "ask a name server, where loopback is allowed", _names),
    Attack("families", "make sockets: vsock, netlink, packet and all others", functools.partial(_families, "none")),
    Attack("families-loopback", "the same where loopback is allowed", functools.partial(_families, "loopback")),
    Attack("socket-pairs", "make pairs of sockets of other families, which loads modules", _pairs),
    Attack("neighbour-secrets", "find what another sandbox holds", _neighbour),
    Attack("neighbour-kill", "kill another sandbox's processes", _neighbour_killed),
    Attack("neighbour-starve", "use up what another sandbox needs", _neighbour_starved),
    Attack("neighbour-crowd", "leave no process to another sandbox", _neighbour_crowded),
    Attack("left-over", "find what the last user left, after a reset", _left_over),
)
