"""The bridge to XMPP, against Debian's prosody: both ways, alone and in a group, through a restart and a restore."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab import Lab
from tests.lab.guest import Guest
from tests.matrix import Person
from tests.system import invariants
from tests.system.bridged import told
from tests.system.conftest import Snapshots
from tests.system.site import SYNAPSE, Site
from tests.system.test_bridge_irc import Listener, invited
from tests.system.test_package import exposure

pytestmark = [pytest.mark.lab, pytest.mark.sampled(12)]
UNIT, GATEWAY = "matrix-bridge-xmpp.service", "matrix-bridge-xmpp-gateway.service"
CODE = Path(__file__).with_name("xmpp.py").read_text()
WORD = "a-word-of-mine"
# The gateway gets in over TLS, by a certificate that holds; only the client of the test comes without.
PROSODY = """\
admins = {{}}
modules_enabled = {{ "roster", "saslauth", "tls", "disco", "carbons", "ping" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_hashed"
log = {{ info = "*syslog" }}
pidfile = "/run/prosody/prosody.pid"
certificates = "certs"
VirtualHost "{host}"
    ssl = {{ certificate = "/etc/prosody/certs/lab.crt"; key = "/etc/prosody/certs/lab.key" }}
Component "conference.{host}" "muc"
    restrict_room_creation = false
"""


class Somebody(Listener):
    """Somebody on XMPP."""

    def __init__(self, guest: Guest, account: str) -> None:
        words = ["python3", "-u", "-c", CODE, account, "secret"]
        super().__init__(guest.popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        self.hear("here")

    def write(self, to: str, text: str, kind: str = "chat") -> None:
        self.say(f"<message to='{to}' type='{kind}'><body>{text}</body></message>")


@dataclass
class Linked:
    """alice, her rooms with the bridge: the first, that for the network, the gateway's; `host` is the XMPP server."""

    alice: Person
    control: str
    network: str
    gateway: str
    host: str
    bot: str


@pytest.fixture(scope="module")
def bridged(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Site]:
    """A site with a bridge to XMPP, and an XMPP server on the same machine."""
    site = Site(lab, snapshots.boot("site", debian))
    site.guest.run("apt-get update -q && apt-get install -q -y --no-install-recommends prosody")
    site.guest.write("/etc/prosody/prosody.cfg.lua", PROSODY.format(host=site.hostname))
    current = f"/etc/matrix-baremetal/tls/{site.hostname}/current"
    for name, file in (("crt", "fullchain.pem"), ("key", "privkey.pem")):
        site.guest.run(f"install -o prosody -m 600 {current}/{file} /etc/prosody/certs/lab.{name}")
    site.guest.run("systemctl restart prosody")
    for name in ("alice", "carol"):
        site.guest.run(f"prosodyctl register {name} {site.hostname} secret")
    # alice says more here than a person would in the time.
    talk = {"rc_message": {"per_second": 20, "burst_count": 100}}
    site.change(talk, bridges={"xmpp": {"enabled": True, "owner": "alice"}})
    began = time.monotonic()
    site.mb("apply")
    sys.stderr.write(f"\nthe bridge switched on in {time.monotonic() - began:.1f} s\n")
    yield site
    lab.down(f"st-{debian}")


@pytest.fixture(scope="module")
def linked(bridged: Site) -> Linked:
    """What `bridge login-help xmpp` says, step by step."""
    alice, bot = bridged.login("alice"), f"@xmppbot:{bridged.server_name}"
    control = invited(alice, bot)
    told(alice, control, "ADDNETWORK jabber", "Network added")
    told(alice, control, "ADDSERVER jabber 127.0.0.1 9897", "Server added")
    alice.send(control, "OPEN jabber")
    network = invited(alice, bot, (control,))
    told(alice, network, f"PASSWORD {WORD}", "assword")
    alice.send(network, "CONNECT")
    gateway = invited(alice, bot, (control, network), 60)
    told(alice, gateway, f"register {WORD}", "successfully created")
    told(alice, gateway, f"account add jabber alice@{bridged.hostname} secret", "successfully added")
    told(alice, gateway, "account jabber on", "Logged in")
    return Linked(alice, control, network, gateway, bridged.hostname, bot)


def both_ways(site: Site, linked: Linked, room: str, word: str) -> None:
    """carol on XMPP and alice read each other in a chat of two."""
    carol = Somebody(site.guest, f"carol@{linked.host}")
    linked.alice.send(room, f"hello {word}")
    carol.hear(f"hello {word}", 60)
    carol.write(f"alice@{linked.host}", f"it is {word}")
    linked.alice.wait_for(room, f"@xmpp_jabber_carol:{site.server_name}", f"it is {word}")
    carol.close()


@pytest.fixture(scope="module")
def chat(bridged: Site, linked: Linked) -> str:
    """alice's chat with carol."""
    carol = Somebody(bridged.guest, f"carol@{linked.host}")
    linked.alice.send(linked.gateway, f"add jabber carol@{linked.host}")
    carol.hear("type='subscribe'")
    # Who has not agreed is no contact any more after the next login.
    carol.say(f"<presence to='alice@{linked.host}' type='subscribed'/>")
    carol.close()
    linked.alice.send(linked.network, "QUERY carol")
    return invited(linked.alice, linked.bot, (linked.control, linked.network, linked.gateway))


def test_both_ways_alone_and_in_a_group(bridged: Site, linked: Linked, chat: str) -> None:
    both_ways(bridged, linked, chat, "one")
    group = f"den@conference.{linked.host}"
    carol = Somebody(bridged.guest, f"carol@{linked.host}")
    carol.say(f"<presence to='{group}/carol'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
    carol.say(
        f"<iq to='{group}' type='set' id='c'><query xmlns='http://jabber.org/protocol/muc#owner'>"
        "<x xmlns='jabber:x:data' type='submit'/></query></iq>"
    )
    # Until then the room lets nobody else in.
    carol.hear("id='c'")
    told(linked.alice, linked.gateway, f"chat add jabber {group}", "Chatroom successfully added")
    linked.alice.send(linked.network, "JOIN #den")
    room = invited(linked.alice, linked.bot, (linked.control, linked.network, linked.gateway, chat))
    linked.alice.send(room, "hello group")
    carol.hear("hello group", 60)
    carol.write(group, "and hello from XMPP", "groupchat")
    # The gateway keeps her apart from the contact of that name.
    linked.alice.wait_for(room, f"@xmpp_jabber_carol_:{bridged.server_name}", "and hello from XMPP")
    carol.close()


def test_it_survives_a_restart_and_its_accounts_go_back_in_time(bridged: Site, linked: Linked, chat: str) -> None:
    before = logins(linked)
    bridged.guest.run(f"systemctl restart {SYNAPSE} {UNIT} {GATEWAY}")
    bridged.wait_until_it_answers()
    logged_in(bridged, linked, before)
    both_ways(bridged, linked, chat, "two")
    bridged.mb("backup", "create", "--to", "/root")
    before = logins(linked)
    told(linked.alice, linked.gateway, "account jabber off", "Signing off")
    told(linked.alice, linked.gateway, "account jabber del", "deleted")
    bridged.mb("restore", "--yes", bridged.guest.run("ls /root/*.tar.zst").stdout.strip())
    logged_in(bridged, linked, before)
    both_ways(bridged, linked, chat, "three")
    assert not bridged.plan()
    invariants.hold(bridged)


def logins(linked: Linked) -> int:
    """How often the gateway has said that it is logged in."""
    return len([text for _, text in linked.alice.messages(linked.gateway) if "Logged in" in text])


def logged_in(site: Site, linked: Linked, before: int) -> None:
    """The gateway is logged in at the XMPP server again, by itself."""
    end = time.monotonic() + 90
    while logins(linked) <= before:
        assert time.monotonic() < end, site.guest.run("journalctl -n 40 --no-pager -u 'matrix-bridge-*'").stdout
        time.sleep(0.5)


def test_it_is_its_owners_and_nobody_elses(bridged: Site, linked: Linked) -> None:
    bob = bridged.login("bob")
    room = bob.create_room("let me in", invite=[linked.bot])
    time.sleep(3)
    assert set(bob.ask("GET", f"rooms/{room}/joined_members")["joined"]) == {bob.user}


def test_its_state_is_told_and_it_is_locked_down(bridged: Site, linked: Linked) -> None:
    for unit, user in ((UNIT, "matrix-bridge-xmpp"), (GATEWAY, "matrix-xmpp-gateway")):
        assert exposure(bridged.guest, unit) <= 1.3
        owner = bridged.guest.run(f"ps -o user:30= -p $(systemctl show -P MainPID {unit})").stdout.strip()
        assert owner == user
    kept = bridged.guest.run("cat /var/lib/matrix-xmpp-gateway/accounts/*").stdout
    assert linked.host in kept
    assert "secret" not in kept
    bridged.guest.run(f"systemctl stop {GATEWAY}")
    assert f"{GATEWAY} is inactive" in bridged.mb("bridge", "status", "xmpp", status=3).stdout
    bridged.guest.run(f"systemctl start {GATEWAY}")


def test_a_server_whose_certificate_does_not_hold_is_told_no_password(bridged: Site, linked: Linked) -> None:
    made = f"openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN={linked.host} -keyout lab.key -out lab.crt"
    bridged.guest.run(f"cd /etc/prosody/certs && {made} && chown prosody lab.* && systemctl restart prosody")
    end = time.monotonic() + 90
    while not any("Certificate verification problem" in text for _, text in linked.alice.messages(linked.gateway)):
        assert time.monotonic() < end, linked.alice.messages(linked.gateway)[-3:]
        time.sleep(0.5)


def test_switched_off_it_is_gone_and_its_accounts_stay(bridged: Site) -> None:
    """Last, as it takes away what the others look at."""
    bridged.change()
    bridged.mb("apply")
    for unit in (UNIT, GATEWAY):
        assert bridged.show(unit, "ActiveState", "UnitFileState") == {
            "ActiveState": "inactive",
            "UnitFileState": "disabled",
        }
    gone = "/opt/matrix-baremetal/bridges /etc/matrix-xmpp /etc/systemd/system/bitlbee.service"
    assert bridged.guest.run(f"ls -d {gone}", check=False).stdout == ""
    assert bridged.guest.run("ls /var/lib/matrix-xmpp-gateway/accounts").stdout
    invariants.hold(bridged)
