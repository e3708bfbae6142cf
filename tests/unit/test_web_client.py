"""The web client: which release, which settings, under which name; and what becomes of it when it is switched off."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from matrix_baremetal import components, config
from matrix_baremetal.components.nginx import CONFIG
from matrix_baremetal.components.web_client import KINDS, ROOT
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import ConfigError
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.downloads import Download
from matrix_baremetal.resources.files import File
from tests.fakes import MINIMAL, FakeHost, Machine, a_session, a_site
from tests.unit.test_nginx import vhost

ELEMENT, HYDROGEN = (f"{MINIMAL}web_client: {{kind: {kind}}}\n" for kind in ("element", "hydrogen"))
OTHER = f"{{url: 'https://mirror.example.net/a.tar.gz', sha256: {'0' * 64}}}"


def settings(text: str) -> dict[str, object]:
    """The client's settings."""
    found = {r.path: r.content for r in components.resources(a_site(text)) if isinstance(r, File)}
    return dict(json.loads(found[f"{ROOT}/config.json"]))


def release(text: str) -> Download:
    """Which release it is."""
    [found] = [r for r in components.resources(a_site(text)) if isinstance(r, Download)]
    return found


def run(machine: Machine, text: str) -> FakeHost:
    """Converge."""
    now = a_session(machine, text)
    list(converge(now.resources, now.host, now.manifest))
    assert isinstance(now.host, FakeHost)
    return now.host


def test_element_is_for_this_homeserver_without_guests_and_other_peoples_services() -> None:
    found = settings(ELEMENT)
    homeserver = {"base_url": "https://matrix.example.org", "server_name": "example.org"}
    assert found["default_server_config"] == {"m.homeserver": homeserver}
    assert found["disable_guests"] is True
    assert found["integrations_ui_url"] is None
    assert not re.search(r"vector\.im|element\.io|matrix\.org|posthog|scalar", json.dumps(found))


@pytest.mark.parametrize(("more", "shown"), [("", False), ("registration: token\n", True)])
def test_element_offers_an_account_where_one_can_be_made(more: str, shown: bool) -> None:
    found = settings(ELEMENT + more)["setting_defaults"]
    assert isinstance(found, dict)
    assert found["UIFeature.registration"] is shown


def test_hydrogen_is_for_this_homeserver_and_pushes_by_nobodys() -> None:
    found = settings(HYDROGEN)
    assert found["defaultHomeServer"] == "https://matrix.example.org"
    assert "push" not in found
    assert "bugReportEndpointUrl" not in found


def test_the_name_is_the_clients_own() -> None:
    assert config.decode(ELEMENT, "c").client_hostname == "chat.example.org"
    text = f"{MINIMAL}web_client: {{kind: element, hostname: web.example.org}}\n"
    assert config.decode(text, "c").client_hostname == "web.example.org"
    domains = [r.name for r in components.resources(a_site(text)) if isinstance(r, Certificate)]
    assert domains == ["matrix.example.org", "example.org", "web.example.org"]
    assert config.decode(MINIMAL, "c").client_hostname is None


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{kind: elemnt}", "(did you mean element?)"),
        (
            "{kind: element, hostname: matrix.example.org}",
            "hostname: a web client on the homeserver's own",
        ),
        ("{hostname: chat.example.org}", "web_client.hostname: means nothing without a web client"),
        ("{kind: element, release: {url: 'http://a.b/c', sha256: x}}", "http:// is not encrypted"),
        ("{kind: element, release: {url: 'https://a.b/c', sha256: ABC}}", '"ABC" is no sha256'),
        ("{kind: element, release: {url: 'https://a.b/c'}}", "the key sha256 is missing"),
    ],
)
def test_a_mistake_names_its_key(written: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.decode(f"{MINIMAL}web_client: {written}\n", "config.yaml")
    assert said in caught.value.message
    assert caught.value.message.startswith("config.yaml:3:")


def test_a_mirror_of_the_pinned_archive_is_the_same_version_and_another_is_named_by_its_hash() -> None:
    pinned = release(ELEMENT)
    assert re.fullmatch(r"\d+\.\d+\.\d+", pinned.version)
    for sha256, version in ((pinned.sha256, pinned.version), ("0" * 64, "0" * 12)):
        other = OTHER.replace("0" * 64, sha256)
        found = release(f"{MINIMAL}web_client: {{kind: element, release: {other}}}\n")
        assert (found.path, found.version, found.url) == (pinned.path, version, "https://mirror.example.net/a.tar.gz")
        assert found.signed is None


def test_what_changes_is_asked_for_anew_and_what_has_a_hash_in_its_name_is_kept() -> None:
    block = vhost(a_site(ELEMENT), "chat.example.org")
    parts = {part.partition(" {")[0]: part for part in block.split("    location ")[1:]}
    hashed = f'~ "{KINDS["element"].hashed}"'
    assert list(parts) == ["= /config.json", hashed, "/"]
    assert all("Cache-Control no-cache always" in parts[place] for place in ("= /config.json", "/"))
    assert "immutable" in parts[hashed]
    for part in parts.values():
        for header in ("Content-Security-Policy \"frame-ancestors 'self'", "X-Frame-Options", "nosniff", "Strict-"):
            assert header in part
    assert "proxy_pass" not in block


@pytest.mark.parametrize(
    ("kind", "path", "kept"),
    [
        ("element", "/bundles/2f1b6a7c0d9e8f7a6b5c/bundle.js", True),
        ("element", "/fonts/Inter-Regular.66c0a1b.woff2", True),
        ("element", "/index.html", False),
        ("element", "/config.json", False),
        ("element", "/config.chat.example.org.json", False),
        ("element", "/version", False),
        ("element", "/i18n/languages.json", False),
        ("element", "/welcome.html", False),
        ("hydrogen", "/assets/index.4fc1d2aa.js", True),
        ("hydrogen", "/assets/theme-element-runtime-cbe58210.css", True),
        ("hydrogen", "/assets/theme-element.json", False),
        ("hydrogen", "/sw.js", False),
        ("hydrogen", "/index.html", False),
    ],
)
def test_which_files_those_are(kind: str, path: str, kept: bool) -> None:
    assert bool(re.search(KINDS[kind].hashed, path)) == kept


def test_switched_off_it_is_gone_and_nothing_else(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    host = run(machine, ELEMENT)
    assert host.text("/opt/matrix-baremetal/element/current/files/index.html") == "<html>Element"
    run(machine, MINIMAL)
    left = [path for path in machine.tree() if "element" in path or "web-client" in path or "chat." in path]
    # What a certificate authority issued is kept until it has expired, as for every name.
    assert [path for path in left if not path.startswith(("/etc/letsencrypt", "/var/lib/matrix-baremetal"))] == []
    assert "chat.example.org" not in (host.text(CONFIG) or "")
    assert host.text("/opt/matrix-baremetal/synapse/current/requirements.txt")


def test_from_one_client_to_the_other_the_first_goes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    run(machine, ELEMENT)
    host = run(machine, HYDROGEN)
    assert host.names("/opt/matrix-baremetal") == ("hydrogen", "synapse")


def test_where_it_cannot_be_had_yet_the_homeserver_comes_up_all_the_same(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.downloads.clear()
    now = a_session(machine, ELEMENT)
    ended = {change.title: change for change in converge(now.resources, now.host, now.manifest) if change.ended}
    [change] = [change for title, change in ended.items() if title.startswith("element ")]
    assert change.verb == "fetch"
    assert (change.outcome, "can't be had" in (change.reason or "")) == ("pending", True)
    assert "server_name chat.example.org" in (now.host.text(CONFIG) or "")
    assert machine.unit("matrix-synapse.service").active
