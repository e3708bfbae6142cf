"""Files, links, directories and secrets, where the contract of all kinds does not say enough."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal.errors import Error
from matrix_baremetal.resources import files
from matrix_baremetal.resources.files import Directory, File, Link, Secret
from matrix_baremetal.resources.resource import Resource
from tests.fakes import FakeHost, Machine

CONF = "/etc/nginx/conf.d/ours.conf"
TEST = ("nginx", "-t")
GOOD, BAD = files.TestedFile(CONF, "a {}\n", test=TEST), files.TestedFile(CONF, "a {\n", test=TEST)


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(Machine(tmp_path))


@pytest.mark.parametrize("before", [None, "old {}\n"])
def test_a_file_that_its_program_refuses_is_put_back_as_it_was_with_the_programs_words(
    before: str | None, host: FakeHost
) -> None:
    if before:
        host.machine.put(CONF, before)
    with pytest.raises(Error, match=r"accept the new .* so the old one is back: nginx: .emerg.") as caught:
        BAD.make(host, BAD.find(host))
    assert caught.value.hint == "nginx -t"
    assert host.text(CONF) == before
    assert host.names("/etc/nginx/conf.d") == (("ours.conf",) if before else ())


def test_a_file_that_was_written_and_never_tested_is_tested_by_the_next_run(host: FakeHost) -> None:
    GOOD.make(host, None)
    host.write(GOOD.before, "", 0o600)
    found = GOOD.find(host)
    assert found
    assert not found.tested
    GOOD.make(host, found)
    assert GOOD.find(host) == GOOD


def test_what_is_put_back_after_a_kill_is_what_was_there_before_the_first_try(host: FakeHost) -> None:
    host.machine.put(CONF, "first {}\n")
    host.write(BAD.before, "first {}\n", 0o600)
    host.machine.put(CONF, BAD.content)
    with pytest.raises(Error):
        BAD.make(host, BAD.find(host))
    assert host.text(CONF) == "first {}\n"


def test_only_the_mode_is_mended_where_only_the_mode_is_wrong(host: FakeHost) -> None:
    file = File("/etc/x", "same", 0o640)
    host.machine.put("/etc/x", "same", 0o777)
    inode = host.path("/etc/x").stat().st_ino
    file.make(host, file.find(host))
    assert file.find(host) == file
    assert host.path("/etc/x").stat().st_ino == inode


def test_a_link_where_a_file_should_be_is_replaced_and_not_written_through(host: FakeHost) -> None:
    host.machine.put("/etc/victim", "safe")
    host.path("/etc/x").symlink_to("victim")
    file = File("/etc/x", "ours")
    file.make(host, file.find(host))
    assert file.find(host) == file
    assert host.text("/etc/victim") == "safe"


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        (File("/etc/d"), "is a directory, and a file is to be there"),
        (Link("/etc/d", "x"), "is a directory, and a link to x is to be there"),
        (Directory("/etc/f"), "is a file, and a directory is to be there"),
        (Secret("/etc/d"), "should hold a secret and is a directory"),
        (Secret("/etc/f"), "should hold a secret and is empty"),
    ],
)
def test_something_else_in_the_place_is_not_taken_away_but_told(
    resource: Resource, words: str, host: FakeHost
) -> None:
    host.machine.put("/etc/f", "")
    host.path("/etc/d").mkdir()
    with pytest.raises(Error, match=words) as caught:
        resource.find(host)
    assert caught.value.hint


def test_a_secret_that_is_there_is_never_made_again(host: FakeHost) -> None:
    secret = Secret("/etc/s")
    host.machine.put("/etc/s", "the first", 0o644)
    secret.make(host, secret.find(host))
    assert secret.find(host) == secret
    assert host.text("/etc/s") == "the first"


def test_no_two_secrets_are_the_same_and_none_is_short(host: FakeHost) -> None:
    for name in ("a", "b"):
        Secret(f"/etc/{name}").make(host, None)
    first, second = host.text("/etc/a") or "", host.text("/etc/b") or ""
    assert first != second
    assert min(len(first), len(second)) >= 43


WITNESSED = Secret("/etc/s", witness="/etc/came-after")


def test_a_secret_is_made_as_long_as_nothing_was_made_with_it(host: FakeHost) -> None:
    WITNESSED.make(host, WITNESSED.find(host))
    host.machine.put("/etc/came-after", "")
    assert WITNESSED.find(host) == WITNESSED


def test_a_secret_that_is_gone_is_never_made_anew_once_something_was_made_with_it(host: FakeHost) -> None:
    host.machine.put("/etc/came-after", "")
    with pytest.raises(Error, match="/etc/s should hold a secret and is gone") as caught:
        WITNESSED.find(host)
    assert "backup" in (caught.value.hint or "")
    assert host.node("/etc/s") is None
