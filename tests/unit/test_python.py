"""Virtualenvs: by uv, by pip where uv can't be had, never with another hash, and whole under their final name."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from matrix_baremetal.errors import Error
from matrix_baremetal.resources.python import Virtualenv, debian_pip, relocate
from tests.fakes import FakeHost, Killed, Machine

HASH = "THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. Expected sha256 aa, Got bb"
WANTED = Virtualenv("/opt/v/1", pins="new", python="3.11", requirements="synapse==1", uv="uv==1")


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    machine = Machine(tmp_path)
    machine.at("/opt/v").mkdir()
    return FakeHost(machine)


def words(host: FakeHost) -> list[str]:
    return [" ".join(started.argv) for started in host.machine.started]


def test_uv_makes_it_from_hashes_and_wheels_alone(host: FakeHost) -> None:
    WANTED.make(host, None)
    download, venv, install, compiled, sync = words(host)
    for option in ("--require-hashes", "--only-binary :all:", "--no-deps"):
        assert option in download
        assert option in install
    assert "venv" in venv
    assert "--python /usr/bin/python3.11" in venv
    assert "-m compileall" in compiled
    assert sync.startswith("sync -f")
    assert host.names("/opt/v") == ("1",)
    assert not any("uv" in name for name in host.names("/opt/v/1"))


def test_where_uv_cannot_be_had_pip_makes_it(host: FakeHost) -> None:
    host.machine.says["python"] = "ERROR: No matching distribution found for uv"
    host.machine.failures["python"] = 1
    WANTED.make(host, None)
    download, venv, install, _, _ = words(host)
    assert "pip" in download
    assert "-m venv --without-pip" in venv
    assert "install" in install
    assert "--require-hashes" in install
    assert WANTED.find(host) == WANTED
    assert host.names("/opt/v/1/uv") == ()


def test_another_hash_of_uv_is_refused_and_pip_is_not_tried(host: FakeHost) -> None:
    host.machine.says["python"] = HASH
    with pytest.raises(Error, match=r"not the one that this release pins.*Got bb") as caught:
        WANTED.make(host, None)
    assert "nothing was installed" in caught.value.message
    assert len(words(host)) == 1
    assert host.names("/opt/v") == ()


def test_another_hash_of_a_package_is_refused_and_leaves_nothing(host: FakeHost) -> None:
    host.machine.says["uv-program"] = "Hash mismatch for synapse"
    host.machine.failures["uv-program"] = 1
    with pytest.raises(Error, match="not the one that this release pins"):
        WANTED.make(host, None)
    assert host.names("/opt/v") == ()


def test_any_other_failure_says_where_it_was_taken_from_and_that_it_goes_on(host: FakeHost) -> None:
    host.machine.says["uv-program"] = "connection reset"
    with pytest.raises(Error, match=r"could not be made from the package index: connection reset") as caught:
        WANTED.make(host, None)
    assert "goes on" in (caught.value.hint or "")
    offline = Virtualenv("/opt/v/1", pins="new", python="3.11", wheelhouse="/srv/wheels")
    with pytest.raises(Error, match="from the wheel directory /srv/wheels"):
        offline.make(host, None)
    assert "--no-index --find-links /srv/wheels" in words(host)[-2]


GONE = """warning: something else
error: Failed to download `rpds-py==2026.9.1`
  cause: Request failed after 3 retries in 5.4s
  cause: Network is unreachable (os error 101)
"""
NOT_THERE = """error: Request failed after 3 retries in 4.5s
  cause: Failed to fetch: https://pypi.example/simple/jinja2/
  cause: client error (Connect)
  cause: Network is unreachable (os error 101)
"""


@pytest.mark.parametrize(
    ("says", "named"),
    [
        (GONE, "Failed to download `rpds-py==2026.9.1`"),
        (NOT_THERE, "Failed to fetch: https://pypi.example/simple/jinja2/"),
    ],
)
def test_a_network_that_goes_away_is_said_in_one_line_and_what_came_is_taken_up_again(
    host: FakeHost, says: str, named: str
) -> None:
    host.machine.says["uv pip"] = says
    with pytest.raises(Error) as caught:
        WANTED.make(host, None)
    assert caught.value.message.endswith(f"from the package index: {named}: Network is unreachable (os error 101)")
    assert host.names("/opt/v") == (".1.building.cache",)
    del host.machine.says["uv pip"]
    WANTED.make(host, None)
    assert host.names("/opt/v") == ("1",)
    host.mkdir("/opt/v/.1.building.cache", 0o755)
    WANTED.undo(host)
    assert host.names("/opt/v") == ()


def test_a_disk_that_is_full_keeps_nothing(host: FakeHost) -> None:
    """What was half-made takes the room that is missing."""
    host.machine.says["uv pip"] = GONE.replace("Network is unreachable (os error 101)", "No space left on device")
    with pytest.raises(Error, match="No space left on device"):
        WANTED.make(host, None)
    assert host.names("/opt/v") == ()


def test_bytecode_that_can_not_be_written_is_said(host: FakeHost) -> None:
    host.machine.says["compileall"] = "*** OSError: [Errno 28] No space left on device"
    with pytest.raises(Error, match=r"could not be compiled: .*No space left on device") as caught:
        WANTED.make(host, None)
    assert caught.value.hint
    assert host.names("/opt/v") == ()


def test_the_old_one_serves_until_the_new_one_is_whole(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.at("/opt/v").mkdir()
    old = Virtualenv("/opt/v/1", pins="old", python="3.11")
    old.make(FakeHost(machine), None)
    host = FakeHost(machine)
    WANTED.make(host, WANTED.find(host))
    absent = 0
    for at in range(1, host.operations + 1):
        folder = tmp_path / str(at)
        folder.mkdir()
        machine = Machine(folder)
        machine.at("/opt/v").mkdir()
        old.make(FakeHost(machine), None)
        dying = FakeHost(machine, at)
        with pytest.raises(Killed):
            WANTED.make(dying, old)
        seen = WANTED.find(FakeHost(machine))
        absent += seen is None
        assert seen is None or seen.pins in ("old", "new")
        assert seen is None or machine.at("/opt/v/1/bin/synapse_homeserver").exists()
    # Between the two renames there is none: a kill there is repaired by the next run, and the process runs on.
    assert absent <= 3


class Layered(FakeHost):
    """A machine whose virtualenv comes from a lower layer of an overlay."""

    def rename(self, source: str, path: str) -> None:
        """As overlayfs does."""
        if source == WANTED.path:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        super().rename(source, path)


def test_one_from_an_images_layer_is_replaced_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.at("/opt/v").mkdir()
    old = Virtualenv("/opt/v/1", pins="old", python="3.11")
    old.make(FakeHost(machine), None)
    host = Layered(machine)
    WANTED.make(host, WANTED.find(host))
    assert WANTED.find(host) == WANTED
    assert host.names("/opt/v") == ("1",)


def test_scripts_name_the_final_place_and_keep_their_mode(host: FakeHost) -> None:
    WANTED.make(host, None)
    script = host.text("/opt/v/1/bin/synapse_homeserver") or ""
    assert script.startswith("#!/opt/v/1/bin/python\n")
    assert ".building" not in script
    node = host.node("/opt/v/1/bin/synapse_homeserver")
    assert node
    assert node.mode == 0o755


def test_only_scripts_that_name_the_old_place_are_written(host: FakeHost) -> None:
    host.machine.put("/opt/v/old/bin/other", "#!/bin/sh\n", 0o700)
    host.path("/opt/v/old/bin/python").symlink_to("/usr/bin/python3")
    operations = host.operations
    relocate(host, "/opt/v/old", "/opt/v/new")
    assert host.operations == operations


def test_debians_pip_is_the_newest_there_is_and_missed_in_words(host: FakeHost) -> None:
    assert debian_pip(host) == "/usr/share/python-wheels/pip-23.0-py3-none-any.whl/pip"
    host.machine.at("/usr/share/python-wheels/pip-23.0-py3-none-any.whl").unlink()
    with pytest.raises(Error, match="Debian's pip is not installed"):
        debian_pip(host)


@pytest.mark.parametrize("mark", ["", "{", "[]", "{}", '{"pins": "new"}'])
def test_one_without_its_mark_is_none(mark: str, host: FakeHost) -> None:
    host.machine.put("/opt/v/1/complete.json", mark)
    assert WANTED.find(host) is None
