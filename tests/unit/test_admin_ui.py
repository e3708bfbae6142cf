"""The admin page: for this homeserver alone, and open to some networks, with the API that it asks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import components, config
from matrix_baremetal.checks.web import Closed
from matrix_baremetal.components.admin_ui import ROOT
from matrix_baremetal.components.nginx import CONFIG
from matrix_baremetal.config_web import PRIVATE
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import ConfigError
from matrix_baremetal.resources.downloads import Download
from matrix_baremetal.resources.files import File
from tests.check_breaks import HOST, a_machine, found, web
from tests.fakes import MINIMAL, Machine, a_session, a_site
from tests.unit.test_nginx import vhost

PAGE = f"{MINIMAL}admin_ui: {{enabled: true}}\n"
SOME = f"{MINIMAL}admin_ui: {{enabled: true, allow: [192.0.2.0/24, '2001:db8::1']}}\n"
API = "location ~ ^(/_synapse/admin)/ {"


def locations(text: str, domain: str) -> dict[str, str]:
    """What is answered under a name, by the words behind `location`."""
    parts = vhost(a_site(text), domain).split("    location ")[1:]
    return {part.partition(" {\n")[0]: part for part in parts}


def test_the_page_and_the_api_are_for_private_networks_unless_some_are_listed() -> None:
    for text, networks in ((PAGE, PRIVATE), (SOME, ("192.0.2.0/24", "2001:db8::1/128"))):
        allowed = "".join(f"        allow {network};\n" for network in networks) + "        deny all;\n"
        page = locations(text, "admin.example.org")
        assert list(page) == ["= /config.json", '~ "^/assets/"', "/"]
        assert all(part.count(allowed) == part.count("deny") == 1 for part in page.values())
        api = locations(text, HOST)
        assert [place for place, part in api.items() if allowed in part] == ["~ ^(/_synapse/admin)/"]
        assert "proxy_pass http://127.0.0.1:8008;" in api["~ ^(/_synapse/admin)/"]


def test_without_it_the_api_is_closed_to_all() -> None:
    assert API not in vhost(a_site(), HOST)
    assert "admin.example.org" not in vhost(a_site(), HOST)


@pytest.mark.parametrize(("kind", "version"), [("ketesa", r"1\.\d+\.\d+"), ("synapse-admin", r"0\.\d+\.\d+")])
def test_it_is_for_this_homeserver_alone(kind: str, version: str) -> None:
    text = f"{MINIMAL}admin_ui: {{enabled: true, kind: {kind}}}\n"
    resources = components.resources(a_site(text))
    [settings] = [r.content for r in resources if isinstance(r, File) and r.path == f"{ROOT}/config.json"]
    assert json.loads(settings)["restrictBaseUrl"] == f"https://{HOST}"
    [release] = [r for r in resources if isinstance(r, Download)]
    assert release.path == f"/opt/matrix-baremetal/{kind}"
    assert re.fullmatch(version, release.version)
    assert release.signed is None, "neither of them signs"


def test_a_browser_lets_it_speak_to_this_homeserver_alone() -> None:
    """Ketesa would send a password to whatever server its address names: admin.example.org/?server=…"""
    for kind in ("ketesa", "synapse-admin"):
        for part in locations(f"{MINIMAL}admin_ui: {{enabled: true, kind: {kind}}}\n", "admin.example.org").values():
            [policy] = re.findall(r'Content-Security-Policy "(.*)" always', part)
            rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
            assert rules["connect-src"] == f"'self' https://{HOST}"
            assert (rules["form-action"], rules["frame-ancestors"]) == ("'self'", "'none'")


def settings(text: str) -> dict[str, Any]:
    """What the page reads."""
    files = [r for r in components.resources(a_site(text)) if isinstance(r, File)]
    [found] = [file.content for file in files if file.path == f"{ROOT}/config.json"]
    return dict(json.loads(found))


def test_accounts_of_bridges_are_not_to_be_touched_and_those_of_people_are() -> None:
    bridges = "bridges: {whatsapp: {enabled: true}, irc: {enabled: true, owner: alice}}\n"
    kept = settings(PAGE + bridges)["asManagedUsers"]
    for name, managed in {
        "@whatsappbot": True,
        "@whatsapp_49170": True,
        "@_whatsapp_bridge": True,
        "@heisenbridge": True,
        "@irc_freenode_eve": True,
        "@alice": False,
        "@mywhatsapp_1": False,
    }.items():
        assert any(re.search(each, f"{name}:example.org") for each in kept) == managed, name
    assert not any(re.search(each, "@whatsapp_1:example.org.evil.test") for each in kept)
    assert settings(PAGE)["asManagedUsers"] == []
    assert list(settings(f"{MINIMAL}admin_ui: {{enabled: true, kind: synapse-admin}}\n{bridges}")) == [
        "restrictBaseUrl"
    ]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{enabled: true, allow: [192.0.2.300]}", 'admin_ui.allow[0]: "192.0.2.300" is no network'),
        ("{enabled: true, allow: [192.0.2.1/24]}", '"192.0.2.1/24" is no network'),
        ("{enabled: true, allow: [0.0.0.0/0]}", "0.0.0.0/0 is all of the internet"),
        ("{enabled: true, allow: ['::/0']}", "::/0 is all of the internet"),
        ("{enabled: true, allow: 192.0.2.1}", "expected a list"),
        ("{enabled: true, hostname: matrix.example.org}", "admin_ui.hostname: an admin page on a name that serves"),
        ("{enabled: true, hostname: example.org}", "admin_ui.hostname: an admin page on a name that serves"),
        ("{enabled: true, kind: ketsa}", "(did you mean ketesa?)"),
        ("{enable: true}", "(did you mean enabled?)"),
    ],
)
def test_a_mistake_names_its_key(written: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.decode(f"{MINIMAL}admin_ui: {written}\n", "config.yaml")
    assert said in caught.value.message


def test_it_does_not_share_a_name_with_the_web_client() -> None:
    text = f"{PAGE}web_client: {{kind: element, hostname: admin.example.org}}\n"
    with pytest.raises(ConfigError, match=r"admin_ui\.hostname: an admin page on a name that serves something else"):
        config.decode(text, "config.yaml")


def test_switched_off_it_is_gone_and_so_is_the_way_to_the_api(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for text in (PAGE, MINIMAL):
        now = a_session(machine, text)
        list(converge(now.resources, now.host, now.manifest))
    assert API not in (now.host.text(CONFIG) or "")
    assert now.host.names("/opt/matrix-baremetal") == ("synapse",)
    assert now.host.node(ROOT) is None


def test_doctor_knows_for_whom_the_api_is_open(tmp_path: Path) -> None:
    machine = a_machine(tmp_path, PAGE)
    machine.addressed("192.168.1.2", "203.0.113.7")
    assert found(machine, PAGE)["web.program.admin.example.org"].state == "pass"
    web(f"https://{HOST}/_synapse/admin*", status=200)(machine)
    # To this machine's own private address it is open, as it should be; to its public one it must not be.
    finding = found(machine, PAGE)[f"exposure.admin.{HOST}"]
    assert (finding.state, finding.message) == ("fail", "Synapse's admin API or metrics answer others")
    assert all("203.0.113.7" in line for line in finding.evidence)


def test_what_is_let_in_is_what_is_listed_and_nothing_beside_it() -> None:
    check = Closed(HOST, 443, (("/_synapse/admin", ("192.0.2.0/24",)),))
    assert check.let_in("/_synapse/admin/v1/register", "192.0.2.9")
    assert not check.let_in("/_synapse/admin/v1/register", "198.51.100.9")
    assert not check.let_in("/_synapse/metrics", "192.0.2.9")
    assert not check.let_in("/_synapse/administrators", "192.0.2.9")


def test_a_page_that_is_not_for_this_machine_itself_is_no_fault(tmp_path: Path) -> None:
    machine = a_machine(tmp_path, SOME)
    web("https://admin.example.org/*", status=403)(machine)
    finding = found(machine, SOME)["web.program.admin.example.org"]
    assert (finding.state, "lets this machine itself not in" in finding.message) == ("pass", True)
