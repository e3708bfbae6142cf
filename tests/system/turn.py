"""A phone's part in a call, with this machine's Python: `python3 turn.py` and a JSON object of what to do, by stdin.

It says in JSON what came of it, a line for each step. Beside the repository it needs nothing.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from matrix_baremetal import relay

SEND, DATA_COMES, CHANNEL = 0x0016, 0x0017, 0x0009
DATA, NUMBER = 0x0013, 0x000C


def say(**found: Any) -> None:
    print(json.dumps(found), flush=True)


def tried(allocation: relay.Allocation, peer: str, channel: int) -> list[str]:
    """By which of the three ways an address can be spoken to: a permission, a channel, a message without either."""
    ways = ["permission"] if allocation.permits(peer) else []
    try:
        allocation.request(CHANNEL, {NUMBER: struct.pack(">HH", channel, 0)}, peer)
        ways.append("channel")
    except relay.Refused:
        pass
    return ways


def send(allocation: relay.Allocation, peer: str, port: int, text: bytes) -> None:
    """A message to somebody, by way of the relay; nothing says whether it went on."""
    number = bytes(12)
    allocation.wire.send(relay.message(SEND, number, {relay.PEER: relay.xored(peer, port, number), DATA: text}))


def hear(allocation: relay.Allocation) -> tuple[str, int, bytes]:
    """Whom something came from, and what."""
    while True:
        kind, number, found = relay.parsed(allocation.wire.receive())
        if kind == DATA_COMES:
            return (*relay.address(found[relay.PEER], number), found[DATA])


def call(asked: relay.Asked, task: dict[str, Any]) -> None:
    """Have a relayed address, say it, and talk with whoever speaks to it from an address that is expected."""
    with relay.connected(asked) as wire:
        allocation = relay.Allocation(asked, wire)
        address, port = allocation.open()
        say(address=address, port=port, allowed=[peer for peer in task["peers"] if allocation.permits(peer)])
        for _ in range(task.get("talk", 0)):
            peer, at, text = hear(allocation)
            send(allocation, peer, at, text.upper())
            say(heard=text.decode(), peer=peer)
        if task.get("wait"):
            # Until the other side of this program says to go on.
            sys.stdin.readline()
            say(still=[peer for peer in task["peers"] if allocation.permits(peer)])
        allocation.close()


def answer(to: tuple[str, int], words: list[str]) -> None:
    """Speak to a relayed address, and hear what comes back."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain:
        plain.settimeout(5)
        plain.connect(to)
        for word in words:
            plain.send(word.encode())
            say(heard=plain.recv(1000).decode())


def ways(asked: relay.Asked, task: dict[str, Any]) -> None:
    """What of some addresses can be spoken to, and by which way; a message is sent to each all the same."""
    for family in (4, 6):
        with relay.connected(asked) as wire:
            allocation = relay.Allocation(asked, wire)
            allocation.open(family)
            for index, peer in enumerate(task["peers"]):
                if (":" in peer) == (family == 6):
                    say(peer=peer, ways=tried(allocation, peer, 0x4000 + index))
                    send(allocation, peer, task["port"], b"let me in")
            allocation.close()


if __name__ == "__main__":
    task = json.loads(sys.stdin.readline())
    if task["do"] == "answer":
        answer((task["to"][0], task["to"][1]), task["words"])
    else:
        asked = relay.Asked(
            tuple(task["to"]), task["transport"], task["name"], task["username"], task["password"], timeout=25
        )
        {"call": call, "ways": ways}[task["do"]](asked, task)
