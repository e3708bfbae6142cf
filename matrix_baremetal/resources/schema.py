"""The tables that Synapse makes at its first start: whole, or taken away so that it can begin anew.

It commits them script by script and writes `schema_version` last (synapse/storage/prepare_database.py). Cut off in
between, by a power cut say, it fails at every start from then on: "relation already exists".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.store import Store
from matrix_baremetal.resources.systemd import main_process

PATIENCE = 20.0


@dataclass(frozen=True)
class Schema(Resource):
    """The tables of a database of ours, made by `unit`; a database without any is fine too."""

    live: ClassVar[bool] = True

    database: str
    store: Store | None = field(default=None, compare=False)
    unit: str = field(default="", compare=False)
    whole: bool = True

    @property
    def title(self) -> str:
        return f"tables of {self.database} that were left half-made"

    def verb(self, found: Resource | None) -> str:
        return "remove"

    def find(self, host: Host) -> Self:
        return replace(self, whole=not (self.store and self._half_made(host, self.store)))

    def _half_made(self, host: Host, store: Store) -> bool:
        until = time.monotonic() + PATIENCE
        while store.tables(host) and not store.used(host):
            if main_process(host, self.unit) == "0":
                return True
            # Somebody is at it right now, or tries again and again.
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return False

    def make(self, host: Host, found: Self | None) -> None:
        host.run("systemctl", "stop", self.unit, timeout=120)
        if self.store:
            self.store.clear(host)
