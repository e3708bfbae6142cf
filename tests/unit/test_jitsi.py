"""A Jitsi of our own: what its parts are told, what a run does on a machine, and what is refused before."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from matrix_baremetal import beforehand, components, config, names
from matrix_baremetal.components import jitsi
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.dns_records import records
from matrix_baremetal.errors import ConfigError, Error
from matrix_baremetal.jitsi_start import prepare
from matrix_baremetal.needs import Port
from matrix_baremetal.ports import openings
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.packages import added, installed
from matrix_baremetal.resources.services import Service
from matrix_baremetal.resources.vendor import AptKey
from matrix_baremetal.versions import read
from tests.check_breaks import CALLS
from tests.fakes import GIB, MINIMAL, FakeHost, Machine, a_session, a_site

ON = f"{MINIMAL}calls: {{jitsi: self-hosted}}\n"
UNITS = {f"matrix-jitsi-{part}.service" for part in ("xmpp", "focus", "bridge")}
SECRETS = tuple(f"/etc/matrix-baremetal/secrets/jitsi_{part}" for part in ("focus", "bridge"))
APT = "/etc/apt/{}/matrix-baremetal-jitsi{}"
SOURCE, PINS, KEY = (
    APT.format(*each) for each in (("sources.list.d", ".sources"), ("preferences.d", ""), ("keyrings", ".asc"))
)


def file(text: str, path: str, **facts: Any) -> str:
    [found] = [
        r.content for r in components.resources(a_site(text, **facts)) if isinstance(r, File) and r.path == path
    ]
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

    def test_clients_are_led_to_it_as_to_any_other(self) -> None:
        client = json.loads(file(ON, "/var/lib/matrix-baremetal/well-known/client.json"))
        assert client["io.element.jitsi"] == {"preferredDomain": "meet.example.org"}
        settings = file(f"{ON}web_client: {{kind: element}}\n", "/var/lib/matrix-baremetal/web-client/config.json")
        assert json.loads(settings)["jitsi"] == {"preferred_domain": "meet.example.org"}
        assert json.loads(file(ON, "/etc/matrix-jitsi/element.json")) == {"auth": "openidtoken-jwt"}

    def test_only_members_open_rooms(self) -> None:
        who = json.loads(file(ON, "/etc/matrix-jitsi/focus.conf"))["jicofo"]["authentication"]
        assert (who["enabled"], who["type"], who["login-url"]) == (True, "XMPP", "meet.example.org")
        text = file(ON, "/etc/matrix-jitsi/prosody.cfg.lua")
        hosts = dict(re.findall(r'^VirtualHost "(\S+)"\n    authentication = "(\S+)"', text, re.MULTILINE))
        assert hosts == {
            "meet.example.org": "matrix_openid",
            "guest.meet.example.org": "jitsi-anonymous",
            "auth.meet.example.org": "matrix_parts",
        }
        rooms = re.findall(r'^Component "\S+" "muc"\n((?:    .*\n)+)', text, re.MULTILINE)
        assert len(rooms) == 4
        assert all("restrict_room_creation = true" in room for room in rooms)
        pages = json.loads(file(ON, "/etc/matrix-jitsi/config.js").removeprefix("var config = ").rstrip(";\n"))
        assert pages["hosts"]["anonymousdomain"] == "guest.meet.example.org"

    def test_synapse_tells_it_whose_a_token_is_and_nobody_else(self) -> None:
        for text in (ON, f"{ON}federation: {{enabled: false}}\n"):
            listeners = yaml.safe_load(file(text, "/etc/matrix-synapse/homeserver.yaml"))["listeners"]
            assert [each["port"] for each in listeners] == [8008, 8086]
            assert listeners[1]["resources"] == [{"names": ["openid"], "compress": False}]
            assert listeners[1]["bind_addresses"] == ["127.0.0.1"]
        assert "8086" in file(ON, "/etc/matrix-jitsi/prosody.cfg.lua")
        assert "8086" not in file(ON, "/etc/nginx/sites-enabled/zz-matrix-baremetal")

    def test_none_of_its_ports_is_anothers_and_one_is_told(self) -> None:
        site = a_site(f"{MINIMAL}{CALLS.replace('element', 'jitsi: self-hosted, element')}turn: {{enabled: true}}\n")
        needs = components.needs(site)
        ports = [(n, p.protocol) for p in needs.of(Port) for n in range(p.number, (p.last or p.number) + 1)]
        assert len(ports) == len(set(ports)) + 1, "443, for two purposes"
        opened = {(o.numbers, o.protocol) for o in openings(site, needs) if o.direction == "in"}
        assert ("10000", "udp") in opened
        assert not {("8084", "tcp"), ("8085", "tcp"), ("8086", "tcp")} & opened
        found = {r.name: r.purpose for r in records(site, needs, ["203.0.113.7"])}
        assert found["meet.example.org"] == "Jitsi, for group calls"

    def test_nothing_of_others_is_asked_for_in_a_call(self) -> None:
        told = file(ON, "/etc/matrix-jitsi/config.js") + file(ON, "/etc/matrix-jitsi/bridge.conf")
        assert "jitsi.net" not in told
        assert '"stunServers": []' in told
        ours = file(f"{ON}turn: {{enabled: true}}\n", "/etc/matrix-jitsi/config.js")
        assert '"urls": "stun:matrix.example.org:3478"' in ours

    def test_tokens_in_addresses_are_in_no_log(self) -> None:
        text = file(ON, "/etc/nginx/sites-enabled/zz-matrix-baremetal")
        server = text[text.index("server_name meet.example.org;") :]
        assert "error_log /dev/null emerg;" in server
        [row] = re.findall(r"^log_format [^;]*;", text, re.MULTILINE)
        assert not re.search(r"\$(request_uri|request|args|query_string)\b", row)

    def test_small_machines_get_small_heaps(self) -> None:
        heap = "/etc/matrix-jitsi/heap.env"
        assert "VIDEOBRIDGE_MAX_MEMORY=512m" in file(ON, heap, memory=2 * GIB)
        assert "VIDEOBRIDGE_MAX_MEMORY=2048m" in file(ON, heap, memory=64 * GIB)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("jitsi_hostname: meet.example.org", "means nothing without jitsi: self-hosted"),
            (
                "jitsi: self-hosted, jitsi_hostname: matrix.example.org",
                "pages of Jitsi on a name that serves something",
            ),
            ("jitsi: self-hosted, jitsi_hostname: example.org", "pages of Jitsi on a name that serves something"),
            ("jitsi: self-hosted, jitsi_hostname: 'a\"b.example.org'", "can't be a host name"),
            ("jitsi: self-hosted, jitsi_repository: {url: 'http://mirror.example.net'}", "https"),
            (
                "jitsi: self-hosted, jitsi_repository: {url: 'https://mirror.example.net', fingerprint: 2DC1389C}",
                "is no fingerprint of a key",
            ),
        ],
    )
    def test_a_wrong_option_is_refused_with_its_line(self, text: str, says: str) -> None:
        said = refused(f"{MINIMAL}calls: {{{text}}}\n")
        assert says in said
        assert "c.yaml:3:" in said


class TestRepository:
    """Where its packages come from, and what else may."""

    def test_it_is_pinned_by_a_whole_fingerprint(self) -> None:
        pin = read().jitsi
        assert names.url(pin.url) == pin.url
        assert pin.key.startswith(f"{pin.url}/")
        assert re.fullmatch(r"[0-9A-F]{40}", pin.fingerprint)
        assert pin.suite == "stable/"

    def test_it_may_give_jitsis_packages_and_nothing_else(self) -> None:
        stanzas = [dict(line.split(": ", 1) for line in s.splitlines() if line[0] != "#") for s in pins(ON)]
        assert stanzas == [
            {"Package": "*", "Pin": "origin download.jitsi.org", "Pin-Priority": "-1"},
            {"Package": " ".join(jitsi.PACKAGES), "Pin": "origin download.jitsi.org", "Pin-Priority": "500"},
        ]
        assert f"Signed-By: {KEY}\n" in file(ON, SOURCE)

    def test_a_mirror_takes_its_place(self) -> None:
        mirror = "https://mirror.example.net/jitsi"
        text = ON.replace("self-hosted", f"self-hosted, jitsi_repository: {{url: {mirror}}}")
        assert f"URIs: {mirror}\n" in file(text, SOURCE)
        assert "origin mirror.example.net" in file(text, PINS)
        [key] = keys(text)
        assert (key.url, key.fingerprint) == (f"{mirror}/jitsi-key.gpg.key", a_site().versions.jitsi.fingerprint)
        print_ = "ab" * 20
        text = text.replace("/jitsi}", f"/jitsi, key: https://k.example.net/k, fingerprint: {print_}}}")
        [key] = keys(text)
        assert (key.url, key.fingerprint) == ("https://k.example.net/k", print_.upper())

    def test_another_key_is_refused_and_nothing_comes(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        machine.downloads[read().jitsi.key] = b"\x98\x0a\x04" + b"of others"
        with pytest.raises(Error, match=r"has the key [0-9A-F]{40}, not .* so nothing is taken"):
            bring(machine, ON)
        assert not machine.at(KEY).exists()
        assert not machine.at(SOURCE).exists()
        assert "jicofo" not in installed(FakeHost(machine))


def keys(text: str) -> list[AptKey]:
    return [r for r in components.resources(a_site(text)) if isinstance(r, AptKey)]


def pins(text: str) -> list[str]:
    return file(text, PINS).strip().split("\n\n")


class TestMachine:
    """What a run does on a machine."""

    def test_it_comes_stays_and_goes(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        bring(machine, MINIMAL)
        before, packages = machine.tree(), installed(FakeHost(machine))
        bring(machine, ON)
        assert {u for u in UNITS if machine.unit(u).active} == UNITS
        assert set(installed(FakeHost(machine))) - set(packages) == {"prosody", *jitsi.PACKAGES}
        # Those that its packages would start don't.
        assert not any(machine.unit(f"{name}.service").active for name in ("prosody", "jitsi-videobridge2"))
        assert bring(machine, ON) == []
        bring(machine, MINIMAL)
        left = set(machine.tree()) - set(before)
        assert {path for path in left if "tls/" not in path and "stamp" not in path} == set(SECRETS)
        assert installed(FakeHost(machine)) == packages
        assert "jicofo" not in added(FakeHost(machine))
        assert not any(machine.unit(u).active for u in UNITS)

    def test_a_prosody_that_was_there_stays(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, packages=("nginx", "postgresql", "certbot", "prosody"))
        machine.units["prosody.service"].active = False
        bring(machine, ON)
        bring(machine, MINIMAL)
        there = installed(FakeHost(machine))
        assert "prosody" in there
        assert "jicofo" not in there

    def test_debconf_has_answers_and_no_secret(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        bring(machine, ON)
        [told] = [s.input or "" for s in machine.started if s.argv[0] == "debconf-set-selections"]
        assert "jitsi-videobridge2 jitsi-videobridge/jvb-hostname string meet.example.org\n" in told
        assert "jitsi-meet/cert-choice select I want to use my own certificate\n" in told
        secrets = [machine.at(path).read_text().strip() for path in SECRETS]
        assert secrets[0] != secrets[1]
        now = a_session(machine, MINIMAL)
        shown = "".join(str(change) for change in plan(now.resources, now.host, now.manifest)) + told
        for secret in secrets:
            assert secret not in shown
            assert not any(secret in word for s in machine.started for word in (*s.argv, *s.env.values()))
            assert [p for p in machine.tree() if secret in (FakeHost(machine).text(p) or "")] == [
                p for p in SECRETS if machine.at(p).read_text().strip() == secret
            ]

    def test_a_package_that_came_anew_makes_its_unit_stale(self) -> None:
        found = {r.unit: r.reads for r in components.resources(a_site(ON)) if isinstance(r, Service)}
        assert "/usr/share/jicofo/jicofo.jar" in found["matrix-jitsi-focus.service"]
        assert "/usr/share/jitsi-videobridge/jitsi-videobridge.jar" in found["matrix-jitsi-bridge.service"]


class TestStart:
    """What jicofo and the videobridge read at a start."""

    @pytest.mark.parametrize("part", ["focus", "bridge"])
    def test_a_password_is_where_its_user_alone_reads_it(self, part: str, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        bring(machine, ON)
        prepare(FakeHost(machine), part)
        place = machine.at(f"/run/matrix-baremetal/jitsi-{part}/{part}.conf")
        secret = machine.at(f"/etc/matrix-baremetal/secrets/jitsi_{part}").read_text().strip()
        assert secret in place.read_text()
        assert place.stat().st_mode & 0o777 == 0o640
        assert json.loads(place.read_text())

    @pytest.mark.parametrize(
        ("own", "leads", "tells"),
        [
            (("9.9.9.7",), ("9.9.9.7",), []),
            (("192.168.1.9",), ("9.9.9.9",), [("192.168.1.9", "9.9.9.9")]),
            (("192.168.1.9",), ("192.168.1.9",), []),
        ],
    )
    def test_it_tells_the_address_that_others_see(
        self, own: tuple[str, ...], leads: tuple[str, ...], tells: list[tuple[str, str]], tmp_path: Path
    ) -> None:
        machine = Machine(tmp_path)
        bring(machine, ON)
        machine.addressed(*own)
        machine.resolved["meet.example.org"] = leads
        prepare(FakeHost(machine), "bridge")
        data = json.loads(machine.at("/run/matrix-baremetal/jitsi-bridge/bridge.conf").read_text())
        told = data["ice4j"]["harvest"]["mapping"]["static-mappings"]
        assert [(each["local-address"], each["public-address"]) for each in told] == tells

    def test_without_a_config_it_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(Error, match=r"there is no /etc/matrix-jitsi/focus.conf"):
            prepare(FakeHost(Machine(tmp_path)), "focus")


class TestBeforehand:
    """What is refused in words before anything is touched."""

    def told(self, machine: Machine, text: str = ON, **facts: Any) -> list[str]:
        return [o.message for o in beforehand.obstacles(a_site(text, **facts), FakeHost(machine))]

    def test_nothing_is_in_the_way_of_a_plain_machine(self, tmp_path: Path) -> None:
        host = FakeHost(Machine(tmp_path))
        assert self.told(host.machine) == []
        assert not list(beforehand.remarks(a_site(ON, memory=8 * GIB), host))
        assert "little for Jitsi" in next(beforehand.remarks(a_site(ON, memory=2 * GIB), host))

    def test_no_java_that_it_runs_on(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        machine.candidates = dict.fromkeys(beforehand.JAVA, "(none)")
        assert "apt offers neither openjdk-17-jre-headless nor openjdk-21" in self.told(machine)[0]
        assert self.told(machine, MINIMAL) == []
        machine.candidates["openjdk-17-jre-headless"] = "17.0.1"
        assert self.told(machine) == []
        # Lists that were never fetched know of nothing, which is for apt to say.
        machine.candidates = dict.fromkeys((*beforehand.JAVA, "prosody"), "(none)")
        assert self.told(machine) == []

    def test_too_little_memory(self, tmp_path: Path) -> None:
        assert "needs 1800 MB in all" in self.told(Machine(tmp_path), memory=1 * GIB)[0]

    def test_somebody_elses_prosody_or_jitsi(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, packages=("nginx", "prosody"))
        assert "prosody.service runs here" in self.told(machine)[0]
        machine.units["prosody.service"].active = False
        assert self.told(machine) == []
        machine.install("jicofo")
        assert "somebody has installed jicofo" in self.told(machine)[0]
