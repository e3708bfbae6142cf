"""The doctor's daily look, whose news go to the journal."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.components.component import Component, service_reads
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

TIMER = "matrix-baremetal-doctor.timer"


class Doctor(Component):
    """The timer. What is asked, each component says of itself."""

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield Service(TIMER, reads=service_reads(TIMER))
