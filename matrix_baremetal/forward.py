"""A file that can only be read on, for tarfile, which asks to go elsewhere: what it skips is read and let go.

tarfile has a mode of its own for this (`r|`), which copies each byte four times.
"""

from __future__ import annotations

import io
import tarfile
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

# Bytes that are read to be let go, at most at once.
PIECE = 1024 * 1024


class Forward(io.RawIOBase):
    """A file that has a place, `_at`, and goes to a later one by skipping what is between."""

    _at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, to: int, whence: int = io.SEEK_SET) -> int:
        """Skip what is before this place; a file that is shorter stays at its end. Raises `ValueError` to go back."""
        if whence == io.SEEK_CUR and to == 0:
            return self._at
        if whence != io.SEEK_SET or to < self._at:
            raise ValueError("this file can only be read on")
        while self._at < to and (size := self.skip(to - self._at)):
            self._at += size
        return self._at

    @abstractmethod
    def skip(self, size: int) -> int:
        """Let go of at most so many bytes; how many they were, 0 at the end."""


class Piped(Forward):
    """What comes out of a pipe."""

    def __init__(self, source: io.BufferedIOBase) -> None:
        self._source = source

    def readinto(self, buffer: Any) -> int:
        size = self._source.readinto(buffer)
        self._at += size
        return size

    def skip(self, size: int) -> int:
        return len(self._source.read(min(size, PIECE)))


def rows(source: Forward) -> Iterator[tuple[tarfile.TarInfo, io.BufferedIOBase]]:
    """Each member of a tar, and the file to read what is in it from: its next `size` bytes.

    Raises `tarfile.TarError`, also where something comes after the end: what one program passes over, another reads.
    """
    # Whole reads of what a pipe gives in parts; large ones go past its buffer.
    whole = io.BufferedReader(source)
    with tarfile.open(fileobj=whole, mode="r:") as tar:
        while row := tar.next():
            yield row, whole
            # It keeps every one that it has seen; of a million media that is a gigabyte.
            tar.members.clear()  # type: ignore[attr-defined]
    while data := whole.read(PIECE):
        if data.strip(b"\0"):
            raise tarfile.ReadError("something comes after its end")
