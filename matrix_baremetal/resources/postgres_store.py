"""A server's rows in a database of the local Postgres: what is in its way, and why it can't be used now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from matrix_baremetal.connections import POOL, missing, wanted
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.cluster_move import COMMAND
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.postgres import (
    COUNT_TABLES,
    OURS,
    SEPARATOR,
    Database,
    Role,
    connections,
    hba_obstacle,
    installed,
    program,
    query,
)
from matrix_baremetal.resources.postgres_copy import DROP, PostgresCopy
from matrix_baremetal.resources.postgres_upkeep import PostgresUpkeep
from matrix_baremetal.resources.store import SCHEMA, Copy, Rows, Store
from matrix_baremetal.resources.upkeep import Upkeep
from matrix_baremetal.shell import Result


@dataclass(frozen=True)
class PostgresStore(Store):
    """A database of the role, and of the system user, that has its name."""

    kind: ClassVar[str] = "postgres"
    driver: ClassVar[str] = "psycopg2"

    database: str
    cluster: Cluster
    # The most connections that one process opens.
    pool: int = POOL
    # Why there is no such cluster.
    lost: Obstacle | None = None
    # Where the server looks for it as yet.
    used_port: int | None = None
    versions: str = SCHEMA

    @property
    def settings(self) -> dict[str, Any]:
        # The Unix socket and peer authentication: there is no password.
        names = {"user": self.database, "dbname": self.database}
        args = {"host": "/var/run/postgresql", "port": self.cluster.port, "cp_min": 5, "cp_max": self.pool}
        return {"name": self.driver, "args": {**names, **args}}

    def rows(
        self, host: Host, sql: str, secret: Mapping[str, str] | None = None, timeout: float = 60, **values: str
    ) -> Rows:
        return query(host, self.cluster.port, quoted(sql), self.database, False, secret, timeout, **values)

    def tables(self, host: Host) -> int:
        rows = query(host, self.cluster.port, COUNT_TABLES, database=self.database)
        return int(rows[0][0]) if rows else 0

    def clear(self, host: Host) -> None:
        # Asked again inside: what has a version by now has been used, and stays.
        query(host, self.cluster.port, CLEAR, database=self.database, owner=self.database, comment=OURS)

    def size(self, host: Host) -> int:
        rows = query(host, self.cluster.port, SIZE, name=self.database)
        return int(rows[0][0]) if rows else 0

    def version(self, host: Host) -> str:
        return self.cluster.version

    def purge(self, host: Host) -> None:
        for (name,) in query(host, self.cluster.port, OURS_ALL, owner=self.database, comment=OURS):
            query(host, self.cluster.port, DROP, name=name)
        if Role(self.database, port=self.cluster.port).find(host) == Role(self.database):
            query(host, self.cluster.port, DROP_ROLE, name=self.database)

    @property
    def copy(self) -> Copy:
        return PostgresCopy(self.database, self.cluster.port, versions=self.versions)

    @property
    def upkeep(self) -> Upkeep:
        return PostgresUpkeep(self.database, self.cluster.port)

    def obstacles(self, host: Host, *, processes: int, least: int) -> Iterator[Obstacle]:
        cluster, port, name = self.cluster, self.cluster.port, self.database
        if self.lost:
            yield self.lost
            return
        if not installed(host):
            # It comes with the rest, as Debian sets it up.
            return
        if cluster.major < least:
            yield Obstacle(
                f"Synapse needs Postgres {least} or newer; that of {cluster.title} is {cluster.major}",
                COMMAND if cluster.ours else f"pg_upgradecluster {cluster.version} {cluster.name}",
            )
        if not cluster.server:
            # One that is down is started when its turn comes, and asked then.
            yield from self._closed(host)
            return
        for resource in (Role(name, port=port), Database(name, owner=name, port=port)):
            if obstacle := resource.foreign(host):
                yield obstacle
        if obstacle := hba_obstacle(host, port, name, cluster.unit):
            yield obstacle
        there = connections(host, port, name)
        if short := missing(there, processes=processes, pool=self.pool):
            most = there.most + short
            yield Obstacle(
                f"Postgres takes {there.most} connections at once, {there.kept} of them for its superusers only; "
                f"others have {there.others} now, and Synapse may need {wanted(processes, self.pool)}",
                f"pg_conftool {cluster.version} {cluster.name} set max_connections {most}; "
                f"systemctl restart {cluster.unit}",
            )

    def _closed(self, host: Host) -> Iterator[Obstacle]:
        """Where it runs and its superuser can't come in as the system user that he is."""
        if self._psql(host, "pg_isready", "-q").status == 0:
            try:
                query(host, self.cluster.port, WRITES, must=True)
            except Error as error:
                line, file = "local all postgres peer", f"{self.cluster.folder}/pg_hba.conf"
                words = error.message.rpartition("failed: ")[2]
                yield Obstacle(
                    f"{self.cluster.unit} does not let its superuser in over its socket: {words}",
                    f"where that is for want of a line in {file}, write this above all others that begin with "
                    f"local: {line}; then: systemctl reload {self.cluster.unit}",
                )

    def trouble(self, host: Host) -> Obstacle | None:
        if self.lost:
            return self.lost
        if self.used_port not in (None, self.cluster.port):
            moved = f"it is looked for on port {self.used_port} of Postgres, and is on {self.cluster.port}"
            return Obstacle(moved, "matrix-baremetal apply")
        if not installed(host):
            return Obstacle("Postgres is not installed", "matrix-baremetal apply")
        # As the server itself would come in, for whatever reason it may be kept out.
        seen = self._psql(host, "psql", "-XAtqw", "-F", SEPARATOR, "-U", self.database, "-d", self.database)
        if seen.status:
            return self._kept_out(host, seen)
        read_only, standby = seen.out.strip().split(SEPARATOR)
        psql = f"sudo -u postgres psql -p {self.cluster.port}"
        if standby == "t":
            return Obstacle("Postgres is a standby here and takes no writes", f"{psql} -c 'SELECT pg_promote()'")
        if read_only == "on":
            where = f"{psql} -d {self.database} -c '\\drds' -c 'SHOW default_transaction_read_only'"
            return Obstacle(f"the database {self.database} is read-only (default_transaction_read_only)", where)
        return None

    def _kept_out(self, host: Host, seen: Result) -> Obstacle:
        """Why: asked of the server where it answers, as its own words are in the language of its locale."""
        state = self._psql(host, "pg_isready", "-q").status
        unit = self.cluster.unit
        if state == 1:
            return Obstacle("Postgres is starting up or shutting down", f"journalctl -u {unit}")
        if state:
            return Obstacle(f"Postgres does not run on port {self.cluster.port}", f"systemctl start {unit}")
        told = f"Postgres does not let {self.database} in: {seen.last_words}"
        try:
            there = connections(host, self.cluster.port)
            found = hba_obstacle(host, self.cluster.port, self.database, unit)
        except Error:
            return Obstacle(told, f"journalctl -u {unit}; less /var/log/postgresql/*.log")
        if not there.left:
            shown = "SELECT datname, usename, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC"
            return Obstacle(
                f"Postgres has no connection left: {there.others} are in use, of {there.most} with {there.kept} kept "
                "for its superusers",
                f'sudo -u postgres psql -p {self.cluster.port} -c "{shown}"',
            )
        return found or Obstacle(told, f"journalctl -u {unit}; less /var/log/postgresql/*.log")

    def _psql(self, host: Host, name: str, *words: str) -> Result:
        """One of Postgres's programs, started as the server's user."""
        where = ("-p", str(self.cluster.port))
        asked = (*as_user(self.database), program(host, name), *words, *where)
        return host.run(*asked, input=WRITES, ok=range(256), timeout=20)


# Settings of the role count here too, as it is the role that asks.
WRITES = """SELECT current_setting('transaction_read_only'), pg_is_in_recovery();"""
SIZE = """SELECT pg_database_size(oid) FROM pg_database WHERE datname = :'name';"""
OURS_ALL = """SELECT datname FROM pg_database WHERE pg_get_userbyid(datdba) = :'owner'
AND (starts_with(shobj_description(oid, 'pg_database'), :'comment')
OR shobj_description(oid, 'pg_database') = 'kept by matrix-baremetal restore');"""
DROP_ROLE = """DROP ROLE IF EXISTS :"name";"""
CLEAR = """BEGIN;
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


def quoted(sql: str) -> str:
    """Values by name as psql quotes them: `:name` alone would put them there bare."""
    return re.sub(r"(?<![:\w]):([a-z]+)", r":'\1'", sql)
