"""The Postgres clusters of a machine, as Debian keeps them (pg_lsclusters), and which of them is ours to use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources.postgres import query

STANDARD = 5432


@dataclass(frozen=True)
class Cluster:
    """A Postgres cluster of Debian's.

    `shared` says that databases of others live in it, `tuned` that our settings are in it already. `boots` says that
    it starts at boot, `server` which release runs (150013 is 15.13; 0: none answers us), `ours` whether it has a
    database that we made (None: it didn't say).
    """

    version: str
    name: str
    port: int
    shared: bool = False
    tuned: bool = False
    boots: bool = field(default=True, compare=False)
    server: int = field(default=0, compare=False)
    ours: bool | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.version}/{self.name} on port {self.port}"

    @property
    def folder(self) -> str:
        """Where its configuration is."""
        return f"/etc/postgresql/{self.version}/{self.name}"

    @property
    def unit(self) -> str:
        """Its systemd unit."""
        return f"postgresql@{self.version}-{self.name}.service"

    @property
    def drop_in(self) -> str:
        """Where our settings for it go: Debian's postgresql.conf includes the directory."""
        return f"{self.folder}/conf.d/50-matrix-baremetal.conf"

    @property
    def major(self) -> int:
        """The major release that runs; that of its directory where none answers."""
        return self.server // 10000 or int(self.version)


def read(host: Host) -> tuple[Cluster, ...]:
    """All clusters, as far as their files and their servers tell."""
    return tuple(
        seen(host, Cluster(version, name, port(host, version, name)))
        for version in host.names("/etc/postgresql")
        for name in host.names(f"/etc/postgresql/{version}")
        if version.isdigit() and host.node(f"/etc/postgresql/{version}/{name}/postgresql.conf")
    )


def seen(host: Host, cluster: Cluster) -> Cluster:
    """What can be known of a cluster."""
    start = re.sub(r"#.*", "", host.text(f"{cluster.folder}/start.conf") or "").split()
    cluster = replace(cluster, boots=start in ([], ["auto"]), tuned=host.node(cluster.drop_in) is not None)
    try:
        rows = query(host, cluster.port, SEEN, must=True)
    except Error:
        # It is down, or we may not ask (the unit that retries certificates can't become postgres): left alone.
        return replace(cluster, shared=True)
    # In a folder nobody answers, and there are no databases.
    server, others, ours = map(int, rows[0]) if rows else (0, 0, 0)
    return replace(cluster, server=server, shared=bool(others), ours=bool(ours) if rows else None)


# A database that a restore or a move kept, or did not come to the end of, is nobody else's, and is not used either.
SEEN = """SELECT current_setting('server_version_num'), count(*) FILTER (WHERE mark NOT LIKE '%by matrix-baremetal%'),
count(*) FILTER (WHERE mark = 'made by matrix-baremetal')
FROM (SELECT coalesce(shobj_description(oid, 'pg_database'), '') AS mark FROM pg_database
WHERE NOT datistemplate AND datname <> 'postgres') AS bases;"""


def port(host: Host, version: str, name: str) -> int:
    """The port that a cluster's postgresql.conf names."""
    text = host.text(f"/etc/postgresql/{version}/{name}/postgresql.conf") or ""
    found = re.findall(r"^\s*port\b\s*=?\s*'?(\d+)", text, re.MULTILINE)
    return int(found[-1]) if found else STANDARD


def choose(clusters: Sequence[Cluster], used: int | None) -> Cluster | Obstacle:
    """The cluster for our databases: the one that has them already, else one that nobody can take for another.

    `used` is the port that Synapse's config names. What it used is never replaced by something empty.
    """
    if used is not None:
        there = [c for c in clusters if c.port == used]
        # One that is down may well have it. Where its port was changed, it is followed there.
        has, may = [c for c in there if c.ours], [c for c in there if c.ours is None]
        return first((has, may, [c for c in clusters if c.ours])) or gone(clusters, used)
    starting = [c for c in clusters if c.boots]
    choices = (
        [c for c in clusters if c.ours],
        [c for c in clusters if c.tuned],
        # Debian's first cluster, and whom every program asks that isn't told otherwise.
        [c for c in starting if c.port == STANDARD],
    )
    return first((*choices, starting, list(clusters))) or Obstacle(
        "there is no Postgres cluster on this machine",
        "see which releases there are: ls /usr/lib/postgresql; then: pg_createcluster --start RELEASE main",
    )


def first(choices: Sequence[Sequence[Cluster]]) -> Cluster | Obstacle | None:
    """The one of the first choice that there is; which one nobody can say where there are several."""
    for group in choices:
        if len(group) == 1:
            return group[0]
        if group:
            *others, last = (c.title for c in group)
            return Obstacle(
                f"Synapse's database could go into several Postgres clusters: {', '.join(others)} and {last}",
                "keep all but one from starting at boot: write manual into start.conf beside its postgresql.conf; or "
                f"give one port {STANDARD}",
            )
    return None


def gone(clusters: Sequence[Cluster], used: int) -> Obstacle:
    """Why an empty database is not put where there was a full one."""
    others = ", ".join(c.title for c in clusters) or "none"
    return Obstacle(
        f"the database that Synapse used, in the Postgres cluster on port {used}, is gone; there are: {others}",
        "start the cluster that has it (pg_lsclusters, pg_ctlcluster), or put it back from a backup",
    )
