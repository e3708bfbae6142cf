"""Group calls: what clients and Synapse are told, what the two servers are given, and what goes when they go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from matrix_baremetal import components, config, names
from matrix_baremetal.calls_start import CONFIG, ENVIRONMENT, WHOLE, prepare
from matrix_baremetal.components import calls
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.dns_records import records
from matrix_baremetal.errors import ConfigError, Error
from matrix_baremetal.ports import openings
from matrix_baremetal.resources.downloads import NAME
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.services import Service
from matrix_baremetal.turn_start import SECRET, whole
from matrix_baremetal.versions import read
from tests.check_breaks import CALLS
from tests.fakes import MINIMAL, FakeHost, Machine, a_session, a_site

ON = MINIMAL + CALLS
JITSI = f"{MINIMAL}calls: {{jitsi: meet.example.net}}\n"
FOCUS = {"type": "livekit", "livekit_service_url": "https://matrix-rtc.example.org/livekit/jwt"}
BY_RELAY = ON.replace("element_call: true", "element_call: true, relay: true") + "turn: {enabled: true}\n"
UNITS = {"matrix-livekit.service", "matrix-lk-jwt.service"}
KEYS = "/etc/matrix-baremetal/secrets/livekit_keys"


def file(text: str, path: str) -> str:
    [found] = [r.content for r in components.resources(a_site(text)) if isinstance(r, File) and r.path == path]
    return found


def client(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file(text, "/var/lib/matrix-baremetal/well-known/client.json"))
    return found


def bring(machine: Machine, text: str) -> list[str]:
    """One run; what it did."""
    now = a_session(machine, text)
    return [f"{c.verb} {c.title}" for c in converge(now.resources, now.host, now.manifest) if c.ended]


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.decode(text, "c.yaml")
    return str(caught.value)


class TestConfig:
    """What comes of the config, and what is refused."""

    def test_nothing_of_it_is_there_until_asked_for(self) -> None:
        assert set(client(MINIMAL)) == {"m.homeserver"}
        assert not any(isinstance(r, Service) and r.unit in UNITS for r in components.resources(a_site()))
        assert "matrix_rtc" not in file(MINIMAL, "/etc/matrix-synapse/homeserver.yaml")

    def test_clients_find_both_ways(self) -> None:
        assert client(ON)["org.matrix.msc4143.rtc_foci"] == [FOCUS]
        there = {"preferredDomain": "meet.example.net"}
        assert client(JITSI) == client(MINIMAL) | {"io.element.jitsi": there, "im.vector.riot.jitsi": there}
        settings = "/var/lib/matrix-baremetal/web-client/config.json"
        element = "web_client: {kind: element}\n"
        assert json.loads(file(JITSI + element, settings))["jitsi"] == {"preferred_domain": "meet.example.net"}
        assert "jitsi" not in json.loads(file(MINIMAL + element, settings))

    def test_synapse_has_what_element_call_asks_for(self) -> None:
        data: dict[str, Any] = yaml.safe_load(file(ON, "/etc/matrix-synapse/homeserver.yaml"))
        assert data["matrix_rtc"] == {"transports": [FOCUS]}
        assert data["experimental_features"] == {"msc4143_enabled": True, "msc4222_enabled": True}
        assert data["max_event_delay_duration"] == "24h"
        assert data["rc_message"] == {"per_second": 0.5, "burst_count": 30}
        assert data["rc_delayed_event_mgmt"] == {"per_second": 1, "burst_count": 20}

    def test_livekit_makes_no_rooms_and_its_config_has_no_key(self) -> None:
        data = yaml.safe_load(file(ON, CONFIG))
        assert data["room"] == {"auto_create": False}
        assert data["bind_addresses"] == ["127.0.0.1"]
        assert data["rtc"] == {"tcp_port": 7881, "udp_port": 7882, "use_external_ip": False}
        assert not {"keys", "key_file"} & set(data)
        ours = yaml.safe_load(file(f"{ON}turn: {{enabled: true}}\n", CONFIG))["rtc"]["stun_servers"]
        assert ours == ["matrix.example.org:3478"]
        given = dict(line.split("=", 1) for line in file(ON, calls.ENVIRONMENT).splitlines()[1:])
        assert given == {
            "LIVEKIT_URL": "wss://matrix-rtc.example.org/livekit/sfu",
            "LIVEKIT_JWT_BIND": "127.0.0.1:8082",
            "LIVEKIT_FULL_ACCESS_HOMESERVERS": "example.org",
            "LIVEKIT_CS_API_URL_OVERRIDES": "example.org=https://matrix.example.org",
        }

    def test_who_can_not_reach_it_comes_by_the_turn_server(self) -> None:
        data = yaml.safe_load(file(BY_RELAY, CONFIG))
        ways = [(way["host"], way["port"], way["protocol"]) for way in data["rtc"]["turn_servers"]]
        there = "matrix.example.org"
        assert ways == [(there, 3478, "udp"), (there, 3478, "tcp"), (there, 5349, "tls")]
        assert "turn" not in data, "LiveKit's own would relay to anybody"
        assert "turn_servers" not in yaml.safe_load(file(f"{ON}turn: {{enabled: true}}\n", CONFIG))["rtc"]

    def test_its_ports_are_told_and_are_nobody_elses(self) -> None:
        site = a_site(f"{ON}turn: {{enabled: true}}\nmetrics: {{enabled: true}}\n")
        needs = components.needs(site)
        opened = {(o.numbers, o.protocol): o.purpose for o in openings(site, needs) if o.direction == "in"}
        assert opened["7882", "udp"] == "group calls"
        assert opened["7881", "tcp"] == "group calls, where UDP is blocked"
        assert not {("7880", "tcp"), ("8082", "tcp")} & set(opened)

    def test_the_dns_says_what_its_name_is_for(self) -> None:
        site = a_site(ON)
        found = {r.name: r.purpose for r in records(site, components.needs(site), ["203.0.113.7"])}
        assert found["matrix-rtc.example.org"] == "group calls"

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("element_call: true", "nobody whom this release could ask publishes the hash of lk-jwt-service"),
            ("hostname: rtc.example.org", "means nothing without element_call: true"),
            ("relay: true", "means nothing without element_call: true"),
            ("jitsi_hostname: meet.example.org", "means nothing without jitsi: self-hosted"),
            ("jitsi: https://meet.example.net", "a host name is no web address"),
            ("jitsi: 'meet.example.net;x'", "can't be a host name"),
            ("external_ip: home", "external_ip"),
        ],
    )
    def test_a_wrong_option_is_refused_with_its_line(self, text: str, says: str) -> None:
        said = refused(f"{MINIMAL}calls:\n  {text}\n")
        assert says in said
        assert "c.yaml:4:" in said

    @pytest.mark.parametrize(
        ("more", "says"),
        [
            ("federation: {enabled: false}\n", "federation.enabled is false"),
            ("synapse: {settings: {matrix_rtc: {transports: []}}}\n", "keep one of the two"),
            ("synapse: {settings: {experimental_features: {msc4143_enabled: true}}}\n", "lacks msc4222_enabled"),
            ("synapse: {settings: {experimental_features: [msc4143_enabled]}}\n", "lacks msc4143_enabled"),
            ("synapse: {settings: {experimental_features: true}}\n", "lacks msc4143_enabled"),
        ],
    )
    def test_what_does_not_go_with_it_is_refused(self, more: str, says: str) -> None:
        assert says in refused(ON + more)
        assert config.decode(MINIMAL + more, "c.yaml")

    def test_without_the_turn_server_nothing_relays(self) -> None:
        assert "calls.relay: it is the TURN server that relays, and turn.enabled is false" in refused(
            BY_RELAY.replace("turn: {enabled: true}\n", "")
        )

    def test_a_name_of_a_program_for_browsers_is_refused_and_the_homeservers_is_not(self) -> None:
        named = ON.replace("element_call: true", "element_call: true, hostname: {}").replace
        assert "a program for browsers" in refused(named("{}", "chat.example.org") + "web_client: {kind: element}\n")
        usual = "web_client: {kind: element, hostname: matrix-rtc.example.org}\n"
        assert "a program for browsers" in refused(ON + usual)
        assert config.decode(named("{}", "matrix.example.org"), "c").calls_hostname == "matrix.example.org"


class TestStart:
    """What LiveKit is told at a start."""

    @pytest.mark.parametrize(
        ("own", "leads", "tells"),
        [
            (("203.0.113.7",), ("203.0.113.7",), ""),
            (("192.168.1.9",), ("9.9.9.9",), "9.9.9.9"),
            (("192.168.1.9",), ("192.168.1.9",), ""),
        ],
    )
    def test_an_address_that_is_not_this_machines_own(
        self, own: tuple[str, ...], leads: tuple[str, ...], tells: str, tmp_path: Path
    ) -> None:
        machine = Machine(tmp_path)
        bring(machine, ON)
        machine.addressed(*own)
        machine.resolved["matrix-rtc.example.org"] = leads
        prepare(FakeHost(machine))
        assert machine.at(ENVIRONMENT).read_text() == (f"NODE_IP={tells}\n" if tells else "")
        assert machine.at(ENVIRONMENT).stat().st_mode & 0o777 == 0o644

    def test_the_turn_servers_secret_is_in_a_copy_that_livekit_alone_can_read(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        bring(machine, BY_RELAY)
        prepare(FakeHost(machine))
        secret = machine.at(SECRET).read_text().strip()
        read = yaml.safe_load(machine.at(WHOLE).read_text())
        assert {way["secret"] for way in read["rtc"]["turn_servers"]} == {secret}
        assert machine.at(WHOLE).stat().st_mode & 0o777 == 0o640
        assert machine.owners[WHOLE] == ("root", "matrix-livekit")
        assert secret not in machine.at(CONFIG).read_text()

    @pytest.mark.parametrize(
        ("own", "leads", "opened"),
        [
            (("9.9.9.10", "172.17.0.1", "fe80::1"), (), ["9.9.9.10"]),
            (("192.168.1.9",), ("9.9.9.9",), ["9.9.9.9", "192.168.1.9"]),
            (("192.168.1.9", "127.0.0.1"), (), ["192.168.1.9"]),
        ],
    )
    def test_the_turn_server_relays_to_this_machine_as_others_find_it(
        self, own: tuple[str, ...], leads: tuple[str, ...], opened: list[str], tmp_path: Path
    ) -> None:
        machine = Machine(tmp_path)
        machine.addressed(*own)
        machine.resolved["matrix.example.org"] = leads
        bring(machine, BY_RELAY)
        host = FakeHost(machine)
        rows = list(whole(host, machine.at("/etc/matrix-turn/turnserver.conf").read_text()))
        assert [row for row in rows if row.startswith("allowed")] == [f"allowed-peer-ip={each}" for each in opened]
        assert {f"denied-peer-ip={each}" for each in own if each.startswith(("172", "127"))} <= set(rows)
        for check in components.checks(a_site(BY_RELAY)):
            if check.id in ("calls.relay", "turn.closed"):
                assert check.look(host).state == "pass", check.look(host)

    def test_without_a_config_it_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(Error, match="there is no /etc/matrix-calls/external_ip"):
            prepare(FakeHost(Machine(tmp_path)))


class TestMachine:
    """What a run does on a machine."""

    def test_it_comes_stays_and_goes(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        bring(machine, MINIMAL)
        before = machine.tree()
        bring(machine, ON)
        assert bring(machine, ON) == []
        for name in ("livekit/current/files/livekit-server", "lk-jwt-service/current/files/lk-jwt-service"):
            assert machine.at(f"/opt/matrix-baremetal/{name}").stat().st_mode & 0o777 == 0o755
        assert {u for u in UNITS if machine.unit(u).active} == UNITS
        bring(machine, MINIMAL)
        left = set(machine.tree()) - set(before)
        assert {path for path in left if "tls/" not in path and "stamp" not in path} == {KEYS}
        assert not any(machine.unit(u).active for u in UNITS)

    def test_the_key_is_for_root_and_both_read_it_the_same(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        bring(machine, ON)
        text = machine.at(KEYS).read_text()
        assert machine.at(KEYS).stat().st_mode & 0o777 == 0o600
        [(name, secret)] = yaml.safe_load(text).items()
        assert [word.strip() for word in text.split(":")] == [name, secret]
        assert name == "matrix"
        assert len(secret) >= 32
        now = a_session(machine, MINIMAL)
        assert secret not in "".join(str(change) for change in plan(now.resources, now.host, now.manifest))
        assert not [
            path for path in machine.tree() if path != KEYS and secret in (FakeHost(machine).text(path) or "")
        ]

    def test_an_archive_without_the_program_is_refused(self, tmp_path: Path) -> None:
        from tests.fake_releases import archive, sha256

        machine, other = Machine(tmp_path), archive({"README": b"nothing"})
        machine.downloads["https://mirror.example.net/other.tar.gz"] = other
        release = f"livekit: {{url: https://mirror.example.net/other.tar.gz, sha256: {sha256(other)}}}, "
        now = a_session(machine, ON.replace("lk_jwt_service", f"{release}lk_jwt_service"))
        ended = {c.title: c for c in converge(now.resources, now.host, now.manifest) if c.ended}
        assert "has no livekit-server in it" in (ended[f"livekit {sha256(other)[:12]}"].reason or "")
        waits = ended["matrix-livekit.service"]
        assert waits.outcome == "pending"
        assert waits.reason == "its program /opt/matrix-baremetal/livekit/current is not there yet"
        assert ended["matrix-lk-jwt.service"].outcome == "done"


@pytest.mark.parametrize(("kind", "word"), [("x86_64", "amd64"), ("aarch64", "arm64")])
def test_livekit_is_pinned_for_both_processors(kind: str, word: str) -> None:
    pin = read().livekit.pin(kind)
    assert NAME.fullmatch(pin.version)
    assert pin.url.endswith(f"/v{pin.version}/livekit_{pin.version}_linux_{word}.tar.gz")
    assert names.url(pin.url) == pin.url
    assert names.sha256(pin.sha256) == pin.sha256
