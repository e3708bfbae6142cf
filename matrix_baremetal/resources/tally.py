"""What a server holds, in numbers: accounts, rooms, other servers, media. One cheap question to its store."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields

from matrix_baremetal.host import Host
from matrix_baremetal.resources.admin_api import PASSING
from matrix_baremetal.resources.store import Store

# Seconds: a table that somebody has locked is no reason to wait.
PATIENCE = 2.0


@dataclass(frozen=True)
class Tally:
    """`users` are people's accounts, `rooms` those that one of them is in, `servers` all that were ever spoken to,
    `waiting` those of them that are not asked again before a while, as they did not answer; media are bytes, without
    the small pictures that are made of them.
    """

    users: int
    rooms: int
    servers: int
    waiting: int
    media: int
    remote_media: int


def read(host: Host, store: Store) -> Tally | None:
    """The numbers; None before Synapse's first start. Raises `Error` where the store does not answer in time."""
    rows = store.rows(host, COUNT, None, PATIENCE, now=str(int(time.time() * 1000)))
    return Tally(*(int(cell or 0) for cell in rows[0])) if rows and len(rows[0]) == len(fields(Tally)) else None


# synapse/util/retryutils.py: a server is left alone from retry_last_ts on for retry_interval, both in milliseconds.
COUNT = f"""SELECT
(SELECT count(*) FROM users WHERE deactivated = 0 AND is_guest = 0 AND appservice_id IS NULL
AND substr(name, 1, {len(PASSING)}) <> '{PASSING}'),
(SELECT count(DISTINCT room_id) FROM local_current_membership WHERE membership = 'join'),
(SELECT count(*) FROM destinations),
(SELECT count(*) FROM destinations WHERE retry_last_ts + retry_interval > CAST(:now AS BIGINT)),
(SELECT coalesce(sum(media_length), 0) FROM local_media_repository),
(SELECT coalesce(sum(media_length), 0) FROM remote_media_cache);"""
