"""A server's rows in an SQLite file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.sqlite_copy import SqliteCopy
from matrix_baremetal.resources.sqlite_upkeep import SqliteUpkeep
from matrix_baremetal.resources.store import SCHEMA, Copy, Rows, Store
from matrix_baremetal.resources.upkeep import Upkeep
from matrix_baremetal.shell import Result


@dataclass(frozen=True)
class SqliteStore(Store):
    """A file of the server's user, in a directory of its own: SQLite puts its journals beside it."""

    kind: ClassVar[str] = "sqlite"
    driver: ClassVar[str] = "sqlite3"

    path: str
    user: str
    versions: str = SCHEMA

    @property
    def directory(self) -> str:
        """Where the file and its journals are."""
        return self.path.rpartition("/")[0]

    @property
    def settings(self) -> dict[str, Any]:
        return {"name": self.driver, "args": {"database": self.path}}

    def rows(
        self, host: Host, sql: str, secret: Mapping[str, str] | None = None, timeout: float = 60, **values: str
    ) -> Rows:
        result = self._asked(host, sql, {**values, **(secret or {})}, patience=timeout / 2)
        if result.status == 0:
            return [[str(cell) for cell in row] for row in json.loads(result.out)]
        if sql.startswith("SELECT") and "no such table" in result.err:
            return []
        raise Error(f"SQLite refused {self.path}: {result.last_words}", hint=f"ls -l {self.directory}")

    def _asked(self, host: Host, sql: str, values: dict[str, str], patience: float) -> Result:
        if not host.live or host.node(self.path) is None:
            return Result(0, "[]", "")
        # Not in our own process: what a broken-into server may have made of its file is not for root to read, and
        # journals that root makes would be in the server's way.
        asked = json.dumps({"sql": sql, "values": values, "patience": patience})
        words = (*as_user(self.user), "/usr/bin/python3", "-I", "-c", ASK, str(host.path(self.path)))
        return host.run(*words, input=asked, ok=range(256), timeout=3 * patience)

    def tables(self, host: Host) -> int:
        rows = self.rows(host, "SELECT count(*) FROM sqlite_master WHERE type = 'table';")
        return int(rows[0][0]) if rows else 0

    def clear(self, host: Host) -> None:
        if not self.used(host):
            for ending in ("-journal", "-wal", "-shm", ""):
                host.remove(self.path + ending)

    def size(self, host: Host) -> int:
        places = [host.path(self.path + ending) for ending in ("", "-wal")]
        return sum(place.stat().st_size for place in places if place.exists())

    def version(self, host: Host) -> str:
        rows = self.rows(host, "SELECT sqlite_version();")
        return rows[0][0] if rows else "none"

    def purge(self, host: Host) -> None:
        host.remove_tree(self.directory)

    @property
    def copy(self) -> Copy:
        return SqliteCopy(self.path, self.user, versions=self.versions)

    @property
    def upkeep(self) -> Upkeep:
        return SqliteUpkeep(self.path, self.user, self, ASK)

    def obstacles(self, host: Host, *, processes: int, least: int) -> Iterator[Obstacle]:
        # The directory is ours alone, and made by us.
        yield from ()

    def trouble(self, host: Host) -> Obstacle | None:
        if host.node(self.path) is None:
            return Obstacle(f"there is no {self.path}", "matrix-baremetal apply; or put it back from a backup")
        # Takes the lock that a write takes, and gives it back.
        seen = self._asked(host, "BEGIN IMMEDIATE", {}, patience=3)
        if seen.status == 0:
            return None
        return Obstacle(f"{self.path}: {seen.last_words}", f"ls -l {self.directory}; df {self.directory}")


# One statement, asked of an SQLite file that is there. Python has SQLite on every Debian; its own program has not.
ASK = """\
import json, sqlite3, sys, urllib.parse
asked = json.load(sys.stdin)
where = f"file:{urllib.parse.quote(sys.argv[1])}?mode=rw"
try:
    base = sqlite3.connect(where, uri=True, timeout=asked["patience"], isolation_level=None)
    rows = base.execute(asked["sql"], asked["values"]).fetchall()
    base.close()
except sqlite3.Error as error:
    sys.exit(str(error))
json.dump([["" if cell is None else cell for cell in row] for row in rows], sys.stdout)
"""
