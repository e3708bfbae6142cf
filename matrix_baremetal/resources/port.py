"""Rows on their way from an SQLite file to Postgres, by Synapse's own synapse_port_db: what it must be given, what it
gets wrong, and whether all of it has arrived.

It works on a copy, as it writes to the file that it reads, and into a second database, which takes the first one's
place when it is whole. Three traps (Synapse 1.163): a row with a NUL byte is left out with a warning; tables that
only grow, as it believes, are not read again by a second pass, and accounts are among them; nobody is found in the
user directory afterwards, until that is made anew.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.matrix import in_unit, writing
from matrix_baremetal.resources.postgres import OURS, query
from matrix_baremetal.resources.postgres_copy import FIND, PostgresCopy
from matrix_baremetal.shell import Failed

UNIT = "matrix-baremetal-port.service"
# What really only grows, and is most of it. All else is read again by every pass.
GROWS = (
    *("events", "event_json", "event_auth", "event_edges", "event_to_state_groups", "event_search"),
    *("event_reference_hashes", "state_events", "state_groups", "state_groups_state", "state_group_edges"),
)
# What has other rows in Postgres, or is made anew there: synapse_port_db leaves it out, or Synapse's schema fills it.
DIFFERS = re.compile(
    r"sqlite_|event_search|user_directory|users_who_share_private_rooms|users_in_public_rooms|ui_auth_sessions"
    r"|worker_read_write_locks|schema_|applied_|background_updates|port_from_sqlite3"
)


@dataclass(frozen=True)
class Port:
    """From the file `source`, a copy that is the user's own, into the second database of `copy`."""

    source: str
    user: str
    copy: PostgresCopy

    def snapshot(self, host: Host, live: str) -> None:
        """Copy the file as it is at one moment, while its server goes on. Raises `Error`."""
        self._script(host, SNAPSHOT, str(host.path(live)), str(host.path(self.source)), f"copy {live}")

    def scan(self, host: Host) -> list[str]:
        """What Postgres can't hold: table.column and how many rows, for NUL bytes and for what is no UTF-8."""
        found: list[str] = json.loads(self._script(host, SCAN, str(host.path(self.source)), "", "read the copy"))
        return found

    def run(self, host: Host, python: str, config: str, credentials: tuple[str, ...]) -> Iterator[tuple[str, int]]:
        """One pass; yields each table with its rows so far. Raises `Error`, and then the same again goes on."""
        host.run("systemctl", "stop", UNIT, ok=range(256), timeout=120)
        try:
            with host.run.reading(*self.words(python, config, credentials)) as out:
                for line in out:
                    if found := re.fullmatch(rb"(\w+): \d+% \((\d+)/\d+\)\s*", line):
                        yield found[1].decode(), int(found[2])
        except Failed as error:
            raise Error(
                f"synapse_port_db failed: {error.result.last_words or error.message}",
                hint="the same command again goes on; what Synapse has in SQLite is untouched",
            ) from None

    def words(self, python: str, config: str, credentials: tuple[str, ...]) -> tuple[str, ...]:
        """The command of one pass."""
        return (
            *in_unit(UNIT, self.user, credentials, *writing(self.source.rpartition("/")[0])),
            "--setenv=PYTHONUNBUFFERED=1",
            *(python, "-B", "-P", "-m", "synapse._scripts.synapse_port_db"),
            *("--sqlite-database", self.source, "--postgres-config", config),
        )

    def again(self, host: Host) -> None:
        """Have the next pass read again all that may have changed."""
        names = ",".join(GROWS)
        query(host, self.copy.port, AGAIN, database=self.copy.second, names=names)

    def missing(self, host: Host) -> list[str]:
        """The tables that have another number of rows than in the copy."""
        counts: dict[str, int] = json.loads(self._script(host, COUNT, str(host.path(self.source)), "", "count"))
        there = {name for (name,) in query(host, self.copy.port, TABLES, database=self.copy.second, must=True)}
        names = sorted(name for name in counts if name in there and not DIFFERS.match(name))
        asked = " UNION ALL ".join(f"SELECT '{name}', count(*) FROM \"{name}\"" for name in names)
        rows = query(host, self.copy.port, f"{asked};", database=self.copy.second, must=True, timeout=3600)
        return [
            f"{name}: {counts[name]} rows, {count} in Postgres" for name, count in rows if int(count) != counts[name]
        ]

    def ours(self, host: Host) -> bool:
        """Whether the second database is there from a pass that has ended."""
        rows = query(host, self.copy.port, FIND, name=self.copy.second)
        return rows == [[f"{OURS} by a first pass", self.copy.database]]

    def _script(self, host: Host, script: str, first: str, second: str, what: str) -> str:
        words = (*as_user(self.user), "/usr/bin/python3", "-I", "-c", script, first, second)
        result = host.run(*words, ok=range(256))
        if result.status:
            raise Error(f"SQLite could not {what}: {result.last_words}", hint="df -h; ls -l " + first)
        return result.out


@contextlib.contextmanager
def config_file(host: Host, text: str, group: str) -> Iterator[str]:
    """The config that a pass is given, where its user can read it, for as long as it takes."""
    place = "/run/matrix-baremetal/port"
    host.mkdir(place, 0o750, group=group)
    host.write(f"{place}/homeserver.yaml", text, 0o640, group=group)
    try:
        yield f"{place}/homeserver.yaml"
    finally:
        host.remove_tree(place)


TABLES = """SELECT tablename FROM pg_tables WHERE schemaname = 'public';"""
AGAIN = """CREATE TEMPORARY TABLE again AS SELECT table_name FROM port_from_sqlite3
WHERE table_name <> ALL (string_to_array(:'names', ','));
DO $$DECLARE name text; BEGIN
FOR name IN SELECT table_name FROM again LOOP EXECUTE format('TRUNCATE %I CASCADE', name); END LOOP; END$$;
DELETE FROM port_from_sqlite3 WHERE table_name IN (SELECT table_name FROM again);"""
SNAPSHOT = """\
import os, pathlib, sqlite3, sys
live, copy = map(pathlib.Path, sys.argv[1:3])
try:
    for ending in ("-wal", "-shm", ""):
        pathlib.Path(f"{copy}{ending}").unlink(missing_ok=True)
    source = sqlite3.connect(live.as_uri() + "?mode=rw", uri=True, timeout=60)
    base = sqlite3.connect(copy)
    os.chmod(copy, 0o600)
    source.backup(base, pages=-1)
    base.close()
except (sqlite3.Error, OSError) as error:
    sys.exit(str(error))
"""
COUNT = """\
import json, pathlib, sqlite3, sys
try:
    base = sqlite3.connect(pathlib.Path(sys.argv[1]).as_uri() + "?mode=rw", uri=True, timeout=30)
    names = [name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    names = [name for name in names if name.replace("_", "a").isalnum() and not name.startswith("sqlite_")]
    print(json.dumps({name: base.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names}))
except sqlite3.Error as error:
    sys.exit(str(error))
"""
SCAN = """\
import collections, json, pathlib, sqlite3, sys
try:
    base = sqlite3.connect(pathlib.Path(sys.argv[1]).as_uri() + "?mode=rw", uri=True, timeout=30)
    base.text_factory = bytes
    found = collections.Counter()
    names = [name.decode() for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for name in names:
        if name.startswith(("sqlite_", "event_search_", "user_directory_search")):
            continue
        columns = [row[1].decode() for row in base.execute(f'PRAGMA table_info("{name}")')]
        kinds = ", ".join(f'typeof("{column}"), "{column}"' for column in columns)
        for row in base.execute(f'SELECT {kinds} FROM "{name}"'):
            for column, kind, value in zip(columns, row[::2], row[1::2]):
                if kind == b"text":
                    try:
                        value.decode()
                    except UnicodeDecodeError:
                        found[f"{name}.{column} is no UTF-8"] += 1
                    if b"\\0" in value:
                        found[f"{name}.{column} has a NUL byte"] += 1
    print(json.dumps([f"{what} in {count} rows" for what, count in sorted(found.items())]))
except sqlite3.Error as error:
    sys.exit(str(error))
"""
