"""versions.yaml's archives: each pin has the shape of one. What is behind it, bin/check-pins sees."""

from __future__ import annotations

import re

import pytest

from matrix_baremetal import names, versions
from matrix_baremetal.resources.downloads import NAME

PINS, PROGRAMS = versions.read().releases, versions.read().programs


def test_there_are_those_that_components_ask_for() -> None:
    assert set(PINS) == {"element", "hydrogen", "ketesa", "synapse_admin"}


@pytest.mark.parametrize("name", PINS)
def test_a_pin_names_a_version_an_address_of_just_that_and_a_hash(name: str) -> None:
    pin = PINS[name]
    assert NAME.fullmatch(pin.version)
    assert names.url(pin.url) == pin.url
    assert pin.version in pin.url
    assert pin.url.endswith(".tar.gz")
    assert not re.search(r"latest|develop|main|master", pin.url), "what moves can't be pinned"
    assert names.sha256(pin.sha256) == pin.sha256


@pytest.mark.parametrize("name", [name for name, pin in PINS.items() if pin.signature])
def test_a_signature_is_of_that_file_and_by_a_key_of_a_whole_fingerprint(name: str) -> None:
    pin = PINS[name]
    assert pin.signature
    assert pin.signature.url == f"{pin.url}.asc"
    assert names.url(pin.signature.key) == pin.signature.key
    assert re.fullmatch(r"[0-9A-F]{40}", pin.signature.fingerprint)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_is_pinned_for_both_processors_at_an_address_that_says_which(name: str) -> None:
    program = PROGRAMS[name]
    assert NAME.fullmatch(program.version)
    for build, word in ((program.x86_64, "amd64"), (program.aarch64, "arm64")):
        assert names.url(build.url) == build.url
        assert f"/v{program.version}/" in build.url
        assert build.url.endswith(f"-{word}")
        assert names.sha256(build.sha256) == build.sha256
    assert program.pin("aarch64").sha256 == program.aarch64.sha256
    assert program.pin("x86_64").url == program.x86_64.url


def test_no_hash_is_pinned_twice() -> None:
    builds = [build for each in PROGRAMS.values() for build in (each.x86_64, each.aarch64)]
    hashes = [*(pin.sha256 for pin in PINS.values()), *(build.sha256 for build in builds)]
    assert len(set(hashes)) == len(hashes)
