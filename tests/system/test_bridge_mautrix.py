"""A mautrix bridge: upstream's own but for the network behind it, where somebody says back what they hear."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import versions
from tests.lab import Lab
from tests.matrix import Person
from tests.system import invariants, upstream
from tests.system.conftest import Snapshots
from tests.system.site import SYNAPSE, Site
from tests.system.test_package import exposure
from tests.system.test_three import Client

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
NAME = "whatsapp"
UNIT = f"matrix-bridge-{NAME}.service"
PROGRAMS = f"/opt/matrix-baremetal/bridges/{NAME}"
LOGGED_IN = "Logged in as Alice"


def offered(site: Site, more: bytes = b"") -> dict[str, Any]:
    """Upstream's release servers have a bridge; the keys of the config that ask for it."""
    data, url = upstream.mautrix() + more, versions.read().programs[f"mautrix_{NAME}"].x86_64.url
    site.lab.mirror.put(url, data)
    release = {"url": url, "sha256": hashlib.sha256(data).hexdigest()}
    return {NAME: {"enabled": True, "users": ["alice"], "admins": ["alice"], "release": release}}


@pytest.fixture(scope="module")
def bridged(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Site]:
    """A site with the bridge."""
    site = Site(lab, snapshots.boot("site", debian))
    began = time.monotonic()
    with lab.mirror.alone():
        site.change(bridges=offered(site))
        site.mb("apply")
    sys.stderr.write(f"\nthe bridge switched on in {time.monotonic() - began:.1f} s\n")
    until(lambda: linked(site), "the bridge and Synapse hear each other", site)
    yield site
    lab.down(f"st-{debian}")


@pytest.fixture(scope="module")
def chat(bridged: Site) -> tuple[Person, str]:
    """alice, and her chat with the bot."""
    alice = bridged.login("alice")
    return alice, met(bridged, alice)


def linked(site: Site, name: str = NAME) -> bool:
    return site.mb("bridge", "status", name, status=(0, 3)).returncode == 0


def until(true: Callable[[], bool], what: str, site: Site, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what}: {site.guest.run(f'journalctl -n 40 --no-pager -u {UNIT}').stdout}"
        time.sleep(0.3)


def bot(site: Site, name: str = NAME) -> str:
    return f"@{name}bot:{site.server_name}"


def members(person: Person, room: str) -> set[str]:
    return set(person.ask("GET", f"rooms/{room}/joined_members")["joined"])


def met(site: Site, person: Person, name: str = NAME) -> str:
    """A chat with the bot, which has come in."""
    room = person.create_room("The bridge", invite=[bot(site, name)])
    until(lambda: bot(site, name) in members(person, room), "the bot comes in", site)
    return room


def test_its_bot_answers_who_may_use_it_and_says_so_after_a_restart(bridged: Site, chat: tuple[Person, str]) -> None:
    alice, room = chat
    told(alice, room, "help", "login")
    told(alice, room, "version", f"lab-{NAME}")
    bridged.guest.run(f"systemctl restart {SYNAPSE} {UNIT}")
    bridged.wait_until_it_answers()
    until(lambda: linked(bridged), "they hear each other again", bridged)
    told(alice, room, "list-logins", "not logged in")
    assert not bridged.plan()
    invariants.hold(bridged)


def test_nobody_else_gets_in(bridged: Site) -> None:
    kept_out(bridged, bridged.login("bob"))


@pytest.mark.long
def test_nobody_of_another_server_gets_in(lab: Lab, snapshots: Snapshots) -> None:
    site, other = Site(lab, snapshots.boot("site", 13)), Site(lab, snapshots.boot("site", 12))
    with lab.mirror.alone():
        everybody = offered(site)
        del everybody[NAME]["users"]
        site.change(bridges=everybody)
        site.mb("apply")
    until(lambda: linked(site), "they hear each other", site)
    met(site, site.login("bob"))
    kept_out(site, other.login("alice"))
    lab.down("st-12")
    lab.down("st-13")


@pytest.mark.long
def test_all_of_them_side_by_side(site: Site) -> None:
    """Each with a registration, rows and a unit of its own."""
    data, hashed = upstream.mautrix(), "/etc/matrix-baremetal/telegram-hash"
    asked: dict[str, dict[str, Any]] = {name: {} for name in ("whatsapp", "telegram", "signal")}
    site.guest.write(hashed, "0123456789abcdef0123456789abcdef\n")
    with site.lab.mirror.alone():
        for name, keys in asked.items():
            url = versions.read().programs[f"mautrix_{name}"].x86_64.url
            site.lab.mirror.put(url, data)
            keys |= {"enabled": True, "release": {"url": url, "sha256": hashlib.sha256(data).hexdigest()}}
        asked["telegram"] |= {"api_id": 12345, "api_hash_file": hashed}
        site.change(bridges=asked)
        site.mb("apply")
    alice = site.login("alice")
    for name in asked:
        until(lambda n=name: linked(site, n), f"{name} and Synapse hear each other", site)  # type: ignore[misc]
        told(alice, met(site, alice, name), f"!{name} version", f"lab-{name}")
        assert exposure(site.guest, f"matrix-bridge-{name}.service") <= 1.3
    assert not site.plan()
    invariants.hold(site)


def kept_out(site: Site, person: Person) -> None:
    """The bot comes to no room of somebody's, and says nothing to them."""
    room = person.create_room("Let me in", invite=[bot(site)])
    # As its own server has it: another one may get the refusal before it has noted the invitation, and drops it.
    said = f"SELECT membership FROM local_current_membership WHERE user_id = '{bot(site)}' AND room_id = '{room}'"
    until(lambda: site.sql(said) == "leave", "the bot refuses", site)
    person.send(room, "help")
    time.sleep(2)
    assert members(person, room) == {person.user}
    assert [sender for sender, _ in person.messages(room)] == [person.user]


def told(person: Person, room: str, command: str, says: str, seconds: float = 60) -> None:
    """Say something in a room and read until an answer has come that was not there before."""

    def answers() -> int:
        return len([text for who, text in person.messages(room) if says in text and who != person.user])

    before, end = answers(), time.monotonic() + seconds
    person.send(room, command)
    while answers() == before:
        assert time.monotonic() < end, person.messages(room)
        time.sleep(0.3)


def test_a_chat_of_the_other_network_is_encrypted_and_ones_own_there_too(bridged: Site, tmp_path: Path) -> None:
    """Log in there; the room comes by itself, joined as oneself; what is written on the phone is one's own."""
    with contextlib.closing(Client(bridged, "alice", tmp_path / "alice")) as alice:
        room = str(alice.obey("create", "The bridge", bot(bridged)))
        until(lambda: bot(bridged) in alice.obey("members", room), "the bot comes in", bridged)
        # Her first chat with it is the one where it takes commands without their prefix.
        for says, answer in (("help", "login"), ("login", "Name"), ("Alice", LOGGED_IN)):
            alice.obey("send", room, f"!{NAME} {says}")
            until(lambda r=room, a=answer: heard(alice, r, bot(bridged), a), answer, bridged)  # type: ignore[misc]
        echo = f"@{NAME}_echo:{bridged.server_name}"
        [portal] = joined(bridged, echo)
        until(lambda: echo in alice.obey("members", portal), "the chat comes", bridged)
        alice.obey("send", portal, "hello there")
        until(lambda: heard(alice, portal, echo, "you said: hello there"), "an answer", bridged)
        alice.obey("send", portal, "phone: from my phone")
        until(lambda: heard(alice, portal, alice.user, "from my phone"), "her own", bridged)
        rows = alice.obey("read", portal)
        assert {how for who, _, how in rows} == {"encrypted"}, rows


def heard(reader: Client, room: str, sender: str, text: str) -> bool:
    """Whether somebody has read a text of somebody's, and that it came encrypted."""
    rows = [(said, how) for who, said, how in reader.obey("read", room) if who == sender]
    return any(text in said for said, how in rows if how == "encrypted")


def joined(site: Site, user: str) -> list[str]:
    """The rooms that somebody is in, once there are any."""
    ask = f"SELECT room_id FROM local_current_membership WHERE user_id = '{user}' AND membership = 'join'"
    until(lambda: bool(site.sql(ask)), f"{user} is in a room", site)
    return site.sql(ask).split()


def test_its_state_is_told_and_where_it_keeps_what_it_knows(bridged: Site, debian: int) -> None:
    where = "in Postgres" if debian == 13 else "in an SQLite file: it asks for Postgres 16, and this machine has 15"
    assert where in bridged.mb("bridge", "status", NAME).stdout.replace("\n      ", " ")
    [row] = [r for r in json.loads(bridged.mb("bridge", "list", "--json").stdout)["bridges"] if r["name"] == NAME]
    assert (row["enabled"], row["keeps"], row["bot"]) == (True, where, bot(bridged))
    assert "login qr" in bridged.mb("bridge", "login-help", NAME).stdout
    rows = json.loads(bridged.mb("doctor", "bridges", "units", "ports", "drift", "--json").stdout)["findings"]
    assert {r["state"] for r in rows if NAME in r["id"] or r["id"] in ("ports.29318", "drift")} == {"pass"}
    assert {"bridges.whatsapp", "bridges.rows.whatsapp", "ports.29318"} <= {r["id"] for r in rows}


def test_it_is_locked_down_and_its_secrets_are_not_seen(bridged: Site) -> None:
    assert exposure(bridged.guest, UNIT) <= 1.3
    owner = bridged.guest.run(f"ps -o user:30= -p $(systemctl show -P MainPID {UNIT})").stdout.strip()
    assert owner == f"matrix-bridge-{NAME}"
    tokens = bridged.guest.run(f"cd /etc/matrix-baremetal/secrets && cat bridge-{NAME}-*").stdout
    seen = bridged.guest.run(
        f"journalctl --no-pager -u {UNIT}; tr '\\0' '\\n' < /proc/$(systemctl show -P MainPID {UNIT})/environ"
    ).stdout
    words = [tokens[at : at + 16] for at in range(0, len(tokens) - 16, 16)]
    assert words
    assert not [word for word in words if word in seen]


def test_it_goes_back_in_time_with_the_server(bridged: Site, chat: tuple[Person, str]) -> None:
    alice, room = chat
    told(alice, room, "list-logins", "Alice")
    bridged.guest.run("rm -f /root/*.tar.zst")
    bridged.mb("backup", "create", "--to", "/root")
    told(alice, room, "logout alice", "Logged out")
    file = bridged.guest.run("ls /root/*.tar.zst").stdout.strip()
    bridged.mb("restore", "--yes", file)
    until(lambda: linked(bridged), "they hear each other again", bridged)
    told(alice, room, "list-logins", "Alice")
    assert not bridged.plan()


def test_another_version_takes_its_place_and_it_knows_what_it_knew(bridged: Site, chat: tuple[Person, str]) -> None:
    alice, room = chat
    before = bridged.guest.run(f"readlink {PROGRAMS}/current").stdout
    with bridged.lab.mirror.alone():
        bridged.change(bridges=offered(bridged, b"\n"))
        bridged.mb("apply")
    assert bridged.guest.run(f"readlink {PROGRAMS}/current").stdout != before
    until(lambda: linked(bridged), "they hear each other again", bridged)
    told(alice, room, "list-logins", "Alice")


def test_switched_off_it_is_gone_and_on_again_it_knows_what_it_knew(bridged: Site, chat: tuple[Person, str]) -> None:
    """Last, as it takes away what the others look at."""
    alice, room = chat
    bridged.change()
    bridged.mb("apply")
    assert bridged.show(UNIT, "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive",
        "UnitFileState": "disabled",
    }
    assert "app_service_config_files" not in bridged.guest.read("/etc/matrix-synapse/homeserver.yaml")
    gone = "/opt/matrix-baremetal/bridges /etc/matrix-baremetal/bridges"
    assert bridged.guest.run(f"ls -d {gone}", check=False).stdout == ""
    invariants.hold(bridged)
    with bridged.lab.mirror.alone():
        bridged.change(bridges=offered(bridged))
        bridged.mb("apply")
    until(lambda: linked(bridged), "they hear each other again", bridged)
    told(alice, room, "list-logins", "Alice")
    invariants.hold(bridged)
