"""Somebody in a browser at Jitsi: `python -m tests.system.meeting`, as the lab's client.

JSON is on stdin: `host` is Jitsi's name, `domain` what of its XMPP server is wanted, `token` goes into the address
where there is one, and `steps` are what to do then: ["ask", ROOM] has jicofo open a room, ["join", ROOM] goes in.
What came of it is JSON on stdout, a word for each. Over BOSH (XEP-0206); `socket` has a WebSocket (RFC 7395) opened.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import secrets
import socket
import ssl
import sys
from typing import Any
from urllib.parse import urlencode

BODY = "xmlns='http://jabber.org/protocol/httpbind' xmlns:xmpp='urn:xmpp:xbosh'"
SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
BIND = "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>"
FOCUS = "xmlns='http://jitsi.org/protocol/focus' machine-uid='u'"


class Session:
    """A session over BOSH."""

    def __init__(self, host: str, domain: str, token: str | None) -> None:
        self.host, self.domain, self.sid, self.rid = host, domain, "", 1000
        self.path = "/http-bind" + (f"?{urlencode({'room': 'r', 'token': token})}" if token else "")
        self.web = http.client.HTTPSConnection(host, context=ssl.create_default_context(), timeout=30)
        said = self.send("", f"to='{domain}' wait='20' hold='1' xmpp:version='1.0' ver='1.6' content='text/xml'")
        self.sid = re.findall(r"\bsid=['\"]([^'\"]+)", said)[0] if "sid=" in said else ""
        self.features = said

    def send(self, inner: str, more: str = "") -> str:
        self.rid += 1
        sid = f"sid='{self.sid}'" if self.sid else ""
        text = f"<body {BODY} rid='{self.rid}' {sid} {more}>{inner}</body>"
        self.web.request("POST", self.path, text, {"Content-Type": "text/xml"})
        answer = self.web.getresponse()
        said = answer.read().decode()
        assert answer.status == 200, (answer.status, said)
        return said

    def until(self, inner: str, pattern: str) -> str:
        """Say something, and listen until an answer to it comes."""
        said = self.send(inner)
        while not re.search(pattern, said, re.DOTALL):
            assert "type='terminate'" not in said, said
            said = self.send("")
        return said


def entered(session: Session) -> str:
    """Go in as nobody in particular, as a browser does; what came of it."""
    if "ANONYMOUS" not in session.features:
        return "not offered"
    said = session.until(f"<auth {SASL} mechanism='ANONYMOUS'/>", "<success|<failure")
    if "<success" not in said:
        return str(re.findall(r"<failure[^>]*><([\w-]+)", said)[0])
    session.send("", f"to='{session.domain}' xmpp:restart='true'")
    session.until(BIND, "</jid>")
    return "in"


def done(session: Session, step: str, room: str) -> str:
    """One step."""
    address = f"{room}@conference.{session.host}"
    if step == "ask":
        wanted = f"<conference {FOCUS} room='{address}'/>"
        ask = f"<iq xmlns='jabber:client' type='set' id='f' to='focus.{session.host}'>{wanted}</iq>"
        said = session.until(ask, "id=['\"]f['\"]")
        return "open" if "ready=" in said else str(re.findall(r"<error[^>]*><([\w-]+)", said)[0])
    muc = "<x xmlns='http://jabber.org/protocol/muc'/>"
    name = secrets.token_hex(4)
    said = session.until(
        f"<presence xmlns='jabber:client' to='{address}/{name}'>{muc}</presence>", "code=.110|<error"
    )
    return "in" if "110" in said else str(re.findall(r"<error[^>]*><([\w-]+)", said)[0])


def spoken_to(asked: dict[str, Any]) -> list[str]:
    """Go in over a WebSocket, as browsers do first; what its other side said of each step."""
    host, path = asked["host"], "/xmpp-websocket"
    if asked.get("token"):
        path += f"?{urlencode({'room': 'r', 'token': asked['token']})}"
    rows = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: xmpp")
    key = base64.b64encode(os.urandom(16)).decode()
    head = "\r\n".join((f"GET {path} HTTP/1.1\r\nHost: {host}", *rows, f"Sec-WebSocket-Key: {key}"))
    with (
        socket.create_connection((host, 443), 20) as plain,
        ssl.create_default_context().wrap_socket(plain, server_hostname=host) as spoken,
    ):

        def until(*words: bytes) -> str:
            said = b""
            while not any(word in said for word in words):
                said += spoken.recv(4096)
            return next(word.decode() for word in words if word in said)

        def say(text: str) -> None:
            # One masked frame of text (RFC 6455), the mask being nothing.
            frame = bytes((0x81, 0x80 | 126)) + len(text).to_bytes(2, "big") + bytes(4)
            spoken.sendall(frame + text.encode())

        spoken.sendall(f"{head}\r\n\r\n".encode())
        found = [until(b" 101 ", b" 502 ")]
        say(f"<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{asked['domain']}' version='1.0'/>")
        until(b"features>")
        say(f"<auth {SASL} mechanism='ANONYMOUS'/>")
        return [*found, until(b"<success", b"<failure")]


def main() -> None:
    """Do what stdin says."""
    asked: dict[str, Any] = json.load(sys.stdin)
    if asked.get("socket"):
        print(json.dumps(spoken_to(asked)))
        return
    session = Session(asked["host"], asked["domain"], asked.get("token"))
    found = [entered(session)]
    if found == ["in"]:
        found += [done(session, step, room) for step, room in asked.get("steps", ())]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
