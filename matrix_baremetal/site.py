"""A site is what the operator asked for, on the machine that there is, in the versions that this release ships."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.config import Config
from matrix_baremetal.facts import Cluster, Facts
from matrix_baremetal.versions import Versions


@dataclass(frozen=True)
class Site:
    """All that the components may know. `wheelhouse` is a directory of wheels where there is no network."""

    config: Config
    facts: Facts
    versions: Versions
    wheelhouse: str | None = None

    @property
    def cluster(self) -> Cluster:
        """The Postgres cluster; before there is one, the one that installing Postgres will make."""
        return self.facts.cluster or Cluster({12: "15", 13: "17"}.get(self.facts.release, "15"), "main", 5432)
