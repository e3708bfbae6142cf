"""The how-to for a LAN, followed to the letter: two servers without any authority trust and talk to each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab
from tests.matrix import Answer, Person, Web
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.site import WHEELS, Site

pytestmark = [pytest.mark.lab, pytest.mark.own_guests]
HOWTO = Path(__file__).parents[2] / "docs/how-to/lan.md"


class Trusting(Web):
    """Somebody who told a client to trust the certificate, whatever it is."""

    def ask(
        self,
        method: str,
        url: str,
        body: Any = None,
        *,
        token: str | None = None,
        timeout: float = 30,
        options: Sequence[str] = (),
    ) -> Answer:
        return super().ask(method, url, body, token=token, timeout=timeout, options=("--insecure", *options))


@pytest.fixture
def machines(lab: Lab, snapshots: Snapshots) -> Iterator[tuple[Site, Site]]:
    names = {12: "st-one", 13: "st-two"}
    one, two = (Site(lab, snapshots.boot("package", debian, name)) for debian, name in names.items())
    yield one, two
    for name in names.values():
        lab.down(name)


def blocks() -> list[str]:
    """What the how-to lets one type, a block each."""
    return re.findall(r"^```sh\n(.*?)^```", HOWTO.read_text(), re.MULTILINE | re.DOTALL)


def typed(here: Site, there: Site, block: str) -> str:
    """A block as on a machine with these names; the network and the wheels are the lab's."""
    text = block.replace("two.lan", there.server_name).replace("one.lan", here.server_name)
    text = text.replace("192.168.1.0/24", '10.77.0.0/24, "fd77::/64"')
    return text.replace("install --admin", f"install --unattended --wheelhouse {WHEELS} --admin")


def test_two_servers_of_a_lan_trust_each_other_and_talk(machines: tuple[Site, Site]) -> None:
    install, fetch, compare, trust = blocks()
    both = (machines, machines[::-1])
    on_both(machines, install)
    fetched, compared = on_both(machines, fetch), on_both(machines, compare)
    # What was fetched over the network is what the other one says of itself.
    assert "Fingerprint=" in fetched[0]
    assert fetched == compared[::-1]
    on_both(machines, trust)
    for here, _ in both:
        here.hostname = here.server_name
        here.url, here.web = f"https://{here.server_name}", Trusting(here.lab)
        here.mb("user", "add", "bob", "--generate")
        assert here.plan() == []
    for one, two in both:
        alice, bob = one.login("alice"), two.login("bob")
        talk(one, alice, bob)
        invariants.hold(one)


def on_both(machines: tuple[Site, Site], block: str) -> list[str]:
    """Type a block on both machines at the same time; what each said."""
    with ThreadPoolExecutor() as side_by_side:
        runs = [
            side_by_side.submit(here.guest.run, typed(here, there, block), timeout=300)
            for here, there in (machines, machines[::-1])
        ]
    return [run.result().stdout for run in runs]


def talk(one: Site, alice: Person, bob: Person) -> None:
    room = alice.create_room("LAN", invite=[bob.user])
    bob.wait_for_invitation(room)
    bob.join(room, via=one.server_name)
    for writer, reader in ((alice, bob), (bob, alice)):
        writer.send(room, f"from {writer.user}")
        reader.wait_for(room, writer.user, f"from {writer.user}")
