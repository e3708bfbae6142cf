"""An older release of the package does not come over the notes of a newer one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from matrix_baremetal.manifest import FORMAT, PATH

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
