"""In which control group each listening socket was opened, as the kernel says to anybody.

The other way, to find the socket among the open files of each process, is for who may debug all of them: root in a
hardened unit may not. The kernel's sock_diag(7) knows the number of the control group (linux/inet_diag.h).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

NETLINK_SOCK_DIAG, BY_FAMILY, DONE, ERROR = 4, 20, 3, 2
DUMP = 0x301  # NLM_F_REQUEST | NLM_F_DUMP
DATAGRAM = socket.SOCK_DGRAM
# Protocols, and the states in which a socket listens (net/tcp_states.h): TCP_LISTEN; for UDP, which is not connected,
# TCP_CLOSE.
PROTOCOLS = {"tcp": (socket.IPPROTO_TCP, 1 << 10), "udp": (socket.IPPROTO_UDP, 1 << 7)}
CGROUP_ID = 21  # INET_DIAG_CGROUP_ID
HEADER = struct.Struct("=IHHII")  # nlmsghdr
REQUEST = struct.Struct("=BBBBI48x")  # inet_diag_req_v2
MESSAGE = struct.Struct("=BBBB2s2s16s16s32x")  # inet_diag_msg
ATTRIBUTE = struct.Struct("=HH")  # nlattr
# Where version 2 of control groups is, alone or beside version 1.
PLACES = ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")


def groups() -> dict[tuple[str, str, int], str]:
    """The control group of each listening socket by protocol, address and port, as system.slice/nginx.service; not
    those whose group the kernel doesn't tell.
    """
    found: dict[tuple[str, str, int], int] = {}
    for protocol in PROTOCOLS:
        for family in (socket.AF_INET, socket.AF_INET6):
            with contextlib.suppress(OSError):
                found |= {(protocol, *where): number for where, number in told(family, protocol)}
    names = named(set(found.values())) if found else {}
    return {where: names[number] for where, number in found.items() if number in names}


def told(family: int, protocol: str = "tcp") -> Iterator[tuple[tuple[str, int], int]]:
    """Address and port of each listening socket, with the number of its group."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as asked:
        asked.settimeout(1)
        number, states = PROTOCOLS[protocol]
        words = REQUEST.pack(family, number, 0, 0, states)
        asked.send(HEADER.pack(HEADER.size + len(words), BY_FAMILY, DUMP, 1, 0) + words)
        while True:
            data = asked.recv(1 << 17)
            while len(data) >= HEADER.size:
                size, kind = HEADER.unpack_from(data)[:2]
                if kind in (DONE, ERROR) or size < HEADER.size:
                    return
                yield from entry(family, data[HEADER.size : size])
                data = data[(size + 3) & ~3 :]


def entry(family: int, data: bytes) -> Iterator[tuple[tuple[str, int], int]]:
    """One socket, where its group is told."""
    _, _, _, _, port, _, source, _ = MESSAGE.unpack_from(data)
    address = socket.inet_ntop(family, source[:4] if family == socket.AF_INET else source)
    place = MESSAGE.size
    while place + ATTRIBUTE.size <= len(data):
        size, kind = ATTRIBUTE.unpack_from(data, place)
        if kind == CGROUP_ID:
            yield (address, int.from_bytes(port, "big")), struct.unpack_from("=Q", data, place + ATTRIBUTE.size)[0]
        place += max((size + 3) & ~3, ATTRIBUTE.size)


def named(numbers: set[int]) -> dict[int, str]:
    """The paths of control groups by their numbers, which are those of their directories."""
    top = next((place for place in PLACES if os.path.exists(f"{place}/cgroup.procs")), "")
    found = {}
    for folder, names, _ in os.walk(top) if top else ():
        for name in names:
            path = f"{folder}/{name}"
            with contextlib.suppress(OSError):
                if (number := os.stat(path).st_ino) in numbers:
                    found[number] = path.removeprefix(f"{top}/")
    return found
