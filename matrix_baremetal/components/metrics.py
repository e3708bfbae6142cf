"""Numbers for Prometheus about Synapse, Postgres, nginx and the machine, on the loopback address.

Debian's exporters, in units of ours: their own would listen to everybody, and be left behind where this is switched
off. docs/metrics has what a Prometheus is told, alerts and a dashboard.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.checks import metrics
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components import nginx
from matrix_baremetal.components.component import Component, service_reads
from matrix_baremetal.components.homeserver_yaml import METRICS
from matrix_baremetal.needs import Need, Needs, Port, Setting, StubStatus
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.masks import Mask
from matrix_baremetal.resources.monitor import Monitor
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

USER = "matrix-metrics"
ETC = "/etc/matrix-metrics"
# As each of them is known for, so that dashboards of others work: port, and the package.
MACHINE, NGINX, POSTGRES = 9100, 9113, 9187
PACKAGES = {
    MACHINE: "prometheus-node-exporter",
    NGINX: "prometheus-nginx-exporter",
    POSTGRES: "prometheus-postgres-exporter",
}
UNITS = {
    MACHINE: "matrix-metrics-machine.service",
    NGINX: "matrix-metrics-nginx.service",
    POSTGRES: "matrix-metrics-postgres.service",
}
# Where nginx tells its exporter, which is also in that unit.
COUNTED = 9114
SYNAPSE = int(str(METRICS["port"]))


class Metrics(Component):
    """The exporters, and a listener of Synapse's own."""

    def wanted(self) -> bool:
        return self.config.metrics.enabled

    @property
    def ports(self) -> tuple[int, ...]:
        """Of the exporters that this site has."""
        spared = {MACHINE: not self.config.metrics.machine, POSTGRES: self.config.database != "postgres"}
        return tuple(port for port in UNITS if not spared.get(port))

    def needs(self) -> Iterator[Need]:
        yield Setting("enable_metrics", True)
        # Without it Synapse counts nobody: it turns no user away, which is what the setting's others are for.
        yield Setting("mau_stats_only", True)
        yield Port(SYNAPSE, "matrix-synapse.service")
        yield StubStatus(COUNTED)
        yield Port(COUNTED, nginx.UNIT)
        for port in self.ports:
            yield Port(port, UNITS[port])

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield SystemUser(USER)
        for port in self.ports:
            # Before the package comes, which would start it.
            yield Mask(f"{PACKAGES[port]}.service")
        yield Packages("metrics", tuple(PACKAGES[port] for port in self.ports), beside=True)
        yield Directory(ETC, 0o755)
        if POSTGRES in self.ports:
            yield Monitor(USER, port=self.site.cluster.port)
            yield File(f"{ETC}/postgres", environment(self.site.cluster.port))
        for port in self.ports:
            yield Service(UNITS[port], reads=(ETC, *service_reads(UNITS[port])), program=f"/usr/bin/{PACKAGES[port]}")

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield metrics.Answers("synapse", SYNAPSE, "/_synapse/metrics", "synapse_build_info")
        if MACHINE in self.ports:
            yield metrics.Answers("machine", MACHINE, "/metrics", "node_memory_MemAvailable_bytes")
        yield metrics.Answers("nginx", NGINX, "/metrics", "nginx_up 1", nginx.UNIT)
        if POSTGRES in self.ports:
            yield metrics.Answers("postgres", POSTGRES, "/metrics", "pg_up 1", self.site.cluster.unit)


def environment(port: int) -> str:
    """How Postgres's exporter finds it: by the socket, as the role of its user's name, without a password."""
    source = f"user={USER} host=/run/postgresql port={port} dbname=postgres sslmode=disable"
    return f'# Written by matrix-baremetal.\nDATA_SOURCE_NAME="{source}"\n'
