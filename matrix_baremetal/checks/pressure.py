"""Whether a unit has to wait for memory, as the kernel counts it for the unit's control group."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from matrix_baremetal.checks.check import Check, short, shown
from matrix_baremetal.checks.declared import Seen
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.sockets import PLACES

MB = 1024 * 1024
# Of a hundred seconds those in which every process of the unit waited (Documentation/accounting/psi.rst, "full"),
# on the average of the last five minutes.
STALLED = 5.0


@dataclass(frozen=True)
class Pressure(Check):
    """The memory of a unit: what waits for it is slow, long before the kernel kills anything."""

    form = "memory.pressure.{0.unit}"
    asks = "a unit waits for memory"

    name: str
    seen: Seen | None = field(default=None, compare=False, repr=False)

    @property
    def unit(self) -> str:
        """As people say it."""
        return short(self.name)

    @property
    def after(self) -> tuple[str, ...]:
        return (f"units.{self.unit}",)

    def look(self, host: Host) -> Finding:
        group = (self.seen or shown(host, self.name, "ControlGroup"))["ControlGroup"]
        texts = (host.text(f"{place}{group}/memory.pressure") for place in PLACES)
        found = re.search(r"^full .*\bavg300=([0-9.]+)", next((t for t in texts if t), ""), re.MULTILINE)
        if not group or found is None:
            return self.skipped("this kernel does not count how long a unit waits for memory")
        part = float(found[1])
        seen = f"{self.name} stood still for want of memory for {part:.0f} % of the last five minutes"
        if part < STALLED:
            return self.fine(f"{self.name} does not wait for memory")
        look = "free -m; matrix-baremetal status; more memory, or leave the largest rooms"
        return self.warned(seen, *self._sizes(host, group), next=look)

    def _sizes(self, host: Host, group: str) -> tuple[str, ...]:
        """What it has, and where the kernel begins to hold it back."""
        rows = {name: number(host, f"{PLACES[-1]}{group}/memory.{name}") for name in ("current", "high", "max")}
        return tuple(f"memory.{name}: {size // MB} MB" for name, size in rows.items() if size is not None)


def number(host: Host, path: str) -> int | None:
    """A number of the kernel's; None where there is none, or no limit."""
    text = (host.text(path) or "").strip()
    return int(text) if text.isdigit() else None
