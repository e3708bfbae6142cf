"""status: the machine on one screen."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import asdict
from typing import Any

from matrix_baremetal import report, session, status
from matrix_baremetal.checks.backup import age
from matrix_baremetal.errors import DIFFERS
from matrix_baremetal.transfer import amount

MARKS = {"active": "✓", "valid": "✓", "elsewhere": "✓", "self-signed": "✓", "overdue": "!"}


def run(args: Namespace) -> int:
    """Print it; 3 where something is wrong."""
    now = session.begin(args.root, args.config)
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
    print(report.wrapped(f"versions  {found}", 10))
    print(f"disk      database {memory(seen.disk['database'])}, free {memory(seen.disk['free'])}")
    print(report.wrapped(f"backup    {backed_up(seen.backup)}", 10))
    for row in seen.faults:
        fault = report.wrapped(f"✗ {row['fault']}", 2).replace("✗", report.coloured("✗", "✗"), 1)
        print(f"\n{fault}\n  next: {row['next']}")


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
