"""The bridge to Discord: upstream's own framework of the older make, in the place of the network a few commands.

Who has upstream's own program names it: it is used in place of that, as far as it goes without Discord.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.matrix import Person
from tests.system import invariants, upstream
from tests.system.bridged import bot, heard, kept_out, linked, met, offered, told, until
from tests.system.conftest import Snapshots
from tests.system.site import SYNAPSE, Site
from tests.system.test_package import exposure
from tests.system.test_three import Client

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
NAME = "discord"
UNIT = f"matrix-bridge-{NAME}.service"
REAL = os.environ.get("MATRIX_BAREMETAL_DISCORD")
NAMED = "mautrix-discord" if REAL else f"lab-{NAME}"
# Its program's own sentence for those who may not.
REFUSAL = "You are not whitelisted to use this bridge"


@pytest.fixture(scope="module")
def bridged(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Site]:
    """A site with the bridge."""
    program = Path(REAL).read_bytes() if REAL else upstream.older_mautrix()
    site = Site(lab, snapshots.boot("site", debian))
    site.guest.run("apt-get update -q && apt-get install -q -y --no-install-recommends libolm3")
    began = time.monotonic()
    with lab.mirror.alone():
        site.change(bridges=offered(site, NAME, program, users=["alice"]))
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


def test_its_bot_answers_who_may_use_it_and_nobody_else(bridged: Site, chat: tuple[Person, str], debian: int) -> None:
    alice, room = chat
    told(alice, room, "help", "login")
    told(alice, room, "version", NAMED)
    kept_out(bridged, bridged.login("bob"), NAME, REFUSAL)
    where = "in Postgres" if debian == 13 else "in an SQLite file"
    assert where in bridged.mb("bridge", "status", NAME).stdout
    assert "login-qr" in bridged.mb("bridge", "login-help", NAME).stdout
    assert exposure(bridged.guest, UNIT) <= 1.3
    assert not bridged.plan()
    invariants.hold(bridged)


@pytest.mark.skipif(bool(REAL), reason="it needs an account at Discord")
def test_it_reads_and_writes_encrypted_and_as_people_themselves(bridged: Site, tmp_path: Path) -> None:
    with contextlib.closing(Client(bridged, "alice", tmp_path / "alice")) as alice:
        room = str(alice.obey("create", "The bridge", bot(bridged, NAME)))
        until(lambda: bot(bridged, NAME) in alice.obey("members", room), "the bot comes in", bridged)
        alice.obey("send", room, "!lab login Alice")
        until(lambda: heard(alice, room, bot(bridged, NAME), "logged in as Alice"), "an answer", bridged)
        alice.obey("send", room, "!lab phone from my phone")
        until(lambda: heard(alice, room, alice.user, "from my phone"), "her own", bridged)


@pytest.mark.skipif(bool(REAL), reason="it needs an account at Discord")
def test_it_survives_a_restart_and_goes_back_in_time_with_the_server(bridged: Site, chat: tuple[Person, str]) -> None:
    alice, room = chat
    told(alice, room, "login Alice", "logged in as Alice")
    bridged.mb("backup", "create", "--to", "/root")
    told(alice, room, "login Mallory", "logged in as Mallory")
    bridged.guest.run(f"systemctl restart {SYNAPSE} {UNIT}")
    bridged.wait_until_it_answers()
    until(lambda: linked(bridged, NAME), "they hear each other again", bridged)
    told(alice, room, "ping", "logged in as Mallory")
    bridged.mb("restore", "--yes", bridged.guest.run("ls /root/*.tar.zst").stdout.strip())
    until(lambda: linked(bridged, NAME), "they hear each other again", bridged)
    told(alice, room, "ping", "logged in as Alice")
    assert not bridged.plan()


@pytest.mark.long
def test_nobody_of_another_server_gets_in(lab: Lab, snapshots: Snapshots) -> None:
    """Neither to this bridge nor to one of the newer make, where everybody of this server may use them."""
    site, other = Site(lab, snapshots.boot("site", 13)), Site(lab, snapshots.boot("site", 12))
    site.guest.run("apt-get update -q && apt-get install -q -y --no-install-recommends libolm3")
    with lab.mirror.alone():
        older, newer = upstream.older_mautrix(), upstream.mautrix()
        site.change(bridges=offered(site, NAME, older) | offered(site, "whatsapp", newer))
        site.mb("apply")
    bob, stranger = site.login("bob"), other.login("alice")
    for name, says in ((NAME, REFUSAL), ("whatsapp", "")):
        until(lambda n=name: linked(site, n), "they hear each other", site)  # type: ignore[misc]
        met(site, bob, name)
        kept_out(site, stranger, name, says)
    lab.down("st-12")
    lab.down("st-13")


def test_switched_off_it_is_gone_and_its_rows_stay(bridged: Site) -> None:
    """Last, as it takes away what the others look at."""
    bridged.change()
    bridged.mb("apply")
    assert bridged.show(UNIT, "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive",
        "UnitFileState": "disabled",
    }
    gone = "/opt/matrix-baremetal/bridges /etc/matrix-baremetal/bridges"
    assert bridged.guest.run(f"ls -d {gone}", check=False).stdout == ""
    asked = "SELECT count(*) FROM pg_database WHERE datname = 'matrix-bridge-discord'"
    rows = bridged.sql(asked) == "1"
    assert rows or bridged.guest.run("ls /var/lib/matrix-bridge-discord/database/bridge.db").stdout
    invariants.hold(bridged)
