"""The format of a backup: a tar of files and of streams, and last its table of contents with checksums.

    README                      how to get at it by hand
    files/etc/…                 files as they were
    streams/NAME/000000 …       what a program wrote, such as pg_dump, in pieces: cat them together
    manifest.json               what it is, and size, SHA-256, mode and owner of each of these

What was cut off has no table of contents, so it is never taken for a whole one. Nothing here touches the host: what
compresses, encrypts and keeps it is in `backup`.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from matrix_baremetal.digests import Digests
from matrix_baremetal.errors import Error
from matrix_baremetal.forward import Forward, Piped, rows

if TYPE_CHECKING:
    from concurrent.futures import Future

# Each release reads all since the first.
FORMAT, FIRST = 1, 1
# Bytes of a stream in one member: tar wants to know a member's size before its content.
PIECE = 8 * 1024 * 1024
# Bytes that are passed on at once where nobody wants a checksum: they stay in a processor's cache.
FEW = 1024 * 1024
# Bytes: files are configs and keys. Each is held in memory, so somebody's bomb is none.
MOST = 16 * 1024 * 1024
MANIFEST = "manifest.json"
NAME = re.compile(r"README|manifest\.json|files(?:/[^/\0]+)+|streams/[a-z-]+/[0-9]{6}")
README = """\
A backup of a Matrix homeserver, made by matrix-baremetal. On a new machine with that package:

    matrix-baremetal restore THIS-FILE

By hand: files/ are files as they were; streams/database/* put together are a dump for pg_restore (or an SQLite
file), streams/media/* a tar. For example: cat streams/media/* | tar -tv
"""


class Damaged(Error):
    """This is no backup, or no whole one."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="take another backup: matrix-baremetal backup list")


@dataclass(frozen=True)
class Member:
    """One member as the table of contents has it; mode, owner and group matter for files alone."""

    name: str
    size: int
    sha256: str
    mode: int = 0o600
    owner: str = "root"
    group: str = "root"


@dataclass
class Writer:
    """Puts members into `sink`, one after the other; `finish` makes it whole."""

    sink: BinaryIO

    def __post_init__(self) -> None:
        self._digests = Digests()
        self._members: list[tuple[tarfile.TarInfo, Future[str]]] = []
        self._put("README", README.encode())

    def file(self, path: str, data: bytes, mode: int, owner: str, group: str) -> None:
        """A file, to go back to where it was."""
        if len(data) > MOST:
            raise Error(f"{path} has more than {MOST >> 20} MB; no config or key has", hint=f"ls -l {path}")
        self._put(f"files{path}", data, mode, owner, group)

    def stream(self, name: str, source: BinaryIO) -> Iterator[int]:
        """All that comes out of `source`; yields the bytes of each piece."""
        for number, data in enumerate(iter(lambda: whole(source, PIECE), b"")):
            self._put(f"streams/{name}/{number:06}", data)
            yield len(data)

    def finish(self, about: dict[str, Any]) -> None:
        """The table of contents, and with it the end."""
        rows = [
            vars(Member(row.name, row.size, digest.result(), row.mode, row.uname, row.gname))
            for row, digest in self._members
        ]
        self._put(MANIFEST, json.dumps({"format": FORMAT, **about, "members": rows}, indent=1).encode())
        self.sink.write(b"\0" * 2 * tarfile.BLOCKSIZE)

    def _put(self, name: str, data: bytes, mode: int = 0o600, owner: str = "root", group: str = "root") -> None:
        row = tarfile.TarInfo(name)
        row.size, row.mode, row.uname, row.gname = len(data), mode, owner, group
        self._members.append((row, self._digests.of(data)))
        # By hand, as tarfile's own stream complains on stderr of a sink that broke.
        self.sink.write(row.tobuf(tarfile.PAX_FORMAT))
        self.sink.write(data)
        self.sink.write(b"\0" * (-len(data) % tarfile.BLOCKSIZE))


def whole(source: BinaryIO, size: int) -> bytes:
    """So many bytes, fewer only at the end: a pipe gives what it has."""
    pieces = []
    while size and (data := source.read(size)):
        pieces.append(data)
        size -= len(data)
    return b"".join(pieces)


class Reader:
    """Reads members as they come out of `source`, once. `manifest` is there when all of them have been looked at.

    Raises `Damaged` where a name, a kind, a size or a checksum is not as it should be, and where the end is missing.
    Without `hashed` no checksums of members are made, and zstd's own, of all that it was given, has to do. That is
    enough for what this machine has read with them before, and takes a third of the time. `moved` is told the bytes
    of each member.
    """

    def __init__(
        self, source: io.BufferedIOBase, *, hashed: bool = True, moved: Callable[[int], None] = lambda _: None
    ) -> None:
        self.source, self._moved = source, moved
        self._digests = Digests() if hashed else None
        self._seen: list[tuple[str, int, Future[str] | None]] = []
        self.manifest: dict[str, Any] = {}
        self._next: tuple[str, bytes] | None = None

    def walk(self) -> Iterator[tuple[str, Content]]:
        """Each file and each stream by its name, the whole of a stream as one file; what isn't read is skipped."""
        self._members = self._checked()
        self._next = next(self._members, None)
        while self._next is not None:
            content = Content(self, whose(self._next[0]))
            yield content.name, content
            content.drain()
        self._complete()

    def piece(self, name: str) -> bytes | None:
        """The next piece of a file or stream; None where it has ended."""
        if self._next is None or whose(self._next[0]) != name:
            return None
        data = self._next[1]
        self._next = next(self._members, None)
        return data

    def _checked(self) -> Iterator[tuple[str, bytes]]:
        names, last = set[str](), ""
        for row, content in self._rows():
            name = row.name
            if self.manifest or name in names or not follows(name, last):
                raise Damaged(f"the archive has a member where none can be: {name!r}")
            names.add(name)
            last = name
            if name == MANIFEST:
                self.manifest = parsed(exact(content, row, row.size))
                continue
            if self._digests:
                data = exact(content, row, row.size)
                self._seen.append((name, row.size, self._digests.of(data)))
                yield name, data
            else:
                self._seen.append((name, row.size, None))
                for at in range(0, max(row.size, 1), FEW):
                    yield name, exact(content, row, min(row.size - at, FEW))
            self._moved(row.size)

    def _rows(self) -> Iterator[tuple[tarfile.TarInfo, io.BufferedIOBase]]:
        """Members of such names, kinds and sizes as a backup has."""
        try:
            for row, content in rows(Piped(self.source)):
                name = row.name
                if not row.isreg() or not NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
                    raise Damaged(f"the archive has a member that no backup has: {name!r}")
                if row.size > MOST and name != MANIFEST:
                    raise Damaged(f"the archive has a member of {row.size >> 20} MB, more than any has: {name!r}")
                yield row, content
        except (tarfile.TarError, EOFError) as error:
            raise Damaged(f"the archive is damaged: {error}") from None

    def _complete(self) -> None:
        if not self.manifest:
            raise Damaged("the archive was cut off: its table of contents, which comes last, is missing")
        rows = self.manifest["members"]
        listed = [(row["name"], row["size"], row["sha256"] if self._digests else "") for row in rows]
        seen = [(name, size, digest.result() if digest else "") for name, size, digest in self._seen]
        if listed != seen:
            wrong = next((b[0] for a, b in zip(listed, seen, strict=False) if a != b), "its number of members")
            raise Damaged(f"the archive is not what was written: {wrong} is another than in its table of contents")


def follows(name: str, last: str) -> bool:
    """Whether a member may come after another: the pieces of a stream in their order, and a stream begins once."""
    if not name.startswith("streams/"):
        return True
    (stream, _, number), (before, _, old) = name.rpartition("/"), last.rpartition("/")
    return int(number) == (int(old) + 1 if stream == before else 0)


def exact(content: io.BufferedIOBase, row: tarfile.TarInfo, size: int) -> bytes:
    """The next bytes of a member. Raises `Damaged` where there are fewer."""
    data = content.read(size)
    if len(data) != size:
        raise Damaged(f"the archive ends in the middle of {row.name}")
    return data


def whose(member: str) -> str:
    """The name of what a member belongs to: a stream's, or a file's, which is one member."""
    return member.rpartition("/")[0] if member.startswith("streams/") else member


class Content(Forward):
    """A file or a stream of an archive, whole."""

    def __init__(self, reader: Reader, name: str) -> None:
        self.name, self._reader = name, reader
        self._left = memoryview(b"")

    def readinto(self, buffer: Any) -> int:
        self._fill()
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        self._at += size
        return size

    def skip(self, size: int) -> int:
        self._fill()
        size = min(size, len(self._left))
        self._left = self._left[size:]
        return size

    def pieces(self) -> Iterator[bytes]:
        """It from its beginning, as it was written."""
        while (data := self._reader.piece(self.name)) is not None:
            yield data

    def drain(self) -> None:
        """Pass over what is left."""
        for _ in self.pieces():
            pass

    def _fill(self) -> None:
        while not self._left and (data := self._reader.piece(self.name)) is not None:
            self._left = memoryview(data)


def parsed(data: bytes) -> dict[str, Any]:
    """The table of contents. Raises `Damaged` where it makes no sense, and `Error` where a newer release wrote it."""
    try:
        found = json.loads(data)
        if int(found["format"]) > FORMAT:
            raise Error(
                f"this backup was written by a newer matrix-baremetal (format {found['format']}) than this one",
                hint="apt install matrix-baremetal",
            )
        if int(found["format"]) < FIRST:
            raise ValueError
        names = [str(row["name"]) + str(row["owner"] + row["group"]) for row in found["members"]]
        sizes = [int(row["size"]) + int(row["mode"]) for row in found["members"]]
        if not (names and sizes and re.fullmatch(r"[0-9a-f]{16}", found["id"]) and found["server_name"]):
            raise ValueError
        tables = [found["links"], found["trees"], found["stores"], *found["stores"].values()]
        if not all(isinstance(table, dict) for table in tables) or int(found["made"]) < 0:
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Damaged("the archive's table of contents makes no sense") from None
    return dict(found)


def harmless(source: Forward, tops: tuple[str, ...]) -> None:
    """Hold that a tar inside of an archive has nothing but files and directories below these names.

    Raises `Damaged`.
    """
    try:
        for row, _ in rows(source):
            words = row.name.split("/")
            if not (row.isreg() or row.isdir()) or {"", ".", ".."} & set(words) or words[0] not in tops:
                raise Damaged(f"the archive has something among the media that can't be there: {row.name!r}")
    except (tarfile.TarError, EOFError) as error:
        raise Damaged(f"the media in the archive are damaged: {error}") from None
