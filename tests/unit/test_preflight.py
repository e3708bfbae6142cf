"""Preflight: each obstacle in words with a way out, all at once, and nothing touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import preflight
from matrix_baremetal.components.nginx import CONFIG
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.kernel import Listener
from matrix_baremetal.manifest import Manifest
from matrix_baremetal.preflight import Refused
from matrix_baremetal.resources.matrix import HomeserverConfig
from matrix_baremetal.session import Session
from tests.fakes import MINIMAL, FakeHost, Machine, a_session, a_site

MB = 1024 * 1024


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def one(obstacles: object) -> Obstacle:
    """The one obstacle that there is."""
    [obstacle] = list(obstacles)  # type: ignore[call-overload]
    assert isinstance(obstacle, Obstacle)
    assert obstacle.hint
    return obstacle


def listening(now: Session, *listeners: Listener) -> list[Obstacle]:
    return list(preflight.ports(now.needs, listeners))


def test_a_sound_machine_has_no_obstacle(machine: Machine) -> None:
    now = a_session(machine)
    preflight.check_machine(now.host)
    assert [*preflight.databases(now.site, now.needs, now.host), *preflight.web_server(now.needs, now.host)] == []
    assert [*preflight.space(now.host, now.site), *preflight.permanence(now.site, now.host, now.manifest)] == []


def test_it_needs_root(machine: Machine) -> None:
    machine.superuser = False
    assert one(preflight.machine(FakeHost(machine))) == Obstacle("this needs root", "run it with sudo")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nVERSION_ID="24.04"\n', "Ubuntu 24.04"),
        ('PRETTY_NAME="Debian 11"\nID=debian\nVERSION_ID="11"\n', "Debian 11"),
        ("", "an unknown system"),
    ],
)
def test_another_system_is_named(text: str, name: str, machine: Machine) -> None:
    machine.put("/etc/os-release", text)
    assert one(preflight.machine(FakeHost(machine))).message == f"this is {name}; only Debian 12 and 13 are supported"


def test_a_container_without_systemd_is_refused(machine: Machine) -> None:
    machine.at("/run/systemd/system").rmdir()
    assert "systemd does not run here" in one(preflight.machine(FakeHost(machine))).message


def test_a_processor_without_wheels_is_named(machine: Machine) -> None:
    machine.processor = "riscv64"
    assert "riscv64" in one(preflight.machine(FakeHost(machine))).message


def test_the_server_name_never_changes(machine: Machine) -> None:
    now = a_session(machine)
    assert one(preflight.permanence(now.site, now.host, Manifest("old.org"))).message.startswith(
        "this homeserver is old.org and can't become example.org"
    )
    assert list(preflight.permanence(now.site, now.host, Manifest("example.org"))) == []


def test_the_server_name_never_changes_with_the_manifest_lost_either(machine: Machine) -> None:
    machine.put("/etc/matrix-synapse/homeserver.yaml", "# Written by matrix-baremetal;\nserver_name: old.org\n")
    now = a_session(machine)
    obstacle = one(preflight.permanence(now.site, now.host, Manifest()))
    assert "set server_name: old.org" in obstacle.hint


@pytest.mark.parametrize(
    ("listener", "message", "hint"),
    [
        (
            Listener(80, 12, "apache2", "apache2.service"),
            "port 80 is in use by apache2 (process 12, apache2.service)",
            "systemctl disable --now apache2.service",
        ),
        (Listener(8008, 13, "python3", None), "port 8008 is in use by python3 (process 13)", "stop process 13"),
        (
            Listener(443, 14, "caddy", "session-1.scope"),
            "port 443 is in use by caddy (process 14, session-1.scope)",
            "stop process 14",
        ),
    ],
)
def test_a_port_that_is_taken_is_told_by_whom(listener: Listener, message: str, hint: str, machine: Machine) -> None:
    assert listening(a_session(machine), listener) == [Obstacle(message, hint)]


def test_the_relay_can_be_done_without_where_its_port_is_taken(machine: Machine) -> None:
    now = a_session(machine, f"{MINIMAL}turn: {{enabled: true}}\n")
    [obstacle] = listening(now, Listener(3478, 15, "turnserver", "coturn.service", protocol="udp"))
    assert obstacle.message == "port 3478 (UDP) is in use by turnserver (process 15, coturn.service)"
    assert obstacle.hint == "systemctl disable --now coturn.service, or write turn: {enabled: false} into the config"


def test_a_port_that_our_own_unit_has_is_not_taken(machine: Machine) -> None:
    now = a_session(machine)
    ours = (Listener(80, 1, "nginx", "nginx.service"), Listener(8008, 2, "python3", "matrix-synapse.service"))
    others = Listener(22, 3, "sshd", "ssh.service"), Listener(443, 4, "x", "x.service", protocol="udp")
    assert listening(now, *ours, *others) == []


def test_a_broken_nginx_is_quoted_and_not_hidden(machine: Machine) -> None:
    machine.put("/etc/nginx/conf.d/shop.conf", "server {")
    now = a_session(machine)
    assert "shop.conf" in one(preflight.web_server(now.needs, now.host)).message


def test_a_site_of_our_name_is_told_with_its_file(machine: Machine) -> None:
    machine.put("/etc/nginx/conf.d/shop.conf", "server {\n  server_name www.shop.org matrix.example.org;\n}\n")
    machine.put("/etc/nginx/conf.d/other.conf", "server { server_name _; }\nserver {\n server_name other.org;\n}\n")
    machine.put(CONFIG, "server {\n  server_name matrix.example.org;\n}\n")
    now = a_session(machine)
    assert one(preflight.web_server(now.needs, now.host)).message == (
        "/etc/nginx/conf.d/shop.conf has a site for matrix.example.org already"
    )


@pytest.mark.parametrize(
    "text",
    [
        "server { listen 80; server_name matrix.example.org; }\n",
        "server { server_name 'matrix.example.org'; }\n",
        'server {\n  server_name\n    "matrix.example.org" b.org;\n}\n',
        "server {server_name matrix.example.org;}\n",
        "server { listen 80; # not ours\n  server_name matrix.example.org; # ours\n}\n",
    ],
)
def test_a_site_of_our_name_is_found_however_it_is_written(text: str, machine: Machine) -> None:
    machine.put("/etc/nginx/sites-enabled/shop", text)
    now = a_session(machine)
    assert "a site for matrix.example.org already" in one(preflight.web_server(now.needs, now.host)).message


@pytest.mark.parametrize(
    "text", ["# server_name matrix.example.org;\n", "server { server_name my-matrix.example.org; }\n"]
)
def test_what_only_looks_like_our_name_is_in_nobodys_way(text: str, machine: Machine) -> None:
    machine.put("/etc/nginx/sites-enabled/shop", text)
    now = a_session(machine)
    assert list(preflight.web_server(now.needs, now.host)) == []


def test_a_machine_without_nginx_has_no_site_in_the_way(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=())
    now = a_session(machine)
    assert list(preflight.web_server(now.needs, now.host)) == []
    assert machine.started == []


def test_a_full_disk_is_told_before_the_first_change_and_not_when_synapse_is_there(machine: Machine) -> None:
    machine.spare = 500 * MB
    now = a_session(machine)
    obstacle = one(preflight.space(now.host, now.site))
    assert obstacle.message == "/opt has 500 MB free and an install needs 700 MB"
    machine.at(f"/opt/matrix-baremetal/synapse/{now.site.versions.synapse.version}").mkdir(parents=True)
    assert list(preflight.space(now.host, now.site)) == []


@pytest.mark.parametrize(("opt", "lib", "full"), [(460, 260, ""), (440, 260, "/opt"), (460, 240, "/var/lib")])
def test_two_file_systems_need_room_each_for_its_own(opt: int, lib: int, full: str, machine: Machine) -> None:
    machine.spares = {"/opt": opt * MB, "/var/lib": lib * MB}
    now = a_session(machine)
    found = [obstacle.message for obstacle in preflight.space(now.host, now.site)]
    assert [message.partition(" has ")[0] for message in found] == ([full] if full else [])


def test_a_file_system_that_is_full_of_files_is_told_too(machine: Machine) -> None:
    machine.files = 14_000
    now = a_session(machine)
    obstacle = one(preflight.space(now.host, now.site))
    assert obstacle.message == "/opt has room for 14000 more files and an install makes 15000"
    assert "df -i /opt" in obstacle.hint


def test_a_wrong_clock_is_told_before_the_first_install_alone(machine: Machine) -> None:
    now = a_session(machine)
    assert list(preflight.clock(now.host, now.site)) == []
    machine.internet.ahead = 10 * 365 * 86400.0
    assert "the clock is wrong, so TLS and federation fail" in one(preflight.clock(now.host, now.site)).message
    machine.at(f"/opt/matrix-baremetal/synapse/{now.site.versions.synapse.version}").mkdir(parents=True)
    assert list(preflight.clock(now.host, now.site)) == []


HOMESERVER = "/etc/matrix-synapse/homeserver.yaml"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (HOMESERVER, "server_name: example.org\n"),
        (HOMESERVER, ""),
        ("/etc/matrix-synapse/example.org.signing.key", "ed25519 a_x y\n"),
    ],
)
def test_a_synapse_that_somebody_else_set_up_is_never_taken_over(path: str, text: str, machine: Machine) -> None:
    machine.put(path, text)
    now = a_session(machine)
    assert one(preflight.another(now.host)).message == f"there is another Synapse here, with {path}"
    with pytest.raises(Refused, match="there is another Synapse here"):
        preflight.check(now.site, now.needs, now.host, now.manifest)


def test_our_own_synapse_is_no_other_and_debians_conf_d_neither(machine: Machine) -> None:
    assert list(preflight.another(FakeHost(machine))) == []
    machine.put("/etc/matrix-synapse/conf.d/server_name.yaml", "server_name: example.org\n")
    [config] = [r for r in a_session(machine).resources if isinstance(r, HomeserverConfig)]
    machine.put(HOMESERVER, config.content)
    assert list(preflight.another(FakeHost(machine))) == []


OWN = "server_name: example.org\ntls: {mode: files, certificate: /srv/tls/fullchain.pem, key: /srv/tls/privkey.pem}\n"
DNS = "server_name: example.org\nacme: {challenge: dns-01, dns_plugin: rfc2136}\n"
CREDENTIALS = "/etc/matrix-baremetal/secrets/dns-rfc2136"


def test_a_pair_of_the_operators_own_is_checked_for_all_names_before_anything_changes(machine: Machine) -> None:
    now = a_session(machine, OWN)
    assert [o.message for o in preflight.key_pair(now.site, now.needs, now.host)] == [
        "/srv/tls/fullchain.pem is not there",
        "/srv/tls/privkey.pem is not there",
    ]
    machine.certificate("/srv/tls", ["example.org"], chain=False)
    found = [o.message for o in preflight.key_pair(now.site, now.needs, now.host)]
    assert "is not for matrix.example.org, only for example.org" in found[0]
    assert "lacks the certificates of its issuers" in found[1]
    with pytest.raises(Refused, match="is not for matrix"):
        preflight.check(now.site, now.needs, now.host, now.manifest)
    machine.certificate("/srv/tls", ["example.org", "matrix.example.org"])
    assert list(preflight.key_pair(now.site, now.needs, now.host)) == []
    assert list(preflight.key_pair(a_session(machine).site, now.needs, now.host)) == []


def test_the_credentials_of_a_dns_plugin_are_there_and_roots_alone(machine: Machine) -> None:
    now = a_session(machine, DNS)
    missing = one(preflight.dns_credentials(now.site, now.host))
    assert missing.message == f"acme.dns_plugin: rfc2136 needs its credentials in {CREDENTIALS}"
    for mode, count in ((0o644, 1), (0o640, 1), (0o600, 0), (0o400, 0)):
        machine.put(CREDENTIALS, "dns_rfc2136_secret = x", mode)
        assert len(list(preflight.dns_credentials(now.site, now.host))) == count
    machine.owners[CREDENTIALS] = ("alice", "alice")
    assert "chown root:" in one(preflight.dns_credentials(now.site, now.host)).hint
    assert list(preflight.dns_credentials(a_session(machine).site, now.host)) == []


def test_a_dns_plugin_that_debian_does_not_have_is_told_with_those_that_it_has(machine: Machine) -> None:
    now = a_session(machine, DNS.replace("rfc2136", "rfc2163"))
    obstacle = one(preflight.dns_plugin(now.site, now.host))
    assert obstacle.message == "Debian 12 has no package python3-certbot-dns-rfc2163"
    assert obstacle.hint.endswith("one of: cloudflare, rfc2136")
    machine.install("python3-certbot-dns-rfc2163")
    assert list(preflight.dns_plugin(now.site, now.host)) == []
    assert list(preflight.dns_plugin(a_session(machine, DNS).site, now.host)) == []


def test_a_machine_without_package_lists_knows_no_plugin_and_leaves_it_to_apt(machine: Machine) -> None:
    machine.offered = ()
    now = a_session(machine, DNS)
    assert list(preflight.dns_plugin(now.site, now.host)) == []


def test_all_obstacles_are_told_at_once_and_nothing_is_touched(machine: Machine) -> None:
    machine.superuser, machine.processor, machine.spare = False, "riscv64", MB
    machine.put("/etc/os-release", "")
    machine.put("/etc/nginx/conf.d/shop.conf", "server {")
    now = a_session(machine, cluster=None, no_cluster=Obstacle("there is no Postgres cluster", "x"))
    before = machine.tree()
    with pytest.raises(Refused) as caught:
        preflight.check(now.site, now.needs, now.host, Manifest("old.org"))
    text = caught.value.message
    for words in ("root", "unknown system", "riscv64", "old.org", "cluster", "shop.conf", "/opt has"):
        assert words in text
    assert text.count("→") == len(caught.value.obstacles) >= 7
    assert machine.tree() == before
    assert machine.changing() == []


def test_in_a_folder_only_the_server_name_matters(machine: Machine) -> None:
    machine.superuser = False
    now = a_session(machine, host=FakeHost(machine, live=False))
    preflight.check(now.site, now.needs, now.host, Manifest("example.org"))
    with pytest.raises(Refused, match="can't become"):
        preflight.check(now.site, now.needs, now.host, Manifest("old.org"))


@pytest.mark.parametrize(("memory", "says"), [(512 * MB, "this machine has 512 MB of memory"), (2048 * MB, "")])
def test_what_a_small_machine_can_not_do_is_remarked(tmp_path: Path, memory: int, says: str) -> None:
    found = " ".join(preflight.remarks(a_site(memory=memory), FakeHost(Machine(tmp_path))))
    assert found.startswith(says)
    assert bool(found) == bool(says)
