"""A TURN server that goes by the config that it was given, as far as we ask it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from typing import TYPE_CHECKING, cast

from matrix_baremetal.relay import Answered, Asked
from matrix_baremetal.turn_start import SECRET, whole

if TYPE_CHECKING:
    from tests.fake_programs import Programs

UNIT = "matrix-turn.service"


def relay(machine: Programs, asked: Asked) -> Answered:
    """The answer to a client."""
    from tests.fakes import FakeHost, Machine

    host = FakeHost(cast(Machine, machine))
    if not machine.unit(UNIT).active:
        return Answered(fault="nothing listens there")
    secret = machine.at(SECRET).read_text().strip()
    password = base64.b64encode(hmac.new(secret.encode(), asked.username.encode(), hashlib.sha1).digest()).decode()
    if password != asked.password:
        return Answered(fault="the server says: Unauthorized (401)")
    text = machine.at("/etc/matrix-turn/turnserver.conf").read_text()
    lines = list(whole(host, text))
    outside = next((line.partition("=")[2] for line in lines if line.startswith("external-ip=")), "")
    allowed = tuple(peer for peer in asked.peers if permitted(lines, peer))
    return Answered(outside.partition("/")[0] or asked.to[0], 49200, allowed)


def permitted(lines: list[str], peer: str) -> bool:
    """Whether the config lets something be relayed to an address: what allows it wins."""
    rows = [line.partition("=") for line in lines]
    # An inner address that is named with the one outside is allowed without a word (coturn's main program).
    rows += [
        ("allowed-peer-ip", "=", value.partition("/")[2])
        for key, _, value in rows
        if "/" in value and key == "external-ip"
    ]
    for key, answer in (("allowed-peer-ip", True), ("denied-peer-ip", False)):
        if any(name == key and within(span, peer) for name, _, span in rows):
            return answer
    return ipaddress.ip_address(peer) != ipaddress.ip_address("0.0.0.0")


def within(span: str, peer: str) -> bool:
    """Whether an address is in a range."""
    ends = [ipaddress.ip_address(end) for end in span.split("-")]
    address = ipaddress.ip_address(peer)
    return address.version == ends[0].version and int(ends[0]) <= int(address) <= int(ends[-1])
