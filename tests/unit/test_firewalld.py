"""firewalld: the service, in one zone, kept and in force; and what a reload would drop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Error
from matrix_baremetal.resources import firewalld
from matrix_baremetal.resources.firewall import NAME
from matrix_baremetal.resources.firewalld import SERVICE, FirewalldService
from tests import fake_firewalld
from tests.fakes import MINIMAL, FakeHost, Machine, a_session

ON = f"{MINIMAL}firewall: firewalld\n"
FOUND = FirewalldService(NAME, ("80/tcp", "443/tcp"))


@dataclass
class Guarded:
    """A machine with firewalld."""

    machine: Machine
    wall: fake_firewalld.Firewalld

    @property
    def host(self) -> FakeHost:
        """Another run's view."""
        return FakeHost(self.machine)

    def run(self, text: str = ON) -> list[str]:
        """Apply; how each change of the firewall ended."""
        now = a_session(self.machine, text)
        some = [each for each in now.resources if "firewalld" in each.title]
        return [c.outcome for c in converge(some, now.host, now.manifest) if c.ended]

    def planned(self, text: str = ON) -> list[str]:
        """What apply would change of it."""
        now = a_session(self.machine, text)
        some = [each for each in now.resources if "firewalld" in each.title]
        return [c.title for c in plan(some, now.host, now.manifest)]


@pytest.fixture
def guarded(tmp_path: Path) -> Guarded:
    machine = Machine(tmp_path)
    return Guarded(machine, fake_firewalld.firewalld(machine))


def test_it_is_made_once_kept_and_in_force_and_others_stay(guarded: Guarded) -> None:
    assert guarded.run() == ["done", "done"]
    assert guarded.run() == []
    assert guarded.wall.kept("public") == ["ssh", NAME]
    assert guarded.wall.zones == {"public": {"ssh", NAME}, "work": {"ssh"}}
    assert guarded.wall.known[NAME] == "80/tcp 443/tcp"
    assert guarded.wall.reloads == 1
    assert guarded.run(MINIMAL) == ["done", "done"]
    assert guarded.wall.kept("public") == ["ssh"]
    assert guarded.wall.zones["public"] == {"ssh"}
    assert not guarded.machine.at(SERVICE).exists()
    # For that nothing had to be taken up anew.
    assert guarded.wall.reloads == 1


def test_a_part_more_opens_its_ports(guarded: Guarded) -> None:
    guarded.run()
    text = f"{ON}turn: {{enabled: true}}\n"
    assert guarded.planned(text) == [f"file {SERVICE}", f"firewalld's service {NAME}"]
    guarded.run(text)
    assert "3478/udp" in guarded.wall.known[NAME] and "49152-49407/udp" in guarded.wall.known[NAME]
    assert guarded.planned(text) == []


@pytest.mark.parametrize("how", ["kept", "in force", "both"])
def test_what_somebody_took_away_is_seen_and_put_back(guarded: Guarded, how: str) -> None:
    guarded.run()
    if how != "in force":
        guarded.wall.command(("--permanent", "--zone=public", f"--remove-service={NAME}"))
    if how != "kept":
        guarded.wall.command(("--zone=public", f"--remove-service={NAME}"))
    # What is in force for the moment has no say in that: nothing has to be taken up anew.
    guarded.wall.passing = "1234/tcp"
    assert guarded.planned() == [f"firewalld's service {NAME}"]
    assert guarded.run() == ["done"]
    assert guarded.run() == []
    assert guarded.wall.passing


def test_what_is_in_force_for_the_moment_is_not_dropped(guarded: Guarded) -> None:
    guarded.wall.passing = "1234/tcp"
    assert guarded.run() == ["done", "pending"]
    assert guarded.run() == ["pending"]
    assert (guarded.wall.passing, guarded.wall.reloads) == ("1234/tcp", 0)
    # The operator's own reload is enough.
    guarded.wall.reload()
    assert guarded.run() == []
    guarded.wall.passing = "1234/tcp"
    assert guarded.run(MINIMAL) == ["done", "done"]
    assert guarded.wall.passing


def test_a_run_that_was_left_pending_is_undone_as_well(guarded: Guarded) -> None:
    guarded.wall.passing = "1234/tcp"
    guarded.run()
    assert guarded.run(MINIMAL) == ["done", "done"]
    assert guarded.wall.kept("public") == ["ssh"]


def test_one_that_is_off_keeps_it_and_stays_off(guarded: Guarded) -> None:
    guarded.wall.switch(on=False)
    assert not firewalld.active(guarded.host)
    assert guarded.run() == ["done", "done"]
    assert guarded.run() == []
    guarded.wall.switch(on=True)
    assert FOUND.find(guarded.host) == FOUND
    guarded.wall.switch(on=False)
    guarded.run(MINIMAL)
    assert guarded.wall.kept("public") == ["ssh"]


def test_another_zone_is_the_only_one_then(guarded: Guarded) -> None:
    guarded.run()
    text = f"{MINIMAL}firewall: {{kind: firewalld, zone: work}}\n"
    assert guarded.run(text) == ["done"]
    assert guarded.run(text) == []
    assert guarded.wall.zones == {"public": {"ssh"}, "work": {"ssh", NAME}}
    # The default zone is another now.
    guarded.machine.put("/etc/firewalld/firewalld.conf", "DefaultZone=work\n")
    assert guarded.run() == ["done"] or guarded.run() == []
    with pytest.raises(Error, match="firewalld has no zone nowhere"):
        guarded.run(f"{MINIMAL}firewall: {{kind: firewalld, zone: nowhere}}\n")


def test_without_firewalld_nothing_is_there_to_open_nor_to_undo(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path))
    assert FOUND.find(host) is None
    FOUND.undo(host)
    with pytest.raises(Error, match="not installed"):
        FOUND.make(host, None)


def test_what_is_closed_follows_from_the_zone(guarded: Guarded) -> None:
    wanted = ["80/tcp", "443/tcp", "49152-49407/udp"]
    assert firewalld.closed(guarded.host, wanted, "public") == tuple(wanted)
    guarded.wall.zones["public"] = {"ssh", "https"}
    guarded.wall.passing = "40000-50000/udp"
    assert firewalld.closed(guarded.host, wanted, "public") == ("80/tcp",)
    guarded.machine.put("/usr/lib/firewalld/services/all.xml", "<service><include service='http'/></service>")
    guarded.wall.zones["public"].add("all")
    assert firewalld.closed(guarded.host, wanted, "public") == ()
    # A file that somebody broke is no reason to break.
    guarded.machine.put("/etc/firewalld/services/https.xml", "<service>")
    assert firewalld.closed(guarded.host, wanted, "public") == ("443/tcp",)
