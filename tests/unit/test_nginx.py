"""What nginx answers, and to whom it passes on."""

from __future__ import annotations

import re

import pytest

from matrix_baremetal import components
from matrix_baremetal.components.nginx import CONFIG
from matrix_baremetal.resources.files import File
from matrix_baremetal.site import Site
from tests.fakes import a_site


def nginx(site: Site) -> str:
    """nginx's config."""
    [file] = [r for r in components.resources(site) if isinstance(r, File) and r.path == CONFIG]
    return file.content


def vhost(site: Site, domain: str) -> str:
    """What nginx answers over TLS under a name."""
    [block] = [b for b in re.split(r"\n(?=server \{)", nginx(site)) if f"server_name {domain};" in b and "443" in b]
    return block


def test_what_is_served_is_looked_at_before_nginx_is_and_again_after_the_order() -> None:
    kinds = [type(r).__name__ for r in components.resources(a_site("server_name: a.org\nhostname: a.org\n"))]
    wanted = ["SelfSigned", "Served", "TestedFile", "Service", "Certificate", "Served", "Service"]
    assert [kind for kind in kinds[kinds.index("SelfSigned") :] if kind in wanted][: len(wanted)] == wanted


@pytest.mark.parametrize("version", [(1, 22, 1), (1, 24, 0), (1, 25, 0)])
def test_an_old_nginx_gets_http2_as_a_word_of_listen(version: tuple[int, ...]) -> None:
    text = nginx(a_site(nginx=version))
    assert "listen 443 ssl http2;" in text
    assert "http2 on;" not in text


@pytest.mark.parametrize("version", [(1, 25, 1), (1, 26, 3), (2, 0), ()])
def test_a_new_nginx_gets_http2_as_a_directive(version: tuple[int, ...]) -> None:
    text = nginx(a_site(nginx=version))
    assert "listen 443 ssl;" in text
    assert text.count("http2 on;") == 2


@pytest.mark.parametrize("ipv6", [True, False])
def test_nginx_listens_to_ipv6_where_the_machine_has_it(ipv6: bool) -> None:
    text = nginx(a_site(ipv6=ipv6))
    assert ("[::]:80" in text, "[::]:443" in text) == (ipv6, ipv6)


@pytest.mark.parametrize(
    "text",
    [
        "server_name: example.org\n",
        "server_name: a.org\nhostname: a.org\n",
        "server_name: a.org\ntls: {mode: self-signed}\nfederation: {enabled: false}\n",
    ],
)
def test_every_config_of_nginx_keeps_port_80_for_renewals_and_closes_what_it_opens(text: str) -> None:
    site = a_site(text)
    text = nginx(site)
    assert "location ^~ /.well-known/acme-challenge/ {" in text
    assert text.count("{") == text.count("}")
    assert text.count("listen 80;") == 1
    assert f"server_name {' '.join(components.needs(site).domains())};" in text


def test_only_what_clients_and_servers_need_is_passed_on_and_all_else_is_404() -> None:
    block = vhost(a_site(), "matrix.example.org")
    page = ["= /", "= /style.css", "= /connect.svg"]
    assert re.findall(r"location (.*) \{", block) == ["~ ^(/_matrix|/_synapse/client)/", *page, "/"]
    assert "return 404;" in block
    assert "proxy_pass http://127.0.0.1:8008;" in block


@pytest.mark.parametrize(
    ("uri", "passed"),
    [
        ("/_matrix/client/versions", True),
        ("/_matrix/client/v3/rooms/%21a%3Ab.org/send/%2e%2e?x=/..", True),
        ("/_synapse/client/pick_username", True),
        ("/_synapse/admin/x/%2F..%2F..%2F..%2F..%2F_matrix/client/versions", False),
        ("/_synapse/admin/..%2f..%2f_matrix/", False),
        ("//_matrix/client/versions", False),
        ("/_matrixx/", False),
        ("/%5fmatrix/client/versions", False),
        ("http://matrix.example.org/_matrix/", False),
    ],
)
def test_the_path_as_it_came_is_below_ours_too_or_nothing_is_passed_on(uri: str, passed: bool) -> None:
    block = vhost(a_site(), "matrix.example.org")
    [pattern] = re.findall(r"if \(\$request_uri !~ (\S+)\) \{\s*return 404;\s*\}", block)
    assert bool(re.search(pattern, uri)) == passed


def test_with_one_name_for_both_its_vhost_has_what_both_need() -> None:
    site = a_site("server_name: example.org\nhostname: example.org\n")
    block = vhost(site, "example.org")
    assert "proxy_pass" in block
    assert "location = /.well-known/matrix/server" in block
    assert components.needs(site).domains() == ("example.org",)


def test_synapse_hears_the_name_without_httpss_own_port() -> None:
    """Single sign-on is sent to the address that Synapse has for itself, again and again where it hears another."""
    text = nginx(a_site("server_name: example.org\nhostname: example.org\nfederation: {delegation: none}\n"))
    blocks = re.findall(r"listen (\d+) ssl.*?proxy_set_header Host (\S+);", text, re.DOTALL)
    assert blocks == [("443", "$host"), ("8448", "$host:$server_port")]


@pytest.mark.parametrize("length", [46, 47, 230])
def test_a_name_too_long_for_nginxs_table_of_names_is_a_pattern(length: int) -> None:
    """nginx 1.22: could not build server_names_hash, you should increase server_names_hash_bucket_size."""
    parts = "a" * 40, "b" * 60, "c" * 60, "d" * 63
    name = f"{'.'.join(parts)[: length - 4]}.org"
    assert len(name) == length
    text = nginx(a_site(f"server_name: {name}\nhostname: {name}\n"))
    found = re.findall(r"server_name (\S+);", text)
    assert found == 2 * [name if length == 46 else "~^" + name.replace(".", r"\.") + "$"]
