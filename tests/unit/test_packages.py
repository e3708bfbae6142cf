"""Debian packages: what is missing is installed, with fresh lists where the old ones won't do."""

from __future__ import annotations

from pathlib import Path

import pytest

from matrix_baremetal.errors import Error
from matrix_baremetal.resources.packages import Packages, added, installed
from tests.fakes import FakeHost, Machine

STATUS = """\
Package: whole
Status: install ok installed
Version: 1:2.3-4

Package: held
Status: hold ok installed
Version: 5

Package: removed
Status: deinstall ok config-files
Version: 1

Package: half
Status: install ok half-configured
Version: 1
"""


def test_only_what_is_whole_counts_as_installed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=())
    machine.put("/var/lib/dpkg/status", STATUS)
    assert installed(FakeHost(machine)) == {"whole": "1:2.3-4", "held": "5"}


def test_only_what_is_missing_is_installed(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=("nginx",))
    host = FakeHost(machine)
    wanted = Packages("tests", ("nginx", "certbot"))
    found = wanted.find(host)
    assert found
    assert found.names == ("nginx",)
    wanted.make(host, found)
    [asked, started] = [s for s in machine.started if s.argv[0] == "apt-get"]
    assert started.argv[-1] == "certbot"
    assert "nginx" not in started.argv
    # What came with us is known before it comes.
    assert asked.argv == (*started.argv, "--simulate")
    assert added(host) == ("certbot",)


def test_where_it_cannot_be_installed_the_lists_are_fetched_first(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=())
    machine.says["apt-get"], machine.failures["apt-get"] = "E: Unable to locate package", 1
    host = FakeHost(machine)
    wanted = Packages("tests", ("certbot",))
    wanted.make(host, wanted.find(host))
    assert [s.argv[1] for s in machine.started if s.argv[0] == "apt-get"] == [
        "install",
        "update",
        "install",
        "install",
    ]
    assert wanted.find(host) == wanted


def test_where_it_cannot_be_installed_then_either_apt_has_the_last_word(tmp_path: Path) -> None:
    machine = Machine(tmp_path, packages=())
    machine.says["apt-get"] = "E: Unable to locate package certbot"
    with pytest.raises(Error, match="could not install certbot: E: Unable to locate") as caught:
        Packages("tests", ("certbot",)).make(FakeHost(machine), None)
    assert caught.value.hint
    assert caught.value.passes
