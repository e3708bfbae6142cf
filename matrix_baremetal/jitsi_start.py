"""What jicofo and the videobridge read at a start: their config, with the password and the address of that moment.

Both have one file for all (HOCON, of which JSON is a part). So the password is put into a copy of it below /run, and
the videobridge's has the address that others see of this machine, as LiveKit's environment does.
"""

from __future__ import annotations

import ipaddress
import json
from typing import Any

from matrix_baremetal.host import Host
from matrix_baremetal.outside import external, mine, note
from matrix_baremetal.turn_start import behind, needed

ETC = "/etc/matrix-jitsi"
# An address, or the name that leads to it.
EXTERNAL = f"{ETC}/external_ip"
# What stands for the password.
MARK = "@PASSWORD@"
PARTS = ("focus", "bridge")


def place(part: str) -> str:
    """Where a part's copy is; its unit takes it away again."""
    return f"/run/matrix-baremetal/jitsi-{part}"


def prepare(host: Host, part: str) -> None:
    """Write what `focus` or `bridge` reads, for its user to read. Raises `Error`."""
    user = f"matrix-jitsi-{part}"
    text = needed(host, f"{ETC}/{part}.conf")
    secret = needed(host, f"/etc/matrix-baremetal/secrets/jitsi_{part}").strip()
    data: dict[str, Any] = json.loads(text.replace(MARK, secret))
    host.mkdir(place(part), 0o750, group=user)
    if part == "bridge":
        outside = needed(host, EXTERNAL).strip()
        data["ice4j"]["harvest"]["mapping"]["static-mappings"] = mappings(host, outside)
        note(host, f"{user}.service", outside)
    host.write(f"{place(part)}/{part}.conf", json.dumps(data, indent=1) + "\n", 0o640, group=user)


def mappings(host: Host, outside: str) -> list[dict[str, str]]:
    """Which of this machine's own addresses others see as another (ice4j's reference.conf)."""
    own = [each for each in behind(mine(host)) if ipaddress.ip_address(each).is_private]
    return [
        {"local-address": inner, "public-address": seen, "name": f"{inner}-{seen}"}
        for seen in external(host, outside)
        for inner in own
    ]
