"""A release archive becomes files: no path leads out of it, and no link, device or foreign mode comes out of it.

By hand, as the filters of `tarfile` (PEP 706) are newer than Debian 12's Python and let links stay links.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import zlib
from pathlib import Path
from typing import IO

from matrix_baremetal.errors import Error
from matrix_baremetal.names import shown

# Element Web, the largest, has some thousand files and less than 100 MB.
MOST_FILES = 30_000
MOST_BYTES = 1 << 30
DAMAGED = (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError)


class Unsafe(Error):
    """An archive holds what no release should."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"the archive holds {shown(name, 80)}, {why}, so nothing of it was installed",
            hint="tell those who made the release; another one can be named in the config: release",
        )


def unpack(archive: Path, target: Path) -> None:
    """Unpack a tar file, compressed or not, into an empty directory. Raises `Unsafe` at the first odd thing."""
    room = MOST_BYTES
    try:
        with tarfile.open(archive, "r:*") as tar:
            for count, member in enumerate(tar):
                place = target.joinpath(*words(member.name))
                if count >= MOST_FILES:
                    raise Unsafe(member.name, f"one of more than {MOST_FILES} files")
                if member.isdir():
                    directory(place, target, member.name)
                    continue
                directory(place.parent, target, member.name)
                room -= copied(contents(tar, member), place, member.name, room)
    except DAMAGED as error:
        raise Error(f"the archive is damaged: {error}", hint="matrix-baremetal apply fetches it anew") from None


def words(name: str) -> tuple[str, ...]:
    """The parts of a path that stays below where it begins."""
    found = tuple(word for word in name.split("/") if word not in ("", "."))
    if name.startswith("/") or ".." in found:
        raise Unsafe(name, "which leads out of it")
    if not name.isprintable() or "\\" in name or any(len(word.encode()) > 255 for word in found):
        raise Unsafe(name, "which is no name of a file")
    return found


def directory(place: Path, target: Path, name: str) -> None:
    """Make a directory and those above it, as far as the target."""
    try:
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise Unsafe(name, "a folder where there is a file already") from None
    while place != target:
        place.chmod(0o755)
        place = place.parent


def contents(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The bytes of a file; a link's are those of the member that it names, so no link is ever made."""
    if member.islnk() or member.issym():
        words(
            member.linkname if member.islnk() else f"{member.name.rpartition('/')[0]}/{member.linkname}".lstrip("/")
        )
        if member.linkname.startswith("/"):
            raise Unsafe(member.name, "a link that leads out of it")
    elif not member.isreg():
        raise Unsafe(member.name, "which is neither a file nor a folder")
    try:
        found = tar.extractfile(member)
    except (KeyError, RecursionError):
        found = None
    if found is None:
        raise Unsafe(member.name, "a link to no file of it")
    return found


def copied(source: IO[bytes], place: Path, name: str, room: int) -> int:
    """Write a file that is not there yet; how many bytes it has."""
    try:
        with source, place.open("xb") as file:
            for piece in iter(lambda: source.read(1 << 18), b""):
                file.write(piece)
                if file.tell() > room:
                    raise Unsafe(name, f"with which it has more than {MOST_BYTES >> 20} MB")
            place.chmod(0o644)
            return file.tell()
    except (FileExistsError, IsADirectoryError):
        raise Unsafe(name, "which is there twice") from None


def moved_up(target: Path) -> None:
    """Where all of it is in one folder, as element-v1.2.3, that folder's contents take its place."""
    found = [*target.iterdir()]
    if len(found) != 1 or not found[0].is_dir():
        return
    # Renamed first: there may be one of the same name in it.
    single = found[0].rename(target.with_name(f"{target.name}.single"))
    for each in single.iterdir():
        shutil.move(each, target / each.name)
    single.rmdir()
