"""Packages from a repository that is not Debian's: the key that it is believed by, and what it may give.

Where it is and what of it counts are files of apt's (`sources.list.d`, `preferences.d`); here is what is no file.
What came from there goes again with the part that asked for it, as nobody else brings it up to date.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.openpgp import armored, fingerprints
from matrix_baremetal.resources.packages import ADDED, PATIENCE, added, forget, install, installed, note
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.signature import get
from matrix_baremetal.shell import Failed

MOST_BYTES = 1 << 20
KEYRINGS, SOURCES, PREFERENCES = "/etc/apt/keyrings", "/etc/apt/sources.list.d", "/etc/apt/preferences.d"


@dataclass(frozen=True)
class AptKey(Resource):
    """The key that a repository signs with, at the path that its source names: one key, of this fingerprint."""

    # With --root there may be no network.
    live: ClassVar[bool] = True

    path: str
    fingerprint: str = ""
    url: str = field(default="", compare=False)
    shelf: str | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        return f"key {self.path}"

    @property
    def editable(self) -> tuple[str, ...]:
        return (self.path,)

    def find(self, host: Host) -> Self | None:
        data = host.read(self.path)
        return None if data is None else replace(self, fingerprint=" ".join(fingerprints(data)))

    def make(self, host: Host, found: Self | None) -> None:
        part = f"{self.path}.part"
        host.remove(part)
        get(host, self.url, part, MOST_BYTES, self.shelf)
        data = host.read(part) or b""
        host.remove(part)
        if (seen := fingerprints(data)) != (self.fingerprint,):
            what = f"the key {' and '.join(seen)}" if seen else "no public key"
            raise Error(
                f"{self.url} has {what}, not {self.fingerprint}, so nothing is taken from that repository",
                hint="look what became of the key; another one can be named in the config, with its fingerprint",
            )
        host.write(self.path, armored(data), 0o644)

    def undo(self, host: Host) -> None:
        host.remove(self.path)


@dataclass(frozen=True)
class VendorPackages(Resource):
    """Packages that come with one source of apt's, and go with it; of Debian's own, those that come for them alone.

    `answers` are what debconf is told before, each as its database takes them: package, question, type, value.
    """

    live: ClassVar[bool] = True

    source: str
    names: tuple[str, ...] = ()
    answers: tuple[tuple[str, str, str, str], ...] = field(default=(), compare=False)

    @property
    def spare(self) -> bool:
        """Yes: the homeserver needs none of them."""
        return True

    @property
    def title(self) -> str:
        return f"packages of {self.source}"

    @property
    def noun(self) -> str:
        return "set of packages"

    def verb(self, found: Resource | None) -> str:
        return "install"

    @property
    def came(self) -> str:
        """Where those are noted that came so."""
        return f"{ADDED}-{self.source}"

    def find(self, host: Host) -> Self | None:
        there = installed(host)
        names = tuple(name for name in self.names if name in there)
        return replace(self, names=names) if names else None

    def make(self, host: Host, found: Self | None) -> None:
        missing = [name for name in self.names if found is None or name not in found.names]
        host.run("debconf-set-selections", input="".join(f"{' '.join(row)}\n" for row in self.answers))
        try:
            # This one source: what else apt knows is as old or new as its owner has it.
            only = ("-o", f"Dir::Etc::sourcelist={SOURCES}/matrix-baremetal-{self.source}.sources")
            host.run(
                *("apt-get", "update", "-q", *PATIENCE, *only, "-o", "Dir::Etc::sourceparts=-"),
                *("-o", "APT::Get::List-Cleanup=0", "-o", "APT::Update::Error-Mode=any"),
                timeout=600,
            )
            # Before: a run that is cut off leaves some of them.
            note(host, missing, self.came)
            install(host, missing)
        except Failed as error:
            raise Error(
                f"apt could not install {', '.join(missing)} from {self.source}: {error.result.last_words}",
                hint="apt-get update; once the cause is gone: matrix-baremetal apply",
                passes=True,
            ) from None

    def undo(self, host: Host) -> None:
        names = added(host, self.came)
        if going := [name for name in names if name in installed(host)]:
            host.run("apt-get", "purge", "-q", "-y", *PATIENCE, *going, timeout=900)
        if set(names) & set(added(host)):
            forget(host, names)
        host.remove(self.came)
