"""Releases: what was pinned and signed is unpacked whole, and nothing else leaves a trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal.errors import Error, Unreached
from matrix_baremetal.resources.downloads import Download
from matrix_baremetal.versions import Signature
from tests.fake_releases import Signer, archive, sha256
from tests.fakes import FakeHost, Machine

OPT = "/opt/matrix-baremetal/element"
URL, NEWER = "https://releases.test/element-1.tar.gz", "https://releases.test/element-2.tar.gz"
FIRST = archive({"element-1/index.html": b"one", "element-1/bundles/a/b.js": b"1"})
SECOND = archive({"element-2/index.html": b"two"})
ONE = Download(OPT, "1.0", sha256(FIRST), url=URL)
TWO = Download(OPT, "2.0", sha256(SECOND), url=NEWER)
KEY, SIGNATURE = "https://keys.test/key.asc", f"{URL}.asc"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    machine = Machine(tmp_path / "root")
    machine.downloads |= {URL: FIRST, NEWER: SECOND}
    return FakeHost(machine)


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Signer]]:
    """Upstream, somebody else, and an upstream whose key lasted for a day."""
    place = tmp_path_factory.mktemp("keys")
    found = {name: Signer(place / name, days) for name, days in (("upstream", 0), ("other", 0), ("late", 1))}
    for signer in found.values():
        signer.make()
    yield found
    for signer in found.values():
        signer.end()


def signed(host: FakeHost, signer: Signer, signature: bytes | None, key: bytes | None = None) -> Download:
    """The release, signed so; the pin names this signer's key."""
    host.machine.downloads[KEY] = signer.key if key is None else key
    if signature is not None:
        host.machine.downloads[SIGNATURE] = signature
    return replace(ONE, signed=Signature(SIGNATURE, KEY, signer.fingerprint))


def index(host: FakeHost) -> str | None:
    return host.text(f"{OPT}/current/files/index.html")


def test_what_was_pinned_is_unpacked_without_the_folder_around_it(host: FakeHost) -> None:
    ONE.make(host, None)
    assert index(host) == "one"
    assert host.text(f"{OPT}/1.0/files/bundles/a/b.js") == "1"
    assert host.names(OPT) == ("1.0", "current")
    assert host.names(f"{OPT}/1.0") == ("complete.json", "files")
    assert {host.path(f"{OPT}/1.0/files/{p}").stat().st_mode & 0o777 for p in ("index.html", "bundles/a/b.js")} == {
        0o644
    }
    assert ONE.find(host) == ONE


def test_another_file_is_refused_and_leaves_nothing(host: FakeHost) -> None:
    host.machine.downloads[URL] = FIRST + b"x"
    with pytest.raises(Error, match=r"not the file that is pinned, so nothing was installed: its sha256 is \w{64}"):
        ONE.make(host, None)
    assert host.names(OPT) == ()


def test_an_older_release_at_the_same_address_is_refused_though_upstream_signed_it(
    host: FakeHost, signers: dict[str, Signer]
) -> None:
    wanted = signed(host, signers["upstream"], signers["upstream"].sign(FIRST))
    wanted.make(host, None)
    newer = replace(TWO, signed=replace(wanted.signed, url=f"{NEWER}.asc") if wanted.signed else None)
    host.machine.downloads |= {NEWER: FIRST, f"{NEWER}.asc": signers["upstream"].sign(FIRST)}
    with pytest.raises(Error, match="not the file that is pinned"):
        newer.make(host, wanted.find(host))
    assert (index(host), host.names(OPT)) == ("one", ("1.0", "current"))


def test_what_an_older_run_began_of_another_file_is_fetched_anew(host: FakeHost) -> None:
    host.mkdir(OPT, 0o755)
    part = f"{OPT}/.{ONE.sha256[:16]}.part"
    host.write(part, b"the beginning of another", 0o644)
    host.machine.downloads[URL] = FIRST
    ONE.make(host, None)
    assert index(host) == "one"


def test_where_it_cannot_be_had_the_rest_goes_on_and_what_serves_goes_on_too(host: FakeHost) -> None:
    assert ONE.spare
    ONE.make(host, None)
    del host.machine.downloads[NEWER]
    with pytest.raises(Unreached, match=r"can't be had"):
        TWO.make(host, ONE)
    assert index(host) == "one"


def test_the_one_before_stays_and_the_way_back_needs_no_network(host: FakeHost) -> None:
    ONE.make(host, None)
    TWO.make(host, ONE.find(host))
    assert (index(host), host.names(OPT)) == ("two", ("1.0", "2.0", "current"))
    host.machine.downloads.clear()
    ONE.make(host, TWO.find(host))
    assert (index(host), host.names(OPT)) == ("one", ("1.0", "2.0", "current"))


def test_of_three_the_oldest_goes_and_so_does_what_a_killed_run_left(host: FakeHost) -> None:
    third = archive({"index.html": b"three"})
    host.machine.downloads["https://releases.test/3"] = third
    ONE.make(host, None)
    TWO.make(host, ONE)
    host.write(f"{OPT}/.0123456789abcdef.part", b"x", 0o644)
    host.mkdir(f"{OPT}/.1.0.building/files", 0o755)
    Download(OPT, "3.0", sha256(third), url="https://releases.test/3").make(host, TWO)
    assert (index(host), host.names(OPT)) == ("three", ("2.0", "3.0", "current"))


def test_the_same_version_of_another_archive_takes_its_place(host: FakeHost) -> None:
    ONE.make(host, None)
    again = replace(TWO, version="1.0")
    assert again.find(host) == replace(ONE, url=NEWER)
    again.make(host, ONE)
    assert (index(host), host.names(OPT)) == ("two", ("1.0", "current"))


def test_a_good_signature_by_the_pinned_key_is_enough_and_leaves_no_keyring(
    host: FakeHost, signers: dict[str, Signer]
) -> None:
    signed(host, signers["upstream"], signers["upstream"].sign(FIRST)).make(host, None)
    assert index(host) == "one"
    assert host.names(f"{OPT}/1.0") == ("complete.json", "files")


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("other key", "was made with another key"),
        ("both keys", "was made with another key"),
        ("other file", "is of another file"),
        ("nonsense", "is none"),
        ("expired", "has expired"),
        ("late", "was made with a key that has expired"),
        ("no key", "was made with another key"),
    ],
)
def test_any_other_signature_is_refused_and_leaves_nothing(
    case: str, said: str, host: FakeHost, signers: dict[str, Signer]
) -> None:
    upstream, other, late = signers["upstream"], signers["other"], signers["late"]
    made = {
        "other key": (upstream, other.sign(FIRST), None),
        "both keys": (upstream, other.sign(FIRST), upstream.key + other.key),
        "other file": (upstream, upstream.sign(SECOND), None),
        "nonsense": (upstream, b"<html>", None),
        "expired": (upstream, upstream.sign(FIRST, "--default-sig-expire", "1d"), None),
        "late": (late, late.sign(FIRST), None),
        "no key": (upstream, upstream.sign(FIRST), b"<html>"),
    }
    wanted = signed(host, *made[case])
    with pytest.raises(Error, match=f"{said}, so nothing was installed"):
        wanted.make(host, None)
    assert [name for name in host.names(OPT) if not name.endswith(".part")] == []


def test_what_lies_in_a_directory_is_taken_from_there_and_checked_all_the_same(
    host: FakeHost, signers: dict[str, Signer]
) -> None:
    wanted = replace(signed(host, signers["upstream"], None), shelf="/srv/wheels")
    host.machine.downloads.clear()
    host.mkdir("/srv/wheels", 0o755)
    for name, data in (("element-1.tar.gz", FIRST + b"x"), ("key.asc", signers["upstream"].key)):
        host.write(f"/srv/wheels/{name}", data, 0o644)
    host.write("/srv/wheels/element-1.tar.gz.asc", signers["upstream"].sign(FIRST), 0o644)
    with pytest.raises(Error, match="not the file that is pinned"):
        wanted.make(host, None)
    host.write("/srv/wheels/element-1.tar.gz", FIRST, 0o644)
    wanted.make(host, None)
    assert index(host) == "one"


def test_without_its_signature_a_release_that_has_one_waits(host: FakeHost, signers: dict[str, Signer]) -> None:
    with pytest.raises(Unreached, match=r"element-1\.tar\.gz\.asc can't be had"):
        signed(host, signers["upstream"], None).make(host, None)
    assert host.node(f"{OPT}/current") is None


def test_all_of_it_goes_when_it_is_not_asked_for_any_more(host: FakeHost) -> None:
    ONE.make(host, None)
    TWO.make(host, ONE)
    Download(OPT).undo(host)
    assert host.node(OPT) is None
    assert host.node("/opt/matrix-baremetal") is not None


def test_what_is_no_archive_is_a_program(host: FakeHost) -> None:
    program = b"\x7fELF and more"
    host.machine.downloads[URL] = program
    wanted = Download("/opt/matrix-baremetal/bridges/whatsapp", "1.0", sha256(program), url=URL, program="whatsapp")
    wanted.make(host, None)
    assert wanted.find(host) == wanted
    file = host.path(f"{wanted.path}/current/files/whatsapp")
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (program, 0o755)
    wanted.undo(host)
    assert not host.path(wanted.path).exists()
