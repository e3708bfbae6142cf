"""Being asked to stop: the step under way ends whole, and no other begins."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

from matrix_baremetal import log
from matrix_baremetal.errors import Error

ASKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(Error):
    """Somebody asked us to stop; the exit status is 128 and the signal's number, as shells have it."""

    def __init__(self, number: int) -> None:
        super().__init__(
            "stopped between two steps; what is done is whole", hint="the same command goes on from here"
        )
        self.status = 128 + number


class Stop:
    """Whether we were asked, and by which signal."""

    number: int | None = None

    def heed(self) -> None:
        """Raise `Stopped` if we were asked: called where everything is whole."""
        if self.number is not None:
            raise Stopped(self.number)

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal; whoever sends a second one gets what it says at once."""
        self.number = number
        for each in ASKED:
            signal.signal(each, signal.SIG_DFL)
        with contextlib.suppress(OSError):
            log.warn("ending the step under way, then stopping; once more to stop at once")


@contextlib.contextmanager
def stoppable() -> Iterator[Stop]:
    """While this lasts, signals are noted and not obeyed at once."""
    stop = Stop()
    before = {number: signal.signal(number, stop.ask) for number in ASKED}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
