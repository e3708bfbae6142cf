"""Vagrant understands the Vagrantfile."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_vagrant_takes_the_vagrantfile(tmp_path: Path) -> None:
    places = {"VAGRANT_HOME": str(tmp_path), "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot")}
    environment = {**os.environ, **places, "VAGRANT_CWD": str(REPOSITORY)}
    for command in (["ruby", "-c", "Vagrantfile"], ["vagrant", "validate"]):
        done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
