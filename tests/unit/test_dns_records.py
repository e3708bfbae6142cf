"""The DNS records of a site: which, with what address, and why."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from matrix_baremetal import components
from matrix_baremetal.dns_records import CAA, Record, records, zone
from matrix_baremetal.site import Site
from tests.fakes import MINIMAL, a_site

PUBLIC = ("203.0.114.5", "2001:db9::5")
NAME, HOST = "example.org", "matrix.example.org"


def found(site: Site, addresses: Sequence[str] = PUBLIC, elsewhere: Sequence[str] = ()) -> list[Record]:
    return list(records(site, components.needs(site), addresses, elsewhere))


def rows(site: Site, addresses: Sequence[str] = PUBLIC, elsewhere: Sequence[str] = ()) -> set[tuple[object, ...]]:
    return {(each.name, each.type, each.value) for each in found(site, addresses, elsewhere)}


def test_each_name_has_the_machines_public_addresses() -> None:
    assert rows(a_site()) == {
        (HOST, "A", "203.0.114.5"),
        (HOST, "AAAA", "2001:db9::5"),
        (NAME, "A", "203.0.114.5"),
        (NAME, "AAAA", "2001:db9::5"),
        (HOST, "CAA", CAA),
    }
    assert all(record.purpose for record in found(a_site()))


@pytest.mark.parametrize(
    ("addresses", "seen"),
    [
        (("203.0.114.5",), {("A", "203.0.114.5")}),
        # An AAAA that leads nowhere is why certificates fail.
        (("203.0.114.5", "fd00::1"), {("A", "203.0.114.5")}),
        (("192.168.1.5", "fd00::1"), {("A", None)}),
        (("100.64.0.1",), {("A", None)}),
        (("192.168.1.5", "2001:db9::5"), {("A", None), ("AAAA", "2001:db9::5")}),
        (("10.0.0.1", "203.0.114.5"), {("A", "203.0.114.5")}),
        (("2001:db9::5",), {("AAAA", "2001:db9::5")}),
        (("203.0.114.5", "203.0.114.6"), {("A", "203.0.114.5"), ("A", "203.0.114.6")}),
        ((), {("A", None)}),
    ],
)
def test_only_public_addresses_are_told_and_a_router_s_is_asked_for(
    addresses: Sequence[str], seen: set[tuple[str, str | None]]
) -> None:
    site = a_site("server_name: example.org\nhostname: example.org\ntls: {mode: self-signed}\n")
    assert {(kind, value) for _, kind, value in rows(site, addresses)} == seen


def test_by_srv_there_is_a_record_that_leads_to_the_host() -> None:
    site = a_site("server_name: example.org\nfederation: {delegation: srv}\n")
    assert ("_matrix-fed._tcp.example.org", "SRV", "10 0 443 matrix.example.org.") in rows(site)
    off = a_site("server_name: example.org\nfederation: {delegation: srv, enabled: false}\n")
    assert "SRV" not in {kind for _, kind, _ in rows(off)}


@pytest.mark.parametrize("delegation", ["well-known", "srv", "none"])
def test_what_the_server_name_is_for_follows_from_how_others_find_it(delegation: str) -> None:
    site = a_site(f"server_name: example.org\nfederation: {{delegation: {delegation}}}\n")
    [purpose] = {record.purpose for record in found(site) if record.name == NAME}
    assert ("certificate" in purpose, "other servers connect" in purpose) == (
        delegation == "srv",
        delegation == "none",
    )


def test_a_name_that_another_machine_has_needs_no_address() -> None:
    assert {name for name, _, _ in rows(a_site(), elsewhere=[NAME])} == {HOST}


@pytest.mark.parametrize(
    ("more", "hinted"),
    [
        ("", True),
        ("acme: {directory: letsencrypt-staging}", True),
        ("acme: {directory: 'https://ca.example/dir'}", False),
        ("tls: {mode: self-signed}", False),
    ],
)
def test_a_caa_record_is_hinted_at_where_its_value_is_known(more: str, hinted: bool) -> None:
    seen = [record for record in found(a_site(f"server_name: example.org\n{more}\n")) if record.type == "CAA"]
    assert [record.name for record in seen] == ([HOST] if hinted else [])
    assert all(record.optional for record in seen)


def test_a_zone_has_whole_lines_and_what_is_not_whole_or_optional_is_a_comment() -> None:
    site = a_site(f"{MINIMAL}federation: {{delegation: srv}}\n")
    lines = zone(found(site, ("203.0.114.5",))).splitlines()
    active = [line for line in lines if not line.startswith(";")]
    assert active == [
        "matrix.example.org. 3600 IN A 203.0.114.5",
        "example.org. 3600 IN A 203.0.114.5",
        "_matrix-fed._tcp.example.org. 3600 IN SRV 10 0 443 matrix.example.org.",
    ]
    assert '; matrix.example.org. 3600 IN CAA 0 issue "letsencrypt.org"' in lines
    lines = zone(found(a_site(), ("10.0.0.1",))).splitlines()
    assert all(line.startswith(";") for line in lines)
    assert "; matrix.example.org. 3600 IN A YOUR-PUBLIC-IPV4-ADDRESS" in lines


def test_a_web_client_and_an_admin_page_have_names_of_their_own() -> None:
    site = a_site(f"{MINIMAL}web_client: {{kind: hydrogen}}\nadmin_ui: {{enabled: true}}\n")
    purposes = {record.name: record.purpose for record in found(site)}
    assert purposes["chat.example.org"] == "the web client"
    assert purposes["admin.example.org"] == "the admin page"
