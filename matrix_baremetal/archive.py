"""The format of a backup: a tar of files and of streams, and last its table of contents with checksums.

    README                      how to get at it by hand
    files/etc/…                 files as they were
    streams/NAME/000000 …       what a program wrote, such as pg_dump, in pieces: cat them together
    manifest.json               what it is, and size, SHA-256, mode and owner of each of these

What was cut off has no table of contents, so it is never taken for a whole one. Nothing here touches the host: what
compresses, encrypts and keeps it is in `backup`.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import tarfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

from matrix_baremetal.errors import Error

if TYPE_CHECKING:
    from concurrent.futures import Future

# Each release reads all since the first.
FORMAT, FIRST = 1, 1
# Bytes of a stream in one member: tar wants to know a member's size before its content.
PIECE = 8 * 1024 * 1024
# Bytes: files are configs and keys. Each is held in memory, so somebody's bomb is none.
MOST = 16 * 1024 * 1024
# How many pieces have their checksum made at the same time.
WORKERS = 2
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


class Digests:
    """SHA-256 of one piece after the other, beside the work that moves them: it takes longer than all the rest."""

    def __init__(self) -> None:
        # Late, as most commands read and write no archive.
        from concurrent.futures import ThreadPoolExecutor

        self._workers = ThreadPoolExecutor(WORKERS)
        self._under_way: deque[Future[str]] = deque()

    def of(self, data: bytes) -> Future[str]:
        """It is given later; of so many pieces at most at once, as they are held in memory until then."""
        if len(self._under_way) > WORKERS:
            self._under_way.popleft().result()
        self._under_way.append(self._workers.submit(sha256, data))
        return self._under_way[-1]


def sha256(data: bytes) -> str:
    """As a table of contents has it."""
    return hashlib.sha256(data).hexdigest()


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
        self._put("manifest.json", json.dumps({"format": FORMAT, **about, "members": rows}, indent=1).encode())
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
    enough for what this machine has read with them before, and takes a third of the time.
    """

    def __init__(self, source: BinaryIO, *, hashed: bool = True) -> None:
        self.source, self.hashed = source, hashed
        self._digests = Digests()
        self._seen: list[tuple[str, int, Future[str] | None]] = []
        self.manifest: dict[str, Any] = {}
        self._next: tuple[str, bytes] | None = None

    def walk(self) -> Iterator[tuple[str, BinaryIO]]:
        """Each file and each stream by its name, the whole of a stream as one file; what isn't read is skipped."""
        try:
            with tarfile.open(fileobj=self.source, mode="r|", bufsize=PIECE) as tar:
                self._members = self._checked(tar)
                self._next = next(self._members, None)
                while self._next is not None:
                    name, data = self._next
                    if name.startswith("streams/"):
                        stream = Stream(self, name.rpartition("/")[0])
                        yield stream.name, stream  # type: ignore[misc]
                        stream.drain()
                    else:
                        self._next = next(self._members, None)
                        yield name, io.BytesIO(data)
        except (tarfile.TarError, EOFError) as error:
            raise Damaged(f"the archive is damaged: {error}") from None
        self._complete()

    def piece(self, stream: str) -> bytes | None:
        """The next piece of a stream; None where it has ended."""
        if self._next is None or self._next[0].rpartition("/")[0] != stream:
            return None
        data = self._next[1]
        self._next = next(self._members, None)
        return data

    def _checked(self, tar: tarfile.TarFile) -> Iterator[tuple[str, bytes]]:
        names, last = set[str](), ""
        for row in tar:
            name = row.name
            if not row.isreg() or not NAME.fullmatch(name) or {".", ".."} & set(name.split("/")):
                raise Damaged(f"the archive has a member that no backup has: {name!r}")
            if self.manifest or name in names or not follows(name, last):
                raise Damaged(f"the archive has a member where none can be: {name!r}")
            names.add(name)
            last = name
            if row.size > MOST and name != "manifest.json":
                raise Damaged(f"the archive has a member of {row.size >> 20} MB, more than any has: {name!r}")
            file = tar.extractfile(row)
            data = file.read() if file else b""
            if len(data) != row.size:
                raise Damaged(f"the archive ends in the middle of {name}")
            if name == "manifest.json":
                self.manifest = parsed(data)
            else:
                self._seen.append((name, row.size, self._digests.of(data) if self.hashed else None))
                yield name, data

    def _complete(self) -> None:
        if not self.manifest:
            raise Damaged("the archive was cut off: its table of contents, which comes last, is missing")
        rows = self.manifest["members"]
        listed = [(row["name"], row["size"], row["sha256"] if self.hashed else "") for row in rows]
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


class Stream(io.RawIOBase):
    """A stream of an archive as one file."""

    def __init__(self, reader: Reader, name: str) -> None:
        self.reader, self.name = reader, name
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(self.reader.piece(self.name) or b"")
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size

    def pieces(self) -> Iterator[bytes]:
        """What is left of it, as it was written."""
        while (data := self.reader.piece(self.name)) is not None:
            yield data

    def drain(self) -> None:
        """Pass over what is left."""
        for _ in self.pieces():
            pass


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


def harmless(source: BinaryIO, tops: tuple[str, ...]) -> None:
    """Hold that a tar inside of an archive has nothing but files and directories below these names.

    Raises `Damaged`.
    """
    try:
        with tarfile.open(fileobj=source, mode="r|", bufsize=PIECE) as tar:
            for row in tar:
                words = row.name.split("/")
                if not (row.isreg() or row.isdir()) or {"", ".", ".."} & set(words) or words[0] not in tops:
                    raise Damaged(f"the archive has something among the media that can't be there: {row.name!r}")
    except (tarfile.TarError, EOFError) as error:
        raise Damaged(f"the media in the archive are damaged: {error}") from None
