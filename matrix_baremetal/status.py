"""How the machine is, at a glance: units, versions, memory, certificates, disk. Looks only; repairs nothing."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from typing import Any

from matrix_baremetal.components.component import TLS
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.preflight import dns_credentials
from matrix_baremetal.resources import pending
from matrix_baremetal.resources.elsewhere import noted
from matrix_baremetal.resources.key_pair import KeyPair, mistakes
from matrix_baremetal.resources.matrix import Homeserver
from matrix_baremetal.resources.packages import installed
from matrix_baremetal.resources.postgres import query
from matrix_baremetal.resources.services import Service
from matrix_baremetal.resources.x509 import look
from matrix_baremetal.session import Session

MB = 1024 * 1024
# Certificates are renewed at a third of their life; one with less than a fifth left has been missed.
WORRY = 0.2
# A self-signed certificate is a fault only where another was asked for.
FINE = ("valid", "elsewhere", "self-signed")


@dataclass(frozen=True)
class Status:
    """The parts of the page, each a list of rows with stable keys, and the sentences about what is wrong."""

    units: list[dict[str, Any]]
    versions: dict[str, str]
    certificates: list[dict[str, Any]]
    disk: dict[str, int]
    ready: bool
    faults: list[dict[str, str]]


def read(now: Session) -> Status:
    """Look at everything. Takes well under a second, also where things are broken."""
    if not now.host.live:
        raise Error("status looks at a machine that runs, and --root names a folder", hint="matrix-baremetal plan")
    units = [unit(now.host, name) for name in dict.fromkeys(r.unit for r in now.resources if isinstance(r, Service))]
    certificates = [certificate(now, domain) for domain in now.needs.domains()]
    ready = any(r.find(now.host) == r for r in now.resources if isinstance(r, Homeserver))
    faults = [
        *(
            fault(f"{u['unit']} is {u['state']}", f"journalctl -u {u['unit']}")
            for u in units
            if u["state"] != "active"
        ),
        *(
            fault(f"{r.unit} has not taken up what it reads", "matrix-baremetal apply")
            for r in dict.fromkeys(r for r in now.resources if isinstance(r, Service))
            if (found := r.find(now.host)) is not None and found.stale
        ),
        *(fault("the homeserver does not answer", "journalctl -u matrix-synapse") for _ in (0,) if not ready),
        *(certificate_fault(row, now) for row in certificates if row["state"] not in FINE),
        *(
            fault(f"{row['domain']} is served with a self-signed certificate", "matrix-baremetal apply")
            for row in certificates
            if row["state"] == "self-signed" and now.site.config.tls.mode != "self-signed"
        ),
        *(fault(obstacle.message, obstacle.hint) for obstacle in dns_credentials(now.site, now.host)),
    ]
    return Status(units, versions(now), certificates, disk(now), ready, faults)


def fault(what: str, command: str) -> dict[str, str]:
    """One thing that is wrong, and what to do next."""
    return {"fault": what, "next": command}


def unit(host: Host, name: str) -> dict[str, Any]:
    """A unit's state, its memory in bytes, and since when it runs (seconds since 1970)."""
    shown = host.run(
        "systemctl", "show", "--property=ActiveState,MemoryCurrent,ActiveEnterTimestampMonotonic", name
    ).out
    rows = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    memory, entered = rows.get("MemoryCurrent", ""), int(rows.get("ActiveEnterTimestampMonotonic") or 0) / 1e6
    since = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + entered
    active = rows.get("ActiveState") == "active"
    return {
        "unit": name,
        "state": rows.get("ActiveState", "unknown"),
        "memory": int(memory) if memory.isdigit() and int(memory) < 1 << 62 else None,
        "since": int(since) if active and entered else None,
    }


def versions(now: Session) -> dict[str, str]:
    """What runs, by name."""
    packages = installed(now.host)
    current = now.host.target("/opt/matrix-baremetal/synapse/current")
    found = {"synapse": current or "none", "postgres": now.site.cluster.version}
    for name in ("nginx", "certbot", "matrix-baremetal"):
        found[name] = packages.get(name, "none")
    return found


def certificate(now: Session, domain: str) -> dict[str, Any]:
    """The certificate that a name is served with: its state, the days it has left, and why it is pending."""
    host, current = now.host, f"{TLS}/{domain}/current"
    why = untaken(now, domain) or pending.note(host, domain).get("reason")
    row: dict[str, Any] = {"domain": domain, "state": "missing", "days": None, "reason": why}
    if not why and elsewhere(now, domain):
        return row | {"state": "elsewhere"}
    if not host.path(f"{current}/fullchain.pem").exists():
        return row
    seen = look(host, f"{current}/fullchain.pem")
    if seen is None:
        return row | {"state": "broken"}
    selfmade = host.target(current) == "self-signed"
    row["days"] = None if selfmade else int((seen.end - time.time()) / 86400)
    if seen.left < 0:
        row["state"] = "expired"
    elif why:
        row["state"] = "pending"
    elif selfmade:
        row["state"] = "self-signed"
    else:
        row["state"] = "overdue" if seen.left < WORRY else "valid"
    return row


def elsewhere(now: Session, domain: str) -> bool:
    """Whether another web server answers for a name, so that no certificate is needed here."""
    documents = now.needs.elsewhere(domain)
    return documents is not None and noted(now.host, domain, documents)


def untaken(now: Session, domain: str) -> str | None:
    """Why the operator's own pair is not what a name is served with; None where it is, or there is none."""
    for pair in now.resources:
        if isinstance(pair, KeyPair) and pair.domain == domain and pair.find(now.host) != pair:
            wrong = mistakes(now.host, pair.certificate, pair.private_key, (domain,))
            return "; ".join(message for message, _ in wrong) or f"{pair.certificate} is not served yet"
    return None


def certificate_fault(row: dict[str, Any], now: Session) -> dict[str, str]:
    """What is wrong with a certificate, in words."""
    why = f": {row['reason']}" if row["reason"] else ""
    command = "matrix-baremetal apply"
    if now.site.config.tls.mode == "files" and row["state"] in ("expired", "overdue"):
        command = f"replace {now.site.config.tls.certificate} and its key, then: {command}"
    elif row["state"] == "overdue":
        command = "certbot renew"
    return fault(f"the certificate of {row['domain']} is {row['state']}{why}", command)


def disk(now: Session) -> dict[str, int]:
    """Bytes: what the database takes, what is free for it and for media."""
    cluster = now.site.cluster
    rows = query(now.host, cluster.port, "SELECT pg_database_size(:'name');", name="matrix-synapse")
    media = now.host.path("/var/lib/matrix-synapse")
    return {
        "database": int(rows[0][0]) if rows else 0,
        "free": shutil.disk_usage(media if media.exists() else now.host.path("/var/lib")).free,
    }
