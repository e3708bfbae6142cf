"""Names that the homeserver had before: it answers there for who has not learnt the new one yet.

Other servers keep what well-known told them for up to 48 hours (Matrix spec, server-server API, "Server discovery"),
a client keeps the homeserver's URL until somebody logs in anew.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.components.component import Component
from matrix_baremetal.components.synapse import passed_on
from matrix_baremetal.needs import Domain, Need, Needs, VHost
from matrix_baremetal.resources.resource import Resource


class FormerHostnames(Component):
    """The same as under the hostname, without the page for people: they are to see the new name."""

    def wanted(self) -> bool:
        return bool(self.config.former_hostnames)

    def needs(self) -> Iterator[Need]:
        for name in self.config.former_hostnames:
            yield Domain(name)
            yield VHost(name, (passed_on(self.config, "/_matrix", "/_synapse/client"),))

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield from ()
