"""Components: pure, and what they make of a site, where a golden tree would not say why."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from matrix_baremetal import components
from matrix_baremetal.components import ALL
from matrix_baremetal.components.component import SECRETS, Component
from matrix_baremetal.components.homeserver_yaml import CREDENTIALS, cache_factor, upload_size
from matrix_baremetal.components.postgres import settings
from matrix_baremetal.components.synapse import signing_key
from matrix_baremetal.components.users import Users
from matrix_baremetal.needs import Document, Need, Needs, Port, Proxy, Setting, VHost
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.files import Directory, File, Secret
from matrix_baremetal.resources.key_pair import KeyPair
from matrix_baremetal.resources.matrix import Account
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.served import Served
from matrix_baremetal.resources.services import Service
from matrix_baremetal.site import Site
from tests.fakes import GIB, MINIMAL, a_site

MB = 1024 * 1024


def made(site: Site, kind: type[Resource]) -> list[Any]:
    """The resources of a kind."""
    return [resource for resource in components.resources(site) if isinstance(resource, kind)]


def file(site: Site, path: str) -> str:
    """The content of one file."""
    [found] = [resource.content for resource in made(site, File) if resource.path == path]
    return str(found)


def homeserver(site: Site) -> dict[str, Any]:
    """homeserver.yaml as Synapse reads it."""
    data: dict[str, Any] = yaml.safe_load(file(site, "/etc/matrix-synapse/homeserver.yaml"))
    return data


def nginx(site: Site) -> str:
    """nginx's config."""
    return file(site, "/etc/nginx/sites-enabled/zz-matrix-baremetal")


SITES = (
    a_site(),
    a_site("server_name: a.org\nhostname: a.org\nadmins: [{name: alice}]\n"),
    a_site("server_name: a.org\ntls: {mode: self-signed}\nfederation: {enabled: false}\n"),
    a_site("server_name: a.org\ntls: {mode: files, certificate: /srv/a.pem, key: /srv/a.key}\n"),
    a_site("server_name: a.org\nacme: {challenge: dns-01, dns_plugin: rfc2136}\n"),
    a_site(release=13, python="3.13", nginx=(), cluster=None),
    a_site("server_name: a.org\ndatabase: sqlite\n"),
)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("site", SITES)
def test_every_component_works_with_a_site_alone_and_says_the_same_twice(kind: type[Component], site: Site) -> None:
    part = kind(site)
    needs = components.needs(site)
    assert isinstance(part.wanted(), bool)
    assert all(isinstance(need, Need) for need in part.needs())
    if part.wanted():
        first, second = ([(r.key, r.digest()) for r in part.resources(needs)] for _ in range(2))
        assert first == second
        assert first


@pytest.mark.parametrize("site", SITES)
def test_no_two_resources_have_one_name_but_readers_that_look_again(site: Site) -> None:
    resources = components.resources(site)
    for resource in set(resources):
        same = [other for other in resources if other.key == resource.key]
        again = isinstance(resource, Service | Served) and all(other == resource for other in same)
        assert len(same) == 1 or again


@pytest.mark.parametrize("site", SITES)
def test_no_secret_is_in_a_file_that_is_rendered(site: Site) -> None:
    for found in made(site, File):
        assert not re.search(r"(secret|password|_key)\"?: [^/{\n]*[A-Za-z0-9_-]{20}", found.content), found.path
    assert {secret.path for secret in made(site, Secret)} >= set(CREDENTIALS.values())
    assert all(secret.mode == 0o600 and secret.owner == "root" for secret in made(site, Secret))


@pytest.mark.parametrize(
    ("size", "expected"), [("50M", 50 * MB), ("1G", GIB), ("2T", 2048 * GIB), ("512K", 524288), (1048576, MB)]
)
def test_the_upload_size_is_one_number_in_two_places(size: str | int, expected: int) -> None:
    site = a_site(f"{MINIMAL}synapse: {{settings: {{max_upload_size: {size}}}}}\n")
    assert upload_size(site.config) == expected
    assert f"client_max_body_size {expected};" in nginx(site)
    assert homeserver(site)["max_upload_size"] == size


def test_the_default_upload_size_is_the_same_in_both_places() -> None:
    assert homeserver(a_site())["max_upload_size"] == "50M"
    assert f"client_max_body_size {50 * MB};" in nginx(a_site())


def test_synapse_listens_to_nginx_alone_and_keeps_its_secrets_elsewhere() -> None:
    data = homeserver(a_site())
    [listener] = data["listeners"]
    assert (listener["bind_addresses"], listener["port"], listener["tls"]) == (["127.0.0.1"], 8008, False)
    assert data["signing_key_path"] == "/run/credentials/matrix-synapse.service/signing_key"
    for name in ("registration_shared_secret", "macaroon_secret_key", "form_secret"):
        assert name not in data
        assert data[f"{name}_path"] == f"/run/credentials/matrix-synapse.service/{name}"
        assert CREDENTIALS[name].startswith(SECRETS)
    assert data["enable_registration"] is False
    assert data["database"]["args"]["host"].startswith("/")
    assert "password" not in data["database"]["args"]


def test_the_operators_settings_replace_ours_whole() -> None:
    data = homeserver(
        a_site(f"{MINIMAL}synapse: {{settings: {{caches: {{expiry_time: 1h}}, report_stats: true}}}}\n")
    )
    assert data["caches"] == {"expiry_time": "1h"}
    assert data["report_stats"] is True


def test_a_setting_that_another_component_needs_is_in_homeserver_yaml_and_the_operators_word_is_the_last() -> None:
    site = a_site(f"{MINIMAL}synapse: {{settings: {{turn_user_lifetime: 2h}}}}\n")
    needs = Needs(
        (*components.needs(site).everything, Setting("turn_uris", ["turn:a"]), Setting("turn_user_lifetime", 1))
    )
    [text] = [
        r.content
        for kind in ALL
        for r in kind(site).resources(needs)
        if isinstance(r, File) and r.path.endswith("homeserver.yaml")
    ]
    data = yaml.safe_load(text)
    assert (data["turn_uris"], data["turn_user_lifetime"]) == (["turn:a"], "2h")


def test_federation_with_nobody_is_no_listener_no_delegation_and_an_empty_list() -> None:
    site = a_site("server_name: example.org\nfederation: {enabled: false}\n")
    data = homeserver(site)
    assert data["federation_domain_whitelist"] == []
    assert data["listeners"][0]["resources"][0]["names"] == ["client"]
    assert "/.well-known/matrix/server" not in nginx(site)


def test_federation_with_some_is_a_list_and_with_all_is_none() -> None:
    allowed = homeserver(a_site("server_name: example.org\nfederation: {allow: [matrix.org]}\n"))
    assert allowed["federation_domain_whitelist"] == ["matrix.org"]
    everyone = homeserver(a_site())
    assert "federation_domain_whitelist" not in everyone
    assert everyone["listeners"][0]["resources"][0]["names"] == ["client", "federation"]


def test_delegation_names_the_port_and_the_people_to_write_to() -> None:
    site = a_site(f"{MINIMAL}admins: [{{name: alice}}]\n")
    root = "/var/lib/matrix-baremetal/well-known"
    assert json.loads(file(site, f"{root}/server.json")) == {"m.server": "matrix.example.org:443"}
    client = json.loads(file(site, f"{root}/client.json"))
    assert client["m.homeserver"] == {"base_url": "https://matrix.example.org"}
    contacts = json.loads(file(site, f"{root}/support.json"))["contacts"]
    assert [c.get("matrix_id") or c["email_address"] for c in contacts] == ["@alice:example.org", "admin@example.org"]


@pytest.mark.parametrize(
    ("memory", "buffers", "cache", "work", "maintenance"),
    [
        (512, 64, 256, 4, 32),
        (1024, 128, 512, 4, 32),
        (4096, 512, 2048, 8, 128),
        (16384, 2048, 8192, 32, 512),
        (65536, 4096, 32768, 32, 512),
    ],
)
def test_postgres_gets_an_eighth_of_the_memory_within_bounds(
    memory: int, buffers: int, cache: int, work: int, maintenance: int
) -> None:
    rows = dict(line.split(" = ") for line in settings(memory * MB).splitlines() if "=" in line)
    assert rows["shared_buffers"] == f"{buffers}MB"
    assert rows["effective_cache_size"] == f"{cache}MB"
    assert (rows["work_mem"], rows["maintenance_work_mem"]) == (f"{work}MB", f"{maintenance}MB")


def test_a_megabyte_more_or_less_is_no_reason_to_restart_a_database() -> None:
    assert settings(2014 * MB) == settings(2012 * MB) == settings(2000 * MB + 1) != settings(2048 * MB)


def test_an_administrator_is_an_account_alone_and_no_password_is_made_before_it() -> None:
    site = a_site(f"{MINIMAL}admins: [{{name: alice}}, {{name: bob, password_file: /etc/bob}}]\n")
    alice, bob = Users(site).resources(components.needs(site))
    assert isinstance(alice, Account)
    assert isinstance(bob, Account)
    assert (alice.password_file, bob.password_file) == (f"{SECRETS}/passwords/alice", "/etc/bob")
    assert alice.invent
    assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", alice.invent())
    assert bob.invent is None


def test_secrets_know_the_file_that_came_after_them() -> None:
    assert {secret.witness for secret in made(a_site(), Secret)} == {"/etc/matrix-synapse/homeserver.yaml"}
    paths = [r.name for r in components.resources(a_site())]
    last = max(paths.index(path) for path in CREDENTIALS.values())
    assert last < paths.index("/etc/matrix-synapse/homeserver.yaml")


@pytest.mark.parametrize(("gib", "factor"), [(0.5, 0.5), (3.9, 0.5), (4, 1.0), (15.9, 1.0), (16, 2.0), (64, 2.0)])
def test_synapses_caches_grow_with_the_memory(gib: float, factor: float) -> None:
    assert cache_factor(int(gib * GIB)) == factor


@pytest.mark.parametrize(
    ("cluster", "ours"),
    [
        (Cluster("15", "main", 5432), True),
        (Cluster("15", "main", 5432, shared=True), False),
        (Cluster("15", "main", 5432, shared=True, tuned=True), True),
    ],
)
def test_a_cluster_that_others_use_is_not_tuned_unless_it_was(cluster: Cluster, ours: bool) -> None:
    site = a_site(cluster=cluster)
    assert (cluster.drop_in in [f.path for f in made(site, File)]) == ours
    [service] = [s for s in made(site, Service) if s.unit == "postgresql@15-main.service"]
    assert (cluster.drop_in in service.reads) == ours


def test_a_site_without_a_cluster_is_for_the_one_that_its_release_will_make() -> None:
    assert a_site(cluster=None).cluster == Cluster("15", "main", 5432)
    assert a_site(cluster=None, release=13).cluster == Cluster("17", "main", 5432)


def test_with_sqlite_nothing_of_postgres_is_asked_for_and_its_file_is_where_the_service_may_write() -> None:
    site = a_site(f"{MINIMAL}database: sqlite\nadmins: [{{name: alice}}]\n")
    assert not [r for r in components.resources(site) if "postgres" in " ".join((*r.key, *r.paths)).lower()]
    assert homeserver(site)["database"] == {
        "name": "sqlite3",
        "args": {"database": "/var/lib/matrix-synapse/database/homeserver.db"},
    }
    [place] = [d for d in made(site, Directory) if d.path == "/var/lib/matrix-synapse/database"]
    assert (place.mode, place.owner, place.group) == (0o700, "matrix-synapse", "matrix-synapse")
    unit = (Path(__file__).parents[2] / "units/matrix-synapse.service").read_text()
    assert re.findall(r"^ReadWritePaths=(.*)", unit, re.MULTILINE) == [
        "/var/lib/matrix-synapse/media -/var/lib/matrix-synapse/database"
    ]


def test_certificates_are_ordered_for_each_name_once_and_only_by_acme() -> None:
    assert [c.domain for c in made(a_site(), Certificate)] == ["matrix.example.org", "example.org"]
    assert {c.directory for c in made(a_site(), Certificate)} == {"https://acme-v02.api.letsencrypt.org/directory"}
    assert made(a_site("server_name: a.org\ntls: {mode: self-signed}\n"), Certificate) == []


@pytest.mark.parametrize(
    ("directory", "staging"),
    [
        ("letsencrypt", "https://acme-staging-v02.api.letsencrypt.org/directory"),
        ("https://acme-v02.api.letsencrypt.org/directory", "https://acme-staging-v02.api.letsencrypt.org/directory"),
        ("letsencrypt-staging", ""),
        ("https://ca.example.org/dir", ""),
    ],
)
def test_only_lets_encrypt_has_a_directory_to_rehearse_in(directory: str, staging: str) -> None:
    site = a_site(f"server_name: example.org\nacme: {{directory: '{directory}'}}\n", addresses=("9.9.9.9",))
    assert {(c.staging, c.addresses) for c in made(site, Certificate)} == {(staging, ("9.9.9.9",))}


def test_a_dns_plugin_is_a_package_and_has_its_credentials_in_a_file_of_the_operators() -> None:
    site = a_site("server_name: example.org\nacme: {challenge: dns-01, dns_plugin: ovh}\n")
    [wanted] = [p.names for p in made(site, Packages) if p.purpose == "certificates"]
    assert wanted == ("certbot", "python3-certbot-dns-ovh")
    assert {(c.dns_plugin, c.credentials) for c in made(site, Certificate)} == {("ovh", f"{SECRETS}/dns-ovh")}
    assert f"{SECRETS}/dns-ovh" not in [secret.path for secret in made(site, Secret)]


def test_a_pair_of_the_operators_is_there_before_nginx_looks_at_it_and_nothing_is_ordered() -> None:
    site = a_site("server_name: example.org\ntls: {mode: files, certificate: /srv/a.pem, key: /srv/a.key}\n")
    assert [(p.certificate, p.private_key) for p in made(site, KeyPair)] == [("/srv/a.pem", "/srv/a.key")] * 2
    names = [r.key for r in components.resources(site)]
    assert names.index(("KeyPair", "/etc/matrix-baremetal/tls/example.org")) < names.index(
        ("Service", "nginx.service")
    )
    assert {s.pair for s in made(site, Served)} == {"files"}
    assert made(site, Certificate) == []
    units = [s.unit for s in made(site, Service)]
    assert "matrix-baremetal-certificates.timer" in units
    assert "certbot.timer" not in units


def test_each_signing_key_is_another_and_has_synapses_form() -> None:
    keys = {signing_key() for _ in range(20)}
    assert len(keys) == 20
    assert all(re.fullmatch(r"ed25519 a_[A-Za-z]{4} [A-Za-z0-9+/]{43}\n", key) for key in keys)


def test_needs_of_one_name_are_put_together_in_their_order() -> None:
    proxy, document = Proxy(("/a",), 1), Document(path="/b", file="/c")
    needs = Needs((VHost("x", (proxy,)), Port(1, "u"), VHost("y", ()), VHost("x", (document,))))
    assert needs.vhosts() == (VHost("x", (proxy, document)), VHost("y", ()))
    assert needs.of(Port) == (Port(1, "u"),)


@pytest.mark.parametrize(("gib", "limited"), [(1, True), (2, False), (16, False)])
def test_a_small_machine_joins_no_room_that_would_fill_it(gib: int, limited: bool) -> None:
    assert ("limit_remote_rooms" in homeserver(a_site(memory=gib * GIB))) == limited
    own = a_site(MINIMAL + "synapse: {settings: {limit_remote_rooms: {enabled: false}}}\n", memory=GIB)
    assert homeserver(own)["limit_remote_rooms"] == {"enabled": False}
