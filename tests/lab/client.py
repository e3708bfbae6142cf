"""Somebody else on the pretend internet: a program of this machine, with that internet's addresses, DNS and trust.

Nothing of this machine changes: the program has a mount namespace of its own, in which two files are others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from . import infra, network
from .places import RUN, write_text

_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
_HOME = RUN / "client"
_VARIABLES = ("SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_SCRIPT = """set -e
for file in resolv.conf nsswitch.conf ssl/certs/ca-certificates.crt; do
  [ ! -e "$1/${file##*/}" ] || mount --bind "$1/${file##*/}" "/etc/$file"
done
shift
exec "$@"
"""


def prepare() -> None:
    """Write the files that the client sees in place of this machine's."""
    write_text(_HOME / "resolv.conf", f"nameserver {network.ip4(network.INFRA)}\n")
    # A resolver that is asked through a socket would answer for this machine's internet.
    write_text(_HOME / "nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n")
    bundle = "\n".join(path.read_text() for path in (_BUNDLE, *infra.roots()))
    write_text(_HOME / "ca-certificates.crt", bundle)


def argv(*command: str, space: str = "") -> list[str]:
    """The command that runs `command` as the client; in the network namespace `space`, as somebody elsewhere."""
    entered = ["nsenter", f"--net={space or network.namespace('client')}", "--", "unshare", "--mount", "--"]
    return [*entered, "sh", "-c", _SCRIPT, "client", str(_HOME), *command]


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    return {**os.environ, **dict.fromkeys(_VARIABLES, str(_BUNDLE)), **(extra or {})}
