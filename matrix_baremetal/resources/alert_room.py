"""A room in which people read what doctor found, and the user of ours who writes there.

He has no password: nobody can log in as him. His one token is a row of ours in Synapse's table and a file for root.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self
from urllib.parse import quote

from matrix_baremetal.errors import Error, Pending
from matrix_baremetal.host import Host
from matrix_baremetal.net import Answer
from matrix_baremetal.resources.admin_api import PORT, AdminApi, of_user
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.store import Store

TOKEN = "/etc/matrix-baremetal/secrets/alerts_token"
NOTE = "/var/lib/matrix-baremetal/alerts.json"
CLIENT = "/_matrix/client/v3"


@dataclass(frozen=True)
class Room:
    """What is remembered of it: its id, whose it is, and whom we have invited."""

    id: str
    user: str
    invited: tuple[str, ...] = ()

    def write(self, host: Host) -> None:
        """Remember it."""
        rows = {"room": self.id, "user": self.user, "invited": list(self.invited)}
        host.mkdir(NOTE.rpartition("/")[0], 0o755)
        host.write(NOTE, json.dumps(rows) + "\n", 0o600)


def remembered(host: Host) -> Room | None:
    """The room that was made; None where there is none, or its note makes no sense."""
    try:
        rows = json.loads(host.text(NOTE) or "")
        return Room(str(rows["room"]), str(rows["user"]), tuple(map(str, rows["invited"])))
    except (ValueError, KeyError, TypeError):
        return None


def ask(host: Host, method: str, path: str, body: dict[str, Any] | None = None, timeout: float = 20) -> Answer:
    """Ask the homeserver as our user."""
    token = (host.text(TOKEN) or "").strip()
    return host.net.ask(method, PORT, f"{CLIENT}{path}", body, token=token or None, timeout=timeout)


def within(room: Room, *words: str) -> str:
    """The path of something in the room."""
    return "/".join((f"/rooms/{quote(room.id, safe='')}", *(quote(word, safe="") for word in words)))


def membership(host: Host, room: Room, user: str, timeout: float = 20) -> Answer:
    """What the homeserver says of somebody in the room: 200 and the event, 404 where it knows nothing of him."""
    return ask(host, "GET", within(room, "state", "m.room.member", user), timeout=timeout)


@dataclass(frozen=True)
class AlertRoom(Resource):
    """The user, his token, and the room, into which the people in `invited` were asked.

    Who leaves is not asked again; who is no longer among them is shown out. `ready` says that he is in the room and
    that the homeserver knows his token, as far as it answers.
    """

    live: ClassVar[bool] = True

    user: str
    invited: tuple[str, ...] = ()
    store: Store | None = field(default=None, compare=False)
    ready: bool = True

    @property
    def title(self) -> str:
        return f"room of the alerts, by {self.user}"

    @property
    def _server(self) -> str:
        return self.user.partition(":")[2]

    def find(self, host: Host) -> Self | None:
        room = remembered(host)
        if not host.live or room is None or room.user != self.user:
            return None
        return replace(self, invited=tuple(sorted(room.invited)), ready=self._ready(host, room))

    def _ready(self, host: Host, room: Room) -> bool:
        if host.node(TOKEN) is None:
            return False
        seen = membership(host, room, self.user, 5)
        # A homeserver that is down says nothing against it, and is a fault of its own.
        return joined(seen) if 0 < seen.status < 500 else True

    def make(self, host: Host, found: Self | None) -> None:
        assert self.store is not None, "a room without a store can be undone alone"
        if ask(host, "GET", "/account/whoami").data.get("user_id") != self.user:
            self._user(host, self.store)
        room = remembered(host)
        if room is None or room.user != self.user or not joined(membership(host, room, self.user)):
            room = self._room(host)
        for person in room.invited:
            if person not in self.invited:
                # Who has left already can't be shown out, and needn't.
                answered(ask(host, "POST", within(room, "kick"), {"user_id": person}), 403)
                room = told(host, room, tuple(each for each in room.invited if each != person))
        missing = []
        for person in self.invited:
            if person in room.invited:
                continue
            if not self.store.rows(host, THERE, name=person):
                missing.append(person)
                continue
            # Who is in it already, by another's invitation or by one of a run that was killed.
            answered(ask(host, "POST", within(room, "invite"), {"user_id": person}), 403)
            room = told(host, room, (*room.invited, person))
        if missing:
            raise Pending(f"nobody is called {', '.join(missing)} here yet, and is invited once there is an account")

    def _user(self, host: Host, store: Store) -> None:
        """Have an account without a password, and a token of it: first in the file, so that none is lost."""
        if store.rows(host, OTHERS, name=self.user):
            raise Error(
                f"{self.user} is not as the alerts need it: somebody has given it a password, or deactivated it",
                hint=f"matrix-baremetal user show {self.user[1:].partition(':')[0]}; or remove alerts.invite",
            )
        with AdminApi(host, self._server, store) as api:
            names = {"displayname": f"Alerts of {self._server}", "admin": False}
            api.ask("PUT", f"/v2{of_user(self.user)}", names)
        token = secrets.token_urlsafe(32)
        host.mkdir(TOKEN.rpartition("/")[0], 0o700)
        host.write(TOKEN, f"{token}\n", 0o600)
        store.rows(host, FORGET, name=self.user)
        # Synapse counts these in its memory, from 1 up.
        store.rows(host, ADD, {"token": token}, id=str(-1 - secrets.randbelow(1 << 62)), name=self.user)

    def _room(self, host: Host) -> Room:
        """Make it, private, so that only we invite; one that he is in is the one, as he joins no other's."""
        known = answered(ask(host, "GET", "/joined_rooms")).data.get("joined_rooms", [])
        if known:
            return told(host, Room(str(known[0]), self.user), ())
        body = {
            "preset": "private_chat",
            "name": f"Alerts of {self._server}",
            "topic": "What matrix-baremetal doctor finds each day: new faults, and what is mended.",
            "power_level_content_override": {"invite": 100},
        }
        made = answered(ask(host, "POST", "/createRoom", body, 60))
        return told(host, Room(str(made.data["room_id"]), self.user), ())

    def undo(self, host: Host) -> None:
        # Whatever comes of it: nobody has the token any more, and a homeserver that is taken away may not answer.
        if host.node(TOKEN) is not None:
            if (room := remembered(host)) is not None:
                ask(host, "POST", within(room, "leave"), {})
            ask(host, "POST", "/logout", {})
        host.remove(TOKEN)
        host.remove(NOTE)


def told(host: Host, room: Room, invited: tuple[str, ...]) -> Room:
    """The room with these people, which is remembered."""
    room = replace(room, invited=invited)
    room.write(host)
    return room


def joined(answer: Answer) -> bool:
    """Whether an answer about somebody's membership says that he is in the room."""
    return answer.status == 200 and answer.data.get("membership") == "join"


def answered(answer: Answer, *fine: int) -> Answer:
    """The answer, where the homeserver did it or there was nothing to do. Raises `Error` with its own sentence."""
    if answer.status not in (200, *fine):
        raise Error(f"the homeserver did not do it for the alerts: {answer.error}", hint="matrix-baremetal status")
    return answer


THERE = """SELECT 1 FROM users WHERE name = :name AND deactivated = 0;"""
OTHERS = """SELECT 1 FROM users WHERE name = :name AND (password_hash IS NOT NULL OR deactivated = 1);"""
FORGET = """DELETE FROM access_tokens WHERE user_id = :name;"""
ADD = """INSERT INTO access_tokens (id, user_id, token) VALUES (:id, :name, :token);"""
