"""From one Synapse to another and back: the same loop as ever, over what another version changes.

The new one is made beside the old one and looked at first; then the link and the service change in one moment. What
does not answer, or does not stay up, gives way to the old one by itself. A kill anywhere leaves a note, and the next
run, whichever command it is, ends with one whole server (`release`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NoReturn, Protocol

from matrix_baremetal import preflight, release, rows_back, session, upgrade_notes
from matrix_baremetal.backup import SPARE
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.components.synapse import UNIT
from matrix_baremetal.converge import Change, converge
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.release import OPT, Release
from matrix_baremetal.resources import schema
from matrix_baremetal.resources.files import Directory, Link
from matrix_baremetal.resources.matrix import Homeserver, HomeserverConfig
from matrix_baremetal.resources.python import Virtualenv
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from matrix_baremetal.resources.store import UPDATES, Rows
from matrix_baremetal.resources.systemd import last_lines, shown
from matrix_baremetal.session import Session
from matrix_baremetal.transfer import Transfer
from matrix_baremetal.versions import VERSION, numbers

MB = 1024 * 1024
# Seconds that a started Synapse may take to answer; and how long it is watched then, as one that fails over something
# that comes to it from outside answers well until that comes. systemd waits 3 s before it starts one again.
ANSWERING = 60.0
STEADY = 10.0
# What a virtualenv takes, times 1.2: bytes, and files.
VIRTUALENV = (350 * MB, 12_000)


class Telling(Protocol):
    """Who is told how far we are; of long copies by its `transfer`."""

    transfer: Transfer

    def change(self, change: Change) -> None:
        """A change begins or has ended."""

    def step(self, title: str) -> contextlib.AbstractContextManager[None]:
        """A step that is no resource's, while it lasts."""

    def back(self, sentence: str) -> None:
        """The new one was not well, so we go back."""


@dataclass(frozen=True)
class Patience:
    """Seconds: until it has to answer, and how long it has to stay up then."""

    answering: float = ANSWERING
    steady: float = STEADY


def version(now: Session) -> str:
    """The Synapse of a session."""
    return now.site.versions.synapse.version


def other(now: Session, wanted: str) -> Session:
    """A session with the version that an operator named, or that the package pins. Raises `Error`."""
    synapse = now.site.versions.synapse
    known = ", ".join(each.version for each in synapse.known)
    if not VERSION.fullmatch(wanted):
        raise Error(f"{wanted!r} is no version of Synapse", hint=f"matrix-baremetal upgrade --to one of: {known}")
    if numbers(wanted) < numbers(synapse.minimum):
        raise Error(
            f"Synapse {wanted} is not installed: all before {synapse.minimum} have known, serious holes",
            hint=f"matrix-baremetal upgrade --to one of: {known}",
        )
    if not synapse.ships(wanted):
        raise Error(
            f"this release of matrix-baremetal knows no Synapse {wanted}, only {known}",
            hint="apt update && apt install matrix-baremetal, or one of those",
        )
    return session.at(now, wanted)


def obstacles(now: Session, then: Session) -> Iterator[Obstacle]:
    """What is in the way of another version, whoever insists."""
    site, host = then.site, now.host
    yield from preflight.lasting(site, then.needs, host, now.manifest)
    yield from preflight.databases(site, then.needs, host)
    yield from upgrade_notes.obstacles(site, version(now), version(then))
    yield from room(host, version(then))


def doubts(now: Session) -> Iterator[Obstacle]:
    """What makes it a bad moment."""
    host, store = now.host, now.site.store(USER)
    homeserver = next(each for each in now.resources if isinstance(each, Homeserver))
    if homeserver.find(host) != homeserver:
        yield Obstacle(
            "the homeserver does not answer now, so nobody could tell whether another Synapse made it worse",
            "matrix-baremetal doctor; to do it all the same: --force",
        )
    elif left := len(store.rows(host, UPDATES)):
        count = "1 background update is" if left == 1 else f"{left} background updates are"
        yield Obstacle(
            f"Synapse is still at work on its tables ({count} left), as a new server is for a minute or two",
            "try again in a minute; to do it all the same: --force",
            passes=True,
        )


def room(host: Host, wanted: str) -> Iterator[Obstacle]:
    """Whether its virtualenv fits."""
    size, files = VIRTUALENV
    free = host.space(OPT)
    if release.whole(host, wanted):
        return
    if free.size < size + SPARE:
        yield Obstacle(
            f"{OPT} has {free.size // MB} MB free, and another Synapse needs {(size + SPARE) // MB} MB",
            f"make room: du -xh {OPT} | sort -h | tail; apt clean",
        )
    if free.files < files:
        yield Obstacle(
            f"{OPT} has room for {free.files} more files, and another Synapse has {files}",
            f"see: df -i {OPT}; du --inodes -x / | sort -n | tail",
        )


def prepare(now: Session, then: Session, tell: Telling) -> None:
    """Make the new one beside the old one, and have it look at config and database: nothing that runs changes."""
    host, wanted = now.host, version(then)
    there = release.whole(host, wanted)
    for change in converge(pick(then, Directory, Virtualenv), host, now.manifest, whole=False):
        tell.change(change)
    try:
        with tell.step(f"Synapse {wanted} looks at the config and the database"):
            python = f"{OPT}/{wanted}/bin/python"
            [config] = [each for each in then.resources if isinstance(each, HomeserverConfig)]
            # What is on the disk, as it is that which it will start with.
            replace(config.find(host) or config, python=python).check(host)
            usable(now, wanted)
    except Error:
        if not there:
            drop(now, wanted)
        raise


def usable(now: Session, wanted: str) -> None:
    """Hold that a version can use the database as it is. Raises `Error` with the way that there is."""
    host = now.host
    least = schema.oldest(host, now.site.store(USER))
    understands = schema.understood(host, f"{OPT}/{wanted}/bin/python")
    if least <= understands:
        return
    note = release.read(host)
    saved = note.saved if note.trial else note.backup
    raise Error(
        f"Synapse {wanted} can't use the database any more: only code with a schema of {least} or above can, and "
        f"{wanted} has {understands}. The way back is a backup of before, and what was written since is lost by it",
        hint=f"matrix-baremetal restore {saved or 'FILE'} brings back the rows and the Synapse that they were of",
    )


def pick(now: Session, *kinds: type[Resource]) -> tuple[Resource, ...]:
    """What another version changes, of these kinds."""
    keys = ((Directory, OPT), (Virtualenv, f"{OPT}/{version(now)}"), (Link, f"{OPT}/current"), (Service, UNIT))
    wanted = {(kind.__name__, name) for kind, name in keys if kind in kinds}
    return tuple(each for each in now.resources if each.key in wanted)


def bring(
    now: Session, then: Session, tell: Telling, saved: str | None, patience: Patience, before: Rows | None = None
) -> None:
    """Put the new one in the old one's place; where that is not well, the old one comes back. Raises `Error` then.

    `before` says how much was written when the backup `saved` began.
    """
    host, old, new = now.host, version(now), version(then)
    note = release.read(host)
    release.write(host, replace(note, synapse=old, trial=new, saved=saved))
    try:
        switch(then, tell, patience)
    except Error as error:
        back(now, then, tell, error, patience, before or [])
    release.settled(host, new)


def switch(then: Session, tell: Telling, patience: Patience) -> None:
    """The link and the service, and then a look at whether it is well. Raises `Error`."""
    # How often systemd had to start it again counts from a start by hand.
    restarts = times(then.host)
    for change in converge(pick(then, Link, Service), then.host, then.manifest, whole=False):
        tell.change(change)
        restarts = 0 if change.kind == Service.__name__ else restarts
    with tell.step(f"until Synapse {version(then)} answers, and has done so for {patience.steady:.0f} s"):
        well(then, patience, restarts)


def times(host: Host) -> int:
    """How often systemd had to start it again."""
    return int(shown(host, UNIT, "NRestarts")["NRestarts"] or 0)


def well(now: Session, patience: Patience, restarts: int) -> None:
    """Hold that it answers soon, and goes on to without a new start. Raises `Error` with its last lines.

    A Synapse that fails a moment after it has answered is started again and again, and answers in between.
    """
    host = now.host
    homeserver = next(each for each in now.resources if isinstance(each, Homeserver))
    began = time.monotonic()
    answered: float | None = None
    while answered is None or time.monotonic() < answered + patience.steady:
        if times(host) > restarts or shown(host, UNIT, "ActiveState")["ActiveState"] == "failed":
            raise unwell(now, "it ended by itself")
        if homeserver.find(host) == homeserver:
            answered = answered or time.monotonic()
        elif answered is not None:
            raise unwell(now, "it answered at first, and then no more")
        elif time.monotonic() > began + patience.answering:
            raise unwell(now, f"it did not answer within {patience.answering:.0f} s")
        time.sleep(min(0.3, patience.steady / 4))


def unwell(now: Session, why: str) -> Error:
    """What is wrong with it, and what it said."""
    lines = "\n".join(last_lines(now.host, UNIT, 12))
    return Error(f"{why}; its last lines are:\n{lines}", hint=f"journalctl -u {UNIT}")


def back(now: Session, then: Session, tell: Telling, error: Error, patience: Patience, before: Rows) -> NoReturn:
    """The old one again, as it was, unless that would lose something: that is a person's decision. Raises `Error`."""
    host, old, new = now.host, version(now), version(then)
    if session.outgrown(host, now.site, new):
        saved = release.read(host).saved
        if not rows_back.bring(now, saved, before, tell.transfer):
            release.settled(host, new)
            raise rows_back.refused(new, old, saved, error) from None
    tell.back(f"Synapse {new} is not well: going back to {old}")
    try:
        for change in converge(pick(now, Virtualenv), host, now.manifest, whole=False):
            tell.change(change)
        switch(now, tell, replace(patience, steady=min(patience.steady, 1.0)))
    except Error as worse:
        raise Error(
            f"Synapse {new} is not well ({error.message}), and {old} not either by now: {worse.message}",
            hint="matrix-baremetal doctor; then: matrix-baremetal apply",
        ) from None
    release.settled(host, old)
    if new != release.read(host).before:
        drop(now, new)
    raise Error(
        f"Synapse {new} is not well, so {old} is back and answers.\nSynapse {new}: {error.message}",
        hint=f"matrix-baremetal status; journalctl -u {UNIT}",
    )


def drop(now: Session, unwanted: str) -> None:
    """Take away a virtualenv that nobody will go to."""
    virtualenv = Virtualenv(f"{OPT}/{unwanted}")
    virtualenv.undo(now.host)
    now.manifest.forget(virtualenv.key)
    now.manifest.write(now.host)


def thin(now: Session) -> None:
    """Take away all virtualenvs but that of this version and the one for a way back."""
    stays = (version(now), release.read(now.host).before)
    for name in now.host.names(OPT):
        if VERSION.fullmatch(name) and name not in stays:
            drop(now, name)


def forgotten(host: Host) -> None:
    """After a way back there is none further."""
    release.write(host, Release(release.read(host).synapse))
