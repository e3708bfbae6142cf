"""People of a directory log in: the config's mistakes, what Synapse's module is told, and whether it would work."""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import preflight, yamlfile
from matrix_baremetal.commands import doctor
from matrix_baremetal.components import data
from matrix_baremetal.converge import plan
from matrix_baremetal.findings import Finding
from matrix_baremetal.release import OPT
from tests.fakes import MINIMAL, Machine, a_homeserver, a_session
from tests.unit.test_config import problems, read

PASSWORD = 'a "password": {with} all # that\\ YAML knows'
FILE = "/etc/matrix-baremetal/ldap.password"
COPY = "/etc/matrix-baremetal/secrets/ldap_password"
BASE = "ou=people,dc=example,dc=org"
ASKED = f'server: "ldaps://ldap.example.org", base: "{BASE}"'
LOGIN = f'bind_dn: "cn=matrix,dc=example,dc=org", password_file: {FILE}'
FILTER = "(memberOf=cn=matrix,ou=groups,dc=example,dc=org)"
TEXT = f'{MINIMAL}ldap: {{{ASKED}, {LOGIN}, filter: "{FILTER}"}}\n'
ANYBODY = f"{MINIMAL}ldap: {{{ASKED}}}\n"
SYNAPSE = "matrix-synapse.service"
PAGE = Path(__file__).parents[2] / "docs/how-to/ldap.md"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine after an install, with a directory that it may ask."""
    machine = Machine(tmp_path)
    machine.put(FILE, f"{PASSWORD}\n", 0o600)
    run(machine)
    return machine


def run(machine: Machine, text: str = TEXT) -> None:
    a_homeserver(machine, text)


def planned(machine: Machine, text: str = TEXT) -> list[str]:
    now = a_session(machine, text)
    return [change.title for change in plan(now.resources, now.host, now.manifest)]


def homeserver(machine: Machine) -> dict[str, Any]:
    return dict(yamlfile.foreign(machine.at("/etc/matrix-synapse/homeserver.yaml").read_bytes(), ""))


def packages(machine: Machine) -> str:
    return machine.at(f"{OPT}/current/requirements.txt").read_text()


def test_synapse_gets_the_module_and_the_password_in_a_file_that_it_alone_reads(machine: Machine) -> None:
    [module] = homeserver(machine)["modules"]
    assert module["module"] == "matrix_baremetal_ldap.Directory"
    assert module["config"] == {
        "enabled": True,
        "mode": "search",
        "uri": "ldaps://ldap.example.org",
        "start_tls": False,
        "validate_cert": True,
        "base": BASE,
        "bind_dn": "cn=matrix,dc=example,dc=org",
        "bind_password_file": f"/run/credentials/{SYNAPSE}/ldap_password",
        "attributes": {"uid": "uid", "name": "cn", "mail": "mail"},
        "filter": FILTER,
    }
    assert machine.at(COPY).read_text() == PASSWORD
    node = a_session(machine, TEXT).host.node(COPY)
    assert node
    assert (node.mode, node.owner) == (0o600, "root")
    handed = machine.at(f"/etc/systemd/system/{SYNAPSE}.d/50-matrix-baremetal.conf").read_text()
    assert f"LoadCredential=ldap_password:{COPY}" in handed
    assert "\nldap3==" in packages(machine)
    assert planned(machine) == []


def test_who_may_ask_without_a_name_needs_no_password(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    text = f"{MINIMAL}ldap: {{{ASKED.replace('ldaps', 'ldap')}, attributes: {{user: sAMAccountName}}}}\n"
    run(machine, text)
    [module] = homeserver(machine)["modules"]
    assert module["config"]["start_tls"] is True
    assert not {"bind_dn", "bind_password_file", "filter"} & set(module["config"])
    assert module["config"]["attributes"]["uid"] == "sAMAccountName"
    assert not machine.at(COPY).exists()


def test_a_module_of_the_operators_stays_beside_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    run(machine, f"{ANYBODY}synapse: {{settings: {{modules: [{{module: a.B}}]}}}}\n")
    own, ours = homeserver(machine)["modules"]
    assert own == {"module": "a.B"}
    assert ours["module"].startswith("matrix_baremetal_ldap.")


def test_no_plan_shows_the_password(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put(FILE, f"{PASSWORD}\n", 0o600)
    now = a_session(machine, TEXT)
    changes = list(plan(now.resources, now.host, now.manifest))
    assert COPY in " ".join(change.title for change in changes)
    assert "all # that" not in str(changes)


def test_another_password_restarts_synapse_and_nothing_else(machine: Machine) -> None:
    machine.put(FILE, "another\n", 0o600)
    assert planned(machine) == [f"file {COPY}", SYNAPSE]
    run(machine)
    assert machine.at(COPY).read_text() == "another"
    assert not machine.at("/var/lib/matrix-baremetal/displaced").exists()


def test_the_operators_file_may_go_away_and_synapse_starts_all_the_same(machine: Machine) -> None:
    machine.at(FILE).unlink()
    now = a_session(machine, TEXT)
    [obstacle] = preflight.passwords(now.needs, now.host)
    assert FILE in obstacle.message
    assert machine.at(COPY).exists()


def test_switched_off_it_takes_away_what_it_brought_and_synapse_is_restarted_once(machine: Machine) -> None:
    before = machine.unit(SYNAPSE).invocation
    assert set(planned(machine, MINIMAL)) == {
        f"file /etc/systemd/system/{SYNAPSE}.d/50-matrix-baremetal.conf",
        "file /etc/matrix-synapse/homeserver.yaml",
        f"file {COPY}",
        SYNAPSE,
    }
    run(machine, MINIMAL)
    assert machine.unit(SYNAPSE).invocation == before + 1
    assert "modules" not in homeserver(machine)
    assert not machine.at(COPY).exists()
    assert not machine.at("/var/lib/matrix-baremetal/displaced").exists(), "nor is the password kept elsewhere"
    assert machine.at(FILE).exists()
    assert "\nldap3==" in packages(machine), "they lie idle"
    assert planned(machine, MINIMAL) == []
    run(machine)
    assert planned(machine) == []


def test_a_backup_has_the_password_only_where_it_is_ours(machine: Machine) -> None:
    assert FILE in data(a_session(machine, TEXT).site).files
    assert "/etc/shadow" not in data(a_session(machine, TEXT.replace(FILE, "/etc/shadow")).site).files


class TestDoctor:
    """ldap.server."""

    def found(self, machine: Machine, said: object = None, text: str = TEXT) -> Finding:
        if said is not None:
            machine.says["ask-ldap"] = json.dumps(said)
        now = a_session(machine, text)
        now.manifest.server_name = "example.org"
        [check] = [each for each in doctor.of(now) if each.id == "ldap.server"]
        assert PASSWORD not in repr(check)
        return check.look(now.host)

    def test_it_asks_as_synapses_user_with_its_library(self, machine: Machine) -> None:
        assert self.found(machine).state == "pass"
        assert machine.logins[-1] == ("cn=matrix,dc=example,dc=org", PASSWORD)
        argv = machine.started[-1].argv
        assert argv[0] == "setpriv"
        assert "--reuid=matrix-synapse" in argv
        assert not any(PASSWORD in word for started in machine.started for word in started.argv)

    def test_without_a_login_it_asks_without_one(self, machine: Machine) -> None:
        assert self.found(machine, text=ANYBODY).state == "pass"
        assert machine.logins[-1] == ("", "")

    @pytest.mark.parametrize(
        ("fault", "message"),
        [
            ("away", "does not answer"),
            ("tls", "has a TLS that does not hold"),
            ("login", "refuses the login of cn=matrix,dc=example,dc=org"),
            ("search", f"has nothing called {BASE}, or lets cn=matrix,dc=example,dc=org see nothing of it"),
            ("another", "could not be asked"),
        ],
    )
    def test_what_is_wrong_is_said_with_its_words(self, machine: Machine, fault: str, message: str) -> None:
        finding = self.found(machine, {"fault": fault, "said": "words of its own\nand more"})
        assert (finding.state, finding.evidence) == ("fail", ("words of its own",))
        assert message in finding.message
        assert finding.next.startswith("mend ldap in config.yaml")

    def test_a_directory_with_nobody_in_it_is_a_warning(self, machine: Machine) -> None:
        finding = self.found(machine, {"found": 0})
        assert finding.state == "warn"
        assert f"nobody below {BASE} who has a uid and fits {FILTER}" in finding.message

    def test_a_virtualenv_without_the_module_is_made_by_apply(self, machine: Machine) -> None:
        finding = self.found(machine, {"fault": "module", "said": "No module named 'ldap3'"})
        assert (finding.state, finding.fix) == ("fail", "matrix-baremetal apply")

    def test_a_program_that_breaks_is_a_fault_and_no_traceback(self, machine: Machine) -> None:
        machine.says["ask-ldap"] = "no JSON"
        assert self.found(machine).state == "fail"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("server: ldap.example.org", "is no address of a directory"),
        ("server: https://ldap.example.org", "write it like ldaps://ldap.example.org"),
        ("server: 'ldaps://a.example.org:70000'", "is no address of a directory"),
        ("server: 'ldaps://a.example.org/x'", "is no address of a directory"),
        ("server: 'ldaps://a_b.example.org'", "is no address of a directory"),
        ("base: people", "names no entry of a directory"),
        ("base: 'ou=a;b'", "names no entry of a directory"),
        ("bind_dn: 'cn=a'", "a login needs a password too"),
        ("password_file: /p", "a password needs to be somebody's"),
        ("bind_dn: matrix, password_file: /p", "names no entry of a directory"),
        ("filter: 'cn=a'", "is no filter of LDAP"),
        ("filter: '(cn=a)(cn=b)'", "is no filter of LDAP"),
        ("filter: '(|(cn=a)(cn=b)'", "is no filter of LDAP"),
        ("filter: '(!(cn=a)(cn=b))'", "is no filter of LDAP"),
        ("filter: '(cn=a\\b)'", "is no filter of LDAP"),
        ("attributes: {user: 'uid)(cn'}", "is no attribute"),
        ("attributes: {uid: cn}", "known are user, name, mail"),
        ("encryption: none", "for all to read on the way"),
        ("encryption: none, server: 'ldaps://localhost'", "ldaps:// is encrypted"),
        ("start_tls: true", "start_tls"),
    ],
)
def test_each_mistake_is_said_with_its_line(more: str, said: str) -> None:
    keys = {row.partition(":")[0] for row in more.split(", ")}
    rest = [row for row in ("server: 'ldaps://a.b'", "base: 'ou=a'") if row.partition(":")[0] not in keys]
    found = problems(f"server_name: a.b\nldap: {{{', '.join((*rest, more))}}}\n")
    assert said in found
    assert ":2:" in found


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("password_config: {enabled: false}", "lets nobody log in with a password"),
        ("password_config: {enabled: only_for_reauth}", "lets nobody log in with a password"),
        ("matrix_authentication_service: {enabled: true}", "matrix_authentication_service"),
        ("password_config: {localdb_enabled: false}", ""),
    ],
)
def test_what_would_keep_its_people_out_is_said(settings: str, said: str) -> None:
    text = f"server_name: a.b\nldap: {{server: 'ldaps://a.b', base: 'ou=a'}}\nsynapse: {{settings: {{{settings}}}}}\n"
    if said:
        assert said in problems(text)
    else:
        read(text)


@pytest.mark.parametrize(
    ("more", "key", "value"),
    [
        ("server: 'ldaps://10.0.0.7:6360/'", "server", "ldaps://10.0.0.7:6360"),
        ("server: 'ldap://[::1]:389', encryption: none", "server", "ldap://[::1]:389"),
        ("server: 'ldap://localhost', encryption: none", "begins", False),
        ("server: 'ldap://localhost'", "begins", True),
        ("bind_dn: matrix@Corp.example.org, password_file: /p", "bind_dn", "matrix@corp.example.org"),
        (r"base: 'ou=Leute\, alle,O=Größe & Söhne, dc=a'", "base", r"ou=Leute\, alle,O=Größe & Söhne, dc=a"),
        (
            "filter: '(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2))(cn=a*\\2a))'",
            "filter",
            "(&(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2))(cn=a*\\2a))",
        ),
    ],
)
def test_what_directories_are_called_is_taken(more: str, key: str, value: object) -> None:
    keys = {row.partition(":")[0] for row in more.split(", ")}
    rest = [row for row in ("server: 'ldaps://a.b'", "base: 'ou=a'") if row.partition(":")[0] not in keys]
    found = read(f"server_name: a.b\nldap: {{{', '.join((*rest, more))}}}\n").ldap
    assert found
    assert getattr(found, key) == value


@pytest.mark.skipif(not PAGE.exists(), reason="the installed package is tested without its docs")
def test_the_examples_of_the_page_are_taken() -> None:
    blocks = re.findall(r"^    ldap:\n(?:     +.*\n)+", PAGE.read_text(), flags=re.MULTILINE)
    assert len(blocks) == 3
    for block in blocks:
        found = read(f"server_name: example.org\n{textwrap.dedent(block)}").ldap
        assert found
        assert found.filter
        assert found.password_file == FILE
