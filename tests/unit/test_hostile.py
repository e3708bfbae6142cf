"""Hostile and broken input: every check and every field refuses it or carries it, and nothing breaks."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from matrix_baremetal import config, names
from matrix_baremetal.config import Config
from matrix_baremetal.errors import ConfigError

Check = Callable[[str], str]

CHECKS: tuple[Check, ...] = (
    names.server_name,
    names.hostname,
    names.remote_server,
    names.email,
    names.localpart,
    names.url,
    names.path,
)


# Each is dangerous to somebody: shell, SQL, nginx, Jinja, systemd, a terminal, a log, a C program, a reader's eyes.
POISON = (
    "$(reboot)",
    "`id`",
    "a;reboot",
    "a && b",
    "a|b",
    "--help",
    "' OR 1=1 --",
    '"; DROP TABLE users; --',
    "a{return 200;}",
    "$host",
    "{{ 7*7 }}",
    "{% x %}",
    "%n",
    "%%i",
    "a\nb",
    "a\r\nb",
    "a\x00b",
    "\x1b[31ma",
    "a\u202eb",
    "a\u2066b",
    "a\u2028b",
    "\ufeffa",
    "a b",
    " a",
    "a ",
    "a\n",
    "../../etc/passwd",
    "~root",
    "\ud800",
    "٣",
    "",
    "a" * 65536,
    "." * 65536,
    "@" * 65536,
    ":1" * 32768,
    "é" * 65536,
)


FRAMES = (
    "{}",
    "{}.example.org",
    "example.{}",
    "example.org{}",
    "{}@example.org",
    "a@{}",
    "https://{}/",
    "https://a.b/{}",
    "/{}",
)


# The same kind, as an operator would have to write it in double quotes.
ESCAPED = (
    "$(reboot)",
    "a; reboot",
    "`id`",
    "' OR 1=1 --",
    "a{return 200;}",
    "{{ 7*7 }}",
    "%n",
    "a\\nb",
    "a\\0b",
    "a\\u202eb",
    "a\\e[31m",
    "../../etc/passwd",
    "a b",
    "A" * 65536,
)


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
"""


def assert_sentence(text: str) -> None:
    assert text.isprintable()
    assert 10 < len(text) < 500
    assert " " in text


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("poison", POISON, ids=lambda text: ascii(text[:12]))
def test_poison_is_refused_or_harmless(check: Check, poison: str) -> None:
    harmless = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/+@:=~,-")
    for frame in FRAMES:
        try:
            value = check(frame.format(poison))
        except ValueError as error:
            assert type(error) is ValueError
            assert_sentence(str(error))
        else:
            assert set(value) <= harmless
            assert len(value) < 5000


@pytest.mark.parametrize("poison", ESCAPED, ids=lambda text: text[:12])
@pytest.mark.parametrize(
    "frame",
    [
        'server_name: "{}"',
        'server_name: a.b\nhostname: "{}"',
        'server_name: a.b\ndatabase: "{}"',
        'server_name: a.b\ntls: {{mode: "{}"}}',
        'server_name: a.b\nacme: {{email: "{}"}}',
        'server_name: a.b\nacme: {{email: "{}@a.b"}}',
        'server_name: a.b\nacme: {{directory: "{}"}}',
        'server_name: a.b\nacme: {{directory: "https://a.b/{}"}}',
        'server_name: a.b\nfederation: {{allow: ["{}"]}}',
        'server_name: a.b\nfederation: {{enabled: "{}"}}',
        'server_name: a.b\nregistration: "{}"',
        'server_name: a.b\nadmins: [{{name: "{}"}}]',
        'server_name: a.b\nadmins: [{{name: a, password_file: "/{}"}}]',
        'server_name: a.b\nadmins: [{{name: a, password_hash: "{}"}}]',
        'server_name: a.b\nsynapse: {{workers: "{}"}}',
        'server_name: a.b\nsynapse: {{settings: {{"{}": 1}}}}',
        'server_name: a.b\n"{}": 1',
    ],
)
def test_poison_is_refused_in_every_field(frame: str, poison: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config.decode(frame.format(poison), "config.yaml")
    for problem, line in zip(caught.value.problems, str(caught.value).split("\n"), strict=True):
        assert line.startswith(f"config.yaml:{problem.line}:{problem.column}: ")
        assert_sentence(line)


def test_mutated_configs_raise_nothing_but_config_errors() -> None:
    chance = random.Random(19)
    bits = (
        *"\t\n\r :-,[]{}#&*!|>'\"%@`?~\\=<\x00\x85\u2028\u202e\ufeffé👍",
        "---\n",
        "null",
        "no",
        "<<: ",
        "!!x ",
        "0600",
        "]" * 40,
        "[" * 40,
    )
    refused = 0
    for _ in range(2000):
        text = FULL
        for _ in range(chance.randrange(1, 5)):
            start = chance.randrange(len(text))
            end = min(len(text), start + chance.choice((0, 0, 1, 1, 2, 8, 40)))
            middle = chance.choice((*bits, text[start:end] * 2, text[chance.randrange(len(text)) :][:30]))
            text = text[:start] + middle + text[end:]
        raw = text.encode()
        if chance.random() < 0.1:
            spot = chance.randrange(len(raw))
            raw = raw[:spot] + bytes([chance.randrange(256)]) + raw[spot:]
        try:
            assert isinstance(config.decode(raw, "config.yaml"), Config)
        except ConfigError as error:
            refused += 1
            assert error.problems
            assert all(line.isprintable() for line in str(error).split("\n"))
    assert 1000 < refused < 2000
