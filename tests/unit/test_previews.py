"""Previews of links: what Synapse is told where an operator asks for them and says no more."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from tests.fakes import MINIMAL, a_site
from tests.unit.test_components import homeserver


def test_previews_of_links_never_lead_into_private_networks_unless_the_operator_says_so() -> None:
    on = "url_preview_enabled: true"
    for address in (
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "::1",
        "fd00::1",
        "fe80::1",
    ):
        ranges = homeserver(a_site(f"{MINIMAL}synapse: {{settings: {{{on}}}}}\n"))["url_preview_ip_range_blacklist"]
        assert any(ip_address(address) in ip_network(each) for each in ranges), address
    own = "url_preview_ip_range_blacklist: [10.0.0.0/8]"
    assert homeserver(a_site(f"{MINIMAL}synapse: {{settings: {{{on}, {own}}}}}\n"))[
        "url_preview_ip_range_blacklist"
    ] == ["10.0.0.0/8"]
    for text in (MINIMAL, f"{MINIMAL}synapse: {{settings: {{url_preview_enabled: false}}}}\n"):
        assert "url_preview_ip_range_blacklist" not in homeserver(a_site(text))
