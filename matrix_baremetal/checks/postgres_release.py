"""Which release of Postgres has the database: is a newer one here, is this one maintained, is an old one left."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from matrix_baremetal import HOW_TO
from matrix_baremetal.checks.check import Check
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.resources import cluster_move
from matrix_baremetal.resources.cluster_move import COMMAND
from matrix_baremetal.resources.postgres import installed

# The last day of each release: "Final Release" in PostgreSQL's versioning policy (postgresql.org/support/versioning).
ENDS = {
    13: datetime.date(2025, 11, 13),
    14: datetime.date(2026, 11, 12),
    15: datetime.date(2027, 11, 11),
    16: datetime.date(2028, 11, 9),
    17: datetime.date(2029, 11, 8),
    18: datetime.date(2030, 11, 14),
}
# Days before its end that a person hears of it.
SOON = 180
# What pg_upgradecluster writes into the start.conf of the cluster that it has left behind.
LEFT = re.compile(r"was upgraded to a newer major version")


@dataclass(frozen=True)
class Release(Check):
    """Whether the cluster of our database is of a release that has a future."""

    form = "database.release"
    asks = "the Postgres that has the database is the newest of this machine, and is maintained"

    version: str
    name: str

    def look(self, host: Host) -> Finding:
        if (move := cluster_move.pending(host)) is not None:
            return self.failed(f"the move of the cluster {move.title} was cut off", next=COMMAND)
        newest = installed(host)[-1:]
        if newest and int(newest[0]) > int(self.version):
            message = f"Postgres {self.version} has the database, and Debian has brought Postgres {newest[0]}"
            return self.warned(message, "updates come for the new one", next=COMMAND)
        end = ENDS.get(int(self.version))
        left = (end - today()).days if end else SOON
        if end and left < SOON:
            ends = f"ended on {end}" if left < 0 else f"ends on {end}"
            cure = f"upgrade Debian to its next release ({HOW_TO}/debian-upgrade.md); then: {COMMAND}"
            return self.warned(f"the maintenance of Postgres {self.version} {ends}", next=cure)
        for old in host.names("/etc/postgresql"):
            if old != self.version and LEFT.search(host.text(f"/etc/postgresql/{old}/{self.name}/start.conf") or ""):
                message = f"Postgres {self.version} has the database; the old cluster {old}/{self.name} is still here"
                return self.told(message, next=f"pg_dropcluster --stop {old} {self.name}, once you are sure")
        return self.fine(f"Postgres {self.version} has the database, the newest of this machine")


def today() -> datetime.date:
    """The day, in the world's time."""
    return datetime.datetime.now(datetime.UTC).date()
