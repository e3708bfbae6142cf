"""Units of Debian packages that must not start, as another of ours takes their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.systemd import shown

PLACE, NOTHING = "/etc/systemd/system", "/dev/null"


@dataclass(frozen=True)
class Mask(Resource):
    """A unit that nothing starts: neither its package at its install, nor a boot.

    It is masked before its package comes, which starts it else with a config of its own. Unmasked, it stays off.
    """

    unit: str

    @property
    def path(self) -> str:
        """Where systemd looks first."""
        return f"{PLACE}/{self.unit}"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,)

    @property
    def title(self) -> str:
        return f"mask of {self.unit}"

    def find(self, host: Host) -> Self | None:
        node = host.node(self.path)
        if node is None:
            return None
        if host.target(self.path) != NOTHING:
            raise Error(
                f"{self.path} is somebody's own, and {self.unit} is not to start",
                hint=f"systemctl disable --now {self.unit}; mv {self.path} {self.path}.old",
            )
        return self

    def make(self, host: Host, found: Self | None) -> None:
        if host.live and shown(host, self.unit, "ActiveState")["ActiveState"] == "active":
            raise Error(f"{self.unit} runs, and it is not ours to stop", hint=f"systemctl disable --now {self.unit}")
        if host.node(PLACE) is None:
            host.mkdir(PLACE, 0o755)
        host.link(self.path, NOTHING)
        if host.live:
            host.run("systemctl", "daemon-reload")

    def undo(self, host: Host) -> None:
        # Before it could start: its package has enabled it all the same.
        if host.live:
            host.run("systemctl", "disable", "--quiet", self.unit, ok=range(256))
        if host.target(self.path) == NOTHING:
            host.remove(self.path)
        if host.live:
            host.run("systemctl", "daemon-reload")
            host.run("systemctl", "disable", "--quiet", self.unit, ok=range(256))
