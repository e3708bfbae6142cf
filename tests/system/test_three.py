"""Three homeservers, a person on each, in one encrypted room: one is unplugged, and gets all that it has missed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.lab import Lab, network
from tests.lab.client import environment
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.site import WHEELS, Site

pytestmark = [pytest.mark.lab, pytest.mark.long]
PROGRAM = Path(__file__).with_name("nio_person.py")
THIRD = "st-third"
MISSED = [f"while carol was away: {number}" for number in range(6)]


class Client:
    """matrix-nio, as somebody on the pretend internet."""

    def __init__(self, site: Site, name: str, store: Path) -> None:
        self.user = f"@{name}:{site.server_name}"
        store.mkdir()
        # Before there is a process that somebody would have to end.
        password = site.password(name)
        words = site.lab.client_argv(["/usr/bin/python3", str(PROGRAM), site.url, self.user, str(store)])
        self._running = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(None)
        )
        assert self._tell(password) == "here"

    def _tell(self, line: str) -> Any:
        assert self._running.stdin
        assert self._running.stdout
        self._running.stdin.write(f"{line}\n")
        self._running.stdin.flush()
        said = self._running.stdout.readline()
        assert said, f"{self.user} has left"
        return json.loads(said)

    def obey(self, *words: str) -> Any:
        """What came of it."""
        return self._tell(json.dumps(words))

    def close(self) -> None:
        assert self._running.stdin
        self._running.stdin.close()
        self._running.wait(30)


@pytest.fixture
def sites(lab: Lab, snapshots: Snapshots) -> Iterator[tuple[Site, Site, Site]]:
    """The third is installed here, as a snapshot's site has its guest's name."""
    first, second = (Site(lab, snapshots.boot("site", debian)) for debian in (12, 13))
    lab.down(THIRD)
    third = Site(lab, lab.up(THIRD, lower="st-package-13", binds=[(snapshots.wheelhouse, WHEELS)]))
    third.configure()
    third.install()
    third.mb("user", "add", "carol", "--generate")
    yield first, second, third
    for name in ("st-12", "st-13", THIRD):
        lab.down(name)


def wait_for(found: Callable[[], bool], seconds: float, what: str) -> float:
    """How long it took."""
    began = time.monotonic()
    while not found():
        assert time.monotonic() - began < seconds, what
        time.sleep(0.3)
    return time.monotonic() - began


def heard(client: Client, room: str, sender: Client) -> list[str]:
    """What somebody has read of somebody, in its order; all of it came encrypted."""
    rows = [(text, how) for who, text, how in client.obey("read", room) if who == sender.user]
    assert {how for _, how in rows} <= {"encrypted"}, rows
    return [text for text, _ in rows]


def hears(reader: Client, room: str, writer: Client, texts: list[str]) -> bool:
    return heard(reader, room, writer) == texts


def until_heard(reader: Client, room: str, writer: Client, texts: list[str], seconds: float = 30) -> float:
    """Until somebody has read just this of somebody; how long it took."""
    return wait_for(partial(hears, reader, room, writer, texts), seconds, f"{reader.user} has not read {texts}")


def test_one_of_three_is_unplugged_and_gets_what_it_missed(sites: tuple[Site, Site, Site], tmp_path: Path) -> None:
    with contextlib.ExitStack() as open_ones:
        names = ("alice", "bob", "carol")
        alice, bob, carol = people = [
            Client(site, name, tmp_path / name) for site, name in zip(sites, names, strict=True)
        ]
        for each in people:
            open_ones.callback(each.close)
        room = together(alice, bob, carol)
        for each in people:
            each.obey("send", room, f"hello from {each.user}")
        for reader in people:
            for writer in people:
                until_heard(reader, room, writer, [f"hello from {writer.user}"])
        hello = f"hello from {alice.user}"
        with unplugged(sites[2]):
            for text in MISSED:
                alice.obey("send", room, text)
            until_heard(bob, room, alice, [hello, *MISSED])
            # Long enough for the others to have given up on it for a while.
            time.sleep(30)
            assert hears(carol, room, alice, [hello])
        took = until_heard(carol, room, alice, [hello, *MISSED], 60)
        print(f"all that was missed was there after {took:.0f} s")
        carol.obey("send", room, "back again")
        until_heard(alice, room, carol, [f"hello from {carol.user}", "back again"], 60)
    for site in sites:
        assert invariants.found(site) == []


@contextlib.contextmanager
def unplugged(site: Site) -> Iterator[None]:
    """Nothing comes to it or leaves it."""
    network.mute(site.guest.disk.octet)
    try:
        yield
    finally:
        network.mute(site.guest.disk.octet, False)


def together(alice: Client, bob: Client, carol: Client) -> str:
    """The room, with all three in it."""
    room = str(alice.obey("create", "Three", bob.user, carol.user))
    for each in (bob, carol):
        wait_for(partial(invited, each, room), 30, f"{each.user} is not invited")
        assert each.obey("join", room)
    for each in (alice, bob, carol):
        wait_for(partial(complete, each, room), 30, f"{each.user} does not see all")
    return room


def invited(client: Client, room: str) -> bool:
    return room in client.obey("invitations")


def complete(client: Client, room: str) -> bool:
    return len(client.obey("members", room)) == 3
