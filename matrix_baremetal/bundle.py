"""A support bundle: texts about this machine in one file, for somebody who helps, with every secret taken out.

What is known as a secret is taken out by its value wherever it stands, and what looks like one by its form: a person
may have pasted a password into any file, and a program may have written one into its log.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping

from matrix_baremetal.components.component import DATA, SECRETS
from matrix_baremetal.host import Host
from matrix_baremetal.resources.resource import masked

SIGNING_KEY = f"{DATA}/signing.key"
# Where secrets of Synapse's own settings are, a file each, beside the files that it reads as YAML.
CONF_D = "/etc/matrix-synapse/conf.d"
# Characters: a shorter word in a secret's file is a label, as ed25519, and stands in other texts as itself.
LEAST = 8
# Synapse's access and refresh tokens (synapse/handlers/auth.py), bcrypt's hashes, keys in PEM (RFC 7468).
FORMS = (
    re.compile(r"\bsy[tr]_[A-Za-z0-9_]{16,}"),
    re.compile(r"\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"),
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?-----END [A-Z ]*PRIVATE KEY-----", re.DOTALL),
)


def secrets(host: Host) -> frozenset[str]:
    """Every word of the files that hold secrets, and those files' lines, as a password may be several words."""
    texts = [host.text(path) or "" for path in (*below(host, SECRETS), SIGNING_KEY)]
    texts += alone(host)
    words = (part for text in texts for part in (*text.split(), *text.splitlines()))
    return frozenset(word.strip() for word in words if len(word.strip()) >= LEAST)


def alone(host: Host) -> Iterator[str]:
    """What is the one line of a file that a setting such as turn_shared_secret_path names."""
    for path in below(host, CONF_D):
        text = (host.text(path) or "").strip()
        if not path.endswith(".yaml") and "\n" not in text:
            yield text


def below(host: Host, top: str) -> Iterator[str]:
    """The files in a directory and in those below it."""
    for name in host.names(top):
        node = host.node(f"{top}/{name}")
        if node is not None and node.kind == "directory":
            yield from below(host, f"{top}/{name}")
        else:
            yield f"{top}/{name}"


def cleaned(text: str, known: Iterable[str]) -> str:
    """A text without what is known to be a secret, and what looks like one."""
    # The longest first: a part of it that is replaced would leave the rest standing.
    for word in sorted(known, key=len, reverse=True):
        text = text.replace(word, "(secret)")
    for form in FORMS:
        text = form.sub("(secret)", text)
    return masked(text)


def packed(texts: Mapping[str, str], folder: str, moment: float) -> bytes:
    """The texts as files in a folder, by tar and gzip; `moment` is when (seconds since 1970)."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, text in texts.items():
            raw = text.encode("utf-8", "replace")
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size, member.mtime, member.mode = len(raw), int(moment), 0o600
            archive.addfile(member, io.BytesIO(raw))
    return gzip.compress(plain.getvalue(), mtime=int(moment))
