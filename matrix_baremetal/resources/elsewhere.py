"""What another web server answers under one of our names, as anybody else sees it: over TLS that holds.

What was seen is noted, and is good for a day.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, TypeAlias

from matrix_baremetal.host import Host
from matrix_baremetal.net import Net
from matrix_baremetal.resources import x509
from matrix_baremetal.resources.pending import moment, note_of

NOTES = "/var/lib/matrix-baremetal/elsewhere"
DAY = 86400  # seconds
Documents: TypeAlias = tuple[tuple[str, str], ...]  # path and JSON of each


@dataclass(frozen=True)
class Elsewhere:
    """Whether another web server is there, and what is wrong with its answers, in words; empty where nothing is."""

    there: bool
    fault: str = ""


def look(net: Net, domain: str, documents: Documents) -> Elsewhere:
    """Ask for each document; one that says more than ours is as good."""
    if not documents:
        return Elsewhere(net.get(f"https://{domain}/").status != 0)
    for path, text in documents:
        url, wanted = f"https://{domain}{path}", json.loads(text)
        answer = net.get(url)
        if answer.status == 0:
            return Elsewhere(False)
        if answer.status != 200:
            return Elsewhere(True, f"{url} there gives status {answer.status}")
        if not holds(answer.data, wanted):
            return Elsewhere(True, f"{url} there does not say {text}")
    return Elsewhere(True)


def holds(found: Any, wanted: Any) -> bool:
    """Whether a JSON value says all that another does: an object may have more keys."""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(key in found and holds(found[key], wanted[key]) for key in wanted)
    return bool(found == wanted)


def ask(host: Host, domain: str, documents: Documents, current: str) -> Elsewhere:
    """Look past this machine. A fault is a whole sentence for an operator.

    `current` is the directory of the pair that the name is served with here: where that is good, the answers may be
    our own, and nobody is asked.
    """
    own = x509.look(host, f"{current}/fullchain.pem") if host.target(current) not in (None, "self-signed") else None
    if own is not None and own.left > 0 and own.covers(domain):
        return Elsewhere(False)
    seen = look(host.net, domain, documents)
    if seen.fault:
        why = f"another web server has this name, and {seen.fault}; see: matrix-baremetal show well-known"
        return Elsewhere(True, why)
    return seen


def note(host: Host, domain: str, documents: Documents) -> None:
    """Note that they were answered now."""
    host.mkdir(NOTES, 0o755)
    row = {"documents": json.dumps(documents), "seen": int(time.time())}
    host.write(f"{NOTES}/{domain}", json.dumps(row) + "\n", 0o644)


def noted(host: Host, domain: str, documents: Documents) -> bool:
    """Whether just these were answered when it was asked last."""
    return note_of(host, f"{NOTES}/{domain}").get("documents") == json.dumps(documents)


def old(host: Host, domain: str) -> bool:
    """Whether it is time to ask again."""
    row = note_of(host, f"{NOTES}/{domain}")
    return bool(row) and time.time() >= moment(row, "seen", DAY) + DAY


def doubt(host: Host, domain: str) -> None:
    """Let it be asked again; the note stays, as the timer goes by it where a kill comes in between."""
    host.write(f"{NOTES}/{domain}", '{"seen": 0}\n', 0o644)


def forget(host: Host, domain: str) -> None:
    """It is not so any more."""
    host.remove(f"{NOTES}/{domain}")
