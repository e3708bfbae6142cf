"""Single sign-on: the config's mistakes, what Synapse is told and handed, and what is wrong with a provider."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from matrix_baremetal import cli, preflight, yamlfile
from matrix_baremetal.checks.oidc import Provider, document_of, lacking
from matrix_baremetal.commands import doctor
from matrix_baremetal.components import data
from matrix_baremetal.components.oidc import callback
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Error
from matrix_baremetal.findings import Finding
from matrix_baremetal.web import Request
from tests.fake_web import SSO
from tests.fakes import MINIMAL, Machine, a_homeserver, a_session
from tests.unit.test_config import problems, read

SECRET = "of the provider"
FILE = "/etc/matrix-baremetal/oidc-keycloak"
COPY = "/etc/matrix-baremetal/secrets/oidc-keycloak"
HOMESERVER = "/etc/matrix-synapse/homeserver.yaml"
DROP_IN = "/etc/systemd/system/matrix-synapse.service.d/50-matrix-baremetal.conf"
SYNAPSE = "matrix-synapse.service"
ISSUER = f"https://{SSO}/realms/main"
DOCUMENT = document_of(ISSUER)
TOKENS = f"https://{SSO}/token_endpoint"
PAGE = Path(__file__).parents[2] / "docs/how-to/single-sign-on.md"
ONE = f"id: keycloak, name: Ours, issuer: '{ISSUER}', client_id: matrix, client_secret_file: {FILE}"
TEXT = f"{MINIMAL}oidc: [{{{ONE}}}]\n"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine after an install, with a provider."""
    machine = Machine(tmp_path)
    machine.put(FILE, f"{SECRET}\r\n", 0o600)
    run(machine)
    return machine


def run(machine: Machine, text: str = TEXT) -> None:
    a_homeserver(machine, text)


def planned(machine: Machine, text: str = TEXT) -> list[str]:
    now = a_session(machine, text)
    return [change.title for change in plan(now.resources, now.host, now.manifest)]


def providers(machine: Machine) -> Any:
    return yamlfile.foreign(machine.at(HOMESERVER).read_bytes(), HOMESERVER)["oidc_providers"]


class TestWhatIsMade:
    """What Synapse is told, and what it is handed."""

    def test_synapse_is_handed_the_secret_and_told_where(self, machine: Machine) -> None:
        [told] = providers(machine)
        assert told["client_secret_path"] == "/run/credentials/matrix-synapse.service/oidc-keycloak"
        assert f"LoadCredential=oidc-keycloak:{COPY}\n" in machine.at(DROP_IN).read_text()
        node = a_session(machine, TEXT).host.node(COPY)
        assert node
        assert (node.mode, node.owner, node.group) == (0o600, "root", "root")
        # As the provider gave it: no end of line, which Synapse would send along.
        assert machine.at(COPY).read_bytes() == SECRET.encode()
        assert SECRET not in machine.at(HOMESERVER).read_text()
        assert planned(machine) == []

    def test_no_plan_shows_the_secret(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        machine.put(FILE, f"{SECRET}\n", 0o600)
        now = a_session(machine, TEXT)
        changes = list(plan(now.resources, now.host, now.manifest))
        assert COPY in " ".join(change.title for change in changes)
        assert SECRET not in str(changes)

    def test_another_secret_restarts_synapse_alone(self, machine: Machine) -> None:
        machine.put(FILE, "another\n", 0o600)
        assert planned(machine) == [f"file {COPY}", SYNAPSE]
        run(machine)
        assert machine.at(COPY).read_text() == "another"
        assert planned(machine) == []
        assert not machine.at("/var/lib/matrix-baremetal/displaced").exists()

    def test_without_it_all_goes_but_the_operators_file(self, machine: Machine) -> None:
        assert {f"file {COPY}", f"file {HOMESERVER}", SYNAPSE} <= set(planned(machine, MINIMAL))
        before = machine.unit(SYNAPSE).invocation
        run(machine, MINIMAL)
        assert machine.unit(SYNAPSE).invocation == before + 1
        assert not machine.at(COPY).exists()
        assert "oidc" not in machine.at(HOMESERVER).read_text() + machine.at(DROP_IN).read_text()
        assert machine.at(FILE).exists()
        assert planned(machine, MINIMAL) == []

    def test_those_of_synapses_settings_are_beside_them(self, machine: Machine) -> None:
        run(machine, f"{TEXT}synapse: {{settings: {{oidc_providers: [{{idp_id: own, issuer: 'https://a.b'}}]}}}}\n")
        assert [told["idp_id"] for told in providers(machine)] == ["own", "keycloak"]

    @pytest.mark.parametrize(("text", "mode"), [("", 0o600), (SECRET, 0o644), (None, 0)])
    def test_a_secret_that_is_not_there_or_open_stops_before_anything_changes(
        self, tmp_path: Path, text: str | None, mode: int
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

    def test_a_backup_has_the_secret_only_where_it_is_ours(self, machine: Machine) -> None:
        assert FILE in data(a_session(machine, TEXT).site).files
        assert "/etc/shadow" not in data(a_session(machine, TEXT.replace(FILE, "/etc/shadow")).site).files

    @pytest.mark.parametrize(
        ("more", "localpart"),
        [
            ("", "{{ user.get('preferred_username') or '' }}"),
            (", claim: upn", "{{ user.get('upn') or '' }}"),
            (
                ", claim: email, scopes: [openid, email]",
                "{{ (user.get('email') or '') | localpart_from_email }}",
            ),
        ],
    )
    def test_what_an_account_is_called_by(self, machine: Machine, more: str, localpart: str) -> None:
        run(machine, TEXT.replace("}]", f"{more}}}]"))
        assert providers(machine)[0]["user_mapping_provider"]["config"]["localpart_template"] == localpart

    def test_who_is_let_in(self, machine: Machine) -> None:
        [told] = providers(machine)
        assert (told["enable_registration"], told["allow_existing_users"]) == (True, False)
        more = ", require: {groups: matrix}, new_accounts: false, existing_accounts: true, claims_from: userinfo"
        run(machine, TEXT.replace("}]", f"{more}}}]"))
        [told] = providers(machine)
        assert (told["enable_registration"], told["allow_existing_users"]) == (False, True)
        assert told["user_profile_method"] == "userinfo_endpoint"
        assert told["attribute_requirements"] == [{"attribute": "groups", "value": "matrix"}]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("id: keycloak", "id: Keycloak", 'write "keycloak"'),
        ("id: keycloak", "id: ../x", "can't be an id"),
        ("id: keycloak", "id: 'a b'", ":3:"),
        ("https:", "http:", "http:// is not encrypted"),
        ("realms/main", "realms/main?x=y", "is no usable web address"),
        ("client_id: matrix", "client_id: 'a:b'", "is no client id"),
        ("name: Ours", "name: ''", "has to be one line"),
        (f"client_secret_file: {FILE}", "client_secret_file: x", "is no absolute path"),
        (f"client_secret_file: {FILE}", "client_secret: x", "did you mean client_secret_file?"),
        ("}]", ', claim: "a\') }}"}]', "is no usable name of a claim"),
        ("}]", ", claim: __class__}]", "is no usable name of a claim"),
        ("}]", ", claim: email}]", "no address without the scope email"),
        ("}]", ", claim: email, scopes: [openid, email], existing_accounts: true}]", "take another claim"),
        ("}]", ", claims_from: token}]", "id-token"),
        ("}]", ", scopes: [profile]}]", "without the scope openid"),
        ("}]", ", scopes: [openid, 'a b']}]", "is no scope"),
        ("}]", ", require: {'a.b': c}}]", "is no usable name of a claim"),
        ("}]", ", require: {hd: ''}}]", "has to be one line"),
        ("}]", f"}}, {{{ONE}}}]", "is the id of another provider too"),
    ],
)
def test_each_mistake_is_said(old: str, new: str, said: str) -> None:
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    assert said in problems(text)


def test_an_id_that_synapses_settings_have_is_refused() -> None:
    settings = "synapse: {settings: {oidc_providers: [{idp_id: keycloak}]}}\n"
    assert "synapse.settings.oidc_providers has keycloak too" in problems(f"{TEXT}{settings}")
    assert len(read(f"{TEXT}{settings.replace('keycloak', 'other')}").oidc) == 1
    assert read(f"{MINIMAL}oidc:\n").oidc == ()


@pytest.mark.skipif(not PAGE.exists(), reason="the installed package is tested without its docs")
def test_what_the_page_writes_is_taken() -> None:
    blocks = re.findall(r"(?:^    .*\n)+", PAGE.read_text(), re.MULTILINE)
    examples = [block for block in blocks if block.startswith(("    oidc:", "    synapse:"))]
    assert [bool(read(f"{MINIMAL}{dedent(block)}").oidc) for block in examples] == [True, True, False]


class TestTheDoctor:
    """What doctor says of a provider."""

    def found(self, machine: Machine) -> Finding:
        now = a_session(machine, TEXT)
        now.manifest.server_name = "example.org"
        [check] = [each for each in doctor.of(now) if isinstance(each, Provider)]
        assert SECRET not in repr(check)
        finding = check.look(now.host)
        assert SECRET not in repr(finding)
        return finding

    def answers(self, machine: Machine, url: str, **change: Any) -> Finding:
        machine.internet.answers[url] = lambda seen: replace(seen, **change)
        return self.found(machine)

    def test_a_sound_one_is_asked_with_the_secret_and_no_code(self, machine: Machine) -> None:
        finding = self.found(machine)
        assert (finding.state, finding.id) == ("pass", "oidc.keycloak")
        assert callback("matrix.example.org") in finding.evidence[0]
        asked = machine.internet.asked[-1]
        assert (asked.url, asked.login) == (TOKENS, ("matrix", SECRET))
        assert SECRET not in repr(asked)
        assert dict(asked.form)["grant_type"] == "authorization_code"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"fault": "nothing listens there"}, "nothing listens there"),
            ({"untrusted": "self-signed certificate"}, "its certificate does not hold: self-signed certificate"),
            ({"status": 404}, "status 404"),
            ({"status": 301, "headers": {"location": "https://x.y/"}}, 'status 301, which leads to "https://x.y/"'),
            ({"body": b"<html>"}, "what it says is no JSON"),
        ],
    )
    def test_one_that_is_not_found(self, machine: Machine, change: dict[str, Any], said: str) -> None:
        finding = self.answers(machine, DOCUMENT, **change)
        assert (finding.state, finding.evidence) == ("fail", (DOCUMENT, said))
        assert "mend the issuer of keycloak" in finding.next
        # Nobody was told the secret.
        assert machine.internet.asked[-1].login is None

    def test_one_that_lacks_something(self, machine: Machine) -> None:
        finding = self.answers(machine, DOCUMENT, body=json.dumps({"issuer": ISSUER}).encode())
        assert finding.state == "fail"
        assert "its token_endpoint is none" in finding.evidence

    @pytest.mark.parametrize(
        ("status", "body"),
        [(401, b""), (400, b'{"error": "invalid_client"}'), (400, b'{"error": "unauthorized_client"}')],
    )
    def test_one_that_does_not_take_the_secret(self, machine: Machine, status: int, body: bytes) -> None:
        finding = self.answers(machine, TOKENS, status=status, body=body)
        assert finding.state == "fail"
        assert "does not take the client_id and its secret" in finding.message
        assert FILE in finding.next

    def test_one_whose_certificate_does_not_hold_there(self, machine: Machine) -> None:
        finding = self.answers(machine, TOKENS, status=0, fault="its certificate does not hold: expired")
        assert (finding.state, finding.evidence[1]) == ("fail", "its certificate does not hold: expired")

    def test_one_that_has_another_name_for_itself(self, machine: Machine) -> None:
        seen = machine.internet.request(machine, Request(DOCUMENT))
        body = seen.body.replace(b"/realms/main", b"/realms/main/", 1)
        finding = self.answers(machine, DOCUMENT, body=body)
        assert (finding.state, f'"{ISSUER}/"' in finding.message) == ("warn", True)

    def test_a_secret_that_is_no_text(self, machine: Machine) -> None:
        machine.at(FILE).write_bytes("schlüssel\n".encode("latin-1"))
        with pytest.raises(Error, match=f"{FILE} should hold a password in UTF-8"):
            self.found(machine)

    @pytest.mark.parametrize(("text", "mode"), [("", 0o600), (None, 0), (SECRET, 0o640)])
    def test_a_secret_that_is_gone_or_open(self, machine: Machine, text: str | None, mode: int) -> None:
        machine.at(FILE).unlink()
        if text is not None:
            machine.put(FILE, text, mode)
        finding = self.found(machine)
        assert (finding.state, FILE in finding.message, FILE in finding.next) == ("fail", True, True)


def test_what_synapse_would_miss() -> None:
    names = ("issuer", "authorization_endpoint", "token_endpoint", "jwks_uri")
    whole: dict[str, Any] = dict.fromkeys(names, "https://a.b/c")
    assert list(lacking(whole, by_token=True)) == []
    assert list(lacking(whole, by_token=False)) == ["its userinfo_endpoint is none"]
    whole["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
    whole["code_challenge_methods_supported"] = ["plain", "S256"]
    whole["jwks_uri"] = "http://a.b"
    said = [
        "its jwks_uri is no https address",
        "its token_endpoint_auth_methods_supported has no client_secret_basic",
    ]
    assert list(lacking(whole, by_token=True)) == said


class TestShow:
    """show oidc."""

    def shown(self, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
        file = tmp_path / "etc/matrix-baremetal/config.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        assert cli.main(["--root", str(tmp_path), *words, "show", "oidc"]) == 0
        return capsys.readouterr().out

    def test_it_says_what_to_enter_before_there_is_a_provider(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = self.shown(tmp_path, MINIMAL, capsys)
        assert "https://matrix.example.org/_synapse/client/oidc/callback" in text
        assert "No provider is in the config yet" in text

    def test_and_which_there_are(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert f"keycloak (Ours): {ISSUER}, as the client matrix" in self.shown(tmp_path, TEXT, capsys)
        page = json.loads(self.shown(tmp_path, TEXT, capsys, "--json"))
        assert page["redirect_uri"] == callback("matrix.example.org")
        assert page["providers"] == [{"id": "keycloak", "name": "Ours", "issuer": ISSUER, "client_id": "matrix"}]
