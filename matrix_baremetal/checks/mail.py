"""Whether mail would leave this server."""

from __future__ import annotations

from dataclasses import dataclass

from matrix_baremetal.checks.check import Check
from matrix_baremetal.findings import Finding
from matrix_baremetal.host import Host
from matrix_baremetal.smtp import MailServer


@dataclass(frozen=True)
class Server(Check):
    """The mail server, with the login that Synapse has: nobody notices else until a password is forgotten."""

    form = "mail.server"
    asks = "the mail server lets the homeserver in, over TLS that holds"
    remote = True
    depth = 2

    host: str
    port: int
    encryption: str
    user: str
    password_file: str

    def look(self, host: Host) -> Finding:
        where = f"{self.host}, port {self.port}"
        password = (host.text(self.password_file) or "").strip("\r\n") if self.password_file else ""
        fault = host.net.smtp(MailServer(self.host, self.port, self.encryption, self.user, password))
        if fault:
            message = f"the mail server ({where}) takes no mail from here"
            return self.failed(message, fault, next="mend mail.smtp in config.yaml, then: matrix-baremetal apply")
        return self.fine(f"the mail server ({where}) lets the homeserver in")
