"""SHA-256 of much data, made beside the work that moves it."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future

# How many pieces have theirs made at the same time.
WORKERS = 2


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
