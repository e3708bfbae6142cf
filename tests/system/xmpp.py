"""Somebody on XMPP: runs in a guest by its Python, logs in there, says what it reads, and prints what comes.

Words: the account, its password. A line that it reads is a stanza; what it prints is what came, a stanza a line.
"""

from __future__ import annotations

import base64
import re
import socket
import sys
import threading

ACCOUNT, PASSWORD = sys.argv[1:3]
NAME, _, HOST = ACCOUNT.partition("@")
STREAM = (
    f"<?xml version='1.0'?><stream:stream to='{HOST}' version='1.0' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>lab</resource></bind></iq>"

with socket.create_connection(("127.0.0.1", 5222), 20) as server:

    def until(pattern: str) -> None:
        """Read until the server has said it."""
        heard = ""
        while not re.search(pattern, heard):
            data = server.recv(65536).decode("utf-8", "replace")
            assert data, heard
            heard += data

    server.sendall(STREAM.encode())
    until("</stream:features>")
    secret = base64.b64encode(f"\0{NAME}\0{PASSWORD}".encode()).decode()
    server.sendall(f"<auth {SASL} mechanism='PLAIN'>{secret}</auth>".encode())
    until("<success")
    server.sendall(STREAM.encode())
    until("</stream:features>")
    server.sendall(BIND.encode())
    until("<jid>")
    server.sendall(b"<presence/>")
    print("here", flush=True)

    def heard() -> None:
        """All that comes, for as long as the server stays."""
        server.settimeout(None)
        while data := server.recv(65536):
            print(data.decode("utf-8", "replace").replace("\n", " "), flush=True)

    threading.Thread(target=heard, daemon=True).start()
    for line in sys.stdin:
        server.sendall(line.strip().encode())
