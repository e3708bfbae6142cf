"""A backup brought back: onto a fresh machine, over what is there, cut off anywhere; and what is refused."""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest

from matrix_baremetal import backup, components, preflight, restore, session
from matrix_baremetal.archive import Damaged
from matrix_baremetal.commands import apply
from matrix_baremetal.converge import converge
from matrix_baremetal.errors import Error
from matrix_baremetal.session import Session
from tests.backups import (
    CONFIG,
    DUMP,
    KEY,
    MEDIA,
    QUIET,
    SQLITE,
    a_server,
    bring_back,
    create,
)
from tests.fakes import MINIMAL, FakeHost, Killed, Machine, a_session

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")


@pytest.mark.parametrize("text", [MINIMAL, SQLITE], ids=["postgres", "sqlite"])
def test_restored_onto_a_fresh_machine_it_is_the_same(tmp_path: Path, text: str) -> None:
    (tmp_path / "old").mkdir()
    old = a_server(tmp_path / "old", text)
    done = create(old)
    (tmp_path / "new").mkdir()
    machine = Machine(tmp_path / "new/machine", release=13)
    place = machine.at("/root/backup")
    place.parent.mkdir()
    shutil.copy(old.host.path(done.path), place)
    _, left = bring_back(FakeHost(machine), "/root/backup")
    assert left == []
    host = FakeHost(machine)
    for path in (CONFIG, KEY, "/etc/matrix-baremetal/secrets/form_secret", "/etc/matrix-synapse/conf.d/own.yaml"):
        assert host.read(path) == old.host.read(path)
        assert host.node(path).mode == old.host.node(path).mode  # type: ignore[union-attr]
    assert host.text(f"{MEDIA}/local_content/aa/bb/cc") == "a picture"
    if text == MINIMAL:
        assert (tmp_path / "new/loaded-matrix-synapse-restored").read_bytes() == DUMP
        assert set(machine.postgres.bases) == {"matrix-synapse"}
        assert machine.postgres.bases["matrix-synapse"].comment == "made by matrix-baremetal"
    else:
        base = sqlite3.connect(machine.at("/var/lib/matrix-synapse/database/homeserver.db"))
        assert base.execute("SELECT name FROM users").fetchall() == [("@alice:example.org",)]
        # A server that goes back in time must not hand out a key twice.
        assert base.execute("SELECT * FROM e2e_one_time_keys_json").fetchall() == []
        base.close()
        assert host.names("/var/lib/matrix-synapse/database") == ("homeserver.db",)
    after = session.of(host, old.site.config)
    assert [change for change in converge(after.resources, host, after.manifest) if change.outcome == "pending"] == []


@pytest.mark.parametrize("text", [MINIMAL, SQLITE], ids=["postgres", "sqlite"])
def test_killed_at_any_operation_a_restore_is_finished_by_the_next_one(tmp_path: Path, text: str) -> None:
    """And what was there before is kept until the new rows have taken its place, then still set aside."""
    now = a_server(tmp_path, text)
    machine = now.host.machine  # type: ignore[attr-defined]
    done = create(now)
    shutil.copy(now.host.path(done.path), tmp_path / "backup")
    count = 0
    for number in range(10, 400, 11):
        folder = tmp_path / f"run-{number}"
        folder.mkdir()
        place = folder / "machine"
        shutil.copytree(machine.root, place, symlinks=True)
        again = Machine.__new__(Machine)
        again.__dict__.update({**machine.__dict__, "root": place})
        again.postgres, again.units = copy.deepcopy(machine.postgres), copy.deepcopy(machine.units)
        again.owners = dict(machine.owners)
        shutil.copy(tmp_path / "backup", again.at("/root-backup"))
        try:
            bring_back(FakeHost(again, killed_at=number), "/root-backup")
            break
        except Killed:
            count += 1
        assert stands(again, text), f"killed at {number}, neither the old rows nor the new are in place"
        _, left = bring_back(FakeHost(again), "/root-backup")
        assert len(left) == 1, (number, left)
        assert FakeHost(again).read(KEY) == now.host.read(KEY)
        assert FakeHost(again).node(restore.NOTE) is None
        if text == MINIMAL:
            assert len(again.postgres.bases) == 2, again.postgres.bases
    assert count > 5


def stands(machine: Machine, text: str) -> bool:
    """Whether there are rows where the server looks for them, or, for a file, in the one step between two names."""
    if text == MINIMAL:
        return machine.postgres.bases["matrix-synapse"].version
    names = os.listdir(machine.at("/var/lib/matrix-synapse/database"))
    return "homeserver.db" in names or any(".restored-" in name for name in names)


def altered(now: Session, path: str, **change: Any) -> str:
    """A copy of a backup with another table of contents, all checksums right."""
    plain = subprocess.run(["zstd", "-dcq", now.host.path(path)], stdout=subprocess.PIPE, check=True).stdout
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(plain)) as old, tarfile.open(fileobj=out, mode="w") as new:
        for row in old:
            data = file.read() if (file := old.extractfile(row)) else b""
            if row.name == "manifest.json":
                data = json.dumps({**json.loads(data), **change}).encode()
            row.size = len(data)
            new.addfile(row, io.BytesIO(data))
    place = "/altered.tar.zst"
    packed = subprocess.run(["zstd", "-q", "-c"], input=out.getvalue(), stdout=subprocess.PIPE, check=True).stdout
    now.host.path(place).write_bytes(packed)
    return place


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"server_name": "example.net"}, "does not hold together"),
        ({"links": {"/etc/cron.d/x": "/tmp/x"}}, "no backup of this config has: /etc/cron.d/x"),
        ({"links": {"/etc/letsencrypt/live/matrix-baremetal-example.org/x.pem": "/etc/shadow"}}, "no backup of this"),
        ({"links": {"/etc/matrix-baremetal/secrets/../../cron.d/x": "y"}}, "no backup of this config has"),
        ({"stores": {}}, "no backup of this config has: database"),
        ({"stores": {"database": {"kind": "sqlite", "version": "3", "size": 1}}}, "has no postgres rows"),
        ({"stores": {"database": {"kind": "postgres", "version": "99", "size": 1}}}, "is of Postgres 99"),
        ({"stores": {"database": {"kind": "postgres", "version": "15", "size": 1 << 50}}}, "MB free"),
        ({"trees": {"media": "/etc"}}, "no backup of this config has: media"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_touched(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    now = a_server(tmp_path)
    path = altered(now, create(now).path, **change)
    before = now.host.machine.tree()  # type: ignore[attr-defined]
    with pytest.raises(Error, match=says):
        bring_back(FakeHost(now.host.machine), path)  # type: ignore[attr-defined]
    assert now.host.machine.tree() == before  # type: ignore[attr-defined]


def test_a_backup_of_another_server_is_refused(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    done = create(now)
    other = "server_name: example.net\n"
    (tmp_path / "other").mkdir()
    there = Machine(tmp_path / "other/machine")
    first = a_session(there, other)
    first.manifest.server_name = "example.net"
    list(converge(first.resources, first.host, first.manifest))
    held = restore.read(now.host, done.path, None, QUIET)
    told = list(
        preflight.lasting(session.of(FakeHost(there), held.config).site, now.needs, FakeHost(there), first.manifest)
    )
    assert "can't become example.org" in told[0].message


def test_damaged_anywhere_it_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    path = create(now).path
    place = now.host.path(path)
    whole, wrong = place.read_bytes(), 0
    good = restore.read(now.host, path, None, QUIET)
    before = {p: row for p, row in now.host.machine.tree().items() if p != path}  # type: ignore[attr-defined]
    for size in (0, 3, 10, len(whole) // 2, len(whole) - 1):
        place.write_bytes(whole[:size])
        with pytest.raises(Damaged):
            restore.read(now.host, path, None, QUIET)
    for spot in range(5, len(whole), len(whole) // 12):
        flipped = bytearray(whole)
        flipped[spot] ^= 0x10
        place.write_bytes(bytes(flipped))
        try:
            # A bit that says how much memory to unpack with, say, changes nothing.
            assert restore.read(now.host, path, None, QUIET).files == good.files
        except Damaged:
            wrong += 1
    assert wrong >= 10
    with pytest.raises(Error, match="can't read /nowhere"):
        restore.read(now.host, "/nowhere", None, QUIET)
    assert {p: row for p, row in now.host.machine.tree().items() if p != path} == before  # type: ignore[attr-defined]


def test_checksums_of_members_count_where_zstd_has_none_of_the_whole(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    path = create(now).path
    plain = subprocess.run(["zstd", "-dcq", now.host.path(path)], stdout=subprocess.PIPE, check=True).stdout
    wrong = plain.replace(b"a picture", b"a pictorf")
    for data, option in ((plain, "--no-check"), (wrong, "--no-check"), (wrong, "--check")):
        words = ["zstd", "-q", "-c", option]
        packed = subprocess.run(words, input=data, stdout=subprocess.PIPE, check=True).stdout
        now.host.path(path).write_bytes(packed)
        if data == wrong and option == "--no-check":
            with pytest.raises(Damaged, match="streams/media/000000 is another"):
                restore.read(now.host, path, None, QUIET)
        else:
            restore.read(now.host, path, None, QUIET)


def test_files_of_others_are_written_only_where_nothing_is(tmp_path: Path) -> None:
    now = a_server(tmp_path, MINIMAL + "tls: {mode: files, certificate: /srv/a.pem, key: /srv/b.pem}\n")
    machine = now.host.machine  # type: ignore[attr-defined]
    machine.put("/srv/a.pem", "theirs then")
    machine.put("/srv/b.pem", "theirs then")
    done = create(now)
    machine.put("/srv/a.pem", "theirs now")
    machine.at("/srv/b.pem").unlink()
    machine.put(KEY, "another")
    held = restore.read(now.host, done.path, None, QUIET)
    restore.files(now.host, held, backup.collected(now, media=True))
    assert (now.host.text("/srv/a.pem"), now.host.text("/srv/b.pem")) == ("theirs now", "theirs then")
    assert now.host.read(KEY) == held.files[KEY]
    displaced = list(machine.at("/var/lib/matrix-baremetal/displaced").rglob("signing.key"))
    assert [place.read_text() for place in displaced] == ["another"]


def test_what_an_apply_has_ended_is_not_taken_for_the_same_backup_at_another_time(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    machine = now.host.machine  # type: ignore[attr-defined]
    host, path = FakeHost(machine), create(now).path
    held = restore.read(host, path, None, QUIET)
    first = restore.begun(host, held)
    list(restore.foundation(session.of(host, held.config)))
    restore.bring(session.of(host, held.config), held, first, QUIET)
    # Here the restore was killed, and somebody ran the other command.
    apply.bring(session.of(host, held.config), json=True, quiet=True)
    assert host.node(restore.NOTE) is None
    (tmp_path / "loaded-matrix-synapse-restored").unlink()
    time.sleep(1.1)
    kept, _ = bring_back(FakeHost(machine), path)
    assert kept != first
    assert (tmp_path / "loaded-matrix-synapse-restored").read_bytes() == DUMP
    assert {f"matrix-synapse-{first}", f"matrix-synapse-{kept}"} < set(machine.postgres.bases)


def test_one_that_has_not_put_its_rows_in_place_is_gone_on_with_after_an_apply(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    host = FakeHost(now.host.machine)  # type: ignore[attr-defined]
    held = restore.read(host, create(now).path, None, QUIET)
    kept = restore.begun(host, held)
    apply.bring(session.of(host, held.config), json=True, quiet=True)
    assert restore.begun(host, held) == kept


def test_what_a_run_that_was_cut_off_has_brought_is_no_want_of_room(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    machine = now.host.machine  # type: ignore[attr-defined]
    host = FakeHost(machine)
    held = restore.read(host, create(now).path, None, QUIET)
    machine.spare = 0
    assert ["MB free" in each.message for each in restore.obstacles(now, held)] == [True]
    restore.begun(host, held)
    assert [*restore.obstacles(now, held)] == []


def test_what_an_operator_has_put_there_in_his_own_way_comes_back(tmp_path: Path) -> None:
    """Files of users and groups that the new machine lacks, and links, of which it is the content that counts."""
    (tmp_path / "old").mkdir()
    files = "tls: {mode: files, certificate: /etc/ssl/a.pem, key: /etc/ssl/b.pem}\n"
    now = a_server(tmp_path / "old", MINIMAL + files)
    old = now.host.machine  # type: ignore[attr-defined]
    old.put("/etc/matrix-synapse/conf.d/irc.yaml", "c: d\n", 0o640)
    old.owners["/etc/matrix-synapse/conf.d/irc.yaml"] = ("irc", "irc")
    old.put("/opt/irc/registration.yaml", "id: irc\n", 0o600)
    link = "/etc/matrix-synapse/conf.d/registration.yaml"
    old.at(link).symlink_to("../../../opt/irc/registration.yaml")
    old.put("/root/acme/a.cer", "a certificate")
    old.put("/etc/ssl/b.pem", "a key")
    old.at("/etc/ssl/a.pem").symlink_to("../../root/acme/a.cer")
    path = create(now).path
    (tmp_path / "new").mkdir()
    machine = Machine(tmp_path / "new/machine")
    machine.users.append("matrix-synapse")
    shutil.copy(now.host.path(path), machine.at("/root-backup"))
    host = FakeHost(machine)
    held = restore.read(host, "/root-backup", None, QUIET)
    there = session.of(host, held.config)
    assert [*restore.obstacles(there, held)] == []
    restore.files(host, held, components.data(there.site))
    assert (host.text(link), host.text("/etc/ssl/a.pem")) == ("id: irc\n", "a certificate")
    assert host.text("/etc/matrix-synapse/conf.d/irc.yaml") == "c: d\n"
    nodes = [host.node(place) for place in ("/etc/matrix-synapse/conf.d/irc.yaml", link, "/etc/ssl/a.pem")]
    assert [(node.kind, node.owner, node.group) for node in nodes if node] == [
        ("file", "root", "root"),
        ("file", "root", "matrix-synapse"),
        ("file", "root", "root"),
    ]


def test_a_link_in_an_older_backup_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = a_server(tmp_path)
    host = FakeHost(now.host.machine)  # type: ignore[attr-defined]
    link = "/etc/matrix-synapse/conf.d/x.yaml"
    held = restore.read(host, altered(now, create(now).path, links={link: "/opt/x.yaml"}), None, QUIET)
    assert [*restore.obstacles(now, held)] == []
    restore.files(host, held, components.data(now.site))
    assert host.node(link) is None
    assert f"{link} was a link to /opt/x.yaml" in capsys.readouterr().err
