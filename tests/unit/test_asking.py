"""The question whether to go on: who is asked, where it stands, and what counts for a yes."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from matrix_baremetal import cli
from matrix_baremetal.commands import migrate, restore
from matrix_baremetal.commands.asking import agreed, confirmed
from matrix_baremetal.commands.init import Unanswered
from matrix_baremetal.config import decode
from matrix_baremetal.restore import Held
from matrix_baremetal.words import parser

MAIN = [sys.executable, "-m", "matrix_baremetal.cli"]


class Terminal(io.StringIO):
    """Somebody who has typed this."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def asked(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(text))
    agreed("Go on? ", "nobody is here", "say --yes")


def test_yes_goes_on_and_the_question_is_not_where_documents_are(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked("Yes\n", monkeypatch)
    assert tuple(capsys.readouterr()) == ("", "Go on? ")


@pytest.mark.parametrize("typed", ["", "no\n", "y\n"])
def test_anything_else_is_no_and_so_is_ctrl_d(typed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unanswered, match="nothing was changed") as refused:
        asked(typed, monkeypatch)
    assert refused.value.hint == "type yes, or say --yes"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text("server_name: example.org\n")
    return file


def test_who_has_closed_stdin_is_nobody_to_ask(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert cli.main(["--root", str(config.parent), "--config", str(config), "plan"]) == 3
    with pytest.raises(Unanswered, match="nobody can be asked here"):
        confirmed(yes=False)


def test_a_full_disk_behind_stdout_is_a_sentence(config: Path) -> None:
    words = ["--root", str(config.parent), "--config", str(config), "show", "dns"]
    with open("/dev/full", "w") as full:
        done = subprocess.run([*MAIN, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "matrix-baremetal: there is no room for the output\nnext: df -h; df -i\n"


def test_the_command_for_where_nobody_can_be_asked_is_one_that_works() -> None:
    held = Held("/srv/a b.age", "/root/key", {}, {}, decode(b"server_name: example.org\n", "x"))
    assert restore.again(held) == "matrix-baremetal restore --yes --identity /root/key '/srv/a b.age'"
    assert restore.again(replace(held, identity=None)) == "matrix-baremetal restore --yes '/srv/a b.age'"
    said = "migrate from-docker --yes /srv/synapse --dump /root/x.sql --hostname m.example.org"
    args = parser().parse_args(["migrate", "from-docker", "/", "--hostname", "m.example.org"])
    args.folder, args.dump = "/srv/synapse", "/root/x.sql"
    assert migrate.again(args) == f"matrix-baremetal {said}"
