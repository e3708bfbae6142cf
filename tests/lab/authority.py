"""The lab's own certificate authority: it vouches for Let's Encrypt's names, and for what tests ask it to.

Certificates that ACME clients get come from pebble, not from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from .places import RUN
from .programs import call

HOME = RUN / "authority"
ROOT = HOME / "root.pem"
_KEY = HOME / "root.key"
_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def found() -> None:
    """Make the authority, once for each start of the lab."""
    if ROOT.exists():
        return
    HOME.mkdir(parents=True, exist_ok=True)
    HOME.chmod(0o700)
    draft = HOME / "root.new"
    subject = ("-subj", "/CN=matrix-baremetal lab root")
    constraints = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
    call(
        "openssl",
        "req",
        "-x509",
        *_NEW_KEY,
        "-days",
        "3650",
        *subject,
        *constraints,
        "-keyout",
        str(_KEY),
        "-out",
        str(draft),
    )
    draft.replace(ROOT)


def issue(names: Sequence[str], days: int = 90) -> tuple[Path, Path]:
    """A certificate for DNS names and addresses, and its key. Made once for each set of names."""
    label = f"{names[0].replace('*', '_')}-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:8]}"
    certificate, key, request = HOME / f"{label}.pem", HOME / f"{label}.key", HOME / f"{label}.csr"
    if certificate.exists():
        return certificate, key
    san = ",".join(
        f"IP:{name}" if name.replace(".", "").isdigit() or ":" in name else f"DNS:{name}" for name in names
    )
    extensions = HOME / f"{label}.ext"
    # Python 3.13 is strict and wants to be told who issued it.
    extensions.write_text(f"subjectAltName={san}\nextendedKeyUsage=serverAuth\nauthorityKeyIdentifier=keyid\n")
    call("openssl", "req", *_NEW_KEY, "-subj", f"/CN={names[0]}", "-keyout", str(key), "-out", str(request))
    signer = (
        "-CA",
        str(ROOT),
        "-CAkey",
        str(_KEY),
        "-CAcreateserial",
        "-days",
        str(days),
        "-extfile",
        str(extensions),
    )
    draft = HOME / f"{label}.new"
    call("openssl", "x509", "-req", "-in", str(request), *signer, "-out", str(draft))
    draft.replace(certificate)
    return certificate, key
