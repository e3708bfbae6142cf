"""Two servers on two releases of Debian talk to each other, as do their people."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.site import Site

pytestmark = pytest.mark.lab


@pytest.fixture
def sites(lab: Lab, snapshots: Snapshots) -> Iterator[tuple[Site, Site]]:
    yield Site(lab, snapshots.boot("site", 12)), Site(lab, snapshots.boot("site", 13))
    lab.down("st-12")
    lab.down("st-13")


def test_messages_go_both_ways(sites: tuple[Site, Site]) -> None:
    for one, two in (sites, sites[::-1]):
        alice, bob = one.login("alice"), two.login("bob")
        room = alice.create_room("Both", invite=[bob.user])
        bob.wait_for_invitation(room)
        bob.join(room, via=one.server_name)
        for writer, reader in ((alice, bob), (bob, alice)):
            writer.send(room, f"from {writer.user}")
            reader.wait_for(room, writer.user, f"from {writer.user}")
    for site in sites:
        invariants.hold(site)


def test_a_server_that_was_away_gets_what_was_said(sites: tuple[Site, Site]) -> None:
    one, two = sites
    alice, bob = one.login("alice"), two.login("bob")
    room = alice.create_room("Away", invite=[bob.user])
    bob.wait_for_invitation(room)
    bob.join(room, via=one.server_name)
    two.guest.kill()
    two.guest.up()
    two.wait_until_it_answers()
    bob.send(room, "back again")
    alice.wait_for(room, bob.user, "back again", 60)
    alice.send(room, "welcome")
    bob.wait_for(room, alice.user, "welcome", 60)
    invariants.hold(two)
