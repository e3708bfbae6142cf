"""Jitsi: whether its XMPP server answers where browsers look for it."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.check import short
from matrix_baremetal.checks.web import Web
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host

# XEP-0124: a request of nothing is answered in words.
BOSH = "/http-bind"


@dataclass(frozen=True)
class Opens(Web):
    """The XMPP server, by way of nginx."""

    form = "jitsi.xmpp"
    asks = "Jitsi's XMPP server answers where browsers look for it"

    unit: str = ""
    behind: int = 0

    @property
    def after(self) -> tuple[str, ...]:
        return (*super().after, f"ports.{self.behind}")

    def look(self, host: Host) -> Finding:
        seen = self.ask(host, BOSH)
        where = f"https://{self.name}{BOSH}"
        if seen.status == 200:
            return self.fine(f"Jitsi's XMPP server answers at {where}")
        why = seen.fault or f"status {seen.status}"
        message = f"Jitsi's XMPP server does not answer at {where}, so nobody gets into a call"
        return self.failed(message, why, next=f"journalctl -u {short(self.unit)} -n 20")
