"""A systemd unit, as far as we ask for one or start it."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass
class Unit:
    """A systemd unit; one that is `broken` does not start, one that is `outdated` wants a daemon-reload.

    One that is `deaf` does not take up what it is told to reload, as nginx where a port is somebody else's.
    """

    active: bool = False
    enabled: bool = False
    invocation: int = 0
    began: float = 0.0
    outdated: bool = False
    broken: bool = False
    deaf: bool = False
    reloads: int = 0
    restarts: int = 0
    result: str = "success"

    @property
    def process(self) -> int:
        """Its main process."""
        return 100 * self.invocation

    def start(self) -> None:
        """A new process."""
        self.active, self.invocation, self.began = True, self.invocation + 1, time.clock_gettime(time.CLOCK_MONOTONIC)
