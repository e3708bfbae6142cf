"""How others find a server, and the names, certificates, ports and documents that follow from it."""

from __future__ import annotations

import json
import re

import pytest

from matrix_baremetal import components
from matrix_baremetal.components.delegation import FEDERATION
from matrix_baremetal.needs import Document, Domain, Needs, Port, Proxy, VHost
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.files import File
from matrix_baremetal.site import Site
from tests.fakes import a_site

SERVER, CLIENT = "/.well-known/matrix/server", "/.well-known/matrix/client"


def site(delegation: str, *, enabled: str = "true", hostname: str = "matrix.example.org") -> Site:
    federation = f"federation: {{enabled: {enabled}, delegation: {delegation}}}"
    return a_site(f"server_name: example.org\nhostname: {hostname}\n{federation}\n")


def answers(site: Site) -> dict[tuple[str, int], list[str]]:
    """What is answered by name and port to programs: the paths of documents, and those that are passed on."""
    found = {}
    for vhost in components.needs(site).vhosts():
        places = [at for at in vhost.locations if isinstance(at, Document | Proxy)]
        paths = [(at.path,) if isinstance(at, Document) else at.paths for at in places]
        found[vhost.domain, vhost.port] = [path for each in paths for path in each]
    return found


def ports(site: Site) -> set[int]:
    return {port.number for port in components.needs(site).of(Port) if port.purpose}


def test_by_well_known_the_document_is_there_and_the_name_may_be_somebody_elses() -> None:
    here = site("well-known")
    assert answers(here)["example.org", 443] == [CLIENT, SERVER]
    assert ("example.org", 8448) not in answers(here)
    elsewhere = components.needs(here).elsewhere("example.org")
    assert elsewhere is not None
    assert {path: json.loads(text) for path, text in elsewhere} == {
        SERVER: {"m.server": "matrix.example.org:443"},
        CLIENT: {"m.homeserver": {"base_url": "https://matrix.example.org"}},
    }
    assert components.needs(here).elsewhere("matrix.example.org") is None
    assert ports(here) == {80, 443}


def test_by_srv_there_is_no_document_and_the_name_itself_takes_servers_in() -> None:
    here = site("srv")
    assert answers(here)["example.org", 443] == [CLIENT, *FEDERATION]
    assert components.needs(here).elsewhere("example.org") is None
    assert set(components.needs(here).domains()) == {"matrix.example.org", "example.org"}
    assert ports(here) == {80, 443}


def test_undelegated_servers_come_to_8448_and_find_nothing_of_clients_there() -> None:
    here = site("none")
    assert answers(here)["example.org", 443] == [CLIENT]
    assert answers(here)["example.org", 8448] == [*FEDERATION]
    assert components.needs(here).elsewhere("example.org") is None
    assert ports(here) == {80, 443, 8448}
    [port] = [port for port in components.needs(here).of(Port) if port.number == 8448]
    assert port.unit == "nginx.service"


@pytest.mark.parametrize("delegation", ["well-known", "srv", "none"])
def test_where_nobody_federates_nothing_is_there_for_servers(delegation: str) -> None:
    here = site(delegation, enabled="false")
    assert answers(here)["example.org", 443] == [CLIENT]
    assert ports(here) == {80, 443}
    # Any web server may have the name.
    assert components.needs(here).elsewhere("example.org") == ()


@pytest.mark.parametrize("delegation", ["well-known", "srv", "none"])
def test_one_name_for_both_is_this_machine_and_says_nothing_twice(delegation: str) -> None:
    here = site(delegation, hostname="example.org")
    paths = answers(here)["example.org", 443]
    assert paths[:2] == ["/_matrix", "/_synapse/client"]
    assert len(paths) == len(set(paths))
    assert (SERVER in paths) == (delegation == "well-known")
    assert not set(paths) & set(FEDERATION)
    assert components.needs(here).elsewhere("example.org") is None
    assert components.needs(here).domains() == ("example.org",)


@pytest.mark.parametrize("ipv6", [True, False])
def test_nginx_listens_on_8448_with_the_certificate_of_the_server_name(ipv6: bool) -> None:
    here = a_site("server_name: example.org\nfederation: {delegation: none}\n", ipv6=ipv6)
    [text] = [r.content for r in components.resources(here) if isinstance(r, File) and "nginx" in r.path]
    [block] = [block for block in re.split(r"\n(?=server \{)", text) if "listen 8448 ssl" in block]
    assert ("listen [::]:8448 ssl" in block) == ipv6
    assert "server_name example.org;" in block
    assert "/tls/example.org/current/fullchain.pem" in block
    assert "_synapse" not in re.sub("#.*", "", block)


@pytest.mark.parametrize("delegation", ["well-known", "srv", "none"])
def test_only_a_name_that_may_be_elsewhere_is_asked_for_there(delegation: str) -> None:
    asked = {r.domain: r.elsewhere for r in components.resources(site(delegation)) if isinstance(r, Certificate)}
    assert asked["matrix.example.org"] is None
    assert (asked["example.org"] is None) == (delegation != "well-known")


def test_what_is_needed_of_a_name_on_two_ports_stays_apart() -> None:
    one, two = Proxy(("/a",), 1), Proxy(("/b",), 1)
    needs = Needs((VHost("x", (one,)), VHost("x", (two,), 8448), VHost("x", (two,))))
    assert needs.vhosts() == (VHost("x", (one, two)), VHost("x", (two,), 8448))


def test_a_name_that_anybody_needs_here_is_nowhere_else() -> None:
    there = (("/a", "{}"),)
    assert Needs((Domain("x", there),)).elsewhere("x") == there
    assert Needs((Domain("x", ()),)).elsewhere("x") == ()
    assert Needs((Domain("x", there), Domain("x"))).elsewhere("x") is None
    assert Needs((Domain("y", there),)).elsewhere("x") is None
