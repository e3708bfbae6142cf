"""Calls: relayed between people behind routers, to nobody of this machine or its network, and through a renewal."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from matrix_baremetal.turn_start import ITSELF
from tests.lab import Lab, nat, network
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.phone import PEERS, PHONE, TTL, Phone, asked, phone
from tests.system.site import Site
from tests.system.test_package import exposure

pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
UNIT = "matrix-turn.service"
RENEW = "certbot renew --force-renewal --no-random-sleep-on-renew"


@pytest.fixture(scope="module")
def relaying(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Site]:
    """A site that relays calls, in a network whose addresses are all private."""
    site = Site(lab, snapshots.boot("site", debian))
    site.change(turn={"enabled": True, "allowed_peers": PEERS})
    began = time.monotonic()
    site.mb("apply")
    sys.stderr.write(f"\nTURN switched on in {time.monotonic() - began:.1f} s\n")
    yield site
    lab.down(f"st-{debian}")


@pytest.fixture(scope="module")
def credentials(relaying: Site) -> dict[str, Any]:
    """What Synapse tells a client."""
    alice = relaying.login("alice")
    answer = relaying.web.ask("GET", f"{relaying.url}/_matrix/client/v3/voip/turnServer", token=alice.token)
    assert answer.status == 200
    found: dict[str, Any] = answer.data
    assert found["uris"] == [
        f"turn:{relaying.hostname}?transport=udp",
        f"turn:{relaying.hostname}?transport=tcp",
        f"turns:{relaying.hostname}?transport=tcp",
    ]
    assert found["ttl"] == 86400
    return found


@pytest.fixture(scope="module")
def homes(relaying: Site, debian: int) -> Iterator[tuple[nat.Home, nat.Home]]:
    """Two people, each behind a router."""
    first, second = network.HOMES[debian]
    with nat.behind_a_router(f"home-{first}", first) as one, nat.behind_a_router(f"home-{second}", second) as two:
        yield one, two


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_two_people_behind_routers_talk(
    transport: str, relaying: Site, credentials: dict[str, Any], homes: tuple[nat.Home, nat.Home]
) -> None:
    """One has a relayed address; the other, whose address no router would let in, speaks to that, and is answered."""
    one, two = homes
    caller = phone(one, asked(relaying, credentials, transport, do="call", peers=[two.ip], talk=3))
    way = caller.says()
    assert (way["address"], way["allowed"]) == (relaying.guest.ip, [two.ip])
    assert 49152 <= way["port"] <= 49407
    called = phone(two, {"do": "answer", "to": [way["address"], way["port"]], "words": ["do", "you", "hear me"]})
    assert [called.says()["heard"] for _ in range(3)] == ["DO", "YOU", "HEAR ME"]
    assert [caller.says() for _ in range(3)] == [{"heard": w, "peer": two.ip} for w in ("do", "you", "hear me")]
    called.end()
    caller.end()


# By TLS that client is no judge: it may wait for good for what TLS has read already, and so four times in a row.
@pytest.mark.parametrize("transport", ["udp", pytest.param("tls", marks=pytest.mark.long)])
def test_coturns_own_client_loses_nothing_either(
    transport: str, relaying: Site, credentials: dict[str, Any], homes: tuple[nat.Home, nat.Home]
) -> None:
    one, two = homes
    # The guest's programs, of its own release of Debian, each in the network of a home.
    inside = ["chroot", str(relaying.guest.root)]
    port = str(nat.FORWARDED)
    echo = subprocess.Popen(two.argv([*inside, "turnutils_peer", "-L", two.inner, "-p", port]))
    try:
        options = {"udp": ["-p", "3478"], "tls": ["-t", "-S", "-p", "5349"]}[transport]
        who = ["-u", credentials["username"], "-w", credentials["password"]]
        words = ["-c", "-n", "20", "-m", "1", "-e", two.ip, "-r", port, "-X", *options, *who, relaying.guest.ip]
        said = ""
        for _ in range(4):
            argv = one.argv([*inside, "timeout", "12", "turnutils_uclient", *words])
            said = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
            if "Total transmit time" in said:
                break
    finally:
        echo.terminate()
        echo.wait()
    assert re.findall(r"tot_send_msgs=(\d+), tot_recv_msgs=(\d+)", said)[-1:] == [("20", "20")], said


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_nothing_is_relayed_to_the_machine_and_its_network(
    transport: str, relaying: Site, credentials: dict[str, Any]
) -> None:
    """Whoever may call gets no word to what listens here, however the address is spelled."""
    guest = relaying.guest
    listen = "import socket, time\ns = [socket.socket(f, 2) for f in (2, 10)]\n"
    listen += "s[1].setsockopt(41, 26, 1)\ns[0].bind(('0.0.0.0', 7777))\ns[1].bind(('::', 7777))\n"
    listen += "print('listens', flush=True)\ntime.sleep(6)\n"
    listen += "for each in s:\n each.settimeout(0)\n try: print(each.recv(99))\n except BlockingIOError: pass\n"
    victim = guest.popen(["python3", "-c", listen], stdout=subprocess.PIPE)
    assert victim.stdout and victim.stdout.readline() == "listens\n"
    peers = [
        "127.0.0.1",
        "127.8.8.8",
        "0.0.0.0",
        guest.ip,
        "169.254.169.254",
        "10.0.0.1",
        "172.17.0.1",
        "192.168.1.1",
    ]
    peers += ["100.64.0.1", "192.0.2.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "255.255.255.255", "::1", "::"]
    peers += ["::ffff:127.0.0.1", f"::ffff:{guest.ip}", "::127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1"]
    peers += ["fd00::1", "2001:db8::1", "ff02::1", guest.ip6]
    task = asked(relaying, credentials, transport, do="ways", peers=peers, port=7777)
    argv = relaying.lab.client_argv(["python3", PHONE])
    attacker = Phone(argv, task)
    found = {row["peer"]: row["ways"] for row in (attacker.says() for _ in peers)}
    assert found == {peer: [] for peer in peers}
    attacker.end()
    assert victim.stdout.read() == ""
    # And that is not because nothing is relayed at all.
    other = [f"10.77.0.{network.CLIENT}", f"fd77::{network.CLIENT}", "198.41.0.4"]
    open_to = Phone(argv, task | {"peers": other})
    assert [open_to.says()["ways"] for _ in other] == [["permission", "channel"]] * 3
    open_to.end()


def test_strangers_get_nothing(relaying: Site, credentials: dict[str, Any]) -> None:
    for change in ({"password": "guessed"}, {"username": f"{2**31}:@eve:example.org"}):
        task = asked(relaying, credentials | change, "udp", do="call", peers=[])
        stranger = Phone(relaying.lab.client_argv(["python3", PHONE]), task)
        _, wrong = stranger.communicate(timeout=30)
        assert "Unauthorized (401)" in wrong


def test_doctor_sees_it_work_by_hand_and_by_night(relaying: Site) -> None:
    rows = json.loads(relaying.mb("doctor", "turn", "ports", "tls", "exposure", "--json").stdout)["findings"]
    found = {row["id"]: row["state"] for row in rows}
    names = {"turn.relay.udp", "turn.relay.tls", "turn.address", "turn.closed", "ports.3478", "ports.udp.3478"}
    assert names | {"ports.5349", f"tls.{relaying.hostname}:5349"} <= set(found)
    assert {id: state for id, state in found.items() if state not in ("pass", "info")} == {}
    relaying.guest.run("systemctl start matrix-baremetal-doctor.service")
    told = relaying.guest.run("journalctl -t matrix-baremetal -p warning -o cat").stdout
    assert not re.search("turn|3478|5349", told), told
    shown = relaying.mb("show", "ports").stdout
    assert all(f"{port}  " in shown for port in ("3478/udp", "3478/tcp", "5349/tcp", "49152-49407/udp"))


def test_it_is_locked_down_and_debians_unit_never_ran(relaying: Site) -> None:
    guest = relaying.guest
    assert exposure(guest, UNIT) <= 2.0
    assert guest.run("journalctl -q -u coturn.service").stdout == ""
    assert relaying.show("coturn.service", "LoadState", "ActiveState") == {
        "LoadState": "masked",
        "ActiveState": "inactive",
    }
    owner = guest.run(f"ps -o user= -p $(systemctl show -P MainPID {UNIT})").stdout.strip()
    assert owner == "matrix-turn"
    invariants.hold(relaying)


def test_a_renewal_is_taken_up_and_calls_go_on(
    relaying: Site, credentials: dict[str, Any], homes: tuple[nat.Home, nat.Home]
) -> None:
    before, start = serial(relaying), relaying.show(UNIT, "InvocationID")
    peers = [homes[1].ip]
    caller = phone(homes[0], asked(relaying, credentials, "tls", do="call", peers=peers, wait=True))
    caller.says()
    relaying.guest.run(RENEW)
    until = time.monotonic() + 10
    while serial(relaying) == before and time.monotonic() < until:
        time.sleep(0.2)
    assert serial(relaying) == relaying.serial(relaying.hostname) != before
    assert relaying.show(UNIT, "InvocationID") == start
    caller.tell("go on")
    assert caller.says() == {"still": peers}
    caller.end()
    invariants.hold(relaying)


def serial(site: Site) -> str:
    """The serial number of the certificate with which calls are encrypted."""
    command = f"openssl s_client -connect {site.hostname}:5349 -servername {site.hostname} </dev/null 2>/dev/null"
    return site.lab.client(["sh", "-c", f"{command} | openssl x509 -noout -serial"]).stdout.strip()


def reached(site: Site, credentials: dict[str, Any], home: nat.Home, *peers: str) -> set[str]:
    """Which of these addresses somebody at home can be relayed to by the router's address."""
    task = asked(site, credentials, "udp", do="ways", peers=peers, port=7777)
    attacker = phone(home, task | {"to": ["9.9.9.9", 3478]})
    found = [attacker.says() for _ in peers]
    attacker.end()
    return {row["peer"] for row in found if row["ways"]}


# What `show ports` says that a router has to let in, for what is tried here.
FORWARDED = ("tcp dport { 80, 443, 3478, 5349 }", "udp dport { 3478, 49152-49407 }")


@pytest.mark.long
def test_a_homeserver_behind_a_router_relays(
    relaying: Site, credentials: dict[str, Any], homes: tuple[nat.Home, nat.Home]
) -> None:
    """All find it at the router's address, which it finds out by itself; it relays to nothing of its own network."""
    guest, (one, two), outside = relaying.guest, homes, "9.9.9.9"
    strangers = [
        network.namespace(each).name for each in ("client", *(f"home-{n}" for n in network.HOMES[guest.debian]))
    ]
    names = (relaying.hostname, relaying.server_name)
    with nat.before(guest, outside, FORWARDED, strangers) as (gate, inner):
        try:
            for name in names:
                relaying.lab.dns.set(name, a=[outside])
            time.sleep(TTL)
            guest.run("systemctl start matrix-baremetal-address.service")
            assert f"external-ip={outside}\n" in guest.read("/run/matrix-baremetal/turn/turnserver.conf")
            assert relaying.answers()
            for transport in ("udp", "tls"):
                there = asked(relaying, credentials, transport)["to"][1]
                task = asked(relaying, credentials, transport, do="call", peers=[two.ip], talk=1)
                caller = phone(one, task | {"to": [outside, there]})
                way = caller.says()
                assert (way["address"], way["allowed"]) == (outside, [two.ip])
                called = phone(two, {"do": "answer", "to": [outside, way["port"]], "words": ["hello"]})
                assert called.says() == {"heard": "HELLO"}
                assert caller.says() == {"heard": "hello", "peer": two.ip}
                called.end()
                caller.end()
            six = f"fd77::{network.CLIENT}"
            assert reached(relaying, credentials, one, gate, inner, outside, six) == {six}
            # Where group calls are to be relayed to this machine, it is this machine alone.
            guest.run(f"echo {ITSELF} >> /etc/matrix-turn/turnserver.conf; systemctl restart {UNIT}")
            assert reached(relaying, credentials, one, gate, inner, outside) == {inner, outside}
            guest.run(f"sed -i /{ITSELF}/d /etc/matrix-turn/turnserver.conf; systemctl restart {UNIT}")
            rows = json.loads(relaying.mb("doctor", "turn", "--json").stdout)["findings"]
            assert {row["state"] for row in rows} <= {"pass", "info"}, rows
            shown = json.loads(relaying.mb("show", "ports", "--json").stdout)
            assert (shown["router"], shown["forward_to"]) == (gate, inner)
        finally:
            for name in names:
                relaying.lab.dns.reset(name)
    guest.run(f"systemctl restart {UNIT}")
    assert relaying.answers()


def test_another_address_outside_is_followed(relaying: Site) -> None:
    """Once, by the TURN server alone; and a DNS that says nothing of use changes nothing."""
    guest, name, everybody = relaying.guest, relaying.hostname, relaying.runs()
    look = "systemctl start matrix-baremetal-address.service"
    before = relaying.show(UNIT, "InvocationID")
    guest.run(look)
    assert relaying.show(UNIT, "InvocationID") == before
    try:
        relaying.lab.dns.set(name, a=["9.9.9.9"])
        time.sleep(TTL)
        guest.run(look)
        after = relaying.show(UNIT, "InvocationID")
        assert after != before
        assert "external-ip=9.9.9.9\n" in guest.read("/run/matrix-baremetal/turn/turnserver.conf")
        guest.run(look)
        relaying.lab.dns.set(name, a=["192.168.1.1"])
        time.sleep(TTL)
        guest.run(look)
        assert relaying.show(UNIT, "InvocationID") == after
        assert relaying.runs() == everybody
    finally:
        relaying.lab.dns.reset(name)
        guest.run(f"systemctl restart {UNIT}")


def test_switched_off_it_is_gone_for_good(relaying: Site) -> None:
    """Last, as it takes away what the others look at."""
    relaying.change()
    relaying.mb("apply")
    gone(relaying)
    relaying.guest.reboot()
    relaying.wait_until_it_answers()
    gone(relaying)
    invariants.hold(relaying)


def gone(site: Site) -> None:
    """Nothing of it is left, and Debian's unit has not come in its place."""
    assert not re.search(r":(3478|5349)\b", site.guest.run("ss -Hlntu").stdout)
    assert site.show("coturn.service", "ActiveState", "UnitFileState") == {
        "ActiveState": "inactive",
        "UnitFileState": "disabled",
    }
    left = site.guest.run("ls -d /etc/matrix-turn /run/matrix-baremetal/turn /run/matrix-turn", check=False)
    assert left.stdout == ""
