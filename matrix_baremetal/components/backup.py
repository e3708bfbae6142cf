"""Backups: where they are kept, the timer that makes one each night, and what encrypts them."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal import encryption
from matrix_baremetal.checks.backup import Age, Drill
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.machine import Disk
from matrix_baremetal.components.component import STATE, Component, service_reads
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.files import Directory, File
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

UNIT = "matrix-baremetal-backup.service"
TIMER = "matrix-baremetal-backup.timer"
DROP_INS = f"/etc/systemd/system/{UNIT}.d"


class Backup(Component):
    """The timer and its directory. What is in a backup, each component says of itself."""

    def resources(self, needs: Needs) -> Iterator[Resource]:
        backup = self.config.backup
        if backup.encrypt_to:
            yield Packages("encryption", (encryption.PACKAGES[encryption.kind(backup.encrypt_to)],))
        if self._inside:
            yield Directory(backup.directory, 0o700)
        elif backup.schedule == "daily":
            # The unit may write nowhere else, and systemd's specifiers begin with a sign that no path here has.
            yield Directory(DROP_INS, 0o755)
            yield File(f"{DROP_INS}/50-matrix-baremetal.conf", PLACE.format(backup.directory))
        if backup.schedule == "daily":
            yield Service(TIMER, reads=service_reads(TIMER))

    @property
    def _inside(self) -> bool:
        return self.config.backup.directory.startswith(f"{STATE}/")

    def checks(self, needs: Needs) -> Iterator[Check]:
        yield Age(self.config.backup.schedule == "daily")
        yield Drill(bool(self.config.backup.encrypt_to))
        if not self._inside:
            yield Disk("backups", self.config.backup.directory)

    def data(self, needs: Needs) -> Data:
        recipient = self.config.backup.encrypt_to or ""
        return Data((), (recipient,) if recipient.startswith("/") else ())


PLACE = """\
# Written by matrix-baremetal, from backup.directory of its config.
[Service]
ReadWritePaths=-{0}
"""
