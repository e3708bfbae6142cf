"""Bridges: what each is told and tells the homeserver, in which order, and who may use it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from matrix_baremetal import cli, components, config, session, versions
from matrix_baremetal.components.bridges import BRIDGES
from matrix_baremetal.components.bridges.bridge import Bridge
from matrix_baremetal.components.bridges.irc import Irc
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import ConfigError
from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.python import Virtualenv
from matrix_baremetal.resources.services import Service
from tests.fakes import MINIMAL, Machine, a_session, a_site

ON = f"{MINIMAL}bridges: {{irc: {{enabled: true, owner: alice}}}}\n"
UNIT = "matrix-bridge-irc.service"
REGISTRATION = "/etc/matrix-baremetal/bridges/irc.yaml"
HANDED = "/run/credentials/matrix-synapse.service/irc.yaml"
HOMESERVER = "/etc/matrix-synapse/homeserver.yaml"


def homeserver(text: str) -> dict[str, Any]:
    [found] = [r.content for r in components.resources(a_site(text)) if isinstance(r, File) and r.path == HOMESERVER]
    data: dict[str, Any] = yaml.safe_load(found)
    return data


def bring(machine: Machine, text: str) -> list[str]:
    now = a_session(machine, text)
    return [f"{c.verb} {c.title}" for c in converge(now.resources, now.host, now.manifest) if c.ended]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with a bridge."""
    machine = Machine(tmp_path)
    bring(machine, ON)
    return machine


def test_there_is_none_until_asked_for() -> None:
    assert not any(part.wanted() for part in (kind(a_site()) for kind in BRIDGES))
    assert "app_service_config_files" not in homeserver(MINIMAL)


@pytest.mark.parametrize("name", ["irc", "xmpp"])
def test_one_that_is_nobodys_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="whoever writes to it first"):
        config.decode(f"{MINIMAL}bridges: {{{name}: {{enabled: true}}}}\n", "c.yaml")


def test_synapse_is_handed_the_registration_beside_an_operators_own() -> None:
    assert homeserver(ON)["app_service_config_files"] == [HANDED]
    own = f"{ON}synapse: {{settings: {{app_service_config_files: [/srv/mine.yaml]}}}}\n"
    assert homeserver(own)["app_service_config_files"] == ["/srv/mine.yaml", HANDED]


def test_a_registration_is_for_names_of_this_server_that_nobody_else_gets(machine: Machine) -> None:
    found = yaml.safe_load(machine.at(REGISTRATION).read_text())
    assert (found["id"], found["sender_localpart"], found["url"]) == (
        "heisenbridge",
        "heisenbridge",
        "http://127.0.0.1:9898",
    )
    [users] = found["namespaces"]["users"]
    assert users["exclusive"]
    assert re.fullmatch(users["regex"], "@irc_libera_somebody:example.org")
    assert not re.fullmatch(users["regex"], "@irc_x:exampleZorg")
    # heisenbridge goes by the beginning of it.
    assert re.match(r"^@(.+)([_/])\.[*+]:?", users["regex"])
    assert found["as_token"] != found["hs_token"]
    assert min(len(found[key]) for key in ("as_token", "hs_token")) >= 64
    assert machine.at(REGISTRATION).stat().st_mode & 0o777 == 0o600


def test_the_registration_is_there_before_it_is_named_and_goes_after(machine: Machine) -> None:
    names = [r.name for r in components.resources(a_site(ON))]
    assert names.index(REGISTRATION) < names.index(HOMESERVER) < names.index(UNIT)
    text = machine.at(REGISTRATION).read_text()
    now = a_session(machine, MINIMAL)
    planned = [f"{c.verb} {c.title}" for c in plan(now.resources, now.host, now.manifest)]
    done = bring(machine, MINIMAL)
    assert set(planned) == set(done) - {"wait until example.org answers"}
    assert done.index("restart matrix-synapse.service") < done.index(f"remove {UNIT}")
    assert not machine.unit(UNIT).active
    assert not machine.at("/opt/matrix-baremetal/bridges").exists()
    assert bring(machine, MINIMAL) == []
    # Asked for again it is the same bridge to Synapse, and goes on in its rooms.
    bring(machine, ON)
    assert machine.at(REGISTRATION).read_text() == text


def test_another_token_is_taken_up_by_both(machine: Machine) -> None:
    machine.put("/etc/matrix-baremetal/secrets/bridge-irc-as_token", "another-token", 0o600)
    done = [each for each in bring(machine, ON) if not each.startswith("wait")]
    assert done == [f"update registration {REGISTRATION}", "restart matrix-synapse.service", f"restart {UNIT}"]
    assert json.loads(machine.at(REGISTRATION).read_text())["as_token"] == "another-token"
    assert bring(machine, ON) == []


def test_no_token_is_in_a_plan(machine: Machine) -> None:
    machine.put(REGISTRATION, machine.at(REGISTRATION).read_text().replace("heisenbridge", "x"), 0o600)
    now = a_session(machine, ON)
    told = str([change.differences for change in plan(now.resources, now.host, now.manifest)])
    tokens = [
        machine.at(f"/etc/matrix-baremetal/secrets/bridge-irc-{name}").read_text()
        for name in ("as_token", "hs_token")
    ]
    assert "heisenbridge" in told
    assert not any(token in told for token in tokens)


def test_its_program_comes_from_a_lock_and_runs_for_its_owner() -> None:
    site = a_site(ON)
    found = list(Irc(site).resources(components.needs(site)))
    [program] = [r for r in found if isinstance(r, Virtualenv)]
    assert program.requirements == versions.lock("heisenbridge")
    assert f"heisenbridge=={versions.read().heisenbridge.version}" in program.requirements
    [drop_in] = [r.content for r in found if isinstance(r, File)]
    assert "\nEnvironment='OPTIONS=--owner=@alice:example.org'\n" in drop_in
    [service] = [r for r in found if isinstance(r, Service)]
    assert (service.unit, REGISTRATION in service.reads) == (UNIT, True)


def test_every_bridge_has_a_port_names_and_first_steps_of_its_own() -> None:
    site = a_site(ON)
    assert len({kind.port for kind in BRIDGES}) == len({kind.people for kind in BRIDGES}) == len(BRIDGES)
    for kind in BRIDGES:
        assert kind(site).help()
        assert not any("{" in line for line in kind(site).help())


class TestCommand:
    """bridge list, status, login-help."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        root = Machine(tmp_path).root
        (root / session.CONFIG.lstrip("/")).parent.mkdir(parents=True)
        (root / session.CONFIG.lstrip("/")).write_text(ON)
        return root

    def said(self, root: Path, words: str, capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
        assert cli.main(["--root", str(root), *words.split()]) == status
        done = capsys.readouterr()
        return done.out + done.err

    def test_what_there_is(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "irc" in self.said(root, "bridge list", capsys)
        rows = json.loads(self.said(root, "bridge list --json", capsys))["bridges"]
        irc = {"name": "irc", "enabled": True, "bot": "@heisenbridge:example.org", "unit": UNIT}
        assert rows[0] == {**irc, "keeps": "in Synapse's rooms"}
        off = ["whatsapp", "telegram", "signal", "discord", "xmpp"]
        assert [row["name"] for row in rows if not row["enabled"]] == off

    def test_what_to_do_first(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = self.said(root, "bridge login-help irc", capsys)
        assert text.startswith("1. As @alice:example.org, accept the invitation of")
        assert (
            json.loads(self.said(root, "bridge login-help irc --json", capsys))["bot"] == "@heisenbridge:example.org"
        )

    def test_one_that_there_is_not_or_not_here(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "there is no bridge gadugadu\n" in self.said(root, "bridge login-help gadugadu", capsys, 2)
        assert "whatsap; did you mean whatsapp?" in self.said(root, "bridge status whatsap", capsys, 2)
        (root / session.CONFIG.lstrip("/")).write_text(MINIMAL)
        assert "the config does not ask for the bridge irc" in self.said(root, "bridge login-help irc", capsys, 2)

    @pytest.mark.parametrize("kind", BRIDGES)
    def test_what_it_says_to_write_is_what_the_config_takes(
        self, kind: type[Bridge], root: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (root / session.CONFIG.lstrip("/")).write_text(MINIMAL)
        text = self.said(root, f"bridge login-help {kind.name}", capsys, 2)
        [line] = [line for line in text.splitlines() if line.startswith("next: write bridges: ")]
        line = line.removeprefix("next: write ").partition(" into the config")[0]
        for word, value in {"NAME": "alice", "NUMBER": "1", "PATH": "/root/hash"}.items():
            line = line.replace(word, value)
        assert kind(a_site(f"{MINIMAL}{line}\n")).wanted()

    def test_in_a_folder_nothing_runs(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert "on a machine that runs" in self.said(root, "bridge status", capsys, 1)
