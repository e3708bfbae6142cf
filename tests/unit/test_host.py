"""Files below a root: whole or not at all, with their owners."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from matrix_baremetal.errors import Error
from matrix_baremetal.host import DISPLACED, Host, beside
from tests.fakes import FakeHost, Killed, Machine


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    return FakeHost(Machine(tmp_path))


def test_a_file_is_written_with_its_mode_and_owner_and_nothing_is_left_beside(host: FakeHost) -> None:
    host.write("/etc/x", "Grüße\n", 0o640, "root", "root")
    node = host.node("/etc/x")
    assert node
    assert (node.kind, node.mode, node.owner, node.group) == ("file", 0o640, "root", "root")
    assert host.text("/etc/x") == "Grüße\n"
    assert [name for name in host.names("/etc") if name.startswith("x")] == ["x"]


def test_bytes_that_are_no_text_survive_being_read_and_written(host: FakeHost) -> None:
    host.write("/etc/x", b"\xff\n", 0o644)
    host.write("/etc/y", host.text("/etc/x") or "", 0o644)
    assert host.read("/etc/y") == b"\xff\n"


def test_a_write_that_is_killed_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    seen = set()
    for at in range(1, 5):
        FakeHost(machine).write("/etc/x", "old" * 1000, 0o644)
        with pytest.raises(Killed):
            FakeHost(machine, at).write("/etc/x", "new" * 1000, 0o600)
        seen.add((machine.at("/etc/x").read_text()[:3], machine.at("/etc/x").stat().st_size))
    assert seen == {("old", 3000), ("new", 3000)}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(host: FakeHost) -> None:
    host.write("/etc/x", "old", 0o644)
    with pytest.raises(Error, match="no user nobody-here"):
        host.write("/etc/x", "new", 0o644, "nobody-here")
    assert host.text("/etc/x") == "old"
    assert not any("new" in name for name in host.names("/etc"))


def test_what_a_killed_run_left_beside_is_written_over(host: FakeHost) -> None:
    host.machine.put(beside("/etc/x"), "half", 0o400)
    host.write("/etc/x", "whole", 0o644)
    host.machine.put(beside("/etc/l"), "half", 0o400)
    host.link("/etc/l", "x")
    assert host.text("/etc/x") == host.text("/etc/l") == "whole"
    assert not any("new" in name for name in host.names("/etc"))


def test_what_is_half_written_is_hidden_from_programs_that_read_all_in_a_directory() -> None:
    assert beside("/etc/nginx/sites-enabled/x") == "/etc/nginx/sites-enabled/.x.matrix-baremetal-new"


def test_a_link_that_somebody_put_in_the_way_is_not_followed(host: FakeHost) -> None:
    host.machine.put("/etc/victim", "safe")
    host.path(beside("/etc/x")).symlink_to("victim")
    host.path("/etc/x").symlink_to("victim")
    host.write("/etc/x", "ours", 0o644)
    assert host.text("/etc/victim") == "safe"
    assert host.target("/etc/x") is None


def test_a_place_that_is_not_there_is_a_sentence_and_a_next_step(host: FakeHost) -> None:
    with pytest.raises(Error, match="cannot write /nowhere/x: ") as caught:
        host.write("/nowhere/x", "", 0o644)
    assert caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_that_may_not_be_written_asks_for_root(host: FakeHost) -> None:
    host.path("/etc").chmod(0o500)
    with pytest.raises(Error, match="may not write /etc/x") as caught:
        host.write("/etc/x", "", 0o644)
    host.path("/etc").chmod(0o755)
    assert "sudo" in (caught.value.hint or "")


class Closed(type(Path())):  # type: ignore[misc]
    """A path that may not be read, whoever asks: tests run as root."""

    def read_bytes(self) -> bytes:
        raise PermissionError(13, "Permission denied")

    def lstat(self) -> os.stat_result:
        raise PermissionError(13, "Permission denied")


class ClosedHost(Host):
    """A host of such paths."""

    def path(self, path: str) -> Path:
        return Closed(super().path(path))


def test_a_file_that_may_not_be_read_asks_for_root(tmp_path: Path) -> None:
    for ask in (Host.text, Host.node):
        with pytest.raises(Error, match="may not read /etc/x") as caught:
            ask(ClosedHost(tmp_path), "/etc/x")
        assert "sudo" in (caught.value.hint or "")


def test_a_name_that_no_file_can_have_is_a_sentence(host: FakeHost) -> None:
    for ask in (Host.text, Host.node, Host.names):
        with pytest.raises(Error, match=r"cannot read /a+: File name too long"):
            ask(host, f"/{'a' * 300}")


def test_what_is_not_there_is_none_and_not_an_error(host: FakeHost) -> None:
    host.machine.put("/etc/file", "")
    for path in ("/nothing", "/etc/file/below", "/etc"):
        assert host.read(path) is None
        assert host.text(path) is None
        assert host.target(path) is None
    assert host.node("/nothing") is None
    assert host.node("/etc/file/below") is None
    assert host.names("/nothing") == host.names("/etc/file") == ()


def test_parents_that_are_made_can_be_entered_whatever_the_umask(host: FakeHost) -> None:
    before = os.umask(0o077)
    try:
        host.mkdir("/run/ours/part/deep", 0o750)
    finally:
        os.umask(before)
    modes = [
        host.path(path).stat().st_mode & 0o777 for path in ("/run/ours", "/run/ours/part", "/run/ours/part/deep")
    ]
    assert modes == [0o755, 0o755, 0o750]


def test_a_link_is_turned_in_one_step_and_found_as_written(host: FakeHost) -> None:
    host.link("/etc/l", "one")
    host.link("/etc/l", "two")
    assert host.target("/etc/l") == "two"
    node = host.node("/etc/l")
    assert node
    assert node.kind == "link"


def test_a_directory_that_is_there_gets_its_mode(host: FakeHost) -> None:
    host.mkdir("/srv/a/b", 0o700)
    host.mkdir("/srv/a/b", 0o750)
    modes = [host.path(path).stat().st_mode & 0o777 for path in ("/srv/a", "/srv/a/b")]
    assert modes == [0o755, 0o750]


def test_removing_takes_files_links_and_empty_directories_and_no_more(host: FakeHost) -> None:
    host.machine.put("/srv/full/file", "")
    host.path("/srv/link").symlink_to("full")
    host.path("/srv/empty").mkdir()
    for path in ("/srv/full", "/srv/link", "/srv/empty", "/srv/nothing"):
        host.remove(path)
    assert host.names("/srv") == ("full",)
    host.remove_tree("/srv/full")
    host.remove_tree("/srv/full")
    assert host.names("/srv") == ()


def test_a_copy_is_kept_aside_for_root_alone_and_the_original_stays(host: FakeHost) -> None:
    host.machine.put("/etc/x", "theirs", 0o644)
    kept = host.displace("/etc/x")
    assert kept
    assert re.fullmatch(rf"{DISPLACED}/\d{{8}}T\d{{6}}/etc/x", kept)
    assert host.text(kept) == host.text("/etc/x") == "theirs"
    assert host.path(DISPLACED).stat().st_mode & 0o777 == 0o700
    assert host.displace("/nothing") is None
    assert host.displace("/etc") is None


def test_owners_of_a_folder_that_will_be_a_system_are_its_own(tmp_path: Path) -> None:
    Machine(tmp_path).put("/etc/passwd", "root:x:0:0::/:\nsynapse:x:4711:4711::/:\nbroken\n")
    host = Host(tmp_path)
    assert not host.live
    assert (host.uid("synapse"), host.uid("root")) == (4711, 0)
    with pytest.raises(Error, match="there is no user alice"):
        host.uid("alice")
    with pytest.raises(Error, match="there is no group synapse"):
        host.gid("synapse")


def test_space_is_told_by_file_system(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    host = Host(tmp_path)
    room = host.space("/a")
    assert (room.device, room.size > 0, room.files > 0) == (tmp_path.stat().st_dev, True, True)
