"""What is served on the sockets, name by name and port by port, against what is on the disk."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.certificates import SEVERITY, Source
from matrix_baremetal.checks.check import APPLY, Check
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.web import Request

LOOPBACK = "127.0.0.1"
# The id of the check whether nginx answers at all (checks/web.py).
SERVER = "web.server"
END = "-----END CERTIFICATE-----"


@dataclass(frozen=True)
class Served(Check):
    """The certificate that a port gives out for a name: a renewal that nobody took up is seen here."""

    form = "tls.{0.domain}:{0.port}"
    asks = "a port serves the certificate that is on the disk for a name, and a stranger would trust it"
    remote = True
    depth = 2

    domain: str
    port: int
    place: str
    source: Source
    unit: str = "nginx"
    protocol: str = "http/1.1"

    @property
    def after(self) -> tuple[str, ...]:
        return (f"ports.{self.port}", *((SERVER,) if self.unit == "nginx" else ()))

    def look(self, host: Host) -> Finding:
        where = f"port {self.port} for {self.domain}"
        asked = Request(f"https://{self.domain}/", (LOOPBACK, self.port), "HEAD", offer=(self.protocol,))
        seen = host.net.request(asked)
        if not seen.certificate:
            test = "nginx -t; " if self.unit == "nginx" else ""
            return self.failed(f"{where} speaks no TLS", seen.fault, next=f"{test}systemctl status {self.unit}")
        held = leaf(host, f"{self.place}/fullchain.pem")
        if not held:
            return self.skipped(f"see certificates.{self.domain}")
        if held != seen.certificate:
            message = f"{where} serves another certificate than the one on the disk"
            return self.failed(message, fix=f"systemctl reload {self.unit}")
        if seen.untrusted and host.target(self.place) == "self-signed":
            return self.skipped(f"see certificates.{self.domain}")
        if seen.untrusted:
            message = f"nobody trusts what {where} serves: {seen.untrusted}"
            return self.found(SEVERITY[self.source], message, fix=APPLY)
        return self.fine(f"{where} serves the certificate that is on the disk")


def leaf(host: Host, path: str) -> bytes:
    """The first certificate of a file, as it goes over the wire; nothing where there is none."""
    import ssl

    text = host.text(path) or ""
    try:
        return ssl.PEM_cert_to_DER_cert(text[: text.index(END) + len(END)].strip())
    except ValueError:
        return b""
