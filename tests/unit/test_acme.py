"""Why an authority gave no certificate, in words, and how long it wants to be left alone."""

from __future__ import annotations

import email.utils
import time

import pytest

from matrix_baremetal.resources.acme import refusal, retry_after

FAILED = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for matrix.example.org

Certbot failed to authenticate some domains (authenticator: webroot). The Certificate Authority reported these:
  Domain: matrix.example.org
  Type:   {kind}
  Detail: {detail}

Hint: The Certificate Authority failed to download the temporary challenge files created by Certbot.
Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org.
"""
HIDDEN = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
An unexpected error occurred:
AttributeError: can't set attribute
"""
LOG = """\
2026-01-01 10:00:00,000:DEBUG:acme.client:Received response:
HTTP 429
Retry-After: 3600
{
  "type": "urn:ietf:params:acme:error:rateLimited",
  "detail": "too many failed authorizations (5) for \\"example.org\\" in the last 1h0m0s, retry after 11:00:00 UTC",
  "status": 429
}
"""
LIMITED = (
    "the certificate authority's rate limit is reached: too many failed authorizations (5) "
    'for "example.org" in the last 1h0m0s, retry after 11:00:00 UTC'
)


@pytest.mark.parametrize(
    ("kind", "detail", "words"),
    [
        (
            "dns",
            "DNS problem: NXDOMAIN looking up A for matrix.example.org",
            "the certificate authority cannot find the name in DNS: DNS problem: NXDOMAIN looking up A for",
        ),
        (
            "connection",
            "203.0.113.5: Fetching http://matrix.example.org/.well-known/acme-challenge/x: Connection refused",
            "the certificate authority cannot reach port 80 of this machine under that name: 203.0.113.5",
        ),
        (
            "unauthorized",
            "203.0.113.5: Invalid response from http://matrix.example.org/.well-known/acme-challenge/x: 404",
            "another web server answered under that name: 203.0.113.5",
        ),
        (
            "caa",
            "CAA record for matrix.example.org prevents issuance",
            "the domain's CAA record forbids this certificate authority: CAA record for",
        ),
        ("tls", "handshake failure", "the certificate authority said tls: handshake failure"),
    ],
)
def test_the_authoritys_own_reason_is_said_in_words(kind: str, detail: str, words: str) -> None:
    assert refusal(FAILED.format(kind=kind, detail=detail), "").reason.startswith(words)


@pytest.mark.parametrize(
    ("output", "log", "words"),
    [
        (
            "An unexpected error occurred:\nError creating new order :: urn:ietf:params:acme:error:rateLimited :: "
            "too many certificates already issued",
            "",
            "the certificate authority's rate limit is reached",
        ),
        ("There were too many requests of a given type :: too many failed", LOG, LIMITED),
        (HIDDEN, LOG, LIMITED),
        ("Another instance of Certbot is already running.", "", "another certbot is at work on this machine"),
        (
            "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='acme'): Max retries exceeded",
            "",
            "the certificate authority cannot be reached from this machine",
        ),
        (
            "An unexpected error occurred:",
            "urllib3.exceptions.NewConnectionError: [Errno 101] Network is unreachable",
            "the certificate authority cannot be reached from this machine",
        ),
        ("Saving debug log to x\nsomething odd\n", "", "certbot failed: something odd"),
        ("", "", "certbot failed: see /var/log/letsencrypt/letsencrypt.log"),
    ],
)
def test_a_reason_is_found_in_what_was_printed_or_in_the_log(output: str, log: str, words: str) -> None:
    assert refusal(output, log).reason.startswith(words)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("dns", "the certificate authority cannot find the record that proves the name"),
        ("unauthorized", "the certificate authority found another record"),
        ("caa", "the domain's CAA record"),
    ],
)
def test_where_a_record_is_the_proof_no_web_server_is_blamed(kind: str, words: str) -> None:
    assert refusal(FAILED.format(kind=kind, detail="x"), "", dns=True).reason.startswith(words)


def test_a_plugin_that_failed_is_not_taken_for_the_authority() -> None:
    log = (
        "urn:ietf:params:acme:error:badNonce\nurllib3.exceptions.NewConnectionError: x\n"
        "certbot.errors.PluginError: Received response from server: NOTAUTH\n2026-01-01 ERROR: x\n"
    )
    said = refusal("Received response", log, dns=True)
    assert (said.reason, said.asked) == ("the DNS plugin failed: Received response from server: NOTAUTH", False)


def test_only_the_authoritys_own_word_is_a_refusal_and_only_a_limit_asks_us_to_wait() -> None:
    limited = refusal(HIDDEN, LOG)
    assert (limited.asked, limited.wait) == (True, 3600)
    failed = refusal(FAILED.format(kind="connection", detail="x"), LOG)
    assert (failed.asked, failed.wait) == (True, 0)
    away = refusal("Max retries exceeded", "")
    assert (away.asked, away.wait) == (False, 0)


@pytest.mark.parametrize(
    ("log", "seconds"),
    [
        ("", 0),
        ("Retry-After: 86400", 86400),
        ("retry-after: 60\nx: y\nRetry-After: 120 ", 120),
        ("Retry-After: soon", 0),
        ("Retry-After: -5", 0),
        ("Retry-After: Thu, 01 Jan 2015 00:00:00 GMT", 0),
        ("Retry-After: " + "9" * 400, 999999999),
    ],
)
def test_the_wait_is_a_number_or_a_date(log: str, seconds: int) -> None:
    assert retry_after(log) == seconds


def test_a_date_is_counted_from_now() -> None:
    date = email.utils.formatdate(time.time() + 7200, usegmt=True)
    assert abs(retry_after(f"Retry-After: {date}") - 7200) < 5
