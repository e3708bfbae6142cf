"""The database moves to the next major release of Postgres, which a new release of Debian brings beside the old one.

Debian's pg_upgradecluster does it (resources/cluster_move.py); here is what has to be true before, and what is held
after. `apply` does the rest: settings for the new cluster, the homeserver's start, and that it answers.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrix_baremetal import components
from matrix_baremetal.components.synapse import UNIT
from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources import cluster_move
from matrix_baremetal.resources.cluster_move import AsItWas, ClusterMove
from matrix_baremetal.resources.postgres import Database, Role, query
from matrix_baremetal.session import Session
from matrix_baremetal.transfer import Transfer

MB = 1024 * 1024
# Bytes a second that a copy makes on a slow disk, and seconds for the rest: an estimate, and said to be one.
RATE, FIXED = 50 * MB, 30


def planned(now: Session) -> ClusterMove | None:
    """The way to the newest Postgres of this machine; None where it runs. Raises `Error` where there is none."""
    if now.site.config.database != "postgres":
        raise Error(
            "this homeserver keeps its rows in SQLite, which needs no such move", hint="matrix-baremetal status"
        )
    if now.manifest.server_name is None:
        raise Error("there is no homeserver here yet", hint="matrix-baremetal install")
    if now.site.facts.cluster is None:
        lost = now.site.facts.no_cluster
        raise (
            Error(lost.message, hint=lost.hint) if lost else Error("there is no Postgres here", hint="pg_lsclusters")
        )
    return cluster_move.wanted(now.host, now.site.facts.cluster)


def obstacles(now: Session, move: ClusterMove, *, with_others: bool) -> Iterator[Obstacle]:
    """All that is in the way of it."""
    host, cluster = now.host, now.site.cluster
    if host.node(f"/usr/lib/postgresql/{move.old}/bin/postgres") is None:
        yield Obstacle(
            f"the programs of Postgres {move.old} are gone, and without them nobody can read {cluster.title}",
            f"put the package postgresql-{move.old} back, or restore a backup: matrix-baremetal backup list",
        )
        return
    if host.node(cluster_move.PROGRAM) is None:
        yield Obstacle(f"{cluster_move.PROGRAM} is missing", "apt install postgresql-common")
    if not cluster.server:
        yield Obstacle(f"{cluster.title} does not answer", f"systemctl start {cluster.unit}")
        return
    if (theirs := others(host, cluster.port)) and not with_others:
        rows = ", ".join(f"{name} (of {owner})" for name, owner in theirs)
        yield Obstacle(
            f"the cluster holds databases of others too, and moves as a whole: {rows}",
            f"ask whose they are, as they are away meanwhile; then: {cluster_move.COMMAND} --with-others",
        )
    if spaces := query(host, cluster.port, TABLESPACES):
        yield Obstacle(
            f"the cluster has tablespaces, which need a person's eye: {', '.join(row[0] for row in spaces)}",
            f"pg_upgradecluster -v {move.new} {move.old} {move.name}, with its manual at hand",
        )
    need, free = int(size(host, cluster.port) * 1.2), host.space("/var/lib/postgresql").size
    if free < need:
        yield Obstacle(
            f"/var/lib/postgresql has {free // MB} MB free, and the copy may need {need // MB} MB",
            "make room: du -xh /var/lib | sort -h | tail",
        )
    yield from move.empty(host)


def others(host: Host, port: int) -> list[tuple[str, str]]:
    """The databases that are not ours, each with its owner."""
    return [(name, owner) for name, owner in query(host, port, OTHERS)]


def size(host: Host, port: int) -> int:
    """The bytes of all databases of a cluster."""
    rows = query(host, port, SIZES)
    return int(rows[0][0]) if rows else 0


def seconds(size: int) -> int:
    """About how long the homeserver is away while so many bytes move."""
    return FIXED + size // RATE


def carry_out(host: Host, move: ClusterMove, transfer: Transfer) -> None:
    """Move the cluster; the homeserver stands still until `apply` starts it. It may be done again from any point."""
    if move.complete(host):
        return
    transfer.begin(f"stop {UNIT}")
    host.run("systemctl", "stop", UNIT, timeout=300)
    move.put_back(host)
    transfer.end()
    transfer.begin(f"move the cluster {move.title}")
    try:
        move.carry_out(host)
    except AsItWas:
        # Nothing is to be resumed. Where it could not be undone the note stays, and the same command does it.
        cluster_move.forget(host)
        host.run("systemctl", "start", UNIT, ok=range(256), timeout=1900)
        raise
    transfer.end()


def held(now: Session, move: ClusterMove, transfer: Transfer) -> list[str]:
    """Hold that what is ours came along, before anybody writes to it; files of others that it could not take.

    Raises `Error`, and then says how to go back.
    """
    host = now.host
    transfer.begin("look at what came along")
    host.run("systemctl", "start", move.unit.replace(f"@{move.old}-", f"@{move.new}-"), timeout=300)
    wrong = [
        asked.title
        for part in components.parts(now.site)
        for asked in part.resources(now.needs)
        if isinstance(asked, Role | Database) and asked.find(host) != asked
    ]
    wrong += [f"the tables of {name}" for name in components.data(now.site).stores if not rows_of(now, name)]
    if wrong:
        back = (
            f"pg_dropcluster --stop {move.new} {move.name}; pg_conftool {move.old} {move.name} set port {move.port}"
        )
        raise Error(
            f"the new cluster is not what the old one was: {', '.join(wrong)}",
            hint=f"go back: {back}; echo auto > /etc/postgresql/{move.old}/{move.name}/start.conf; "
            f"rm {cluster_move.NOTE}; systemctl daemon-reload; systemctl start {move.unit} {UNIT}",
        )
    left = move.settings(host)
    transfer.end()
    transfer.begin("statistics for the planner")
    move.analyze(host)
    transfer.end()
    cluster_move.done(move).write(host)
    return left


def rows_of(now: Session, name: str) -> dict[str, str]:
    """The schema's version and the number of tables of a store, {} where there is none."""
    return components.data(now.site).stores[name].copy.counted(now.host)


OTHERS = """SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE NOT datistemplate
AND datname <> 'postgres' AND coalesce(shobj_description(oid, 'pg_database'), '') NOT LIKE '%by matrix-baremetal%'
ORDER BY 1;"""
SIZES = """SELECT sum(pg_database_size(oid)) FROM pg_database;"""
TABLESPACES = """SELECT spcname FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global');"""
