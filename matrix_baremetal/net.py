"""What we ask of the network: this machine's own homeserver, anybody's web server, the DNS, and who listens here.

Kept apart from `host` so that start-up does not pay for http.client, and in one place so that a test can answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from email.message import EmailMessage
    from pathlib import Path

    from matrix_baremetal.kernel import Listener
    from matrix_baremetal.nameservers import Lookup
    from matrix_baremetal.relay import Answered, Asked
    from matrix_baremetal.smtp import MailServer
    from matrix_baremetal.web import Request, Response

MOST_BYTES = 50 * 1024  # what Synapse reads of a well-known file


@dataclass(frozen=True)
class Answer:
    """An HTTP status and the JSON object that came with it; status 0 says that nobody answered."""

    status: int
    data: dict[str, Any]

    @property
    def error(self) -> str:
        """The server's own sentence, where it gave one (Matrix's standard error response)."""
        return str(self.data.get("error") or f"status {self.status}" if self.status else "nobody answers")


def read(raw: bytes) -> dict[str, Any]:
    """The JSON object in a body; empty where there is none."""
    try:
        data = json.loads(raw or b"{}")
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


class Net:
    """The real network."""

    def ask(
        self,
        method: str,
        port: int,
        path: str,
        body: dict[str, Any] | None = None,
        token: str | None = None,
        timeout: float = 20,
    ) -> Answer:
        """Ask a service on the loopback address; a connection that fails or hangs is an answer with status 0."""
        import http.client

        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            response = connection.getresponse()
            raw = response.read()
        except (OSError, http.client.HTTPException):
            return Answer(0, {})
        finally:
            connection.close()
        return Answer(response.status, read(raw))

    def get(self, url: str, timeout: float = 10) -> Answer:
        """Ask a web server as anybody else would: its certificate has to hold, and redirects are followed.

        Where nobody answers so, the status is 0.
        """
        import http.client
        import urllib.error
        import urllib.request

        try:
            with urllib.request.urlopen(url, timeout=timeout) as response:
                return Answer(response.status, read(response.read(MOST_BYTES)))
        except urllib.error.HTTPError as error:
            error.close()
            return Answer(error.code, {})
        except (OSError, ValueError, http.client.HTTPException):
            return Answer(0, {})

    def addresses(self, name: str) -> tuple[str, ...]:
        """The addresses that a name has in the DNS, IPv4 first; none where it does not resolve."""
        import socket

        try:
            found = socket.getaddrinfo(name, 80, type=socket.SOCK_STREAM)
        except OSError:
            return ()
        return tuple(sorted({str(row[4][0]) for row in found}, key=lambda address: (":" in address, address)))

    def request(self, asked: Request) -> Response:
        """Ask any web server, and look at its certificate; no answer is one too."""
        from matrix_baremetal import web

        return web.request(asked)

    def fetch(self, url: str, place: Path, most: int) -> None:
        """Get a file of at most so many bytes over HTTPS; a part of it that is there already is gone on with."""
        from matrix_baremetal import fetch

        fetch.fetch(url, place, most)

    def relay(self, asked: Asked) -> Answered:
        """Have a TURN server relay something."""
        from matrix_baremetal import relay

        return relay.ask(asked)

    def router(self, gateway: str) -> str:
        """The address that the router before this machine has outside; empty where it does not say."""
        from matrix_baremetal import router

        return router.ask(gateway)

    def lookup(self, name: str, kind: str) -> Lookup:
        """The records of a name as the servers of its zone have them; `kind` is A, AAAA, CAA, CNAME, SRV."""
        from matrix_baremetal import nameservers

        return nameservers.lookup(name, kind)

    def smtp(self, asked: MailServer, mail: EmailMessage | None = None) -> str:
        """Why a mail server would not take our mail, or did not take this one; nothing where it would, or has."""
        from matrix_baremetal import smtp

        return smtp.fault(asked, mail)

    def listeners(self) -> tuple[Listener, ...]:
        """Who listens on this machine."""
        from matrix_baremetal import kernel

        return kernel.listeners()


def public(addresses: Iterable[str]) -> tuple[str, ...]:
    """The addresses among these (others are those of network cards) that the internet can reach, IPv4 first."""
    import ipaddress

    found = set()
    for text in addresses:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            continue
        if address.is_global and not address.is_multicast:
            found.add(address)
    return tuple(str(address) for address in sorted(found, key=lambda a: (a.version, int(a))))
