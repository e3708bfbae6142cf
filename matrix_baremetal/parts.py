"""Programs of other makers of which this release of ours brings another version than this machine runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from matrix_baremetal.host import Host
from matrix_baremetal.release import OPT
from matrix_baremetal.resources.downloads import Download
from matrix_baremetal.resources.files import Link
from matrix_baremetal.resources.resource import Resource

# Where programs of other makers are, Synapse's among them.
PLACE = OPT.removesuffix("synapse")


@dataclass(frozen=True)
class Other:
    """A program by its name (element, irc), the version that runs here, and the one that comes."""

    name: str
    runs: str
    comes: str


def others(wanted: Iterable[Resource], host: Host) -> tuple[Other, ...]:
    """Those that are installed here as another release; one that isn't here yet is not among them."""
    found = ((each, switched(each, host)) for each in wanted)
    return tuple(Other(name(each), *versions) for each, versions in found if versions)


def switched(wanted: Resource, host: Host) -> tuple[str, str] | None:
    """The version of a program that is the current one, and the one that comes; None where no other one is."""
    if isinstance(wanted, Download):
        release = wanted.find(host)
        return (release.version, wanted.version) if release and release != wanted else None
    # Synapse's moves by an upgrade of its own.
    if isinstance(wanted, Link) and wanted.path.startswith(PLACE) and not wanted.path.startswith(f"{OPT}/"):
        link = wanted.find(host)
        return (link.target, wanted.target) if link and link != wanted else None
    return None


def name(wanted: Resource) -> str:
    """What people call it: the last part of its directory's path."""
    return wanted.name.removesuffix("/current").rpartition("/")[2]


def named(found: tuple[Other, ...]) -> str:
    """What comes, and what runs here, in a row."""
    return ", ".join(f"{each.name} {each.comes} ({each.runs} runs here)" for each in found)


def sentence(found: tuple[Other, ...]) -> str:
    """The same in a sentence; empty where there is none."""
    return f"{named(found)} {'is' if len(found) == 1 else 'are'} there: matrix-baremetal upgrade" if found else ""
