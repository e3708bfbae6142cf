"""A home line's names: whether the DNS provider was told the address, and whether they lead to it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from matrix_baremetal.checks.check import Check
from matrix_baremetal.ddns_run import UNIT_LOGS, noted
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host

# Seconds: what servers of a provider's take to learn from each other.
SETTLED = 900


@dataclass(frozen=True)
class Told(Check):
    """What came of the last run."""

    form = "ddns.update"
    asks = "the DNS provider takes the address of this line when it changes"

    def look(self, host: Host) -> Finding:
        note = noted(host)
        if note is None:
            return self.skipped("the DNS provider was not told the address yet; a timer does so within minutes")
        if note.final:
            mend = "mend ddns in the config, or its password_file; then: matrix-baremetal apply"
            return self.failed(f"{note.fault}; it is not asked again before the config changes", next=mend)
        if note.fault:
            return self.failed(note.fault, "it is tried again every few minutes", next=UNIT_LOGS)
        told = time.strftime("%Y-%m-%d %H:%M", time.localtime(note.since))
        return self.fine(f"the DNS provider was told {note.address}", f"since {told}")


@dataclass(frozen=True)
class Follows(Check):
    """A name that is to follow."""

    form = "ddns.name.{0.name}"
    asks = "a name that follows this line's address leads to it"
    remote = True

    name: str

    @property
    def after(self) -> tuple[str, ...]:
        return ("ddns.update",)

    def look(self, host: Host) -> Finding:
        note, found = noted(host), host.net.lookup(self.name, "A")
        if note is None or not note.address:
            return self.skipped("the address of this line is not known yet")
        if found.fault:
            return self.failed(f"{self.name} can't be looked up", found.fault, next="matrix-baremetal doctor dns")
        led = ", ".join(found.values) or "no address"
        if found.values == (note.address,):
            return self.fine(f"{self.name} leads to {note.address}")
        message = f"{self.name} leads to {led}, and this line has {note.address}"
        if time.time() - note.since < SETTLED:
            return self.told(f"{message}, which the provider was told a moment ago")
        return self.failed(message, next=f"look at the provider whether {self.name} is what is updated there")
