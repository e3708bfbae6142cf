"""What a component is: one part of a Matrix host, which turns the site into resources and touches nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from matrix_baremetal.checks.check import Check
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Need, Needs
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service
from matrix_baremetal.site import Site

ETC = "/etc/matrix-baremetal"
SECRETS = f"{ETC}/secrets"
TLS = f"{ETC}/tls"
STATE = "/var/lib/matrix-baremetal"
DATA = "/var/lib/matrix-synapse"
UNITS = "/usr/lib/systemd/system"


class Component(ABC):
    """One part of a Matrix host. Pure: the site in, needs and resources out."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.config = site.config

    def wanted(self) -> bool:
        """Whether this site has this part."""
        return True

    def needs(self) -> Iterator[Need]:
        """What it needs of other components."""
        yield from ()

    @abstractmethod
    def resources(self, needs: Needs) -> Iterator[Resource]:
        """What should be on the host, in the order of making; `needs` are those of all components."""

    def checks(self, needs: Needs) -> Iterator[Check]:
        """What to ask of it beyond what its declarations are asked anyway (checks/declared.py), causes first."""
        yield from ()

    def data(self, needs: Needs) -> Data:
        """What a backup must hold of it: what no run could make again."""
        return Data()


def service_reads(unit: str) -> tuple[str, ...]:
    """Where a unit of ours is defined: its file, and the drop-ins that an admin may add."""
    return f"{UNITS}/{unit}", f"/etc/systemd/system/{unit}.d"


_TIMER = "matrix-baremetal-address.timer"
# It starts those again that were told an address which is another by now; whoever needs that declares it.
FOLLOWS = Service(_TIMER, reads=service_reads(_TIMER))
