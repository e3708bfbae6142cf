"""Certificates by ACME: ordered once nginx answers on port 80, served from then on, tried again by a timer."""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal.components.component import Component, service_reads
from matrix_baremetal.components.nginx import ACME, served, service
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.certificates import Certificate
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

TIMER = "matrix-baremetal-certificates.timer"


class Certificates(Component):
    """The certificates that are served under the names that others need."""

    def resources(self, needs: Needs) -> Iterator[Resource]:
        acme = self.config.acme
        ordered = self.config.tls.mode == "acme"
        if ordered:
            yield Packages("certificates", ("certbot",))
        for domain in needs.domains():
            if ordered:
                yield Certificate(domain, acme.url, webroot=ACME, email=acme.email)
            yield served(self.config, domain)
        # Once more: it has to serve what has just come.
        yield service(needs.domains())
        if ordered:
            yield Service(TIMER, reads=service_reads(TIMER))
            yield Service("certbot.timer")
