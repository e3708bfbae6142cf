"""Archives that would do more than lie there: each is refused with its name, and no byte lands outside."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from matrix_baremetal.errors import Error
from matrix_baremetal.resources import unpack
from tests.fake_releases import archive, odd


def unpacked(tmp_path: Path, raw: bytes) -> Path:
    """What becomes of an archive."""
    (tmp_path / "archive").write_bytes(raw)
    target = tmp_path / "a/b/files"
    target.mkdir(parents=True)
    unpack.unpack(tmp_path / "archive", target)
    return target


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"../escaped": b"x"}, 'the archive holds "../escaped", which leads out of it'),
        ({"a/../../escaped": b"x"}, "which leads out of it"),
        ({"/escaped": b"x"}, "which leads out of it"),
        ({"a\\..\\b": b"x"}, "which is no name of a file"),
        ({"a\x1b[2J": b"x"}, "which is no name of a file"),
        ({"é" * 200: b"x"}, "which is no name of a file"),
        ({"a": odd("a", tarfile.SYMTYPE, "/etc/passwd")}, "a link that leads out of it"),
        ({"a": odd("a", tarfile.SYMTYPE, "../../etc/passwd")}, "which leads out of it"),
        ({"a": odd("a", tarfile.SYMTYPE, "missing")}, "a link to no file of it"),
        ({"a": odd("a", tarfile.SYMTYPE, "a")}, "a link to no file of it"),
        ({"a": odd("a", tarfile.LNKTYPE, "/etc/passwd")}, "which leads out of it"),
        ({"a": odd("a", tarfile.LNKTYPE, "later"), "later": b"x"}, "a link to no file of it"),
        ({"d": odd("d", tarfile.DIRTYPE), "a": odd("a", tarfile.SYMTYPE, "d"), "a/b": b"x"}, "a link to no file"),
        ({"a": odd("a", tarfile.CHRTYPE)}, "neither a file nor a folder"),
        ({"a": odd("a", tarfile.BLKTYPE)}, "neither a file nor a folder"),
        ({"a": odd("a", tarfile.FIFOTYPE)}, "neither a file nor a folder"),
        ({"a": b"x", "./a": b"y"}, "which is there twice"),
        ({"a": b"x", "a/b": b"y"}, "a folder where there is a file already"),
        ({"a/b": b"x", "a": b"y"}, "which is there twice"),
    ],
)
def test_what_no_release_should_hold_is_refused(
    files: dict[str, bytes | tarfile.TarInfo], said: str, tmp_path: Path
) -> None:
    with pytest.raises(Error) as caught:
        unpacked(tmp_path, archive(files))
    assert said in caught.value.message
    assert caught.value.message.isprintable()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "archive"]
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink() or path.name == "escaped"]


def test_a_link_within_becomes_what_it_names(tmp_path: Path) -> None:
    files: dict[str, bytes | tarfile.TarInfo] = {"d/a": b"x"}
    files |= {"d/b": odd("d/b", tarfile.LNKTYPE, "d/a"), "d/c": odd("d/c", tarfile.SYMTYPE, "a")}
    target = unpacked(tmp_path, archive(files))
    for name in ("a", "b", "c"):
        place = target / "d" / name
        assert (place.read_bytes(), place.is_symlink(), place.stat().st_nlink) == (b"x", False, 1)


def test_modes_of_the_archive_count_for_nothing(tmp_path: Path) -> None:
    folder, program = odd("d", tarfile.DIRTYPE), odd("d/empty", tarfile.REGTYPE)
    folder.mode, program.mode = 0o777, 0o6777
    target = unpacked(tmp_path, archive({"d": folder, "d/empty": program}))
    assert (target / "d").stat().st_mode & 0o7777 == 0o755
    assert (target / "d/empty").stat().st_mode & 0o7777 == 0o644


def test_more_than_there_may_be_is_refused(tmp_path: Path) -> None:
    member = odd("large", tarfile.REGTYPE)
    member.size = unpack.MOST_BYTES + 1
    with tarfile.open(tmp_path / "bomb", "w:gz", compresslevel=1) as tar, open("/dev/zero", "rb") as zeros:
        tar.addfile(member, zeros)
    with pytest.raises(Error, match="more than 1024 MB"):
        unpacked(tmp_path, (tmp_path / "bomb").read_bytes())


@pytest.mark.parametrize("raw", [b"", b"<html>", archive({"a": b"x" * 9999})[:60]])
def test_what_is_no_archive_or_half_of_one_is_said(raw: bytes, tmp_path: Path) -> None:
    with pytest.raises(Error, match="the archive is damaged"):
        unpacked(tmp_path, raw)


def test_a_folder_around_all_goes_and_one_of_the_same_name_in_it_stays(tmp_path: Path) -> None:
    target = unpacked(tmp_path, archive({"files/files/index.html": b"x", "files/b": b"y"}))
    unpack.moved_up(target)
    assert {str(path.relative_to(target)) for path in target.rglob("*")} == {"files", "files/index.html", "b"}
    assert [path.name for path in target.parent.iterdir()] == ["files"]
