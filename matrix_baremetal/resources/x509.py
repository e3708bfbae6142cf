"""What a certificate says: its names, its life, its public key. openssl reads it; nothing here decides."""

from __future__ import annotations

import calendar
import re
import time
from dataclasses import dataclass

from matrix_baremetal.host import Host


@dataclass(frozen=True)
class X509:
    """The first certificate of a file: its DNS names, its begin and end in seconds since 1970, its public key."""

    names: tuple[str, ...]
    begin: float
    end: float
    public_key: str

    def covers(self, domain: str) -> bool:
        """Whether it is for a name, by itself or by a wildcard, which stands for one label (RFC 6125 §6.4.3)."""
        return domain in self.names or f"*.{domain.partition('.')[2]}" in self.names

    @property
    def left(self) -> float:
        """What is left of its life, as a share of the whole: certificates live for a week or for years."""
        return (self.end - time.time()) / max(self.end - self.begin, 1)


def look(host: Host, path: str) -> X509 | None:
    """What the first certificate in a PEM file says; None where there is none to be read."""
    shown = host.run(
        *("openssl", "x509", "-in", str(host.path(path)), "-noout", "-dates", "-pubkey", "-ext", "subjectAltName"),
        ok=range(256),
    ).out
    dates = dict(re.findall(r"^(notBefore|notAfter)=(.+)$", shown, re.MULTILINE))
    if len(dates) < 2:
        return None
    begin, end = (calendar.timegm(time.strptime(dates[d], "%b %d %H:%M:%S %Y %Z")) for d in ("notBefore", "notAfter"))
    return X509(tuple(name.lower() for name in re.findall(r"DNS:([^\s,]+)", shown)), begin, end, public_key(shown))


def public_key(text: str) -> str:
    """The public key in what openssl printed."""
    found = re.search(r"-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----", text, re.DOTALL)
    return found[0] if found else ""
