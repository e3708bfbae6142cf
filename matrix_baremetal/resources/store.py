"""Where a server keeps its rows: a database of the local Postgres, or an SQLite file. Who asks needn't know which.

What is asked here is asked of both, in SQL that both speak, with values by name (`:name`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from matrix_baremetal.errors import Obstacle
from matrix_baremetal.host import Host

Rows = list[list[str]]


class Store(ABC):
    """Where a server keeps its rows. It is asked as somebody who can do no more than he must."""

    # What the config and `status` call it.
    kind: ClassVar[str]
    # What Synapse calls it.
    driver: ClassVar[str]

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The `database` of Synapse's config."""

    @abstractmethod
    def rows(self, host: Host, sql: str, secret: Mapping[str, str] | None = None, **values: str) -> Rows:
        """What a statement gives; no rows where there is no such table, no database yet, or nobody answers.

        Those in `secret` are values that nobody else may see. Raises `Error` in the database's own words.
        """

    @abstractmethod
    def tables(self, host: Host) -> int:
        """How many tables there are."""

    @abstractmethod
    def clear(self, host: Host) -> None:
        """Take away tables that were never whole; not what has a `schema_version`, and not what isn't ours."""

    @abstractmethod
    def size(self, host: Host) -> int:
        """Its bytes on disk."""

    @abstractmethod
    def version(self, host: Host) -> str:
        """The release of the program that keeps it."""

    @abstractmethod
    def obstacles(self, host: Host, *, processes: int, least: int) -> Iterator[Obstacle]:
        """What stands in the way of making it, or of so many processes using it.

        `least` is the oldest major release of Postgres that they speak to.
        """

    @abstractmethod
    def trouble(self, host: Host) -> Obstacle | None:
        """Why its server can't read or write it now; None where it can."""

    def used(self, host: Host) -> bool:
        """Whether there is what somebody would miss: Synapse has been at work in it."""
        return bool(self.rows(host, VERSION))


VERSION = """SELECT 1 FROM schema_version LIMIT 1;"""
