"""Bridges: whether the homeserver reaches each, and each the homeserver."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import quote

from matrix_baremetal.checks.check import APPLY, PATIENCE, Check, last_lines, short
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources.admin_api import PORT
from matrix_baremetal.resources.store import Store


@dataclass(frozen=True)
class Linked(Check):
    """A bridge and the homeserver hear each other."""

    form = "bridges.{0.name}"
    asks = "the homeserver reaches a bridge and knows it, and the bridge answers"
    depth = 2

    name: str
    registration: str
    unit: str

    @property
    def after(self) -> tuple[str, ...]:
        return (f"units.{short(self.unit)}", "synapse.ready")

    def look(self, host: Host) -> Finding:
        try:
            known = json.loads(host.text(self.registration) or "")
            name, token = str(known["id"]), str(known["as_token"])
        except (ValueError, KeyError, TypeError):
            return self.failed(f"{self.registration} can't be used", fix=APPLY)
        # Synapse asks the bridge, and says how that went (Matrix spec, application services, "Pinging").
        path = f"/_matrix/client/v1/appservice/{quote(name)}/ping"
        answer = host.net.ask("POST", PORT, path, {}, token, PATIENCE)
        if answer.status != 200:
            lines = last_lines(host, self.unit)
            message = f"the bridge to {self.name} and the homeserver don't hear each other: {answer.error}"
            return self.failed(message, *lines, next=f"journalctl -u {short(self.unit)}")
        return self.fine(f"the bridge to {self.name} and the homeserver hear each other")


@dataclass(frozen=True)
class Kept(Check):
    """A bridge's rows: who is logged in to the other network, and which room is which chat there."""

    form = "bridges.rows.{0.name}"
    asks = "a bridge can read and write what it knows"
    depth = 2

    name: str
    unit: str
    store: Store
    where: str

    def look(self, host: Host) -> Finding:
        if trouble := self.store.trouble(host):
            message = f"the bridge to {self.name} can't use its database: {trouble.message}"
            return self.failed(message, next=trouble.hint)
        return self.fine(f"what the bridge to {self.name} knows is {self.where}")
