"""The config file's contract: defaults, limits, what is said of each mistake, and the file that `init` writes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from benchmarks import parts
from matrix_baremetal import config
from matrix_baremetal.config import Admin, Config, Federation, Synapse
from matrix_baremetal.config_tls import Acme, Tls
from matrix_baremetal.errors import ConfigError

FULL = """\
server_name: example.org
hostname: example.org
database: postgres
tls:
  mode: self-signed
  certificate: null
acme:
  email: Admin@Example.org
  directory: letsencrypt-staging
  challenge: http-01
  dns_plugin: null
federation:
  enabled: true
  delegation: well-known
  allow: [matrix.org, "192.0.2.1:8448"]
registration: closed
admins:
  - name: alice
    password_file: /root/alice.password
  - {name: bob}
synapse:
  settings:
    max_upload_size: 100M
    ip_range_whitelist: ["10.0.0.0/8"]
    experimental_features: {msc3266_enabled: true}
    email: {smtp_host: localhost, smtp_port: 25}
  workers: none
mail: null
web_client: {kind: hydrogen, hostname: chat.example.org, release: null}
admin_ui: {enabled: true, kind: ketesa, hostname: null, allow: [192.0.2.0/24, 198.51.100.7]}
"""


def read(text: str) -> Config:
    return config.decode(text, "config.yaml")


def problems(text: str | bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        config.decode(text, "config.yaml")
    for line, problem in zip(str(caught.value).split("\n"), caught.value.problems, strict=True):
        assert line.startswith(f"config.yaml:{problem.line}:{problem.column}: ")
        assert line.isprintable()
        assert 10 < len(line) < 600
    return str(caught.value)


def test_the_smallest_config_has_every_default() -> None:
    assert read("server_name: example.org\nacme:\n  email: admin@example.org\n") == Config(
        server_name="example.org",
        hostname="matrix.example.org",
        database="postgres",
        tls=Tls(mode="acme"),
        acme=Acme(email="admin@example.org", directory="letsencrypt", challenge="http-01"),
        federation=Federation(enabled=True, delegation="well-known", allow=()),
        registration="closed",
        admins=(),
        synapse=Synapse(settings={}, workers="auto"),
    )


def test_everything_set() -> None:
    site = read(FULL)
    assert site.hostname == "example.org"
    assert site.tls.mode == "self-signed"
    assert site.acme.email == "Admin@example.org"
    assert site.acme.url == "https://acme-staging-v02.api.letsencrypt.org/directory"
    assert site.federation.allow == ("matrix.org", "192.0.2.1:8448")
    assert site.admins == (Admin("alice", "/root/alice.password"), Admin("bob"))
    assert site.synapse.settings["email"] == {"smtp_host": "localhost", "smtp_port": 25}
    assert site.synapse.workers == "none"
    assert (site.web_client.kind, site.client_hostname) == ("hydrogen", "chat.example.org")
    assert (site.admin_hostname, site.admin_ui.allow) == ("admin.example.org", ("192.0.2.0/24", "198.51.100.7/32"))


def test_a_pair_of_ones_own_and_a_dns_plugin() -> None:
    site = read("server_name: a.b\ntls: {mode: files, certificate: /etc/ssl/a.pem, key: /etc/ssl/a.key}\n")
    assert site.tls == Tls("files", "/etc/ssl/a.pem", "/etc/ssl/a.key")
    site = read("server_name: a.b\nacme: {challenge: dns-01, dns_plugin: rfc2136, dns_propagation: 20}\n")
    assert (site.acme.challenge, site.acme.dns_plugin, site.acme.dns_propagation) == ("dns-01", "rfc2136", 20)


def test_a_config_is_frozen_and_hashable() -> None:
    assert hash(read(FULL)) == hash(read(FULL))
    assert hash(Synapse(settings={"modules": [{"a": 1}]})) is not None
    assert read(FULL) != replace(read(FULL), hostname="other.example.org")
    with pytest.raises(FrozenInstanceError):
        read(FULL).server_name = "example.com"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("directory", "url"),
    [
        ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
        ("https://ca.example.org:14000/dir", "https://ca.example.org:14000/dir"),
    ],
)
def test_a_directory_has_an_address(directory: str, url: str) -> None:
    assert read(f"server_name: a.b\nacme: {{directory: '{directory}'}}").acme.url == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1:1: the file says nothing (write at least server_name: VALUE)"),
        ("acme: {}", ":1:1: the key server_name is missing"),
        ("server_name: Example.org", ':1:14: server_name: a server name is lower case; write "example.org"'),
        ("server_name: 1.10", ":1:14: server_name: "),
        ("server_nam: a.b", ':1:1: unknown key "server_nam" (did you mean server_name?)'),
        ("server_name: a.b\nhostname: a.b:443", ':2:11: hostname: a host name has no port; write "a.b"'),
        (
            "server_name: a.b\nhostname: c.b\nformer_hostnames: [d.b, c.b]",
            ":3:25: former_hostnames[1]: c.b is not former",
        ),
        ("server_name: a.b\nformer_hostnames: [a.b]", "it is the server name, which is served anyway"),
        ("server_name: a.b\nformer_hostnames: [d.b, d.b]", "it is listed twice"),
        ("server_name: a.b\ncalls: {jitsi: self-hosted}\nformer_hostnames: [meet.a.b]", "a program for browsers"),
        ("server_name: a.b\nhostname: ''", ":2:11: hostname: a host name can't be empty"),
        ("server_name: a.b\nemail: a@b.de", ':2:1: unknown key "email" (did you mean acme.email?)'),
        ("server_name: a.b\nacme: {directory: letsencript}", "(did you mean letsencrypt?)"),
        ("server_name: a.b\nacme: {directory: 'http://localhost/dir'}", "https://"),
        ("server_name: a.b\ntls: {mode: files, key: /k}", ":2:7: tls.mode: files needs the key certificate too"),
        ("server_name: a.b\ntls: {mode: files}", "files needs the key key too (write key: VALUE)"),
        ("server_name: a.b\ntls: {key: /k}", ":2:7: tls.key: means nothing without mode: files (remove it)"),
        ("server_name: a.b\ntls: {mode: files, certificate: c, key: /k}", 'tls.certificate: "c" is no absolute path'),
        ("server_name: a.b\nacme: {challenge: dns-01}", ":2:8: acme.challenge: dns-01 needs the key dns_plugin too"),
        ("server_name: a.b\nacme: {dns_plugin: ovh}", ":2:8: acme.dns_plugin: means nothing without challenge: dns"),
        ("server_name: a.b\nacme: {dns_propagation: 9}", "acme.dns_propagation: means nothing without challenge"),
        ("server_name: a.b\nacme: {challenge: dns-01, dns_plugin: ovh, dns_propagation: 0}", "0 is not between 1"),
        ("server_name: a.b\ndatabase: postgre", ":2:11: database: expected postgres"),
        ("server_name: a.b\nfederation: {enabled: no}", ":2:23: federation.enabled: expected true or false"),
        (
            "server_name: a.b\nfederation:\n  enabled: false\n  allow: [x.y]",
            ":4:3: federation.allow: nobody is let in",
        ),
        ("server_name: a.b\nfederation: {allow: [x.y, 'no good']}", ":2:27: federation.allow[1]: "),
        ("server_name: a.b\nadmins: [alice]", "(write name: alice)"),
        (
            "server_name: a.b\nadmins: [{name: al}, {name: bo}, {name: al}]",
            ":2:35: admins[2].name: al is listed twice",
        ),
        (f"server_name: {'x' * 60}.org\nadmins:\n- name: {'a' * 200}", ":3:3: admins[0].name: "),
        (
            "server_name: a.b\nadmins: [{name: al, password: x}]",
            ':2:21: admins[0]: unknown key "password" (did you mean',
        ),
        ("server_name: a.b\nadmins: [{name: al, password_file: pw}]", ":2:36: admins[0].password_file: "),
        (
            "server_name: a.b\nadmins: [{name: al, password_hash: hunter2}]",
            ":2:36: admins[0].password_hash: this is no",
        ),
        (
            f"server_name: a.b\nadmins:\n- name: al\n  password_file: /a\n  password_hash: '$2b$12${'a' * 53}'",
            ":5:3: admins[0].password_hash: there is a password_file too",
        ),
        ("server_name: a.b\nregistration: tokens", ":2:15: registration: expected closed or token or open, found"),
        ("server_name: a.b\nregistration: open", ":2:1: registration: nobody is asked for anything"),
        ("server_name: a.b\nregistration: {mode: open}", ":2:1: registration: nobody is asked for anything"),
        (
            "server_name: a.b\nregistration:\n  mode: token\n  until: tomorrow",
            ":4:10: registration.until: expected a day and a time, as in 2026-12-24T18:00",
        ),
        ("server_name: a.b\nregistration: {mode: token, until: 2026-12-24}", ":2:36: registration.until: expected a"),
        (
            "server_name: a.b\nregistration: {mode: token, until: 2026-02-30T18:00}",
            ":2:36: registration.until: there is no 2026-02-30T18:00",
        ),
        ("server_name: a.b\nregistration: {mode: token, until: 9999-12-31T18:00}", "not between the years 2000 and"),
        ("server_name: a.b\nregistration: {until: 2026-12-24T18:00}", "registration: the key mode is missing"),
        (
            "server_name: a.b\nregistration: {mode: closed, until: 2026-12-24T18:00}",
            ":2:30: registration.until: means nothing with mode: closed",
        ),
        (
            "server_name: a.b\nregistration: {mode: closed, unattended_days: 3}",
            ":2:30: registration.unattended_days: means",
        ),
        (
            "server_name: a.b\nregistration: {mode: token, unattended_days: 0}",
            "unattended_days: 0 is not between 1 and",
        ),
        ("server_name: a.b\nregistration: {mode: token, unattended_days: 366}", "366 is not between 1 and 365"),
        ("server_name: a.b\nregistration: {mode: token, unattended_days: soon}", "unattended_days: expected a"),
        ("server_name: a.b\nregistration: [token]", ":2:15: registration: expected closed or token or open"),
        (
            "server_name: a.b\nsynapse: {setting: {}}",
            ':2:11: synapse: unknown key "setting" (did you mean settings?)',
        ),
        ("server_name: a.b\nsynapse: {settings: [x]}", ":2:21: synapse.settings: expected a mapping, found a list"),
        ("server_name: a.b\nsynapse: {workers: 4}", ":2:20: synapse.workers: expected auto or none"),
    ],
)
def test_mistakes(text: str, said: str) -> None:
    assert said in problems(text)


def later_cases() -> list[tuple[str, str]]:
    cases = []
    for entry in sorted(config.LATER):
        path, _, value = entry.partition("=")
        *parents, key = path.split(".")
        inner = f"{{{key}: {value or 'x'}}}"
        for parent in reversed(parents):
            inner = f"{{{parent}: {'[' + inner + ']' if parent == 'admins' else inner}}}"
        cases.append((entry, f"{{server_name: a.b, {inner[1:-1]}}}"))
    return cases


@pytest.mark.parametrize(("entry", "text"), later_cases())
def test_what_comes_later_is_said_so(entry: str, text: str) -> None:
    said = problems(text)
    assert "not part of this release yet" in said
    assert "unknown" not in said
    assert "(remove it)" in said or "(use " in said
    assert "=" in entry or entry.rpartition(".")[2] in said


def test_a_null_asks_for_nothing_that_comes_later() -> None:
    keys = "".join(f"{key}: null\n" for key in sorted(config.LATER) if "." not in key and "=" not in key)
    assert read("server_name: a.b\n" + keys) == read("server_name: a.b")


def test_load_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + FULL.replace("\n", "\r\n").encode())
    assert config.load(path) == read(FULL)


def test_load_names_the_file_of_a_mistake(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("server_name: a\n")
    with pytest.raises(ConfigError, match=r"config\.yaml:1:14: server_name: "):
        config.load(path)


def test_load_refuses_a_huge_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    with path.open("wb") as file:
        file.truncate(10_000_000_000)  # sparse
    with pytest.raises(ConfigError, match="larger than"):
        config.load(path)


def test_load_says_how_to_make_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(config.Unusable, match=r"There is no .* yet") as caught:
        config.load(tmp_path / "a b" / "config.yaml")
    assert caught.value.status == 2
    assert f"--config '{tmp_path}/a b/config.yaml' init" in str(caught.value.hint)


def test_load_refuses_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(config.Unusable, match="is not a file"):
        config.load(tmp_path)
    with pytest.raises(config.Unusable, match="is not a file"):
        config.load(Path("/dev/zero"))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(config.Unusable, match="can't be read"):
        config.load(loop)


def test_that_of_the_benchmark_of_all_parts_is_good() -> None:
    assert read(f"server_name: a.b\n{parts.MORE}").bridges.irc.owner == "alice"
