"""heisenbridge, which speaks IRC for people here; it keeps what it has to know in Synapse's rooms."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator

from matrix_baremetal.components.bridges.bridge import OPT, Bridge
from matrix_baremetal.components.programs import virtualenv
from matrix_baremetal.config_beside import Owned
from matrix_baremetal.resources.files import Directory, Link
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.versions import lock


class Heisenbridge(Bridge):
    """One of it, with accounts, rooms and an owner of its own. It needs no database."""

    keys = "enabled: true, owner: NAME"

    @property
    @abstractmethod
    def asked(self) -> Owned:
        """What the config says of it."""

    @property
    def place(self) -> str:
        """Where its program is, each version in a directory."""
        return f"{OPT}/{self.name}"

    def wanted(self) -> bool:
        """As the config says."""
        return self.asked.enabled

    def options(self) -> Iterator[str]:
        """Whose it is: else it would be that of whoever comes first."""
        yield f"--owner={self.words()['owner']}"

    def words(self) -> dict[str, str]:
        """Whose it is."""
        return {"owner": f"@{self.asked.owner}:{self.config.server_name}"}

    def program(self) -> Iterator[Resource]:
        """A virtualenv from the lock, beside the older ones."""
        version, pins = self.site.versions.heisenbridge.version, lock("heisenbridge")
        yield Directory(OPT, 0o755)
        yield Directory(self.place, 0o755)
        yield virtualenv(f"{self.place}/{version}", pins, self.site.facts.python, self.site.wheelhouse)
        yield Link(f"{self.place}/current", version)

    def reads(self) -> tuple[str, ...]:
        """The version that is the current one, and its virtualenv."""
        version = self.site.versions.heisenbridge.version
        return f"{self.place}/current", f"{self.place}/{version}/complete.json"
