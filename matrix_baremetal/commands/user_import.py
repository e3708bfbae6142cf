"""user import: the accounts that a CSV file lists, those that are missing."""

from __future__ import annotations

import os
import re
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from matrix_baremetal import accounts_csv, log, report
from matrix_baremetal.accounts_csv import Person
from matrix_baremetal.commands.person import admin_api, name_of
from matrix_baremetal.components.component import SECRETS
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.components.users import password
from matrix_baremetal.errors import USAGE, Error
from matrix_baremetal.nodes import Problems
from matrix_baremetal.resources.admin_api import AdminApi, Refusal, of_user
from matrix_baremetal.resources.matrix import users
from matrix_baremetal.session import Session
from matrix_baremetal.signals import stoppable

IMPORTS = f"{SECRETS}/imports"
HEAD = "name,password\n"


class Unreadable(Error):
    """There is no such file, or none that can be read."""

    status = USAGE


def imported(now: Session, args: Namespace) -> int:
    """Check the whole file, then make the accounts that are missing; the same command again goes on from there."""
    began = time.monotonic()
    people = read(now, args.file)
    there = {row["user"] for row in users(now.host, now.site.store(USER))}
    missing = [person for person in people if person.user not in there]
    made: list[str] = []
    with admin_api(now) as api, stoppable() as stop:
        unclaimed(api, missing, args.file)
        passwords = invented(now, args.file, missing)
        for person in missing:
            make(api, person, person.password or passwords[person.user], f"{len(made)} of {len(missing)}")
            made.append(person.user)
            if not (args.json or args.quiet):
                print(f"  {report.coloured('✓', '✓')} {person.user}", flush=True)
            stop.heed()
    outcome: dict[str, Any] = {"made": made, "there_already": [p.user for p in people if p.user in there]}
    outcome["password_file"] = kept(args.file) if passwords else None
    outcome["seconds"] = round(time.monotonic() - began, 1)
    if args.json:
        report.document(outcome)
    elif not args.quiet:
        print("\n".join(page(outcome)))
    return 0


def page(outcome: dict[str, Any]) -> list[str]:
    """The outcome in words."""
    made, there = (len(outcome[key]) for key in ("made", "there_already"))
    lines = [f"Made {report.several('account', made)} in {outcome['seconds']} s."]
    if there:
        lines.append("1 was there already." if there == 1 else f"{there} were there already.")
    if outcome["password_file"]:
        lines.append(f"Invented passwords: in {outcome['password_file']}")
    return lines


def read(now: Session, file: str) -> tuple[Person, ...]:
    """The people of a file. Raises `ConfigError` with all its mistakes."""
    try:
        with Path(file).open("rb") as opened:
            raw, mode = opened.read(accounts_csv.MOST_BYTES + 1), os.fstat(opened.fileno()).st_mode
    except OSError as error:
        raise Unreadable(
            f"{file} can't be read: {error.strerror}", hint="matrix-baremetal user import --help"
        ) from None
    people = accounts_csv.decode(raw, file, now.site.config.server_name)
    if mode & 0o004 and any(person.password for person in people):
        log.warn(f"the mode of {file} lets every user of this machine read its passwords: chmod 600 {file}")
    return people


def unclaimed(api: AdminApi, people: Sequence[Person], file: str) -> None:
    """Refuse addresses that belong to other accounts: Synapse would take them away from there."""
    problems = Problems()
    for person in people:
        if person.email is None or problems.full:
            continue
        try:
            owner = api.ask("GET", f"/v1/threepid/email/users/{quote(person.email.lower(), safe='')}")["user_id"]
        except Refusal as refusal:
            if refusal.answer.status != 404:
                raise
            continue
        problems.add(person.places["email"], f"email: this address belongs to {owner} already")
    accounts_csv.refuse(file, problems)


def invented(now: Session, file: str, people: Sequence[Person]) -> dict[str, str]:
    """Passwords for those who have none, kept before any account is made: a run that is cut off loses none."""
    nameless = [person.user for person in people if person.password is None]
    if not nameless:
        return {}
    path = kept(file)
    lines = (now.host.text(path) or HEAD).splitlines()[1:]
    old = dict(line.rsplit(",", 1) for line in lines if "," in line)
    passwords = {user: old.get(name_of(user)) or password() for user in nameless}
    rows = old | {name_of(user): text for user, text in passwords.items()}
    now.host.mkdir(IMPORTS, 0o700)
    now.host.write(path, HEAD + "".join(f"{name},{text}\n" for name, text in rows.items()), 0o600)
    return passwords


def kept(file: str) -> str:
    """Where the invented passwords of a file are kept, by its name."""
    stem = re.sub(r"[^A-Za-z0-9._-]", "_", os.path.basename(file)).removesuffix(".csv").lstrip(".")
    return f"{IMPORTS}/{stem or 'accounts'}.csv"


def make(api: AdminApi, person: Person, text: str, so_far: str) -> None:
    """Make one account, with all that its line says."""
    body: dict[str, Any] = {"password": text, "admin": person.admin}
    if person.displayname:
        body["displayname"] = person.displayname
    if person.email:
        body["threepids"] = [{"medium": "email", "address": person.email}]
    try:
        api.ask("PUT", f"/v2{of_user(person.user)}", body)
    except Refusal as refusal:
        raise Error(
            f"the homeserver made no account {person.user}: {refusal.answer.error}; {so_far} are made",
            hint="when that is mended, the same command goes on from here",
        ) from None
