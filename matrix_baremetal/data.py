"""What a backup must hold of a component, as the component declares it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from matrix_baremetal.resources.store import Store


@dataclass(frozen=True)
class Tree:
    """A directory of a service's own, of which these parts can't be made again.

    It is read and written as the service's user: what the service may have put there, such as a link, leads root
    nowhere. `unit` is one that writes there as it stops, and so has to stand still before it is written.
    """

    path: str
    user: str
    parts: tuple[str, ...]
    unit: str = ""


@dataclass(frozen=True)
class Data:
    """What can't be made again: `files` (or directories with all that is in them), rows, and trees, by the names of
    their streams. `theirs` are files that aren't ours: a restore writes them only where nothing is. `units` are those
    of the servers whose rows they are, or that have some of them in mind: they begin anew after a restore.
    """

    files: tuple[str, ...] = ()
    theirs: tuple[str, ...] = ()
    stores: Mapping[str, Store] = field(default_factory=dict)
    trees: Mapping[str, Tree] = field(default_factory=dict)
    units: tuple[str, ...] = ()

    def __add__(self, other: Data) -> Data:
        return Data(
            (*self.files, *other.files),
            (*self.theirs, *other.theirs),
            {**self.stores, **other.stores},
            {**self.trees, **other.trees},
            (*self.units, *other.units),
        )
