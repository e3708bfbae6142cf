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

    def shown(self, name: str, *, there: bool) -> dict[str, str]:
        """What `systemctl show` knows of it."""
        return {
            "LoadState": "loaded" if there else "not-found",
            "ActiveState": "active" if self.active else "inactive" if self.result == "success" else "failed",
            "UnitFileState": "enabled" if self.enabled else "disabled",
            "NeedDaemonReload": "yes" if self.outdated else "no",
            "InvocationID": f"{self.invocation:032x}" if self.invocation else "",
            "ExecMainStartTimestampMonotonic": str(int(self.began * 1e6)),
            "ActiveEnterTimestampMonotonic": str(int(self.began * 1e6)),
            "MainPID": str(self.process if self.active else 0),
            "SubState": "running" if self.active else "dead",
            "NRestarts": str(self.restarts),
            "Result": self.result,
            "ExecMainExitTimestamp": "",
            "MemoryCurrent": "1048576" if self.active else "[not set]",
            "ControlGroup": f"/system.slice/{name}" if self.active else "",
        }
