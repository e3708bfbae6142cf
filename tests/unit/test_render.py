"""render: every file of the declaration and no secret, below a directory of one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from matrix_baremetal import cli


@pytest.fixture
def config(tmp_path: Path) -> Path:
    file = tmp_path / "config.yaml"
    file.write_text("server_name: example.org\nadmins: [{name: alice}]\n")
    return file


def test_every_file_is_below_the_directory_and_no_secret_is(config: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert cli.main(["--config", str(config), "--root", str(tmp_path), "-q", "render", str(target)]) == 0
    names = {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}
    assert {"etc/matrix-synapse/homeserver.yaml", "etc/nginx/sites-enabled/zz-matrix-baremetal"} <= names
    assert not any("secret" in name or "signing" in name for name in names)
    assert (target / "etc/matrix-synapse/homeserver.yaml").stat().st_mode & 0o777 == 0o640


def test_its_json_lists_what_was_written(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert cli.main(["--config", str(config), "--root", str(tmp_path), "--json", "render", str(out)]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert sorted(files) == sorted(str(path) for path in out.rglob("*") if path.is_file())


def test_rendering_over_what_was_rendered_gives_the_same(config: Path, tmp_path: Path) -> None:
    words = ["--config", str(config), "--root", str(tmp_path), "-q", "render", str(tmp_path / "out")]
    assert cli.main(words) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert cli.main(words) == 0
    assert before == {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}


def test_a_directory_that_can_not_be_one_is_a_sentence(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--config", str(config), "--root", str(tmp_path), "render", str(config)]
    assert cli.main(words) == 1
    assert f"cannot write {config}/etc" in capsys.readouterr().err


def test_in_a_locale_without_utf_8_the_files_are_those_of_apply(config: Path, tmp_path: Path) -> None:
    config.write_text("server_name: example.org\nsynapse: {settings: {hs_disabled_message: ä ✓}}\n", "utf-8")
    words = ["--config", str(config), "--root", str(tmp_path), "-q", "render", str(tmp_path / "out")]
    plain = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    argv = [sys.executable, "-m", "matrix_baremetal.cli", *words]
    done = subprocess.run(argv, env=plain, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ä ✓" in (tmp_path / "out/etc/matrix-synapse/homeserver.yaml").read_text("utf-8")
