"""upgrade: Synapse to the version that this release pins, or to another that it knows, and the parts beside it."""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from matrix_baremetal import (
    backup,
    log,
    parts,
    preflight,
    release,
    report,
    rows_back,
    session,
    upgrade,
    upgrade_notes,
)
from matrix_baremetal.commands import apply
from matrix_baremetal.converge import Change, still_pending
from matrix_baremetal.errors import DIFFERS, Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.session import Session
from matrix_baremetal.signals import stoppable
from matrix_baremetal.transfer import Transfer
from matrix_baremetal.upgrade import Patience

# That of the last upgrade, and that of the one under way.
KEEP = 2


def run(args: Namespace) -> int:
    """Look, or do it; 3 where --check finds something newer."""
    if args.check:
        return check(args)
    return brought(args, "upgrade", upgraded, Patience(), beside=args.to is None)


def brought(args: Namespace, command: str, way: Way, patience: Patience, *, beside: bool = False) -> int:
    """Under the lock, from one version to another, with the parts `beside`, and say how it ended."""
    began = time.monotonic()
    host = ready(args, command)
    with locked(host, command, wait=args.wait):
        now = standing(args)
        # What `apply` would refuse afterwards is said while nothing is another yet.
        preflight.refuse(in_the_way_of_parts(now) if beside else [])
        telling = Telling(quiet=args.quiet or args.json)
        old = upgrade.version(now)
        saved = way(now, args, telling, patience)
        changes = parts_beside(standing(args), quiet=args.quiet or args.json) if beside else []
    pending = still_pending(changes)
    note = release.read(host)
    outcome = {
        "server_name": now.site.config.server_name,
        "from": old,
        "to": note.synapse or old,
        "backup": saved or None,
        "changes": [*telling.rows, *map(report.row, changes)],
        "rollback": note.before,
        "seconds": round(time.monotonic() - began, 1),
    }
    if args.json:
        report.document(outcome)
    elif not args.quiet:
        told(outcome)
        report.waiting(pending)
    return DIFFERS if pending else 0


def parts_beside(now: Session, *, quiet: bool) -> list[Change]:
    """Where this release has other programs for parts beside Synapse: what `apply` does, as each has its config."""
    return apply.bring(now, json=False, quiet=quiet) if parts.others(now.resources, now.host) else []


def ready(args: Namespace, command: str) -> Host:
    """A machine on which this makes sense."""
    host = Host(Path(args.root))
    if not host.live:
        raise Error(
            f"{command} works on a machine that runs, and --root names a folder", hint=f"matrix-baremetal {command}"
        )
    preflight.check_machine(host)
    return host


def standing(args: Namespace) -> Session:
    """A session with a homeserver that was installed."""
    now = session.begin(args.root, args.config, args.wheelhouse)
    if now.manifest.server_name is None or release.current(now.host) is None:
        raise Error("there is no homeserver here yet", hint="matrix-baremetal install")
    return now


def upgraded(now: Session, args: Namespace, tell: Telling, patience: Patience) -> str:
    """Do it; the path of the backup, empty where none was made."""
    awake(now, tell, patience)
    note = release.read(now.host)
    then = upgrade.other(now, args.to or now.site.versions.synapse.newest)
    again = note.trial == upgrade.version(then)
    if note.trial and (not again or upgrade.version(now) == note.trial):
        unfinished(now, note.trial, tell, patience)
    if upgrade.version(then) == upgrade.version(now):
        upgrade.thin(now)
        return ""
    doubts = [] if args.force or again else [*upgrade.doubts(now)]
    preflight.refuse([*upgrade.obstacles(now, then), *doubts])
    for remark in upgrade_notes.remarks(now.site, upgrade.version(now), upgrade.version(then)):
        log.warn(remark)
    with stoppable() as stop:
        upgrade.prepare(now, then, tell)
        stop.heed()
        if again or args.no_backup:
            saved, before = (note.saved or "") if again else "", None
        else:
            with rows_back.still(now, then, tell.transfer):
                # Before the backup begins, so that it has all of that.
                before = rows_back.written(now)
                saved = backed_up(now, tell)
                stop.heed()
        stop.heed()
        # From here on to the end: what is begun ends as one whole server or the other.
        try:
            upgrade.bring(now, then, tell, saved or None, patience, before)
        finally:
            now.host.remove(rows_back.NOTE)
    upgrade.thin(then)
    return saved


def awake(now: Session, tell: Telling, patience: Patience) -> None:
    """Start what an upgrade that was killed had stopped for its backup: as it is it would be a bad moment for one."""
    if rows_back.cut_off(now.host):
        if not release.read(now.host).trial:
            tell.back("an upgrade was cut off while the homeserver stood still: starting it again")
            upgrade.switch(now, tell, replace(patience, steady=min(patience.steady, 1.0)))
        now.host.remove(rows_back.NOTE)


def unfinished(now: Session, trial: str, tell: Telling, patience: Patience) -> None:
    """End what an upgrade that was killed left: back to the old version, where the database still allows it."""
    way = "ending it" if trial == upgrade.version(now) else f"going back to {upgrade.version(now)}"
    tell.back(f"an upgrade to {trial} did not come to its end: {way}")
    upgrade.switch(now, tell, replace(patience, steady=min(patience.steady, 1.0)))
    release.settled(now.host, upgrade.version(now))


def backed_up(now: Session, tell: Telling) -> str:
    """The rows, which another version may change for good, and the keys; media stay as they are. Its path."""
    config = now.site.config
    place = f"{config.backup.directory}/{backup.BEFORE}"
    done = backup.create(now, place, media=False, transfer=tell.transfer, noted=False)
    backup.thinned(now.host, place, config.server_name, KEEP)
    return done.path


def told(outcome: dict[str, Any]) -> None:
    """The last lines."""
    name, old, new = outcome["server_name"], outcome["from"], outcome["to"]
    if old == new:
        undone = "again; the upgrade was undone" if outcome["changes"] else "already. There is nothing to do"
        print(f"{name} runs Synapse {new} {undone}.")
        return
    print(f"\n{name} runs Synapse {new} now, {old} before, after {outcome['seconds']:.0f} s.")
    if outcome["backup"]:
        print(f"What the database was before: {outcome['backup']}")
    if outcome["rollback"]:
        print("To go back: matrix-baremetal rollback")


def check(args: Namespace) -> int:
    """What there is, and what would be in its way; changes nothing."""
    ready(args, "upgrade")
    now = standing(args)
    beside = in_the_way_of_parts(now) if args.to is None else []
    way = [*dict.fromkeys([*in_the_way(now, args.to), *beside])]
    if args.json:
        report.document(outlook(now, way))
    else:
        looked(now, way)
    return DIFFERS if now.site.versions.synapse.newer or parts.others(now.resources, now.host) else 0


def in_the_way(now: Session, to: str | None) -> list[Obstacle]:
    """What would keep an upgrade from beginning now."""
    then = upgrade.other(now, to or now.site.versions.synapse.newest)
    if upgrade.version(then) == upgrade.version(now):
        return []
    return [*upgrade.obstacles(now, then), *upgrade.doubts(now)]


def in_the_way_of_parts(now: Session) -> list[Obstacle]:
    """What would keep `apply` from bringing the parts beside Synapse, where another version of one is there."""
    if not parts.others(now.resources, now.host):
        return []
    return preflight.obstacles(now.site, now.needs, now.host, now.manifest)


def outlook(now: Session, way: list[Obstacle]) -> dict[str, Any]:
    """The document of --check."""
    synapse = now.site.versions.synapse
    return {
        "server_name": now.site.config.server_name,
        "runs": synapse.version,
        "newest": synapse.newest,
        "newer": [asdict(each) for each in synapse.newer],
        "parts": [asdict(each) for each in parts.others(now.resources, now.host)],
        "rollback": release.read(now.host).before,
        "obstacles": [{"message": each.message, "hint": each.hint} for each in way],
    }


def looked(now: Session, way: list[Obstacle]) -> None:
    """The page of --check."""
    synapse = now.site.versions.synapse
    print(f"Synapse {synapse.version} runs here; this matrix-baremetal has {synapse.newest}.")
    if synapse.newer:
        rows = [(each.version, "security release" if each.security else "") for each in synapse.newer]
        print("\n" + report.indented(report.table(rows)))
        for remark in upgrade_notes.remarks(now.site, synapse.version, synapse.newest):
            print("\n" + report.wrapped(remark))
    if others := parts.others(now.resources, now.host):
        table = report.table([(f"{each.name} {each.comes}", f"{each.runs} runs here") for each in others])
        print(f"\nOf the parts beside it there is:\n\n{report.indented(table)}")
    report.in_the_way(way)
    if (synapse.newer or others) and not way:
        print("\nTo have it: matrix-baremetal upgrade")


@dataclass
class Telling:
    """Lines for a person, rows for a program. What takes long is drawn while it lasts."""

    quiet: bool
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.transfer = Transfer(quiet=self.quiet)

    def change(self, change: Change) -> None:
        """A change begins or has ended."""
        if not change.ended:
            self.transfer.begin(f"{change.verb} {change.title}")
            return
        self.rows.append(report.row(change))
        self.transfer.end()

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A step; one that fails is told by its error."""
        self.transfer.begin(title)
        yield
        self.transfer.end()

    def back(self, sentence: str) -> None:
        """Something has gone wrong, and what follows mends it."""
        self.transfer.say(f"  ! {sentence}")


# From one version to another; the path of a backup.
Way = Callable[[Session, Namespace, Telling, Patience], str]
