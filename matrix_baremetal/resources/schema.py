"""The tables that Synapse makes at its first start: whole, or taken away so that it can begin anew.

It commits them script by script and writes `schema_version` last (synapse/storage/prepare_database.py). Cut off in
between, by a power cut say, it fails at every start from then on: "relation already exists".
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.host import Host
from matrix_baremetal.resources.postgres import COUNT_TABLES, OURS, query
from matrix_baremetal.resources.resource import Resource

PATIENCE = 20.0


@dataclass(frozen=True)
class Schema(Resource):
    """The tables of a database that carries our mark, made by `unit`; a database without any is fine too."""

    live: ClassVar[bool] = True

    database: str
    port: int = field(default=5432, compare=False)
    owner: str = field(default="", compare=False)
    unit: str = field(default="", compare=False)
    whole: bool = True

    @property
    def title(self) -> str:
        return f"tables of {self.database} that were left half-made"

    def verb(self, found: Resource | None) -> str:
        return "remove"

    def find(self, host: Host) -> Self:
        return replace(self, whole=not self._half_made(host))

    def _half_made(self, host: Host) -> bool:
        until = time.monotonic() + PATIENCE
        while self._begun(host):
            if not any(row != ["0"] for row in query(host, self.port, SESSIONS, name=self.database)):
                return True
            # Somebody is at it right now, or tries again and again.
            if time.monotonic() > until:
                return False
            time.sleep(0.2)
        return False

    def _begun(self, host: Host) -> bool:
        """Whether there are tables and nothing says that they are all."""
        if query(host, self.port, VERSION, database=self.database):
            return False
        return query(host, self.port, COUNT_TABLES, database=self.database) not in ([], [["0"]])

    def make(self, host: Host, found: Self | None) -> None:
        host.run("systemctl", "stop", self.unit, timeout=120)
        # Asked again inside: what has a version by now has been used, and stays.
        query(host, self.port, START_ANEW, database=self.database, owner=self.owner, comment=OURS)


VERSION = """SELECT 1 FROM schema_version LIMIT 1;"""
SESSIONS = """SELECT count(*) FROM pg_stat_activity WHERE datname = :'name';"""
START_ANEW = """BEGIN;
SELECT count(*) = 1 AS ours FROM pg_database WHERE datname = current_database()
AND shobj_description(oid, 'pg_database') = :'comment' \\gset
SELECT to_regclass('schema_version') IS NOT NULL AS versioned \\gset
\\if :versioned
SELECT count(*) > 0 AS used FROM schema_version \\gset
\\else
\\set used false
\\endif
\\if :used
\\set ours false
\\endif
\\if :ours
DROP OWNED BY :"owner";
\\endif
COMMIT;"""
