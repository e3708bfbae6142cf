"""migrate postgres-major: move the database to the newest Postgres that Debian has brought."""

from __future__ import annotations

import time
from argparse import Namespace
from pathlib import Path

from matrix_baremetal import backup, log, postgres_major, preflight, report, session
from matrix_baremetal.commands import apply, asking
from matrix_baremetal.converge import still_pending
from matrix_baremetal.errors import DIFFERS, Error
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.resources import cluster_move
from matrix_baremetal.resources.cluster_move import ClusterMove
from matrix_baremetal.session import Session
from matrix_baremetal.signals import stoppable
from matrix_baremetal.transfer import Transfer, amount


def run(args: Namespace) -> int:
    """Look first, back up, move the whole cluster, converge; 3 while a certificate is pending."""
    began = time.monotonic()
    host = Host(Path(args.root))
    if not host.live:
        raise Error("this works on a machine that runs, and --root names a folder", hint=cluster_move.COMMAND)
    preflight.check_machine(host)
    transfer = Transfer(quiet=args.quiet or args.json)
    with locked(host, "migrate postgres-major", wait=args.wait):
        move = cluster_move.pending(host) or begun(host, args, transfer)
        if move is None:
            return nothing(host, args)
        left = [] if move.moved else moved(host, move, args, transfer)
        changes = apply.bring(session.begin(args.root, args.config), json=args.json, quiet=args.quiet)
        cluster_move.forget(host)
    pending = still_pending(changes)
    if args.json:
        report.document({**rows(move), "refused": left, "pending": [change.title for change in pending]})
    elif not args.quiet:
        told(move, left, time.monotonic() - began)
        report.waiting(pending)
    return DIFFERS if pending else 0


def begun(host: Host, args: Namespace, transfer: Transfer) -> ClusterMove | None:
    """What is to be done, agreed upon, backed up and noted; None where the newest Postgres has the database."""
    now = session.begin(args.root, args.config)
    move = postgres_major.planned(now)
    if move is None:
        return None
    preflight.refuse([*postgres_major.obstacles(now, move, with_others=args.with_others)])
    agreed(now, move, args)
    if not args.no_backup:
        wanted = now.site.config.backup
        made = backup.create(now, wanted.directory, media=wanted.include_media, transfer=transfer)
        if not (args.quiet or args.json):
            print(f"The backup is {made.path} ({amount(made.size)}).")
    move.write(host)
    return move


def agreed(now: Session, move: ClusterMove, args: Namespace) -> None:
    """Say what is about to happen, and ask. Raises `Unanswered`."""
    size = postgres_major.size(now.host, now.site.cluster.port)
    minutes = max(round(postgres_major.seconds(size) / 60), 1)
    about = "about a minute" if minutes == 1 else f"about {minutes} minutes"
    lines = [
        f"The Postgres cluster {now.site.cluster.title} ({amount(size)}) is copied to one of Postgres {move.new}, "
        f"which takes its port; {move.old}/{move.name} stays as it is until you drop it.",
        f"{now.site.config.server_name} is away meanwhile, for {about}, longer on a slow disk.",
    ]
    if theirs := postgres_major.others(now.host, now.site.cluster.port):
        names = ", ".join(name for name, _ in theirs)
        lines.append(f"So are these databases of others, which are in no backup of ours: {names}.")
    if args.yes:
        if not (args.quiet or args.json):
            print("\n".join(report.wrapped(line, 0) for line in lines))
        return
    question = "".join(f"{report.wrapped(line, 0)}\n" for line in lines) + asking.GO_ON
    asking.agreed(question, " ".join(lines), f"{cluster_move.COMMAND} --yes")


def moved(host: Host, move: ClusterMove, args: Namespace, transfer: Transfer) -> list[str]:
    """The cluster in its new place, found whole; settings of others that it would not take."""
    with stoppable() as stop:
        postgres_major.carry_out(host, move, transfer)
        stop.heed()
        # Looked at anew: the new cluster is the one with our database now.
        left = postgres_major.held(session.begin(args.root, args.config), move, transfer)
        stop.heed()
    return left


def nothing(host: Host, args: Namespace) -> int:
    """There is no newer Postgres."""
    now = session.begin(args.root, args.config)
    message = f"Postgres {now.site.cluster.version} has the database, and there is no newer one on this machine."
    if args.json:
        done: dict[str, object] = {"from": None, "to": now.site.cluster.version, "port": now.site.cluster.port}
        report.document({**done, "drop": None, "refused": [], "pending": []})
    elif not args.quiet:
        print(report.wrapped(f"{message} A new release of Debian brings one.", 0))
    return 0


def rows(move: ClusterMove) -> dict[str, object]:
    """For a program."""
    return {"from": f"{move.old}/{move.name}", "to": f"{move.new}/{move.name}", "port": move.port, "drop": move.drop}


def told(move: ClusterMove, left: list[str], spent: float) -> None:
    """How it ended, and what is still to be done by a person."""
    print(f"\nPostgres {move.new} has the database, after {spent:.0f} s.")
    for path in left:
        log.warn(f"Postgres {move.new} would not start with these settings of somebody's, now in {path}")
    print("Look at it: matrix-baremetal doctor")
    kept = f"The old cluster is kept. When you are sure that you don't need it: {move.drop}"
    print(report.wrapped(kept, 0))
