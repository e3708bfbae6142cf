"""Where a server keeps its rows: a database of the local Postgres, or an SQLite file. Who asks needn't know which.

What is asked here is asked of both, in SQL that both speak, with values by name (`:name`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from matrix_baremetal.errors import Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources.upkeep import Upkeep

Rows = list[list[str]]


class Store(ABC):
    """Where a server keeps its rows. It is asked as somebody who can do no more than he must."""

    # What the config and `status` call it.
    kind: ClassVar[str]
    # What Synapse calls it.
    driver: ClassVar[str]
    # The table in which its server notes the schema's version.
    versions: str

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The `database` of Synapse's config."""

    @abstractmethod
    def rows(
        self, host: Host, sql: str, secret: Mapping[str, str] | None = None, timeout: float = 60, **values: str
    ) -> Rows:
        """What a statement gives within `timeout` seconds; no rows where there is no such table, no database yet, or
        nobody answers.

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

    @abstractmethod
    def purge(self, host: Host) -> None:
        """Take it away for good, with what a restore set aside; not what isn't ours. Its server must not run."""

    @property
    @abstractmethod
    def copy(self) -> Copy:
        """Its rows as a backup holds them."""

    @property
    @abstractmethod
    def upkeep(self) -> Upkeep:
        """What of it is empty, and how it becomes smaller."""

    def used(self, host: Host) -> bool:
        """Whether there is what somebody would miss: its server has been at work in it."""
        return bool(self.rows(host, noted(self.versions)))


class Copy(ABC):
    """The rows of a store on their way out, and a second store beside it, which takes its place when it is whole.

    `mark` is the id of a backup, which tells a second store that was loaded from it from any other.
    """

    @abstractmethod
    def dump(self, host: Host) -> tuple[str, ...]:
        """The program that prints all rows as they are at one moment, while the server goes on writing."""

    @abstractmethod
    def needed(self, host: Host) -> int:
        """Bytes of disk that a dump may take beside itself while it is made."""

    @abstractmethod
    def begin(self, host: Host, *, script: bool = False) -> tuple[str, ...]:
        """Make an empty second store; gives the program that reads the rows into it, as `dump` wrote them.

        With `script` they come as SQL, as another server's programs wrote them.
        """

    @abstractmethod
    def finish(self, host: Host, mark: str, expected: Mapping[str, str]) -> None:
        """Hold that the second store has what was `counted`, and mark it as whole where there is a `mark`.

        Raises `Error`.
        """

    @abstractmethod
    def ready(self, host: Host, mark: str) -> bool:
        """Whether there is a second store that is whole, of this backup."""

    @abstractmethod
    def take(self, host: Host, kept: str) -> None:
        """Put the second store in place of the first in one step; that is kept as `kept`. The server must not run."""

    @abstractmethod
    def taken(self, host: Host, kept: str) -> bool:
        """Whether that step was done: there is a store that is kept as `kept`."""

    @abstractmethod
    def forget(self, host: Host, kept: str) -> None:
        """Take away what is kept as `kept` where nobody has used it; raises nothing where there is none."""

    @abstractmethod
    def kept(self, kept: str) -> str:
        """The command with which a person takes away what is kept as `kept`."""

    @abstractmethod
    def counted(self, host: Host) -> dict[str, str]:
        """What has to be the same in a copy: the schema's version."""

    @property
    @abstractmethod
    def scratch(self) -> Copy:
        """The same with another second store, for a drill: it never takes the place of the first."""

    @abstractmethod
    def numbers(self, host: Host) -> dict[str, int]:
        """How many users and rooms the second store has, asked as somebody who can do no more than its server."""

    @abstractmethod
    def discard(self, host: Host) -> None:
        """Take the second store away, and what a kill left of one; nothing where there is none."""


# That of Synapse.
SCHEMA = "schema_version"


def noted(versions: str) -> str:
    """The question whether a server has noted its schema's version."""
    return f"SELECT 1 FROM {versions} LIMIT 1;"


# Synapse's work on its own tables, as a new version or a new server begins it.
UPDATES = """SELECT update_name FROM background_updates ORDER BY update_name;"""
NUMBERS = """SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM rooms);"""
