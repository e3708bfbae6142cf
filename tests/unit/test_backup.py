"""Backups of a machine that is none, with the real zstd and tar: made, read again, kept, encrypted."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import pytest

from matrix_baremetal import backup, backup_log, backup_reader, encryption, words
from matrix_baremetal.archive import Damaged
from matrix_baremetal.checks.backup import Age
from matrix_baremetal.commands import backup as command
from matrix_baremetal.components.backup import DROP_INS, TIMER
from matrix_baremetal.errors import Error
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Shell
from tests.backups import (
    CONFIG,
    DIRECTORY,
    DUMP,
    KEY,
    QUIET,
    a_server,
    create,
    names,
)
from tests.fakes import MINIMAL, FakeHost, Killed, Machine, a_session

pytestmark = pytest.mark.skipif(shutil.which("zstd") is None, reason="zstd is not installed")


def test_it_holds_what_could_not_be_made_again_and_root_alone_can_read_it(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    done = create(now)
    found = names(now, done.path)
    assert found["streams/database/000000"] == DUMP
    with tarfile.open(fileobj=io.BytesIO(found["streams/media/000000"])) as tar:
        assert [row.name for row in tar if row.isreg()] == ["local_content/aa/bb/cc"]
    for path in (CONFIG, KEY, "/etc/matrix-baremetal/secrets/form_secret", "/etc/matrix-synapse/conf.d/own.yaml"):
        assert found[f"files{path}"] == now.host.read(path)
    lineage = "/etc/letsencrypt/archive/matrix-baremetal-matrix.example.org"
    assert [name for name in found if name.startswith(f"files{lineage}")] or not now.host.node(lineage)
    assert oct(now.host.path(done.path).stat().st_mode) == "0o100600"
    assert now.host.names(DIRECTORY) == (done.path.rpartition("/")[2],)
    assert backup_log.read(now.host)["last"]["path"] == done.path
    assert backup_reader.look(now.host, done.path, None, QUIET, "")["server_name"] == "example.org"
    without = create(now, media=False)
    assert "streams/media/000000" not in names(now, without.path)


def test_where_something_fails_nothing_is_left_and_the_old_ones_stay(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    good = create(now)
    time.sleep(1.1)
    (tmp_path / "dump").unlink()
    with pytest.raises(Error, match="database can't be read"):
        create(now)
    assert now.host.names(DIRECTORY) == (good.path.rpartition("/")[2],)
    now.host.machine.spare = 100 << 20  # type: ignore[attr-defined]
    with pytest.raises(Error, match="has 100 MB free; a backup may need"):
        create(now)
    assert now.host.names(DIRECTORY) == (good.path.rpartition("/")[2],)


def test_killed_at_any_operation_it_leaves_no_file_that_passes_for_a_backup(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    machine = now.host.machine  # type: ignore[attr-defined]
    for number in range(1, 60):
        host = FakeHost(machine, killed_at=number)
        dying = a_session(machine, host=FakeHost(machine))
        dying = Session(host, dying.site, dying.needs, dying.resources, dying.manifest)
        try:
            create(dying)
        except Killed:
            for each in backup.there(now.host, DIRECTORY, "example.org"):
                backup_reader.look(now.host, each.path, None, QUIET, "")
            continue
        break
    assert 5 < number < 59
    # What the dead left goes with the next one.
    assert not [name for name in now.host.names(DIRECTORY) if name.startswith(".")]


def test_so_many_are_kept_as_the_config_says(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    stamps = ("20260101T030000Z.tar.zst", "20260102T030000Z.tar.zst.age", "20260103T030000Z.tar.zst")
    strangers = (f"{DIRECTORY}/notes.txt", f"{DIRECTORY}/example.org.evil-20250101T030000Z.tar.zst")
    for stamp in stamps:
        now.host.machine.put(f"{DIRECTORY}/example.org-{stamp}", "x")  # type: ignore[attr-defined]
    for path in strangers:
        now.host.machine.put(path, "x")  # type: ignore[attr-defined]
    found = backup.there(now.host, DIRECTORY, "example.org")
    assert [each.path.partition("org-")[2] for each in found] == [*reversed(stamps)]
    assert [each.encrypted for each in found] == [False, True, False]
    assert found[0].made - found[2].made == 2 * 86400
    gone = backup.thinned(now.host, DIRECTORY, "example.org", 1)
    assert [each.path.partition("org-")[2] for each in gone] == [stamps[1], stamps[0]]
    assert all(now.host.node(path) for path in strangers)


def key_of(place: Path, kind: str) -> tuple[str, str]:
    """A recipient and the file of its private key."""
    if kind == "age":
        subprocess.run(["age-keygen", "-o", place / "key"], check=True, capture_output=True)
        asked = subprocess.run(["age-keygen", "-y", place / "key"], check=True, stdout=subprocess.PIPE, text=True)
        return asked.stdout.strip(), str(place / "key")
    home = place / "gnupg"
    home.mkdir(mode=0o700)
    gpg: list[str | Path] = ["gpg", "--batch", "--quiet", "--homedir", home]
    made = [*gpg, "--passphrase", "", "--quick-generate-key", "me@example.net", "future-default"]
    subprocess.run(made, check=True, capture_output=True)
    for name, word in (("public", "--export"), ("key", "--export-secret-keys")):
        with (place / name).open("wb") as file:
            subprocess.run([*gpg, word], check=True, stdout=file)
    subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)
    return str(place / "public"), str(place / "key")


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a short name: gpg's agent has a socket, whose path can't be long."""
    with tempfile.TemporaryDirectory(prefix="mb") as place:
        yield Path(place)


def test_where_the_clock_has_gone_back_the_new_one_stays_and_is_the_newest(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    ahead = create(now)
    future = f"{DIRECTORY}/example.org-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(time.time() + 172800))}.tar.zst"
    now.host.rename(ahead.path, future)
    done = create(now)
    assert [each.path for each in backup.there(now.host, DIRECTORY, "example.org")] == [done.path, future]
    assert [each.path for each in backup.thinned(now.host, DIRECTORY, "example.org", 1)] == [future]


@pytest.mark.parametrize("kind", ["age", "gpg"])
def test_encrypted_only_the_private_key_reads_it(short: Path, kind: str) -> None:
    tmp_path = short
    for program in {"age": ("age",), "gpg": ("gpg", "gpg-agent")}[kind]:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    recipient, identity = key_of(tmp_path, kind)
    now = a_server(tmp_path, MINIMAL + f"backup: {{encrypt_to: {recipient}}}\n")
    done = create(now)
    assert (done.encrypted, done.path.endswith(f".tar.zst.{kind}")) == (True, True)
    raw = now.host.read(done.path) or b""
    assert raw
    assert b"signing" not in raw
    assert encryption.ZSTD not in raw[:4]
    assert now.host.names(DIRECTORY) == (done.path.rpartition("/")[2],)
    assert backup_reader.look(now.host, done.path, identity, QUIET, "")["server_name"] == "example.org"
    with pytest.raises(Error, match=r"encrypted|can't be read"):
        backup_reader.look(now.host, done.path, None, QUIET, "")
    place = now.host.path(done.path)
    place.write_bytes(raw[:-30])
    with pytest.raises(Damaged):
        backup_reader.look(now.host, done.path, identity, QUIET, "")
    assert now.host.node(encryption.HOME) is None


def test_what_the_disk_did_not_keep_is_found_with_and_without_members_checksums(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    path = create(now).path
    place = now.host.path(path)
    data, wrong = place.read_bytes(), 0
    expected = backup_reader.look(now.host, path, None, QUIET, "")
    for spot in range(5, len(data), len(data) // 12):
        place.write_bytes(data[:spot] + bytes([data[spot] ^ 0x10]) + data[spot + 1 :])
        try:
            backup.whole(now.host, path, QUIET)
        except Error:
            wrong += 1
        else:
            # A bit that says how much memory to unpack with, say, changes nothing.
            assert backup_reader.look(now.host, path, None, QUIET, "") == expected
    assert wrong >= 10
    for cut in (data[:-1], b""):
        place.write_bytes(cut)
        with pytest.raises(Error, match="did not keep"):
            backup.whole(now.host, path, QUIET)
    place.write_bytes(data)
    backup.whole(now.host, path, QUIET)


def test_kept_elsewhere_the_unit_may_write_there(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    now = a_session(machine, MINIMAL + "backup: {directory: /srv/backups, encrypt_to: /etc/key.asc}\n")
    by_name = {resource.name: resource for resource in now.resources}
    assert "ReadWritePaths=-/srv/backups" in by_name[f"{DROP_INS}/50-matrix-baremetal.conf"].content  # type: ignore[attr-defined]
    assert by_name["encryption"].names == ("gnupg",)  # type: ignore[attr-defined]
    without = a_session(machine, MINIMAL + "backup: {schedule: none}\n")
    assert TIMER not in {resource.name for resource in without.resources}


def test_the_command_of_the_operators_is_given_the_file_and_heard(tmp_path: Path) -> None:
    now = a_server(tmp_path, MINIMAL + "backup: {command: /usr/local/sbin/take-away}\n")
    done = create(now)
    machine = now.host.machine  # type: ignore[attr-defined]
    command.carried(now, done, QUIET)
    assert machine.started[-1].argv[-2:] == ("/usr/local/sbin/take-away", done.path)
    machine.says["systemd-run"] = "no route to host"
    with pytest.raises(Error, match="is whole, and /usr/local/sbin/take-away did not take it: no route to host"):
        command.carried(now, done, QUIET)
    assert command.media(now, Namespace(no_media=True)) is False


def test_a_program_that_fails_is_heard_and_one_that_nobody_reads_is_stopped(tmp_path: Path) -> None:
    run = Shell()
    with pytest.raises(Error, match="head failed"), run.writing("head", "-c", "3") as into:
        for _ in range(64):
            into.write(b"x" * (1 << 20))
    with pytest.raises(ValueError, match="ours"), run.reading("yes") as out:
        out.read(3)
        raise ValueError("ours")
    with pytest.raises(Error, match="cat failed"), run.reading("cat", "/nowhere") as out:
        assert out.read() == b""
        raise Damaged("which comes of it")


@pytest.mark.parametrize(
    "text", ['{"last": 5, "failed": 5, "drill": 5}', '{"last": {"made": "x"}, "failed": {"at": 1}}', "[]", "5", "{"]
)
def test_a_note_of_backups_that_makes_no_sense_is_none(text: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put(backup_log.PATH, text)
    assert backup_log.read(FakeHost(machine)) == {}
    assert Age(daily=True).look(FakeHost(machine)).message.startswith("there is no backup yet")


def test_a_backup_of_the_future_is_not_young(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put(backup_log.PATH, "{}")
    backup_log.succeeded(FakeHost(machine), {"path": "/b", "size": 1, "made": int(time.time()) + 9 * 86400})
    finding = Age(daily=True).look(FakeHost(machine))
    assert (finding.state, "from the future" in finding.message) == ("warn", True)


def test_a_file_that_lies_in_what_another_part_declares_is_in_it_once(tmp_path: Path) -> None:
    """Twice, the archive could not be read, and zstd, which looks at the whole, would not say so."""
    secret = "/etc/matrix-baremetal/secrets/alice"
    machine = a_server(tmp_path).host.machine  # type: ignore[attr-defined]
    machine.put(secret, "a password that is long", 0o600)
    now = a_session(machine, MINIMAL + f"admins: [{{name: alice, password_file: {secret}}}]\n")
    done = create(now)
    assert names(now, done.path)[f"files{secret}"] == b"a password that is long"
    assert backup_reader.look(now.host, done.path, None, QUIET, "")["server_name"] == "example.org"


def test_a_disk_that_takes_no_more_is_said_whoever_writes(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    with pytest.raises(Error, match=r"cannot write /x\.part: No space left"), backup.opened(now.host, "/x.part"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_only_looks_like_a_backup_is_none(tmp_path: Path) -> None:
    now = a_server(tmp_path)
    now.host.machine.put(f"{DIRECTORY}/example.org-20261399T030000Z.tar.zst", "x")  # type: ignore[attr-defined]
    now.host.path(f"{DIRECTORY}/example.org-20260101T030000Z.tar.zst").symlink_to("/nowhere")
    assert backup.there(now.host, DIRECTORY, "example.org") == []


def test_two_may_read_with_gpg_at_once_and_what_a_kill_left_goes(tmp_path: Path) -> None:
    host = FakeHost(Machine(tmp_path))
    busy, dead = (f"{encryption.HOME}/{name}/pubring.kbx" for name in (1, 999_999_999))
    for path in (busy, dead):
        host.machine.put(path, "x")
    with encryption.keyring(host) as gpg:
        assert Path(gpg[-1]).is_dir()
        assert (host.text(busy), host.text(dead)) == ("x", None)
    assert not Path(gpg[-1]).exists()
    assert host.text(busy) == "x"


def test_a_key_is_found_from_wherever_the_command_is_given(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("x")
    with contextlib.chdir(tmp_path):
        for given in (["backup", "verify"], ["restore", "a.tar.zst.age"]):
            # What reads it has another working directory.
            assert words.parser().parse_args([*given, "--identity", "key.txt"]).identity == str(tmp_path / "key.txt")
