"""Registration that has an end: what stands in Synapse's config, and what closes it when the time has come, or when
no administrator has looked in for too long.

Synapse takes up whether people may register at its start alone. So start-synapse looks at the clock and at the notes
that are left here, and a timer has it started anew at that moment. Neither reads config.yaml: what somebody has begun
to write there keeps nothing open, and nothing else of it is carried out.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources import opening
from matrix_baremetal.resources.admin_api import PORT
from matrix_baremetal.resources.clusters import STANDARD, Cluster
from matrix_baremetal.resources.opening import DAY, PLACE, UNATTENDED, read, written
from matrix_baremetal.resources.postgres_store import PostgresStore
from matrix_baremetal.resources.sqlite_store import SqliteStore
from matrix_baremetal.resources.store import Store
from matrix_baremetal.resources.systemd import shown
from matrix_baremetal.yamlfile import foreign

SYNAPSE = "matrix-synapse.service"
HOMESERVER = "/etc/matrix-synapse/homeserver.yaml"
# In homeserver.yaml, for start-synapse and for us; Synapse passes over what it does not know.
KEY = "matrix_baremetal_registration_until"
# The same: for how many days it is open without an administrator.
DAYS = "matrix_baremetal_registration_unattended_days"
# Which end has come: a clock that goes back later, or comes up wrong after a boot, opens nothing.
CLOSED = f"{PLACE}/closed"
# Seconds.
PATIENCE = 120


def asked(host: Host) -> str | None:
    """The end that Synapse's config has, as text."""
    found = re.search(rf"^{KEY}: '?([^'\n]+)'?$", host.text(HOMESERVER) or "", re.MULTILINE)
    return found[1] if found else None


def over(host: Host, end: str) -> bool:
    """Whether an end has come: by the clock, or as noted once. What can't be read as a time is over."""
    try:
        moment = read(end)
    except ValueError:
        return True
    return time.time() >= moment or noted(host) == end


def noted(host: Host) -> str:
    """The end that has come already."""
    return (host.text(CLOSED) or "").strip()


def closed(host: Host) -> bool:
    """Whether the homeserver lets nobody register."""
    return host.net.ask("POST", PORT, "/_matrix/client/v3/register", {}, timeout=5).status == 403


def close(host: Host) -> str | None:
    """Start Synapse anew where an end has come and it is open still; a sentence where it did that.

    Raises `Error` where it is open after that, or does not say; or where nobody can tell who looked in.
    """
    end = asked(host)
    if end is not None and over(host, end):
        sentence = f"registration is closed since {end}" if shut(host, f"since {end}") else None
        # Last, as a full disk is no reason to stay open.
        host.mkdir(PLACE, 0o755)
        host.write(CLOSED, f"{end}\n", 0o644)
        return sentence
    days = watched(host)
    if days is None or (opening.closed(host) is None and time.time() < lapses(host, used(host), days)):
        return None
    if opening.closed(host) is None:
        # First, as it is what start-synapse goes by.
        host.write(UNATTENDED, f"{written(datetime.fromtimestamp(time.time(), UTC))}\n", 0o644)
    why = f"as no administrator has looked in for {days} days"
    return f"registration is closed, {why}; {AGAIN}" if shut(host, why) else None


# What opens it once more.
AGAIN = "to open it again, log in as an administrator, then run: matrix-baremetal apply"


def shut(host: Host, why: str) -> bool:
    """Have it closed; whether that took a start of Synapse. Raises `Error` where it is open all the same."""
    if shown(host, SYNAPSE, "ActiveState")["ActiveState"] in ("inactive", "failed") or closed(host):
        return False
    host.run("systemctl", "try-restart", SYNAPSE, timeout=1900)
    until = time.monotonic() + PATIENCE
    while not closed(host):
        if time.monotonic() > until:
            raise Error(f"registration should be closed, {why}, and is not", hint="matrix-baremetal status")
        time.sleep(0.2)
    return True


def watched(host: Host) -> int | None:
    """For how many days Synapse's config has it open without an administrator; None where it does not say."""
    found = re.search(rf"^{DAYS}: (\d+)$", host.text(HOMESERVER) or "", re.MULTILINE)
    return int(found[1]) if found else None


def lapses(host: Host, store: Store, days: int) -> float:
    """When it closes unless an administrator looks in, in seconds since 1970.

    It counts from its opening where that is later: who has just installed all this needn't have logged in yet. Raises
    `Error` where the database does not say.
    """
    return max(opening.opened(host)[1], opening.visited(host, store)) + days * DAY


def used(host: Host) -> Store:
    """Where Synapse keeps its rows, as it was told itself. Raises `Error` where its config can't be read."""
    database = foreign(host.text(HOMESERVER) or "", HOMESERVER).get("database") or {}
    args = database.get("args") or {}
    user = SYNAPSE.removesuffix(".service")
    if database.get("name") == SqliteStore.driver:
        return SqliteStore(str(args.get("database")), user)
    return PostgresStore(str(args.get("dbname", user)), Cluster("", "", int(args.get("port", STANDARD))))
