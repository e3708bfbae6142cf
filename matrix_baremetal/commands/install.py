"""install: from a bare machine to a homeserver that answers."""

from __future__ import annotations

import time
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from matrix_baremetal import components, preflight, report, session
from matrix_baremetal.checks.certificates import Held
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.parts import Parts
from matrix_baremetal.commands import apply, init, show
from matrix_baremetal.commands.doctor import of
from matrix_baremetal.commands.person import shown_password
from matrix_baremetal.components.users import account
from matrix_baremetal.converge import ensure, plan, still_pending
from matrix_baremetal.doctor import examine
from matrix_baremetal.errors import DIFFERS, USAGE, Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.findings_page import summary as summed_up
from matrix_baremetal.findings_page import told
from matrix_baremetal.host import Host
from matrix_baremetal.lock import locked
from matrix_baremetal.patience import patiently
from matrix_baremetal.resources import firstboot
from matrix_baremetal.resources.matrix import Account
from matrix_baremetal.session import Session


class Contradiction(Error):
    """The command line says other than the config."""

    status = USAGE


def run(args: Namespace) -> int:
    """Set everything up, and where asked to, again after what a network that comes late made fail."""
    return patiently(partial(install, args), args.retry)


def install(args: Namespace) -> int:
    """init where there is no config, preflight, apply, the first administrator; 3 while a certificate is pending."""
    began = time.monotonic()
    host = Host(Path(args.root))
    preflight.check_machine(host)
    with locked(host, "install", wait=args.wait):
        asked = not init.there(args) and init.write(args)
        now = session.begin(args.root, args.config, args.wheelhouse)
        same_name(now, args)
        if asked and not (args.json or args.quiet):
            print(introduction(now))
        changes = apply.bring(now, json=args.json, quiet=args.quiet)
        passwords = administrators(now, args.admin)
        firstboot.carried_out(host)
    found = examine(checks(now), now.host)
    wrong = [finding for finding in found if finding.state in ("fail", "warn")]
    pending = still_pending(changes)
    outcome = {
        "server_name": now.site.config.server_name,
        "homeserver": f"https://{now.site.config.hostname}",
        "administrators": passwords,
        "pending": [
            {"what": each.title, "reason": each.reason, "itself": each.kind == "Certificate"} for each in pending
        ],
        "findings": [asdict(finding) for finding in wrong],
        "seconds": round(time.monotonic() - began, 1),
    }
    if args.json:
        report.document(outcome)
    elif not args.quiet:
        summary(now, outcome, found)
    return DIFFERS if pending or any(finding.state == "fail" for finding in wrong) else 0


def introduction(now: Session) -> str:
    """What somebody who has just answered the questions is shown before the first change: DNS, and the plan in short.

    A name that leads nowhere yet is the most frequent reason for a certificate that is pending.
    """
    rows = []
    changes = {(change.kind, change.name) for change in plan(now.resources, now.host, now.manifest)}
    for part in components.parts(now.site):
        nouns = Counter(r.noun for r in part.resources(now.needs) if r.noun and r.key in changes)
        if nouns:
            rows.append((type(part).__name__.lower(), ", ".join(report.several(*row) for row in nouns.items())))
    dns = show.dns_page(now, show.records(now))
    return (
        f"\nThe DNS records that have to be there (again: matrix-baremetal show dns)\n\n{report.indented(dns)}\n\n"
        "What comes now (stop it with Ctrl-C at any time; in full: matrix-baremetal plan)\n\n"
        f"{report.indented(report.table(rows))}\n"
    )


def same_name(now: Session, args: Namespace) -> None:
    """Refuse words that contradict the config: whoever typed them believes in another server."""
    written = now.site.config.server_name
    if args.server_name not in (None, written):
        raise Contradiction(
            f"{init.place(args)} says server_name: {written}, and --server-name says {args.server_name}",
            hint="leave --server-name out, or edit the file",
        )


def administrators(now: Session, name: str | None) -> dict[str, str]:
    """Make the administrator asked for; for each with an invented password, where that is kept."""
    accounts = [resource for resource in now.resources if isinstance(resource, Account)]
    if name and name not in (admin.name for admin in now.site.config.admins):
        accounts.append(account(now.site, name, admin=True, password_file=None))
        ensure(accounts[-1:], now.host)
    return {a.user: a.password_file for a in accounts if a.invent and now.host.node(a.password_file)}


def checks(now: Session) -> tuple[Check, ...]:
    """What is asked after an install: not what preflight has looked at, nor what is pending, of which it has told."""
    return tuple(check for check in of(now) if (check.depth or check.remote) and not isinstance(check, Held | Parts))


def summary(now: Session, outcome: dict[str, Any], found: Sequence[Finding]) -> None:
    """The last page of an install: where it is, who may log in, what is left to do, and what the doctor saw."""
    wrong = [finding for finding in found if finding.state in ("fail", "warn")]
    state = "runs, but not all is in place yet," if outcome["pending"] else "is ready"
    print(f"\n{now.site.config.server_name} {state} after {outcome['seconds']:.0f} s.\n")
    rows = [("homeserver", outcome["homeserver"])]
    for user, path in outcome["administrators"].items():
        rows += [("administrator", user), ("password", shown_password(now.host, path))]
    rows += [("pending", f"{row['what']}: {row['reason']}") for row in outcome["pending"]]
    if not all(row["itself"] for row in outcome["pending"]):
        rows += [("go on with", "matrix-baremetal apply")]
    rows += [("look at it", "matrix-baremetal status"), ("add people", "matrix-baremetal user add NAME")]
    rows += [("tell them", f"{outcome['homeserver']}/")]
    rows += [("doctor", summed_up(found))]
    print(report.indented(report.table(rows)))
    if wrong:
        print()
        print("\n".join(line for finding in wrong for line in told(finding)).rstrip())
