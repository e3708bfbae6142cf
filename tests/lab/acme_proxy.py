#!/usr/bin/python3
"""Let's Encrypt's front door: `acme_proxy.py CERT KEY CA UPSTREAM ADDRESS…` passes requests to pebble.

The directory is at another path there; everything else goes through unchanged with its Host, so that pebble writes
Let's Encrypt's name into the URLs it gives out and an unmodified client never sees that it is elsewhere.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import sys
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


class Door(BaseHTTPRequestHandler):
    """One request in, one request on, one answer back."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    upstream = ""
    trust: ssl.SSLContext

    def pass_on(self) -> None:
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
    certificate, key, ca, Door.upstream = argv[:4]
    Door.trust = ssl.create_default_context(cafile=ca)
    for address in argv[4:]:
        server = (Server6 if ":" in address else Server)((address, 443), Door)
        server.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.context.load_cert_chain(certificate, key)
        threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main(sys.argv[1:])
