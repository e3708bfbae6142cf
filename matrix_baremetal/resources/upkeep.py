"""What of a store's disk holds nothing, and the statements that make it smaller or of use again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from matrix_baremetal.host import Host

MB = 1024 * 1024
# Bytes, and which part of the whole: below either of them nobody would notice.
LEAST, SHARE = 8 * MB, 0.25
# Seconds: one statement on a large table may take hours.
LONG = 24 * 3600
# A program that goes when we go: what it had begun is undone then, and nothing of ours is at work behind a lock.
MORTAL = "--pdeathsig=KILL"


@dataclass(frozen=True)
class Part:
    """A table, an index of it, or a whole file, with its bytes.

    `empty` are those that hold nothing, `dead` the rows that nobody sees any more, `changed` those that were written
    since somebody last counted them for the planner.
    """

    kind: str
    name: str
    table: str
    size: int
    empty: int = 0
    dead: int = 0
    rows: int = 0
    changed: int = 0
    schema: str = ""

    @property
    def worthwhile(self) -> bool:
        """Whether to write it anew would be noticed."""
        return self.empty >= LEAST and self.empty >= self.size * SHARE


@dataclass(frozen=True)
class Work:
    """One statement about a part: remove, vacuum, reindex or rewrite, and bytes of disk that it takes meanwhile."""

    verb: str
    part: Part
    room: int = 0

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.verb} {self.part.name}"


class Upkeep(ABC):
    """Of one store. What runs beside the server blocks nobody; a rewrite is for when it stands still."""

    @property
    @abstractmethod
    def place(self) -> str:
        """The part of the machine's disk that has to have room."""

    @abstractmethod
    def measure(self, host: Host) -> list[Part]:
        """All parts, the emptiest first. Reads large indexes whole; blocks nobody. Raises `Error`."""

    @abstractmethod
    def leftovers(self, host: Host) -> list[Work]:
        """What a statement that was killed left half made."""

    @abstractmethod
    def vacuums(self, parts: Sequence[Part]) -> list[Work]:
        """What has rows to clear away, while the server runs."""

    @abstractmethod
    def reindexes(self, parts: Sequence[Part]) -> list[Work]:
        """Which indexes are worth making anew, while the server runs."""

    @abstractmethod
    def rewrites(self, parts: Sequence[Part]) -> list[Work]:
        """What is worth writing anew while the server stands still."""

    @abstractmethod
    def carry_out(self, host: Host, work: Work) -> None:
        """One of those. Raises `Error`, and then all is as it was, but for what `leftovers` names."""
