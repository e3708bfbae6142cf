"""docs/cloud-init.yaml: sound YAML, a config that we read, and a script that a shell reads."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from matrix_baremetal import config, first_config
from matrix_baremetal.session import CONFIG

PAGE = Path(__file__).parents[2] / "docs/cloud-init.yaml"
if not PAGE.exists():  # the installed package is tested without its docs
    pytest.skip("docs/cloud-init.yaml is not there", allow_module_level=True)


@pytest.fixture
def files() -> dict[str, Any]:
    """What it has cloud-init write, by the path."""
    text = PAGE.read_text()
    assert text.startswith("#cloud-config\n")
    return {file["path"]: file for file in yaml.safe_load(text)["write_files"]}


def test_its_config_is_one_and_is_for_root_alone(files: dict[str, Any]) -> None:
    decoded = config.decode(files[CONFIG]["content"], CONFIG)
    assert decoded.server_name == "example.org"
    assert decoded.acme.email == "you@example.org"
    assert [(a.name, a.password_hash, a.password_file) for a in decoded.admins] == [("admin", None, None)]
    assert files[CONFIG]["permissions"] == "0600"
    new = config.decode(first_config.text("example.org"), CONFIG)
    parts = [(each.web_client, each.admin_ui, each.turn) for each in (decoded, new)]
    assert parts[0] == parts[1], "it has what init writes"


def test_the_line_for_a_hash_is_at_its_place() -> None:
    text = PAGE.read_text().replace("# password_hash", "  password_hash").replace("$2b$12$...", f"$2b$12${'a' * 53}")
    [written] = [f["content"] for f in yaml.safe_load(text)["write_files"] if f["path"] == CONFIG]
    assert config.decode(written, CONFIG).admins[0].password_hash


def test_its_script_is_one_that_runs_at_each_boot(files: dict[str, Any]) -> None:
    [script] = [file for path, file in files.items() if path.startswith("/var/lib/cloud/scripts/per-boot/")]
    assert script["permissions"] == "0755"
    assert script["content"].startswith("#!/bin/sh\n")
    done = subprocess.run(["sh", "-n"], input=script["content"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_two_lines_are_marked() -> None:
    marked = [line for line in PAGE.read_text().splitlines() if "# <--" in line]
    assert len(marked) == 2
