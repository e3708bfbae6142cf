"""What nginx does with requests: tried on this machine, as far as it can tell what others get."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.parse import quote

from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.homeserver import READY
from matrix_baremetal.checks.tls import LOOPBACK, SERVER
from matrix_baremetal.facts import addresses
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.web import Request, Response

LOOK = "nginx -t; matrix-baremetal plan"
CHALLENGE = "/.well-known/acme-challenge/"
# What only this machine may ask of Synapse: each answers without any password.
CLOSED = ("/_synapse/admin/v1/server_version", "/_synapse/metrics", "/_synapse/admin/v1/register")
# Ways around a list of paths: nginx chooses by the decoded and shortened path, and passes on the raw one.
AROUND = (
    "/_matrix/../_synapse/admin/v1/server_version",
    "/_matrix/%2e%2e/_synapse/admin/v1/server_version",
    *(f"/_synapse/admin/x/{'%2F..' * steps}%2F_matrix/" for steps in (3, 4)),
    "//_synapse/admin/v1/server_version",
)


@dataclass(frozen=True)
class Server(Check):
    """Whether nginx answers at all; one that hangs still takes connections. Asked before all that ask it more."""

    form = SERVER
    asks = "the web server answers at all"

    domain: str

    @property
    def after(self) -> tuple[str, ...]:
        return ("ports.80",)

    def look(self, host: Host) -> Finding:
        answer = host.net.request(Request(f"http://{self.domain}/", (LOOPBACK, 80), timeout=1.5))
        if answer.status:
            return self.fine("the web server answers")
        return self.failed("the web server does not answer", answer.fault, fix="systemctl restart nginx")


@dataclass(frozen=True)
class Web(Check):
    """A check that asks nginx for something of a name."""

    remote = True
    depth = 2

    domain: str
    port: int = 443

    @property
    def name(self) -> str:
        """The name, with the port where that is another than usual."""
        return self.domain if self.port == 443 else f"{self.domain}:{self.port}"

    @property
    def after(self) -> tuple[str, ...]:
        return (f"ports.{self.port}", SERVER)

    def ask(self, host: Host, path: str, address: str = LOOPBACK, **more: object) -> Response:
        """Ask for a path over HTTPS."""
        return host.net.request(Request(f"https://{self.name}{path}", (address, self.port), **more))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Redirects(Web):
    """Plain HTTP leads to HTTPS."""

    form = "web.redirect.{0.domain}"
    asks = "plain HTTP is sent on to HTTPS"

    @property
    def after(self) -> tuple[str, ...]:
        return ("ports.80", SERVER)

    def look(self, host: Host) -> Finding:
        answer = host.net.request(Request(f"http://{self.domain}/doctor?a=%2Fb", (LOOPBACK, 80)))
        wanted = f"https://{self.domain}/doctor?a=%2Fb"
        if answer.status in (301, 308) and answer.headers.get("location") == wanted:
            return self.fine(f"http://{self.domain} leads to https")
        seen = answer.fault or f"status {answer.status}, location {answer.headers.get('location', 'none')}"
        return self.failed(f"http://{self.domain} does not lead to https", seen, next=LOOK)


@dataclass(frozen=True)
class Challenge(Web):
    """Where the certificate authority looks for its proof: a renewal fails months later where that is gone."""

    form = "web.acme.{0.domain}"
    asks = "the certificate authority's challenges are answered on port 80"

    @property
    def after(self) -> tuple[str, ...]:
        return ("ports.80", SERVER)

    def look(self, host: Host) -> Finding:
        answer = host.net.request(Request(f"http://{self.domain}{CHALLENGE}doctor", (LOOPBACK, 80)))
        if answer.status == 404:
            return self.fine(f"challenges for {self.domain} are answered")
        seen = answer.fault or f"status {answer.status}, where 404 was expected"
        return self.failed(f"http://{self.domain}{CHALLENGE} does not answer: renewals will fail", seen, next=LOOK)


@dataclass(frozen=True)
class Answers(Web):
    """The vhost answers."""

    form = "web.https.{0.name}"
    asks = "a name answers over HTTPS"

    def look(self, host: Host) -> Finding:
        answer = self.ask(host, "/")
        if 200 <= answer.status < 500:
            return self.fine(f"https://{self.name} answers")
        seen = answer.fault or f"status {answer.status}"
        return self.failed(f"https://{self.name} does not answer", seen, next="tail /var/log/nginx/error.log")


@dataclass(frozen=True)
class Headers(Web):
    """The headers that keep a browser on HTTPS, and from guessing types."""

    form = "web.headers.{0.name}"
    asks = "the security headers are sent"

    def look(self, host: Host) -> Finding:
        answer = self.ask(host, "/")
        if not answer.status:
            return self.skipped(f"{answer.fault}: see web.https.{self.name}")
        missing = [n for n in ("strict-transport-security", "x-content-type-options") if n not in answer.headers]
        if missing:
            return self.warned(f"https://{self.name} lacks security headers", *missing, next=LOOK)
        return self.fine(f"https://{self.name} sends its security headers")


@dataclass(frozen=True)
class Http2(Web):
    """HTTP/2, which clients with many requests at once are slow without."""

    form = "web.http2.{0.name}"
    asks = "HTTP/2 is spoken"

    def look(self, host: Host) -> Finding:
        answer = self.ask(host, "/", offer=("h2", "http/1.1"))
        if not answer.certificate:
            return self.skipped(f"{answer.fault}: see web.https.{self.name}")
        if answer.protocol != "h2":
            return self.warned(f"https://{self.name} speaks no HTTP/2", answer.protocol, next=LOOK)
        return self.fine(f"https://{self.name} speaks HTTP/2")


@dataclass(frozen=True)
class Upload(Web):
    """The largest upload: taken, and one byte more refused. Only its length is announced, and nothing sent."""

    form = "web.upload.{0.name}"
    asks = "uploads are taken up to the limit and not beyond"

    size: int = 0

    def look(self, host: Host) -> Finding:
        path = "/_matrix/media/v3/upload"
        under, over = (self.ask(host, path, method="POST", upload=n).status for n in (self.size, self.size + 1))
        seen = f"{self.size} bytes: status {under}; one more: {over}"
        if not under or under == 413 or under >= 500:
            return self.failed(
                "uploads below the limit are refused", seen, next="grep -r client_max_body_size /etc/nginx"
            )
        if over != 413:
            return self.warned("uploads beyond the limit get to the homeserver", seen, next=LOOK)
        return self.fine(f"uploads are taken up to {self.size} bytes", seen)


@dataclass(frozen=True)
class Unchanged(Web):
    """A URI reaches the homeserver as it was sent: one that is decoded and encoded anew breaks signatures."""

    form = "web.uri.{0.name}"
    asks = "a URI with %2F reaches the homeserver unchanged"

    server_name: str = ""

    @property
    def after(self) -> tuple[str, ...]:
        return ("ports.443", SERVER, READY)

    def look(self, host: Host) -> Finding:
        alias = quote(f"#doctor/{secrets.token_hex(4)}:{self.server_name}", safe="")
        answer = self.ask(host, f"/_matrix/client/v3/directory/room/{alias}")
        # A shorter path is another request, which Synapse does not know: M_UNRECOGNIZED.
        if answer.status == 404 and b"M_NOT_FOUND" in answer.body:
            return self.fine("URIs reach the homeserver as they are sent")
        seen = answer.fault or f"status {answer.status}: {answer.body[:120].decode('utf-8', 'replace')}"
        message = "a URI with %2F does not reach the homeserver unchanged: federation and room aliases break"
        return self.failed(message, seen, next="nothing may follow the port in proxy_pass: matrix-baremetal plan")


@dataclass(frozen=True)
class Closed(Web):
    """What is for administrators of this machine does not answer others, at any address that the machine has."""

    form = "exposure.admin.{0.name}"
    asks = "Synapse's admin API and metrics are closed to others, as far as this machine can tell"

    # What (all below a path) is open to whom (networks).
    some: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def look(self, host: Host) -> Finding:
        places = addresses(host)[:4] or (LOOPBACK,)
        asked = [(path, place) for place in places for path in CLOSED if not self.let_in(path, place)]
        seen = [(path, place, self.ask(host, path, place)) for path, place in asked]
        if open_ones := [f"{path} at {place}: status {a.status}" for path, place, a in seen if passed_on(a)]:
            return self.failed("Synapse's admin API or metrics answer others", *open_ones, next=LOOK)
        return self.fine("Synapse's admin API and metrics are closed to others", f"asked at {', '.join(places)}")

    def let_in(self, path: str, place: str) -> bool:
        """Whether this path is open to who asks at this address of this machine, and so comes from it."""
        allowed = [network for below, networks in self.some if path.startswith(f"{below}/") for network in networks]
        return any(ip_address(place) in ip_network(network) for network in allowed)


@dataclass(frozen=True)
class Around(Web):
    """No spelling of a path leads around what is closed."""

    form = "exposure.around.{0.name}"
    asks = "no spelling of a path leads around what is closed"

    def look(self, host: Host) -> Finding:
        seen = [(path, self.ask(host, path)) for path in AROUND]
        if open_ones := [f"{path}: status {answer.status}" for path, answer in seen if passed_on(answer)]:
            return self.failed("the admin API can be reached by another spelling of its path", *open_ones, next=LOOK)
        return self.fine("no spelling of a path leads around what is closed")


def passed_on(answer: Response) -> bool:
    """Whether it was Synapse that answered, be it that it knows no such path: nginx's own refusals are HTML."""
    return answer.status == 200 or answer.kind == "application/json"
