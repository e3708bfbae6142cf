"""The rows of a Postgres database as a dump, and a second database that takes the place of the first.

The role of the server dumps and loads, not the superuser: what is in an archive can then do no more than the server
itself may.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.postgres import MARK_DATABASE, OURS, SEPARATOR, Database, program, query
from matrix_baremetal.resources.store import NUMBERS, SCHEMA, Copy, noted
from matrix_baremetal.shell import Failed

# One-time keys are handed out once each: clients of a server that went back in time would get used ones, and could
# not read messages (Synapse's docs/usage/administration/backups.md).
WITHOUT = "e2e_one_time_keys_json"
# Postgres's number for a table that is not there.
NO_TABLE = "42P01"


@dataclass(frozen=True)
class PostgresCopy(Copy):
    """Of the database of this name, in the cluster on this port."""

    database: str
    port: int
    purpose: str = "restored"
    versions: str = SCHEMA

    @property
    def second(self) -> str:
        """The database that is loaded."""
        return f"{self.database}-{self.purpose}"

    @property
    def scratch(self) -> Copy:
        return replace(self, purpose="drill")

    def dump(self, host: Host) -> tuple[str, ...]:
        # Not compressed: the archive is, as a whole and better.
        words = ("--format=custom", "--compress=0", f"--exclude-table-data={WITHOUT}", "--no-owner", "--no-acl")
        return self._run(host, "pg_dump", *words, f"--dbname={self.database}")

    def needed(self, host: Host) -> int:
        return 0

    def _run(self, host: Host, name: str, *words: str) -> tuple[str, ...]:
        return (*as_user(self.database), program(host, name), "--no-password", f"--port={self.port}", *words)

    def begin(self, host: Host, *, script: bool = False) -> tuple[str, ...]:
        self.discard(host)
        resource = Database(self.second, owner=self.database, port=self.port)
        resource.make(host, resource.find(host))
        if script:
            words = ("-Xqw", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", f"--dbname={self.second}")
            return self._run(host, "psql", *words)
        restore = ("--no-owner", "--no-acl", "--exit-on-error", f"--dbname={self.second}")
        return self._run(host, "pg_restore", *restore)

    def discard(self, host: Host) -> None:
        rows = query(host, self.port, FIND, name=self.second)
        if rows and (rows[0][0].startswith(OURS) or rows[0] == ["", self.database]):
            query(host, self.port, DROP, name=self.second)

    def numbers(self, host: Host) -> dict[str, int]:
        users, rooms = self._ask(host, self.second, NUMBERS)
        return {"users": int(users), "rooms": int(rooms)}

    def _ask(self, host: Host, database: str, sql: str) -> list[str]:
        """The cells of the one row."""
        # Not as the superuser: in an archive that somebody made, a table may be a view that does things. An error is
        # known by its number, as its words are in the server's language.
        stops = ("-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=sqlstate")
        words = ("-XAtqw", "-F", SEPARATOR, *stops, "-U", self.database, "-d", database)
        psql = (*as_user(self.database), program(host, "psql"), *words, "-p", str(self.port))
        return host.run(*psql, input=sql, timeout=600).out.strip("\n").split(SEPARATOR)

    def finish(self, host: Host, mark: str, expected: Mapping[str, str]) -> None:
        found = self._counted(host, self.second)
        if found != expected:
            raise Error(
                f"the database that was loaded has {found}, and the backup says {dict(expected)}",
                hint="run the same command again; the old database is untouched",
            )
        if mark:
            query(host, self.port, MARK_DATABASE, name=self.second, comment=f"{OURS} from {mark}")

    def ready(self, host: Host, mark: str) -> bool:
        return query(host, self.port, FIND, name=self.second)[:1] == [[f"{OURS} from {mark}", self.database]]

    def take(self, host: Host, kept: str) -> None:
        first, second, kept = self.database, self.second, f"{self.database}-{kept}"
        query(host, self.port, TAKE, first=first, second=second, kept=kept, comment=OURS)

    def taken(self, host: Host, kept: str) -> bool:
        return bool(query(host, self.port, FIND, name=f"{self.database}-{kept}"))

    def forget(self, host: Host, kept: str) -> None:
        name = f"{self.database}-{kept}"
        if self.taken(host, kept) and not query(host, self.port, noted(self.versions), database=name):
            query(host, self.port, DROP, name=name)

    def kept(self, kept: str) -> str:
        return f"sudo -u postgres dropdb -p {self.port} {self.database}-{kept}"

    def counted(self, host: Host) -> dict[str, str]:
        return self._counted(host, self.database)

    def _counted(self, host: Host, database: str) -> dict[str, str]:
        """The schema's version and the number of tables; nothing before its server's first start."""
        try:
            schema, *tables = self._ask(host, database, COUNT.format(self.versions))
        except Failed as error:
            if NO_TABLE in error.result.err:
                return {}
            raise Error(f"Postgres refused: {error.result.last_words}", hint="journalctl -u 'postgresql*'") from None
        return {"schema": schema, "tables": tables[0]} if schema else {}


FIND = """SELECT coalesce(shobj_description(oid, 'pg_database'), ''), pg_get_userbyid(datdba) FROM pg_database
WHERE datname = :'name';"""
DROP = """DROP DATABASE :"name" WITH (FORCE);"""
COUNT = """SELECT max(version), (SELECT count(*) FROM pg_tables WHERE schemaname = 'public') FROM {};"""
# Both names at once: a power cut leaves the old database in its place, or the new one.
TAKE = """\\o /dev/null
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (:'first', :'second');
\\o
BEGIN;
ALTER DATABASE :"first" RENAME TO :"kept";
ALTER DATABASE :"second" RENAME TO :"first";
COMMENT ON DATABASE :"first" IS :'comment';
COMMENT ON DATABASE :"kept" IS 'kept by matrix-baremetal restore';
COMMIT;"""
