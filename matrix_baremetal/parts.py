"""Programs of other makers of which this release of ours brings another version than this machine runs."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.components.programs import OPT
from matrix_baremetal.host import Host
from matrix_baremetal.release import OPT as SYNAPSE
from matrix_baremetal.resources.downloads import Download
from matrix_baremetal.resources.files import Link
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.session import Session


@dataclass(frozen=True)
class Other:
    """A program by its name (element, irc), the version that runs here, and the one that comes."""

    name: str
    runs: str
    comes: str


def others(now: Session) -> tuple[Other, ...]:
    """Those that are installed here in another version; one that isn't here yet is not among them."""
    found = ((each, switched(each, now.host)) for each in now.resources)
    return tuple(Other(name(each), *versions) for each, versions in found if versions and len({*versions}) > 1)


def switched(wanted: Resource, host: Host) -> tuple[str, str] | None:
    """The version of a program that is the current one, and the one that comes; None where it is no program."""
    if isinstance(wanted, Download):
        release = wanted.find(host)
        return (release.version, wanted.version) if release else None
    # Synapse's moves by an upgrade of its own.
    if isinstance(wanted, Link) and wanted.path.startswith(f"{OPT}/") and not wanted.path.startswith(f"{SYNAPSE}/"):
        link = wanted.find(host)
        return (link.target, wanted.target) if link else None
    return None


def name(wanted: Resource) -> str:
    """What people call it: the last part of its directory's path."""
    return wanted.name.removesuffix("/current").rpartition("/")[2]


def sentence(found: tuple[Other, ...]) -> str:
    """The same in a sentence; empty where there is none."""
    said = ", ".join(f"{each.name} {each.comes} ({each.runs} runs here)" for each in found)
    return f"{said} {'is' if len(found) == 1 else 'are'} there: matrix-baremetal upgrade" if found else ""
