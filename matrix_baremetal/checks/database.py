"""The local Postgres: does it answer, is our database as Synapse needs it, and has it room for all connections."""

from __future__ import annotations

from dataclasses import dataclass, field

from matrix_baremetal.checks.check import APPLY, PATIENCE, Check, last_lines, short
from matrix_baremetal.connections import missing, wanted
from matrix_baremetal.errors import Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources.cluster_move import COMMAND
from matrix_baremetal.resources.postgres import connections, query
from matrix_baremetal.resources.postgres_store import SIZE
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.store import Rows, Store

REACHABLE = "database.reachable"
MB = 1024 * 1024


@dataclass(frozen=True)
class Reachable(Check):
    """Whether Postgres takes connections; all other checks of it come after this one."""

    form = REACHABLE
    asks = "Postgres takes connections"

    port: int
    unit: str

    @property
    def after(self) -> tuple[str, ...]:
        return (f"units.{short(self.unit)}",)

    def look(self, host: Host) -> Finding:
        try:
            query(host, self.port, "SELECT 1;", must=True, timeout=PATIENCE)
        except Error as error:
            lines = (*error.message.splitlines(), *last_lines(host, self.unit))
            words = f"Postgres does not answer on port {self.port}"
            return self.failed(words, *lines, fix=f"systemctl restart {self.unit}")
        return self.fine(f"Postgres answers on port {self.port}")


@dataclass(frozen=True)
class Asks(Check):
    """A check that asks Postgres something."""

    port: int

    @property
    def after(self) -> tuple[str, ...]:
        return (REACHABLE,)

    def rows(self, host: Host, sql: str, database: str = "postgres", **values: str) -> Rows:
        """The rows that a statement gives."""
        return query(host, self.port, sql, database, True, None, PATIENCE, **values)


@dataclass(frozen=True)
class Declared(Asks):
    """Roles and databases against their declarations: owner, UTF-8, and the collation C that Synapse insists on."""

    form = "database.collation"
    asks = "our role and database are there, with UTF-8, the collation C and the right owner"

    resources: tuple[Resource, ...] = field(default=(), repr=False)

    def look(self, host: Host) -> Finding:
        rows: list[str] = []
        for asked in self.resources:
            found = asked.find(host)
            if found is None:
                rows.append(f"{asked.title} is not there")
            elif found != asked:
                rows += [f"{asked.title}: {line}" for d in asked.differences(found) for line in d.lines]
        if not rows:
            return self.fine("the database has UTF-8, the collation C and the right owner")
        return self.failed("the database is not as Synapse needs it", *rows, next="matrix-baremetal plan")


@dataclass(frozen=True)
class Version(Asks):
    """Whether the Postgres that runs is one that Synapse speaks to."""

    form = "database.version"
    asks = "the Postgres that runs is new enough for Synapse"

    least: int = 0

    def look(self, host: Host) -> Finding:
        rows = self.rows(host, VERSION)
        runs = int(rows[0][0]) // 10000 if rows else 0
        if runs < self.least:
            message = f"Postgres {runs} runs, and Synapse needs {self.least}"
            return self.failed(message, next=f"pg_lsclusters; {COMMAND}")
        return self.fine(f"Postgres {runs} runs")


@dataclass(frozen=True)
class Connections(Asks):
    """Whether all that Synapse may open fit beside what others have open."""

    form = "database.connections"
    asks = "Postgres has room for all connections that Synapse may open"

    names: tuple[str, ...] = ()
    processes: int = 1
    pool: int = 0

    def look(self, host: Host) -> Finding:
        everybody = connections(host, self.port, timeout=PATIENCE)
        there = connections(host, self.port, *self.names, timeout=PATIENCE)
        of_us = f"Synapse may open {wanted(self.processes, self.pool)}"
        seen = f"{everybody.others} of {there.most} connections are in use, {there.others} of them by others; {of_us}"
        cure = "raise max_connections in Postgres's configuration, then restart it"
        if not everybody.left:
            return self.failed(f"Postgres is out of connections: {seen}", next=cure)
        if missing(there, processes=self.processes, pool=self.pool):
            return self.warned(f"Postgres may run out of connections: {seen}", next=cure)
        return self.fine(seen)


@dataclass(frozen=True)
class Writable(Asks):
    """Whether the database takes changes."""

    form = "database.writable.{0.name}"
    asks = "the database takes changes"

    name: str = ""

    def look(self, host: Host) -> Finding:
        rows = self.rows(host, WRITABLE, database=self.name)
        if rows == [["f", "off"]]:
            return self.fine("the database takes changes")
        if not rows:
            return self.failed(f"there is no database {self.name}", fix=APPLY)
        why = "it is a standby" if rows[0][0] == "t" else "default_transaction_read_only is on"
        cure = f'ALTER DATABASE "{self.name}" RESET default_transaction_read_only, or the same in postgresql.conf'
        return self.failed(f"the database is read-only: {why}", next=cure)


@dataclass(frozen=True)
class Usable(Check):
    """Whether the homeserver itself gets at its rows: the superuser may where its own role may not."""

    form = "database.usable.{0.name}"
    asks = "the homeserver's own user can read and write its database"

    name: str
    store: Store = field(repr=False)

    @property
    def after(self) -> tuple[str, ...]:
        return (REACHABLE,) if self.store.kind == "postgres" else ()

    def look(self, host: Host) -> Finding:
        trouble = self.store.trouble(host)
        if trouble is None:
            return self.fine("the homeserver can use its database")
        return self.failed(f"the homeserver can't use its database: {trouble.message}", next=trouble.hint)


@dataclass(frozen=True)
class Settings(Asks):
    """Lines of Postgres's configuration that it can't take: the next start would fail on them."""

    form = "database.settings"
    asks = "Postgres accepts every line of its configuration"

    def look(self, host: Host) -> Finding:
        rows = self.rows(host, SETTINGS)
        if not rows:
            return self.fine("Postgres accepts its configuration")
        lines = [f"{file}:{line}: {name}: {error}" for file, line, name, error in rows]
        return self.failed("Postgres does not accept its configuration", *lines, next=f"edit {rows[0][0]}")


@dataclass(frozen=True)
class Size(Asks):
    """How large the database is, beside what is free for it."""

    form = "database.size.{0.name}"
    asks = "the disk can take the database once more, as a vacuum or a dump needs"

    name: str = ""
    path: str = ""

    def look(self, host: Host) -> Finding:
        rows = self.rows(host, SIZE, name=self.name)
        if not rows:
            return self.skipped(f"there is no database {self.name}")
        size, free = int(rows[0][0]), host.space(self.path).size
        seen = f"the database takes {size // MB} MB, and {free // MB} MB are free for it"
        if free < size:
            return self.warned(
                f"{seen}: a dump or a full vacuum would not fit",
                next="make room: matrix-baremetal database maintain --check; or use a larger disk",
            )
        return self.fine(seen)


@dataclass(frozen=True)
class Updates(Asks):
    """Work that Synapse does on its tables after an upgrade: the server may be slow until then."""

    form = "synapse.background-updates"
    asks = "Synapse still works on its tables after an upgrade"

    name: str = ""

    def look(self, host: Host) -> Finding:
        names = [row[0] for row in self.rows(host, UPDATES, database=self.name)]
        if not names:
            return self.fine("no background updates are left to do")
        count = "1 background update is" if len(names) == 1 else f"{len(names)} background updates are"
        return self.told(f"{count} under way, and the server may be slow until they are done", *names)


@dataclass(frozen=True)
class Destinations(Asks):
    """How many other servers can't be reached now: some always can't, all of them is a sign."""

    form = "federation.destinations"
    asks = "other servers can be reached, in numbers"

    name: str = ""

    def look(self, host: Host) -> Finding:
        rows = self.rows(host, DESTINATIONS, database=self.name)
        all_of_them, failing = map(int, rows[0]) if rows else (0, 0)
        seen = f"{failing} of {all_of_them} other servers can't be reached"
        if failing > 4 and failing == all_of_them:
            return self.warned(seen, next="journalctl -u matrix-synapse | grep -i federation")
        return self.told(seen) if failing else self.fine(seen)


VERSION = "SELECT current_setting('server_version_num');"
WRITABLE = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only');"
# What only a restart would take up is said in the same words as what is wrong, and is not.
SETTINGS = (
    "SELECT sourcefile, sourceline, name, error FROM pg_file_settings f WHERE error IS NOT NULL"
    " AND NOT EXISTS (SELECT FROM pg_settings s WHERE s.name = f.name AND s.pending_restart);"
)
UPDATES = "SELECT update_name FROM background_updates ORDER BY ordering, update_name;"
DESTINATIONS = "SELECT count(*), count(*) FILTER (WHERE failure_ts IS NOT NULL) FROM destinations;"
