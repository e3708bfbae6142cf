"""An image holds no key and no name: what is looked for, and what is not taken for one."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal import uninstall
from matrix_baremetal.commands import image as command
from matrix_baremetal.components.component import ETC
from matrix_baremetal.components.homeserver_yaml import CREDENTIALS
from matrix_baremetal.errors import DIFFERS, Error
from matrix_baremetal.image import DEBIANS, left
from matrix_baremetal.manifest import PATH
from matrix_baremetal.session import CONFIG
from tests.fakes import FakeHost, Machine, a_homeserver

PEM = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """An image as it should be."""
    machine = Machine(tmp_path)
    machine.put("/etc/machine-id", "")
    machine.put(f"/{DEBIANS}", PEM, 0o640)
    machine.put("/opt/matrix-baremetal/synapse/1/lib/twisted/test/server.pem", PEM)
    machine.put("/opt/tool/test_keys.py", f'KEY = """{PEM}"""\n')
    machine.put("/etc/ssl/certs/root.pem", "-----BEGIN CERTIFICATE-----\n")
    machine.put("/var/lib/postgresql/15/main/base/5/pg_version", "15")
    return machine


def found(machine: Machine) -> set[str]:
    """The paths of all that was left."""
    return {path for each in left(FakeHost(machine)) for path in each.paths}


def test_whatever_a_purge_takes_of_a_part_is_looked_for(machine: Machine) -> None:
    """One that uninstall knows, and this does not, would give its secrets to all machines of the image."""
    parts = [path for path in uninstall.PURGED if path.startswith(("/etc/matrix-", "/var/lib/matrix-"))]
    parts.remove(ETC)  # config and secrets there are looked for by their names
    for path in parts:
        machine.put(f"{path}/a.yaml", "")
    assert {f"{path}/a.yaml" for path in parts} <= found(machine)


def test_an_image_as_it_should_be_holds_nothing(machine: Machine) -> None:
    assert found(machine) == set()


@pytest.mark.parametrize(
    "path",
    [
        CONFIG,
        PATH,
        *CREDENTIALS.values(),
        "/etc/matrix-baremetal/secrets/passwords/alice",
        "/etc/matrix-baremetal/tls/example.org/self-signed/privkey.pem",
        "/etc/matrix-synapse/homeserver.yaml",
        "/var/lib/matrix-synapse/database/homeserver.db",
        "/var/lib/matrix-baremetal/displaced/etc/nginx/nginx.conf",
        "/etc/letsencrypt/accounts/acme/directory/1/private_key.json",
        "/etc/letsencrypt/archive/example.org/privkey1.pem",
        "/etc/ssh/ssh_host_ed25519_key",
        "/root/.ssh/authorized_keys",
        "/home/debian/.bash_history",
        "/var/lib/systemd/random-seed",
        "/var/lib/matrix-bridge-whatsapp/database/bridge.db",
        "/var/lib/matrix-xmpp-gateway/accounts/alice.xml",
        "/etc/matrix-ddns/ddclient.conf",
    ],
)
def test_what_must_not_be_there_is_named(path: str, machine: Machine) -> None:
    machine.put(path, "x")
    assert found(machine) == {path}


@pytest.mark.parametrize("path", ["/srv/own/key.pem", "/etc/nginx/site.key", "/usr/local/etc/x.conf"])
def test_a_private_key_is_found_wherever_it_is(path: str, machine: Machine) -> None:
    machine.put(path, f"# a comment\n{PEM}")
    assert found(machine) == {path}


def test_an_identity_a_database_and_user_data_are_named(machine: Machine) -> None:
    machine.put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
    machine.put("/var/lib/postgresql/15/main/base/16385/pg_version", "15")
    machine.put("/var/lib/cloud/instances/i-1/user-data.txt", "#cloud-config")
    assert found(machine) == {
        "/etc/machine-id",
        "/var/lib/postgresql/15/main/base/16385",
        "/var/lib/cloud/instances/i-1",
    }


@pytest.mark.parametrize("text", ["", "uninitialized\n"])
def test_a_machine_id_that_is_yet_to_be_made_is_none(text: str, machine: Machine) -> None:
    machine.put("/etc/machine-id", text)
    assert found(machine) == set()


def test_a_homeserver_is_no_image(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    a_homeserver(machine)
    paths = found(machine)
    assert set(CREDENTIALS.values()) | {"/etc/matrix-synapse/homeserver.yaml", PATH} <= paths


def test_it_is_said_with_the_way_to_take_it_away(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    words = Namespace(json=False, quiet=False)
    assert command.check(FakeHost(machine), words) == 0
    assert "this can be an image" in capsys.readouterr().out
    for name in "abcd":
        machine.put(f"/etc/matrix-baremetal/secrets/{name}", "secret")
    assert command.check(FakeHost(machine), words) == DIFFERS
    said = capsys.readouterr().out
    assert "  secrets of a homeserver: /etc/matrix-baremetal/secrets/a and 3 more\n      rm -r /etc/" in said
    assert "…" in said
    assert command.check(FakeHost(machine), Namespace(json=True, quiet=False)) == DIFFERS
    [row] = json.loads(capsys.readouterr().out)["left"]
    assert len(row["paths"]) == 4


def test_who_may_not_read_all_of_it_is_not_told_that_it_is_clean(machine: Machine) -> None:
    machine.superuser = False
    with pytest.raises(Error, match="only root may read"):
        command.check(FakeHost(machine), Namespace(json=False, quiet=False))


def test_what_is_made_ahead_is_what_an_install_makes_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Machine(tmp_path)
    host = FakeHost(machine)
    before = set(machine.tree())
    words = Namespace(json=False, quiet=False, wait=0, wheelhouse=None)
    assert command.prepare(host, words) == 0
    new = set(machine.tree()) - before
    assert new
    assert {path.split("/")[1] for path in new} <= {"opt", "run"}, new
    assert found(machine) == set()
    assert "create virtualenv" in capsys.readouterr().out
    assert command.prepare(host, words) == 0
    assert "is here already" in capsys.readouterr().out
