"""user passwd, admin, deactivate: changes to an account that is there, made by Synapse itself."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from matrix_baremetal import report
from matrix_baremetal.commands.init import Unanswered, terminal
from matrix_baremetal.commands.person import admin_api, name_of, password_file, shown_password, somebody, typed
from matrix_baremetal.components.users import password
from matrix_baremetal.errors import Error
from matrix_baremetal.resources.admin_api import of_user
from matrix_baremetal.session import Session


def passwd(now: Session, args: Namespace) -> int:
    """Give somebody another password; all devices are logged out, as one of them may be a thief's."""
    user = active(now, args.name)["user"]
    new = password() if args.generate else typed(args)
    path = password_file(user)
    fresh = waiting(path)
    if args.generate:
        # Kept before it counts: killed in between, somebody would be locked out by a password that nobody knows.
        now.host.mkdir(path.rpartition("/")[0], 0o700)
        now.host.write(fresh, new, 0o600)
    with admin_api(now) as api:
        devices = api.ask("GET", f"/v2{of_user(user)}/devices")["total"]
        api.ask("PUT", f"/v2{of_user(user)}", {"password": new, "logout_devices": not args.keep_devices})
    if args.generate:
        now.host.rename(fresh, path)
    else:
        now.host.remove(path)
    outcome: dict[str, Any] = {"user": user, "devices_logged_out": 0 if args.keep_devices else devices}
    said = [f"{user} has another password. Devices logged out: {outcome['devices_logged_out']}."]
    if args.generate:
        outcome["password_file"] = path
        said.append(f"Password: {shown_password(now.host, path)}")
    tell(outcome, said, args)
    return 0


def waiting(path: str) -> str:
    """Where a password waits until it counts: no user's name begins with a dot."""
    directory, _, name = path.rpartition("/")
    return f"{directory}/.{name}.new"


def admin(now: Session, args: Namespace) -> int:
    """Make somebody an administrator, or not any more."""
    row = active(now, args.name)
    user, wanted = row["user"], not args.revoke
    if args.revoke and name_of(user) in (one.name for one in now.site.config.admins):
        raise Error(
            f"the config lists {name_of(user)} among its admins, so the next apply would make {user} one again",
            hint="take it out of admins in the config, then run this again",
        )
    if changed := row["admin"] != wanted:
        with admin_api(now) as api:
            api.ask("PUT", f"/v1{of_user(user)}/admin", {"admin": wanted})
    when = ("now" if wanted else "any more") if changed else "already" if wanted else "anyway"
    tell({"user": user, "admin": wanted}, [f"{user} is {'' if wanted else 'not '}an administrator {when}."], args)
    return 0


def deactivate(now: Session, args: Namespace) -> int:
    """Close an account for good."""
    row = somebody(now, args.name)
    user = row["user"]
    if not args.yes:
        confirm(user, args)
    with admin_api(now) as api:
        erased = bool(api.ask("GET", f"/v2{of_user(user)}").get("erased"))
        if not row["deactivated"] or (args.erase and not erased):
            api.ask("POST", f"/v1/deactivate/{of_user(user).rpartition('/')[2]}", {"erase": args.erase})
    now.host.remove(password_file(user))
    said = [f"{user} is deactivated{' and erased' if args.erase or erased else ''}."]
    if name_of(user) in (one.name for one in now.site.config.admins):
        said.append("The config still lists it among its admins; take it out there.")
    tell({"user": user, "deactivated": True, "erased": args.erase or erased}, said, args)
    return 0


def confirm(user: str, args: Namespace) -> None:
    """Ask whether it is meant. Raises `Unanswered` where there is nobody to ask."""
    if not terminal():
        raise Unanswered(f"nobody said that {user} is to be deactivated for good", hint="add --yes")
    more = ", and who joins its rooms later will not see what it wrote" if args.erase else ""
    question = (
        f"{user} will be logged out everywhere, leave all its rooms and lose its password and keys{more}.\n"
        "Nobody can have this name again. Deactivate it? [y/N]"
    )
    # Not input's own prompt, which goes to stdout, where --json has its document.
    print(report.wrapped(question, 0, sys.stderr), end=" ", file=sys.stderr, flush=True)
    try:
        answer = input()
    except EOFError:
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise Error("nothing was changed", hint=f"matrix-baremetal user show {name_of(user)}")


def active(now: Session, name: str) -> dict[str, Any]:
    """The row of somebody whose account isn't closed."""
    row = somebody(now, name)
    if row["deactivated"]:
        raise Error(f"{row['user']} is deactivated", hint=f"matrix-baremetal user show {name_of(row['user'])}")
    return row


def tell(outcome: dict[str, Any], said: list[str], args: Namespace) -> None:
    """The outcome, for a program or a person."""
    if args.json:
        report.document(outcome)
    elif not args.quiet:
        print("\n".join(said))
