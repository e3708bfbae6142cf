"""How mail leaves the server: the config's mistakes, Synapse's setting with its password, and whether it would go."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal import preflight, yamlfile
from matrix_baremetal.commands import doctor, mail
from matrix_baremetal.components import data
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Error
from matrix_baremetal.resources.services import Service
from matrix_baremetal.words import parser
from tests.fakes import MINIMAL, Machine, a_homeserver, a_session
from tests.unit.test_config import problems, read

PASSWORD = 'a "password": {with} all # that\\ YAML knows'
FILE = "/etc/matrix-baremetal/mail.password"
MAIL = "/etc/matrix-synapse/conf.d/email.yaml"
SMTP = f"host: mail.example.org, from: matrix@example.org, user: matrix, password_file: {FILE}"
TEXT = f"{MINIMAL}mail: {{smtp: {{{SMTP}}}}}\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine after an install, with a mail server to send by."""
    machine = Machine(tmp_path)
    machine.put(FILE, f"{PASSWORD}\n", 0o600)
    run(machine)
    return machine


def run(machine: Machine, text: str = TEXT) -> None:
    a_homeserver(machine, text)


def planned(machine: Machine, text: str = TEXT) -> list[str]:
    now = a_session(machine, text)
    return [change.title for change in plan(now.resources, now.host, now.manifest)]


def test_synapse_gets_the_password_in_a_file_that_it_alone_reads(machine: Machine) -> None:
    node = a_session(machine, TEXT).host.node(MAIL)
    assert node
    assert (node.mode, node.owner, node.group) == (0o640, "root", "matrix-synapse")
    email = yamlfile.foreign(machine.at(MAIL).read_bytes(), MAIL)["email"]
    assert email["smtp_pass"] == PASSWORD
    assert email["require_transport_security"]
    assert not email["force_tls"]
    assert email["notif_from"] == "%(app)s <matrix@example.org>"
    assert "email" not in machine.at("/etc/matrix-synapse/homeserver.yaml").read_text()
    assert planned(machine) == []


def test_no_plan_shows_the_password(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put(FILE, f"{PASSWORD}\n", 0o600)
    now = a_session(machine, TEXT)
    changes = list(plan(now.resources, now.host, now.manifest))
    assert MAIL in " ".join(change.title for change in changes)
    assert PASSWORD not in str(changes)
    assert "all # that" not in str(changes)


def test_another_password_restarts_synapse_and_is_not_kept_aside(machine: Machine) -> None:
    machine.put(FILE, "another\n", 0o600)
    assert planned(machine) == [f"file {MAIL}", "matrix-synapse.service"]
    run(machine)
    assert '"another"' in machine.at(MAIL).read_text()
    assert planned(machine) == []
    assert not machine.at("/var/lib/matrix-baremetal/displaced").exists()


def test_what_a_person_made_of_the_file_is_kept_aside(machine: Machine) -> None:
    machine.put(MAIL, "email: {}\n")
    run(machine)
    [kept] = machine.at("/var/lib/matrix-baremetal/displaced").rglob("email.yaml")
    assert kept.read_text() == "email: {}\n"


def test_an_edit_in_another_encoding_is_kept_aside_too(machine: Machine) -> None:
    machine.at(MAIL).write_bytes("email: {}  # für später\n".encode("latin-1"))
    assert planned(machine) == [f"file {MAIL}", "matrix-synapse.service"]
    run(machine)
    [kept] = machine.at("/var/lib/matrix-baremetal/displaced").rglob("email.yaml")
    assert b"f\xfcr" in kept.read_bytes()


def test_a_password_in_another_encoding_is_none(machine: Machine) -> None:
    machine.at(FILE).write_bytes("pässword\n".encode("latin-1"))
    with pytest.raises(Error, match=f"{FILE} should hold a password in UTF-8 and does not"):
        planned(machine)


def test_without_mail_the_file_goes_with_its_password(machine: Machine) -> None:
    assert planned(machine, MINIMAL)[-2:] == [f"file {MAIL}", "matrix-synapse.service"]
    before = machine.unit("matrix-synapse.service").invocation
    run(machine, MINIMAL)
    assert machine.unit("matrix-synapse.service").invocation == before + 1
    assert not machine.at(MAIL).exists()
    assert not machine.at("/var/lib/matrix-baremetal/displaced").exists()
    assert machine.at(FILE).exists()
    assert planned(machine, MINIMAL) == []


@pytest.mark.parametrize(("text", "mode"), [("", 0o600), (PASSWORD, 0o644), (None, 0)])
def test_a_password_that_is_not_there_or_open_stops_before_anything_changes(
    tmp_path: Path, text: str | None, mode: int
) -> None:
    machine = Machine(tmp_path)
    if text is not None:
        machine.put(FILE, text, mode)
    now = a_session(machine, TEXT)
    [obstacle] = preflight.passwords(now.needs, now.host)
    assert FILE in obstacle.message
    assert FILE in obstacle.hint
    if not text:
        with pytest.raises(Error, match="should hold a password"):
            list(converge(now.resources, now.host, now.manifest))


def test_open_registration_asks_for_an_address(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put(FILE, PASSWORD, 0o600)
    run(machine, f"{TEXT}registration: open\n")
    settings = yamlfile.foreign(machine.at("/etc/matrix-synapse/homeserver.yaml").read_bytes(), "")
    assert settings["registrations_require_3pid"] == ["email"]
    assert settings["enable_registration"] is True


def test_a_backup_has_the_password_only_where_it_is_ours(machine: Machine) -> None:
    assert FILE in data(a_session(machine, TEXT).site).files
    assert "/etc/shadow" not in data(a_session(machine, TEXT.replace(FILE, "/etc/shadow")).site).files


@pytest.mark.parametrize(
    ("more", "encryption"), [("", "starttls"), (", port: 465", "tls"), (", port: 25, encryption: none", "none")]
)
def test_the_doctor_logs_in_there(machine: Machine, more: str, encryption: str) -> None:
    smtp = SMTP.partition(", user")[0] if encryption == "none" else SMTP
    text = f"{MINIMAL}mail: {{smtp: {{{smtp}{more}}}}}\n"
    now = a_session(machine, text)
    now.manifest.server_name = "example.org"
    [check] = [each for each in doctor.of(now) if each.id == "mail.server"]
    assert check.encryption == encryption  # type: ignore[attr-defined]
    assert check.look(now.host).state == "pass"
    assert machine.logins[-1] == (("", "") if encryption == "none" else ("matrix", PASSWORD))
    machine.mail_fault = "it refuses the login of matrix: 5.7.8 no"
    finding = check.look(now.host)
    assert (finding.state, finding.evidence) == ("fail", (machine.mail_fault,))
    assert PASSWORD not in repr(check)


@pytest.mark.parametrize(
    ("smtp", "said"),
    [
        ("host: a.b", "the key from is missing"),
        ("host: 'a b', from: a@b.c", ":2:"),
        ("host: a.b, from: a", "is no e-mail address"),
        ("host: a.b, from: a@b.c, port: 70000", "is not between 1 and 65535"),
        ("host: a.b, from: a@b.c, user: u", "a login needs a password too"),
        ("host: a.b, from: a@b.c, password_file: /p", "a password needs a login too"),
        ("host: a.b, from: a@b.c, user: 'u\\n', password_file: /p", ""),
        ("host: a.b, from: a@b.c, user: u, password_file: /p, encryption: none", "for all to read on the way"),
        ("host: a.b, from_: a@b.c", "did you mean from?"),
    ],
)
def test_each_mistake_is_said(smtp: str, said: str) -> None:
    text = f"server_name: a.b\nmail: {{smtp: {{{smtp}}}}}\n".replace("'u\\n'", '"u\\u0007"')
    assert said in problems(text)


def test_mail_stands_in_one_place() -> None:
    text = "server_name: a.b\nmail: {smtp: {host: localhost, from: a@b.c}}\nsynapse: {settings: {email: {a: b}}}\n"
    assert "only one of the two" in problems(text)
    assert read("server_name: a.b\nmail: null\n").mail is None
    mail = read(text.partition("synapse")[0]).mail
    assert mail
    assert (mail.smtp.from_, mail.smtp.port) == ("a@b.c", 587)


def test_the_service_reads_the_file(machine: Machine) -> None:
    [service] = [r for r in a_session(machine, TEXT).resources if isinstance(r, Service) and "synapse" in r.unit]
    assert "/etc/matrix-synapse/conf.d" in service.reads


class TestByHand:
    """mail test."""

    def said(self, machine: Machine, words: str, text: str = TEXT) -> Error | None:
        now = a_session(machine, text)
        try:
            mail.test(now, words)
        except Error as error:
            return error
        return None

    def test_a_mail_is_sent_by_hand(self, machine: Machine) -> None:
        assert self.said(machine, "zoe@example.net") is None
        [sent] = machine.internet.mails
        assert (sent["To"], sent["From"]) == ("zoe@example.net", "matrix@example.org")
        assert "the mail of example.org" in sent["Subject"]
        assert machine.logins[-1] == ("matrix", PASSWORD)

    def test_what_the_mail_server_says_is_told(self, machine: Machine) -> None:
        machine.mail_fault = "it refuses the address: 550 no such user"
        error = self.said(machine, "zoe@example.net")
        assert error
        assert "mail.example.org:587 did not take the mail: it refuses the address: 550" in error.message
        assert "mail.smtp" in (error.hint or "")
        assert PASSWORD not in repr(error)

    def test_without_a_mail_server_it_says_how_to_have_one(self, machine: Machine) -> None:
        error = self.said(machine, "zoe@example.net", MINIMAL)
        assert error
        assert "names no mail server" in error.message

    def test_what_is_no_address_is_refused(self, capsys: pytest.CaptureFixture[str]) -> None:
        with pytest.raises(SystemExit):
            parser().parse_args(["mail", "test", "zoe"])
        assert "is no e-mail address" in capsys.readouterr().err
