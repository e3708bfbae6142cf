"""The lock files name exactly what may be installed, and nothing of where it was made."""

import re
from pathlib import Path

import pytest
import yaml

import matrix_baremetal

HERE = Path(matrix_baremetal.__file__).parent
VERSIONS = yaml.safe_load((HERE / "versions.yaml").read_text())
KNOWN = [row["version"] for row in VERSIONS["synapse"]["known"]]
SYNAPSE = [f"synapse-{version}.txt" for version in KNOWN]
OTHERS = ("uv", "heisenbridge")
# What goes into Synapse's virtualenv: file and first package.
BESIDE = {"ldap": "matrix-synapse-ldap3"}
LOCKS = (*SYNAPSE, *(f"{name}.txt" for name in (*OTHERS, *BESIDE)))


def pins(name: str) -> dict[str, list[str]]:
    """`NAME==VERSION` to its hashes; a line that is neither fails the test."""
    text = re.sub(r"^#.*\n", "", (HERE / "locks" / name).read_text(), flags=re.MULTILINE)
    found = {}
    for line in text.replace("\\\n", "").splitlines():
        pin, *hashes = line.split()
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", pin), line
        assert pin not in found
        found[pin] = hashes
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes_and_no_marker(name: str) -> None:
    for pin, hashes in pins(name).items():
        assert hashes, pin
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", value) for value in hashes), pin


@pytest.mark.parametrize("name", LOCKS)
def test_names_no_address_and_no_path(name: str) -> None:
    text = (HERE / "locks" / name).read_text()
    assert not re.search(r"://|index-url|\.(org|com|io)\b|(^|\s)/\w", text)


@pytest.mark.parametrize("name", LOCKS)
def test_no_package_twice(name: str) -> None:
    names = [pin.partition("==")[0] for pin in pins(name)]
    assert sorted(set(names)) == names


def test_versions_are_those_of_versions_yaml() -> None:
    for version in KNOWN:
        assert f"matrix-synapse=={version}" in pins(f"synapse-{version}.txt")
    assert {path.name for path in (HERE / "locks").iterdir()} == set(LOCKS)
    assert list(pins("uv.txt")) == [f"uv=={VERSIONS['uv']['version']}"]
    assert all(f"{name}=={VERSIONS[name]['version']}" in pins(f"{name}.txt") for name in OTHERS)
    assert all(f"{first}=={VERSIONS[name]['version']}" in pins(f"{name}.txt") for name, first in BESIDE.items())


@pytest.mark.parametrize("name", SYNAPSE)
def test_what_goes_beside_synapse_has_nothing_that_it_has_and_misses_nothing_else(name: str) -> None:
    """By the metadata of matrix-synapse-ldap3 0.4.0 and ldap3 2.9.1."""
    theirs, ours = ({pin.partition("==")[0] for pin in pins(file)} for file in (name, "ldap.txt"))
    assert not theirs & ours
    assert {"twisted", "service-identity", "packaging", "pyasn1"} <= theirs
    assert ours == {"matrix-synapse-ldap3", "ldap3"}


def test_versions_are_text() -> None:
    """`1.10` without a third part would be a number to YAML, and another version."""
    versions = {name: part["version"] for name, part in VERSIONS.items() if "version" in part}
    assert all(isinstance(version, str) for version in versions.values())
    assert set(VERSIONS) - set(versions) == {"jitsi"}, "whose version is its repository's matter"


def test_the_newest_stands_first_and_none_is_below_the_minimum() -> None:
    numbers = [tuple(map(int, version.split("."))) for version in (*KNOWN, VERSIONS["synapse"]["minimum"])]
    assert numbers == sorted(numbers, reverse=True)
    assert VERSIONS["synapse"]["version"] == KNOWN[0]


@pytest.mark.parametrize("name", SYNAPSE)
def test_the_driver_is_the_one_with_wheels(name: str) -> None:
    names = {pin.partition("==")[0] for pin in pins(name)}
    assert "psycopg2-binary" in names
    assert "psycopg2" not in names


@pytest.mark.parametrize("name", SYNAPSE)
def test_synapse_finds_what_its_optional_parts_import(name: str) -> None:
    """Redis for workers, URL previews (by lxml before 1.163), OIDC and JWT logins, cache sizing by memory."""
    names = {pin.partition("==")[0] for pin in pins(name)}
    assert {"txredisapi", "hiredis", "authlib", "pympler"} <= names
    assert {"beautifulsoup4", "lxml"} & names


@pytest.mark.parametrize("name", SYNAPSE)
def test_redis_is_spoken_to_by_what_synapse_can_use(name: str) -> None:
    """Synapse's issue 20354; it says so itself only since 1.163."""
    [pin] = [pin for pin in pins(name) if pin.startswith("txredisapi==")]
    assert tuple(map(int, pin.partition("==")[2].split("."))) < (1, 6)
