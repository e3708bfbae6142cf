"""What tests of the mautrix bridges do: put a program where upstream has it, talk to its bot, look who is let in."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Any

from matrix_baremetal import versions
from tests.matrix import Person
from tests.system.site import Site
from tests.system.test_three import Client


def offered(site: Site, name: str, data: bytes, **keys: Any) -> dict[str, Any]:
    """Upstream's release servers have a bridge; the keys of the config that ask for it."""
    url = versions.read().programs[f"mautrix_{name}"].x86_64.url
    site.lab.mirror.put(url, data)
    release = {"url": url, "sha256": hashlib.sha256(data).hexdigest()}
    return {name: {"enabled": True, "release": release, **keys}}


def until(true: Callable[[], bool], what: str, site: Site, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            log = site.guest.run("journalctl -n 60 --no-pager -u 'matrix-bridge-*'").stdout
            raise AssertionError(f"{what}: {log}")
        time.sleep(0.3)


def linked(site: Site, name: str) -> bool:
    return site.mb("bridge", "status", name, status=(0, 3)).returncode == 0


def bot(site: Site, name: str) -> str:
    return f"@{name}bot:{site.server_name}"


def members(person: Person, room: str) -> set[str]:
    return set(person.ask("GET", f"rooms/{room}/joined_members")["joined"])


def met(site: Site, person: Person, name: str) -> str:
    """A chat with the bot, which has come in."""
    room = person.create_room("The bridge", invite=[bot(site, name)])
    until(lambda: bot(site, name) in members(person, room), "the bot comes in", site)
    return room


def told(person: Person, room: str, command: str, says: str, seconds: float = 60) -> None:
    """Say something in a room and read until an answer has come that was not there before."""

    def answers() -> int:
        return len([text for who, text in person.messages(room) if says in text and who != person.user])

    before, end = answers(), time.monotonic() + seconds
    person.send(room, command)
    while answers() == before:
        assert time.monotonic() < end, person.messages(room)
        time.sleep(0.3)


def refused(site: Site, person: Person, who: str) -> str:
    """A room of somebody's that the bot was asked into, and has refused or left.

    Where two servers talk, the bot may come before the other one has noted its invitation. It is turned away then,
    and tries no more: it is asked into another.
    """
    for _ in range(4):
        room, end = person.create_room("Let me in", invite=[who]), time.monotonic() + 20
        # As its own server has it, for the same reason.
        said = f"SELECT membership FROM local_current_membership WHERE user_id = '{who}' AND room_id = '{room}'"
        while time.monotonic() < end:
            if site.sql(said) == "leave":
                return room
            time.sleep(0.3)
    raise AssertionError(site.guest.run("journalctl -n 60 --no-pager -u 'matrix-bridge-*'").stdout)


def kept_out(site: Site, person: Person, name: str, says: str = "") -> None:
    """The bot stays in no room of somebody's, and answers nothing there; `says` is a sentence that it may leave."""
    room = refused(site, person, bot(site, name))
    person.send(room, "help")
    time.sleep(2)
    assert members(person, room) == {person.user}
    heard = [text for sender, text in person.messages(room) if sender != person.user]
    assert [text for text in heard if not says or says not in text] == []


def heard(reader: Client, room: str, sender: str, text: str) -> bool:
    """Whether somebody has read a text of somebody's, and that it came encrypted."""
    rows = [(said, how) for who, said, how in reader.obey("read", room) if who == sender]
    return any(text in said for said, how in rows if how == "encrypted")


def joined(site: Site, user: str) -> list[str]:
    """The rooms that somebody is in, once there are any."""
    ask = f"SELECT room_id FROM local_current_membership WHERE user_id = '{user}' AND membership = 'join'"
    until(lambda: bool(site.sql(ask)), f"{user} is in a room", site)
    return site.sql(ask).split()
