"""user: accounts of the homeserver. A password comes from a prompt, from stdin, or is invented; never from argv.

Here are `list` and `add`; the other actions have modules of their own.
"""

from __future__ import annotations

import time
from argparse import Namespace

from matrix_baremetal import report, session
from matrix_baremetal.commands import user_change, user_export, user_import, user_show
from matrix_baremetal.commands.person import ready, shown_password, typed
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.components.synapse import SHARED_SECRET
from matrix_baremetal.components.users import account
from matrix_baremetal.converge import ensure
from matrix_baremetal.errors import Error
from matrix_baremetal.resources.matrix import register, users
from matrix_baremetal.session import Session


class Exists(Error):
    """The account is there already."""


def run(args: Namespace) -> int:
    """Do what `user ACTION` says."""
    now = session.begin(args.root, args.config)
    ready(now)
    actions = {"list": listed, "add": added, "show": user_show.shown, "import": user_import.imported}
    actions |= {
        "passwd": user_change.passwd,
        "admin": user_change.admin,
        "deactivate": user_change.deactivate,
        "export": user_export.exported,
    }
    return actions[args.action](now, args)


def listed(now: Session, args: Namespace) -> int:
    """All accounts, the oldest first."""
    rows = users(now.host, now.site.store(USER))
    if args.json:
        report.document({"users": rows})
        return 0
    words = [("USER", "ROLE", "STATE", "SINCE")]
    for row in rows:
        since = time.strftime("%Y-%m-%d", time.localtime(row["created"]))
        role, state = ("admin" if row["admin"] else "user"), ("deactivated" if row["deactivated"] else "active")
        words.append((row["user"], role, state, since))
    print(report.table(words))
    return 0


def added(now: Session, args: Namespace) -> int:
    """Make one account."""
    user = account(now.site, args.name, admin=args.admin, password_file=None)
    if user.find(now.host) is not None:
        raise Exists(f"{user.user} exists already", hint="matrix-baremetal user list")
    outcome: dict[str, object] = {"user": user.user, "admin": args.admin}
    if args.generate:
        ensure([user], now.host)
        outcome["password_file"] = user.password_file
    else:
        register(now.host, args.name, typed(args), args.admin, SHARED_SECRET)
    told(now, outcome, args)
    return 0


def told(now: Session, outcome: dict[str, object], args: Namespace) -> None:
    """Say what was made; an invented password only to a person's eyes."""
    if args.json:
        report.document(outcome)
        return
    if args.quiet:
        return
    print(f"Made {outcome['user']}{' (administrator)' if args.admin else ''}.")
    if path := outcome.get("password_file"):
        print(f"Password: {shown_password(now.host, str(path))}")
