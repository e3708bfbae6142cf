"""The TURN client, against a server that speaks the same as RFC 8656 has it, over real sockets."""

from __future__ import annotations

import base64
import hashlib
import hmac
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from matrix_baremetal import relay
from matrix_baremetal.relay import Answered, Asked, Attributes

SECRET = "sesame"
# RFC 5769 §2.4: a request with a long-term credential, whose user name, realm and nonce are these, and its signature.
USER = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
PASSWORD, REALM, NONCE = "TheMatrIX", b"example.org", b"f//499k954d6OL34oL9FSTvy64sA"
NUMBER = bytes.fromhex("78ad3433c6ad72c029da412e")
SIGNED = "f67024656dd64a3e02b8e0712e85c9a28ca89666"


def test_a_message_is_signed_as_the_example_of_the_standard() -> None:
    key = hashlib.md5(f"{USER}:example.org:{PASSWORD}".encode()).digest()
    attributes = {relay.USERNAME: USER.encode(), relay.NONCE: NONCE, relay.REALM: REALM}
    data = relay.message(0x0001, NUMBER, attributes, key)
    assert data[-20:].hex() == SIGNED
    kind, number, found = relay.parsed(data)
    assert (kind, number) == (1, NUMBER)
    assert found == attributes | {relay.INTEGRITY: bytes.fromhex(SIGNED)}


@pytest.mark.parametrize("peer", ["192.0.2.1", "2001:db8:1234:5678:11:2233:4455:6677"])
def test_addresses_are_mixed_and_found_again(peer: str) -> None:
    assert relay.address(relay.xored(peer, 32853, NUMBER), NUMBER) == (peer, 32853)
    # RFC 5769 §2.2 and §2.3.
    number = bytes.fromhex("b7e7a701bc34d686fa87dfae")
    sample = "0001a147e112a643" if ":" not in peer else "0002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
    assert relay.xored(peer, 32853, number).hex() == sample


@pytest.mark.parametrize("raw", [b"", b"short", bytes(20), bytes.fromhex("010100ff2112a442") + bytes(12)])
def test_what_is_no_message_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"too short|no message"):
        relay.parsed(raw)


class Server:
    """A TURN server on a port of this machine; `says` may answer in its place."""

    def __init__(self, says: Callable[[int, Attributes], tuple[int, str] | None] = lambda kind, found: None) -> None:
        self.says = says
        self.seen: list[int] = []
        self.deaf = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while True:
            raw, whom = self.socket.recvfrom(1 << 16)
            if raw == b"end":
                return
            self.deaf -= 1
            if self.deaf < 0:
                self.socket.sendto(b"no message", whom)
                self.socket.sendto(self.answer(raw), whom)

    def answer(self, raw: bytes) -> bytes:
        kind, number, found = relay.parsed(raw)
        self.seen.append(kind)
        if refused := self.refused(raw, found) or self.says(kind, found):
            code, reason = refused
            value = struct.pack(">HBB", 0, code // 100, code % 100) + reason.encode()
            return relay.message(kind | 0x0110, number, {9: value, relay.REALM: b"r", relay.NONCE: b"n"})
        return relay.message(kind | 0x0100, number, {relay.RELAYED: relay.xored("198.51.100.7", 49200, number)})

    def refused(self, raw: bytes, found: Attributes) -> tuple[int, str] | None:
        username = found.get(relay.USERNAME, b"").decode()
        _, password = self.credentials(username)
        key = hashlib.md5(f"{username}:r:{password}".encode()).digest()
        right = hmac.new(key, raw[:-24], hashlib.sha1).digest()
        return None if found.get(relay.INTEGRITY) == right else (401, "Unauthorized")

    def credentials(self, username: str) -> tuple[str, str]:
        digest = hmac.new(SECRET.encode(), username.encode(), hashlib.sha1).digest()
        return username, base64.b64encode(digest).decode()

    def ask(self, *peers: str, secret: str = SECRET, timeout: float = 2.5) -> Answered:
        to = self.socket.getsockname()
        return relay.ask(Asked(to, "udp", "a.test", *relay.credentials(secret), peers, timeout))

    def end(self) -> None:
        self.socket.sendto(b"end", self.socket.getsockname())
        self.thread.join()
        self.socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.end()


def test_a_relayed_address_comes_and_is_given_back(server: Server) -> None:
    assert server.ask() == Answered("198.51.100.7", 49200)
    assert server.seen == [relay.ALLOCATE, relay.ALLOCATE, relay.REFRESH]


def test_peers_are_asked_for_one_by_one_and_those_of_ipv6_by_a_relay_of_their_kind(server: Server) -> None:
    def closed(kind: int, found: Attributes) -> tuple[int, str] | None:
        private = relay.PEER in found and found[relay.PEER][4] ^ 0x21 == 10
        return (403, "Forbidden IP") if private else None

    server.says = closed
    assert server.ask("10.0.0.1", "192.0.2.1", "2001:db8::1").allowed == ("192.0.2.1", "2001:db8::1")
    server.says = lambda kind, found: (440, "Unsupported") if relay.FAMILY in found else None
    assert server.ask("192.0.2.1", "2001:db8::1").allowed == ("192.0.2.1",)
    server.says = lambda kind, found: (440, "Unsupported")
    assert server.ask().fault == "it has no address to relay at"


def test_a_wrong_secret_is_told_in_the_words_of_the_server(server: Server) -> None:
    assert server.ask(secret="another").fault == "the server says: Unauthorized (401)"
    server.says = lambda kind, found: (486, "Allocation Quota Reached")
    assert server.ask().fault == "the server says: Allocation Quota Reached (486)"


def test_what_is_lost_on_the_way_is_sent_again_and_silence_has_an_end(server: Server) -> None:
    server.deaf = 2
    assert server.ask(timeout=0.5).address == "198.51.100.7"
    server.deaf = 1 << 20
    assert server.ask(timeout=0.1).fault == "no answer within 0.1 s"


def test_nobody_there_is_said_so() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bound:
        bound.bind(("127.0.0.1", 0))
        free = bound.getsockname()
    for transport in ("udp", "tls"):
        asked = Asked(free, transport, "a.test", "u", "p")
        assert relay.ask(asked).fault == "nothing listens there"


def test_credentials_are_for_a_while_and_never_shown() -> None:
    username, password = relay.credentials(SECRET)
    assert username.endswith(":doctor")
    assert password not in repr(Asked(("127.0.0.1", 1), "udp", "a", username, password))
