"""Roles and databases of the local Postgres, made over its Unix socket as its superuser; there is no password.

What is ours carries a comment that says so. A role or a database of our name without it is somebody else's, and
is neither adopted nor changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.shell import Failed

OURS = "made by matrix-baremetal"
Rows = list[list[str]]
AS_POSTGRES = ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")


@dataclass(frozen=True)
class Role(Resource):
    """A role that the system user of the same name logs in as, by peer authentication (Debian's pg_hba.conf)."""

    live: ClassVar[bool] = True

    role: str
    port: int = field(default=5432, compare=False)
    comment: str = OURS

    def find(self, host: Host) -> Self | None:
        rows = query(host, self.port, FIND_ROLE, name=self.role)
        return replace(self, comment=rows[0][0]) if rows else None

    def make(self, host: Host, found: Self | None) -> None:
        if found is not None:
            raise foreign("role", self.role)
        query(host, self.port, MAKE_ROLE, name=self.role, comment=self.comment)


@dataclass(frozen=True)
class Database(Resource):
    """A database with UTF-8 and the C locale, which Synapse insists on (its docs/postgres.md), from template0."""

    live: ClassVar[bool] = True

    database: str
    owner: str = ""
    port: int = field(default=5432, compare=False)
    encoding: str = "UTF8"
    locale: str = "C"
    comment: str = OURS

    def find(self, host: Host) -> Self | None:
        rows = query(host, self.port, FIND_DATABASE, name=self.database)
        if not rows:
            return None
        owner, encoding, collate, ctype, provider, comment = rows[0]
        # A database of the ICU provider calls itself C and sorts otherwise.
        locale = collate if (collate, provider) == (ctype, "c") else f"{collate}/{ctype} ({provider})"
        return replace(self, owner=owner, encoding=encoding, locale=locale, comment=comment)

    def make(self, host: Host, found: Self | None) -> None:
        if found is None:
            owner, encoding, locale = self.owner, self.encoding, self.locale
            query(host, self.port, MAKE_DATABASE, name=self.database, owner=owner, encoding=encoding, locale=locale)
        elif found != replace(self, comment="") or self._tables(host):
            raise foreign("database", self.database)
        # Its mark comes last: a kill in between leaves an empty database, which the next run marks.
        query(host, self.port, MARK_DATABASE, name=self.database, comment=self.comment)

    def _tables(self, host: Host) -> bool:
        rows = query(host, self.port, COUNT_TABLES, database=self.database)
        return rows != [["0"]]


FIND_ROLE = """SELECT coalesce(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = :'name';"""
MAKE_ROLE = """BEGIN;
CREATE ROLE :"name" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE;
COMMENT ON ROLE :"name" IS :'comment';
COMMIT;"""
FIND_DATABASE = """SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype,
datlocprovider, coalesce(shobj_description(oid, 'pg_database'), '') FROM pg_database WHERE datname = :'name';"""
MAKE_DATABASE = """CREATE DATABASE :"name" OWNER :"owner" TEMPLATE template0
ENCODING :'encoding' LOCALE_PROVIDER libc LC_COLLATE :'locale' LC_CTYPE :'locale';"""
MARK_DATABASE = """COMMENT ON DATABASE :"name" IS :'comment';"""
COUNT_TABLES = """SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'S') AND nspname NOT IN ('pg_catalog', 'information_schema')
AND nspname NOT LIKE 'pg\\_toast%';"""


# Seconds: how long a connection may take. A Postgres that is stopped in its tracks accepts one and says nothing.
CONNECT = 2


def query(
    host: Host,
    port: int,
    sql: str,
    database: str = "postgres",
    must: bool = False,
    secret: Mapping[str, str] | None = None,
    timeout: float = 60,
    **values: str,
) -> Rows:
    """The rows that a statement gives, run as the superuser; none where the cluster or the table is not there yet.

    With `must`, no answer is an error and not no rows. Values reach it as psql's variables, quoted by psql itself
    (`:'name'` text, `:"name"` identifier); those in `secret` by stdin, as everybody may read a program's words.
    Raises `Error` with Postgres's own words.
    """
    if not host.live:
        return []
    variables = [word for name, value in values.items() for word in ("-v", f"{name}={value}")]
    # Not Debian's /usr/bin/psql, a Perl wrapper, nor runuser with its PAM session: seven times slower together.
    releases = [name for name in host.names("/usr/lib/postgresql") if name.isdigit()]
    program = f"/usr/lib/postgresql/{max(releases, key=int)}/bin/psql" if releases else "psql"
    psql = (program, "-XAtq", "-F", "\x1f", "-v", "ON_ERROR_STOP=1", "-p", str(port), "-d", database, *variables)
    settings = "".join(f"\\set {name} {literal(value)}\n" for name, value in (secret or {}).items())
    try:
        env = {"PGCONNECT_TIMEOUT": str(CONNECT)}
        result = host.run(*AS_POSTGRES, *psql, input=settings + sql, env=env, ok=(0, 2), timeout=timeout)
    except Failed as error:
        if sql.startswith("SELECT") and "does not exist" in error.result.err:
            return []
        raise Error(f"Postgres refused: {error.result.last_words}", hint="journalctl -u 'postgresql*'") from None
    if result.status == 2 and (must or not sql.startswith("SELECT")):
        raise Error(f"Postgres is not reachable on port {port}: {result.last_words}", hint="pg_lsclusters")
    return [line.split("\x1f") for line in result.out.splitlines()]


def literal(value: str) -> str:
    """A value as psql's own commands take it, which know escapes inside of quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def foreign(kind: str, name: str) -> Error:
    """Why we keep our hands off."""
    listing = "\\du" if kind == "role" else "\\l"
    return Error(
        f"Postgres has a {kind} {name} already that matrix-baremetal did not make, and it is left alone",
        hint=f"look at it with: sudo -u postgres psql -c '{listing}'; if it is not needed, rename it",
    )
