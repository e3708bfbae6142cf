"""user export: one archive with what Synapse wrote down and the files that it names, for root alone, or none."""

from __future__ import annotations

import json
import tarfile
from argparse import Namespace
from pathlib import Path

import pytest

from matrix_baremetal.commands.user_export import exported
from matrix_baremetal.errors import Error
from matrix_baremetal.resources.export import SCRATCH, UNIT
from matrix_baremetal.resources.matrix import MODULES
from matrix_baremetal.session import Session
from matrix_baremetal.shell import Result
from tests.fakes import MINIMAL, FakeHost, Machine, a_homeserver

Captured = pytest.CaptureFixture[str]
SENT = "abcdEFGHijkl"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "root")


@pytest.fixture
def now(machine: Machine) -> Session:
    """A homeserver with alice, who has sent a file."""
    begun = a_homeserver(machine, f"{MINIMAL}admins: [{{name: alice}}]\n")
    machine.put(f"/var/lib/matrix-synapse/media/local_content/ab/cd/{SENT[4:]}", "a picture")
    seen: list[tuple[str, ...]] = []

    def synapse(words: tuple[str, ...]) -> Result:
        seen.append(words)
        config = machine.at(words[words.index("-c") + 1]).read_text()
        assert f"/run/credentials/{UNIT}/" in config
        assert "/run/credentials/matrix-synapse.service/" not in config
        assert f"--setenv=PYTHONPATH={MODULES}" in words, "a directory's module of ours would not be found"
        assert words[words.index("export-data") + 1] == "@alice:example.org"
        machine.put(f"{SCRATCH}/data/rooms/!a:example.org/events", '{"n": 1}{"n": "ü"}')
        machine.put(f"{SCRATCH}/data/media_ids/{SENT}", '{"media_type": "image/png"}')
        machine.put(f"{SCRATCH}/data/media_ids/gone", "{}")
        return Result(0, "", "")

    machine.more["systemd-run"] = synapse
    return begun


def words(place: Path, **more: object) -> Namespace:
    return Namespace(**{"name": "alice", "to": str(place), "json": False, "quiet": False} | more)


def test_what_is_written_down_and_the_files_are_in_one_archive(
    now: Session, machine: Machine, tmp_path: Path, capsys: Captured
) -> None:
    place = tmp_path / "alice.tar.gz"
    assert exported(now, words(place)) == 0
    assert place.stat().st_mode & 0o777 == 0o600
    with tarfile.open(place) as tar:
        held = {row.name: (row, tar.extractfile(row)) for row in tar}
        content = {name: file.read().decode() for name, (_, file) in held.items() if file}
        assert all((row.uid, row.uname, row.mode) == (0, "", 0o600) for row, _ in held.values())
    events = content.pop("rooms/!a:example.org/events.jsonl").splitlines()
    assert [json.loads(line)["n"] for line in events] == [1, "ü"]
    assert content == {
        f"media/{SENT}": "a picture",
        f"media_ids/{SENT}.jsonl": '{"media_type": "image/png"}\n',
        "media_ids/gone.jsonl": "{}\n",
    }
    assert not machine.at(SCRATCH).exists()
    assert capsys.readouterr().out.startswith(f"{place} holds what this server has of @alice:example.org")
    with pytest.raises(Error, match="is there already"):
        exported(now, words(place))


def test_where_synapse_fails_there_is_no_file_and_nothing_is_left(
    now: Session, machine: Machine, tmp_path: Path
) -> None:
    machine.more["systemd-run"] = lambda words: Result(1, "", "psycopg2.OperationalError: no")
    with pytest.raises(Error, match=r"what it has of @alice:example\.org: psycopg2"):
        exported(now, words(tmp_path / "alice.tar.gz"))
    assert [path.name for path in tmp_path.iterdir()] == ["root"]
    assert not machine.at(SCRATCH).exists()


def test_what_can_not_be_packed_leaves_no_half_of_it(now: Session, machine: Machine, tmp_path: Path) -> None:
    def broken(words: tuple[str, ...]) -> Result:
        machine.put(f"{SCRATCH}/data/user_data/profile", '{"cut')
        return Result(0, "", "")

    machine.more["systemd-run"] = broken
    with pytest.raises(Error, match="the archive could not be made"):
        exported(now, words(tmp_path / "alice.tar.gz"))
    assert [path.name for path in tmp_path.iterdir()] == ["root"]


def test_it_is_said_where_it_can_not_go_and_whom_nobody_knows(now: Session, tmp_path: Path) -> None:
    with pytest.raises(Error, match="there is no directory"):
        exported(now, words(tmp_path / "no/alice.tar.gz"))
    with pytest.raises(Error, match=r"there is no @bob:example\.org"):
        exported(now, words(tmp_path / "bob.tar.gz", name="bob"))
    assert isinstance(now.host, FakeHost)
