"""Whether a Prometheus would find what it asks for."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.check import Check, short
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.web import MOST_BYTES, Request


@dataclass(frozen=True)
class Answers(Check):
    """One source of numbers, of a unit, and that the ones which matter are among them."""

    form = "metrics.{0.name}"
    asks = "a source of numbers for Prometheus has them"
    remote = True
    depth = 2

    name: str
    port: int
    path: str
    number: str
    of: str = ""

    @property
    def after(self) -> tuple[str, ...]:
        return (f"ports.{self.port}", *((f"units.{short(self.of)}",) if self.of else ()))

    def look(self, host: Host) -> Finding:
        where = f"http://127.0.0.1:{self.port}{self.path}"
        seen = host.net.request(Request(where))
        if seen.status != 200:
            why = seen.fault or f"it answers {seen.status}"
            return self.failed(f"{where} has no numbers", why, next="systemctl status 'matrix-metrics-*'")
        # Of a large server only the beginning was read.
        if self.number.encode() not in seen.body and len(seen.body) < MOST_BYTES:
            message = f"{where} does not have {self.number.partition(' ')[0]} as it should be"
            return self.failed(message, next="journalctl -u 'matrix-metrics-*' -n 20")
        return self.fine(f"{where} has what Prometheus asks for")
