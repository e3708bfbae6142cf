#!/usr/bin/python3
"""A stand-in for jicofo and the videobridge: what they do with their config as soon as they run, and no more.

It goes by the options that their start scripts give to Java, and is the one whose config it is. Each logs in at the
XMPP server by SCRAM-SHA-1, as Jitsi's library does. jicofo opens a room where somebody of the main domain asks,
and tells anybody else no; the videobridge takes its UDP port, and goes into the room in which jicofo looks for it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
MUC = "<x xmlns='http://jabber.org/protocol/muc'/>"


class Stream:
    """A connection to the XMPP server, as somebody with a password."""

    def __init__(self, host: str, port: int, domain: str, name: str, password: str) -> None:
        self.domain, self.name = domain, name
        self.server = socket.create_connection((host, port), 20)
        self.buffer = ""
        self.open()
        self.scram(password)
        self.open()
        self.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>")
        self.say(f"{name}</resource></bind></iq>")
        self.until(r"<jid>.*?</iq>")
        self.say("<presence/>")
        self.server.settimeout(None)

    def say(self, text: str) -> None:
        self.server.sendall(text.encode())

    def until(self, pattern: str) -> str:
        """Read until the server has said it, and take all up to there."""
        while not (found := re.search(pattern, self.buffer, re.DOTALL)):
            data = self.server.recv(65536).decode()
            if not data:
                sys.exit(f"the XMPP server ended it: {self.buffer}")
            self.buffer += data
        taken, self.buffer = self.buffer[: found.end()], self.buffer[found.end() :]
        return taken

    def open(self) -> None:
        head = "version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
        self.say(f"<?xml version='1.0'?><stream:stream to='{self.domain}' {head}>")
        self.until("</stream:features>")

    def scram(self, password: str) -> None:
        """RFC 5802, without channel binding."""
        bare = f"n={self.name},r={secrets.token_hex(12)}"
        first = base64.b64encode(f"n,,{bare}".encode()).decode()
        self.say(f"<auth {SASL} mechanism='SCRAM-SHA-1'>{first}</auth>")
        challenge = self.told("challenge")
        given = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha1", password.encode(), base64.b64decode(given["s"]), int(given["i"]))
        key = hmac.digest(salted, b"Client Key", "sha1")
        last = f"c=biws,r={given['r']}"
        signature = hmac.digest(hashlib.sha1(key).digest(), f"{bare},{challenge},{last}".encode(), "sha1")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
        answer = base64.b64encode(f"{last},p={proof}".encode()).decode()
        self.say(f"<response {SASL}>{answer}</response>")
        self.told("success")

    def told(self, word: str) -> str:
        said = self.until(rf"<{word}[^>]*>[^<]*</{word}>|<failure.*?</failure>|<{word}[^>]*/>")
        found = re.search(rf"<{word}[^>]*>([^<]*)</{word}>", said)
        if found is None:
            sys.exit(f"no {word}: {said}")
        return base64.b64decode(found[1]).decode()


def focus(config: dict[str, Any]) -> None:
    """jicofo: as its ConferenceIqHandler and XMPPDomainAuthAuthority decide."""
    jicofo = config["jicofo"]
    client, members = jicofo["xmpp"]["client"], jicofo["authentication"]["login-url"]
    assert jicofo["authentication"]["enabled"] and jicofo["authentication"]["type"] == "XMPP"
    here = Stream(client["hostname"], client["port"], client["domain"], client["username"], client["password"])
    here.say(f"<presence to='{jicofo['bridge']['brewery-jid']}/focus'>{MUC}</presence>")
    opened: set[str] = set()
    while True:
        asked = here.until(r"<iq.*?</iq>")
        stanza = asked[asked.rindex("<iq ") :]
        found: dict[str, str] = dict(re.findall(r"(\w+)=['\"]([^'\"]*)['\"]", stanza))
        if "jitsi.org/protocol/focus" not in stanza:
            continue
        # mod_client_proxy has put who it was behind its own name.
        proxy, _, person = found["from"].partition("/")
        assert proxy == client["client-proxy"], stanza
        head = f"<iq to='{found['from']}' id='{found['id']}'"
        if person.partition("/")[0].partition("@")[2] != members and found["room"] not in opened:
            error = "<not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
            here.say(f"{head} type='error'><error type='auth'>{error}</error></iq>")
            continue
        if found["room"] not in opened:
            opened.add(found["room"])
            here.say(f"<presence to='{found['room']}/focus'>{MUC}</presence>")
        here.say(f"{head} type='result'><conference xmlns='http://jitsi.org/protocol/focus' ready='true'/></iq>")


def bridge(config: dict[str, Any]) -> None:
    """The videobridge."""
    [client] = config["videobridge"]["apis"]["xmpp-client"]["configs"].values()
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    taken.bind(("0.0.0.0", config["videobridge"]["ice"]["udp"]["port"]))
    here = Stream(client["HOSTNAME"], client["PORT"], client["DOMAIN"], client["USERNAME"], client["PASSWORD"])
    here.say(f"<presence to='{client['MUC_JIDS']}/{client['MUC_NICKNAME']}'>{MUC}</presence>")
    while here.server.recv(65536):
        pass


if __name__ == "__main__":
    file = next(word.partition("=")[2] for word in sys.argv if word.startswith("-Dconfig.file="))
    config = json.loads(Path(file).read_text())
    (focus if "jicofo" in config else bridge)(config)
