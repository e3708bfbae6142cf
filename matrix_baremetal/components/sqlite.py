"""SQLite in Postgres's place: for each server a directory of its own, as it writes journals beside its file."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.components.component import Component
from matrix_baremetal.needs import Database, Needs
from matrix_baremetal.resources.files import Directory
from matrix_baremetal.resources.resource import Resource


class Sqlite(Component):
    """Files that the servers make themselves, where nobody else can read them."""

    def wanted(self) -> bool:
        return self.config.database == "sqlite"

    def resources(self, needs: Needs) -> Iterator[Resource]:
        for need in needs.of(Database):
            yield Directory(f"/var/lib/{need.name}/database", 0o700, owner=need.name, group=need.name)
