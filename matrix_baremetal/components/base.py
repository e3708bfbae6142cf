"""What all other parts stand on: the directories, and the target that holds the units together."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.firstboot import FirstBoot
from matrix_baremetal.checks.growth import Forecast
from matrix_baremetal.checks.machine import Addresses, Disk, Inodes, Killed, Memory, Right, Synchronised
from matrix_baremetal.checks.names import Resolver
from matrix_baremetal.checks.router import Router
from matrix_baremetal.components.component import DATA, ETC, SECRETS, STATE, TLS, Component
from matrix_baremetal.components.firewall import opened
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.accounts import SystemUser
from matrix_baremetal.resources.files import Directory
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

TARGET = "matrix-baremetal.target"


class Base(Component):
    """Directories, the service's user, and the target."""

    def resources(self, needs: Needs) -> Iterator[Resource]:
        # First, as the manifest goes there before anything is made: a plan and its run say the same.
        yield Directory(STATE, 0o755)
        yield SystemUser("matrix-synapse")
        # Not the service's own: a process that was broken into can't take the signing key's file away.
        yield Directory(DATA, 0o755)
        yield Directory(ETC, 0o755)
        yield Directory(SECRETS, 0o700)
        yield Directory(TLS, 0o755)
        # It reads nothing that a restart would renew, and a restart of it is one of all its units.
        yield Service(TARGET)

    def data(self, needs: Needs) -> Data:
        return Data((f"{ETC}/config.yaml", SECRETS))

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield FirstBoot()
        for name, path in {"system": "/", "state": STATE}.items():
            yield Disk(name, path)
            yield Inodes(name, path)
            yield Forecast(name, path)
        yield from (Memory(), Killed(), Synchronised(), Addresses(), Router(self.config.hostname))
        url = self.config.acme.url
        yield Right(url)
        yield Resolver(urlsplit(url).hostname or "")
        if self.config.wall.kind == "none":
            # One that nobody asked us to open may be in the way all the same.
            yield opened(self.site, needs)
