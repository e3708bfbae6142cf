"""A site is what the operator asked for, on the machine that there is, in the versions that this release ships."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from matrix_baremetal.config import Config
from matrix_baremetal.config_registration import end, here
from matrix_baremetal.facts import Facts
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.postgres_store import PostgresStore
from matrix_baremetal.resources.sqlite_store import SqliteStore
from matrix_baremetal.resources.store import Store
from matrix_baremetal.versions import Versions


@dataclass(frozen=True)
class Site:
    """All that the components may know. `wheelhouse` is a directory of wheels where there is no network, `before` the
    Synapse whose virtualenv is kept for a way back.
    """

    config: Config
    facts: Facts
    versions: Versions
    wheelhouse: str | None = None
    before: str | None = None

    @property
    def closes(self) -> datetime | None:
        """When registration closes by itself, in UTC."""
        until = self.config.opening.until
        return end(until, self.facts.zone) if until else None

    def here(self, moment: datetime) -> str:
        """A moment as this machine's clock shows it, with the name of its zone."""
        return here(moment, self.facts.zone)

    @property
    def cluster(self) -> Cluster:
        """The Postgres cluster; before there is one, the one that installing Postgres will make."""
        return self.facts.cluster or Cluster({12: "15", 13: "17"}.get(self.facts.release, "15"), "main", 5432)

    def stores(self, name: str) -> Mapping[str, Store]:
        """Where the server of this name could keep its rows, by the word that the config has for it."""
        facts = self.facts
        return {
            "postgres": PostgresStore(
                name, self.cluster, facts.pool, lost=facts.no_cluster, used_port=facts.used_port
            ),
            "sqlite": SqliteStore(f"/var/lib/{name}/database/homeserver.db", user=name),
        }

    def store(self, name: str) -> Store:
        """Where the server of this name keeps its rows."""
        return self.stores(name)[self.config.database]
