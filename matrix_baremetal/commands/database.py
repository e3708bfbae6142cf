"""database maintain: what of the database is empty, and that room of use again or back on the disk."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from matrix_baremetal import log, maintain, preflight, report, session
from matrix_baremetal.commands import asking
from matrix_baremetal.commands.restore import running
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.errors import Error
from matrix_baremetal.lock import locked
from matrix_baremetal.maintain import Outlook
from matrix_baremetal.resources.store import UPDATES
from matrix_baremetal.resources.upkeep import Work
from matrix_baremetal.session import Session
from matrix_baremetal.signals import stoppable
from matrix_baremetal.transfer import Transfer, amount

COMMAND = "matrix-baremetal database maintain"
MOST = 12


def run(args: Namespace) -> int:
    """Look, say it, ask where the homeserver would be away, do it, and say what it brought."""
    host = running(args, "database maintain")
    transfer = Transfer(quiet=args.quiet or args.json)
    with locked(host, "database maintain", wait=args.wait):
        now = session.begin(args.root, args.config)
        if now.manifest.server_name is None:
            raise Error("there is no homeserver here yet", hint="matrix-baremetal install")
        if maintain.cut_off(host) and not args.check:
            transfer.say("  ! a run before was cut off while the homeserver stood still")
            maintain.answering(now, transfer)
        outlook, away = maintain.look(now), 0.0
        if not (args.json or args.quiet):
            print(page(now, outlook))
        if not args.check:
            away = done(now, outlook, args, transfer)
        size = now.site.store(USER).size(host)
    if args.json:
        report.document(document(now, outlook, size, away))
    elif not args.quiet:
        lines = checked(outlook) if args.check else told(outlook, size, away)
        print("\n".join(report.wrapped(line, 0) for line in lines))
    return 0


def done(now: Session, outlook: Outlook, args: Namespace, transfer: Transfer) -> float:
    """All that is worth it; for how many seconds the homeserver was away."""
    rewrites = outlook.rewrites if args.full else []
    preflight.refuse([*maintain.obstacles(now, [*outlook.reindexes, *rewrites])])
    if rewrites:
        if pending := now.site.store(USER).rows(now.host, UPDATES):
            log.warn(
                f"Synapse is still at work on its own tables ({pending[0][0]}), which may make its stop last longer"
            )
        agreed(now, rewrites, args)
    away: list[float] = []
    with stoppable() as stop:
        if rewrites:
            with maintain.standing_still(now, transfer, time.monotonic) as away:
                maintain.carried_out(now, [*outlook.leftovers, *rewrites], outlook, transfer, stop)
            # What was written anew has neither dead rows nor bloated indexes.
            rest = maintain.look(now)
            outlook.leftovers, outlook.vacuums, outlook.reindexes = rest.leftovers, rest.vacuums, rest.reindexes
        maintain.beside(now, outlook, transfer, stop)
    return sum(away)


def agreed(now: Session, works: list[Work], args: Namespace) -> None:
    """Say for how long the homeserver is away, and ask. Raises `Unanswered`."""
    spent = maintain.seconds(works)
    about = f"about {max(round(spent / 60), 1)} min" if spent >= 60 else f"about {spent} s"
    names = report.several("table", len(works)) if works[0].part.kind == "table" else "SQLite's file"
    size = amount(sum(work.part.size for work in works))
    line = (
        f"{now.site.config.server_name} is away while {names} of {size} "
        f"{'is' if len(works) == 1 else 'are'} written anew: {about}, longer on a slow disk."
    )
    if args.yes:
        if not (args.quiet or args.json):
            print(report.wrapped(line, 0))
        return
    asking.agreed(f"{report.wrapped(line, 0)}\n{asking.GO_ON}", line.removesuffix("."), f"{COMMAND} --full --yes")


def page(now: Session, outlook: Outlook) -> str:
    """What was measured, the emptiest first."""
    name, kind = now.site.config.server_name, now.site.store(USER).kind
    head = f"The database of {name} ({kind}) takes {amount(outlook.size)}; {amount(outlook.empty)} of that are empty."
    named = [work.part for work in (*outlook.vacuums, *outlook.reindexes, *outlook.rewrites)]
    keys = {(part.kind, part.name) for part in named}
    rows = [
        (amount(part.size), f"{amount(part.empty)} empty", dead(part.dead), f"{part.kind} {part.name}")
        for part in outlook.parts
        if (part.kind, part.name) in keys
    ]
    more = [f"… and {len(rows) - MOST} more"] if len(rows) > MOST else []
    left = [f"half made by a run that was killed: {work.part.name}" for work in outlook.leftovers]
    lines = [report.indented(line) for line in (report.table(rows[:MOST]) if rows else "", *more, *left) if line]
    return "\n".join([report.wrapped(head, 0), *lines])


def dead(count: int) -> str:
    """Rows that nobody sees any more, for a person."""
    return f"{count:,} dead rows" if count else ""


def checked(outlook: Outlook) -> list[str]:
    """What would be done."""
    beside = [*outlook.leftovers, *outlook.vacuums, *outlook.reindexes]
    lines = []
    if beside:
        lines.append(f"While the homeserver runs: {COMMAND}")
    if outlook.rewrites:
        gain = amount(sum(work.part.empty for work in outlook.rewrites))
        away = maintain.seconds(outlook.rewrites)
        lines.append(f"To have {gain} back on the disk, with the homeserver away for some {away} s: {COMMAND} --full")
    return lines or ["There is nothing worth doing."]


def told(outlook: Outlook, size: int, away: float) -> list[str]:
    """What it brought, and what is left to gain."""
    if not outlook.done:
        lines = ["There was nothing worth doing."]
    else:
        gained = outlook.size - size
        less = f", {amount(gained)} less" if gained > 0 else ""
        lines = [f"The database takes {amount(size)} now{less}."]
    if away:
        lines.append(f"The homeserver was away for {away:.0f} s, and answers.")
    written = {work.part.name for work, _ in outlook.done if work.verb == "rewrite"}
    left = [work for work in outlook.rewrites if work.part.name not in written]
    if left:
        gain, spent = amount(sum(work.part.empty for work in left)), maintain.seconds(left)
        lines += [
            f"{gain} are empty inside, where new rows will go first.",
            f"To have them back on the disk, with the homeserver away for some {spent} s: {COMMAND} --full",
        ]
    return lines


def document(now: Session, outlook: Outlook, size: int, away: float) -> dict[str, Any]:
    """For a program."""
    works = (*outlook.leftovers, *outlook.vacuums, *outlook.reindexes, *outlook.rewrites)
    worth = [
        {"verb": w.verb, "kind": w.part.kind, "name": w.part.name, "size": w.part.size, "empty": w.part.empty}
        for w in works
    ]
    return {
        "server_name": now.site.config.server_name,
        "database": now.site.store(USER).kind,
        "size": {"before": outlook.size, "now": size, "empty": outlook.empty},
        "worth": worth,
        "seconds_away": maintain.seconds(outlook.rewrites) if outlook.rewrites else 0,
        "done": [{"verb": w.verb, "name": w.part.name, "seconds": round(spent, 1)} for w, spent in outlook.done],
        "was_away": round(away, 1),
    }
