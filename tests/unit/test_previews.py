"""What Synapse is told where an operator says no more: previews of links, and what is kept of others."""

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


def test_what_others_have_is_not_kept_for_good_unless_the_operator_says_so() -> None:
    ours = homeserver(a_site(MINIMAL))
    assert ours["media_retention"] == {"remote_media_lifetime": "90d"}
    assert ours["forgotten_room_retention_period"] == "28d"
    own = homeserver(a_site(f"{MINIMAL}synapse: {{settings: {{media_retention: null}}}}\n"))
    assert (own["media_retention"], own["forgotten_room_retention_period"]) == (None, "28d")
