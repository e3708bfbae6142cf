"""Trying again what failed through something that may go by itself: a network that is late at boot, another apt."""

from __future__ import annotations

import time
from collections.abc import Callable

from matrix_baremetal import log
from matrix_baremetal.errors import Error

# Seconds from one try to the next; the last one for all that follow. A first boot waits seconds for DNS, not hours.
WAITS = (5, 10, 20, 30, 60)


def patiently(
    attempt: Callable[[], int],
    seconds: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """The exit status of `attempt`, which is tried again for up to `seconds` while it fails with what may pass.

    Each failure is told, so that a log shows what is waited for. Raises the last `Error` when the time is over, and
    any other at once: a mistake in the config doesn't go by itself.
    """
    end = clock() + seconds
    failures = 0
    while True:
        try:
            return attempt()
        except Error as error:
            wait = WAITS[min(failures, len(WAITS) - 1)]
            if not error.passes or clock() + wait > end:
                raise
            log.warn(f"{error.message}; trying again in {wait} s")
        failures += 1
        sleep(wait)
