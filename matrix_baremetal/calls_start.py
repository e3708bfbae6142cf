"""What LiveKit is told at a start: the address that others see of this machine, where it is none of its own.

It would find that by asking servers of others. A name is looked up in their place, as for the TURN server. Where
callers may come by that one, LiveKit hands out credentials for it: its secret is put into a copy of the config.
"""

from __future__ import annotations

from matrix_baremetal.host import Host
from matrix_baremetal.outside import external, note
from matrix_baremetal.turn_start import SECRET, needed

ETC = "/etc/matrix-calls"
# An address, or the name that leads to it.
EXTERNAL = f"{ETC}/external_ip"
CONFIG = f"{ETC}/livekit.yaml"
USER = "matrix-livekit"
# In that config, for the secret that the TURN server has. What that is made of needs no quotes in YAML.
MARK = "@turn_shared_secret"
RUN = "/run/matrix-baremetal/calls"
ENVIRONMENT = f"{RUN}/environment"
# What LiveKit reads.
WHOLE = f"{RUN}/livekit.yaml"


def prepare(host: Host) -> None:
    """Write the environment that LiveKit is started in, and its config. Raises `Error`."""
    outside = needed(host, EXTERNAL).strip()
    host.mkdir(RUN, 0o755)
    host.write(ENVIRONMENT, "".join(f"NODE_IP={address}\n" for address in external(host, outside)), 0o644)
    text = needed(host, CONFIG)
    if MARK in text:
        text = text.replace(MARK, needed(host, SECRET).strip())
    host.write(WHOLE, text, 0o640, group=USER)
    note(host, "matrix-livekit.service", outside)
