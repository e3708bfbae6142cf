"""What takes the disk, by name: the tables of the database, the rooms with the most state, and whose media it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from matrix_baremetal.checks import growth
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.errors import Error
from matrix_baremetal.resources.store import Store
from matrix_baremetal.session import Session

# Seconds that a question may take: some read the whole of a large table.
PATIENCE = 300.0
MOST = 8


@dataclass(frozen=True)
class Largest:
    """The largest of one kind, in their order: names with sizes in `unit`s; `failed` says why there are none."""

    title: str
    unit: str
    rows: tuple[tuple[str, int], ...]
    failed: str = ""


def read(now: Session) -> Iterator[Largest]:
    """Ask, one after the other, as each may take a while. Looks only."""
    store = now.site.store(USER)
    for title, unit, sql in QUESTIONS:
        statement = sql if isinstance(sql, str) else sql[store.kind]
        try:
            yield Largest(title, unit, tuple(asked(now, store, statement)))
        except Error as error:
            yield Largest(title, unit, (), error.message)


def asked(now: Session, store: Store, sql: str) -> Iterator[tuple[str, int]]:
    """The rows of a question. Others choose what rooms and servers are called: what is no name is left out."""
    for name, *size in store.rows(now.host, sql, None, PATIENCE, most=str(MOST))[:MOST]:
        if len(size) == 1 and size[0].isdigit() and name.isprintable():
            yield name, int(size[0])


# SQLite tells no sizes unless it was built to (dbstat), which Debian's is.
TABLES: Mapping[str, str] = {
    "postgres": growth.TABLES,
    "sqlite": """SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_master ON sqlite_master.name = dbstat.name
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT CAST(:most AS BIGINT);""",
}
STATE = """SELECT room_id, count(*) FROM state_groups_state
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT CAST(:most AS BIGINT);"""
OURS = """SELECT coalesce(user_id, '(nobody)'), sum(media_length) FROM local_media_repository
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT CAST(:most AS BIGINT);"""
THEIRS = """SELECT media_origin, sum(media_length) FROM remote_media_cache
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT CAST(:most AS BIGINT);"""
QUESTIONS = (
    ("tables of the database, with their indexes", "bytes", TABLES),
    ("rooms, by the rows that their state takes", "rows", STATE),
    ("people here, by what they uploaded", "bytes", OURS),
    ("other servers, by the copies of their media", "bytes", THEIRS),
)
