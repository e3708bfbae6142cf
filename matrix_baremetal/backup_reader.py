"""A backup, opened and read from its first byte to its last."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from matrix_baremetal.archive import Reader
from matrix_baremetal.encryption import ZSTD, plain
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.transfer import Transfer


def look(host: Host, path: str, identity: str | None, transfer: Transfer, title: str) -> dict[str, Any]:
    """Read a backup from its first byte to its last; its table of contents. Raises `Damaged`."""
    transfer.begin(title)
    with readable(host, path, identity, moved=transfer.add) as reader:
        deque(reader.walk(), maxlen=0)
    transfer.end()
    return reader.manifest


@contextlib.contextmanager
def readable(
    host: Host,
    path: str,
    identity: str | None,
    *,
    hashed: bool = True,
    moved: Callable[[int], None] = lambda _: None,
) -> Iterator[Reader]:
    """A backup, opened."""
    try:
        source = host.path(path).open("rb", 0)
    except OSError as error:
        raise Error(f"can't read {path}: {error.strerror}", hint="matrix-baremetal backup list") from None
    with source, plain(host, path, source, identity) as out:
        yield Reader(out, hashed=hashed, moved=moved)


def summed(host: Host, path: str) -> bool:
    """Whether an archive is not encrypted, and zstd made a checksum of all of it (RFC 8878 §3.1.1.1.1), as ours does.

    Who packed it again by hand may have left that out.
    """
    try:
        with host.path(path).open("rb") as file:
            head = file.read(len(ZSTD) + 1)
    except OSError:
        return False
    return head[:-1] == ZSTD and bool(head[-1] & 4)
