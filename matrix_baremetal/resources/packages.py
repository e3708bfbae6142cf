"""Debian packages."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.shell import Failed

# Seconds that apt waits for another apt, such as unattended-upgrades at boot.
PATIENCE = ("-o", "DPkg::Lock::Timeout=600")
# What was installed by us: an uninstall takes no other away.
ADDED = "/var/lib/matrix-baremetal/packages"


@dataclass(frozen=True)
class Packages(Resource):
    """Debian packages that are installed, whatever their version: apt and its owner decide about that.

    They are `beside` the homeserver where that does without them.
    """

    live: ClassVar[bool] = True

    purpose: str
    names: tuple[str, ...] = ()
    beside: bool = field(default=False, compare=False)

    @property
    def spare(self) -> bool:
        """Where they are beside it."""
        return self.beside

    @property
    def title(self) -> str:
        return f"packages for {self.purpose}"

    @property
    def noun(self) -> str:
        return "set of packages"

    def verb(self, found: Resource | None) -> str:
        return "install"

    def find(self, host: Host) -> Self | None:
        there = installed(host)
        return replace(self, names=tuple(name for name in self.names if name in there))

    def make(self, host: Host, found: Self | None) -> None:
        missing = [name for name in self.names if found is None or name not in found.names]
        try:
            install(host, missing)
        except Failed:
            # A machine whose lists were never fetched, or are older than the archive.
            host.run("apt-get", "update", "-q", *PATIENCE, timeout=600, ok=range(256))
            try:
                install(host, missing)
            except Failed as error:
                raise Error(
                    f"apt could not install {', '.join(missing)}: {error.result.last_words}",
                    hint="once the cause is gone: matrix-baremetal apply",
                    passes=True,
                ) from None


def install(host: Host, names: Sequence[str]) -> None:
    """Install packages, and remember before that they came with us, those that they depend on too."""
    # --fix-broken: it may be a missing package of ours that makes apt refuse everything else.
    words = ("apt-get", "install", "-q", "-y", "--no-install-recommends", "--fix-broken", *PATIENCE, *names)
    told = host.run(*words, "--simulate", timeout=120).out
    note(host, re.findall(r"^Inst (\S+)", told, re.MULTILINE))
    host.run(*words, timeout=1800)


def note(host: Host, names: Sequence[str], place: str = ADDED) -> None:
    """Remember that these came with us."""
    all_of_them = dict.fromkeys((*added(host, place), *names))
    host.mkdir(place.rpartition("/")[0], 0o755)
    host.write(place, "".join(f"{name}\n" for name in all_of_them), 0o600)


def forget(host: Host, names: Collection[str]) -> None:
    """Say of these that they are gone again."""
    if left := [name for name in added(host) if name not in names]:
        host.write(ADDED, "".join(f"{name}\n" for name in left), 0o600)
    else:
        host.remove(ADDED)


def added(host: Host, place: str = ADDED) -> tuple[str, ...]:
    """The packages that were not there before us."""
    return tuple((host.text(place) or "").split())


def installed(host: Host) -> dict[str, str]:
    """The versions of the installed packages by name, from dpkg's own status file (deb822, see dpkg-query(1))."""
    found = {}
    for stanza in (host.text("/var/lib/dpkg/status") or "").split("\n\n"):
        if re.search(r"^Status: \S+ ok installed$", stanza, re.MULTILINE):
            name = re.match(r"Package: (\S+)", stanza)
            version = re.search(r"^Version: (\S+)", stanza, re.MULTILINE)
            if name and version:
                found[name[1]] = version[1]
    return found
