"""status: the machine on one screen."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from matrix_baremetal import parts, report, session, status
from matrix_baremetal.checks.backup import age
from matrix_baremetal.commands import status_space
from matrix_baremetal.errors import DIFFERS
from matrix_baremetal.transfer import amount

MARKS = {"active": "✓", "valid": "✓", "elsewhere": "✓", "self-signed": "✓", "overdue": "!"}


def run(args: Namespace) -> int:
    """Print it; 3 where something is wrong."""
    now = session.begin(args.root, args.config)
    if args.space:
        status_space.told(now, json=args.json)
        return 0
    seen = status.read(now)
    if args.json:
        report.document({"server_name": now.site.config.server_name, **asdict(seen)})
    else:
        page(now, seen)
    return DIFFERS if seen.faults else 0


def page(now: session.Session, seen: status.Status) -> None:
    """The page for a person: the head, the units, the certificates, the disk, and last what is wrong."""
    config = now.site.config
    state = report.coloured("ready", "✓") if seen.ready else report.coloured("not ready", "✗")
    print(f"{config.server_name} at https://{config.hostname} is {state}.\n")
    units = [(mark(u["state"]), u["unit"], u["state"], memory(u["memory"]), since(u["since"])) for u in seen.units]
    print(report.table(units), end="\n\n")
    rows = [(mark(c["state"]), c["domain"], c["state"], days(c["days"])) for c in seen.certificates]
    print(report.table(rows), end="\n\n")
    found = ", ".join(f"{name} {version}" for name, version in seen.versions.items())
    told = {"versions": found}
    if sentence := "; ".join(
        filter(None, (report.newer(now.site), parts.sentence(parts.others(now.resources, now.host))))
    ):
        told["upgrade"] = sentence
    told |= {
        "memory": in_use(seen.memory),
        "disk": room(seen.disk),
        "people": people(seen.counts) + registers(now, seen.registration),
    }
    if config.federation.enabled:
        told["federation"] = others(seen.federation)
    for name, text in {**told, "backup": backed_up(seen.backup)}.items():
        print(report.wrapped(f"{name:<12}{text}", 12))
    for row in seen.faults:
        fault = report.wrapped(f"✗ {row['fault']}", 2).replace("✗", report.coloured("✗", "✗"), 1)
        print(f"\n{fault}\n  next: {row['next']}")


def in_use(seen: dict[str, int]) -> str:
    """How much of the memory is taken."""
    return f"{memory(seen['total'] - seen['available'])} of {memory(seen['total'])} in use"


def room(seen: dict[str, int]) -> str:
    """What takes the disk, and what is left of it."""
    media = f"{memory(seen['media'])} (of other servers {memory(seen['remote_media'])})"
    sizes = f"database {memory(seen['database'])}, media {media}, backups {memory(seen['backups'])}"
    return f"{sizes}; free {memory(seen['free'])}"


def people(seen: dict[str, int | None]) -> str:
    """How many use it, and what for."""
    if seen["users"] is None or seen["rooms"] is None:
        return "not known: the database does not say"
    return f"{report.several('account', seen['users'])}, in {report.several('room', seen['rooms'])}"


def registers(now: session.Session, seen: dict[str, Any]) -> str:
    """Who else may make an account, where somebody may or might."""
    if seen["mode"] == "closed":
        return ""
    who = {"token": "with a token", "open": "for everybody"}[seen["mode"]]
    if (since := seen["unattended_since"]) is not None:
        when = now.site.here(datetime.fromtimestamp(since, UTC))
        return f"; registration {who} is closed since {when}, as no administrator looked in"
    when = now.site.here(now.site.closes) if now.site.closes else ""
    if seen["closed"]:
        return f"; registration {who} is closed since {when}"
    return f"; registration {who} is open" + (f" until {when}" if when else "")


def others(seen: dict[str, int | None]) -> str:
    """The other servers, and how many of them are left alone for a while."""
    if seen["servers"] is None:
        return "not known: the database does not say"
    waiting = f", {seen['waiting']} of them did not answer and are left alone for now" if seen["waiting"] else ""
    return f"{report.several('other server', seen['servers'])}{waiting}"


def backed_up(seen: dict[str, Any]) -> str:
    """How the last backup went."""
    last, failed = seen.get("last"), seen.get("failed")
    whole = f"{age(last['made'])} ago, {amount(last['size'])}" if last else "none yet"
    return f"failed {age(failed['at'])} ago ({failed['why']}); the last that is whole: {whole}" if failed else whole


def mark(state: str) -> str:
    """✓ or ✗."""
    sign = MARKS.get(state, "✗")
    return report.coloured(sign, sign)


def memory(size: int | None) -> str:
    """Bytes for a person."""
    if size is None:
        return ""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def days(left: int | None) -> str:
    """How long a certificate has left."""
    return "" if left is None else f"{left} days left"


def since(moment: int | None) -> str:
    """How long something has been running."""
    if moment is None:
        return ""
    seconds = max(int(time.time() - moment), 0)
    for length, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * length:
            return f"for {seconds // length} {word}"
    return f"for {seconds} seconds"
