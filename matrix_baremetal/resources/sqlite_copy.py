"""The rows of an SQLite file as another such file, which can take its place.

All of it is done by programs of the server's user: the file and its directory are the server's own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.postgres_copy import WITHOUT
from matrix_baremetal.resources.store import NUMBERS, SCHEMA, Copy

JOURNALS = ("", "-wal", "-shm", "-journal")


@dataclass(frozen=True)
class SqliteCopy(Copy):
    """Of the file at a path, which is that user's."""

    path: str
    user: str
    purpose: str = "restored"
    versions: str = SCHEMA

    @property
    def second(self) -> str:
        """The file that is loaded."""
        return f"{self.path}.{self.purpose}"

    @property
    def scratch(self) -> Copy:
        return replace(self, purpose="drill")

    def _run(self, host: Host, script: str, *words: str) -> tuple[str, ...]:
        return (*as_user(self.user), "/usr/bin/python3", "-I", "-c", script, str(host.path(self.path)), *words)

    def dump(self, host: Host) -> tuple[str, ...]:
        return self._run(host, DUMP, WITHOUT)

    def needed(self, host: Host) -> int:
        place = host.path(self.path)
        return place.stat().st_size if place.exists() else 0

    def begin(self, host: Host, *, script: bool = False) -> tuple[str, ...]:
        self.discard(host)
        directory = self.path.rpartition("/")[0]
        for place in (directory.rpartition("/")[0], directory):
            if host.node(place) is None:
                host.mkdir(place, 0o700, owner=self.user, group=self.user)
        return self._run(host, LOAD, self.purpose)

    def discard(self, host: Host) -> None:
        directory, _, name = self.second.rpartition("/")
        for each in host.names(directory):
            if each.startswith(name):
                host.remove(f"{directory}/{each}")

    def numbers(self, host: Host) -> dict[str, int]:
        words = (*as_user(self.user), "/usr/bin/python3", "-I", "-c", ASK, str(host.path(self.second)), NUMBERS)
        result = host.run(*words, ok=range(256), timeout=600)
        if result.status:
            raise Error(f"SQLite can't read {self.second}: {result.last_words}", hint=f"ls -l {self.second}")
        users, rooms = json.loads(result.out)
        return {"users": int(users), "rooms": int(rooms)}

    def finish(self, host: Host, mark: str, expected: Mapping[str, str]) -> None:
        found = self._counted(host, self.second)
        if found != expected:
            raise Error(
                f"the database that was loaded has {found}, and the backup says {dict(expected)}",
                hint="run the same command again; the old database is untouched",
            )
        if mark:
            host.rename(self.second, f"{self.second}-{mark}")

    def ready(self, host: Host, mark: str) -> bool:
        return host.node(f"{self.path}.restored-{mark}") is not None

    def take(self, host: Host, kept: str) -> None:
        directory, _, name = self.path.rpartition("/")
        [fresh] = [each for each in host.names(directory) if each.startswith(f"{name}.restored-")]
        # The journals first: beside another file they would be taken for its own.
        for ending in reversed(JOURNALS):
            if host.node(self.path + ending):
                # Where a kill came before the last step, a server may have begun anew meanwhile: that is kept beside.
                anew = ".anew" if host.node(f"{self.path}.{kept}{ending}") else ""
                host.rename(self.path + ending, f"{self.path}.{kept}{anew}{ending}")
        if host.node(f"{self.path}.{kept}") is None:
            # There was none: this says later that the step was done.
            host.write(f"{self.path}.{kept}", b"", 0o600, self.user, self.user)
        host.rename(f"{directory}/{fresh}", self.path)

    def taken(self, host: Host, kept: str) -> bool:
        directory, _, name = self.path.rpartition("/")
        waiting = [each for each in host.names(directory) if each.startswith(f"{name}.restored-")]
        return bool(not waiting and host.node(self.path) and host.node(f"{self.path}.{kept}"))

    def forget(self, host: Host, kept: str) -> None:
        place = f"{self.path}.{kept}"
        if host.node(place) and not self._counted(host, place):
            for ending in JOURNALS:
                host.remove(place + ending)

    def kept(self, kept: str) -> str:
        return f"rm {self.path}.{kept}*"

    def counted(self, host: Host) -> dict[str, str]:
        return self._counted(host, self.path)

    def _counted(self, host: Host, path: str) -> dict[str, str]:
        result = host.run(
            *(*as_user(self.user), "/usr/bin/python3", "-I", "-c", COUNT, str(host.path(path)), self.versions),
            ok=range(256),
        )
        if result.status:
            raise Error(f"SQLite can't read {path}: {result.last_words}", hint=f"ls -l {path}")
        found: dict[str, str] = json.loads(result.out)
        return found


# A copy of one moment, without one-time keys, to stdout. It has to be a file first: SQLite's way to copy one that
# is being written (its online backup) goes by pages.
DUMP = """\
import os, pathlib, shutil, sqlite3, sys
place, without = sys.argv[1:]
copy = pathlib.Path(place + ".backup")
copy.unlink(missing_ok=True)
try:
    source = sqlite3.connect(pathlib.Path(place).as_uri() + "?mode=rw", uri=True, timeout=60)
    base = sqlite3.connect(copy)
    os.chmod(copy, 0o600)
    source.backup(base, pages=-1)
    source.close()
    base.execute("PRAGMA journal_mode = DELETE")
    if base.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (without,)).fetchone():
        base.execute(f"DELETE FROM {without}")
    base.commit()
    base.close()
    with copy.open("rb") as file:
        shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
    sys.stdout.flush()
except (sqlite3.Error, OSError) as error:
    sys.exit(str(error))
finally:
    copy.unlink(missing_ok=True)
"""
LOAD = """\
import os, shutil, sys
try:
    with open(os.open(f"{sys.argv[1]}.{sys.argv[2]}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        file.flush()
        os.fsync(file.fileno())
except OSError as error:
    sys.exit(str(error))
"""
COUNT = """\
import json, pathlib, sqlite3, sys
try:
    base = sqlite3.connect(pathlib.Path(sys.argv[1]).as_uri() + "?mode=ro", uri=True, timeout=30)
    found = {}
    if base.execute("SELECT 1 FROM sqlite_master WHERE name = ?", sys.argv[2:]).fetchone():
        [version] = base.execute(f"SELECT max(version) FROM {sys.argv[2]}").fetchone()
        [tables] = base.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()
        if version is not None:
            second = sys.argv[1].endswith((".restored", ".drill"))
            if second and base.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                sys.exit("its pages are damaged")
            found = {"schema": str(version), "tables": str(tables)}
    print(json.dumps(found))
except sqlite3.Error as error:
    sys.exit(str(error))
"""
ASK = """\
import json, pathlib, sqlite3, sys
try:
    base = sqlite3.connect(pathlib.Path(sys.argv[1]).as_uri() + "?mode=ro", uri=True, timeout=30)
    print(json.dumps(base.execute(sys.argv[2]).fetchone()))
except sqlite3.Error as error:
    sys.exit(str(error))
"""
