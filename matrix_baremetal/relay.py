"""A TURN client, as far as doctor asks: an allocation, and permissions for peers (RFC 8656, RFC 8489).

Debian's turnutils_uclient could do the same, and takes the password on its command line, where all can read it. Light
until something is asked, as `web` is.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from matrix_baremetal.web import words

COOKIE = 0x2112A442
ALLOCATE, REFRESH, PERMISSION = 0x0003, 0x0004, 0x0008
BAD = 0x0110  # the bits of an answer's type that say no; one of them alone says yes
USERNAME, INTEGRITY, ERROR, REALM, NONCE = 0x0006, 0x0008, 0x0009, 0x0014, 0x0015
PEER, RELAYED, FAMILY, TRANSPORT, LIFETIME = 0x0012, 0x0016, 0x0017, 0x0019, 0x000D
UDP = b"\x11\0\0\0"
UNKNOWN_FAMILY, FORBIDDEN, NO_NONCE = 440, 403, 401
MOST_BYTES = 1 << 16
Attributes = Mapping[int, bytes]


@dataclass(frozen=True)
class Asked:
    """Which server is asked, by which transport; `name` is who its certificate has to be of, and may not hold here.

    `peers` are addresses for which a permission is asked, too.
    """

    to: tuple[str, int]
    transport: Literal["udp", "tls"]
    name: str
    username: str
    password: str = field(repr=False)
    peers: tuple[str, ...] = ()
    timeout: float = 2.5


@dataclass(frozen=True)
class Answered:
    """The relay's address and port, as a peer would see them, and the peers that may be talked to.

    `fault` says in words why there is none.
    """

    address: str = ""
    port: int = 0
    allowed: tuple[str, ...] = ()
    fault: str = ""


class Refused(Exception):
    """The server says no; `number` is why, as in RFC 8656 §18 and RFC 8489 §14.8."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"{reason} ({number})")
        self.number = number


def credentials(secret: str, lifetime: int = 60) -> tuple[str, str]:
    """A user name and password that hold for so many seconds, as Synapse makes them of the shared secret."""
    username = f"{int(time.time()) + lifetime}:doctor"
    digest = hmac.new(secret.encode(), username.encode(), hashlib.sha1).digest()
    return username, base64.b64encode(digest).decode()


def ask(asked: Asked) -> Answered:
    """Ask, and give back what was got; whatever goes wrong is an answer with its `fault`."""
    found = Answered()
    try:
        for family in (4, 6):
            peers = [peer for peer in asked.peers if ipaddress.ip_address(peer).version == family]
            if family == 6 and not peers and found.address:
                continue
            with connected(asked) as wire:
                allocation = Allocation(asked, wire)
                try:
                    address, port = allocation.open(family)
                except Refused as no:
                    if no.number == UNKNOWN_FAMILY:
                        continue  # it has no address of that kind, and so relays to none
                    raise
                allowed = tuple(peer for peer in peers if allocation.permits(peer))
                allocation.close()
            found = Answered(found.address or address, found.port or port, (*found.allowed, *allowed))
    except Refused as no:
        return Answered(fault=f"the server says: {no}")
    except (OSError, ValueError) as error:
        return Answered(fault=words(error, asked.timeout))
    return found if found.address else Answered(fault="it has no address to relay at")


class Wire:
    """One way to a server: a message out, and messages in."""

    def __init__(self, send: Callable[[bytes], object], receive: Callable[[], bytes], tries: int) -> None:
        self.send, self.receive, self.tries = send, receive, tries


@contextlib.contextmanager
def connected(asked: Asked) -> Iterator[Wire]:
    """Be connected to the server. By UDP each message is sent up to five times."""
    import socket
    import ssl

    if asked.transport == "udp":
        family = socket.AF_INET6 if ":" in asked.to[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as plain:
            plain.settimeout(asked.timeout / 5)
            plain.connect(asked.to)
            yield Wire(plain.send, lambda: plain.recv(MOST_BYTES), 5)
        return
    context = ssl.create_default_context()
    # Whom the certificate is of is for the checks of certificates.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(asked.to, asked.timeout) as plain,
        context.wrap_socket(plain, server_hostname=asked.name) as spoken,
        spoken.makefile("rb") as answers,
    ):
        yield Wire(spoken.sendall, lambda: whole(answers), 1)


def whole(stream: BinaryIO) -> bytes:
    """The next message of a stream, which its head says the length of; nothing at the end."""
    head = stream.read(20)
    return head + stream.read(struct.unpack(">H", head[2:4])[0]) if len(head) == 20 else b""


class Allocation:
    """A relayed address on a server, for as long as it is kept."""

    def __init__(self, asked: Asked, wire: Wire) -> None:
        self.asked, self.wire = asked, wire
        self.realm = self.nonce = self.number = b""

    def open(self, family: int = 4) -> tuple[str, int]:
        """Get one; its address and port. Raises `Refused`."""
        wanted = {TRANSPORT: UDP} | ({FAMILY: b"\x02\0\0\0"} if family == 6 else {})
        try:
            found = self.request(ALLOCATE, wanted)
        except Refused as no:
            if no.number != NO_NONCE:
                raise
            # The first answer says what to be known by.
            found = self.request(ALLOCATE, wanted)
        return address(found.get(RELAYED, b""), self.number)

    def permits(self, peer: str) -> bool:
        """Whether a peer may be talked to through it."""
        try:
            self.request(PERMISSION, {}, peer)
        except Refused as no:
            if no.number != FORBIDDEN:
                raise
            return False
        return True

    def close(self) -> None:
        """Give it back: the server counts how many somebody has."""
        self.request(REFRESH, {LIFETIME: bytes(4)})

    def request(self, kind: int, attributes: Attributes, peer: str = "") -> Attributes:
        """Ask for something, and give back the answer to it. Raises `Refused`, or `OSError` where there is none."""
        self.number = number = os.urandom(12)
        about = {PEER: xored(peer, 9, number)} if peer else {}
        data = message(kind, number, {**about, **attributes, **self._identity()}, self._key())
        for _ in range(self.wire.tries):
            self.wire.send(data)
            with contextlib.suppress(TimeoutError):
                seen, found = self._answer(kind, number)
                self.realm, self.nonce = found.get(REALM, self.realm), found.get(NONCE, self.nonce)
                if seen & BAD == BAD:
                    raise refusal(found.get(ERROR, bytes(4)))
                return found
        raise TimeoutError

    def _answer(self, kind: int, number: bytes) -> tuple[int, Attributes]:
        """The answer to a request; what else comes is passed over. Raises `OSError` where there is none."""
        while raw := self.wire.receive():
            with contextlib.suppress(ValueError):
                seen, of, found = parsed(raw)
                if of == number and seen & ~BAD == kind:
                    return seen, found
        raise OSError("it hung up without an answer")

    def _identity(self) -> Attributes:
        if not self.nonce:
            return {}
        return {USERNAME: self.asked.username.encode(), REALM: self.realm, NONCE: self.nonce}

    def _key(self) -> bytes:
        if not self.nonce:
            return b""
        text = f"{self.asked.username}:{self.realm.decode()}:{self.asked.password}"
        return hashlib.md5(text.encode(), usedforsecurity=False).digest()


def message(kind: int, number: bytes, attributes: Attributes, key: bytes = b"") -> bytes:
    """A message; with a key it is signed (RFC 8489 §14.5, whose length counts the signature already)."""
    body = b"".join(one(name, value) for name, value in attributes.items())
    length = len(body) + (24 if key else 0)
    data = struct.pack(">HHI", kind, length, COOKIE) + number + body
    return data + one(INTEGRITY, hmac.new(key, data, hashlib.sha1).digest()) if key else data


def one(name: int, value: bytes) -> bytes:
    """An attribute, filled up to a multiple of four bytes."""
    return struct.pack(">HH", name, len(value)) + value + bytes(-len(value) % 4)


def parsed(raw: bytes) -> tuple[int, bytes, Attributes]:
    """Kind, number and attributes of a message. Raises `ValueError` for what is none."""
    if len(raw) < 20:
        raise ValueError("too short")
    kind, length, cookie = struct.unpack_from(">HHI", raw)
    if cookie != COOKIE or len(raw) < 20 + length:
        raise ValueError("no message of STUN")
    found: dict[int, bytes] = {}
    place = 20
    while place + 4 <= 20 + length:
        name, size = struct.unpack_from(">HH", raw, place)
        found.setdefault(name, raw[place + 4 : place + 4 + size])
        place += 4 + size + -size % 4
    return kind, raw[8:20], found


def refusal(value: bytes) -> Refused:
    """Why it was said no (RFC 8489 §14.8)."""
    return Refused(value[2] % 8 * 100 + value[3], value[4:].decode("utf-8", "replace").strip("\0") or "no")


def xored(peer: str, port: int, number: bytes) -> bytes:
    """An address and a port as the message of a number carries them."""
    packed = ipaddress.ip_address(peer).packed
    return struct.pack(">BBH", 0, 1 if len(packed) == 4 else 2, port ^ COOKIE >> 16) + mixed(packed, number)


def address(value: bytes, number: bytes) -> tuple[str, int]:
    """The address and port in an attribute of the message of a number. Raises `ValueError` for what is none."""
    if len(value) not in (8, 20):
        raise ValueError("no address")
    port = struct.unpack_from(">H", value, 2)[0] ^ COOKIE >> 16
    return str(ipaddress.ip_address(mixed(value[4:], number))), port


def mixed(packed: bytes, number: bytes) -> bytes:
    """An address, mixed with the cookie and an IPv6 one with the message's number as well, or back again."""
    return bytes(a ^ b for a, b in zip(packed, struct.pack(">I", COOKIE) + number, strict=False))
