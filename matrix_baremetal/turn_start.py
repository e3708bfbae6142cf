"""What the TURN server reads at a start, made of its config, its secret and the addresses that this machine has then.

coturn has one file for all, so the secret is put into a copy of it below /run. The addresses are known no earlier: a
home line gets another at night, and to relay to the machine itself is for nobody.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator

from matrix_baremetal.addresses import without
from matrix_baremetal.errors import Error
from matrix_baremetal.facts import own_addresses
from matrix_baremetal.host import Host
from matrix_baremetal.net import public

USER = "matrix-turn"
ETC = "/etc/matrix-turn"
CONFIG = f"{ETC}/turnserver.conf"
# The pair that it serves, a link.
PAIR = f"{ETC}/tls"
SECRET = "/etc/matrix-baremetal/secrets/turn_shared_secret"
RUN = "/run/matrix-baremetal/turn"


def prepare(host: Host, *, pair_alone: bool = False) -> None:
    """Write all that it reads, or its certificate and key alone, for its user to read. Raises `Error`."""
    host.mkdir(RUN, 0o750, group=USER)
    for name in ("fullchain.pem", "privkey.pem"):
        give(host, name, needed(host, f"{PAIR}/{name}"))
    if not pair_alone:
        text, own = needed(host, CONFIG), own_addresses(host)
        give(host, "turnserver.conf", "".join(f"{line}\n" for line in whole(host, text, own)))


def give(host: Host, name: str, text: str) -> None:
    """Put a file where its user alone can read it, and nobody but root can write."""
    host.write(f"{RUN}/{name}", text, 0o640, group=USER)


def needed(host: Host, path: str) -> str:
    """What a file holds. Raises `Error` where it is not there."""
    if not (text := host.text(path)):
        raise Error(f"there is no {path}", hint="matrix-baremetal apply")
    return text


def whole(host: Host, text: str, own: Iterable[str]) -> Iterator[str]:
    """The lines of the config, completed: others' address of us, ours denied, the secret."""
    mine = [str(ipaddress.ip_address(each)) for each in own]
    outside = next((line.partition("=")[2] for line in text.splitlines() if line.startswith("external-ip=")), "")
    seen_as = external(host, outside, mine)
    denied = dict.fromkeys((*mine, *seen_as))
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "allowed-peer-ip":
            yield from (f"{key}={part}" for part in without(value, denied))
        elif key == "external-ip":
            yield from (f"{key}={address}/{inner}" for address in seen_as for inner in behind(mine))
        else:
            yield line
    yield from (f"denied-peer-ip={address}" for address in denied)
    yield f"static-auth-secret={needed(host, SECRET).strip()}"


def external(host: Host, outside: str, mine: list[str]) -> tuple[str, ...]:
    """The IPv4 address that others see of this machine, where it is none of its own: as given, or as a name has it.

    A name says nothing where it leads to a machine of this network, as a router's own DNS likes to have it.
    """
    given = outside.replace(".", "").isdigit()
    if given:
        found: tuple[str, ...] = (outside,)
    elif not outside or any(":" not in each for each in public(mine)):
        return ()
    else:
        found = public(each for each in host.net.addresses(outside) if ":" not in each)
    return tuple(each for each in found[:1] if each not in mine)


def behind(mine: list[str]) -> list[str]:
    """The IPv4 addresses that a router could lead to."""
    kinds = ((each, ipaddress.ip_address(each)) for each in mine if ":" not in each)
    return [each for each, kind in kinds if not (kind.is_loopback or kind.is_link_local)]
