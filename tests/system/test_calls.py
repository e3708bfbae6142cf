"""Group calls: who gets in, and that those who are in hear each other through LiveKit, a TURN server beside it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fake_releases import CALL_PAGE, CALL_PAGE_FILES, archive, sha256
from tests.lab import Lab, client, nat, network
from tests.lab.go import built
from tests.lab.places import REPOSITORY
from tests.matrix import Answer, Person
from tests.system import invariants
from tests.system.conftest import Snapshots
from tests.system.phone import PEERS, PHONE, TTL, Phone
from tests.system.phone import asked as relayed
from tests.system.site import NGINX, Site
from tests.system.test_package import exposure
from tests.system.test_turn import UNIT as TURN

# LiveKit has to be built first, which takes a minute or more: one release shows it, the other is for the long run.
pytestmark = [pytest.mark.lab, pytest.mark.sampled(13)]
UNITS = ("matrix-livekit.service", "matrix-lk-jwt.service")
KEYS = "/etc/matrix-baremetal/secrets/livekit_keys"
ELSEWHERE = "mirror.test"
# Who has the real lk-jwt-service names it: it is used in place of the stand-in.
TOKENS = Path(os.environ.get("MATRIX_BAREMETAL_LK_JWT") or Path(__file__).with_name("lk_jwt_service.py"))


def offered(lab: Lab) -> dict[str, Any]:
    """Both programs and the page where the mirror has them, as the config names them."""
    server = built(REPOSITORY / "tests/go/livekit", "github.com/livekit/livekit-server/cmd/server")
    found = {}
    for name, data in {
        "livekit": archive({"LICENSE": b"", "livekit-server": server.read_bytes()}),
        "lk_jwt_service": TOKENS.read_bytes(),
        "page": CALL_PAGE,
    }.items():
        url = f"https://{ELSEWHERE}/{name}"
        lab.mirror.put(url, data)
        found[name] = {"url": url, "sha256": sha256(data)}
    return {**found, "page": {"release": found["page"]}}


@pytest.fixture(scope="module")
def calling(lab: Lab, snapshots: Snapshots, debian: int) -> Iterator[Site]:
    """A site with group calls."""
    site = Site(lab, snapshots.boot("site", debian))
    began = time.monotonic()
    with lab.mirror.alone():
        turn = {"enabled": True, "allowed_peers": PEERS}
        site.change(calls={"element_call": True, "relay": True, **offered(lab)}, turn=turn)
        site.mb("apply")
    sys.stderr.write(f"\ngroup calls switched on in {time.monotonic() - began:.1f} s\n")
    yield site
    lab.down(f"st-{debian}")


def elsewhere(lab: Lab) -> dict[str, Any]:
    """Another homeserver, as far as it says who somebody is; and what that person shows."""
    put, path = lab.mirror.put, "/_matrix/federation/v1/openid/userinfo?access_token=strange"
    put(f"https://{ELSEWHERE}/.well-known/matrix/server", json.dumps({"m.server": f"{ELSEWHERE}:443"}).encode())
    put(f"https://{ELSEWHERE}{path}", json.dumps({"sub": f"@eve:{ELSEWHERE}"}).encode())
    return {"access_token": "strange", "token_type": "Bearer", "matrix_server_name": ELSEWHERE, "expires_in": 3600}


def rtc(site: Site) -> str:
    return f"https://matrix-rtc.{site.server_name}"


def page(site: Site) -> str:
    return f"call.{site.server_name}"


def openid(person: Person) -> dict[str, Any]:
    """What the homeserver gives somebody to show others who they are."""
    found: dict[str, Any] = person.ask("POST", f"user/{person.user}/openid/request_token", {})
    return found


def asked(site: Site, token: dict[str, Any], user: str, room: str) -> Answer:
    """A client asks to be let into the call of a room."""
    member = {"id": f"{user}-1", "claimed_user_id": user, "claimed_device_id": "PHONE"}
    body = {"room_id": room, "slot_id": "m.call#ROOM", "openid_token": token, "member": member}
    answer = site.web.ask("POST", f"{rtc(site)}/livekit/jwt/get_token", body)
    assert answer.status < 500, journal(site)
    return answer


def journal(site: Site) -> str:
    """What both said last."""
    return site.guest.run(f"journalctl --no-pager -n 40 {' '.join(f'-u {unit}' for unit in UNITS)}").stdout


def called(site: Site, *people: Answer, home: nat.Home | None = None) -> dict[str, Any]:
    """Both go in, from a home where there is one, and what came of it."""
    task = {"people": [{"url": each.data["url"], "jwt": each.data["jwt"]} for each in people]}
    words = [sys.executable, "-m", "tests.system.call"]
    argv = home.client_argv(words) if home else site.lab.client_argv(words)
    env = client.environment({"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/.cache/livekit"})
    done = subprocess.run(
        argv, input=json.dumps(task), env=env, timeout=120, capture_output=True, text=True, check=False
    )
    assert done.stdout, done.stderr  # however the library ends after its answer
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def people(calling: Site) -> tuple[Person, Person]:
    return calling.login("alice"), calling.login("bob")


def test_clients_and_synapse_are_told(calling: Site, people: tuple[Person, Person]) -> None:
    focus = {"type": "livekit", "livekit_service_url": f"{rtc(calling)}/livekit/jwt"}
    found = calling.get("/.well-known/matrix/client", calling.server_name)
    assert found.data["org.matrix.msc4143.rtc_foci"] == [focus]
    url = f"{calling.url}/_matrix/client/unstable/org.matrix.msc4143/rtc/transports"
    assert calling.web.ask("GET", url, token=people[0].token).data["rtc_transports"] == [focus]
    features = calling.get("/_matrix/client/versions").data["unstable_features"]
    assert features["org.matrix.msc4140"] is True


def test_a_page_of_its_own(calling: Site) -> None:
    """Of Element Call itself a stand-in; what browsers are told is ours."""
    name, files = page(calling), "/opt/matrix-baremetal/element-call/current/files"
    for path in ("/", "/room/", "/some/room"):
        answer = calling.get(path, name)
        assert (answer.text.encode(), answer.headers["cache-control"]) == (CALL_PAGE_FILES["index.html"], "no-cache")
        policy = answer.headers["content-security-policy"]
        assert policy.endswith(f" {calling.url} {rtc(calling)} wss{rtc(calling)[5:]}")
    settings = calling.get("/config.json", name).data
    assert settings["default_server_config"]["m.homeserver"]["base_url"] == calling.url
    assert "immutable" in calling.get("/assets/index-DT6T9pS7.js", name).headers["cache-control"]
    for path in ("/assets/none.js", "/_matrix/client/versions", "/.well-known/matrix/client"):
        assert calling.get(path, name).status == 404
    calling.guest.run(f"mv {files} {files}.away")
    gone = calling.get("/", name).status
    calling.guest.run(f"mv {files}.away {files}")
    assert gone == 404, "as where its release is not to be had"


def test_two_people_of_a_call_hear_each_other(calling: Site, people: tuple[Person, Person]) -> None:
    room = people[0].create_room("Call")
    answers = [asked(calling, openid(each), each.user, room) for each in people]
    assert [each.status for each in answers] == [200, 200], answers
    assert answers[0].data["url"] == f"{rtc(calling).replace('https', 'wss')}/livekit/sfu"
    with beside(calling, people[0]):
        before = datagrams(calling)
        assert called(calling, *answers) == {"word": "Can you hear me?", "sound": 200, "who": 1}
        assert datagrams(calling) - before > 100, "sound went another way than UDP"


@contextlib.contextmanager
def beside(site: Site, person: Person) -> Iterator[None]:
    """A call of two is relayed on the same machine, before and after."""
    url, peer = f"{site.url}/_matrix/client/v3/voip/turnServer", network.ip4(network.CLIENT)
    credentials = site.web.ask("GET", url, token=person.token).data
    task = relayed(site, credentials, "udp", do="call", peers=[peer], talk=1, wait=True)
    caller = Phone(site.lab.client_argv(["python3", PHONE]), task)
    way = caller.says()
    assert (way["address"], way["allowed"]) == (site.guest.ip, [peer])
    to = [way["address"], way["port"]]
    other = Phone(site.lab.client_argv(["python3", PHONE]), {"do": "answer", "to": to, "words": ["hello"]})
    assert other.says() == {"heard": "HELLO"}
    assert caller.says() == {"heard": "hello", "peer": peer}
    other.end()
    yield
    caller.tell("go on")
    assert caller.says() == {"still": [peer]}
    caller.end()


@pytest.fixture
def home(debian: int) -> Iterator[nat.Home]:
    """Somebody behind a router."""
    octet = network.HOMES[debian][0]
    with nat.behind_a_router(f"home-{octet}", octet) as home:
        yield home


# Rules of nft: only the lab's names are asked for by UDP.
NO_UDP = "udp dport != 53 drop"


# By TLS the client's library trusts the world's authorities alone: doctor goes that way, to the same address.
@pytest.mark.parametrize("barred", ["3478, 5349", "7881, 5349"], ids=["by TCP", "by the relay"])
def test_a_network_that_lets_out_no_udp(
    barred: str, calling: Site, people: tuple[Person, Person], home: nat.Home
) -> None:
    """There is one way left each time."""
    home.bar(NO_UDP, f"tcp dport {{ {barred} }} reject with tcp reset")
    answers = [asked(calling, openid(each), each.user, "!barred:x") for each in people]
    assert called(calling, *answers, home=home)["sound"] == 200


def datagrams(site: Site) -> int:
    """How many came to programs of this machine by UDP."""
    four = [line.split() for line in site.guest.read("/proc/net/snmp").splitlines() if line.startswith("Udp:")]
    six = dict(line.split() for line in site.guest.read("/proc/net/snmp6").splitlines())
    return int(dict(zip(*four, strict=True))["InDatagrams"]) + int(six["Udp6InDatagrams"])


def test_whom_a_token_is_given_to(calling: Site, people: tuple[Person, Person]) -> None:
    """Nobody without a token of a homeserver; nobody for somebody else; from elsewhere only into rooms that are."""
    alice, bob = people
    token = openid(alice)
    assert asked(calling, token | {"access_token": "guessed"}, alice.user, "!a:x").status == 401
    assert asked(calling, token, bob.user, "!a:x").status == 401
    ours = asked(calling, openid(bob), bob.user, "!open:x")
    with calling.lab.mirror.alone():
        eve = elsewhere(calling.lab)
        theirs = asked(calling, eve, f"@eve:{ELSEWHERE}", "!nobodys:x")
        assert (ours.status, theirs.status) == (200, 200)
        assert set(called(calling, theirs, ours)) == {"refused"}
        guest = asked(calling, eve, f"@eve:{ELSEWHERE}", "!open:x")
    assert called(calling, guest, ours)["sound"] == 200
    forged = ours.data | {"jwt": ours.data["jwt"][:-4] + "AAAA"}
    assert set(called(calling, Answer(200, {}, json.dumps(forged), ""), ours)) == {"refused"}


def test_older_clients_ask_in_another_way(calling: Site, people: tuple[Person, Person]) -> None:
    body = {"room": "!old:x", "openid_token": openid(people[0]), "device_id": "PHONE"}
    url = f"{rtc(calling)}/livekit/jwt/sfu/get"
    assert calling.web.ask("POST", url, body).status == 200
    wrong = body | {"openid_token": openid(people[0]) | {"access_token": "guessed"}}
    assert calling.web.ask("POST", url, wrong).status in (401, 500)


def test_doctor_sees_it_and_ports_are_told(calling: Site) -> None:
    asked = ("calls", "turn", "ports", "exposure", "well-known", "web")
    rows = json.loads(calling.mb("doctor", *asked, "--json").stdout)["findings"]
    found = {row["id"]: row["state"] for row in rows}
    names = {f"calls.{what}" for what in ("livekit", "tokens", "address", "relay")}
    names |= {"ports.udp.7882", "ports.7881", "ports.7880", "ports.8082", "well-known.client"}
    names |= {"turn.relay.udp", "turn.relay.tls", "turn.closed", "turn.address", "ports.udp.3478", "ports.5349"}
    assert names | {f"exposure.admin.{page(calling)}", f"web.program.{page(calling)}"} <= set(found)
    assert {id: row for id, row in found.items() if row not in ("pass", "info")} == {}
    shown = calling.mb("show", "ports").stdout
    assert all(port in shown for port in ("7882/udp", "7881/tcp", "3478/udp", "5349/tcp", "49152-49407/udp"))
    assert not re.search(r"\b(7880|8082)/", shown)


def test_both_are_locked_down(calling: Site) -> None:
    guest = calling.guest
    secret = guest.read(KEYS).split(":")[1].strip()
    for unit in UNITS:
        assert exposure(guest, unit) <= 2.0
        pid = calling.show(unit, "MainPID")["MainPID"]
        assert guest.run(f"ps -o user= -p {pid}").stdout.strip() == unit.removesuffix(".service")
        assert (
            secret
            not in guest.run(f"tr '\\0' '\\n' < /proc/{pid}/environ; tr '\\0' ' ' < /proc/{pid}/cmdline").stdout
        )
    assert secret not in guest.run("journalctl -q --no-pager").stdout
    outside = guest.run("ss -Hlntu").stdout
    assert not re.search(r"(0\.0\.0\.0|\*|\[::\]|10\.\S+):(7880|8082)\b", outside), outside
    invariants.hold(calling)


@pytest.mark.long
def test_it_comes_back_by_itself(calling: Site, people: tuple[Person, Person]) -> None:
    """After a crash of both, and after a reboot."""
    calling.guest.run(f"systemctl kill -s KILL {' '.join(UNITS)}")
    ready(calling)
    calling.guest.reboot()
    calling.wait_until_it_answers()
    ready(calling)
    answers = [asked(calling, openid(each), each.user, "!after:x") for each in people]
    assert called(calling, *answers)["sound"] == 200


def ready(site: Site) -> None:
    """Both answer outside again."""
    until = time.monotonic() + 30
    while {site.get(f"/livekit/{path}", rtc(site)[8:]).status for path in ("sfu/", "jwt/healthz")} != {200}:
        assert time.monotonic() < until, journal(site)
        time.sleep(0.3)


def test_another_address_outside_is_followed_by_both(calling: Site) -> None:
    guest, dns, names = calling.guest, calling.lab.dns, (calling.hostname, rtc(calling)[8:])
    both = (UNITS[0], TURN)
    before = [calling.show(unit, "InvocationID") for unit in both]
    try:
        for name in names:
            dns.set(name, a=["9.9.9.9"])
        time.sleep(TTL)
        guest.run("systemctl start matrix-baremetal-address.service")
        after = [calling.show(unit, "InvocationID") for unit in both]
        assert all(old != new for old, new in zip(before, after, strict=True))
        assert guest.read("/run/matrix-baremetal/calls/environment") == "NODE_IP=9.9.9.9\n"
        assert "external-ip=9.9.9.9\n" in guest.read("/run/matrix-baremetal/turn/turnserver.conf")
    finally:
        for name in names:
            dns.reset(name)


def test_switched_off_it_is_gone(calling: Site) -> None:
    """Last, as it takes away what the others look at."""
    calling.change()
    calling.mb("apply")
    guest = calling.guest
    assert not re.search(r":(7880|7881|7882|8082|3478|5349)\b", guest.run("ss -Hlntu").stdout)
    left = guest.run("ls -d /etc/matrix-calls /run/matrix-baremetal/calls /opt/matrix-baremetal/[el]*", check=False)
    assert left.stdout == ""
    assert not re.search(rf"matrix-rtc|{page(calling)}", guest.read(NGINX))
    assert "rtc_foci" not in calling.get("/.well-known/matrix/client", calling.server_name).text
    assert {calling.show(unit, "ActiveState")["ActiveState"] for unit in UNITS} == {"inactive"}
    invariants.hold(calling)
