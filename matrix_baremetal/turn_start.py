"""What the TURN server reads at a start, made of its config, its secret and the addresses that this machine has then.

coturn has one file for all, so the secret is put into a copy of it below /run. The addresses are known no earlier: a
home line gets another at night, and to relay to the machine itself is for nobody.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from matrix_baremetal.addresses import without
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.outside import external, mine, note, seen

USER = "matrix-turn"
ETC = "/etc/matrix-turn"
CONFIG = f"{ETC}/turnserver.conf"
# The pair that it serves, a link.
PAIR = f"{ETC}/tls"
SECRET = "/etc/matrix-baremetal/secrets/turn_shared_secret"
RUN = "/run/matrix-baremetal/turn"
# In our config, for this machine as others find it: group calls that are relayed to LiveKit beside.
ITSELF = "allowed-peer-ip=itself"


def prepare(host: Host, *, pair_alone: bool = False) -> None:
    """Write all that it reads, or its certificate and key alone, for its user to read. Raises `Error`."""
    host.mkdir(RUN, 0o750, group=USER)
    for name in ("fullchain.pem", "privkey.pem"):
        give(host, name, needed(host, f"{PAIR}/{name}"))
    if not pair_alone:
        text = needed(host, CONFIG)
        give(host, "turnserver.conf", "".join(f"{line}\n" for line in whole(host, text)))
        note(host, "matrix-turn.service", asked(text))


def give(host: Host, name: str, text: str) -> None:
    """Put a file where its user alone can read it, and nobody but root can write."""
    host.write(f"{RUN}/{name}", text, 0o640, group=USER)


def needed(host: Host, path: str) -> str:
    """What a file holds. Raises `Error` where it is not there."""
    if not (text := host.text(path)):
        raise Error(f"there is no {path}", hint="matrix-baremetal apply")
    return text


def asked(text: str) -> str:
    """The address that others see of this machine, or the name that leads to it, as the config has it."""
    return next((line.partition("=")[2] for line in text.splitlines() if line.startswith("external-ip=")), "")


def whole(host: Host, text: str) -> Iterator[str]:
    """The lines of the config, completed: others' address of us, ours denied, the secret."""
    own, seen_as = mine(host), external(host, asked(text))
    denied = dict.fromkeys((*own, *seen_as))
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if line == ITSELF:
            yield from (f"{key}={address}" for address in itself(host, asked(text)))
        elif key == "allowed-peer-ip":
            yield from (f"{key}={part}" for part in without(value, denied))
        elif key == "external-ip":
            # Alone: where it is written with ours behind it, coturn relays to ours whatever is denied.
            yield from (f"{key}={address}" for address in seen_as)
        else:
            yield line
    yield from (f"denied-peer-ip={address}" for address in denied)
    yield f"static-auth-secret={needed(host, SECRET).strip()}"


def itself(host: Host, outside: str) -> tuple[str, ...]:
    """The IPv4 addresses of this machine that callers are sent to; in a network without the internet, all it has.

    Behind a router these as well: coturn takes the address outside for ours before it looks who is allowed.
    """
    found, own = seen(host, outside), behind(mine(host))
    return tuple(dict.fromkeys((*found, *(own if external(host, outside) or not found else ()))))


def behind(own: list[str]) -> list[str]:
    """The IPv4 addresses that a router could lead to."""
    kinds = ((each, ipaddress.ip_address(each)) for each in own if ":" not in each)
    return [each for each, kind in kinds if not (kind.is_loopback or kind.is_link_local)]
