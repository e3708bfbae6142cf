"""The TURN server: what it is told, what it adds at a start, and what goes when it goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from matrix_baremetal import components, config
from matrix_baremetal.addresses import PRIVATE, SPECIAL, span
from matrix_baremetal.commands import certificates
from matrix_baremetal.commands.init import relays
from matrix_baremetal.components.turn import DEBIANS
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import ConfigError, Error
from matrix_baremetal.kernel import Listener
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.masks import Mask
from matrix_baremetal.resources.services import Service
from matrix_baremetal.shell import Result
from matrix_baremetal.turn_start import CONFIG, RUN, SECRET, prepare, whole
from tests.fake_turn import permitted
from tests.fakes import MINIMAL, FakeHost, Machine, a_session, a_site

ON = f"{MINIMAL}turn: {{enabled: true}}\n"
UNIT = "matrix-turn.service"
DROP_IN = "/etc/systemd/system/matrix-synapse.service.d/50-matrix-baremetal.conf"


def file(text: str, path: str) -> str:
    [found] = [r.content for r in components.resources(a_site(text)) if isinstance(r, File) and r.path == path]
    return found


def bring(machine: Machine, text: str) -> list[str]:
    """One run; what it did."""
    now = a_session(machine, text)
    return [f"{c.verb} {c.title}" for c in converge(now.resources, now.host, now.manifest) if c.ended]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with all of it."""
    machine = Machine(tmp_path)
    machine.addressed("203.0.113.7", "2001:db8::7")
    bring(machine, ON)
    return machine


def started(machine: Machine) -> list[str]:
    """What coturn reads after a start."""
    prepare(FakeHost(machine))
    return machine.at(f"{RUN}/turnserver.conf").read_text().splitlines()


class TestConfig:
    """What comes of the config."""

    def test_it_is_off_until_asked_for(self) -> None:
        assert not config.decode(MINIMAL, "c").turn.enabled
        assert not any(isinstance(r, Service) and r.unit == UNIT for r in components.resources(a_site()))

    def test_a_new_config_has_it_unless_something_relays_here_already(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        assert relays(FakeHost(machine)) is None
        machine.install("coturn")
        assert relays(FakeHost(machine)) == "there is a coturn here already"
        machine.at("/etc/systemd/system").mkdir(parents=True)
        machine.at(f"/etc/systemd/system/{DEBIANS}").symlink_to("/dev/null")
        assert relays(FakeHost(machine)) is None, "as in an image that was made ready for us"
        machine.internet.listening["udp", 3478] = (Listener(3478, 9, "janus", "janus.service", "::", "udp"),)
        assert relays(FakeHost(machine)) == "port 3478 (UDP) is in use"
        assert relays(FakeHost(machine, live=False)) is None

    def test_synapse_tells_its_clients_where_it_is_and_is_handed_the_secret(self) -> None:
        data: dict[str, Any] = yaml.safe_load(file(ON, "/etc/matrix-synapse/homeserver.yaml"))
        assert {key: value for key, value in data.items() if key.startswith("turn_")} == {
            "turn_uris": [
                "turn:matrix.example.org?transport=udp",
                "turn:matrix.example.org?transport=tcp",
                "turns:matrix.example.org?transport=tcp",
            ],
            "turn_shared_secret_path": "/run/credentials/matrix-synapse.service/turn_shared_secret",
            "turn_user_lifetime": "1d",
            "turn_allow_guests": False,
        }
        assert f"LoadCredential=turn_shared_secret:{SECRET}\n" in file(ON, DROP_IN)
        assert "LoadCredential" not in file(MINIMAL, DROP_IN)

    def test_every_range_that_is_nobodys_is_denied(self) -> None:
        rows = file(ON, CONFIG).splitlines()
        assert {row for row in rows if row.startswith("denied")} == {
            f"denied-peer-ip={span(each)}" for each in (*PRIVATE, *SPECIAL)
        }
        assert not any(row.startswith("allowed") for row in rows)
        assert {"use-auth-secret", "no-tcp-relay", "no-cli", "no-multicast-peers"} <= set(rows)

    def test_a_turn_server_elsewhere_and_one_here_are_not_mixed(self) -> None:
        theirs = "synapse: {settings: {turn_uris: ['turn:turn.example.net'], turn_username: a}}\n"
        with pytest.raises(ConfigError) as caught:
            config.decode(ON + theirs, "c.yaml")
        assert "turn.enabled: synapse.settings has a TURN server of its own (turn_uris, turn_username)" in str(
            caught.value
        )
        assert config.decode(MINIMAL + theirs, "c.yaml")

    @pytest.mark.parametrize(
        "text", ["external_ip: home", "allowed_peers: [0.0.0.0/0]", "allowed_peers: [8.0.0.0/8]"]
    )
    def test_a_wrong_option_is_refused_with_its_line(self, text: str) -> None:
        with pytest.raises(ConfigError) as caught:
            config.decode(f"{MINIMAL}turn:\n  {text}\n", "c.yaml")
        assert "c.yaml:4:" in str(caught.value)


class TestStart:
    """What is added at a start."""

    def test_the_secret_comes_from_its_file_and_only_the_servers_user_can_read_the_copy(
        self, machine: Machine
    ) -> None:
        secret = machine.at(SECRET).read_text()
        assert f"static-auth-secret={secret}" in started(machine)
        for name in ("turnserver.conf", "fullchain.pem", "privkey.pem"):
            assert machine.at(f"{RUN}/{name}").stat().st_mode & 0o777 == 0o640
            assert machine.owners[f"{RUN}/{name}"] == ("root", "matrix-turn")
        assert machine.at(RUN).stat().st_mode & 0o777 == 0o750
        assert secret not in machine.at(CONFIG).read_text()

    def test_the_machines_own_addresses_are_denied(self, machine: Machine) -> None:
        rows = started(machine)
        assert {f"denied-peer-ip={a}" for a in ("127.0.0.1", "::1", "203.0.113.7", "2001:db8::7")} <= set(rows)
        assert not any(row.startswith("external-ip") for row in rows)

    def test_they_are_taken_out_of_a_network_that_is_allowed_but_not_where_they_are_named(
        self, machine: Machine
    ) -> None:
        machine.addressed("10.0.0.9", "10.0.0.10")
        bring(machine, f"{MINIMAL}turn: {{enabled: true, allowed_peers: [10.0.0.0/24, 10.0.0.10]}}\n")
        assert [row for row in started(machine) if row.startswith("allowed")] == [
            "allowed-peer-ip=10.0.0.0-10.0.0.8",
            "allowed-peer-ip=10.0.0.11-10.0.0.255",
            "allowed-peer-ip=10.0.0.10",
        ]

    @pytest.mark.parametrize(
        ("option", "own", "leads", "rows"),
        [
            ("auto", "192.168.1.9", "8.8.4.4", ["external-ip=8.8.4.4"]),
            ("auto", "192.168.1.9", "192.168.1.9", []),  # the router's own DNS
            ("auto", "192.168.1.9", "", []),
            ("auto", "9.9.9.9", "8.8.4.4", []),  # it can be reached as it is, whatever the name says
            ("8.8.8.8", "192.168.1.9", "8.8.4.4", ["external-ip=8.8.8.8"]),
            ("9.9.9.9", "9.9.9.9", "8.8.4.4", []),
        ],
    )
    def test_behind_a_router_others_are_told_its_address(
        self, option: str, own: str, leads: str, rows: list[str], machine: Machine
    ) -> None:
        machine.addressed(own, "fe80::9")
        machine.resolved["matrix.example.org"] = tuple(filter(None, ("2001:db8::9", leads)))
        bring(machine, f"{MINIMAL}turn: {{enabled: true, external_ip: {option}}}\n")
        found = started(machine)
        assert [row for row in found if row.startswith("external-ip")] == rows
        # Nor is it a way around.
        assert not permitted(found, own)
        assert all(f"denied-peer-ip={row[12:]}" in found for row in rows)

    def test_what_is_missing_is_said_with_what_to_do(self, machine: Machine) -> None:
        machine.at(SECRET).unlink()
        with pytest.raises(Error, match=f"there is no {SECRET}"):
            list(whole(FakeHost(machine), ""))

    def test_for_a_reload_the_pair_alone_is_written(self, machine: Machine) -> None:
        prepare(FakeHost(machine), pair_alone=True)
        assert sorted(p.name for p in machine.at(RUN).iterdir()) == ["fullchain.pem", "privkey.pem"]


class TestLife:
    """It comes, is renewed, and goes."""

    def test_debians_own_unit_never_starts(self, machine: Machine) -> None:
        assert machine.units["coturn.service"].enabled
        assert not machine.units["coturn.service"].active
        assert machine.at("/etc/systemd/system/coturn.service").readlink() == Path("/dev/null")

    def test_one_that_somebody_runs_is_not_stopped(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, packages=("coturn", "nginx", "postgresql", "certbot"))
        with pytest.raises(Error, match=r"coturn.service runs, and it is not ours to stop"):
            bring(machine, ON)
        assert machine.units["coturn.service"].active
        assert Mask("coturn.service").find(FakeHost(machine)) is None

    def test_a_mask_or_unit_file_of_somebody_is_not_replaced(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        machine.put("/etc/systemd/system/coturn.service", "[Service]\n")
        with pytest.raises(Error, match="is somebody's own"):
            bring(machine, ON)

    def test_where_apt_has_none_the_homeserver_comes_up_without(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, packages=("nginx", "postgresql", "certbot"))
        machine.more["apt-get"] = lambda words: Result(100, "", "E: Unable to locate package coturn")
        now = a_session(machine, ON)
        ended = {c.title: c for c in converge(now.resources, now.host, now.manifest) if c.ended}
        waits = {title: change.reason for title, change in ended.items() if change.outcome == "pending"}
        assert waits == {
            "packages for calls": "apt could not install coturn: E: Unable to locate package coturn",
            UNIT: "its program /usr/bin/turnserver is not there yet",
        }
        assert machine.unit("matrix-synapse.service").active
        assert machine.unit("nginx.service").active
        del machine.more["apt-get"]
        assert {"install packages for calls", f"start {UNIT}"} <= set(bring(machine, ON))
        assert machine.unit(UNIT).active

    def test_where_apt_can_not_install_what_the_homeserver_needs_it_is_an_error(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path, packages=("postgresql", "certbot"))
        machine.more["apt-get"] = lambda words: Result(100, "", "E: Unable to locate package nginx")
        with pytest.raises(Error, match="apt could not install nginx"):
            bring(machine, ON)

    def test_a_second_run_does_nothing(self, machine: Machine) -> None:
        assert bring(machine, ON) == []

    def test_a_new_certificate_is_a_reload_and_a_new_config_a_restart(self, machine: Machine) -> None:
        before = machine.unit(UNIT).invocation
        machine.certificate("/etc/letsencrypt/live/matrix-baremetal-matrix.example.org", ["matrix.example.org"])
        now = a_session(machine, ON)
        changes = converge((*certificates.readers(now.host),), now.host, now.manifest, whole=False)
        assert [f"{c.verb} {c.title}" for c in changes if c.ended] == ["reload nginx.service", f"reload {UNIT}"]
        assert machine.unit(UNIT).invocation == before
        done = bring(machine, f"{MINIMAL}turn: {{enabled: true, external_ip: 8.8.8.8}}\n")
        assert done == [f"update file {CONFIG}", f"restart {UNIT}"]

    def test_another_secret_restarts_both_who_know_it(self, machine: Machine) -> None:
        machine.put(SECRET, "another", 0o600)
        assert [each for each in bring(machine, ON) if each.startswith("restart")] == [
            "restart matrix-synapse.service",
            f"restart {UNIT}",
        ]

    def test_switched_off_it_takes_all_with_it_but_the_package_and_the_secret(self, machine: Machine) -> None:
        now = a_session(machine, MINIMAL)
        planned = {f"{c.verb} {c.title}" for c in plan(now.resources, now.host, now.manifest)}
        done = bring(machine, MINIMAL)
        assert {
            f"remove {UNIT}",
            f"remove file {CONFIG}",
            "remove mask of coturn.service",
            "restart matrix-synapse.service",
        } <= set(done)
        assert set(done) - {"wait until example.org answers"} == planned
        assert not machine.unit(UNIT).active
        assert not machine.unit(UNIT).enabled
        assert not machine.at("/etc/matrix-turn").exists()
        assert machine.at(SECRET).exists()
        # Debian's unit is no longer masked, and stays off.
        assert not machine.at("/etc/systemd/system/coturn.service").is_symlink()
        assert not machine.units["coturn.service"].enabled
        assert bring(machine, MINIMAL) == []
