"""What the commands about people share: a homeserver that answers, somebody who is there, a typed password."""

from __future__ import annotations

import sys
from argparse import Namespace
from getpass import getpass
from typing import Any
from urllib.parse import quote

from matrix_baremetal import names
from matrix_baremetal.commands.init import Unanswered, terminal
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.components.users import PASSWORDS
from matrix_baremetal.errors import USAGE, Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.admin_api import AdminApi
from matrix_baremetal.resources.matrix import Homeserver, users
from matrix_baremetal.session import Session
from matrix_baremetal.shape import meant


class Unusable(Error):
    """What was typed can't be a user of this server."""

    status = USAGE


def ready(now: Session) -> None:
    """Refuse early where the homeserver can't answer."""
    for resource in now.resources:
        if isinstance(resource, Homeserver) and resource.find(now.host) != resource:
            raise Error("the homeserver does not answer", hint="matrix-baremetal status; matrix-baremetal apply")


def admin_api(now: Session) -> AdminApi:
    """Synapse's admin API, to be opened with `with`."""
    return AdminApi(now.host, now.site.config.server_name, now.site.store(USER))


def somebody(now: Session, text: str) -> dict[str, Any]:
    """The row (see `users`) of who is called alice or @alice:example.org. Raises `Error` where nobody is."""
    server = now.site.config.server_name
    try:
        user = names.local_user(text, server)
    except ValueError as error:
        raise Unusable(str(error), hint="matrix-baremetal user list") from None
    rows = {row["user"]: row for row in users(now.host, now.site.store(USER))}
    if user not in rows:
        near = meant(user, rows)
        raise Error(f"there is no {user}" + (f"; {near}" if near else ""), hint="matrix-baremetal user list")
    return rows[user]


def name_of(user: str) -> str:
    """alice of @alice:example.org."""
    return user[1:].partition(":")[0]


def password_file(user: str) -> str:
    """Where an invented password is kept; old names may hold a slash."""
    return f"{PASSWORDS}/{quote(name_of(user), safe='=+')}"


def shown_password(host: Host, path: str) -> str:
    """An invented password for a person's eyes, or where it is: what is no terminal may well be a log."""
    return (host.text(path) or "").strip() if sys.stdout.isatty() else f"in {path}"


def typed(args: Namespace) -> str:
    """A password from stdin or from a prompt."""
    if args.password_stdin:
        try:
            password = sys.stdin.readline().rstrip("\r\n")
            # Where the locale is C, what is no UTF-8 comes all the same.
            password.encode()
        except UnicodeError:
            raise Unanswered("the password is not UTF-8", hint="use --generate to have one invented") from None
    elif terminal():
        try:
            password, again = getpass("Password: "), getpass("Again: ")
        except EOFError:
            raise Unanswered("no password was given", hint="run it again, or use --generate") from None
        if password != again:
            raise Error("the two passwords differ", hint="run it again")
    else:
        raise Unanswered("no password was given", hint="use --password-stdin or --generate")
    if not password:
        raise Unanswered("the password is empty", hint="use --generate to have one invented")
    return password
