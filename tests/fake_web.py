"""The network as a sound machine sees it: DNS, listeners, and what nginx and Synapse answer; a test breaks a part."""

from __future__ import annotations

import base64
import email.utils
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from matrix_baremetal.federation import canonical, decoded, encoded, public_key
from matrix_baremetal.kernel import Listener
from matrix_baremetal.nameservers import Lookup
from matrix_baremetal.net import Answer
from matrix_baremetal.relay import Answered, Asked
from matrix_baremetal.web import Request, Response

if TYPE_CHECKING:
    from tests.fake_programs import Programs

OWN = ("203.0.113.7", "2001:db8::7")
HEADERS = {"server": "nginx", "strict-transport-security": "max-age=63072000", "x-content-type-options": "nosniff"}
SYNAPSE, LOOPBACK = "/_matrix/", "127.0.0.1"
SSO = "sso.example.net"
CALLS = {"/livekit/sfu/": "matrix-livekit.service", "/livekit/jwt/healthz": "matrix-lk-jwt.service"}
CALLS["/http-bind"] = XMPP = "matrix-jitsi-xmpp.service"


@dataclass
class Internet:
    """What a test may break: records by (name, type), answers by URL, or by path on Synapse's own port, listeners.

    `answers` takes a URL, or the beginning of one that ends in `*`, to what makes of the sound answer another, which
    `relayed` makes of the TURN server's.
    """

    records: dict[tuple[str, str], Lookup] = field(default_factory=dict)
    answers: dict[str, Callable[[Response], Response]] = field(default_factory=dict)
    synapse: dict[str, Answer] = field(default_factory=dict)
    listening: dict[int | tuple[str, int], tuple[Listener, ...]] = field(default_factory=dict)
    ahead: float = 0.0
    silent: bool = False
    unready: bool = False
    router: str = ""
    relayed: Callable[[Asked, Answered], Answered] | None = None
    asked: list[Request] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)

    def lookup(self, name: str, kind: str) -> Lookup:
        """The records of a name: by default all names lead here."""
        if self.silent:
            return Lookup(fault="no nameserver answers (192.0.2.53)")
        sound = {"A": OWN[:1], "AAAA": OWN[1:]}.get(kind, ())
        return self.records.get((name, kind), Lookup(sound, "example.org", ("ns.example.org",)))

    def listeners(self, machine: Programs) -> tuple[Listener, ...]:
        """Each unit listens where it should, while it runs."""
        found: list[Listener] = []
        places = {80: ("nginx.service", "::"), 443: ("nginx.service", "0.0.0.0")}
        places |= {8008: ("matrix-synapse.service", "127.0.0.1"), 5432: ("postgresql@15-main.service", "127.0.0.1")}
        bridges = {9898: "irc", 29318: "whatsapp", 29317: "telegram", 29328: "signal", 29334: "discord"}
        bridges |= {9899: "xmpp", 9897: "xmpp-gateway"}
        for port, name in bridges.items():
            places[port] = (f"matrix-bridge-{name}.service", "127.0.0.1")
        for port in (3478, 5349):
            places[port] = ("matrix-turn.service", OWN[0])
        places[7881] = ("matrix-livekit.service", "::")
        places[7880], places[8082] = (("matrix-livekit.service", LOOPBACK), ("matrix-lk-jwt.service", LOOPBACK))
        places[8084] = places[8085] = (XMPP, LOOPBACK)
        places[8086] = ("matrix-synapse.service", LOOPBACK)
        heard = {3478: "matrix-turn.service", 7882: "matrix-livekit.service", 10000: "matrix-jitsi-bridge.service"}
        for port, name in heard.items():
            unit = machine.unit(name)
            if unit.active and ("udp", port) not in self.listening:
                found.append(Listener(port, unit.process, name[7:12], name, OWN[0], "udp"))
        for port, (name, address) in places.items():
            if port not in self.listening and machine.unit(name).active:
                found.append(Listener(port, machine.unit(name).process, name[:5], name, address))
        return (*found, *(each for those in self.listening.values() for each in those))

    def request(self, machine: Programs, asked: Request) -> Response:
        """The answer to a request."""
        self.asked.append(asked)
        seen = answer(machine, asked, self.ahead)
        for url, change in self.answers.items():
            if asked.url == url or (url.endswith("*") and asked.url.startswith(url[:-1])):
                seen = change(seen)
        return seen


def answer(machine: Programs, asked: Request, ahead: float) -> Response:
    """What nginx says, or Synapse behind it, or a certificate authority."""
    parts = urlsplit(asked.url)
    host, path = parts.hostname or "", parts.path
    if host.endswith("letsencrypt.org"):
        return Response(200, {"date": email.utils.formatdate(time.time() + ahead, usegmt=True)})
    if host == SSO:
        return provider(asked)
    turn = asked.to is not None and asked.to[1] == 5349
    if not machine.unit("matrix-turn.service" if turn else "nginx.service").active:
        return Response(fault="nothing listens there")
    if parts.scheme == "http":
        if path.startswith("/.well-known/acme-challenge/"):
            return Response(404, {"server": "nginx"})
        return Response(301, {"location": asked.url.replace("http:", "https:", 1)})
    certificate = machine.at(f"/etc/matrix-baremetal/tls/{host}/current") / "fullchain.pem"
    text = machine.at(str(certificate)).read_text() if machine.at(str(certificate)).exists() else ""
    der = base64.b64decode("".join(text.splitlines()[1:-1])) if "BEGIN" in text else b""
    untrusted = "self-signed certificate" if "self-signed" in str(machine.at(str(certificate)).resolve()) else ""
    seen = Response(404, dict(HEADERS), b"<html>", der, untrusted, asked.offer[0])
    if asked.offer[0] == "h2":
        return Response(certificate=der, untrusted=untrusted, protocol="h2")
    return within(machine, asked, path, seen)


def provider(asked: Request) -> Response:
    """What an identity provider says: what it is, and that it has given nobody this code, to whom it knows."""
    url = f"https://{SSO}"
    if asked.url == f"{url}/realms/main/.well-known/openid-configuration":
        names = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri")
        return Response(
            200, {}, json.dumps({"issuer": f"{url}/realms/main", **{n: f"{url}/{n}" for n in names}}).encode()
        )
    if asked.url != f"{url}/token_endpoint":
        return Response(404)
    known = asked.method == "POST" and asked.login == ("matrix", "of the provider")
    return Response(
        400 if known else 401, {}, b'{"error": "invalid_grant"}' if known else b'{"error": "invalid_client"}'
    )


def within(machine: Programs, asked: Request, path: str, seen: Response) -> Response:
    """What the vhost says."""
    if path == "/" and (name := urlsplit(asked.url).hostname) and has_page(machine, name):
        page = machine.at("/var/lib/matrix-baremetal/welcome/index.html")
        return replace(seen, status=200, body=page.read_bytes()) if page.exists() else seen
    if path.startswith("/.well-known/matrix/"):
        file = machine.at(f"/var/lib/matrix-baremetal/well-known/{path.rpartition('/')[2]}.json")
        return said(seen, 200, file.read_text()) if file.exists() else seen
    if asked.xml and machine.unit(XMPP).active:
        return said(seen, 200, jitsi(asked.xml))
    if below := CALLS.get(path):
        return said(seen, 200, "OK") if machine.unit(below).active else said(seen, 502, "")
    if (served := program(machine, urlsplit(asked.url).hostname or "", path)) is not None:
        kind, body = served
        if path.startswith("/.well-known/"):
            return said(seen, 200, body.decode())
        return replace(seen, status=200, headers=seen.headers | {"content-type": kind}, body=body)
    if not path.startswith(SYNAPSE) or "_synapse" in unquote(path):
        return seen
    if asked.upload is not None:
        return Response(100 if asked.upload <= 50 << 20 else 413, certificate=seen.certificate)
    if not machine.unit("matrix-synapse.service").active:
        return said(seen, 502, "")
    if path == "/_matrix/key/v2/server":
        return said(seen, 200, json.dumps(keys(machine)))
    if path == "/_matrix/federation/v1/version":
        return said(seen, 200, '{"server": {"name": "Synapse"}}')
    return said(seen, 404, '{"errcode": "M_NOT_FOUND"}')


def jitsi(asked: str) -> str:
    """What its XMPP server says: who shows nothing is no one of ours, and no room is opened for a guest."""
    if "sid=" not in asked:
        return f"<body sid='{'guest' if 'guest.' in asked else 'ours'}'/>"
    if "<auth" in asked:
        return "<success/>" if "sid='guest'" in asked else "<failure><not-authorized/></failure>"
    return (
        "<error><not-authorized/></error>" if "<conference" in asked else "<jid>x</jid>" if "<bind" in asked else ""
    )


def has_page(machine: Programs, name: str) -> bool:
    """Whether nginx was told to answer for / of a name."""
    text = machine.at("/etc/nginx/sites-enabled/zz-matrix-baremetal").read_text()
    blocks = [b for b in text.split("\nserver {") if f"server_name {name};" in b and "listen 443" in b]
    return any("location = / {" in block for block in blocks)


def program(machine: Programs, name: str, path: str) -> tuple[str, bytes] | None:
    """A file of a program for browsers and its type, where nginx was told to serve one."""
    text = machine.at("/etc/nginx/sites-enabled/zz-matrix-baremetal").read_text()
    block = next((b for b in text.split("\nserver {") if f"server_name {name};" in b and "listen 443" in b), "")
    alias = re.search(rf"location = {re.escape(path)} {{\n\s+alias (\S+);", block)
    root = re.search(r"location / {\n\s+root (\S+);", block)
    if alias:
        return "application/json", machine.at(alias[1]).read_bytes()
    place = machine.at(root[1]) / "index.html" if root and path == "/" else None
    return ("text/html", place.read_bytes()) if place and place.exists() else None


def said(seen: Response, status: int, body: str) -> Response:
    """An answer in JSON that any website may read."""
    more = {"content-type": "application/json", "access-control-allow-origin": "*"}
    return Response(status, seen.headers | more, body.encode(), seen.certificate, seen.untrusted, seen.protocol)


def keys(machine: Programs, valid: float = 86400) -> dict[str, Any]:
    """The keys that Synapse publishes, signed as it does it."""
    file = machine.at("/var/lib/matrix-synapse/signing.key")
    text = file.read_text() if file.exists() else ""
    # It has read its key at its start, and goes on where the file is lost.
    text = text if text.startswith("ed25519 ") else f"ed25519 a_kept {'A' * 43}"
    name, public = public_key(text)
    until = int((time.time() + valid) * 1000)
    data = {"server_name": "example.org", "verify_keys": {name: {"key": public}}, "valid_until_ts": until}
    seed = Ed25519PrivateKey.from_private_bytes(decoded(text.split()[2]))
    signature = encoded(seed.sign(canonical(data | {"old_verify_keys": {}})))
    return data | {"old_verify_keys": {}, "signatures": {"example.org": {name: signature}}}
