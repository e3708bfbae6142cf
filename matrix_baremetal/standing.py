"""What a change could break of a homeserver that stands already, or can't have; a part of preflight."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from matrix_baremetal import beforehand
from matrix_baremetal.components.homeserver_yaml import USER
from matrix_baremetal.errors import Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources import cluster_move, opening
from matrix_baremetal.resources.certificates import misdirected
from matrix_baremetal.resources.opening import OPENED, Opening
from matrix_baremetal.site import Site


def obstacles(site: Site, host: Host) -> Iterator[Obstacle]:
    """All of it."""
    yield from moving(host)
    yield from beforehand.obstacles(site, host)
    yield from renamed(site, host)


def moving(host: Host) -> Iterator[Obstacle]:
    """The database is not on its way to another Postgres: nobody may write to a copy that is not whole."""
    move = cluster_move.pending(host)
    if move is not None and not move.moved:
        yield Obstacle(f"the move of the Postgres cluster {move.title} was cut off", cluster_move.COMMAND)


def renamed(site: Site, host: Host) -> Iterator[Obstacle]:
    """Where `hostname` is another than before, it leads here: all are sent there, and the old name goes."""
    before, name = left(site, host), site.config.hostname
    if before is None or site.config.tls.mode != "acme":
        return
    if astray := misdirected(name, host.net.addresses(name), site.facts.addresses):
        yield Obstacle(
            f"everybody would be sent from {before} to {name}, and {astray}",
            "make its DNS records first: matrix-baremetal show dns",
            passes=True,
        )


def left(site: Site, host: Host) -> str | None:
    """The hostname that it has had until now, where the config has another."""
    written = host.text("/etc/matrix-synapse/homeserver.yaml") or ""
    before = re.search(r"^public_baseurl: https://([^/\s]+)/", written, re.MULTILINE)
    return before[1] if before and before[1] != site.config.hostname else None


def unattended(site: Site, host: Host) -> Iterator[str]:
    """Registration that no `apply` opens, as no administrator has looked in since it closed for want of one."""
    days, since = site.config.opening.unattended_days, opening.closed(host)
    if not days or since is None or days != opening.opened(host)[0]:
        return
    if not Opening(OPENED, days, site.store(USER)).due_here(host):
        when = site.here(datetime.fromtimestamp(since, UTC))
        yield (
            f"registration is closed since {when}, as no administrator looked in for {days} days; to have it "
            "opened, log in as one first"
        )


def remarks(site: Site, host: Host) -> Iterator[str]:
    """What a change takes from others, and could leave them for a while."""
    if (end := site.closes) and end.timestamp() <= time.time():
        yield f"registration.until is {site.here(end)}, which is past, so registration is closed"
    yield from unattended(site, host)
    yield from beforehand.remarks(site, host)
    before = left(site, host)
    if before and before not in (*site.config.former_hostnames, site.config.server_name):
        yield (
            f"{before} will answer nobody any more, and clients and other servers that know it find nothing there; "
            f"to have it served for a while longer, say in the config: former_hostnames: [{before}]"
        )
