"""The order to set this machine up once dpkg is done or at the next boot, as debconf or an image's maker gives it.

It is the unit's being enabled, and nothing else: systemd starts it by that, and any administrator can see it.
"""

from __future__ import annotations

from matrix_baremetal.host import Host

UNIT = "matrix-baremetal-firstboot.service"
ORDER = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"


def ordered(host: Host) -> bool:
    """Whether it was asked for, and no install has come to its end since."""
    return host.node(ORDER) is not None


def carried_out(host: Host) -> None:
    """An install or an apply has come to its end, so no boot has to; its own process, if that is us, goes on."""
    if ordered(host):
        host.run("systemctl", "disable", "--quiet", UNIT)
