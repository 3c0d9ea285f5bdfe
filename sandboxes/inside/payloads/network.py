"""Payload: reach the host's servers and sockets, and make sockets of other kinds."""

import ctypes
import socket

from common import attempt, named, syscall


def connect(family, address):
    """Return what a server says, or the name of the error."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(1)
            client.connect(address)
            return "reached: " + client.recv(200).decode()
    except OSError as error:
        return named(error)


def throw(address, data):
    """Send a datagram, and return what comes back."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(0.2)
            client.sendto(data, address)
            return f"reached: {client.recv(500)!r}"
    except OSError as error:
        return named(error)


def routes():
    """Return which networks a packet could be sent to; none is sent."""
    found = {}
    for family, host in ((2, "192.0.2.1"), (2, "10.0.0.1"), (2, "169.254.169.254"), (10, "2001:db8::1")):

        def go(family=family, host=host):
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.connect((host, 53))

        found[host] = attempt(go)
    return found


def ask_resolvers(servers):
    query = b"\x4c\x41\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07lamarck\x07invalid\x00\x00\x01\x00\x01"
    return {server: throw((server, 53), query) for server in servers}


KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET)


def families():
    """Return the numbers of the socket families that can be made, of any type."""
    return [f for f in range(64) if "ok" in [attempt(lambda f=f, k=k: socket.socket(f, k).close()) for k in KINDS]]


def pairs(number):
    """Return what comes of pairs of sockets, by family; these are not made by `socket`."""
    area = (ctypes.c_int * 2)()
    return {f: syscall(number, f, socket.SOCK_STREAM, 0, ctypes.addressof(area)) for f in range(64)}
