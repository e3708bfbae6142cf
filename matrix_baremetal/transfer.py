"""How far a long copy is: on a terminal a line with bytes and rate, elsewhere a line at the end of each part."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

MB = 1024 * 1024


class Transfer:
    """Told of each part's beginning, its bytes, its end. Drawn only where a person watches; silent if `quiet`."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet
        self.drawn = not quiet and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.begin("")

    def begin(self, title: str, *, rows: bool = False) -> None:
        """Another part; a step that moves no bytes is one too. What it moves may be `rows`."""
        self.rows = rows
        self.title, self.size, self.began, self._shown = title, 0, time.monotonic(), 0.0
        self._draw()

    def add(self, size: int) -> None:
        """So many bytes more."""
        self.size += size
        self._draw()

    def carry(self, pieces: Iterable[bytes], into: BinaryIO) -> None:
        """One piece after the other into a file."""
        for data in pieces:
            into.write(data)
            self.add(len(data))

    def end(self) -> float:
        """It is done; after how many seconds."""
        spent = self._seconds()
        if not self.quiet:
            clear = "\r\x1b[K" if self.drawn else ""
            print(f"{clear}  ✓ {spent:5.1f} s  {self.title}{self._amount()}", flush=True)
        return spent

    @contextlib.contextmanager
    def ticking(self) -> Iterator[None]:
        """While one program is at work that tells nothing: what is drawn goes on with the time."""
        over = threading.Event()

        def tick() -> None:
            while not over.wait(0.5):
                self._draw()

        thread = threading.Thread(target=tick, daemon=True)
        if self.drawn:
            thread.start()
        try:
            yield
        finally:
            over.set()
            if self.drawn:
                thread.join()

    def say(self, line: str) -> None:
        """A line of its own, above what is drawn."""
        if not self.quiet:
            clear = "\r\x1b[K" if self.drawn else ""
            print(f"{clear}{line}", flush=True)

    def _draw(self) -> None:
        now = time.monotonic()
        if self.drawn and self.title and now - self._shown > 0.2:
            self._shown = now
            print(f"\r\x1b[K  … {self._seconds():5.1f} s  {self.title}{self._amount()}", end="", flush=True)

    def _seconds(self) -> float:
        return time.monotonic() - self.began

    def _amount(self) -> str:
        if not self.size:
            return ""
        if self.rows:
            return f"  ({self.size:,} rows, {self.size / max(self._seconds(), 0.001):,.0f}/s)"
        return f"  ({amount(self.size)}, {self.size / MB / max(self._seconds(), 0.001):.0f} MiB/s)"


def amount(size: int) -> str:
    """Bytes for a person."""
    if size < MB:
        return f"{size / 1024:.0f} KiB"
    return f"{size / MB:.1f} MiB" if size < 1024 * MB else f"{size / MB / 1024:.1f} GiB"
