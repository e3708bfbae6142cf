"""migrate sqlite-to-postgres: the rows of this server go from one kind of database to the other."""

from __future__ import annotations

import contextlib
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from matrix_baremetal import log, migrate, preflight, report, restore, to_postgres
from matrix_baremetal.commands.asking import confirmed
from matrix_baremetal.commands.restore import running
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.components.synapse import UNIT
from matrix_baremetal.converge import Change, converge, still_pending
from matrix_baremetal.errors import DIFFERS, Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.migrate_page import in_the_way
from matrix_baremetal.progress import telling
from matrix_baremetal.session import Session
from matrix_baremetal.to_postgres import Move
from matrix_baremetal.transfer import Transfer, amount


def run(args: Namespace) -> int:
    """Look, carry over, switch, and go back where Postgres's server does not answer."""
    began = time.monotonic()
    host = running(args, "migrate")
    transfer = Transfer(quiet=args.quiet or args.json)
    with locked(host, "migrate sqlite-to-postgres", wait=args.wait):
        move = to_postgres.begin(host, args.wheelhouse)
        if not to_postgres.switched(host):
            stops = looked(host, move, transfer)
            if args.check:
                return checked(move, stops, args)
            wanted(move, stops, args)
            still = carried(host, move, args, transfer)
        else:
            still = 0.0
        kept = to_postgres.noted(host, "")
        changes = settled(host, args)
        to_postgres.end(host, to_postgres.begin(host, args.wheelhouse), kept)
    pending = still_pending(changes)
    old = move.now.site.store(USER).settings["args"]["database"]
    if args.json:
        rows = {"server_name": move.now.site.config.server_name, "seconds": round(time.monotonic() - began, 1)}
        report.document({**rows, "stood_still": round(still, 1), "kept": [f"rm {old}*"], "obstacles": []})
    elif not args.quiet:
        name, spent = move.now.site.config.server_name, time.monotonic() - began
        print(f"\n{name} keeps its rows in Postgres now, after {spent:.0f} s.")
        print(f"SQLite's file is as it was. When you are sure that you don't need it: rm {old}*")
        report.waiting(pending)
    return DIFFERS if pending else 0


def looked(host: Host, move: Move, transfer: Transfer) -> list[Obstacle]:
    """All that stops it. Raises `Error` where there is nothing to do."""
    if move.now.manifest.server_name is None:
        raise Error("there is no homeserver here yet", hint="matrix-baremetal install")
    if to_postgres.done(host, move):
        raise Error("this server keeps its rows in Postgres already", hint="matrix-baremetal status")
    stops = [*preflight.machine(host), *to_postgres.obstacles(host, move)]
    if not stops:
        to_postgres.copied(host, move, transfer)
        stops = [*to_postgres.unfit(host, move)]
    return stops


def checked(move: Move, stops: list[Obstacle], args: Namespace) -> int:
    """Only whether something stops it; 3 where it does."""
    move.now.host.remove_tree(migrate.SCRATCH)
    if args.json:
        document = {"server_name": move.now.site.config.server_name, "obstacles": [asdict(each) for each in stops]}
        report.document(document)
    else:
        print(in_the_way(stops) if stops else f"{page(move)}\n\nNothing stops it. Nothing was changed.")
    return DIFFERS if stops else 0


def page(move: Move) -> str:
    """What is going to happen."""
    size = amount(move.now.site.store(USER).size(move.now.host))
    return report.wrapped(
        f"{size} of rows go from SQLite to Postgres, in the cluster {move.then.site.cluster.title}: most of them "
        "while the server runs, the rest while it stands still. SQLite's file stays as it is, and the server goes "
        "back to it where it does not answer with Postgres."
    )


def wanted(move: Move, stops: list[Obstacle], args: Namespace) -> None:
    """Nothing stops it, and whoever began it wants it. Raises `Error`, and then leaves no copy of the rows."""
    try:
        preflight.refuse(stops)
        agreed(move, args)
    except Error:
        move.now.host.remove_tree(migrate.SCRATCH)
        raise


def agreed(move: Move, args: Namespace) -> None:
    """Say it, and ask."""
    if not (args.json or args.quiet):
        print(f"\n{page(move)}\n")
    confirmed(yes=args.yes)


def carried(host: Host, move: Move, args: Namespace, transfer: Transfer) -> float:
    """Both passes and the switch; for how long the server stood still. Where it fails, SQLite's server runs again."""
    with telling(json=args.json, quiet=args.quiet) as progress:
        for change in restore.foundation(move.then):
            progress.tell(change)
    # Where Postgres came just now, there is a cluster to speak with.
    move = to_postgres.begin(host, args.wheelhouse)
    to_postgres.first_pass(host, move, transfer)
    began = time.monotonic()
    with running_again(host):
        to_postgres.last_pass(host, move, transfer)
        to_postgres.switch(host, move, to_postgres.noted(host, time.strftime("before-%Y%m%dT%H%M%S")))
    return time.monotonic() - began


@contextlib.contextmanager
def running_again(host: Host) -> Iterator[None]:
    """Start the server again where what is done here fails."""
    try:
        yield
    except BaseException:
        host.run("systemctl", "start", UNIT, ok=range(256), timeout=600)
        raise


def settled(host: Host, args: Namespace) -> list[Change]:
    """Have the server run with Postgres, or with SQLite again. Raises `Error` where it is the latter."""
    # Again, as a kill may have come before that.
    to_postgres.say(host, "postgres")
    try:
        return converged(to_postgres.begin(host, args.wheelhouse).then, args)
    except Error as error:
        log.warn(f"with Postgres it does not run, so it goes back to SQLite: {error.message}")
        # First of all, so that a run after a kill does not take Postgres's rows for the newest.
        host.write(to_postgres.NOTE, "{}\n", 0o600)
        to_postgres.say(host, "sqlite")
        converged(to_postgres.begin(host, args.wheelhouse).now, args)
        host.remove(to_postgres.NOTE)
        raise Error(
            f"the server runs with SQLite again, as with Postgres it did not: {error.message}",
            hint=error.hint or "journalctl -u matrix-synapse",
        ) from None


def converged(now: Session, args: Namespace) -> list[Change]:
    """As `apply` does, but for its refusal to leave one kind of database for the other."""
    changes = []
    with telling(json=args.json, quiet=args.quiet) as progress:
        for change in converge(now.resources, now.host, now.manifest):
            progress.tell(change)
            if change.ended:
                changes.append(change)
    return changes
