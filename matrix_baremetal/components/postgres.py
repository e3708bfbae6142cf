"""The local Postgres: our role and database, and memory settings where the cluster is ours alone."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.checks import database, growth, machine, postgres_release
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.declared import Inside
from matrix_baremetal.checks.pressure import Pressure
from matrix_baremetal.components.component import Component
from matrix_baremetal.needs import Database as DatabaseNeed
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.postgres import Database, Role
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

MB = 1024 * 1024


class Postgres(Component):
    """Debian's cluster, with peer authentication over its Unix socket."""

    def wanted(self) -> bool:
        return self.config.database == "postgres"

    def resources(self, needs: Needs) -> Iterator[Resource]:
        cluster = self.site.cluster
        yield Packages("Postgres", ("postgresql",))
        tuned = cluster.tuned or not cluster.shared
        if tuned:
            yield File(cluster.drop_in, settings(self.site.facts.memory))
            yield Directory(unit_drop_ins(cluster), 0o755)
            yield File(f"{unit_drop_ins(cluster)}/50-matrix-baremetal.conf", RESTART)
        # Other people's cluster is neither tuned nor restarted.
        yield Service(cluster.unit, reads=(cluster.drop_in, unit_drop_ins(cluster)) if tuned else ())
        for need in needs.of(DatabaseNeed):
            yield Role(need.name, port=cluster.port)
            yield Database(need.name, owner=need.name, port=cluster.port)

    def checks(self, needs: Needs) -> Iterator[Check]:
        cluster = self.site.cluster
        port, path = cluster.port, f"/var/lib/postgresql/{cluster.version}/{cluster.name}"
        yield machine.Disk("database", path)
        yield machine.Inodes("database", path)
        yield growth.Forecast("database", path)
        yield database.Reachable(port, cluster.unit)
        yield Pressure(cluster.unit)
        yield Inside(port, "set listen_addresses to localhost in Postgres's configuration, then restart it")
        declared = tuple(r for r in self.resources(needs) if isinstance(r, Role | Database))
        yield database.Declared(port, declared)
        yield database.Version(port, self.site.versions.synapse.postgres)
        yield postgres_release.Release(cluster.version, cluster.name)
        yield database.Settings(port)
        asked = needs.of(DatabaseNeed)
        names, processes = tuple(need.name for need in asked), sum(need.processes for need in asked)
        yield database.Connections(port, names, processes, self.site.facts.pool)
        for name in names:
            yield database.Writable(port, name)
            yield database.Size(port, name, path)
            yield growth.Tables(port, name)
            yield growth.Bloat(port, name)


# Debian's unit leaves a cluster down that was killed, as a restart would undo a stop behind systemd's back
# (`pg_ctlcluster` by the user postgres): none can tell it from a kill. Where a cluster is ours alone, up is better.
RESTART = """\
# Written by matrix-baremetal: Postgres comes back when it was killed, by the kernel for want of memory say.
# To stop it: systemctl stop.
[Unit]
StartLimitIntervalSec=0

[Service]
Restart=on-failure
RestartSec=3
"""


def unit_drop_ins(cluster: Cluster) -> str:
    """Where an administrator's, and our, additions to its unit are."""
    return f"/etc/systemd/system/{cluster.unit}.d"


def settings(memory: int) -> str:
    """Settings by memory (bytes), after Synapse's docs/postgres.md: an eighth for Postgres, as Synapse wants more.

    `effective_cache_size` allocates nothing: it tells the planner what the kernel may cache.
    """
    # In steps: a kernel's update moves the total by a megabyte or two, and that is no reason to restart a database.
    total = max(memory // (256 * MB) * 256, 256)
    rows = {
        "shared_buffers": f"{min(max(total // 8, 64), 4096)}MB",
        "effective_cache_size": f"{max(total // 2, 128)}MB",
        "work_mem": f"{min(max(total // 512, 4), 32)}MB",
        "maintenance_work_mem": f"{min(max(total // 32, 32), 512)}MB",
        "random_page_cost": "1.1",
        "wal_compression": "on",
    }
    head = "# Written by matrix-baremetal from this machine's memory; your own go into a file that sorts later.\n"
    return head + "".join(f"{name} = {value}\n" for name, value in rows.items())
