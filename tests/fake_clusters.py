"""A machine whose Debian has brought a second Postgres, with a pg_upgradecluster that can be cut off anywhere."""

from __future__ import annotations

import copy
import re
from pathlib import Path

from matrix_baremetal.shell import Result
from tests.fake_postgres import FakePostgres
from tests.fake_programs import GOOD
from tests.fakes import Killed, Machine

OLD, NEW = "15/main", "17/main"
# How many steps the program has, each of which may be its last.
STEPS = 8


class Clustered(Machine):
    """Postgres 15 has the database, and 17 is there with an empty cluster, as a full upgrade of Debian leaves it.

    `cut` is the step of pg_upgradecluster after which the power goes; `fails` its words, where it fails instead;
    `refused` a file with which no cluster starts; `stuck` says that nothing can be undone.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root, 12)
        self.cut: int | None = None
        self.fails = self.refused = ""
        self.stuck = False
        self.servers = {OLD: self.postgres, NEW: FakePostgres(server=170005)}
        self.put("/usr/bin/pg_upgradecluster", "#!/usr/bin/perl\n# keep-on-error\n", 0o755)
        self.put("/usr/lib/postgresql/15/bin/postgres", "")
        self.put("/etc/postgresql/15/main/start.conf", "# how it starts\nauto\n")

    def second(self) -> None:
        """The packages of the next release have come."""
        self.at("/usr/lib/postgresql/17/bin").mkdir(parents=True)
        self.made(5433)

    def made(self, port: int) -> None:
        """There is a cluster of the new release."""
        self.put(f"/etc/postgresql/{NEW}/postgresql.conf", f"port = {port}\n")
        self.put(f"/etc/postgresql/{NEW}/start.conf", "auto\n")
        self.at(f"/etc/postgresql/{NEW}/conf.d").mkdir(exist_ok=True)
        self.put(f"/var/lib/postgresql/{NEW}/PG_VERSION", "17\n")
        self._unit_of(unit(NEW))

    def port(self, cluster: str, port: int | None = None) -> int:
        """The port of a cluster, 0 where there is none; another one, where it is given."""
        place = f"/etc/postgresql/{cluster}/postgresql.conf"
        if port is not None:
            self.put(place, f"port = {port}\n")
        found = self.at(place)
        return int(found.read_text().split("=")[1]) if found.exists() else 0

    def boot(self) -> None:
        """Start what starts by itself."""
        for cluster in (OLD, NEW):
            config = self.at(f"/etc/postgresql/{cluster}/start.conf")
            self.units.pop(unit(cluster), None)
            if config.exists():
                self._unit_of(unit(cluster))
                self.units[unit(cluster)].active = "manual" not in config.read_text()
        self.units["matrix-synapse.service"].active = False

    def program(self, argv: tuple[str, ...], input: str | None) -> Result:
        """One program, with those of postgresql-common."""
        name = argv[0].rpartition("/")[2]
        if name == "pg_upgradecluster":
            return self._upgrade()
        if name == "pg_dropcluster" and self.stuck and not self.units[unit(OLD)].active:
            return Result(2, "", "no room")
        if name == "pg_dropcluster":
            self.units.pop(unit(NEW), None)
            return GOOD
        if name == "pg_conftool":
            self.port(OLD, int(argv[-1]))
            return GOOD
        if name == "systemctl" and argv[1] == "stop":
            if argv[-1] in self.units:
                self.units[argv[-1]].active = False
            return GOOD
        if name == "systemctl" and argv[1] in ("start", "restart") and (cluster := cluster_of(argv[-1])):
            self.units.setdefault(argv[-1], self.units[unit(OLD)].__class__(enabled=True)).start()
            assert self.at(f"/etc/postgresql/{cluster}").exists()
            refused = self.refused and self.at(self.refused).exists()
            return Result(1, "", f"Job for {argv[-1]} failed.") if refused else GOOD
        return super().program(argv, input)

    def _setpriv(self, argv: tuple[str, ...], input: str) -> Result:
        program = argv[4].rpartition("/")[2]
        if program == "vacuumdb":
            return GOOD
        if program != "psql":
            return super()._setpriv(argv, input)
        port = int(argv[argv.index("-p") + 1])
        for cluster, server in self.servers.items():
            running = unit(cluster) in self.units and self.units[unit(cluster)].active
            if running and self.port(cluster) == port:
                return server.psql(argv, input)
        return Result(2, "", "psql: error: connection to server on socket failed: No such file or directory")

    def _upgrade(self) -> Result:
        for step in range(STEPS):
            if step == 3 and self.fails:
                # As it does itself: the new one is taken away, and the old one is down.
                return Result(1, "", self.fails)
            self._step(step)
            if step == self.cut:
                self.cut = None
                self.boot()
                raise Killed
        return GOOD

    def _step(self, step: int) -> None:
        if step == 0:
            self.units[unit(OLD)].active = False
        elif step == 1:
            assert not self.at(f"/etc/postgresql/{NEW}").exists(), "target cluster already exists"
            assert not self.at(f"/var/lib/postgresql/{NEW}").exists(), "its data directory is not empty"
            # Its config is that of the old one, port and all, for a moment.
            self.made(self.port(OLD))
            self.units[unit(NEW)].active = False
            self.servers[NEW] = FakePostgres(server=170005)
        elif step == 2:
            self.port(NEW, 5433)
        elif step == 3:
            self.servers[NEW] = copy.deepcopy(self.servers[OLD])
            self.servers[NEW].server = 170005
        elif step == 4:
            self.put(f"/etc/postgresql/{OLD}/start.conf", "manual\n")
        elif step == 5:
            self.port(OLD, 5433)
        elif step == 6:
            self.port(NEW, 5432)
        else:
            self.units[unit(NEW)].start()


def unit(cluster: str) -> str:
    """The systemd unit of a cluster."""
    return f"postgresql@{cluster.replace('/', '-')}.service"


def cluster_of(unit: str) -> str | None:
    """The cluster of a unit; None for another kind of unit."""
    found = re.fullmatch(r"postgresql@(\d+)-(.+)\.service", unit)
    return f"{found[1]}/{found[2]}" if found else None
