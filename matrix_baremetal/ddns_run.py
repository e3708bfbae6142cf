"""Tell the DNS provider this line's address: one run of Debian's ddclient, and a note of what came of it.

What a timer starts every few minutes. ddclient speaks to the provider, and only where the address has changed. It
would find the address by itself too; we do, as its own ways differ from release to release, and it calls a run
without an address a good one. A provider that says no for a reason that stays is not asked again before the config
is another, or a day has gone by: those who ask on and on are locked out.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from matrix_baremetal.errors import Error
from matrix_baremetal.facts import own_addresses
from matrix_baremetal.host import Host
from matrix_baremetal.net import public
from matrix_baremetal.web import Request

USER = "matrix-ddns"
ETC = "/etc/matrix-ddns"
CONFIG = f"{ETC}/ddclient.conf"
# Which names follow, the pages that say from where they were asked, whether an address of this machine goes first.
SETTINGS = f"{ETC}/settings.json"
PLACE = f"/var/lib/{USER}"
NOTE = f"{PLACE}/note.json"
UNIT_LOGS = "journalctl -u matrix-ddns -n 20"
DAY = 86400
# Of ddclient's words, or of those that the provider's protocol has: what they mean, and whether it stays so.
MEANINGS = (
    ("badauth", "the provider refuses the user or the password", True),
    ("authorization failed", "the provider refuses the user or the password", True),
    ("Server said: 'KO'", "the provider refuses the token, or does not know the name", True),
    ("nohost", "the provider knows no such name of this account", True),
    ("!yours", "the provider knows no such name of this account", True),
    ("notfqdn", "the provider takes this for no whole name", True),
    ("numhost", "the provider takes one name at a time", True),
    ("!active", "the name is not active at the provider yet", True),
    ("!donator", "the provider wants to be paid for this", True),
    ("badagent", "the provider refuses ddclient", True),
    ("abuse", "the provider has locked the name, as it was updated too often", True),
    ("dnserr", "the provider has trouble with its own DNS", False),
    ("911", "the provider is out of order", False),
    ("Could not connect", "the provider does not answer", False),
)


# The year 9999 is the last that has a date.
LATEST = 253_370_764_800


@dataclass(frozen=True)
class Note:
    """What came of a run, at `when`: the address, told to the provider since `since`, or why it was not.

    `config` is the digest of what ddclient read; with `final` the provider is not asked again by the same.
    """

    when: float = 0
    since: float = 0
    address: str = ""
    fault: str = ""
    config: str = ""
    final: bool = False


def noted(host: Host) -> Note | None:
    """What came of the last run; None where there was none yet."""
    try:
        found = Note(**json.loads(host.text(NOTE) or ""))
    except (ValueError, TypeError):
        return None
    # It is not root who writes it.
    texts = all(isinstance(each, str) for each in (found.address, found.fault, found.config))
    return found if texts and all(map(sensible, (found.when, found.since))) else None


def sensible(moment: object) -> bool:
    """Whether it is a number that can be a moment, in seconds since 1970."""
    return isinstance(moment, int | float) and 0 <= moment < LATEST


def update(host: Host, config: str) -> Note:
    """Find the address, tell it, note what came of it. `config` is a copy of `CONFIG` that its user can read."""
    before, now = noted(host) or Note(), time.time()
    settings: dict[str, Any] = json.loads(host.text(SETTINGS) or "{}")
    digest = hashlib.sha256((host.read(config) or b"") + (host.read(SETTINGS) or b"")).hexdigest()
    if before.config != digest:
        # A new login is tried at once, where ddclient would wait after the last mistake.
        for name in host.names(PLACE):
            host.remove(f"{PLACE}/{name}")
        before = Note()
    if before.final and now - before.when < DAY:
        return before
    address, fault, final = before.address, "", False
    try:
        address = outside(host, settings.get("pages", ()), own=bool(settings.get("own")))
    except Error as error:
        fault = error.message
    else:
        faults = [told(host, config, name, address, before) for name in settings.get("names", ())]
        fault = next((fault for fault, _ in faults if fault), "")
        final = any(final for _, final in faults)
    since = before.since if address == before.address and not before.fault else now
    note = Note(now, since, address, fault, digest, final)
    host.write(NOTE, json.dumps(asdict(note)) + "\n", 0o600, USER, USER)
    return note


def outside(host: Host, pages: Sequence[str], *, own: bool) -> str:
    """The IPv4 address of this line: with `own` a public one of this machine's, else as a page elsewhere sees it."""
    mine = [each for each in public(own_addresses(host)) if own and ":" not in each]
    if mine:
        return mine[0]
    faults = []
    for page in pages:
        answer = host.net.request(Request(page, timeout=10))
        if answer.status == 200 and not answer.untrusted and (found := first(answer.body)):
            return found
        why = answer.fault or answer.untrusted or f"status {answer.status}, and no IPv4 address"
        faults.append(f"{page} does not say it: {why}")
    raise Error(f"this line's address can't be found: {'; '.join(faults)}", hint="matrix-baremetal doctor dns")


def first(page: bytes) -> str:
    """The first IPv4 address on a page; empty where there is none."""
    for text in re.findall(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])", page[:4096].decode("ascii", "replace")):
        try:
            return str(ipaddress.IPv4Address(text))
        except ValueError:
            continue
    return ""


def told(host: Host, config: str, name: str, address: str, before: Note) -> tuple[str, bool]:
    """Have ddclient tell the provider of a name; why it could not, if so, and whether that stays so.

    One run a name, as providers differ in how many answers they give to several.
    """
    cache = f"{PLACE}/{name}.cache"
    words = ("-file", config, "-cache", cache, "-daemon=0", "-use=ip", f"-ip={address}", f"-host={name}")
    done = host.run("ddclient", *words, ok=range(256), timeout=120)
    said = re.findall(r"^(?:FAILED|FATAL):\s*(.*\S)", f"{done.err}\n{done.out}", re.MULTILINE)
    if said:
        return meant(name, said[0])
    if done.status:
        return f"{name}: ddclient ended with status {done.status}: {done.last_words}", False
    # Where it waits after a mistake it says nothing, and ends well.
    found = re.search(r"(?:^|,)status=([^, ]*)", host.text(cache) or "", re.MULTILINE)
    if found and found[1] == "good":
        return "", False
    return before.fault or f"{name}: the provider did not take it, and does not say why", False


def meant(name: str, said: str) -> tuple[str, bool]:
    """A complaint of ddclient's in words, and whether it stays so."""
    for sign, words, final in MEANINGS:
        if sign in said:
            return f"{name}: {words} ({said})", final
    return f"{name}: the provider did not take it ({said})", False
