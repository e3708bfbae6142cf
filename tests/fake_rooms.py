"""Rooms of a homeserver, as far as our alerts need them, for whoever has a token without an end."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from matrix_baremetal.net import Answer
from tests.fake_postgres import FakePostgres

CLIENT = "/_matrix/client/v3"
PATHS = tuple(f"{CLIENT}/{word}" for word in ("account/whoami", "createRoom", "joined_rooms", "rooms/"))
DENIED = Answer(403, {"errcode": "M_FORBIDDEN", "error": "You are not in this room"})


class FakeRooms:
    """Who is what in each room, and what was said there; once for each id of a message."""

    def __init__(self, tables: FakePostgres) -> None:
        self.tables = tables

    def answer(self, method: str, path: str, body: dict[str, Any], token: str) -> Answer:
        """Answer a request of somebody's client."""
        tables, words = self.tables, [unquote(word) for word in path.removeprefix(f"{CLIENT}/").split("/")]
        user = tables.lasting.get(token)
        if user not in tables.accounts or user in tables.deactivated:
            return Answer(401, {"errcode": "M_UNKNOWN_TOKEN", "error": "Invalid access token passed."})
        assert user
        if words == ["account", "whoami"]:
            return Answer(200, {"user_id": user})
        if words == ["logout"]:
            del tables.lasting[token]
            return Answer(200, {})
        if words == ["joined_rooms"]:
            return Answer(
                200, {"joined_rooms": [r for r, people in tables.rooms.items() if people.get(user) == "join"]}
            )
        if words == ["createRoom"]:
            assert body["preset"] == "private_chat"
            room = f"!{len(tables.rooms)}:example.org"
            tables.rooms[room] = {user: "join"}
            return Answer(200, {"room_id": room})
        return self._within(method, words[1], words[2:], body, user)

    def _within(self, method: str, room: str, words: list[str], body: dict[str, Any], user: str) -> Answer:
        people = self.tables.rooms.get(room, {})
        if people.get(user) != "join":
            return DENIED
        if method == "GET":
            assert words[:2] == ["state", "m.room.member"]
            return Answer(200, {"membership": people[words[2]]}) if words[2] in people else Answer(404, {})
        if words == ["invite"]:
            if people.get(body["user_id"]) == "join":
                return Answer(403, {"error": "is already in the room"})
            people[body["user_id"]] = "invite"
        elif words == ["kick"]:
            people[body["user_id"]] = "leave"
        elif words == ["leave"]:
            people[user] = "leave"
        else:
            assert words[:2] == ["send", "m.room.message"]
            if words[2] not in [each["once"] for each in self.tables.messages]:
                self.tables.messages.append({**body, "once": words[2], "room": room, "by": user})
        return Answer(200, {})
