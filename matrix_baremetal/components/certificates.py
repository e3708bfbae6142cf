"""Certificates by ACME: ordered once nginx answers on port 80, served from then on, tried again by a timer.

The same timer takes up a pair of the operator's own when it has been replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from matrix_baremetal.checks import certificates as checks
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.names import Authorised
from matrix_baremetal.components.component import SECRETS, STATE, TLS, Component, service_reads
from matrix_baremetal.components.nginx import ACME, key_pair, served, service
from matrix_baremetal.config_tls import DIRECTORIES, Acme
from matrix_baremetal.data import Data
from matrix_baremetal.needs import Needs
from matrix_baremetal.resources.certificates import Certificate, lineage
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.services import Service

TIMER = "matrix-baremetal-certificates.timer"
REHEARSAL = "matrix-baremetal-rehearsal.timer"


class Certificates(Component):
    """The certificates that are served under the names that others need."""

    def resources(self, needs: Needs) -> Iterator[Resource]:
        plugin, mode = self.config.acme.dns_plugin, self.config.tls.mode
        if mode == "acme":
            yield Packages("certificates", ("certbot", *((package(plugin),) if plugin else ())))
        for domain in needs.domains():
            if mode == "acme":
                yield self._certificate(domain, needs)
            yield served(self.config, domain)
        # Once more: it has to serve what has just come.
        yield service(needs.domains())
        if mode != "self-signed":
            yield Service(TIMER, reads=service_reads(TIMER))
        if mode == "acme":
            yield Service("certbot.timer")
            yield Service(REHEARSAL, reads=service_reads(REHEARSAL))

    def data(self, needs: Needs) -> Data:
        """The same certificates serve on another machine, before the DNS leads there, and are renewed there."""
        tls, found = self.config.tls, list[str]()
        if tls.certificate and tls.key:
            return Data((), (tls.certificate, tls.key))
        for domain in needs.domains() if tls.mode == "acme" else ():
            name, certbot = lineage(domain), "/etc/letsencrypt"
            found += (f"{certbot}/archive/{name}", f"{certbot}/live/{name}", f"{certbot}/renewal/{name}.conf")
            found.append(f"{STATE}/certificates/{domain}.json")
        # Last, as it is what a renewal needs: the account that the others were ordered by.
        return Data((*found, "/etc/letsencrypt/accounts")) if found else Data()

    def _certificate(self, domain: str, needs: Needs) -> Certificate:
        acme = self.config.acme
        return Certificate(
            domain,
            acme.url,
            dns_plugin=acme.dns_plugin or "",
            dns_propagation=acme.dns_propagation or 0,
            credentials=credentials(acme) or "",
            webroot=ACME,
            email=acme.email,
            staging=DIRECTORIES["letsencrypt-staging"] if acme.url == DIRECTORIES["letsencrypt"] else "",
            addresses=self.site.facts.addresses,
            served=f"{TLS}/{domain}/current",
            elsewhere=needs.elsewhere(domain),
        )

    def checks(self, needs: Needs) -> Iterator[Check]:
        acme, source, domains = self.config.acme, self.config.tls.mode, needs.domains()
        for domain in domains:
            place = f"{TLS}/{domain}/current"
            pair = key_pair(self.config, domain, needs) if source == "files" else None
            yield checks.Held(domain, place, source, pair, needs.elsewhere(domain))
            yield checks.Chain(domain, place, source)
            yield checks.Key(domain, place)
            if source == "acme" and needs.elsewhere(domain) is None:
                yield checks.Renewable(domain)
                yield checks.Rehearsed(domain)
        if source == "acme":
            yield from (checks.Renewal(), checks.Hook(), checks.Account(acme.url))
            # Let's Encrypt's identity in CAA records (letsencrypt.org/docs/caa); that of others is not known here.
            if (urlsplit(acme.url).hostname or "").endswith(".letsencrypt.org"):
                yield from (Authorised(domain, "letsencrypt.org") for domain in domains)


def package(plugin: str) -> str:
    """The Debian package of one of certbot's DNS plugins."""
    return f"python3-certbot-dns-{plugin}"


def credentials(acme: Acme) -> str | None:
    """The file with which the operator tells a DNS plugin who we are; None where there is none to tell."""
    return f"{SECRETS}/dns-{acme.dns_plugin}" if acme.dns_plugin else None
