"""A machine that runs an older Synapse, and upgrades of it, on machines that are none."""

from __future__ import annotations

import copy
import shutil
from argparse import Namespace
from pathlib import Path
from typing import Any

from matrix_baremetal import config, release, session, upgrade
from matrix_baremetal.commands import rollback
from matrix_baremetal.commands import upgrade as command
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.release import Release
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Result
from matrix_baremetal.upgrade import Patience
from tests.backups import a_server
from tests.fakes import MINIMAL, FakeHost, Machine

OLD, NEW = "1.162.0", "1.163.2"
SYNAPSE = "matrix-synapse.service"
PATIENCE = Patience(answering=0.3, steady=0.05)


class Breaking(Machine):
    """A machine on which one Synapse does not work: it doesn't start, loops, or starts and never answers."""

    bad: str = ""
    way: str = "start"

    def start(self, argv: tuple[str, ...], input: str | None, env: dict[str, str]) -> Result:
        """Start a program."""
        unit, here = self.unit(SYNAPSE), release.current(FakeHost(self))
        if argv[0] == "systemctl" and argv[1] in ("start", "restart") and argv[-1] == SYNAPSE:
            unit.restarts = 0
            unit.broken = here == self.bad and self.way == "start"
            unit.active = not unit.broken
        if argv[0] == "systemctl" and argv[1] == "show" and here == self.bad and self.way == "loop" and unit.active:
            unit.restarts += unit.began > 0
        self.internet.unready = here == self.bad and self.way == "silent"
        return super().start(argv, input, env)


class Told:
    """Who is told, as the command's."""

    def __new__(cls) -> command.Telling:  # type: ignore[misc]
        return command.Telling(quiet=True)


def of(machine: Machine, killed_at: int | None = None, text: str = MINIMAL) -> Session:
    return session.of(FakeHost(machine, killed_at), config.decode(text, "config.yaml"))


def words(**more: Any) -> Namespace:
    return Namespace(**{"to": None, "force": False, "no_backup": True, **more})


def upgraded(machine: Machine, killed_at: int | None = None, **more: Any) -> str:
    return command.upgraded(of(machine, killed_at), words(**more), Told(), PATIENCE)


def rolled_back(machine: Machine) -> str:
    return rollback.back(of(machine), words(), Told(), PATIENCE)


def copied(machine: Machine, folder: Path) -> Breaking:
    """The same machine once more."""
    folder.mkdir()
    shutil.copytree(machine.root, folder / "machine", symlinks=True)
    again = Breaking.__new__(Breaking)
    again.__dict__.update({**machine.__dict__, "root": folder / "machine"})
    again.postgres, again.units = copy.deepcopy(machine.postgres), copy.deepcopy(machine.units)
    again.internet, again.owners = copy.deepcopy(machine.internet), dict(machine.owners)
    return again


def older(folder: Path) -> Breaking:
    """A machine that runs the older version, by the package's own way there."""
    now = a_server(folder)
    made = copied(now.host.machine, folder / "older")  # type: ignore[attr-defined]
    (folder / "older/dump").write_bytes(b"PGDMP")
    # As the machine at hand has another memory than that of the tests.
    first = of(made)
    list(converge(first.resources, first.host, first.manifest))
    first.host.net.ask("GET", 8008, "/_matrix/client/v3/directory/room/x")
    upgraded(made, to=OLD)
    release.write(FakeHost(made), Release(OLD))
    upgrade.thin(of(made))
    made.started.clear()
    return made


def runs(machine: Machine, version: str) -> None:
    """It is the one that runs, answers, and is asked for: nothing is left to do."""
    now = of(machine)
    assert upgrade.version(now) == version
    assert release.current(now.host) == version
    assert [change.title for change in plan(now.resources, now.host, now.manifest)] == []
    assert release.read(now.host).trial is None
    assert [name for name in now.host.names(release.OPT) if name.startswith(".")] == []
    assert machine.unit(SYNAPSE).active
