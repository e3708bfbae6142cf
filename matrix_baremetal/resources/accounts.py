"""System users and groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import Resource


@dataclass(frozen=True)
class SystemUser(Resource):
    """A user and group of one name that our sysusers.d file declares (sysusers.d(5)); the package makes it too."""

    live: ClassVar[bool] = True

    user: str

    @property
    def title(self) -> str:
        return f"system user {self.user}"

    def find(self, host: Host) -> Self | None:
        try:
            host.uid(self.user)
            host.gid(self.user)
        except Error:
            return None
        return self

    def make(self, host: Host, found: Self | None) -> None:
        host.run("systemd-sysusers", "/usr/lib/sysusers.d/matrix-baremetal.conf")


def as_user(name: str) -> tuple[str, ...]:
    """What stands before a command to run it as a system user. Not runuser: its PAM session takes its time."""
    return "setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups"
