"""Whether the machine still waits to be set up, or failed at it."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.check import Check, last_lines, short, shown
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources import firstboot

ID = "firstboot.done"


@dataclass(frozen=True)
class FirstBoot(Check):
    """The order to set the machine up, which debconf passes on, and what became of it."""

    form = ID
    asks = "a set-up that was ordered for after dpkg, or for the first boot, has been carried out"
    depth = 0

    def look(self, host: Host) -> Finding:
        if not firstboot.ordered(host):
            return self.fine("no set-up waits to be carried out")
        unit = firstboot.UNIT
        state = shown(host, unit, "ActiveState")["ActiveState"]
        lines = last_lines(host, unit) if state != "inactive" else ()
        if state == "failed":
            return self.failed("setting this machine up failed", *lines, next="matrix-baremetal install")
        if state in ("active", "activating"):
            return self.failed("this machine is being set up right now", *lines, next=f"journalctl -fu {short(unit)}")
        return self.failed("this machine is to be set up at its next boot", next=f"systemctl start {short(unit)}")
