"""The support bundle: what is in it, and that no secret is, wherever one was planted."""

from __future__ import annotations

import io
import json
import os
import tarfile
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal import bundle, session
from matrix_baremetal.commands import doctor, doctor_bundle
from matrix_baremetal.doctor import examine
from tests.check_breaks import a_machine
from tests.fakes import MINIMAL, FakeHost, Machine, a_session

PLANTED = (
    "correct horse battery",
    "Tr0ub4dor&3x",
    "syt_YWxpY2U_abcdefghijkl_0Gq1",
    "kLmN0pQrStUvWx/yz1",
    "c2VjcmV0c2VjcmV0",
    "of-turn-by-itself",
)
HASH = "$2b$12$" + "a" * 53
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """An installed machine where secrets have been put into every kind of file, and into the journal."""
    machine = a_machine(tmp_path)
    settings = f"synapse:\n  settings:\n    email:\n      smtp_pass: {PLANTED[1]}  # see {PLANTED[0]}\n"
    machine.put(
        session.CONFIG, f"{MINIMAL}\n{settings}# {PLANTED[0]}\nadmins: [{{name: alice, password_hash: '{HASH}'}}]\n"
    )
    machine.put("/etc/matrix-baremetal/secrets/passwords/alice", f"{PLANTED[0]}\n")
    machine.put("/etc/matrix-baremetal/secrets/registration_shared_secret", PLANTED[3])
    machine.put("/var/lib/matrix-synapse/signing.key", f"ed25519 a_abcd {PLANTED[4]}\n")
    machine.put("/etc/matrix-synapse/conf.d/mail.yaml", f"email:\n  smtp_pass: {PLANTED[1]}\n  note: |\n    {PEM}\n")
    # As `migrate` puts it there, for a setting that ends in _path.
    machine.put("/etc/matrix-synapse/conf.d/turn_shared_secret", f"{PLANTED[5]}\n")
    machine.put("/etc/systemd/system/matrix-synapse.service.d/own.conf", f"[Service]\n# {PLANTED[4]}\n")
    machine.journal["matrix-synapse.service"] = f"login with {PLANTED[0]}, then {PLANTED[2]}\nand {PLANTED[3]}\n"
    return machine


def packed(machine: Machine) -> dict[str, str]:
    """The texts of a bundle, by their names in it."""
    host = FakeHost(machine)
    args = Namespace(root=str(machine.root), config=None, json=False, verbose=False, quiet=False)
    name, checks, now = doctor.gathered(host, args)
    if now:
        # The same on the machine at hand, as it was read from what looks like a folder.
        now = a_session(machine, machine.at(session.CONFIG).read_text())
    machine.at(os.getcwd()).mkdir(parents=True, exist_ok=True)
    place = doctor_bundle.write(host, name, examine(checks, host), now, args)
    assert machine.at(str(place)).stat().st_mode & 0o777 == 0o600
    with tarfile.open(fileobj=io.BytesIO(machine.at(str(place)).read_bytes())) as archive:
        members = archive.getmembers()
        assert {member.name.split("/")[0] for member in members} == {place.name.removesuffix(".tar.gz")}
        return {m.name.partition("/")[2]: (archive.extractfile(m) or io.BytesIO()).read().decode() for m in members}


def test_no_secret_is_in_it(machine: Machine) -> None:
    texts = packed(machine)
    for name, text in texts.items():
        for secret in (*PLANTED, HASH, "MIIEvQIBADANBg"):
            assert secret not in text, name
    assert "# (secret)" in texts["config.yaml"]
    assert "login with (secret), then (secret)\nand (secret)" in texts["journal/matrix-synapse.service.txt"]


def test_all_that_a_helper_asks_for_is(machine: Machine) -> None:
    texts = packed(machine)
    assert "server_name: example.org" in texts["config.yaml"]
    assert "\x1b" not in texts["doctor.txt"]
    assert {row["id"] for row in json.loads(texts["doctor.json"])} > {"config", "installed"}
    assert json.loads(texts["machine.json"])["packages"]["nginx"]
    assert json.loads(texts["status.json"])["units"]
    assert isinstance(json.loads(texts["plan.json"]), list)
    for path in (
        "etc/matrix-synapse/homeserver.yaml",
        "etc/nginx/sites-enabled/zz-matrix-baremetal",
        "etc/matrix-synapse/conf.d/mail.yaml",
        "etc/systemd/system/matrix-synapse.service.d/own.conf",
    ):
        assert texts[f"files/{path}"]
    assert "last words of nginx.service" in texts["journal/nginx.service.txt"]
    assert "journal/matrix-baremetal-certificates.service.txt" in texts


def test_a_machine_has_a_time_zone(machine: Machine) -> None:
    machine.at("/etc/localtime").write_bytes(Path("/usr/share/zoneinfo/Europe/Berlin").read_bytes())
    assert json.loads(packed(machine)["machine.json"])["facts"]["zone"] in ("CET +0100", "CEST +0200")


def test_with_mistakes_in_the_config_there_is_still_one(machine: Machine) -> None:
    machine.put(session.CONFIG, f"server_name: [\nsmtp_pass: {PLANTED[1]}\n")
    texts = packed(machine)
    assert "the config has mistakes" in texts["doctor.txt"]
    assert texts["config.yaml"] == "server_name: [\nsmtp_pass: (secret)\n"
    assert "status.json" not in texts
    assert "journal/matrix-synapse.service.txt" in texts


def test_a_label_is_no_secret(machine: Machine) -> None:
    assert "ed25519" not in bundle.secrets(FakeHost(machine))
    assert PLANTED[0] in bundle.secrets(FakeHost(machine)), "a password may be several words"


def test_before_an_install_it_says_what_there_is(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    texts = packed(machine)
    assert texts["config.yaml"] == "(there is none)\n"
    assert "nothing is installed here yet" in texts["doctor.txt"]


def test_a_directory_in_place_of_the_config_is_no_config(machine: Machine) -> None:
    machine.at("/etc/matrix-baremetal/config.yaml").unlink()
    machine.at("/etc/matrix-baremetal/config.yaml").mkdir()
    assert packed(machine)["config.yaml"] == "(there is none)\n"
