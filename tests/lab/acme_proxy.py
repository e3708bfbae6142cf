#!/usr/bin/python3
"""Let's Encrypt's front door: `acme_proxy.py CERT KEY CA LIMITS.json UPSTREAM ADDRESS…` passes requests to pebble.

The directory is at another path there; everything else goes through unchanged with its Host, so that pebble writes
Let's Encrypt's name into the URLs it gives out and an unmodified client never sees that it is elsewhere.
LIMITS.json, where it is there, names clients whose orders are refused, each with the seconds to stay away.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Where pebble takes new orders.
ORDER = "/order-plz"
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Door(BaseHTTPRequestHandler):
    """One request in, one request on, one answer back."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    upstream = ""
    limits = Path()
    trust: ssl.SSLContext

    def pass_on(self) -> None:
        seconds = self.limit() if self.path == ORDER else None
        if seconds is not None:
            self.refuse(seconds)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = "/dir" if self.path == "/directory" else self.path
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        try:
            pebble = http.client.HTTPSConnection(self.upstream, context=self.trust, timeout=30)
            pebble.request(self.command, path, body or None, headers)
            said = pebble.getresponse()
            content = said.read()
        except OSError as e:
            self.send_error(503, f"the CA does not answer: {e}")
            return
        self.send_response(said.status)
        for name, value in said.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def limit(self) -> int | None:
        """How long this client is to stay away."""
        try:
            found: dict[str, int] = json.loads(self.limits.read_text())
        except FileNotFoundError:
            return None
        return found.get(str(self.client_address[0]))

    def refuse(self, seconds: int) -> None:
        """Say so as Let's Encrypt does (RFC 8555 §6.6)."""
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        detail = "too many certificates already issued for this exact set of domains in the last 168h0m0s"
        problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": detail, "status": 429}
        content = json.dumps(problem).encode()
        self.send_response(429)
        for name, value in (("Retry-After", seconds), ("Content-Length", len(content))):
            self.send_header(name, str(value))
        self.send_header("Content-Type", "application/problem+json")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """By whom which of our names was asked for what, which `Lab.acme_orders` reads."""
        asked = self.headers.get("Host", "-") if getattr(self, "headers", None) else "-"
        sys.stderr.write(f"{self.client_address[0]} {asked} {format % args}\n")

    do_GET = do_POST = do_HEAD = pass_on


class Server(ThreadingHTTPServer):
    """TLS is spoken in the request's thread: a client that never finishes its handshake holds up nobody else."""

    daemon_threads = True
    context: ssl.SSLContext

    def finish_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        assert isinstance(request, socket.socket)
        request.settimeout(30)
        with contextlib.suppress(OSError), self.context.wrap_socket(request, server_side=True) as spoken:
            super().finish_request(spoken, client_address)


class Server6(Server):
    address_family = socket.AF_INET6


def main(argv: Sequence[str]) -> None:
    certificate, key, ca, limits, Door.upstream = argv[:5]
    Door.limits = Path(limits)
    Door.trust = ssl.create_default_context(cafile=ca)
    for address in argv[5:]:
        server = (Server6 if ":" in address else Server)((address, 443), Door)
        server.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.context.load_cert_chain(certificate, key)
        threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main(sys.argv[1:])
