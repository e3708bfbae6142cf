#!/usr/bin/python3
"""Somebody with a real client that encrypts, matrix-nio: `nio_person.py URL USER STORE`, the password by stdin.

For the lab's client. Then each line of stdin is a command, `create NAME USER…`, `join ROOM`, `send ROOM TEXT` or
`leave`, answered by a line of JSON: what came of it, or what was read meanwhile where a line says `read ROOM`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from nio import (  # type: ignore[import-untyped]
    AsyncClient,
    AsyncClientConfig,
    InviteMemberEvent,
    JoinResponse,
    LoginResponse,
    MatrixRoom,
    MegolmEvent,
    RoomCreateResponse,
    RoomMessageNotice,
    RoomMessageText,
    RoomSendResponse,
)

ENCRYPTED = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}


class Somebody:
    """One device, what it has read in each room in its order, and who has invited it."""

    def __init__(self, url: str, user: str, store: str) -> None:
        self.client = AsyncClient(url, user, store_path=store, config=AsyncClientConfig(encryption_enabled=True))
        self.read: dict[str, list[list[str]]] = {}
        self.invitations: list[str] = []
        self.client.add_event_callback(self.message, (RoomMessageText, RoomMessageNotice))
        self.client.add_event_callback(self.unread, MegolmEvent)
        self.client.add_event_callback(self.invited, InviteMemberEvent)

    async def message(self, room: MatrixRoom, event: RoomMessageText | RoomMessageNotice) -> None:
        """A message that could be read; whether it came encrypted is part of what is told."""
        how = "encrypted" if event.decrypted else "in the clear"
        self.read.setdefault(room.room_id, []).append([event.sender, event.body, how])

    async def unread(self, room: MatrixRoom, event: MegolmEvent) -> None:
        """A message whose key is not here."""
        self.read.setdefault(room.room_id, []).append([event.sender, "", "no key"])

    async def invited(self, room: MatrixRoom, event: InviteMemberEvent) -> None:
        """Somebody asks in."""
        if event.membership == "invite" and room.room_id not in self.invitations:
            self.invitations.append(room.room_id)

    async def obey(self, words: list[str]) -> Any:
        """Do what a line says."""
        command, *rest = words
        if command == "create":
            made = await self.client.room_create(name=rest[0], invite=rest[1:], initial_state=[ENCRYPTED])
            assert isinstance(made, RoomCreateResponse), made
            return made.room_id
        if command == "join":
            joined = await self.client.join(rest[0])
            return isinstance(joined, JoinResponse)
        if command == "send":
            return await self.send(rest[0], rest[1])
        if command == "members":
            room = self.client.rooms.get(rest[0])
            return sorted(room.users) if room else []
        return self.read.get(rest[0], []) if command == "read" else self.invitations

    async def send(self, room: str, text: str) -> Any:
        """To all devices of all who are in the room; nobody has compared any keys."""
        content = {"msgtype": "m.text", "body": text}
        sent = await self.client.room_send(room, "m.room.message", content, ignore_unverified_devices=True)
        assert isinstance(sent, RoomSendResponse), sent
        return sent.event_id


async def main(url: str, user: str, store: str) -> None:
    """Log in, go on reading, and obey."""
    somebody = Somebody(url, user, store)
    lines = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    password = (await lines.readline()).decode().rstrip("\n")
    entered = await somebody.client.login(password, device_name="lab")
    assert isinstance(entered, LoginResponse), entered
    reading = asyncio.create_task(somebody.client.sync_forever(timeout=2000, full_state=True))
    await asyncio.wait_for(somebody.client.synced.wait(), 60)
    print(json.dumps("here"), flush=True)
    while line := (await lines.readline()).decode():
        print(json.dumps(await somebody.obey(json.loads(line))), flush=True)
    reading.cancel()
    await somebody.client.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
