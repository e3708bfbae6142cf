"""Notes of other releases: older ones are read, and an older package does not come over those of a newer one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from matrix_baremetal.converge import converge
from matrix_baremetal.manifest import FORMAT, PATH, Manifest
from tests.fakes import Machine, a_homeserver, a_session

FIRST = Path(__file__).parents[1] / "data/manifest-0.1.0-first.json"
# What those days declared and today's don't.
GONE: set[str] = set()
SCRIPT = Path(__file__).parents[2] / "debian/matrix-baremetal.preinst"
if not SCRIPT.exists():  # the installed package is tested without its packaging
    pytest.skip("debian is not there", allow_module_level=True)


def preinst(folder: Path, manifest: str | None, *words: str) -> subprocess.CompletedProcess[str]:
    """What dpkg runs before it unpacks the package, on a machine with this manifest."""
    place = folder / "manifest.json"
    if manifest is not None:
        place.write_text(manifest)
    text = SCRIPT.read_text()
    assert f"manifest={PATH}\n" in text
    script = text.replace(f"manifest={PATH}\n", f"manifest={place}\n")
    return subprocess.run(["sh", "-c", script, "preinst", *words], capture_output=True, text=True, check=False)


def written(number: int) -> str:
    """A manifest of a format, as `Manifest.write` lays it out."""
    return json.dumps({"format": number, "server_name": "example.org", "resources": []}, indent=1)


@pytest.mark.parametrize("manifest", [None, "", "{", "[1]", written(FORMAT)])
def test_what_this_release_can_read_is_no_hindrance(tmp_path: Path, manifest: str | None) -> None:
    for words in (("install",), ("upgrade", "9.9"), ("abort-upgrade", "9.9")):
        done = preinst(tmp_path, manifest, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("verb", ["upgrade", "install"])
def test_what_a_newer_one_wrote_is_refused_with_the_way_back(tmp_path: Path, verb: str) -> None:
    done = preinst(tmp_path, written(FORMAT + 1), verb, "9.9")
    assert done.returncode == 1
    assert "set up by a newer release" in done.stderr
    assert "next: " in done.stderr
    assert "matrix-baremetal restore FILE" in done.stderr
    # dpkg undoes by this: it must not fail once more.
    assert preinst(tmp_path, None, "abort-upgrade", "9.9").returncode == 0


def test_what_the_first_builds_made_is_known_again(tmp_path: Path) -> None:
    """Notes as they were written in the first days, for the same config, on a machine as it is made today."""
    machine = Machine(tmp_path)
    now = a_homeserver(machine)
    machine.put(PATH, FIRST.read_text(), 0o600)
    old = Manifest.read(now.host)
    assert old.server_name == "example.org"
    assert len(old.entries) > 30
    changes = list(converge(now.resources, now.host, old))
    assert [change.title for change in changes if change.action != "remove"] == []
    assert {change.title for change in changes} <= GONE
    assert not machine.at("/var/lib/matrix-baremetal/displaced").exists()
    again = a_session(machine)
    assert not list(converge(again.resources, again.host, again.manifest))
