"""An upgrade killed at and inside every step; the next run, whichever it is, ends with one whole server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from matrix_baremetal import release, rows_back, upgrade
from matrix_baremetal.commands import apply
from matrix_baremetal.errors import Error
from matrix_baremetal.release import Release
from matrix_baremetal.resources import schema
from tests.fakes import FakeHost, Killed
from tests.upgrades import NEW, OLD, SYNAPSE, Breaking, copied, of, older, rolled_back, runs, upgraded

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")


@pytest.fixture
def machine(tmp_path: Path) -> Breaking:
    """A machine that runs the older version, by the package's own way there."""
    return older(tmp_path)


@pytest.mark.parametrize("bad", ["", NEW], ids=["sound", "broken"])
@pytest.mark.parametrize("how", ["apply", "upgrade", "rollback"])
def test_killed_at_any_operation_the_next_run_ends_with_one_whole_server(
    machine: Breaking, tmp_path: Path, bad: str, how: str
) -> None:
    count = 0
    for number in range(2, 400, 16 if bad or how != "apply" else 6):
        again = copied(machine, tmp_path / f"run-{number}")
        again.bad = bad
        try:
            upgraded(again, killed_at=number)
            break
        except Killed:
            count += 1
        except Error:
            assert bad
            break
        note = release.read(FakeHost(again))
        if how == "apply" or (how == "rollback" and not (note.trial or note.before)):
            apply.bring(of(again), json=True, quiet=True)
            assert upgrade.version(of(again)) in (OLD, NEW)
            runs(again, upgrade.version(of(again)))
        elif how == "rollback":
            rolled_back(again)
            runs(again, OLD)
        elif bad:
            with pytest.raises(Error, match="is not well, so"):
                upgraded(again, force=True)
            runs(again, OLD)
        else:
            upgraded(again, force=True)
            runs(again, NEW)
        shutil.rmtree(again.root)
    assert count > 3


def test_after_a_kill_a_database_that_the_old_one_refuses_leaves_only_the_way_on(machine: Breaking) -> None:
    upgraded(machine)
    host = FakeHost(machine)
    release.write(host, Release(OLD, trial=NEW, saved="/a/backup"))
    machine.postgres.says[schema.COMPAT] = [["95"]]
    apply.bring(of(machine), json=True, quiet=True)
    runs(machine, NEW)
    assert release.read(host) == Release(NEW, before=OLD, backup="/a/backup")


def test_killed_while_it_stands_still_for_a_backup_the_same_goes_on(machine: Breaking, tmp_path: Path) -> None:
    """Nobody has to insist: that the homeserver does not answer is the killed run's doing."""
    count = 0
    for number in range(2, 400, 3):
        again = copied(machine, tmp_path / f"run-{number}")
        again.demands = 95
        (tmp_path / f"run-{number}/dump").write_bytes(b"PGDMP")
        try:
            upgraded(again, killed_at=number, no_backup=False)
            break
        except Killed:
            pass
        if not again.unit(SYNAPSE).active and not release.read(FakeHost(again)).trial:
            count += 1
            upgraded(again, no_backup=False)
            runs(again, NEW)
            assert not rows_back.cut_off(FakeHost(again))
        shutil.rmtree(again.root)
    assert count > 1
