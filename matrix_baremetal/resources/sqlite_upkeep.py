"""An SQLite file: how many of its pages are free, and VACUUM, which writes it anew while nobody else may write."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.store import Store
from matrix_baremetal.resources.upkeep import LONG, MORTAL, Part, Upkeep, Work


@dataclass(frozen=True)
class SqliteUpkeep(Upkeep):
    """Of the file at `path`; `ask` is the program that works on it as the system user, told what by its stdin."""

    path: str
    user: str
    store: Store
    ask: str

    @property
    def place(self) -> str:
        return self.path.rpartition("/")[0]

    def measure(self, host: Host) -> list[Part]:
        rows = self.store.rows(host, PAGES)
        return [Part("file", self.path, self.path, int(size), int(empty)) for size, empty in rows]

    def leftovers(self, host: Host) -> list[Work]:
        return []

    def vacuums(self, parts: Sequence[Part]) -> list[Work]:
        return []

    def reindexes(self, parts: Sequence[Part]) -> list[Work]:
        return []

    def rewrites(self, parts: Sequence[Part]) -> list[Work]:
        # A copy, and a journal of what it replaces.
        return [Work("rewrite", each, int(each.size * 2.2)) for each in parts if each.worthwhile]

    def carry_out(self, host: Host, work: Work) -> None:
        asked = json.dumps({"sql": "VACUUM", "values": {}, "patience": 60})
        words = (*as_user(self.user), MORTAL, "/usr/bin/python3", "-I", "-c", self.ask, str(host.path(self.path)))
        # Its copy goes to /tmp otherwise, which may be small.
        env = {"SQLITE_TMPDIR": str(host.path(self.place))}
        done = host.run(*words, input=asked, env=env, ok=range(256), timeout=LONG)
        if done.status:
            raise Error(
                f"SQLite did not {work.title}: {done.last_words}",
                hint="once that is mended: matrix-baremetal database maintain --full",
            )


PAGES = """SELECT page_count * page_size, freelist_count * page_size
FROM pragma_page_count(), pragma_freelist_count(), pragma_page_size();"""
