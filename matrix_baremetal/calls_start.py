"""What LiveKit is told at a start: the address that others see of this machine, where it is none of its own.

It would find that by asking servers of others. A name is looked up in their place, as for the TURN server.
"""

from __future__ import annotations

from matrix_baremetal.host import Host
from matrix_baremetal.outside import external, note
from matrix_baremetal.turn_start import needed

ETC = "/etc/matrix-calls"
# An address, or the name that leads to it.
EXTERNAL = f"{ETC}/external_ip"
RUN = "/run/matrix-baremetal/calls"
ENVIRONMENT = f"{RUN}/environment"


def prepare(host: Host) -> None:
    """Write the environment that LiveKit is started in. Raises `Error`."""
    outside = needed(host, EXTERNAL).strip()
    host.mkdir(RUN, 0o755)
    host.write(ENVIRONMENT, "".join(f"NODE_IP={address}\n" for address in external(host, outside)), 0o644)
    note(host, "matrix-livekit.service", outside)
