"""A role of Postgres that may read its statistics and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.postgres import OURS, query, told
from matrix_baremetal.resources.resource import Resource


@dataclass(frozen=True)
class Monitor(Resource):
    """A role that the system user of the same name logs in as, a member of Postgres's own pg_monitor.

    Not `known` while Postgres doesn't say whether there is one.
    """

    live: ClassVar[bool] = True

    role: str
    port: int = field(default=5432, compare=False)
    comment: str = OURS
    member: bool = True
    known: bool = True

    @property
    def title(self) -> str:
        return f"role {self.role}"

    @property
    def noun(self) -> str:
        return "role"

    def find(self, host: Host) -> Self | None:
        rows = told(host, self.port, FIND, self.role)
        if rows is None:
            return replace(self, known=False)
        return replace(self, comment=rows[0][0], member=rows[0][1] == "t") if rows else None

    def make(self, host: Host, found: Self | None) -> None:
        if found is not None and found.known and found.comment != OURS:
            raise Error(
                f"Postgres on port {self.port} has a role {self.role} that is not ours",
                hint=f"sudo -u postgres psql -p {self.port} -c 'DROP ROLE \"{self.role}\"', if nobody needs it",
            )
        query(host, self.port, GRANT if found and found.known else MAKE, name=self.role, comment=self.comment)

    def undo(self, host: Host) -> None:
        found = self.find(host)
        if found is not None and found.known and found.comment == OURS:
            query(host, self.port, DROP, name=self.role)


FIND = """SELECT coalesce(shobj_description(oid, 'pg_authid'), ''), pg_has_role(oid, 'pg_monitor', 'MEMBER')
FROM pg_roles WHERE rolname = :'name';"""
MAKE = """BEGIN;
CREATE ROLE :"name" LOGIN CONNECTION LIMIT 5;
COMMENT ON ROLE :"name" IS :'comment';
GRANT pg_monitor TO :"name";
COMMIT;"""
GRANT = """GRANT pg_monitor TO :"name";"""
DROP = """DROP ROLE :"name";"""
