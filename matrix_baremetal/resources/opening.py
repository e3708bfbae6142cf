"""Registration that is open while an administrator looks in: since when it is, and that it is no more.

Who looks in is asked of Synapse's tables: each request that comes with an administrator's token leaves its time
there, two minutes late at most. The newest of them counts, whichever account and program it is of.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import ClassVar, Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.admin_api import PASSING
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.store import Store

FORM = "%Y-%m-%d %H:%M:%S UTC"
PLACE = "/var/lib/matrix-baremetal/registration"
# Since when it is open, and for how many days without an administrator.
OPENED = f"{PLACE}/opened"
# There once it has closed for want of one, with the moment. start-synapse looks at nothing else.
UNATTENDED = f"{PLACE}/unattended"
DAY = 86400.0
# Seconds that a look at the tables may take.
PATIENCE = 10.0


def written(moment: datetime) -> str:
    """A moment as the config of Synapse, the timer and the notes have it."""
    return moment.astimezone(UTC).strftime(FORM)


def read(text: str) -> float:
    """A moment that was written, in seconds since 1970. Raises `ValueError`."""
    return datetime.strptime(text.strip(), FORM).replace(tzinfo=UTC).timestamp()


def opened(host: Host) -> tuple[int, float]:
    """For how many days without an administrator it is open, and since when; zeros where there is no such note."""
    found = re.fullmatch(r"(\d+) days from (.+)\n", host.text(OPENED) or "")
    try:
        return (int(found[1]), read(found[2])) if found else (0, 0.0)
    except ValueError:
        return 0, 0.0


def closed(host: Host) -> float | None:
    """Since when it is closed for want of an administrator; None where it is not. A note without time is one."""
    text = host.text(UNATTENDED)
    if text is None:
        return None
    try:
        return read(text)
    except ValueError:
        return 0.0


def visited(host: Host, store: Store) -> float:
    """When an administrator was here last, in seconds since 1970; 0 for never.

    Raises `Error` where the database does not say, which is no sign of anybody and none of nobody.
    """
    rows = store.rows(host, NEWEST, None, PATIENCE)
    if not rows:
        raise Error(
            "the database does not say when an administrator was here last", hint="matrix-baremetal doctor synapse"
        )
    return int(rows[0][0] or 0) / 1000


@dataclass(frozen=True)
class Opening(Resource):
    """That registration is open, from now on until no administrator has looked in for so many `days`.

    `due` is found where it has closed and an administrator has been here since: the one case in which it is opened
    again. Another number of days is another opening.
    """

    live: ClassVar[bool] = True

    path: str
    days: int = 0
    store: Store | None = field(default=None, compare=False)
    due: bool = False

    @property
    def title(self) -> str:
        return "registration while an administrator looks in"

    def find(self, host: Host) -> Self | None:
        days, since = opened(host)
        if not since:
            return None
        return replace(self, days=days, due=self.due_here(host))

    def due_here(self, host: Host) -> bool:
        """Whether it has closed, and an administrator has been here since."""
        since = closed(host)
        try:
            return since is not None and self.store is not None and visited(host, self.store) > since
        except Error:
            # That has findings of its own, and nothing is opened on the strength of it.
            return False

    def make(self, host: Host, found: Self | None) -> None:
        # In this order: Synapse has read what is written first, and is started anew for it, as often as it takes.
        host.mkdir(PLACE, 0o755)
        host.write(self.path, f"{self.days} days from {written(datetime.fromtimestamp(time.time(), UTC))}\n", 0o644)
        host.remove(UNATTENDED)

    def undo(self, host: Host) -> None:
        host.remove(self.path)
        host.remove(UNATTENDED)


# A device that somebody logged out is in the first table alone, and what is older than four weeks in the second.
NEWEST = f"""SELECT max(seen) FROM (
SELECT last_seen AS seen, user_id AS who FROM user_ips UNION ALL SELECT last_seen, user_id FROM devices
) AS signs JOIN users ON name = who
WHERE admin = 1 AND deactivated = 0 AND substr(name, 1, {len(PASSING)}) <> '{PASSING}';"""
