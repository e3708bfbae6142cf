"""Whether the room of the alerts is there, and our user may write to it."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.check import PATIENCE, Check
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources.alert_room import TOKEN, joined, membership, remembered


@dataclass(frozen=True)
class Told(Check):
    """The room, the token and the user, as the homeserver knows them."""

    form = "alerts"
    asks = "the room of the alerts is there, and their user may write to it"
    depth = 2

    user: str

    @property
    def after(self) -> tuple[str, ...]:
        return ("synapse.ready",)

    def look(self, host: Host) -> Finding:
        cure = "matrix-baremetal apply"
        room = remembered(host)
        if room is None or room.user != self.user:
            return self.failed("there is no room for the alerts yet", next=cure)
        if host.node(TOKEN) is None:
            return self.failed(f"the token of {self.user} is gone ({TOKEN})", next=cure)
        seen = membership(host, room, self.user, PATIENCE)
        if not joined(seen):
            why = f"{self.user} can't write to the room of the alerts: {seen.error}"
            return self.failed(why if seen.status != 200 else f"{self.user} is no longer in the room", next=cure)
        return self.fine(f"the alerts have a room ({len(room.invited)} invited), and their user may write to it")
