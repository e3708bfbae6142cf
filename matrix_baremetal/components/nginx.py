"""nginx: the vhosts that the other parts need, in one file of ours; everybody else's sites stay as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from matrix_baremetal.checks import names, tls, web
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.reach import Reached
from matrix_baremetal.components.component import STATE, TLS, Component
from matrix_baremetal.config import Config
from matrix_baremetal.needs import Below, Location, Need, Needs, Port, Proxy, Rooms, StubStatus
from matrix_baremetal.resources.certificates import LIVE, lineage
from matrix_baremetal.resources.files import Directory, TestedFile
from matrix_baremetal.resources.key_pair import KeyPair
from matrix_baremetal.resources.packages import Packages
from matrix_baremetal.resources.resource import Resource
from matrix_baremetal.resources.served import SelfSigned, Served
from matrix_baremetal.resources.services import Service
from matrix_baremetal.templates import render

UNIT = "nginx.service"
# The last of all: the first block that listens on 443 answers requests for names that nobody has, and that is
# somebody else's where there is one.
CONFIG = "/etc/nginx/sites-enabled/zz-matrix-baremetal"
TEST = ("nginx", "-t", "-q")
ACME = f"{STATE}/acme"
# What fits into 64 bytes, nginx's server_names_hash_bucket_size on most processors, beside two pointers and the
# length.
LONGEST = 46


class Nginx(Component):
    """The web server in front of all."""

    def needs(self) -> Iterator[Need]:
        acme = self.config.tls.mode == "acme"
        yield Port(80, UNIT, "the certificate authority" if acme else "browsers, to be sent on to 443")
        yield Port(443, UNIT, "clients")

    def resources(self, needs: Needs) -> Iterator[Resource]:
        yield Packages("the web server", ("nginx",))
        for domain in needs.domains():
            yield Directory(f"{TLS}/{domain}", 0o755)
            yield SelfSigned(f"{TLS}/{domain}", domain)
            if self.config.tls.mode == "files":
                yield key_pair(self.config, domain, needs)
            # Before nginx looks at it: where a certificate has been lost, the self-signed one serves again.
            yield served(self.config, domain)
        yield Directory(ACME, 0o755)
        yield TestedFile(CONFIG, self._config(needs), test=TEST)
        yield service(needs.domains())

    def checks(self, needs: Needs) -> Iterator[Check]:
        tls_mode = self.config.tls.mode
        for domain in needs.domains():
            # Where another web server may answer in place of ours, its address is as good.
            here = needs.elsewhere(domain) is None
            yield from (names.Leads(domain, family, here) for family in ("a", "aaaa"))
            yield names.Alias(domain)
        yield web.Server(self.config.hostname)
        for domain in needs.domains():
            yield web.Redirects(domain)
            if tls_mode == "acme" and self.config.acme.challenge == "http-01":
                yield web.Challenge(domain)
            yield from (Reached(domain, family=family) for family in ("ipv4", "ipv6"))
        for vhost in needs.vhosts():
            yield tls.Served(vhost.domain, vhost.port, f"{TLS}/{vhost.domain}/current", tls_mode)
            yield from (kind(vhost.domain, vhost.port) for kind in (web.Answers, web.Headers, web.Http2))
            some = tuple((p.paths[0], p.allow) for p in vhost.locations if isinstance(p, Proxy) and p.allow)
            yield web.Closed(vhost.domain, vhost.port, some)
            yield web.Around(vhost.domain, vhost.port)
            for place in vhost.locations:
                if isinstance(place, Proxy) and "/_matrix" in place.paths:
                    yield web.Unchanged(vhost.domain, vhost.port, self.config.server_name)
                    if place.body_size is not None:
                        yield web.Upload(vhost.domain, vhost.port, place.body_size)

    def _config(self, needs: Needs) -> str:
        facts = self.site.facts
        return render(
            "nginx/matrix-baremetal.conf",
            vhosts=needs.vhosts(),
            names=[called(domain) for domain in needs.domains()],
            called=called,
            tls=TLS,
            acme=ACME,
            numbers=[status.port for status in needs.of(StubStatus)],
            sockets=any(sockets(place) for vhost in needs.vhosts() for place in vhost.locations),
            ipv6=facts.ipv6,
            # The parameter of `listen` is deprecated from 1.25.1 on (nginx.org, ngx_http_v2_module).
            http2_directive=(facts.nginx or (1, 26)) >= (1, 25, 1),
        )


def called(domain: str) -> str:
    """A name as `server_name` takes it: one that is too long for nginx's table of names is a pattern for just that.

    The directive that makes the table larger may stand once in all of nginx's config, where somebody may have it.
    """
    dots = domain.replace(".", r"\.")
    return domain if len(domain) <= LONGEST else f"~^{dots}$"


def sockets(place: Location) -> bool:
    """Whether a connection may become a WebSocket."""
    return (isinstance(place, Below) and place.socket) or isinstance(place, Rooms)


def service(domains: Iterable[str]) -> Service:
    """nginx, running with its config and with the certificates that are served now."""
    reads = (CONFIG, *sorted(f"{TLS}/{domain}/current/fullchain.pem" for domain in domains))
    return Service(UNIT, reads=reads, reloads=reads, log="/var/log/nginx/error.log")


def key_pair(config: Config, domain: str, needs: Needs) -> KeyPair:
    """The copy of the operator's pair that a name is served with."""
    certificate, key = config.tls.certificate or "", config.tls.key or ""
    return KeyPair(f"{TLS}/{domain}", certificate, key, needs.elsewhere(domain))


def served(config: Config, domain: str) -> Served:
    """Which certificate a name is served with."""
    pairs = {"acme": f"{LIVE}/{lineage(domain)}", "files": "files", "self-signed": "self-signed"}
    return Served(f"{TLS}/{domain}/current", pair=pairs[config.tls.mode])
