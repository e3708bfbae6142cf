"""Group calls: whether both servers answer where clients look for them."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.check import short
from matrix_baremetal.checks.web import Web
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host

NAMES = {"livekit": "LiveKit", "tokens": "lk-jwt-service"}


@dataclass(frozen=True)
class Answers(Web):
    """One of the two answers, by way of nginx."""

    form = "calls.{0.what}"
    asks = "LiveKit, and lk-jwt-service which lets people in, answer where clients look for them"

    what: str = ""
    path: str = ""
    unit: str = ""
    behind: int = 0

    @property
    def after(self) -> tuple[str, ...]:
        return (*super().after, f"ports.{self.behind}")

    def look(self, host: Host) -> Finding:
        seen = self.ask(host, self.path)
        where = f"https://{self.name}{self.path}"
        if seen.status == 200:
            return self.fine(f"{NAMES[self.what]} answers at {where}")
        why = seen.fault or f"status {seen.status}"
        message = f"{NAMES[self.what]} does not answer at {where}, so nobody gets into a group call"
        return self.failed(message, why, next=f"journalctl -u {short(self.unit)} -n 20")
