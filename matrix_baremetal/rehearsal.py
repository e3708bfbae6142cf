"""Rehearsals of renewals: certbot does all of one but keep the certificate, weeks before it has to.

What has come in the way since the last order (a closed port, a name that leads elsewhere, a CAA record) is known then
while there is time. Let's Encrypt's staging directory is asked by certbot, which spares the rate limits of the other.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from matrix_baremetal.host import Host
from matrix_baremetal.resources.certificates import LIVE, Certificate

PATH = "/var/lib/matrix-baremetal/rehearsals.json"


@dataclass(frozen=True)
class Rehearsal:
    """When a renewal was rehearsed, in seconds since 1970, and why it failed; empty where it went well."""

    when: float
    why: str = ""


def rehearse(host: Host, certificates: Iterable[Certificate]) -> dict[str, Rehearsal]:
    """Rehearse the renewal of those that are there, and note how it went; gives that by domain."""
    found = {}
    for each in certificates:
        if host.path(f"{LIVE}/{each.lineage}/fullchain.pem").exists():
            no = each.rehearse(host)
            found[each.domain] = Rehearsal(time.time(), no.reason if no else "")
    # Those of domains that are no more are not kept.
    host.write(PATH, json.dumps({domain: asdict(each) for domain, each in found.items()}) + "\n", 0o644)
    return found


def read(host: Host) -> Mapping[str, Rehearsal]:
    """How the last rehearsals went, by domain; nothing where there was none."""
    try:
        rows = json.loads(host.text(PATH) or "{}")
        return {str(name): Rehearsal(float(row["when"]), str(row["why"])) for name, row in rows.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
