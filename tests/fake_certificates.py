"""openssl and certbot, as far as we rely on them.

What stands for a certificate is a JSON object in PEM's armour, for a key a word that begins so.
"""

from __future__ import annotations

import itertools
import json
import shutil
import ssl
import time
from pathlib import Path
from typing import Any

from matrix_baremetal.shell import Result

DAY = 86400
GOOD = Result(0, "", "")
STAMP = "%b %d %H:%M:%S %Y GMT"


class FakeCertificates:
    """The two programs, on the files that `at` finds."""

    def at(self, path: str) -> Path:
        """Where a path of the machine is."""
        raise NotImplementedError

    def put(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file there."""
        raise NotImplementedError

    def certificate(
        self, path: str, names: list[str], days: float = 90, age: float = 0, key: str = "key", chain: bool = True
    ) -> None:
        """Put what stands for a certificate and its key there; `chain` says that its issuers are in the file."""
        now = time.time()
        self._pair(path, {"names": names, "key": key, "chain": chain}, now - age * DAY, now + days * DAY)

    def lasting(self, path: str, names: list[str]) -> None:
        """Put a pair there that is the same on each machine and each day."""
        self._pair(path, {"names": names, "key": "key", "chain": True}, 0, 1 << 32)

    def _pair(self, path: str, seen: dict[str, Any], begin: float, end: float) -> None:
        text = json.dumps({**seen, "begin": begin, "end": end})
        self.put(f"{path}/fullchain.pem", ssl.DER_cert_to_PEM_cert(text.encode()))
        self.put(f"{path}/privkey.pem", seen["key"], 0o600)

    def openssl(self, words: tuple[str, ...]) -> Result:
        """openssl req, x509, pkey and verify."""
        if words[0] == "req":
            name = words[words.index("-addext") + 1].rpartition(":")[2]
            self.certificate(words[words.index("-keyout") + 1].rpartition("/")[0], [name], 3650)
            return GOOD
        if words[0] == "pkey":
            text = self.at(words[words.index("-in") + 1]).read_text()
            return Result(0, public(text), "") if text.startswith("key") else Result(1, "", "Could not read key")
        try:
            file = self.at(words[-1] if words[0] == "verify" else words[words.index("-in") + 1])
            seen = json.loads(ssl.PEM_cert_to_DER_cert(file.read_text().strip()))
        except ValueError:
            return Result(1, "", "Could not read certificate")
        return verified(seen) if words[0] == "verify" else shown(seen)

    def certbot(self, words: tuple[str, ...]) -> Result:
        """certbot certonly and delete."""
        given = dict(itertools.pairwise(words))
        if words[0] == "delete":
            name = given["--cert-name"]
            self.at(f"/etc/letsencrypt/renewal/{name}.conf").unlink(missing_ok=True)
            for place in ("live", "archive"):
                shutil.rmtree(self.at(f"/etc/letsencrypt/{place}/{name}"), ignore_errors=True)
            return GOOD
        if "--dry-run" in words:
            return GOOD
        name = given["--cert-name"]
        left = [f"/etc/letsencrypt/renewal/{name}.conf", f"/etc/letsencrypt/archive/{name}"]
        if not self.at(f"/etc/letsencrypt/live/{name}/fullchain.pem").exists() and any(
            self.at(path).exists() for path in (*left, f"/etc/letsencrypt/live/{name}")
        ):
            name += "-0001"
        self.put(f"/etc/letsencrypt/renewal/{name}.conf", "version = 2.1.0\n")
        self.put(f"/etc/letsencrypt/archive/{name}/fullchain1.pem", "")
        self.certificate(f"/etc/letsencrypt/live/{name}", [given["--domain"]])
        return GOOD


def public(key: str) -> str:
    """A public key as openssl prints it."""
    return f"-----BEGIN PUBLIC KEY-----\n{key}\n-----END PUBLIC KEY-----\n"


def shown(seen: dict[str, Any]) -> Result:
    """What openssl x509 prints."""
    begin, end = (time.strftime(STAMP, time.gmtime(seen[key])) for key in ("begin", "end"))
    names = ", ".join(f"DNS:{name}" for name in seen["names"])
    text = f"{public(seen['key'])}notBefore={begin}\nnotAfter={end}\n"
    return Result(0, f"{text}X509v3 Subject Alternative Name: \n    {names}\n", "")


def verified(seen: dict[str, Any]) -> Result:
    """What openssl verify says."""
    lost = "error 20 at 0 depth lookup: unable to get local issuer certificate\n"
    return GOOD if seen["chain"] else Result(2, "", lost)
