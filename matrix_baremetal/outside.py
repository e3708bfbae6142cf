"""At which address others find this machine, and whether what was started with one still goes by it.

The TURN server, LiveKit and Jitsi's videobridge are told it at each start, and a home line gets another at night. So
a start leaves a note, and a timer compares: who was told another address is started again, and nobody else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from matrix_baremetal.errors import Error
from matrix_baremetal.facts import own_addresses
from matrix_baremetal.host import Host
from matrix_baremetal.net import public

RUN = "/run/matrix-baremetal"
# Where a start leaves its note: the name or address that was gone by, and what came of it.
NOTES = {
    "matrix-turn.service": f"{RUN}/turn/outside",
    "matrix-livekit.service": f"{RUN}/calls/outside",
    "matrix-jitsi-bridge.service": f"{RUN}/jitsi-bridge/outside",
}


def mine(host: Host) -> list[str]:
    """This machine's addresses, each in the one spelling that texts can be compared in."""
    return [str(ipaddress.ip_address(each)) for each in own_addresses(host)]


def external(host: Host, outside: str) -> tuple[str, ...]:
    """The IPv4 address that others see of this machine, where it is none of its own: as given, or as a name has it.

    A name says nothing where it leads to a machine of this network, as a router's own DNS likes to have it.
    """
    own, given = mine(host), outside.replace(".", "").isdigit()
    if given:
        found: tuple[str, ...] = (outside,)
    elif not outside or any(":" not in each for each in public(own)):
        return ()
    else:
        found = public(each for each in host.net.addresses(outside) if ":" not in each)
    return tuple(each for each in found[:1] if each not in own)


def seen(host: Host, outside: str) -> tuple[str, ...]:
    """The IPv4 addresses at which others find this machine; none where that can't be known now."""
    return external(host, outside) or tuple(each for each in public(mine(host)) if ":" not in each)


def note(host: Host, unit: str, outside: str) -> None:
    """Leave a note of what a unit is started with, in the directory that its start has made."""
    host.write(NOTES[unit], f"{' '.join((outside, *seen(host, outside)))}\n", 0o644)


def told(host: Host, unit: str) -> tuple[str, ...]:
    """The addresses that a unit was started with."""
    return tuple((host.text(NOTES[unit]) or "").split()[1:])


def follow(host: Host) -> Iterator[str]:
    """Start those again that go by another address than others find now; a sentence for each.

    Where none can be known, as when the DNS is silent, the old one is the best guess. Raises `Error` where one does
    not start, once the others have had their turn.
    """
    failed: Error | None = None
    for unit, place in NOTES.items():
        outside, *before = (host.text(place) or "").split() or [""]
        now = seen(host, outside) if outside else ()
        if now and list(now) != before:
            try:
                host.run("systemctl", "try-restart", unit)
            except Error as error:
                failed = error
                continue
            yield f"{unit} goes by {', '.join(now)} now, and went by {', '.join(before) or 'no address'}"
    if failed:
        raise failed
