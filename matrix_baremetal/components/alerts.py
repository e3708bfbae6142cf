"""Who is told of what the daily look finds: people in a room of ours. The telling itself is `alert`."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.checks.alerts import Told
from matrix_baremetal.checks.check import Check
from matrix_baremetal.components.component import Component
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.alert_room import NOTE, AlertRoom
from matrix_baremetal.resources.resource import Resource

# Long, so that it is nobody's.
LOCALPART = "matrix-baremetal-alerts"


class Alerts(Component):
    """The room, and the user who writes there."""

    def wanted(self) -> bool:
        return bool(self.config.alerts.invite)

    @property
    def _user(self) -> str:
        return f"@{LOCALPART}:{self.config.server_name}"

    def resources(self, needs: Needs) -> Iterator[Resource]:
        people = sorted(f"@{name}:{self.config.server_name}" for name in self.config.alerts.invite)
        yield AlertRoom(self._user, tuple(people), store=self.site.store(USER))

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield Told(self._user)

    def data(self, needs: Needs) -> Data:
        # The token is among the secrets.
        return Data((NOTE,))
