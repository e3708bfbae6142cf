"""How the machine is, at a glance: units, versions, memory, certificates, disk. Looks only; repairs nothing."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any

from matrix_baremetal import backup_log, components, parts, release
from matrix_baremetal.checks import declared, firstboot
from matrix_baremetal.checks.certificates import Held
from matrix_baremetal.checks.check import Check
from matrix_baremetal.checks.declared import Current, Runs
from matrix_baremetal.checks.homeserver import READY, Ready
from matrix_baremetal.checks.machine import memory as meminfo
from matrix_baremetal.checks.parts import Parts
from matrix_baremetal.checks.registration import Registration
from matrix_baremetal.closing import over
from matrix_baremetal.components.component import DATA
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.doctor import examine
from matrix_baremetal.errors import Error
from matrix_baremetal.host import Host
from matrix_baremetal.preflight import dns_credentials
from matrix_baremetal.resources import opening, services, tally
from matrix_baremetal.resources.opening import written
from matrix_baremetal.resources.packages import installed
from matrix_baremetal.resources.services import Service
from matrix_baremetal.resources.systemd import shown_of_each
from matrix_baremetal.resources.tally import Tally
from matrix_baremetal.session import Session

MB = 1024 * 1024
# The checks of doctor whose faults are shown.
GLANCED = (firstboot.FirstBoot, Parts, Runs, Current, Ready, Registration, Held)


@dataclass(frozen=True)
class Status:
    """The parts of the page, each a list of rows with stable keys, and the sentences about what is wrong."""

    units: list[dict[str, Any]]
    versions: dict[str, str]
    certificates: list[dict[str, Any]]
    memory: dict[str, int]
    disk: dict[str, int]
    counts: dict[str, int | None]
    federation: dict[str, int | None]
    registration: dict[str, Any]
    backup: dict[str, Any]
    newer: list[dict[str, Any]]
    parts: list[dict[str, Any]]
    ready: bool
    faults: list[dict[str, str]]


def read(now: Session) -> Status:
    """Look at everything. Takes well under a second, also where things are broken."""
    if not now.host.live:
        raise Error("status looks at a machine that runs, and --root names a folder", hint="matrix-baremetal plan")
    names = tuple(dict.fromkeys(r.unit for r in now.resources if isinstance(r, Service)))
    asked = shown_of_each(now.host, names, *PROPERTIES)
    units = [unit(name, rows) for name, rows in asked.items()]
    checks = components.checks(now.site)
    glanced = [prepared(check, now.host, asked) for check in checks if isinstance(check, GLANCED)]
    certificates = [check.seen or {} for check in glanced if isinstance(check, Held)]
    found = examine(glanced, now.host)
    ready = any(finding.id == READY and finding.state == "pass" for finding in found)
    failed = [finding for finding in found if finding.state == "fail"]
    faults = [fault(finding.message, finding.next) for finding in failed if finding.id != READY]
    if trouble := now.site.store(USER).trouble(now.host):
        faults.append(fault(f"Synapse can't use its database: {trouble.message}", trouble.hint))
    # After what it may come of.
    faults += [fault(finding.message, finding.next) for finding in failed if finding.id == READY]
    faults += [fault(each.message, each.hint) for each in dns_credentials(now.site, now.host)]
    faults += cut_off(now.host)
    if waiting := [finding for finding in failed if finding.id == firstboot.ID]:
        # What else is missing comes of this.
        faults = [fault(finding.message, finding.next) for finding in waiting]
    seen = None if trouble else counted(now)
    numbers: dict[str, int] = asdict(seen) if seen else {}
    return Status(
        units,
        versions(now),
        certificates,
        memory(now.host),
        disk(now, seen),
        {name: numbers.get(name) for name in ("users", "rooms")},
        {name: numbers.get(name) for name in ("servers", "waiting")},
        registration(now),
        backup_log.read(now.host),
        [asdict(each) for each in now.site.versions.synapse.newer],
        [asdict(each) for each in parts.others(now.resources, now.host)],
        ready,
        faults,
    )


def cut_off(host: Host) -> list[dict[str, str]]:
    """An upgrade that was killed."""
    trial = release.read(host).trial
    sentence = f"an upgrade to Synapse {trial} did not come to its end"
    return [fault(sentence, "matrix-baremetal upgrade")] if trial else []


def fault(what: str, command: str) -> dict[str, str]:
    """One thing that is wrong, and what to do next."""
    return {"fault": what, "next": command}


def prepared(check: Check, host: Host, asked: dict[str, dict[str, str]]) -> Check:
    """A check that knows already what the page shows as well: each program that is started takes its time."""
    if isinstance(check, Runs | Current):
        return replace(check, seen=asked.get(check.name))
    return replace(check, seen=check.row(host)) if isinstance(check, Held) else check


# Of a unit, for the page and for its checks.
PROPERTIES = tuple(dict.fromkeys(("MemoryCurrent", *declared.PROPERTIES, *services.PROPERTIES)))


def unit(name: str, rows: dict[str, str]) -> dict[str, Any]:
    """A unit's state, its memory in bytes, and since when it runs (seconds since 1970)."""
    memory, entered = rows["MemoryCurrent"], int(rows["ActiveEnterTimestampMonotonic"] or 0) / 1e6
    since = time.time() - time.clock_gettime(time.CLOCK_MONOTONIC) + entered
    active = rows["ActiveState"] == "active"
    return {
        "unit": name,
        "state": rows["ActiveState"] or "unknown",
        "memory": int(memory) if memory.isdigit() and int(memory) < 1 << 62 else None,
        "since": int(since) if active and entered else None,
    }


def versions(now: Session) -> dict[str, str]:
    """What runs, by name."""
    packages = installed(now.host)
    current = release.current(now.host)
    store = now.site.store(USER)
    found = {"synapse": current or "none", store.kind: store.version(now.host)}
    for name in ("nginx", "certbot", "matrix-baremetal"):
        found[name] = packages.get(name, "none")
    return found


def counted(now: Session) -> Tally | None:
    """The numbers, where the database gives them in time: that it doesn't is for others to say."""
    try:
        return tally.read(now.host, now.site.store(USER))
    except Error:
        return None


def registration(now: Session) -> dict[str, Any]:
    """Who may make an account, until when (seconds since 1970), and whether that has come or nobody looked in."""
    asked, end = now.site.config.opening, now.site.closes
    gone = end is not None and over(now.host, written(end))
    since = opening.closed(now.host) if asked.unattended_days and not gone else None
    return {
        "mode": asked.mode,
        "until": int(end.timestamp()) if end else None,
        "unattended_days": asked.unattended_days,
        "unattended_since": None if since is None else int(since),
        "closed": gone or asked.mode == "closed" or since is not None,
    }


def memory(host: Host) -> dict[str, int]:
    """Bytes: what the machine has, and what programs can still get of it."""
    rows = meminfo(host)
    return {"total": rows.get("MemTotal", 0) * MB, "available": rows.get("MemAvailable", 0) * MB}


def disk(now: Session, seen: Tally | None) -> dict[str, int]:
    """Bytes: what the database, media and backups take, and what is free for the first two."""
    host, directory = now.host, now.site.config.backup.directory
    ours = [name for name in host.names(directory) if name.startswith(f"{now.site.config.server_name}-")]
    return {
        "database": now.site.store(USER).size(host),
        "media": seen.media if seen else 0,
        "remote_media": seen.remote_media if seen else 0,
        "backups": sum(host.path(f"{directory}/{name}").stat().st_size for name in ours),
        "free": host.space(DATA if host.node(DATA) else "/var/lib").size,
    }
