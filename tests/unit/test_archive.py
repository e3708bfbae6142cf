"""The format of a backup: what was written is read again, and whatever else is refused."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import pytest

from matrix_baremetal import archive
from matrix_baremetal.archive import Damaged, Reader, Writer, harmless
from matrix_baremetal.errors import Error
from matrix_baremetal.forward import Piped

ABOUT: dict[str, Any] = {"id": "0123456789abcdef", "server_name": "example.org", "made": 1, "links": {}, "trees": {}}
ABOUT["stores"] = {"database": {"kind": "postgres"}}
Change = Callable[[tarfile.TarInfo, bytes], tuple[tarfile.TarInfo, bytes] | None]


@pytest.fixture
def small() -> bytes:
    """An archive with a file and two streams, one of which is empty."""
    sink = io.BytesIO()
    writer = Writer(sink)
    writer.file("/etc/a/config.yaml", b"server_name: x\n", 0o640, "root", "matrix-synapse")
    assert sum(writer.stream("database", io.BytesIO(b"d" * (archive.PIECE + 5)))) == archive.PIECE + 5
    assert sum(writer.stream("media", io.BytesIO(b""))) == 0
    writer.finish(ABOUT)
    return sink.getvalue()


def read(data: bytes) -> tuple[dict[str, int], dict[str, Any]]:
    """The sizes by name, and the table of contents."""
    reader = Reader(io.BytesIO(data))
    return {name: len(file.read()) for name, file in reader.walk()}, reader.manifest


def rewritten(data: bytes, change: Change, *more: tuple[str, bytes]) -> bytes:
    """An archive with some members changed (None: left out) and more of them before the table of contents."""
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for row in old:
            if row.name == "manifest.json":
                for name, text in more:
                    extra = tarfile.TarInfo(name)
                    extra.size = len(text)
                    new.addfile(extra, io.BytesIO(text))
            file = old.extractfile(row)
            if (changed := change(row, file.read() if file else b"")) is not None:
                changed[0].size = len(changed[1])
                new.addfile(changed[0], io.BytesIO(changed[1]))
    return out.getvalue()


def same(row: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
    return row, data


def told(**change: Any) -> Change:
    """Another table of contents."""

    def edit(row: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        return row, json.dumps(json.loads(data) | change).encode() if row.name == "manifest.json" else data

    return edit


def test_what_was_written_is_read_again(small: bytes) -> None:
    sizes, manifest = read(small)
    assert sizes == {
        "README": len(archive.README),
        "files/etc/a/config.yaml": 15,
        "streams/database": archive.PIECE + 5,
    }
    assert (manifest["server_name"], manifest["format"]) == ("example.org", archive.FORMAT)
    [row] = [row for row in manifest["members"] if row["name"].startswith("files/")]
    assert (row["mode"], row["owner"], row["group"]) == (0o640, "root", "matrix-synapse")


def test_a_stream_that_nobody_reads_is_looked_at_all_the_same(small: bytes) -> None:
    reader = Reader(io.BytesIO(small))
    assert [name for name, _ in reader.walk()] == ["README", "files/etc/a/config.yaml", "streams/database"]
    assert reader.manifest


def test_cut_off_anywhere_it_is_no_backup(small: bytes) -> None:
    # A tar ends with two empty blocks, and may lack them.
    places = {0, 1, 511, 512, 1000, *range(2000, len(small) - 10240, len(small) // 40)}
    for place in sorted(places):
        with pytest.raises(Damaged):
            read(small[:place])


def test_a_flipped_bit_is_seen_wherever_it_means_something(small: bytes) -> None:
    whole = read(small)
    wrong = 0
    for place in range(100, len(small), len(small) // 60):
        flipped = bytearray(small)
        flipped[place] ^= 1
        try:
            # What a bit of padding says, nobody reads.
            assert read(bytes(flipped)) == whole
        except Damaged:
            wrong += 1
    assert wrong > 50


@pytest.mark.parametrize(
    "name",
    [
        "files/../etc/passwd",
        "files/etc/./a",
        "/etc/passwd",
        "files//etc/a",
        "files/",
        "other",
        "streams/database/000007",
        "streams/../000000",
        "streams/database/000000",
        "README",
        "manifest.json",
    ],
)
def test_a_name_that_no_backup_has_is_refused(small: bytes, name: str) -> None:
    with pytest.raises(Damaged):
        read(rewritten(small, same, (name, b"x")))


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_what_is_no_file_is_refused(small: bytes, kind: bytes) -> None:
    def into(row: tarfile.TarInfo, data: bytes) -> tuple[tarfile.TarInfo, bytes]:
        if row.name.startswith("files/"):
            row.type, row.linkname = kind, "/etc/passwd"
            return row, b""
        return row, data

    with pytest.raises(Damaged, match="no backup has"):
        read(rewritten(small, into))


def test_a_member_that_is_missing_or_too_many_is_seen(small: bytes) -> None:
    with pytest.raises(Damaged, match="not what was written"):
        read(rewritten(small, lambda row, data: None if row.name.startswith("files/") else (row, data)))
    with pytest.raises(Damaged, match="not what was written"):
        read(rewritten(small, same, ("files/etc/b", b"x")))


def test_what_a_newer_release_wrote_is_refused_in_those_words(small: bytes) -> None:
    with pytest.raises(Error, match="written by a newer matrix-baremetal"):
        read(rewritten(small, told(format=archive.FORMAT + 1)))


@pytest.mark.parametrize("change", [{"id": "../x"}, {"id": 5}, {"links": []}, {"stores": {"a": 1}}, {"made": "x"}])
def test_a_table_of_contents_without_sense_is_refused(small: bytes, change: dict[str, Any]) -> None:
    with pytest.raises(Damaged, match="makes no sense"):
        read(rewritten(small, told(**change)))
    with pytest.raises(Damaged, match="makes no sense"):
        read(rewritten(small, told(members=[{"name": 1}])))


def media(*names: str, kind: bytes = tarfile.REGTYPE) -> Piped:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name in names:
            row = tarfile.TarInfo(name)
            row.type, row.linkname = kind, "/etc"
            tar.addfile(row)
    return Piped(io.BytesIO(out.getvalue()))


def test_media_are_files_below_their_places_and_nothing_else() -> None:
    harmless(media("local_content/a/b", "local_thumbnails/c"), ("local_content", "local_thumbnails"))
    for bad in ("../x", "/etc/x", "local_content/../../x", "elsewhere/x", "local_content/./x"):
        with pytest.raises(Damaged):
            harmless(media(bad), ("local_content",))
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.BLKTYPE):
        with pytest.raises(Damaged):
            harmless(media("local_content/a", kind=kind), ("local_content",))
    with pytest.raises(Damaged):
        harmless(Piped(io.BytesIO(b"x" * 2000)), ("local_content",))


def test_media_end_where_the_tar_does() -> None:
    """GNU tar goes on after a header that makes no sense, and would take out a link that no scan has seen."""
    good, link = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=link, mode="w") as tar:
        row = tarfile.TarInfo("local_content/link")
        row.type, row.linkname = tarfile.SYMTYPE, "/etc"
        tar.addfile(row)
    with tarfile.open(fileobj=good, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("local_content/a"))
    for between in (b"", b"x" * tarfile.BLOCKSIZE):
        data = good.getvalue()[: tarfile.BLOCKSIZE] + between + link.getvalue()
        with pytest.raises(Damaged):
            harmless(Piped(io.BytesIO(data)), ("local_content",))


def test_media_are_looked_at_across_the_pieces_of_an_archive() -> None:
    """The names are read and what is in the files is skipped, wherever a piece ends."""
    tar, sink = io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w") as out:
        for number in range(5):
            row = tarfile.TarInfo(f"local_content/{'x' * 120}{number}")
            row.size = archive.PIECE // 2 + 333
            out.addfile(row, io.BytesIO(b"\1" * row.size))
    writer = Writer(sink)
    moved = list(writer.stream("media", io.BytesIO(tar.getvalue())))
    writer.finish(ABOUT)
    sink.seek(0)
    told: list[int] = []
    reader = Reader(sink, moved=told.append)
    for _, content in reader.walk():
        if content.name == "streams/media":
            harmless(content, ("local_content",))
    assert told[1:] == moved
    assert len(moved) > 2


def test_a_file_that_is_only_read_on_does_not_go_back() -> None:
    file = Piped(io.BytesIO(b"0123456789"))
    assert (file.read(2), file.seek(5), file.read(2), file.tell()) == (b"01", 5, b"56", 7)
    with pytest.raises(ValueError, match="read on"):
        file.seek(3)
    with pytest.raises(ValueError, match="read on"):
        file.seek(0, io.SEEK_END)
    assert (file.seek(99), file.read(1)) == (10, b"")
