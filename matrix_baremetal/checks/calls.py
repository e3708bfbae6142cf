"""Group calls: whether both servers answer where clients look for them."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.check import short
from matrix_baremetal.checks.turn import OfTurn
from matrix_baremetal.checks.web import Web
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.turn_start import itself

TURN = "matrix-turn.service"
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


@dataclass(frozen=True)
class Relayed(OfTurn):
    """The TURN server relays to LiveKit; `outside` is the address or name at which others find both."""

    form = "calls.relay"
    asks = "callers who can't reach LiveKit come by the TURN server, encrypted"

    outside: str = ""

    @property
    def after(self) -> tuple[str, ...]:
        return (f"ports.{self.port}",)

    def look(self, host: Host) -> Finding:
        there = itself(host, self.outside)
        seen = self.ask(host, "tls", there)
        if seen.fault or not there:
            return self.skipped("see turn.relay.tls" if seen.fault else "this machine has no address")
        if missing := [each for each in there if each not in seen.allowed]:
            message = f"nothing is relayed to LiveKit at {', '.join(missing)}"
            return self.failed(message, fix=f"systemctl restart {short(TURN)}")
        return self.fine(f"callers are relayed to LiveKit at {', '.join(there)}")
