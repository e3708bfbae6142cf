"""Synapse's admin API on this machine, asked as an administrator who is there for as long as that takes.

We have no account, and no token that lasts: two rows in Synapse's own tables make both, and go again. Passwords,
devices and deactivations are so changed by Synapse itself, with its hashing and its caches.
"""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import quote

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.net import Answer
from matrix_baremetal.resources.store import Store

PORT = 8008
# Synapse lets nobody register a name that begins with an underscore.
PASSING = "@_matrix-baremetal."
# Seconds that a token is good for. It is renewed at half of them, and no request may take longer than the rest.
LIFETIME = 120.0


class Refusal(Error):
    """The homeserver said no, in its own words; `status` of the `answer` says why."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"the homeserver refused: {answer.error}", hint="matrix-baremetal status")


class AdminApi:
    """The API, while it is open: `with AdminApi(host, server_name, store) as api`.

    `store` is where Synapse's tables are. Killed in between, it leaves a token that is soon too old and an
    account without a password; the next one takes both away.
    """

    def __init__(self, host: Host, server_name: str, store: Store) -> None:
        self.host = host
        self._server_name = server_name
        self._store = store
        self._user = self._token = ""
        self._opened = 0.0

    def __enter__(self) -> Self:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the homeserver answers to a request below /_synapse/admin. Raises `Refusal`."""
        if time.monotonic() > self._opened + LIFETIME / 2:
            self._close()
            self._open()
        path = f"/_synapse/admin{path}"
        answer = self.host.net.ask(method, PORT, path, body, token=self._token, timeout=LIFETIME / 2)
        if answer.status not in (200, 201):
            raise Refusal(answer)
        return answer.data

    def _open(self) -> None:
        now = time.time()
        self._user = f"{PASSING}{secrets.token_hex(8)}:{self._server_name}"
        self._token = secrets.token_urlsafe(32)
        self._opened = time.monotonic()
        self._rows(CLEAR, moment=milliseconds(now))
        # The token first: whoever has none any more is cleared away.
        self._rows(
            ADD_TOKEN,
            secret={"token": self._token},
            # Synapse counts these in its memory, from 1 up.
            id=str(-1 - secrets.randbelow(1 << 62)),
            name=self._user,
            until=milliseconds(now + LIFETIME),
        )
        self._rows(ADD_USER, name=self._user, now=str(int(now)))

    def _close(self) -> None:
        # Synapse takes the token out of its table, and out of its cache.
        self.host.net.ask("POST", PORT, "/_matrix/client/v3/logout", {}, token=self._token, timeout=10)
        # What can't be taken away now is of no use in two minutes; what went wrong before is what matters.
        with contextlib.suppress(Error):
            self._rows(REMOVE_USERS, name=self._user, moment=milliseconds(time.time()))

    def _rows(self, sql: str, secret: dict[str, str] | None = None, **values: str) -> None:
        self._store.rows(self.host, sql, secret, 60, **values)


def milliseconds(when: float) -> str:
    """A moment as Synapse's tables have it."""
    return str(int(when * 1000))


# One statement each, as SQLite takes them, and good in this order whatever comes in between: a user without a token
# is nobody, and so is a token without a user. Every column that is not named has a default. A support user is in no
# directory and in no count of active users.
CLEAR = f"""DELETE FROM access_tokens
WHERE substr(user_id, 1, {len(PASSING)}) = '{PASSING}' AND valid_until_ms < :moment;"""
ADD_TOKEN = """INSERT INTO access_tokens (id, user_id, token, valid_until_ms)
VALUES (:id, :name, :token, :until);"""
ADD_USER = """INSERT INTO users (name, admin, user_type, creation_ts) VALUES (:name, 1, 'support', :now);"""
REMOVE_USERS = f"""DELETE FROM users WHERE name = :name OR (substr(name, 1, {len(PASSING)}) = '{PASSING}'
AND name NOT IN (SELECT user_id FROM access_tokens WHERE valid_until_ms >= :moment));"""


def of_user(user: str) -> str:
    """A user's id as part of a path; it may hold anything that Synapse has ever allowed."""
    return f"/users/{quote(user, safe='')}"


def pages(api: AdminApi, path: str, key: str) -> Iterator[dict[str, Any]]:
    """All rows of an answer that comes in pages, such as a user's media (`next_token` leads on)."""
    start: Any = 0
    while start is not None:
        page = api.ask("GET", f"{path}?limit=1000&from={start}")
        yield from page.get(key, [])
        start = page.get("next_token")
