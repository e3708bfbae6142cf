"""Which Synapse this machine is to run: what `upgrade` and `rollback` left, not what the package pins.

`release.json` says it once there was an upgrade; before that the link `current` does; a machine that has neither gets
what the package pins. While a version is on trial the old one is still the one that is asked for, so whatever run
comes after a kill goes back to it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from matrix_baremetal.host import Host
from matrix_baremetal.resources.python import LOCK, MARK
from matrix_baremetal.versions import VERSION, Versions, alone

PATH = "/var/lib/matrix-baremetal/release.json"
OPT = "/opt/matrix-baremetal/synapse"


@dataclass(frozen=True)
class Release:
    """`synapse` is asked for, `before` is what `rollback` goes back to, with the `backup` that was made of it.

    `trial` is the version that an upgrade has put in its place and not yet found well; `saved` the backup made then.
    """

    synapse: str | None = None
    before: str | None = None
    backup: str | None = None
    trial: str | None = None
    saved: str | None = None


def read(host: Host) -> Release:
    """What the last upgrade left; nothing where there was none, or where it can't be read."""
    try:
        found = json.loads(host.text(PATH) or "{}")
        row = {key: str(found[key]) for key in asdict(Release()) if found.get(key)}
    except (ValueError, AttributeError, TypeError):
        return Release()
    # They become paths.
    sound = all(VERSION.fullmatch(row.get(key, "0.0")) for key in ("synapse", "before", "trial"))
    return Release(**row) if sound else Release()


def write(host: Host, release: Release) -> None:
    """Put it in place."""
    host.mkdir(PATH.rpartition("/")[0], 0o755)
    host.write(PATH, json.dumps(asdict(release), indent=1) + "\n", 0o600)


def chosen(host: Host, shipped: Versions) -> Versions:
    """The versions that this machine is to run."""
    version = read(host).synapse or current(host)
    return at(host, shipped, version) if version else shipped


def at(host: Host, shipped: Versions, version: str) -> Versions:
    """The versions with this Synapse. Where nobody has its lock it can neither run nor be made, so the pin counts."""
    if shipped.synapse.ships(version):
        return shipped.running(version)
    kept = host.text(f"{OPT}/{version}/{LOCK}") if whole(host, version) else None
    return shipped.running(version, alone(kept)) if kept else shipped


def current(host: Host) -> str | None:
    """The version that the link names."""
    target = host.target(f"{OPT}/current") or ""
    return target if VERSION.fullmatch(target) else None


def whole(host: Host, version: str) -> bool:
    """Whether there is a virtualenv of a version."""
    return host.node(f"{OPT}/{version}/{MARK}") is not None


def kept(host: Host, version: str) -> str | None:
    """The version whose virtualenv stays for a way back from `version`; None where there is none."""
    before = read(host).before
    return before if before and before != version and whole(host, before) else None


def settled(host: Host, version: str) -> None:
    """A run that made `version` whole is the end of a trial, whichever of the two it was."""
    note = read(host)
    if note.trial == version:
        write(host, Release(note.trial, before=note.synapse, backup=note.saved))
    elif note.trial:
        write(host, replace(note, trial=None, saved=None))


def restored(host: Host, shipped: Versions, version: str) -> None:
    """A backup brings its version along, as its rows are of that one's schema, where this release ships its lock."""
    if shipped.synapse.ships(version) and (read(host).trial or version != chosen(host, shipped).synapse.version):
        write(host, Release(version))
