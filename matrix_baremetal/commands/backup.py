"""backup create, list, verify."""

from __future__ import annotations

import contextlib
import os
import time
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from matrix_baremetal import backup, backup_log, backup_reader, drill, report, session
from matrix_baremetal.backup import Backup
from matrix_baremetal.drill import Drilled
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.restore import Held
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Failed
from matrix_baremetal.transfer import Transfer, amount

# Seconds that an operator's command may take to carry a backup away.
CARRYING = 12 * 3600
CARRIER = "matrix-baremetal-backup-command.service"


def run(args: Namespace) -> int:
    """Run the action."""
    return {"create": create, "list": listing, "verify": verify}[args.action](args)


def create(args: Namespace) -> int:
    """Make one; whatever goes wrong is noted for `status` and `doctor`."""
    host = Host(Path(args.root))
    if not host.live or not host.superuser:
        raise Error("a backup is made of a machine that runs, by root", hint="sudo matrix-baremetal backup create")
    with locked(host, "backup create", wait=args.wait):
        now = session.begin(args.root, args.config)
        if now.manifest.server_name is None:
            raise Error("there is no homeserver here yet", hint="matrix-baremetal install")
        transfer = Transfer(quiet=args.quiet or args.json)
        try:
            done = backup.create(now, place(now, args), media=media(now, args), transfer=transfer)
            # Before it is carried away: a command that fails for weeks must not fill the disk.
            gone = [] if args.to else backup.thinned(host, *where(now), now.site.config.backup.keep)
            carried(now, done, transfer)
        except Error as error:
            with contextlib.suppress(Error):  # on a disk that is full, say
                backup_log.failed(host, error.message)
            raise
    if args.json:
        report.document(asdict(done) | {"removed": [each.path for each in gone]})
    elif not args.quiet:
        told(done, gone)
    return 0


def place(now: Session, args: Namespace) -> str:
    """The directory that it goes into."""
    return str(args.to or now.site.config.backup.directory)


def where(now: Session) -> tuple[str, str]:
    """The directory of the config, and whose backups are meant in it."""
    return now.site.config.backup.directory, now.site.config.server_name


def media(now: Session, args: Namespace) -> bool:
    """Whether media are in it."""
    return now.site.config.backup.include_media and not args.no_media


def carried(now: Session, done: Backup, transfer: Transfer) -> None:
    """Let the operator's command take it elsewhere. Raises `Error` with its last words."""
    command = now.site.config.backup.command
    if command is None:
        return
    transfer.begin(f"give it to {command}")
    try:
        # A unit of its own: the one that makes backups each night may neither speak to others nor write elsewhere.
        words = ("systemd-run", "--quiet", "--wait", "--pipe", "--collect", f"--unit={CARRIER}")
        now.host.run(*words, command, done.path, timeout=CARRYING)
    except Failed as error:
        raise Error(
            f"{done.path} is whole, and {command} did not take it: {error.result.last_words or error.message}",
            hint=f"{command} {done.path}",
        ) from None
    transfer.end()


def told(done: Backup, gone: list[Backup]) -> None:
    """Where it is, and what it is worth."""
    print(f"\n{done.path} ({amount(done.size)}) was made and read again.")
    for old in gone:
        print(f"{old.path} was removed, as newer ones are enough (backup.keep).")
    holds = "the private key" if not done.encrypted else "what only its private key opens"
    print(f"It holds {holds} of this server: keep a copy on another machine, where nobody else can read it.")


def listing(args: Namespace) -> int:
    """Those in the directory of the config, and the last one where that went elsewhere."""
    now = session.begin(args.root, args.config)
    found = backup.there(now.host, *where(now))
    if args.json:
        report.document({"directory": now.site.config.backup.directory, "backups": [asdict(each) for each in found]})
    elif not found:
        print(
            f"There is no backup in {now.site.config.backup.directory}. To make one: matrix-baremetal backup create"
        )
    else:
        rows = [(each.path, amount(each.size), stamp(each.made), sealed(each)) for each in found]
        print(report.table(rows))
    return 0


def stamp(moment: int) -> str:
    """A moment for a person, in the machine's own time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))


def sealed(each: Backup) -> str:
    """What to know before one needs it."""
    return "encrypted" if each.encrypted else ""


def verify(args: Namespace) -> int:
    """Read one whole; what it holds."""
    host = Host(Path(args.root))
    if args.drill:
        return drilled(host, args)
    path = os.path.abspath(args.file) if args.file else newest(args)
    manifest = backup_reader.look(host, path, args.identity, Transfer(quiet=args.quiet or args.json), f"read {path}")
    rows = {key: manifest[key] for key in ("server_name", "made", "release", "id")}
    if args.json:
        report.document({"path": path, **rows, "stores": manifest["stores"], "media": "media" in manifest["trees"]})
    elif not args.quiet:
        with_media = "with" if "media" in manifest["trees"] else "without"
        print(f"\nIt is whole: {rows['server_name']} of {stamp(rows['made'])}, {with_media} media.")
    return 0


def newest(args: Namespace) -> str:
    """The newest one of this machine."""
    now = session.begin(args.root, args.config)
    found = backup.there(now.host, *where(now))
    if not found:
        raise Error(f"there is no backup in {where(now)[0]}", hint="matrix-baremetal backup create")
    return found[0].path


def drilled(host: Host, args: Namespace) -> int:
    """Load one beside what runs, count, and take it away again; how it went is noted for `doctor`."""
    if not host.live or not host.superuser:
        raise Error("a drill is for a machine that runs, by root", hint="sudo matrix-baremetal backup verify --drill")
    with locked(host, "backup verify --drill"):
        now = session.begin(args.root, args.config)
        path = os.path.abspath(args.file) if args.file else newest(args)
        try:
            held, done = drill_of(now, path, args)
        except Error as error:
            with contextlib.suppress(Error):
                backup_log.drilled(host, path, {"failed": error.message})
            raise
        backup_log.drilled(host, path, done.row)
    manifest = held.manifest
    if args.json:
        rows = {key: manifest[key] for key in ("server_name", "made", "release", "id")}
        more = {"stores": manifest["stores"], "media": "media" in manifest["trees"], "drill": done.row}
        report.document({"path": path, **rows, **more})
    elif not args.quiet:
        counts = f"{report.several('account', done.users)}, {report.several('room', done.rooms)}"
        said = f"{manifest['server_name']} of {stamp(manifest['made'])} would come back whole"
        print("\n" + report.wrapped(f"{said}: {counts}, {done.tables} tables, and the key {done.key}."))
    return 0


def drill_of(now: Session, path: str, args: Namespace) -> tuple[Held, Drilled]:
    """The drill itself, once what it takes has been said."""
    transfer = Transfer(quiet=args.quiet or args.json)
    held = drill.begin(now.host, path, args.identity, transfer)
    drill.fitting(now, held)
    need, free = drill.space(now, held)
    if not transfer.quiet:
        print(report.wrapped(f"The database is loaded once more: {amount(need)} of {amount(free)} that are free."))
    return held, drill.run(now, held, transfer)
