"""What LiveKit is told at a start: the address that others see of this machine, where it is none of its own.

It would find that by asking servers of others. A name is looked up in their place, as for the TURN server.
"""

from __future__ import annotations

import ipaddress

from matrix_baremetal.facts import own_addresses
from matrix_baremetal.host import Host
from matrix_baremetal.turn_start import external, needed

ETC = "/etc/matrix-calls"
# An address, or the name that leads to it.
EXTERNAL = f"{ETC}/external_ip"
RUN = "/run/matrix-baremetal/calls"
ENVIRONMENT = f"{RUN}/environment"


def prepare(host: Host) -> None:
    """Write the environment that LiveKit is started in. Raises `Error`."""
    mine = [str(ipaddress.ip_address(each)) for each in own_addresses(host)]
    found = external(host, needed(host, EXTERNAL).strip(), mine)
    host.mkdir(RUN, 0o755)
    host.write(ENVIRONMENT, "".join(f"NODE_IP={address}\n" for address in found), 0o644)


def told(host: Host) -> str:
    """The address that it was told; empty where it goes by those of this machine."""
    return (host.text(ENVIRONMENT) or "").strip().removeprefix("NODE_IP=")
