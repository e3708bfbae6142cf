"""token: invitations, which let people make their accounts themselves."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any
from urllib.parse import quote

from matrix_baremetal import report, session
from matrix_baremetal.closing import over
from matrix_baremetal.commands.person import admin_api, ready
from matrix_baremetal.errors import Error
from matrix_baremetal.resources import opening
from matrix_baremetal.resources.admin_api import PORT, AdminApi, Refusal
from matrix_baremetal.resources.files import readable_text
from matrix_baremetal.resources.opening import written
from matrix_baremetal.session import Session

PATH = "/v1/registration_tokens"
# Element's own, where this server has no web client that makes accounts.
CLIENT = "https://app.element.io/#/register"


def run(args: Namespace) -> int:
    """Do what `token ACTION` says."""
    now = session.begin(args.root, args.config)
    ready(now)
    if args.action == "create":
        of_use(now)
    with admin_api(now) as api:
        {"create": create, "list": listed, "revoke": revoke}[args.action](now, api, args)
    return 0


def of_use(now: Session) -> None:
    """Refuse to make what nobody could use, in the config or in the homeserver that runs."""
    registration = now.site.config.opening.mode
    if registration != "token":
        why = "nobody could use a token" if registration == "closed" else "nobody needs a token"
        hint = "write registration: token into the config, then: matrix-baremetal apply"
        raise Error(f"registration is {registration}, so {why}", hint=hint)
    if (end := now.site.closes) and over(now.host, written(end)):
        hint = "write a later until into the config, then: matrix-baremetal apply"
        raise Error(f"registration is closed since {now.site.here(end)}, so nobody could use a token", hint=hint)
    if now.site.config.opening.unattended_days and opening.closed(now.host) is not None:
        why = "registration is closed, as no administrator looked in, so nobody could use a token"
        raise Error(why, hint="log in as an administrator, then: matrix-baremetal apply")
    path = "/_matrix/client/v1/register/m.login.registration_token/validity?token=nobody"
    if now.host.net.ask("GET", PORT, path).status == 403:
        raise Error("the homeserver still runs with registration closed", hint="matrix-baremetal apply")


def create(now: Session, api: AdminApi, args: Namespace) -> None:
    """Make a token, and say what to send."""
    expires = None if args.expires is None else int(time.time()) + args.expires
    body: dict[str, Any] = {"token": invented(), "uses_allowed": args.uses}
    body["expiry_time"] = None if expires is None else expires * 1000
    made = row(api.ask("POST", f"{PATH}/new", body))
    config, ours = now.site.config, now.site.config.registration_client
    link = f"https://{ours}/#/register" if ours else CLIENT
    if args.json:
        more = {"server_name": config.server_name, "homeserver": f"https://{config.hostname}", "link": link}
        report.document({key: made[key] for key in ("token", "uses_allowed", "expires")} | more)
        return
    rows = [("token", made["token"]), ("uses", spoken_uses(made)), ("until", spoken_time(made))]
    if end := now.site.closes:
        rows.append(("registration", f"open until {now.site.here(end)}"))
    print(report.table(rows) if not args.quiet else made["token"])
    if not args.quiet:
        letter = OURS if ours else LETTER
        print(report.wrapped(letter.format(server_name=config.server_name, link=link, token=made["token"])))


LETTER = """
What to send:

  You are invited to {server_name}. In a browser, open
  {link}
  press Edit beside the homeserver, type {server_name},
  and give this token when it asks for one: {token}

The page is that of Element's makers; Element Desktop works without it.
Element X can't make an account with a token, but it can log in to it afterwards."""

OURS = """
What to send:

  You are invited to {server_name}. In a browser, open
  {link}
  and give this token when it asks for one: {token}

Element X can't make an account with a token, but it can log in to it afterwards."""


def invented() -> str:
    """A token that a person can read aloud: eighty bits; never one that looks like an option."""
    return readable_text(16, 4)


def listed(now: Session, api: AdminApi, args: Namespace) -> None:
    """All tokens, those of use first."""
    rows = [row(one) for one in api.ask("GET", PATH)["registration_tokens"]]
    rows.sort(key=lambda one: (one["state"] != "valid", one["expires"] or 1 << 62, one["token"]))
    if args.json:
        report.document({"tokens": rows})
        return
    words = [("TOKEN", "USES", "MADE", "UNTIL", "STATE")]
    words += [(r["token"], spoken_uses(r), str(r["completed"]), spoken_time(r), r["state"]) for r in rows]
    print(report.table(words) if rows else "There are no tokens. To make one: matrix-baremetal token create")


def revoke(now: Session, api: AdminApi, args: Namespace) -> None:
    """Take a token back."""
    try:
        api.ask("DELETE", f"{PATH}/{quote(args.token, safe='')}")
    except Refusal as refusal:
        if refusal.answer.status != 404:
            raise
        raise Error(f"there is no token {args.token}", hint="matrix-baremetal token list") from None
    if args.json:
        report.document({"token": args.token, "revoked": True})
    elif not args.quiet:
        print(f"Revoked {args.token}. Accounts that were made with it stay.")


def row(token: dict[str, Any]) -> dict[str, Any]:
    """A token as JSON has it: times in seconds since 1970, and whether anybody can still use it."""
    allowed, used, expires = token["uses_allowed"], token["pending"] + token["completed"], token["expiry_time"]
    state = "valid"
    if expires is not None and expires < time.time() * 1000:
        state = "expired"
    elif allowed is not None and used >= allowed:
        state = "used up" if token["completed"] >= allowed else "in use"
    kept = {key: token[key] for key in ("token", "uses_allowed", "pending", "completed")}
    return kept | {"expires": None if expires is None else expires // 1000, "state": state}


def spoken_uses(token: dict[str, Any]) -> str:
    """For how many accounts."""
    return "unlimited" if token["uses_allowed"] is None else str(token["uses_allowed"])


def spoken_time(token: dict[str, Any]) -> str:
    """Until when."""
    if token["expires"] is None:
        return "for ever"
    return time.strftime("%Y-%m-%d %H:%M %Z", time.localtime(token["expires"]))
