"""The bridge to IRC, against Debian's ngircd: both ways, through restarts, and for nobody but its owner."""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import Guest, Lab
from tests.lab.guest import Running
from tests.matrix import Person
from tests.system import invariants
from tests.system.bridged import told
from tests.system.conftest import Snapshots
from tests.system.site import SYNAPSE, WHEELS, Site
from tests.system.test_package import exposure

# An apt and a virtualenv each: one release shows it, the other is for the long run.
pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
UNIT = "matrix-bridge-irc.service"
CODE = Path(__file__).with_name("irc.py").read_text()
NGIRCD = """\
[Global]
Name = irc.lab.test
Info = a server for tests
AdminEMail = admin@lab.test
[Options]
PAM = no
Ident = no
DNS = no
"""


class Listener:
    """A program that says what it is told to, and prints what it hears."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self.running.stdout or ():
            self.lines.put(line)

    def say(self, line: str) -> None:
        assert self.running.stdin
        self.running.stdin.write(line + "\n")
        self.running.stdin.flush()

    def hear(self, text: str, seconds: float = 30) -> str:
        """The next line with a text in it."""
        until, heard = time.monotonic() + seconds, list[str]()
        try:
            while text not in (line := self.lines.get(timeout=max(until - time.monotonic(), 0.01))):
                heard.append(line)
        except queue.Empty:
            raise AssertionError(f"no {text!r} in {heard}") from None
        return line

    def close(self) -> None:
        self.running.terminate()
        self.running.wait()


class Somebody(Listener):
    """Somebody on IRC, who is in #lab."""

    def __init__(self, guest: Guest, nick: str) -> None:
        words = ["python3", "-u", "-c", CODE]
        super().__init__(guest.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        for line in (f"NICK {nick}", f"USER {nick} 0 * :{nick}", "JOIN #lab"):
            self.say(line)
        self.hear("366")  # the end of the list of who is there


def invited(person: Person, by: str, but: tuple[str, ...] = (), seconds: float = 30) -> str:
    """The room to which somebody has invited a person, and the person is in it then."""
    until, since = time.monotonic() + seconds, ""
    while time.monotonic() < until:
        # From where the last one ended: Synapse gives the same first page for a while.
        page = person.sync(since, wait=3 if since else 0)
        since = page["next_batch"]
        for room, seen in page.get("rooms", {}).get("invite", {}).items():
            events = seen["invite_state"]["events"]
            if room not in but and any(e["type"] == "m.room.member" and e["sender"] == by for e in events):
                person.join(room)
                return str(room)
    raise AssertionError(f"{person.user} was not invited by {by}")


@pytest.fixture(scope="module")
def bridged(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Site]:
    """A site with a bridge to IRC, and an IRC server on the same machine."""
    site = Site(lab, snapshots.boot("site", debian))
    site.guest.run("apt-get update -q && apt-get install -q -y --no-install-recommends ngircd")
    site.guest.write("/etc/ngircd/ngircd.conf", NGIRCD)
    site.guest.run("systemctl restart ngircd")
    site.change(bridges={"irc": {"enabled": True, "owner": "alice"}})
    began = time.monotonic()
    site.mb("apply")
    sys.stderr.write(f"\nthe bridge switched on in {time.monotonic() - began:.1f} s\n")
    yield site
    lab.down(f"st-{debian}")


@pytest.fixture(scope="module")
def channel(bridged: Site) -> tuple[Person, str]:
    """alice, and the room that is #lab to her."""
    alice, bot = bridged.login("alice"), f"@heisenbridge:{bridged.server_name}"
    control = invited(alice, bot)
    told(alice, control, "ADDNETWORK lab", "Network added")
    told(alice, control, "ADDSERVER lab 127.0.0.1 6667", "Server added")
    alice.send(control, "OPEN lab")
    network = invited(alice, bot, (control,))
    told(alice, network, "NICK alice", "alice")
    told(alice, network, "CONNECT", "Welcome")
    alice.send(network, "JOIN #lab")
    return alice, invited(alice, bot, (control, network))


def both_ways(site: Site, alice: Person, room: str, nick: str) -> None:
    """Somebody on IRC and alice read each other."""
    somebody = Somebody(site.guest, nick)
    # To each of them the other has just come.
    alice.send(room, f"hello {nick}")
    line = somebody.hear(f"hello {nick}")
    assert line.startswith(":alice!")
    assert " PRIVMSG #lab :" in line
    somebody.say(f"PRIVMSG #lab :it is {nick}")
    alice.wait_for(room, f"@irc_lab_{nick}:{site.server_name}", f"it is {nick}")
    somebody.close()


def test_both_ways_and_through_restarts(bridged: Site, channel: tuple[Person, str]) -> None:
    alice, room = channel
    both_ways(bridged, alice, room, "carol")
    bridged.guest.run(f"systemctl restart {SYNAPSE} {UNIT}")
    bridged.wait_until_it_answers()
    in_the_channel(bridged)
    both_ways(bridged, alice, room, "dave")
    invariants.hold(bridged)


def test_its_channels_are_back_after_a_restore(bridged: Site, channel: tuple[Person, str]) -> None:
    alice, room = channel
    bridged.guest.run("rm -f /root/*.tar.zst")
    bridged.mb("backup", "create", "--to", "/root")
    alice.ask("POST", f"rooms/{room}/leave", {})
    watcher = Somebody(bridged.guest, "watcher")
    if "alice" in watcher_sees(watcher):
        watcher.hear("alice", 60)  # she has gone
    bridged.mb("restore", "--yes", bridged.guest.run("ls /root/*.tar.zst").stdout.strip())
    in_the_channel(bridged)
    both_ways(bridged, alice, room, "erin")
    watcher.close()
    assert not bridged.plan()


@pytest.mark.long
def test_its_channels_are_back_after_another_synapse(bridged: Site, channel: tuple[Person, str]) -> None:
    alice, room = channel
    old = "1.162.0"
    bridged.mb("upgrade", "--force", "--to", old, "--wheelhouse", WHEELS)
    assert bridged.status()["versions"]["synapse"] == old
    in_the_channel(bridged)
    both_ways(bridged, alice, room, "frank")
    bridged.mb("upgrade", "--force", "--wheelhouse", WHEELS)
    in_the_channel(bridged)
    both_ways(bridged, alice, room, "grace")


def in_the_channel(site: Site) -> None:
    """alice is in #lab, or comes there by herself."""
    watcher = Somebody(site.guest, f"w{time.monotonic_ns() % 100000}")
    if "alice" not in watcher_sees(watcher):
        watcher.hear("alice", 60)  # it connects again by itself
    watcher.close()


def watcher_sees(watcher: Somebody) -> str:
    """Who is in the channel now."""
    watcher.say("NAMES #lab")
    return watcher.hear(" 353 ")


def test_it_is_its_owners_and_nobody_elses(bridged: Site, channel: tuple[Person, str]) -> None:
    bob, bot = bridged.login("bob"), f"@heisenbridge:{bridged.server_name}"
    room = bob.create_room("let me in", invite=[bot])
    time.sleep(3)
    members = bob.ask("GET", f"rooms/{room}/joined_members")["joined"]
    assert set(members) == {bob.user}


@pytest.mark.long
def test_nobody_of_another_server_gets_in(lab: Lab, snapshots: Snapshots) -> None:
    """Not even where everybody of this server may use it; neither the bot comes to them nor one of IRC."""
    site, other = Site(lab, snapshots.boot("site", 13)), Site(lab, snapshots.boot("site", 12))
    site.change(bridges={"irc": {"enabled": True, "owner": "alice"}})
    site.mb("apply")
    alice, bot = site.login("alice"), f"@heisenbridge:{site.server_name}"
    told(alice, invited(alice, bot), f"ADDMASK *:{site.server_name}", "added")
    stranger = other.login("alice")
    for wanted in (bot, f"@irc_lab_carol:{site.server_name}"):
        room = stranger.create_room("let me in", invite=[wanted])
        asked = f"SELECT count(*) FROM room_memberships WHERE user_id = '{wanted}' AND room_id = '{room}'"
        end = time.monotonic() + 60
        while site.sql(asked) == "0" and time.monotonic() < end:
            time.sleep(0.5)
        stranger.send(room, "HELP")
        time.sleep(3)
        assert set(stranger.ask("GET", f"rooms/{room}/joined_members")["joined"]) == {stranger.user}
    lab.down("st-12")
    lab.down("st-13")


def test_its_state_is_told(bridged: Site) -> None:
    assert "hear each other" in bridged.mb("bridge", "status").stdout
    rows = json.loads(bridged.mb("doctor", "bridges", "units", "ports", "--json").stdout)["findings"]
    assert {row["id"]: row["state"] for row in rows if row["id"] in ("bridges.irc", "ports.9898")} == {
        "bridges.irc": "pass",
        "ports.9898": "pass",
    }
    assert "HELP" in bridged.mb("bridge", "login-help", "irc").stdout
    bridged.guest.run(f"systemctl stop {UNIT}")
    said = bridged.mb("bridge", "status", "irc", status=3).stdout
    assert f"{UNIT} is inactive" in said
    bridged.guest.run(f"systemctl start {UNIT}")


def test_it_is_locked_down(bridged: Site) -> None:
    assert exposure(bridged.guest, UNIT) <= 1.3
    owner = bridged.guest.run(f"ps -o user:20= -p $(systemctl show -P MainPID {UNIT})").stdout.strip()
    assert owner == "matrix-bridge-irc"


def test_switched_off_it_is_gone_and_synapse_goes_on(bridged: Site) -> None:
    """Last, as it takes away what the others look at."""
    bridged.change()
    bridged.mb("apply")
    assert bridged.show(UNIT, "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive",
        "UnitFileState": "disabled",
    }
    assert "app_service_config_files" not in bridged.guest.read("/etc/matrix-synapse/homeserver.yaml")
    assert bridged.guest.run("ls -d /opt/matrix-baremetal/bridges", check=False).stdout == ""
    invariants.hold(bridged)
