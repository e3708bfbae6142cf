"""migrate: take over an existing Synapse, or move the rows of this one."""

from __future__ import annotations

import shlex
import time
from argparse import Namespace
from dataclasses import asdict

from matrix_baremetal import (
    log,
    migrate,
    migrate_page,
    postgres_data,
    preflight,
    report,
    restore,
    session,
    source,
    takeover,
)
from matrix_baremetal.commands import postgres_major, to_postgres
from matrix_baremetal.commands.asking import confirmed
from matrix_baremetal.commands.restore import agreed, brought, running
from matrix_baremetal.converge import Change, still_pending
from matrix_baremetal.errors import DIFFERS, Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.migrate import Taken
from matrix_baremetal.source import Source
from matrix_baremetal.transfer import Transfer

ONE = (
    "the old Synapse must never run again once this one has: two with one name and one key break their rooms for good"
)
DOCKER = "see that nothing starts it: docker rm synapse, and the same in any compose file"
PURGE = (
    "Do not purge the old package ({name}): that would take files along that are this server's now. If it happened: "
    "matrix-baremetal apply"
)


def run(args: Namespace) -> int:
    """Run the action."""
    others = {"postgres-major": postgres_major.run, "sqlite-to-postgres": to_postgres.run}
    return others.get(args.action, take_over)(args)


def take_over(args: Namespace) -> int:
    """Look at what is there and say what becomes of it; then take it over, as a restore brings a backup."""
    began = time.monotonic()
    host = running(args, "migrate")
    transfer = Transfer(quiet=args.quiet or args.json)
    with locked(host, f"migrate {args.action}", wait=args.wait):
        if args.action == "from-debian" and migrate.ended(host):
            migrate.forget(host)
            raise Error(
                f"all was taken over by the run before; the old config is in {migrate.kept(host)}",
                hint="matrix-baremetal apply",
            )
        try:
            taken, new = looked(host, args, transfer)
            stops = in_its_way(host, taken, args)
            if args.check:
                migrate.forget(host)
                return checked(taken, stops, args, new=new)
            if not (args.json or args.quiet):
                print(f"\n{migrate_page.page(taken, new=new)}\n")
            settled(host, taken, stops, args)
        except Error:
            migrate.forget(host)
            raise
        if args.action == "from-debian":
            migrate.set_aside(host, args.folder)
            migrate.make_ready(host)
        changes, left = brought(host, taken, args, transfer)
        if args.action == "from-debian":
            left.append(f"rm -r {migrate.kept(host)}")
        migrate.forget(host)
    return ended(host, taken, changes, left, args, time.monotonic() - began)


def ended(host: Host, taken: Taken, changes: list[Change], left: list[str], args: Namespace, seconds: float) -> int:
    """Say how it ended; 3 while something is pending."""
    pending = still_pending(changes)
    if args.json:
        rows = {**migrate_page.facts(taken), "obstacles": [], "kept": left}
        report.document({**rows, "pending": [{"what": c.title, "reason": c.reason} for c in pending]})
    elif not args.quiet:
        told(taken, left, seconds)
        report.waiting(pending)
        if args.action == "from-debian" and (old := migrate.packages(host)):
            print(report.wrapped(PURGE.format(name=" ".join(old))))
    return DIFFERS if pending else 0


def in_its_way(host: Host, taken: Taken, args: Namespace) -> list[Obstacle]:
    """What is in the way of it on this machine. Debian's own config is not: it is set aside."""
    now = session.of(host, taken.config, args.wheelhouse)
    unready = preflight.unready(now.site, now.needs, host, now.manifest)
    theirs = [*preflight.another(host)] if args.action == "from-debian" else []
    stops = [*migrate.obstacles(host, now, taken), *restore.obstacles(now, taken)]
    return stops + [each for each in unready if each not in theirs]


def settled(host: Host, taken: Taken, stops: list[Obstacle], args: Namespace) -> None:
    """Nothing is in the way, and whoever began it wants it. Raises `Error`."""
    preflight.refuse(stops)
    log.warn(f"{ONE}; {DOCKER}" if taken.source.docker else ONE)
    confirmed(yes=args.yes)
    now = session.of(host, taken.config, args.wheelhouse)
    agreed(now, again(args), "this server takes their place", args)


def again(args: Namespace) -> str:
    """The same command for where nobody can be asked."""
    names = ("dump", "postgres_data", "hostname", "email")
    told = ((f"--{name.replace('_', '-')}", value) for name in names if (value := getattr(args, name)))
    words = (word for pair in told for word in pair)
    return shlex.join(("matrix-baremetal", "migrate", args.action, "--yes", args.folder, *words))


def looked(host: Host, args: Namespace, transfer: Transfer) -> tuple[Taken, bool]:
    """All of the source, read, and whether its config is still to be written."""
    if args.action == "from-docker":
        found = source.docker(host, args.folder)
    else:
        found = source.debian(host, args.folder, migrate.ASIDE if host.node(migrate.ASIDE) else args.folder)
    dumped = dump_of(host, found, args, transfer)
    rows = migrate.looked(host, found, dumped, transfer)
    wished = takeover.taken_over(found.settings, rows.kind, args.hostname)
    text = wished.text(args.email)
    wanted = migrate.decoded(host, text)
    new = host.node(session.CONFIG) is None
    if not new:
        wished = wished.against(wanted.synapse.settings)
    return migrate.held(host, found, rows, wished, text if new else "", wanted), new


def dump_of(host: Host, found: Source, args: Namespace, transfer: Transfer) -> str | None:
    """The file with its rows, where it kept them in Postgres. Raises `Error` where that is missing or too much."""
    if found.driver == "sqlite3" and (args.dump or args.postgres_data):
        raise Error(
            f"{found.folder} keeps its rows in SQLite, in {found.file}, so Postgres has another server's",
            hint=f"matrix-baremetal migrate {args.action} {args.folder}",
        )
    if args.postgres_data:
        return postgres_data.dumped(host, args.postgres_data, found.role, found.database, transfer)
    if found.driver == "psycopg2" and not args.dump:
        # On the machine itself Postgres asks who one is; whoever looks after it may read all.
        docker = f"docker exec CONTAINER pg_dump -U {found.role}"
        program = docker if args.action == "from-docker" else "sudo -u postgres pg_dump"
        make = f"{program} -Fc {found.database} > synapse.dump"
        raise Error(
            f"its rows are in Postgres (database {found.database}), and no dump of that is named",
            hint=f"{make}; then: matrix-baremetal migrate {args.action} {args.folder} --dump synapse.dump",
        )
    return str(args.dump) if args.dump else None


def checked(taken: Taken, stops: list[Obstacle], args: Namespace, *, new: bool) -> int:
    """Only the page; 3 where something stops it."""
    if args.json:
        report.document({**migrate_page.facts(taken), "obstacles": [asdict(each) for each in stops]})
    else:
        print(f"\n{migrate_page.page(taken, new=new)}\n")
        print(migrate_page.in_the_way(stops) if stops else "Nothing stops it. Nothing was changed.")
    return DIFFERS if stops else 0


def told(taken: Taken, left: list[str], seconds: float) -> None:
    """How it ended, and what is still to be done by a person."""
    print(f"\n{taken.source.server_name} runs here now, after {seconds:.0f} s. Everybody is still logged in.")
    for where in left:
        print(f"What was here before is kept. When you are sure that you don't need it: {where}")
    if taken.source.docker:
        print(report.wrapped(f"{taken.path} was only read. Keep it for a while; {ONE}; {DOCKER}."))
    elif taken.rows.dump is None:
        print(f"The old rows are as they were. When you are sure that you don't need them: rm {taken.source.file}*")
    print("DNS records to be there: matrix-baremetal show dns")
    print("Then look at it as others see it: matrix-baremetal doctor")
