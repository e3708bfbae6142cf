"""From one Synapse to another and back, on a machine that is none: refusals, what goes wrong, kills anywhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import backup, backup_log, backup_reader, release, restore, rows_back, upgrade, upgrade_notes
from matrix_baremetal.commands import upgrade as command
from matrix_baremetal.converge import converge, plan
from matrix_baremetal.errors import Error
from matrix_baremetal.release import OPT, Release
from matrix_baremetal.resources import schema, store
from matrix_baremetal.versions import BESIDE
from tests.backups import DIRECTORY
from tests.fakes import MINIMAL, FakeHost, a_site
from tests.upgrades import NEW, OLD, PATIENCE, SYNAPSE, Breaking, Told, of, older, rolled_back, runs, upgraded, words

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")


@pytest.fixture
def machine(tmp_path: Path) -> Breaking:
    """A machine that runs the older version, by the package's own way there."""
    return older(tmp_path)


def test_upgraded_it_runs_the_new_one_and_keeps_the_old_one_for_a_way_back(machine: Breaking) -> None:
    before = machine.unit(SYNAPSE).invocation
    upgraded(machine)
    runs(machine, NEW)
    host = FakeHost(machine)
    assert machine.unit(SYNAPSE).invocation == before + 1
    assert release.read(host) == Release(NEW, before=OLD)
    assert {OLD, NEW} <= set(host.names(OPT))
    rolled_back(machine)
    runs(machine, OLD)
    assert machine.unit(SYNAPSE).invocation == before + 2
    assert release.read(host) == Release(OLD)
    assert NEW not in host.names(OPT)
    with pytest.raises(Error, match="nothing to go back to"):
        rolled_back(machine)


def test_the_same_again_is_nothing_to_do(machine: Breaking) -> None:
    upgraded(machine)
    before, tree = machine.unit(SYNAPSE).invocation, machine.tree()
    assert upgraded(machine) == ""
    assert machine.unit(SYNAPSE).invocation == before
    assert machine.tree() == tree


def test_what_runs_is_the_machines_and_not_the_packages(machine: Breaking) -> None:
    """A new package, a link that somebody took away, and a config that is applied leave the version as it is."""
    runs(machine, OLD)
    host = FakeHost(machine)
    host.remove(f"{OPT}/current")
    now = of(machine)
    assert next(plan(now.resources, now.host, now.manifest)).title == f"link {OPT}/current"
    list(converge(now.resources, now.host, now.manifest))
    runs(machine, OLD)
    # Before any upgrade there is no note, and the link says it.
    host.remove(release.PATH)
    runs(machine, OLD)


def test_a_version_that_no_package_knows_any_more_goes_on(machine: Breaking) -> None:
    """Its lock lies in its virtualenv; without that it can neither run nor be made, and the pin counts."""
    host = FakeHost(machine)
    shutil.copytree(machine.at(f"{OPT}/{OLD}"), machine.at(f"{OPT}/1.158.0"), symlinks=True)
    release.write(host, Release("1.158.0"))
    assert upgrade.version(of(machine)) == "1.158.0"
    pins = of(machine).site.versions.synapse.pins
    assert pins == host.text(f"{OPT}/{OLD}/requirements.txt")
    # What a part has put beside it is that part's to ask for.
    host.write(f"{OPT}/1.158.0/requirements.txt", f"{pins}{BESIDE}a==1\n", 0o644)
    assert of(machine).site.versions.synapse.pins == pins
    host.remove_tree(f"{OPT}/1.158.0")
    assert upgrade.version(of(machine)) == NEW


@pytest.mark.parametrize("text", ["{", "[]", '{"synapse": "../../etc"}', '{"synapse": "1.162.0", "before": "a b"}'])
def test_a_note_that_is_none_is_as_if_there_was_none(machine: Breaking, text: str) -> None:
    machine.put(release.PATH, text)
    assert release.read(FakeHost(machine)) == Release()
    runs(machine, OLD)


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ("1.150.0", "all before 1.157.2 have known, serious holes"),
        ("1.999.0", "knows no Synapse 1.999.0, only 1.163.2, 1.162.0"),
        ("newest", "'newest' is no version of Synapse"),
        ("1.163.2/../..", "is no version of Synapse"),
    ],
)
def test_what_there_is_not_is_refused_in_words(machine: Breaking, wanted: str, says: str) -> None:
    before = machine.tree()
    with pytest.raises(Error, match=says) as caught:
        upgraded(machine, to=wanted)
    assert caught.value.hint
    assert machine.tree() == before


def test_at_a_bad_moment_it_is_refused_unless_somebody_insists(machine: Breaking) -> None:
    machine.postgres.says[store.UPDATES] = [["a"], ["b"]]
    before = machine.tree()
    with pytest.raises(Error, match="2 background updates are left") as caught:
        upgraded(machine)
    assert "try again in a minute" in str(caught.value)
    machine.postgres.says.clear()
    machine.unit(SYNAPSE).active = False
    with pytest.raises(Error, match="does not answer now"):
        upgraded(machine)
    assert machine.tree() == before
    upgraded(machine, force=True)
    runs(machine, NEW)


def test_without_room_nothing_is_touched(machine: Breaking) -> None:
    before = machine.tree()
    for spare, files in ((300 << 20, 1_000_000), (100 << 30, 100)):
        machine.spare, machine.files = spare, files
        with pytest.raises(Error, match=f"{OPT} has"):
            upgraded(machine)
    assert machine.tree() == before


def test_a_backup_of_the_rows_is_made_first_and_those_of_each_night_stay(machine: Breaking) -> None:
    now = of(machine)
    machine.put(f"{DIRECTORY}/example.org-20200101T000000Z.tar.zst", "of a night")
    path = upgraded(machine, no_backup=False)
    assert path.startswith(f"{DIRECTORY}/before-upgrade/example.org-")
    manifest = backup_reader.look(now.host, path, None, Told().transfer, "")
    assert (manifest["synapse"], list(manifest["trees"])) == (OLD, [])
    assert release.read(now.host).backup == path
    assert len(backup.there(now.host, DIRECTORY, "example.org")) == 1
    assert "last" not in backup_log.read(now.host)


@pytest.mark.parametrize(
    ("way", "says"),
    [("start", "would not restart"), ("loop", "it ended by itself"), ("silent", "it did not answer within")],
)
def test_one_that_is_not_well_gives_way_to_the_old_one(machine: Breaking, way: str, says: str) -> None:
    machine.bad, machine.way = NEW, way
    with pytest.raises(Error, match=says) as caught:
        upgraded(machine)
    assert f"Synapse {NEW} is not well, so {OLD} is back and answers" in caught.value.message
    assert f"last words of {SYNAPSE}" in caught.value.message
    assert caught.value.status == 1
    runs(machine, OLD)
    assert NEW not in FakeHost(machine).names(OPT)
    machine.bad = ""
    upgraded(machine)
    runs(machine, NEW)


def test_a_way_back_that_is_not_well_leads_to_the_newer_one_again(machine: Breaking) -> None:
    upgraded(machine)
    machine.bad = OLD
    with pytest.raises(Error, match=f"Synapse {OLD} is not well, so {NEW} is back"):
        rolled_back(machine)
    runs(machine, NEW)
    assert release.read(FakeHost(machine)).before == OLD


def test_a_config_that_the_new_one_does_not_accept_changes_nothing_that_runs(machine: Breaking) -> None:
    before = machine.unit(SYNAPSE).invocation
    machine.says["systemd-run"] = "Config is missing something"
    with pytest.raises(Error, match="Synapse does not accept"):
        upgraded(machine)
    machine.says.clear()
    runs(machine, OLD)
    assert machine.unit(SYNAPSE).invocation == before
    assert NEW not in FakeHost(machine).names(OPT)


def test_a_way_back_that_the_schema_forbids_is_refused_with_the_backup(machine: Breaking) -> None:
    path = upgraded(machine, no_backup=False)
    machine.postgres.says[schema.COMPAT] = [["95"]]
    for to in (None, OLD):
        with pytest.raises(Error, match="can't use the database any more") as caught:
            upgraded(machine, to=to) if to else rolled_back(machine)
        assert f"matrix-baremetal restore {path}" in str(caught.value.hint)
        runs(machine, NEW)


def test_a_database_that_does_not_say_is_no_pass(machine: Breaking) -> None:
    upgraded(machine)
    machine.postgres.says[schema.COMPAT] = [[""]]
    with pytest.raises(Error, match="does not say which versions"):
        rolled_back(machine)
    runs(machine, NEW)


class Changing(command.Telling):
    """A new one that changes the schema as it starts, and somebody who writes where `writes` says so."""

    machine: Breaking
    writes: bool = False

    def change(self, change: Any) -> None:
        """A change begins or has ended."""
        postgres = self.machine.postgres
        if change.kind == "Service" and release.current(FakeHost(self.machine)) == NEW:
            postgres.bases["matrix-synapse"].compat = "95"
            if self.writes:
                postgres.says[rows_back.WRITTEN] = [["8", "0", "3", "2", "2", "1"]]
        super().change(change)


def changing(machine: Breaking, *, writes: bool = False, **more: Any) -> Error:
    """An upgrade to one that is not well and changes the schema."""
    machine.bad, machine.way = NEW, "silent"
    telling = Changing(quiet=True)
    telling.machine, telling.writes = machine, writes
    with pytest.raises(Error) as caught:
        command.upgraded(of(machine), words(**{"no_backup": False, **more}), telling, PATIENCE)
    return caught.value


def test_one_that_has_changed_the_database_gives_way_with_its_rows_where_nothing_was_written(
    machine: Breaking,
) -> None:
    error = changing(machine)
    assert f"Synapse {NEW} is not well, so {OLD} is back and answers" in error.message
    runs(machine, OLD)
    bases = machine.postgres.bases
    assert bases["matrix-synapse"].compat == "84"
    assert [base.compat for name, base in bases.items() if name.startswith("matrix-synapse-before-")] == ["95"]
    assert FakeHost(machine).node(restore.NOTE) is None


@pytest.mark.parametrize(
    "more", [{"writes": True}, {"no_backup": True}], ids=["somebody wrote", "there is no backup"]
)
def test_what_would_lose_something_is_a_persons_decision(machine: Breaking, more: dict[str, bool]) -> None:
    error = changing(machine, **more)
    assert f"has changed the database so that {OLD} can't use it" in error.message
    saved = release.read(FakeHost(machine)).backup or "FILE"
    assert f"restore {saved} brings back" in str(error.hint)
    assert upgrade.version(of(machine)) == NEW
    assert machine.postgres.bases["matrix-synapse"].compat == "95"


def test_where_its_rows_can_not_be_brought_back_it_is_a_persons_decision_too(machine: Breaking) -> None:
    # Nothing can be loaded, as on a disk that is full.
    (machine.root.parent / "loaded-matrix-synapse-restored").mkdir()
    error = changing(machine)
    assert f"has changed the database so that {OLD} can't use it" in error.message
    assert machine.unit(SYNAPSE).active
    assert release.read(FakeHost(machine)).trial is None
    assert machine.postgres.bases["matrix-synapse"].compat == "95"


def test_before_an_upgrade_that_only_a_backup_undoes_nobody_writes(machine: Breaking) -> None:
    machine.demands = 95
    machine.started.clear()
    upgraded(machine, no_backup=False)
    told = [each.argv for each in machine.started]
    stopped = told.index(("systemctl", "stop", SYNAPSE))
    assert stopped < next(index for index, argv in enumerate(told) if argv[:2] == ("systemctl", "start"))
    runs(machine, NEW)


def test_where_that_backup_fails_the_old_one_runs_again(machine: Breaking) -> None:
    machine.demands = 95
    (machine.root.parent / "dump").unlink()
    with pytest.raises(Error):
        upgraded(machine, no_backup=False)
    assert machine.unit(SYNAPSE).active
    assert upgrade.version(of(machine)) == OLD


def test_a_restore_brings_the_version_of_the_rows_along(machine: Breaking) -> None:
    host, shipped = FakeHost(machine), of(machine).site.versions
    release.restored(host, shipped, NEW)
    assert release.read(host) == Release(NEW)
    release.restored(host, shipped, "1.170.0")
    assert release.read(host) == Release(NEW)


def test_upstreams_notes_concern_only_whom_they_concern() -> None:
    text = MINIMAL + "synapse: {settings: {limit_profile_requests_to_users_who_share_rooms: true"
    refused = a_site(text + "}}\n")
    [obstacle] = upgrade_notes.obstacles(refused, OLD, NEW)
    assert "require_auth_for_profile_requests" in obstacle.message
    assert not list(upgrade_notes.obstacles(refused, NEW, NEW))
    assert not list(upgrade_notes.obstacles(a_site(text + ", require_auth_for_profile_requests: true}}\n"), OLD, NEW))
    assert not list(upgrade_notes.remarks(a_site(), OLD, NEW))
    assert ["version 12" in row for row in upgrade_notes.remarks(a_site(), "1.161.0", NEW)] == [True]
    rtc = "synapse: {settings: {default_room_version: '11', matrix_rtc: {transports: [{livekit_service_url: a}]}}}\n"
    assert ["matrix_rtc" in row for row in upgrade_notes.remarks(a_site(MINIMAL + rtc), "1.160.0", NEW)] == [True]
