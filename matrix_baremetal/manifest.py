"""What we made on this host, in order, so that what is no longer asked for can be undone and hand edits are seen.

Written twice a run, whole each time: before the first change, with the digests of what is about to be made, and
after the last. A kill in between leaves entries whose thing was or wasn't made; both are safe, as each says what
it would be ours to undo.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource

PATH = "/var/lib/matrix-baremetal/manifest.json"
# A release that changes it reads those since the first as well, and keeps a copy of what it makes anew.
FORMAT, FIRST = 1, 1
Key = tuple[str, str]


@dataclass(frozen=True)
class Entry:
    """One thing we made, and the digests of the states that are ours: as we left it, and as we meant to leave it."""

    kind: str
    name: str
    states: tuple[str, ...] = ()

    @property
    def key(self) -> Key:
        """The identity of the thing."""
        return self.kind, self.name


class Manifest:
    """The entries by key, in the order in which they were made, and the server name that can never change."""

    def __init__(self, server_name: str | None = None, entries: Iterable[Entry] = ()) -> None:
        self.server_name = server_name
        self.entries = {entry.key: entry for entry in entries}
        self._written = ""

    @classmethod
    def read(cls, host: Host) -> Manifest:
        """The manifest of this host; an empty one where there is none, or where it can't be read.

        A lost or broken manifest is no fresh install: what is there is found and compared as ever, and whatever
        differs is kept aside before it is replaced. Raises `Error` for one that a newer release wrote.
        """
        try:
            data = json.loads(host.text(PATH) or "{}")
            if (number := int(data.get("format", FORMAT))) > FORMAT:
                raise Error(
                    f"{PATH} was written by a newer matrix-baremetal than this one (format {number})",
                    hint="apt install matrix-baremetal",
                )
            if number < FIRST:
                raise Error(
                    f"{PATH} has a format ({number}) that no release of matrix-baremetal has written",
                    hint=f"mv {PATH} {PATH}.old; matrix-baremetal plan (what is there is found again)",
                )
            rows = data.get("resources", [])
            return cls(data.get("server_name"), [Entry(r["kind"], r["name"], tuple(r["states"])) for r in rows])
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()

    def write(self, host: Host) -> None:
        """Put it in place, readable by root alone; not again where this run has written the same."""
        rows = [{"kind": e.kind, "name": e.name, "states": list(e.states)} for e in self.entries.values()]
        text = json.dumps({"format": FORMAT, "server_name": self.server_name, "resources": rows}, indent=1)
        if text != self._written:
            host.mkdir(PATH.rpartition("/")[0], 0o755)
            host.write(PATH, text + "\n", 0o600)
            self._written = text

    def announce(self, resources: Iterable[Resource]) -> None:
        """Say what is about to be made, in the order of the declaration."""
        coming = {resource.key: self._with(resource) for resource in resources}
        self.entries = {**{key: entry for key, entry in self.entries.items() if key not in coming}, **coming}

    def _with(self, resource: Resource) -> Entry:
        old = self.entries.get(resource.key, Entry(*resource.key))
        return Entry(*resource.key, states=tuple(dict.fromkeys((*old.states, resource.digest()))))

    def settle(self, resource: Resource) -> bool:
        """Say that a thing is as it should be; whether that is news."""
        entry = Entry(*resource.key, states=(resource.digest(),))
        news = self.entries.get(resource.key) != entry
        self.entries[resource.key] = entry
        return news

    def forget(self, key: Key) -> None:
        """Say that a thing is gone."""
        self.entries.pop(key, None)

    def ours(self, found: Resource) -> bool:
        """Whether what was found is what we left, or were about to leave when we were stopped."""
        entry = self.entries.get(found.key)
        return entry is not None and found.digest() in entry.states

    def named(self, kind: str) -> list[str]:
        """The names of what was made of a kind, in the order of making."""
        return [entry.name for entry in self.entries.values() if entry.kind == kind]

    def orphans(self, resources: Iterable[Resource]) -> Iterator[Resource]:
        """What we made and nobody asks for any more, the latest first, as far as its name says."""
        wanted = {resource.key for resource in resources}
        for entry in reversed(self.entries.values()):
            if entry.key not in wanted and entry.kind in Resource.kinds:
                yield Resource.kinds[entry.kind](entry.name)  # type: ignore[call-arg]
