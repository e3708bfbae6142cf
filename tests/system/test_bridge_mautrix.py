"""A mautrix bridge: upstream's own but for the network behind it, where somebody says back what they hear."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab
from tests.matrix import Person
from tests.system import invariants, upstream
from tests.system.bridged import bot, heard, joined, kept_out, linked, met, offered, told, until
from tests.system.conftest import Snapshots
from tests.system.site import SYNAPSE, Site
from tests.system.test_package import exposure
from tests.system.test_three import Client

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
NAME = "whatsapp"
UNIT = f"matrix-bridge-{NAME}.service"
PROGRAMS = f"/opt/matrix-baremetal/bridges/{NAME}"
LOGGED_IN = "Logged in as Alice"


def asked(site: Site, more: bytes = b"") -> dict[str, Any]:
    """The keys of the config that ask for it, for alice alone; `more` makes another program of it."""
    return offered(site, NAME, upstream.mautrix() + more, users=["alice"], admins=["alice"])


@pytest.fixture(scope="module")
def bridged(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Site]:
    """A site with the bridge."""
    site = Site(lab, snapshots.boot("site", debian))
    began = time.monotonic()
    with lab.mirror.alone():
        site.change(bridges=asked(site))
        site.mb("apply")
    sys.stderr.write(f"\nthe bridge switched on in {time.monotonic() - began:.1f} s\n")
    until(lambda: linked(site, NAME), "the bridge and Synapse hear each other", site)
    yield site
    lab.down(f"st-{debian}")


@pytest.fixture(scope="module")
def chat(bridged: Site) -> tuple[Person, str]:
    """alice, and her chat with the bot."""
    alice = bridged.login("alice")
    return alice, met(bridged, alice, NAME)


def test_its_bot_answers_who_may_use_it_and_says_so_after_a_restart(bridged: Site, chat: tuple[Person, str]) -> None:
    alice, room = chat
    told(alice, room, "help", "login")
    told(alice, room, "version", f"lab-{NAME}")
    bridged.guest.run(f"systemctl restart {SYNAPSE} {UNIT}")
    bridged.wait_until_it_answers()
    until(lambda: linked(bridged, NAME), "they hear each other again", bridged)
    told(alice, room, "list-logins", "not logged in")
    assert not bridged.plan()
    invariants.hold(bridged)


def test_nobody_else_gets_in(bridged: Site) -> None:
    kept_out(bridged, bridged.login("bob"), NAME)


def test_a_chat_of_the_other_network_is_encrypted_and_ones_own_there_too(bridged: Site, tmp_path: Path) -> None:
    """Log in there; the room comes by itself, joined as oneself; what is written on the phone is one's own."""
    with contextlib.closing(Client(bridged, "alice", tmp_path / "alice")) as alice:
        room = str(alice.obey("create", "The bridge", bot(bridged, NAME)))
        until(lambda: bot(bridged, NAME) in alice.obey("members", room), "the bot comes in", bridged)
        # Her first chat with it is the one where it takes commands without their prefix.
        for says, answer in (("help", "login"), ("login", "Name"), ("Alice", LOGGED_IN)):
            alice.obey("send", room, f"!{NAME} {says}")
            until(lambda r=room, a=answer: heard(alice, r, bot(bridged, NAME), a), answer, bridged)  # type: ignore[misc]
        echo = f"@{NAME}_echo:{bridged.server_name}"
        [portal] = joined(bridged, echo)
        until(lambda: echo in alice.obey("members", portal), "the chat comes", bridged)
        alice.obey("send", portal, "hello there")
        until(lambda: heard(alice, portal, echo, "you said: hello there"), "an answer", bridged)
        alice.obey("send", portal, "phone: from my phone")
        until(lambda: heard(alice, portal, alice.user, "from my phone"), "her own", bridged)
        rows = alice.obey("read", portal)
        assert {how for who, _, how in rows} == {"encrypted"}, rows


def test_its_state_is_told_and_where_it_keeps_what_it_knows(bridged: Site, debian: int) -> None:
    where = "in Postgres" if debian == 13 else "in an SQLite file: it asks for Postgres 16, and this machine has 15"
    assert where in bridged.mb("bridge", "status", NAME).stdout.replace("\n      ", " ")
    [row] = [r for r in json.loads(bridged.mb("bridge", "list", "--json").stdout)["bridges"] if r["name"] == NAME]
    assert (row["enabled"], row["keeps"], row["bot"]) == (True, where, bot(bridged, NAME))
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
    until(lambda: linked(bridged, NAME), "they hear each other again", bridged)
    told(alice, room, "list-logins", "Alice")
    assert not bridged.plan()


def test_another_version_takes_its_place_and_it_knows_what_it_knew(bridged: Site, chat: tuple[Person, str]) -> None:
    alice, room = chat
    before = bridged.guest.run(f"readlink {PROGRAMS}/current").stdout
    with bridged.lab.mirror.alone():
        bridged.change(bridges=asked(bridged, b"\n"))
        bridged.mb("apply")
    assert bridged.guest.run(f"readlink {PROGRAMS}/current").stdout != before
    until(lambda: linked(bridged, NAME), "they hear each other again", bridged)
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
        bridged.change(bridges=asked(bridged))
        bridged.mb("apply")
    until(lambda: linked(bridged, NAME), "they hear each other again", bridged)
    told(alice, room, "list-logins", "Alice")
    invariants.hold(bridged)


@pytest.mark.long
def test_all_of_them_side_by_side(site: Site) -> None:
    """Each with a registration, rows and a unit of its own."""
    hashed, wanted = "/etc/matrix-baremetal/telegram-hash", dict[str, Any]()
    site.guest.write(hashed, "0123456789abcdef0123456789abcdef\n")
    with site.lab.mirror.alone():
        for name in ("whatsapp", "telegram", "signal"):
            wanted |= offered(site, name, upstream.mautrix())
        wanted["telegram"] |= {"api_id": 12345, "api_hash_file": hashed}
        site.change(bridges=wanted)
        site.mb("apply")
    alice = site.login("alice")
    for name in wanted:
        until(lambda n=name: linked(site, n), f"{name} and Synapse hear each other", site)  # type: ignore[misc]
        told(alice, met(site, alice, name), f"!{name} version", f"lab-{name}")
        assert exposure(site.guest, f"matrix-bridge-{name}.service") <= 1.3
    assert not site.plan()
    invariants.hold(site)
