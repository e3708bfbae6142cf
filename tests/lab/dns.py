#!/usr/bin/python3
"""The pretend internet's DNS server: `dns.py ZONE.json NETNS ADDRESS… -- UPSTREAM`.

Authoritative for every name below .test and for each name that the zone file holds; all else is forwarded as raw
bytes to the upstream resolver. (dnsmasq drops the upstream's empty AAAA answers here, which stalls package installs.)
The zone file is `{"name": {"a": ["10.0.0.1"], "aaaa": […], "srv": [[priority, weight, port, target]], "txt": […],
"caa": ["letsencrypt.org"], "cname": "name"}}`, read again when it changes; a null instead of records says that the
name does not exist, and {"forward": "10.0.0.53"} that another server has the zone of that name.

It listens in the namespace NETNS, but asks upstream from where it was started: there this machine's own resolver
works even if it listens on loopback only.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

A, NS, CNAME, SOA, TXT, AAAA, SRV, ANY, CAA = 1, 2, 5, 6, 16, 28, 33, 255, 257
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
TTL = 2
Zone = dict[str, dict[str, Any] | None]


def encoded(name: str) -> bytes:
    """A name as DNS writes it: labels with their lengths."""
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def question(message: bytes) -> tuple[str, int, bytes]:
    """Name, type and the raw question of a query."""
    at, labels = 12, []
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("ascii", "replace").lower())
        at += message[at] + 1
    return ".".join(labels), int.from_bytes(message[at + 1 : at + 3], "big"), message[12 : at + 5]


def record(name: str, kind: int, data: bytes) -> bytes:
    return encoded(name) + struct.pack(">HHIH", kind, 1, TTL, len(data)) + data


def records(name: str, held: dict[str, Any], kind: int) -> list[bytes]:
    """The answers of one type that a name holds."""
    if kind == A:
        return [record(name, A, socket.inet_aton(ip)) for ip in held.get("a", ())]
    if kind == AAAA:
        return [record(name, AAAA, socket.inet_pton(socket.AF_INET6, ip)) for ip in held.get("aaaa", ())]
    if kind == SRV:
        return [record(name, SRV, struct.pack(">HHH", *srv[:3]) + encoded(srv[3])) for srv in held.get("srv", ())]
    if kind == TXT:
        texts = [text.encode() for text in held.get("txt", ())]
        parts = [[text[i : i + 255] for i in range(0, len(text), 255)] or [b""] for text in texts]
        return [record(name, TXT, b"".join(bytes([len(p)]) + p for p in split)) for split in parts]
    if kind == CAA:
        # Flags, the length of the tag, the tag, the value (RFC 8659 §4.1).
        return [record(name, CAA, b"\0\5issue" + issuer.encode()) for issuer in held.get("caa", ())]
    if kind == ANY:
        return [answer for each in (A, AAAA, SRV, TXT) for answer in records(name, held, each)]
    return []


def find(zone: Zone, name: str) -> dict[str, Any] | None:
    """What the zone holds for a name, by itself or by the nearest wildcard above it (RFC 4592); None: no such."""
    if name in zone:
        return zone[name]
    if any(other.endswith(f".{name}") for other in zone):
        return {}
    above = name
    while "." in above:
        above = above.partition(".")[2]
        if f"*.{above}" in zone:
            return zone[f"*.{above}"]
        if above in zone:
            return None
    return None


def elsewhere(zone: Zone, name: str) -> str | None:
    """The address of the server that has the zone of a name, where that is not us."""
    while name:
        if "forward" in (held := zone.get(name) or {}):
            return str(held["forward"])
        name = name.partition(".")[2]
    return None


def answer(zone: Zone, message: bytes) -> bytes | None:
    """The whole answer to a query, or None where we are not the one to ask."""
    name, kind, asked = question(message)
    if elsewhere(zone, name) or (name not in zone and name != "test" and not name.endswith(".test")):
        return None
    # The zone's own top exists even where it holds nothing.
    held = {} if name == "test" else find(zone, name)
    answers: list[bytes] = []
    while held and "cname" in held and kind != CNAME and len(answers) < 8:
        target = held["cname"].rstrip(".").lower()
        answers.append(record(name, CNAME, encoded(target)))
        name, held = target, find(zone, target)
    if held and kind == CNAME and "cname" in held:
        answers.append(record(name, CNAME, encoded(held["cname"])))
    answers += records(name, held or {}, kind)
    numbers = struct.pack(">IIIII", 1, 60, 60, 60, TTL)
    soa = record("test", SOA, encoded("ns.test") + encoded("hostmaster.test") + numbers)
    if name == "test" and kind in (SOA, ANY):
        answers.append(soa)
    if name == "test" and kind == NS:
        answers.append(record("test", NS, encoded("ns.test")))
    status = NXDOMAIN if held is None else NOERROR
    authority = b"" if answers else soa
    # Ours is authoritative and recursion is available; the query's own RD bit is kept.
    flags = 0x8480 | (int.from_bytes(message[2:4], "big") & 0x0100) | status
    counts = struct.pack(">HHHHH", flags, 1, len(answers), 0 if answers else 1, 0)
    return message[:2] + counts + asked + b"".join(answers) + authority


class Records:
    """The zone file, read again when it is another file than last time (it is replaced, never rewritten)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.seen: tuple[int, int] | None = None
        self.zone: Zone = {}

    def now(self) -> Zone:
        found = self.path.stat()
        if (found.st_ino, found.st_mtime_ns) != self.seen:
            self.zone = json.loads(self.path.read_text())
            self.seen = (found.st_ino, found.st_mtime_ns)
        return self.zone


def received(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise ConnectionError("the other end hung up")
        data += more
    return data


def reply_to(message: bytes, zone: Zone, upstream: Sequence[str], tcp: bool) -> bytes:
    """Our own answer, or that of whoever has the zone."""
    there = elsewhere(zone, question(message)[0])
    return answer(zone, message) or ask([there] if there else upstream, message, tcp)


def ask(upstream: Sequence[str], message: bytes, tcp: bool) -> bytes:
    """The upstream's answer as raw bytes; SERVFAIL when none of them says anything."""
    for server in upstream:
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM) as s:
                s.settimeout(4)
                s.connect((server, 53))
                if not tcp:
                    s.send(message)
                    return s.recv(65535)
                s.sendall(len(message).to_bytes(2, "big") + message)
                return received(s, int.from_bytes(received(s, 2), "big"))
        except OSError:
            continue
    return message[:2] + struct.pack(">H", 0x8180 | SERVFAIL) + message[4:]


def serve_datagrams(listening: socket.socket, kept: Records, upstream: Sequence[str]) -> None:
    def reply(message: bytes, sender: Any) -> None:
        listening.sendto(reply_to(message, kept.now(), upstream, tcp=False), sender)

    while True:
        message, sender = listening.recvfrom(4096)
        threading.Thread(target=reply, args=(message, sender), daemon=True).start()


def serve_streams(listening: socket.socket, kept: Records, upstream: Sequence[str]) -> None:
    def reply(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            message = received(connection, int.from_bytes(received(connection, 2), "big"))
            said = reply_to(message, kept.now(), upstream, tcp=True)
            connection.sendall(len(said).to_bytes(2, "big") + said)

    while True:
        connection, _ = listening.accept()
        threading.Thread(target=reply, args=(connection,), daemon=True).start()


def enter(namespace: int) -> None:
    """Go into a network namespace; sockets stay where they were made. Python has os.setns from 3.12 on only."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, 0x40000000):
        raise OSError(ctypes.get_errno(), "can't enter the network namespace")


def main(argv: Sequence[str]) -> None:
    zone = Path(argv[0])
    home, there = (os.open(path, os.O_RDONLY) for path in ("/proc/self/ns/net", argv[1]))
    addresses, upstream = argv[2 : argv.index("--")], argv[argv.index("--") + 1 :]
    enter(there)
    datagrams, streams = [], []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        datagrams.append(socket.socket(family, socket.SOCK_DGRAM))
        datagrams[-1].bind((address, 53))
        streams.append(socket.create_server((address, 53), family=family))
    enter(home)
    kept = Records(zone)
    loops = [(serve_datagrams, s) for s in datagrams] + [(serve_streams, s) for s in streams]
    threads = [threading.Thread(target=loop, args=(s, kept, upstream)) for loop, s in loops]
    for thread in threads:
        thread.start()


if __name__ == "__main__":
    main(sys.argv[1:])
