"""The fingerprints of keys in a file are those that gpg sees; what is no file of public keys has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix_baremetal.resources.openpgp import armored, fingerprints
from tests.fake_releases import APT_KEY, FINGERPRINT, Signer


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signer]:
    made = Signer(Path(tmp_path_factory.mktemp("gpg")) / "home")
    made.make()
    yield made
    made.end()


def test_as_gpg_sees_them(signer: Signer) -> None:
    assert fingerprints(signer.key) == (signer.fingerprint,)
    assert fingerprints(signer.gpg("--export")) == (signer.fingerprint,)
    assert fingerprints(APT_KEY) == (FINGERPRINT,)


def test_a_binary_one_becomes_text_of_the_same_key(signer: Signer) -> None:
    text = armored(signer.gpg("--export"))
    assert fingerprints(text) == (signer.fingerprint,)
    assert signer.fingerprint in signer.gpg("--show-keys", input=text).decode()
    assert armored(signer.key) == signer.key


def test_each_of_several_counts(signer: Signer) -> None:
    assert fingerprints(signer.key + signer.key) == (signer.fingerprint,) * 2
    assert fingerprints(APT_KEY + signer.gpg("--export")) == (FINGERPRINT, signer.fingerprint)


def test_a_secret_key_is_none_to_believe_by(signer: Signer) -> None:
    assert fingerprints(signer.gpg("--armor", "--export-secret-keys")) == ()
    assert fingerprints(signer.gpg("--export-secret-keys")) == ()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>404",
        b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\n!!!!\n-----END PGP PUBLIC KEY BLOCK-----\n",
        APT_KEY[:-1],
        APT_KEY + b"\xc6",
        APT_KEY + b"\xc6\xe1\x00",
        APT_KEY + b"\x9b",
        b"\x98\x0a\x03" + APT_KEY[3:],
    ],
)
def test_what_is_no_file_of_keys_has_none(data: bytes) -> None:
    assert fingerprints(data) == ()


def test_what_is_cut_off_has_none(signer: Signer) -> None:
    whole = signer.gpg("--export")
    assert all(fingerprints(whole[:at]) in ((), (signer.fingerprint,)) for at in range(len(whole)))
    assert fingerprints(whole[:20]) == ()
