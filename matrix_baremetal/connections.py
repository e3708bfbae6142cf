"""Whether our connections fit into a Postgres cluster. Arithmetic alone: who asks brings the numbers."""

from __future__ import annotations

from dataclasses import dataclass

# The most connections to its database that one process of Synapse opens, unless its config says otherwise (cp_max).
POOL = 10


@dataclass(frozen=True)
class Connections:
    """A cluster's: `most` at once (max_connections), `kept` for its superusers, `others` that are not ours now."""

    most: int
    kept: int
    others: int

    @property
    def left(self) -> int:
        """How many there are for us."""
        return max(self.most - self.kept - self.others, 0)


def missing(there: Connections, *, processes: int, pool: int) -> int:
    """How many connections too few there are for so many processes, each of which may fill its pool (`cp_max`)."""
    return max(wanted(processes, pool) - there.left, 0)


def wanted(processes: int, pool: int) -> int:
    """How many they may need, and one for who looks whether the database lets them in."""
    return processes * pool + 1
