"""Roles and databases of the local Postgres, made over its Unix socket as its superuser; there is no password.

What is ours carries a comment that says so. A role or a database of our name without it is somebody else's, and
is neither adopted nor changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.connections import Connections
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.store import Rows
from matrix_baremetal.shell import Failed

OURS = "made by matrix-baremetal"
SEPARATOR = "\x1f"


@dataclass(frozen=True)
class Role(Resource):
    """A role that the system user of the same name logs in as, by peer authentication (Debian's pg_hba.conf).

    Not `known` while Postgres doesn't say whether there is one.
    """

    live: ClassVar[bool] = True

    role: str
    port: int = field(default=5432, compare=False)
    comment: str = OURS
    known: bool = True

    def find(self, host: Host) -> Self | None:
        rows = told(host, self.port, FIND_ROLE, self.role)
        if rows is None:
            return replace(self, known=False)
        return replace(self, comment=rows[0][0]) if rows else None

    def verb(self, found: Resource | None) -> str:
        return "check" if isinstance(found, Role) and not found.known else super().verb(found)

    def foreign(self, host: Host) -> Obstacle | None:
        """Why a role of this name is somebody else's; None where it is ours, or where there is none."""
        found = self.find(host)
        ours = found is None or found == self or not found.known
        return None if ours else foreign("role", self.role, self.port)

    def make(self, host: Host, found: Self | None) -> None:
        if found is not None and found.known:
            raise refused(foreign("role", self.role, self.port))
        query(host, self.port, MAKE_ROLE, name=self.role, comment=self.comment)


@dataclass(frozen=True)
class Database(Resource):
    """A database with UTF-8 and the C locale, which Synapse insists on (its docs/postgres.md), from template0.

    Not `known` while Postgres doesn't say whether there is one.
    """

    live: ClassVar[bool] = True

    database: str
    owner: str = ""
    port: int = field(default=5432, compare=False)
    encoding: str = "UTF8"
    locale: str = "C"
    comment: str = OURS
    known: bool = True

    def find(self, host: Host) -> Self | None:
        rows = told(host, self.port, FIND_DATABASE, self.database)
        if not rows:
            return None if rows is not None else replace(self, known=False)
        owner, encoding, collate, ctype, provider, comment = rows[0]
        # A database of the ICU provider calls itself C and sorts otherwise.
        locale = collate if (collate, provider) == (ctype, "c") else f"{collate}/{ctype} ({provider})"
        return replace(self, owner=owner, encoding=encoding, locale=locale, comment=comment)

    def foreign(self, host: Host) -> Obstacle | None:
        """Why a database of this name is somebody else's; None where it is ours, or where there is none."""
        return self._foreign(host, self.find(host))

    def verb(self, found: Resource | None) -> str:
        return "check" if isinstance(found, Database) and not found.known else super().verb(found)

    def _foreign(self, host: Host, found: Self | None) -> Obstacle | None:
        if found is None or found == self or not found.known:
            return None
        if found == replace(self, comment="") and not self._tables(host):
            return None
        return foreign("database", self.database, self.port)

    def make(self, host: Host, found: Self | None) -> None:
        if found is None or not found.known:
            owner, encoding, locale = self.owner, self.encoding, self.locale
            query(host, self.port, MAKE_DATABASE, name=self.database, owner=owner, encoding=encoding, locale=locale)
        elif (obstacle := self._foreign(host, found)) is not None:
            raise refused(obstacle)
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
    looks = sql.startswith("SELECT")
    if not host.live or (looks and not must and not installed(host)):
        return []
    variables = [word for name, value in values.items() for word in ("-v", f"{name}={value}")]
    words = ("-XAtqw", "-F", SEPARATOR, "-v", "ON_ERROR_STOP=1", "-p", str(port), "-d", database, *variables)
    # A server speaks the language of its locale, unless asked for another.
    env = {"PGOPTIONS": "-c lc_messages=C", "PGCONNECT_TIMEOUT": str(CONNECT)}
    settings = "".join(f"\\set {name} {literal(value)}\n" for name, value in (secret or {}).items())
    try:
        psql = (*as_user("postgres"), program(host, "psql"), *words)
        result = host.run(*psql, input=settings + sql, env=env, ok=(0, 2), timeout=timeout)
    except Failed as error:
        if looks and "does not exist" in error.result.err:
            return []
        raise Error(f"Postgres refused: {error.result.last_words}", hint="journalctl -u 'postgresql*'") from None
    if result.status == 2 and (must or not looks):
        raise Silent(f"Postgres is not reachable on port {port}: {result.last_words}", hint="pg_lsclusters")
    return [line.split(SEPARATOR) for line in result.out.splitlines()]


class Silent(Error):
    """Postgres doesn't answer."""


def told(host: Host, port: int, sql: str, name: str) -> Rows | None:
    """The rows about something of this name; None where Postgres is there and doesn't say."""
    if not installed(host):
        return []
    try:
        return query(host, port, sql, must=True, name=name)
    except Silent:
        return None


def installed(host: Host) -> list[str]:
    """The releases of Postgres that this machine has programs of, the newest last."""
    return sorted((name for name in host.names("/usr/lib/postgresql") if name.isdigit()), key=int)


def program(host: Host, name: str) -> str:
    """One of Postgres's own programs, the newest: not Debian's wrapper in Perl, which takes six times as long.

    Raises `Silent` where there is none.
    """
    if not (releases := installed(host)):
        raise Silent("Postgres is not installed", hint="apt install postgresql")
    return f"/usr/lib/postgresql/{releases[-1]}/bin/{name}"


def literal(value: str) -> str:
    """A value as psql's own commands take it, which know escapes inside of quotes."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def foreign(kind: str, name: str, port: int) -> Obstacle:
    """Why we keep our hands off."""
    listing = "\\du+" if kind == "role" else "\\l+"
    return Obstacle(
        f"Postgres has a {kind} {name} already that matrix-baremetal did not make, and it is left alone",
        f"look at it with: sudo -u postgres psql -p {port} -c '{listing}'; if it is not needed, rename it",
    )


def refused(obstacle: Obstacle) -> Error:
    """An obstacle that nobody had looked for before the work began."""
    return Error(obstacle.message, hint=obstacle.hint)


def connections(host: Host, port: int, *besides: str, timeout: float = 60) -> Connections:
    """How many connections a cluster has, and how many are in use but for those to the databases `besides`."""
    names = ",".join(besides)
    [[most, kept, others]] = query(host, port, COUNT_CONNECTIONS, must=True, timeout=timeout, names=names)
    return Connections(int(most), int(kept), int(others))


# reserved_connections came with Postgres 16.
COUNT_CONNECTIONS = """SELECT current_setting('max_connections'),
current_setting('superuser_reserved_connections')::int
+ coalesce(current_setting('reserved_connections', true), '0')::int, (SELECT count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
AND datname <> ALL (string_to_array(:'names', ',')));"""


def hba_obstacle(host: Host, port: int, name: str, unit: str) -> Obstacle | None:
    """Why the system user of this name can't be its role; None where it can, as by Debian's own pg_hba.conf.

    The first line that fits counts (PostgreSQL's documentation, "The pg_hba.conf File").
    """
    rows = query(host, port, FIND_RULE, name=name)
    if not rows:
        return None
    [[file, line, method]] = rows
    if method in ("peer", "trust"):
        return None
    says = f"line {line} of {file} asks for {method}, not for peer" if method else f"no line of {file} is for it"
    return Obstacle(
        f"Postgres would not let {name} in over its socket: {says}",
        f"write this line into {file}, above all others that begin with local: local {name} {name} peer; then: "
        f"systemctl reload {unit}",
    )


FIND_RULE = """SELECT current_setting('hba_file'), coalesce(line_number, 0), coalesce(auth_method, '')
FROM (SELECT 1) AS one LEFT JOIN (SELECT line_number, auth_method FROM pg_hba_file_rules WHERE type = 'local'
AND error IS NULL AND database && ARRAY['all', 'sameuser', :'name'] AND user_name && ARRAY['all', :'name'] LIMIT 1)
AS rule ON true;"""
