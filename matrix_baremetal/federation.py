"""How another server finds us and knows that it is us. Pure: what was fetched and looked up is handed in.

Server discovery and the publishing of keys: the specification's server-server API, "Resolving server names" and
"Retrieving server keys". The only importer of cryptography.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

# The service of the specification, and the one that it replaced and servers still look for.
SERVICES = ("_matrix-fed._tcp", "_matrix._tcp")
PORT = 8448


class Unsound(Exception):
    """What another server would not accept, and why."""


@dataclass(frozen=True)
class Destination:
    """Whom another server asks: it connects to `connect` at `port`, and expects a certificate for `host`.

    `authority` is what the request names as its host, `via` how it came to that.
    """

    authority: str
    connect: str
    port: int
    via: str

    @property
    def host(self) -> str:
        """The name that the certificate has to hold."""
        return split(self.authority)[0]


# Gives the SRV records of a name as their text has them: priority, weight, port, target.
Services = Callable[[str], Sequence[str]]


def destination(server_name: str, delegated: str | None, services: Services) -> Destination:
    """Where the federation of a server name is; `delegated` is what its well-known file says, None without one."""
    host, port = split(server_name)
    if port or literal(host):
        return Destination(server_name, host, port or PORT, "the server name itself")
    via = "its well-known file"
    if delegated is None:
        delegated, via = server_name, "default, as there is neither a well-known file nor an SRV record"
    host, port = split(delegated)
    if port or literal(host):
        return Destination(delegated, host, port or PORT, via)
    for service in SERVICES:
        rows = sorted(record.split() for record in services(f"{service}.{host}") if len(record.split()) == 4)
        if rows:
            first = min(rows, key=lambda row: (int(row[0]), -int(row[1])))
            return Destination(delegated, first[3].rstrip("."), int(first[2]), f"an SRV record of {service}.{host}")
    return Destination(delegated, host, PORT, via)


def split(authority: str) -> tuple[str, int | None]:
    """A host and a port, of which the second may be missing; an IPv6 address stands in brackets."""
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?", authority)
    if found is None or (found[2] and not 1 <= int(found[2]) <= 65535):
        raise Unsound(f"{authority!r} is no server name")
    return found[1].strip("[]"), int(found[2]) if found[2] else None


def literal(host: str) -> bool:
    """Whether a host is an address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def delegate(document: bytes) -> str:
    """Whom a well-known file names. Raises `Unsound` where another server would pass it over."""
    try:
        data = json.loads(document)
    except ValueError:
        raise Unsound("it is no JSON") from None
    named = data.get("m.server") if isinstance(data, dict) else None
    if not isinstance(named, str):
        raise Unsound("it has no m.server")
    split(named)
    return named


def canonical(data: Any) -> bytes:
    """Canonical JSON (the specification's appendices): what signatures are made of."""
    return json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def decoded(text: str) -> bytes:
    """Unpadded base64."""
    return base64.b64decode(text + "=" * (-len(text) % 4))


def encoded(data: bytes) -> str:
    """The same the other way round."""
    return base64.b64encode(data).decode().rstrip("=")


def public_key(signing_key: str) -> tuple[str, str]:
    """The id and the public half of a key as Synapse keeps it: algorithm, version and seed."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    try:
        algorithm, version, seed = signing_key.splitlines()[0].split()
        made = Ed25519PrivateKey.from_private_bytes(decoded(seed))
    except (ValueError, IndexError):
        raise Unsound("it is no signing key of Synapse's") from None
    raw = made.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"{algorithm}:{version}", encoded(raw)


def published(document: bytes, server_name: str, now: float) -> dict[str, str]:
    """The keys that a server publishes, by id: its own name, every signature right, and valid for now (seconds)."""
    try:
        data = json.loads(document)
        keys = {str(name): str(row["key"]) for name, row in data["verify_keys"].items()}
        signatures = dict(data["signatures"][server_name]) if data["server_name"] == server_name else {}
        until = float(data["valid_until_ts"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unsound("what it publishes as its keys is no such document") from None
    if data["server_name"] != server_name:
        raise Unsound(f"the keys published are those of {data['server_name']}")
    if until < now * 1000:
        raise Unsound("the keys that it publishes are not valid any more")
    signed = canonical({name: value for name, value in data.items() if name not in ("signatures", "unsigned")})
    for name, key in keys.items():
        if not verified(key, str(signatures.get(name, "")), signed):
            raise Unsound(f"its signature with {name} does not hold")
    if not keys:
        raise Unsound("it publishes no keys")
    return keys


def verified(key: str, signature: str, message: bytes) -> bool:
    """Whether an ed25519 signature is one of this message."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(decoded(key)).verify(decoded(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True
