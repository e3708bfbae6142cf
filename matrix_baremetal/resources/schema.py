"""The tables that Synapse makes at its first start: whole, or taken away so that it can begin anew; and which code
can use them.

It commits them script by script and writes `schema_version` last (synapse/storage/prepare_database.py). Cut off in
between, by a power cut say, it fails at every start from then on: "relation already exists".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.store import Store
from matrix_baremetal.resources.systemd import main_process
from matrix_baremetal.shell import Failed

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


def oldest(host: Host, store: Store) -> int:
    """The SCHEMA_VERSION that code must have at least to use the tables. Raises `Error` where they don't say."""
    rows = store.rows(host, COMPAT)
    if not rows or not rows[0][0].isdigit():
        raise Error(
            "the database does not say which versions of Synapse can use it (schema_compat_version)",
            hint="matrix-baremetal status",
        )
    return int(rows[0][0])


def understood(host: Host, python: str) -> int:
    """The SCHEMA_VERSION of the Synapse in a virtualenv, asked of its own Python. Raises `Error`."""
    return asked(host, python, "SCHEMA_VERSION")


def demanded(host: Host, python: str) -> int:
    """The SCHEMA_VERSION that code must have at least once this Synapse has run. Raises `Error`."""
    return asked(host, python, "SCHEMA_COMPAT_VERSION")


def asked(host: Host, python: str, name: str) -> int:
    """A number that Synapse has about its schema."""
    try:
        return int(host.run(python, "-I", "-B", "-c", ASK.format(name=name), timeout=60).out)
    except (Failed, ValueError) as error:
        said = error.result.last_words if isinstance(error, Failed) else error
        raise Error(f"{python} does not say which database its Synapse understands: {said}", hint="df -h") from None


COMPAT = """SELECT compat_version FROM schema_compat_version;"""
ASK = "from synapse.storage.schema import {name}; print({name})"
