"""What grows: the disks with a forecast, the tables of the database."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal import growth
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.database import Asks
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host

MB = 1024 * 1024
# Days until it is full: time enough to buy a disk.
SOON = 30
# Bytes: less a day is no growth that anybody has to act upon.
CREEPING = 5 * MB
# Bytes: from then on the states of rooms are worth a look, where they are most of the database.
MUCH = 5 * 1024 * MB
# Bytes that hold nothing: from then on, where they are a third of the tables, it is worth a command.
BLOATED = 1024 * MB
STATE = "state_groups_state"


@dataclass(frozen=True)
class Forecast(Check):
    """When a disk will be full, by how it grew until now."""

    form = "disk.forecast.{0.name}"
    asks = "the disk will be full within a month if it goes on as in the last weeks"

    name: str
    path: str

    def look(self, host: Host) -> Finding:
        samples, space = growth.read(host), host.space(self.path)
        if self.path != "/" and space.device == host.space("/").device:
            # One disk that fills up is one warning.
            return self.fine(f"{self.path} is on the disk of /")
        speed, free = growth.of_disk(samples, self.path), space.size
        if speed is None:
            return self.fine(f"how fast {self.path} fills up is known after {growth.LEAST} days of the daily look")
        if speed < CREEPING:
            return self.fine(f"{self.path} does not fill up")
        days = int(free / speed)
        seen = f"{self.path} gets {speed / MB:.0f} MB fuller each day, and is full in {days} days"
        parts = tuple(
            f"{part}: {size / MB:.0f} MB a day" for part, size in growth.of_parts(samples).items() if size >= MB
        )
        if days < SOON:
            look = f"du -xh {self.path} | sort -h | tail; a larger disk, or see media_retention in synapse.settings"
            return self.warned(seen, *parts, next=look)
        return self.fine(seen, *parts)


@dataclass(frozen=True)
class Tables(Asks):
    """The largest tables, with their indexes; that of the states of rooms is what makes databases large."""

    form = "database.tables.{0.name}"
    asks = "the states of large rooms take most of a large database"

    name: str = ""

    def look(self, host: Host) -> Finding:
        rows = [(table, int(size)) for table, size in self.rows(host, TABLES, database=self.name)]
        if not rows:
            return self.skipped(f"there is no database {self.name}, or no table in it")
        lines = tuple(f"{table}: {size // MB} MB" for table, size in rows[:5])
        whole, state = sum(size for _, size in rows), dict(rows).get(STATE, 0)
        if state > MUCH and state > whole / 2:
            message = f"the states of rooms take {state // MB} of the database's {whole // MB} MB ({STATE})"
            cure = "leave large rooms that nobody needs; see forgotten_room_retention_period, limit_remote_rooms"
            return self.told(message, *lines, next=cure)
        return self.fine(f"the largest table is {rows[0][0]}, with {rows[0][1] // MB} MB", *lines)


@dataclass(frozen=True)
class Bloat(Asks):
    """How much of the tables is empty, by what the planner knows of their rows: quick, and right within a fifth."""

    form = "database.bloat.{0.name}"
    asks = "a large part of the tables holds nothing"

    name: str = ""

    def look(self, host: Host) -> Finding:
        rows = [(table, int(size), int(empty)) for table, size, empty in self.rows(host, BLOAT, self.name)]
        size, empty = sum(row[1] for row in rows), sum(row[2] for row in rows)
        if empty < BLOATED or empty < size / 3:
            return self.fine("the tables are well filled")
        worst = sorted(rows, key=lambda row: -row[2])[:3]
        lines = tuple(f"{table}: {part // MB} of {whole // MB} MB" for table, whole, part in worst)
        message = f"about {empty // MB} of the {size // MB} MB of the tables hold nothing"
        return self.told(message, *lines, next="matrix-baremetal database maintain --check")


# A table that goes while it is asked about has no size any more.
TABLES = """SELECT relname, coalesce(pg_total_relation_size(c.oid), 0) FROM pg_class c
JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_%'
ORDER BY 2 DESC, 1;"""
# 24 bytes stand before each row and 4 lead to it, and on average 4 round it up; a page has a head of its own.
BLOAT = """SELECT c.relname, pg_relation_size(c.oid), greatest(0, pg_relation_size(c.oid)
- c.reltuples::float8 * (32 + sum(avg_width * (1 - null_frac))) / 0.95)::bigint
FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = s.tablename AND c.relkind = 'r'
WHERE s.schemaname NOT IN ('pg_catalog', 'information_schema') AND reltuples >= 0 AND NOT inherited
GROUP BY c.oid, c.relname, c.reltuples HAVING pg_relation_size(c.oid) IS NOT NULL ORDER BY 3 DESC, 1;"""
