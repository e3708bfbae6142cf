"""Federation as another server goes about it: discovery by the specification's table, keys by their signatures."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from matrix_baremetal.federation import (
    Unsound,
    canonical,
    decoded,
    delegate,
    destination,
    encoded,
    public_key,
    published,
    split,
    verified,
)

SEED = "YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1"  # the specification's, appendices, "Signing JSON: test vectors"
RECORDS = {"_matrix-fed._tcp.a.org": ["20 0 8448 far.a.org.", "10 5 8449 near.a.org.", "10 9 8450 big.a.org."]}
OLD = {"_matrix._tcp.a.org": ["10 0 443 old.a.org."]}


@pytest.mark.parametrize(
    ("name", "named", "records", "expected"),
    [
        ("a.org", "m.a.org:443", {}, ("m.a.org:443", "m.a.org", 443)),
        ("a.org", "m.a.org", {}, ("m.a.org", "m.a.org", 8448)),
        ("b.org", "a.org", RECORDS, ("a.org", "big.a.org", 8450)),
        ("a.org", None, RECORDS, ("a.org", "big.a.org", 8450)),
        ("a.org", None, OLD, ("a.org", "old.a.org", 443)),
        ("a.org", None, RECORDS | OLD, ("a.org", "big.a.org", 8450)),
        ("a.org", None, {}, ("a.org", "a.org", 8448)),
        ("a.org", "192.0.2.1", RECORDS, ("192.0.2.1", "192.0.2.1", 8448)),
        ("a.org", "[2001:db8::1]:443", {}, ("[2001:db8::1]:443", "2001:db8::1", 443)),
        ("a.org:1234", None, RECORDS, ("a.org:1234", "a.org", 1234)),
        ("192.0.2.1", None, RECORDS, ("192.0.2.1", "192.0.2.1", 8448)),
    ],
)
def test_a_server_is_found_by_the_steps_of_the_specification(
    name: str, named: str | None, records: dict[str, list[str]], expected: tuple[str, str, int]
) -> None:
    found = destination(name, named, lambda service: records.get(service, ()))
    assert (found.authority, found.connect, found.port) == expected
    assert found.host == split(expected[0])[0]
    assert found.via


@pytest.mark.parametrize("text", ["", "a:b", "a.org:", "[::1", "a.org:123456", "a.org:65536", "a.org:0"])
def test_what_is_no_server_name_is_refused(text: str) -> None:
    with pytest.raises(Unsound):
        split(text)


def test_a_well_known_file_names_whom_to_ask() -> None:
    assert delegate(b'{"m.server": "m.a.org:443", "more": 1}') == "m.a.org:443"
    for text in (b"<html>", b"[]", b"{}", b'{"m.server": 5}', b'{"m.server": "a b:c"}'):
        with pytest.raises(Unsound):
            delegate(text)


def test_the_vectors_of_the_specification() -> None:
    assert canonical({"b": "2", "a": "1"}) == b'{"a":"1","b":"2"}'
    assert canonical({"本": 2, "日": 1}) == '{"日":1,"本":2}'.encode()
    assert canonical({"a": None, "one": 1, "two": "Two"}) == b'{"a":null,"one":1,"two":"Two"}'
    # "Signing JSON": the signatures of {} and of {"one": 1, "two": "Two"}.
    name, key = public_key(f"ed25519 1 {SEED}\n")
    assert name == "ed25519:1"
    empty = "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ"
    two = "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw"
    assert verified(key, empty, canonical({}))
    assert verified(key, two, canonical({"one": 1, "two": "Two"}))
    assert not verified(key, two, canonical({}))
    assert not verified(key, "nonsense", b"")


@pytest.mark.parametrize("text", ["", "ed25519 a_b", "nonsense\n", "ed25519 a !!!", "ed25519 a c2hvcnQ\n"])
def test_what_is_no_signing_key_is_said_and_never_shown(text: str) -> None:
    with pytest.raises(Unsound, match="no signing key") as caught:
        public_key(text)
    assert "c2hvcnQ" not in str(caught.value)


def document(**change: Any) -> bytes:
    """The keys of a.org, signed, but for what is changed before or after that."""
    name, key = public_key(f"ed25519 1 {SEED}")
    data: dict[str, Any] = {"server_name": "a.org", "old_verify_keys": {}, "verify_keys": {name: {"key": key}}}
    data["valid_until_ts"] = int(time.time() * 1000) + 86400000
    data |= change.pop("signed", {})
    signature = encoded(Ed25519PrivateKey.from_private_bytes(decoded(SEED)).sign(canonical(data)))
    return json.dumps(data | {"signatures": {"a.org": {name: signature}}, "unsigned": {"x": 1}} | change).encode()


def test_keys_that_are_signed_and_valid_are_believed() -> None:
    assert published(document(), "a.org", time.time()) == dict([public_key(f"ed25519 1 {SEED}")])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"<html>", "no such document"),
        (b"{}", "no such document"),
        (b"[]", "no such document"),
        (document(signed={"server_name": "b.org"}), "those of b.org"),
        (document(signed={"valid_until_ts": 1}), "not valid any more"),
        (document(old_verify_keys={"x": 1}), "does not hold"),
        (document(signatures={"a.org": {}}), "does not hold"),
        (document(signed={"verify_keys": {}}), "no keys"),
    ],
    # Not by the text, which is another in each worker.
    ids=range(8),
)
def test_keys_that_another_server_would_not_believe(text: bytes, why: str) -> None:
    with pytest.raises(Unsound, match=why):
        published(text, "a.org", time.time())
