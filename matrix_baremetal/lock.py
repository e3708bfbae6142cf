"""The one lock of a host: no two runs change it at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator

from matrix_baremetal.errors import Busy
from matrix_baremetal.host import Host, said_of

LOCK = "/run/lock/matrix-baremetal.lock"
# Seconds that what a killed run has started may take to end: apt is the slowest.
ORPHANS = 600.0
# Seconds that a process which was killed just now may still be seen on a busy machine.
DYING = 2.0


@contextlib.contextmanager
def locked(host: Host, command: str, wait: float = 0) -> Iterator[None]:
    """Hold the one lock of this host; the kernel lets go of it when we and what we started have ended.

    Waits up to `wait` seconds, and a moment in any case, then raises `Busy` with who holds it and since when. Where
    a run was killed, the program that it had started may still be at work: that is waited for, so that no two are.
    """
    with said_of(LOCK):
        host.path(LOCK).parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(host.path(LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.set_inheritable(handle, True)
    try:
        began = time.monotonic()
        while not taken(handle):
            holder = os.pread(handle, 4096, 0)
            if time.monotonic() > began + max(wait, DYING if alive(holder) else ORPHANS):
                raise busy(holder)
            time.sleep(0.1)
        os.ftruncate(handle, 0)
        note = {"command": command, "pid": os.getpid(), "since": time.strftime("%H:%M:%S")}
        os.pwrite(handle, json.dumps(note).encode(), 0)
        host.run.inherited = (handle,)
        yield
    finally:
        host.run.inherited = ()
        os.close(handle)


def alive(note: bytes) -> bool:
    """Whether the run that wrote its note into the lock is still there."""
    try:
        return os.path.exists(f"/proc/{int(json.loads(note)['pid'])}")
    except (ValueError, KeyError, TypeError):
        return True


def taken(handle: int) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def busy(note: bytes) -> Busy:
    """Who holds the lock, in words."""
    hint = "wait for it to end, then run this again"
    try:
        holder = json.loads(note)
        since = f"since {holder['since']}, process {holder['pid']}"
        return Busy(f"another run is at work: {holder['command']} ({since})", hint=hint, passes=True)
    except (ValueError, KeyError, TypeError):
        return Busy("another run of matrix-baremetal is at work", hint=hint, passes=True)
