"""A Postgres cluster on its way to another major release by Debian's pg_upgradecluster, and back where that ended.

It copies the whole cluster (pg_upgrade in copy mode): the old one stays as it was, on another port and not started at
boot, and the new one gets its port last. So whoever has the port says how far a run came that was cut off.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

from matrix_baremetal.errors import Error, Obstacle
from matrix_baremetal.host import Host
from matrix_baremetal.resources import clusters
from matrix_baremetal.resources.accounts import as_user
from matrix_baremetal.resources.clusters import Cluster
from matrix_baremetal.resources.postgres import installed, query
from matrix_baremetal.shell import Failed

NOTE = "/var/lib/matrix-baremetal/postgres-major.json"
PROGRAM = "/usr/bin/pg_upgradecluster"
COMMAND = "matrix-baremetal migrate postgres-major"
# Seconds: it copies all there is, and then looks at all tables for their statistics.
LONG = 24 * 3600


class AsItWas(Error):
    """The move failed, and was undone."""


@dataclass(frozen=True)
class ClusterMove:
    """The cluster `name` of release `old` becomes one of release `new`, on the same `port`.

    `start` is what its start.conf said. `moved` says that the new one was found whole, and is in use from then on.
    """

    old: str
    new: str
    name: str
    port: int
    start: str = ""
    moved: bool = False

    @property
    def title(self) -> str:
        """What a person calls it."""
        return f"{self.old}/{self.name} → {self.new}/{self.name}"

    @property
    def unit(self) -> str:
        """The systemd unit of the old cluster."""
        return Cluster(self.old, self.name, self.port).unit

    @property
    def drop(self) -> str:
        """The command with which a person takes away the old cluster."""
        return f"pg_dropcluster --stop {self.old} {self.name}"

    def write(self, host: Host) -> None:
        """Note it, for the next run where this one is cut off."""
        host.mkdir(NOTE.rpartition("/")[0], 0o755)
        host.write(NOTE, json.dumps(asdict(self)) + "\n", 0o600)

    def clusters(self, host: Host) -> tuple[Cluster | None, Cluster | None]:
        """The old and the new cluster, as far as they are there."""
        found = {cluster.version: cluster for cluster in clusters.read(host) if cluster.name == self.name}
        return found.get(self.old), found.get(self.new)

    def complete(self, host: Host) -> bool:
        """Whether the new cluster has the port: that is pg_upgradecluster's last step but starting it."""
        old, new = self.clusters(host)
        return new is not None and new.port == self.port and (old is None or old.port != self.port)

    def empty(self, host: Host) -> Iterator[Obstacle]:
        """Hold that a cluster of the new release and of this name has nothing of anybody's: Debian makes one."""
        _, new = self.clusters(host)
        if new is None:
            place = f"/var/lib/postgresql/{self.new}/{self.name}"
            if host.names(place):
                yield Obstacle(
                    f"{place} is in the way: it has files of a cluster that is not there", f"ls -la {place}"
                )
            return
        if not new.server:
            start = f"pg_ctlcluster {new.version} {new.name} start"
            yield Obstacle(f"{new.title} is in the way, and does not say what is in it, as it is down", start)
        elif (used := query(host, new.port, USED, must=True)) != [["0"]]:
            yield Obstacle(
                f"{new.title} is in the way: somebody has put databases or roles into it ({used[0][0]} of them)",
                f"pg_renamecluster {new.version} {new.name} ANOTHER-NAME, or drop it if nobody needs it",
            )

    def put_back(self, host: Host) -> None:
        """Undo what a run did that was cut off: the old cluster as it was, and none of the new release beside it."""
        old, new = self.clusters(host)
        if old is None:
            raise Error(f"the cluster {self.old}/{self.name} is gone", hint="pg_lsclusters")
        if new is not None:
            host.run("pg_dropcluster", "--stop", self.new, self.name, ok=(0, 1), timeout=300)
        # A cluster that was made by half: pg_dropcluster does not know it, and pg_createcluster trips over it.
        for top in ("/etc/postgresql", "/var/lib/postgresql"):
            host.remove_tree(f"{top}/{self.new}/{self.name}")
        if old.port != self.port:
            host.run("pg_conftool", self.old, self.name, "set", "port", str(self.port))
        place = f"{old.folder}/start.conf"
        if host.text(place) != self.start:
            host.write(place, self.start, 0o644, *self._owner(host))
        host.run("systemctl", "daemon-reload")
        host.run("systemctl", "restart" if old.port != self.port else "start", self.unit, timeout=300)

    def _owner(self, host: Host) -> tuple[str, str]:
        node = host.node(f"/etc/postgresql/{self.old}/{self.name}/postgresql.conf")
        return (node.owner, node.group) if node else ("root", "root")

    def carry_out(self, host: Host) -> None:
        """Let Debian's program do it. Raises `Error` with its last words, and then the old cluster is as it was."""
        # Newer ones take the new cluster away where its statistics fail, after it has been given its port.
        keeps = "keep-on-error" in (host.text(PROGRAM) or "")
        words = ("-v", self.new, "-m", "upgrade", *(("--keep-on-error",) if keeps else ()))
        try:
            host.run(PROGRAM, *words, self.old, self.name, timeout=LONG)
        except Failed as error:
            if not self.complete(host):
                self.put_back(host)
                raise AsItWas(
                    f"pg_upgradecluster failed, and all is as it was: {error.result.last_words}",
                    hint=f"ls /var/log/postgresql/pg_upgradecluster-*; then: {COMMAND}",
                ) from None

    def settings(self, host: Host) -> list[str]:
        """Bring along the files of conf.d, which pg_upgradecluster leaves behind; those with which it can't start.

        Ours too: where it is, a cluster stays tuned that others have come to share since.
        """
        old, new = (Cluster(release, self.name, self.port) for release in (self.old, self.new))
        names = [name for name in host.names(f"{old.folder}/conf.d") if name.endswith(".conf")]
        brought = []
        for name in names:
            source, place = f"{old.folder}/conf.d/{name}", f"{new.folder}/conf.d/{name}"
            node, data = host.node(source), host.read(source)
            if node and data is not None and host.node(place) is None:
                host.write(place, data, node.mode, node.owner, node.group)
                brought.append(place)
        if not brought:
            return []
        try:
            host.run("systemctl", "restart", new.unit, timeout=300)
            return []
        except Failed:
            theirs = [place for place in brought if place != new.drop_in]
            for place in theirs:
                host.rename(place, f"{place}.refused")
            host.run("systemctl", "restart", new.unit, timeout=300)
            return [f"{place}.refused" for place in theirs]

    def analyze(self, host: Host) -> None:
        """Statistics for the planner, of which the new cluster has none: without them queries take minutes."""
        program = f"/usr/lib/postgresql/{self.new}/bin/vacuumdb"
        words = ("--all", "--analyze-only", "--quiet", "--no-password", f"--port={self.port}")
        host.run(*as_user("postgres"), program, *words, timeout=LONG)


def pending(host: Host) -> ClusterMove | None:
    """The move that was cut off, or whose new cluster has not been taken into use."""
    try:
        return ClusterMove(**json.loads(host.text(NOTE) or ""))
    except (ValueError, TypeError):
        return None


def forget(host: Host) -> None:
    """It is done."""
    host.remove(NOTE)


def wanted(host: Host, cluster: Cluster) -> ClusterMove | None:
    """The way from a cluster to the newest release of which this machine has programs; None where it is there."""
    newest = installed(host)[-1:]
    if not newest or int(newest[0]) <= int(cluster.version):
        return None
    start = host.text(f"{cluster.folder}/start.conf") or "auto\n"
    return ClusterMove(cluster.version, newest[0], cluster.name, cluster.port, start)


def done(move: ClusterMove) -> ClusterMove:
    """The same, with the new cluster found whole."""
    return replace(move, moved=True)


# What no empty cluster has: databases, and roles that may log in, of anybody but its superuser.
USED = """SELECT (SELECT count(*) FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres')
+ (SELECT count(*) FROM pg_roles WHERE rolname !~ '^pg_' AND oid <> 10);"""
