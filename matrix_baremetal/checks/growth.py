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


# A table that goes while it is asked about has no size any more.
TABLES = """SELECT relname, coalesce(pg_total_relation_size(c.oid), 0) FROM pg_class c
JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind IN ('r', 'p', 'm') AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_%'
ORDER BY 2 DESC, 1;"""
